#!/usr/bin/env bash
# Boots an emulated computer, a PC or an ARM board, in which boxcam uses a real V4L2 driver and a real framebuffer.
#
# Runs the scripts of board/guest/tests with the built program. Their files, screenshots and the console are written to
# target/board/TARGET/out, where tests/board checks them. Kernel and busybox are Debian packages, downloaded once with
# apt's configuration. Nothing is installed; neither root nor /dev/kvm is needed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
# shellcheck source=cross/board/packages.sh
. "$here/board/packages.sh"
# shellcheck source=cross/board/initramfs.sh
. "$here/board/initramfs.sh"
# shellcheck source=cross/board/machine.sh
. "$here/board/machine.sh"

usage() {
    cat <<'TEXT'
usage: cross/board.sh TARGET [--test NAME]... [--binary FILE] [--add FOLDER] [--deadline SECONDS]

Boots an emulated computer and runs boxcam in it.

  TARGET              pc: an x86-64 PC with vivid cameras, a VESA and a DRM screen
                      virt: qemu's generic 64 bit ARM board, with a screen of 32 bits
                      debian: that PC with Debian's systemd, and boxcam as its service
                      raspi3b: a Raspberry Pi 3 B with a screen of 16 bits and an SD card
  --test NAME         only that script of cross/board/guest/tests; default: those of the target
  --binary FILE       the program; default: target/release/boxcam for the PC; for ARM, cross/build.sh builds it in the
                      profile `emulated`
  --add FOLDER        copies its files to /add in the computer: the images that its cameras play, and a tiny model; default:
                      target/board/add, written by `cargo test --release --test board`
  --deadline SECONDS  timeout; default: 1800

Results are written to target/board/TARGET/out. Exit code 0: all scripts completed; 1: a script failed;
2: wrong usage; 3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "board.sh: $*" >&2
    exit "$code"
}

target=""
tests=()
built=${CARGO_TARGET_DIR:-$repository/target}
binary=""
boards=$repository/target/board
additions=$boards/add
deadline=1800
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --test | --binary | --add | --deadline)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --test) tests+=("$2") ;;
                --binary) binary=$2 ;;
                --add) additions=$2 ;;
                --deadline) deadline=$2 ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$target" ] || fail 2 "only one target; see --help"
            target=$1 ;;
    esac
    shift
done
[ -n "$target" ] || fail 2 "missing TARGET; see --help"
[ -f "$here/board/target-$target.sh" ] || fail 2 "unknown target $target; see --help"
[ -f "$additions/tiny.onnx" ] || fail 3 "$additions has no tiny.onnx; see --help"

work=$boards/$target
out=$work/out
mkdir -p "$work"

# Defaults that a target may override.
system_packages=()
prepare_machine() { :; }

# shellcheck source=cross/board/target-pc.sh
. "$here/board/target-$target.sh"
[ "${#tests[@]}" -gt 0 ] || tests=("${scripts[@]}")
for name in "${tests[@]}"; do
    [ -f "$here/board/guest/tests/$name.sh" ] || fail 2 "no test $name in cross/board/guest/tests"
done

exec 9>"$work/lock"
flock -w "$deadline" 9 || fail 3 "another run uses $work"
fetch_packages
build_programs
build_initramfs
prepare_machine
run_machine
