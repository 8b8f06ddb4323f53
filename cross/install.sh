#!/usr/bin/env bash
# Installs boxcam on a board by ssh, with the programs of any Debian or Raspberry Pi OS. install/device.sh runs there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")

usage() {
    cat <<'TEXT'
usage: cross/install.sh [OPTIONS] [USER@]HOST

Installs or updates boxcam as a service on a board that runs Debian, Raspberry Pi OS or another system with systemd: the
program, its unit with its own user, the options in /etc/boxcam.toml (existing ones are kept), and a model if one is
given. Then waits for the first inference. USER is root or may use sudo without a password.

  --binary FILE   the program; default: target/TARGET/release/boxcam or target/cross/TARGET/release/boxcam for
                  the board's processor
  --model FILE    a model instead of the embedded one
  --config FILE   the options for a board that has none; default: cross/install/boxcam.toml
  --rollback      switches to the previous version; twice switches back
  --dry-run       shows what it would do and changes nothing
  --wait SECONDS  timeout for the first frame; default: 60
  --root FOLDER   installs into a folder of HOST, for a card in a reader or a test; nothing is started
  --ssh OPTION    passed to ssh; may be given several times, as in: --ssh -p --ssh 2222

Installing the same version again changes nothing. The previous version is kept, older ones are removed.

Exit code: 0: done; 1: it failed on the board, or boxcam captured no frame; 2: wrong usage; 3: something is missing here;
255: ssh cannot connect.
TEXT
}

fail() {
    local code=$1
    shift
    echo "install.sh: $*" >&2
    exit "$code"
}

# Runs a command on the board, with this standard input.
remote() {
    # shellcheck disable=SC2029 # what is expanded here is meant to be
    ssh "${ssh_options[@]}" -- "$host" "$@"
}

# The program that was built for the board's processor.
find_binary() {
    local processor target folder
    # dpkg's architecture is that of the programs; a 64 bit kernel may run a 32 bit system.
    processor=$(remote 'dpkg --print-architecture 2>/dev/null || uname -m' </dev/null)
    case $processor in
        arm64 | aarch64) target=aarch64-unknown-linux-gnu ;;
        armhf | armv7l) target=armv7-unknown-linux-gnueabihf ;;
        *) fail 3 "$host has the processor $processor, for which there is no build; give one with --binary" ;;
    esac
    for folder in "$repository/target/$target" "$repository/target/cross/$target"; do
        binary=$folder/release/boxcam
        [ ! -x "$binary" ] || return 0
    done
    fail 3 "boxcam is not built for $target; run: cross/build.sh $target"
}

# Packs the files to send into a folder. The version's id is the checksum of the files.
pack() {
    payload=$(mktemp -d)
    trap 'rm -rf "$payload"' EXIT
    cp "$here/install/device.sh" "$payload/"
    [ "$action" = install ] || return 0
    cp "$binary" "$payload/boxcam"
    cp "$here/boxcam.service" "$payload/boxcam.service"
    cp "$config" "$payload/boxcam.toml"
    [ -z "$model" ] || cp "$model" "$payload/boxcam.onnx"
    # The options belong to the board and not to a version.
    id=$(cd "$payload" && find . -type f ! -name boxcam.toml ! -name device.sh -print0 | LC_ALL=C sort -z |
        xargs -0 sha256sum | sha256sum | cut -c 1-12)
}

# One connection, so that ssh asks for a password once. The temporary folder is always removed.
send() {
    local arguments
    printf -v arguments ' %q' "$action" "$root" "$timeout" "$dry" "$id"
    tar -C "$payload" -cf - . | gzip -1 | remote "
        set -e
        folder=\$(mktemp -d)
        trap 'rm -rf \"\$folder\"' EXIT
        tar -C \"\$folder\" -xzf -
        as_root=
        [ \"\$(id -u)\" -eq 0 ] || [ -n $(printf %q "$root") ] || as_root='sudo -n'
        \$as_root sh \"\$folder/device.sh\"$arguments"
}

host="" binary="" model="" config=$here/install/boxcam.toml
action=install dry=no timeout=60 root="" id=""
ssh_options=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --rollback) action=rollback ;;
        --dry-run) dry=yes ;;
        --binary | --model | --config | --wait | --root | --ssh)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --binary) binary=$2 ;;
                --model) model=$2 ;;
                --config) config=$2 ;;
                --wait) timeout=$2 ;;
                --root) root=$2 ;;
                --ssh) ssh_options+=("$2") ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$host" ] || fail 2 "only one board; see --help"
            host=$1 ;;
    esac
    shift
done
[ -n "$host" ] || fail 2 "missing HOST; see --help"
[[ $timeout =~ ^[0-9]+$ ]] || fail 2 "--wait needs an integer number of seconds"
[ -z "$root" ] || [[ $root == /* ]] || fail 2 "--root needs an absolute path"
command -v ssh >/dev/null || fail 3 "ssh is not installed (Debian: apt install openssh-client)"
for file in "$binary" "$model" "$config"; do
    [ -z "$file" ] || [ -f "$file" ] || fail 3 "$file does not exist"
done
[ "$action" = rollback ] || [ -n "$binary" ] || find_binary
pack
send
