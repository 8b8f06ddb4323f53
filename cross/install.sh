#!/usr/bin/env bash
# Installs boxcam on a board by ssh, with the programs of any Debian or Raspberry Pi OS. install/device.sh runs there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")

usage() {
    cat <<'TEXT'
usage: cross/install.sh [OPTIONS] [USER@]HOST

Installs or updates boxcam as a service on a board that runs Debian, Raspberry Pi OS or another system with systemd. Where
there is dpkg, it is the Debian package of cross/package.sh; elsewhere the program, its unit with its own user, and the options
in /etc/boxcam.toml. Existing options are kept. Then waits for the first inference. USER is root or may use sudo without a
password.

  --package FILE  the Debian package; default: made by cross/package.sh of the program
  --binary FILE   the program; default: target/TARGET/release/boxcam or target/cross/TARGET/release/boxcam for
                  the board's processor
  --no-package    installs the files without a package where there is dpkg, too
  --model FILE    a model instead of the one of the options
  --config FILE   the options for a board that has none; default: those of the package or cross/install/boxcam.toml
  --rollback      switches to the previous version; twice switches back
  --dry-run       shows what it would do and changes nothing
  --wait SECONDS  timeout for the first frame; default: 60
  --root FOLDER   installs the files into a folder of HOST, for a card in a reader or a test; nothing is started.
                  With --package by `dpkg --root`, which runs programs of the folder
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

# Asks the board once for its processor, and whether it takes packages.
ask_board() {
    local answer
    # dpkg's architecture is that of the programs; a 64 bit kernel may run a 32 bit system.
    answer=$(remote 'dpkg --print-architecture 2>/dev/null || uname -m' </dev/null)
    case $answer in
        amd64) target=x86_64-unknown-linux-gnu takes_packages=yes ;;
        arm64) target=aarch64-unknown-linux-gnu takes_packages=yes ;;
        armhf) target=armv7-unknown-linux-gnueabihf takes_packages=yes ;;
        aarch64) target=aarch64-unknown-linux-gnu ;;
        armv7l) target=armv7-unknown-linux-gnueabihf ;;
        x86_64) target=x86_64-unknown-linux-gnu ;;
        *) processor=$answer ;;
    esac
}

# The program that was built for the board's processor.
find_binary() {
    local folder
    [ -n "$target" ] || fail 3 "$host has the processor $processor, for which there is no build; give one with --binary"
    local folders=("$repository/target/$target" "$repository/target/cross/$target")
    [ "$target" != x86_64-unknown-linux-gnu ] || folders+=("$repository/target")
    for folder in "${folders[@]}"; do
        binary=$folder/release/boxcam
        [ ! -x "$binary" ] || return 0
    done
    fail 3 "boxcam is not built for $target; run: cross/build.sh $target, or for a PC: cargo build --release"
}

# Makes the package of the program in a folder of its own, because the payload has only what is sent.
make_package() {
    made=$(mktemp -d)
    "$here/package.sh" "$target" --binary "$binary" --output "$made" --no-tarball >/dev/null ||
        fail 3 "the package cannot be made (see above); give one with --package, or install without one: --no-package"
    package=("$made"/*.deb)
}

# Packs the files to send into a folder. The version's id is the checksum of the files.
pack() {
    payload=$(mktemp -d)
    cp "$here/install/device.sh" "$payload/"
    [ "$action" = install ] || return 0
    if [ -n "${package[*]}" ]; then
        cp "${package[0]}" "$payload/boxcam.deb"
    else
        cp "$binary" "$payload/boxcam"
        cp "$here/boxcam.service" "$payload/boxcam.service"
        : "${config:=$here/install/boxcam.toml}"
    fi
    [ -z "$config" ] || cp "$config" "$payload/boxcam.toml"
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

host="" binary="" model="" config="" target="" processor="" payload="" made=""
action=install dry=no timeout=60 root="" id="" with_package=yes takes_packages=no
ssh_options=() package=()
trap 'rm -rf ${payload:+"$payload"} ${made:+"$made"}' EXIT
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --rollback) action=rollback ;;
        --dry-run) dry=yes ;;
        --no-package) with_package=no ;;
        --package | --binary | --model | --config | --wait | --root | --ssh)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --package) package=("$2") ;;
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
for file in "${package[@]}" "$binary" "$model" "$config"; do
    [ -z "$file" ] || [ -f "$file" ] || fail 3 "$file does not exist"
done
if [ ${#package[@]} -gt 0 ] && { [ -n "$binary" ] || [ "$with_package" = no ]; }; then
    fail 2 "--package excludes --binary and --no-package; see --help"
fi
[ -z "$root" ] || with_package=no
if [ "$action" = install ] && [ ${#package[@]} -eq 0 ]; then
    if [ -z "$binary" ] || [ "$with_package" = yes ]; then ask_board; fi
    [ -n "$binary" ] || find_binary
    [ "$with_package" = no ] || [ "$takes_packages" = no ] || make_package
fi
pack
send
