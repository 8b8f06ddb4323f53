#!/usr/bin/env bash
# Builds a card image that boots a 64 bit ARM board into boxcam: Debian's kernel and programs, an init of busybox, boxcam.
# Needs neither root nor a loop device; Debian's packages are neither installed nor run.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
# shellcheck source=cross/build/lists.sh
. "$here/build/lists.sh"
# shellcheck source=cross/image/packages.sh
. "$here/image/packages.sh"
# shellcheck source=cross/image/tree.sh
. "$here/image/tree.sh"
# shellcheck source=cross/image/disk.sh
. "$here/image/disk.sh"

usage() {
    cat <<'TEXT'
usage: cross/image.sh [OPTIONS] [IMAGE]

Writes a bootable card image to IMAGE (default: target/image/boxcam.img), for cross/flash.sh to write to a card. It boots
by UEFI, and on Raspberry Pi 3, 4 and Zero 2 W where apt has raspi-firmware (Debian's non-free-firmware).

Partitions: BOXCAM (FAT: kernel, boxcam.toml, updates; the board only reads it), boxcam-system (read only), boxcam-data
(log, and two slots for newer versions of boxcam; one that captures no frame is rolled back).

  --binary FILE   the program for arm64; default: target/TARGET/release/boxcam or
                  target/cross/TARGET/release/boxcam of aarch64-unknown-linux-gnu
  --config FILE   the options of boxcam; default: cross/image/boxcam.toml
  --model FILE    a model instead of the embedded one
  --data MIB      size of the data partition; default: 512
  --dry-run       shows what it would do

Needs apt-get, cpio, depmod (kmod), mke2fs, mformat (mtools), qemu-aarch64 (qemu-user), readelf (binutils), sfdisk (fdisk).
Debian's packages are downloaded once, to target/image/packages.

Exit code: 0: done; 2: wrong usage; 3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "image.sh: $*" >&2
    exit "$code"
}

find_binary() {
    local folder
    for folder in target target/cross; do
        binary=$repository/$folder/aarch64-unknown-linux-gnu/release/boxcam
        [ ! -x "$binary" ] || return 0
    done
    fail 3 "boxcam is not built for arm64; run: cross/build.sh aarch64-unknown-linux-gnu"
}

image="" binary="" model="" config=$here/image/boxcam.toml data_size=512 dry=no
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry=yes ;;
        --binary | --config | --model | --data)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --binary) binary=$2 ;;
                --config) config=$2 ;;
                --model) model=$2 ;;
                --data) data_size=$2 ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$image" ] || fail 2 "only one image; see --help"
            image=$1 ;;
    esac
    shift
done
[[ $data_size =~ ^[0-9]+$ ]] || fail 2 "--data needs an integer number of MiB"
PATH=$PATH:/usr/sbin:/sbin
for program in apt-get cpio depmod mke2fs mformat qemu-aarch64 readelf sfdisk; do
    command -v "$program" >/dev/null || fail 3 "$program is not installed; see --help"
done
work=$repository/target/image
image=${image:-$work/boxcam.img}
[ -n "$binary" ] || find_binary
for file in "$binary" "$config" ${model:+"$model"}; do
    [ -f "$file" ] || fail 3 "$file does not exist"
done
readelf -h "$binary" 2>/dev/null | grep -q AArch64 || fail 3 "$binary is not a program for arm64"
if [ "$dry" = yes ]; then
    echo "would write $image with $binary, $config${model:+, $model} and $data_size MiB for data"
    [ -f "$work/packages/complete" ] || echo "would download Debian's arm64 kernel, ${system_packages[*]} and raspi-firmware"
    exit 0
fi

mkdir -p "$work"
exec 9>"$work/lock"
flock -w 600 9 || fail 3 "another run uses $work"
fetch_packages
build_boot
build_initramfs
build_system
build_data
build_image
rm -rf "$boot" "$system" "$data"
echo "$image: $(stat -c %s "$image") bytes, $(du -m "$image" | cut -f 1) MiB of them used"
