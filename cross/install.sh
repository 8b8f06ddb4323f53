#!/usr/bin/env bash
# Puts boxcam on a board, by ssh and with what any Debian or Raspberry Pi OS has. What is done there is in
# install/device.sh.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")

usage() {
    cat <<'TEXT'
usage: cross/install.sh [OPTIONS] [USER@]HOST

Installs boxcam as a service on a board that runs Debian, Raspberry Pi OS or another system with systemd, or brings it
up to date: the program, its unit with a user of its own, the options in /etc/boxcam.toml (only where there are none;
yours are kept), and a model if one is given. Then it waits until the first frame went through the model. USER is root
or may use sudo without a password.

  --binary FILE   the program; target/TARGET/release/boxcam or target/cross/TARGET/release/boxcam without it, for the
                  processor that the board says it has
  --model FILE    a model of your own instead of the one inside the program
  --config FILE   the options for a board that has none yet; cross/install/boxcam.toml without it
  --rollback      goes back to the version before; once more comes back to this one
  --dry-run       says what it would do and changes nothing
  --wait SECONDS  time for the first frame; 60 without it
  --root FOLDER   installs into a folder of HOST, for a card in a reader or a rehearsal; nothing is started
  --ssh OPTION    passed to ssh; may be given several times, as in: --ssh -p --ssh 2222

The same version again changes nothing. The version before is kept, older ones are removed.

Exit code: 0: done; 1: it went wrong on the board, or boxcam saw no frame; 2: wrong usage; 3: something is missing here;
255: ssh's, where it gets no connection.
TEXT
}

fail() {
    local code=$1
    shift
    echo "install.sh: $*" >&2
    exit "$code"
}

# On the board; standard input goes along.
remote() {
    # shellcheck disable=SC2029 # what is expanded here is meant to be
    ssh "${ssh_options[@]}" -- "$host" "$@"
}

# The program that was built for the board's processor.
find_binary() {
    local processor target folder
    # The kernel's word may be for 64 bits where the programs are for 32; dpkg's is for the programs.
    processor=$(remote 'dpkg --print-architecture 2>/dev/null || uname -m' </dev/null)
    case $processor in
        arm64 | aarch64) target=aarch64-unknown-linux-gnu ;;
        armhf | armv7l) target=armv7-unknown-linux-gnueabihf ;;
        *) fail 3 "$host is for $processor, for which no build is known; name one with --binary" ;;
    esac
    for folder in "$repository/target/$target" "$repository/target/cross/$target"; do
        binary=$folder/release/boxcam
        [ ! -x "$binary" ] || return 0
    done
    fail 3 "nothing is built for $target; build it with: cross/build.sh $target"
}

# A folder with all that goes over, and its name: the checksum of what is in it.
pack() {
    payload=$(mktemp -d)
    trap 'rm -rf "$payload"' EXIT
    cp "$here/install/device.sh" "$payload/"
    [ "$action" = install ] || return 0
    cp "$binary" "$payload/boxcam"
    cp "$here/boxcam.service" "$payload/boxcam.service"
    cp "$config" "$payload/boxcam.toml"
    [ -z "$model" ] || cp "$model" "$payload/boxcam.onnx"
    # The options are the board's own and make no new version.
    id=$(cd "$payload" && find . -type f ! -name boxcam.toml ! -name device.sh -print0 | LC_ALL=C sort -z |
        xargs -0 sha256sum | sha256sum | cut -c 1-12)
}

# One connection, so that a password is asked for once. The folder there is gone whatever happens.
send() {
    local words
    printf -v words ' %q' "$action" "$root" "$patience" "$dry" "$id"
    tar -C "$payload" -cf - . | gzip -1 | remote "
        set -e
        folder=\$(mktemp -d)
        trap 'rm -rf \"\$folder\"' EXIT
        tar -C \"\$folder\" -xzf -
        as_root=
        [ \"\$(id -u)\" -eq 0 ] || [ -n $(printf %q "$root") ] || as_root='sudo -n'
        \$as_root sh \"\$folder/device.sh\"$words"
}

host="" binary="" model="" config=$here/install/boxcam.toml
action=install dry=no patience=60 root="" id=""
ssh_options=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --rollback) action=rollback ;;
        --dry-run) dry=yes ;;
        --binary | --model | --config | --wait | --root | --ssh)
            [ $# -ge 2 ] || fail 2 "$1 wants a value; see --help"
            case $1 in
                --binary) binary=$2 ;;
                --model) model=$2 ;;
                --config) config=$2 ;;
                --wait) patience=$2 ;;
                --root) root=$2 ;;
                --ssh) ssh_options+=("$2") ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$host" ] || fail 2 "one board only; see --help"
            host=$1 ;;
    esac
    shift
done
[ -n "$host" ] || fail 2 "which board? see --help"
[[ $patience =~ ^[0-9]+$ ]] || fail 2 "--wait wants whole seconds"
[ -z "$root" ] || [[ $root == /* ]] || fail 2 "--root wants a whole path"
command -v ssh >/dev/null || fail 3 "ssh is not there; install Debian's openssh-client"
for file in "$binary" "$model" "$config"; do
    [ -z "$file" ] || [ -f "$file" ] || fail 3 "$file is not there"
done
[ "$action" = rollback ] || [ -n "$binary" ] || find_binary
pack
send
