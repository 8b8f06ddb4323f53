#!/usr/bin/env bash
# Writes a card image to a memory card, after checks that the device is one.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: cross/flash.sh [OPTIONS] IMAGE DEVICE

Writes a card image to a whole card, for example: cross/flash.sh boxcam.img /dev/sdb
Everything on the card is lost. Shows what DEVICE is and asks before it writes, then verifies the card.

Refuses a partition; a disk that is mounted, used as swap or part of another device, such as the system's own; a disk that
is write-protected or too small; and a disk that is neither removable, nor a memory card, nor on USB.

  --dry-run              shows what it would do, and writes nothing
  --yes-really DEVICE    does not ask; DEVICE is repeated to guard against typos
  --internal             accepts a disk that is not removable
  --root FOLDER          for tests: FOLDER/sys and FOLDER/proc describe the devices, and DEVICE is a file in FOLDER/dev

Exit code: 0: done; 1: refused, not confirmed, or verification failed; 2: wrong usage; 3: something is missing on this
machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "flash.sh: $*" >&2
    exit "$code"
}

# The first line of a device's attribute in sysfs; empty if there is none.
about() {
    local words=""
    read -r words 2>/dev/null <"$root/sys/class/block/$1" || true
    echo "$words"
}

# The names of the disk and of its partitions.
disk_and_partitions() {
    local folder
    echo "$name"
    for folder in "$root/sys/class/block/$name/$name"*; do
        [ ! -e "$folder/partition" ] || basename "$folder"
    done
}

refuse_other_devices() {
    [ -e "$root/sys/class/block/$name" ] || fail 1 "$device is not a disk"
    [ ! -e "$root/sys/class/block/$name/partition" ] || fail 1 "$device is a partition; give the whole card"
    if [ "$(about "$name/removable")" != 1 ] && [ "$internal" = no ]; then
        # Some card readers, and disks on USB, are not marked as removable.
        case $name-$(realpath "$root/sys/class/block/$name") in
            mmcblk* | *usb*) ;;
            *) fail 1 "$device is not removable; if it is the card, add --internal" ;;
        esac
    fi
    [ "$(about "$name/ro")" != 1 ] || fail 1 "$device is write-protected"
}

refuse_used_disk() {
    local part number where
    while read -r part; do
        number=$(about "$part/dev")
        where=$(awk -v number="$number" '$3 == number { print $5; exit }' "$root/proc/self/mountinfo")
        [ -z "$where" ] || fail 1 "/dev/$part is mounted at $where"
        # Some file systems have their own device number there; the device's name follows the dash.
        where=$(awk -v name="/dev/$part" '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 2) == name) print $5 }' \
            "$root/proc/self/mountinfo" | head -n 1)
        [ -z "$where" ] || fail 1 "/dev/$part is mounted at $where"
        ! grep -q "^/dev/${part}[[:space:]]" "$root/proc/swaps" || fail 1 "/dev/$part is used as swap"
        [ -z "$(ls "$root/sys/class/block/$part/holders" 2>/dev/null)" ] ||
            fail 1 "/dev/$part is part of $(ls "$root/sys/class/block/$part/holders")"
    done < <(disk_and_partitions)
}

# The kernel counts in units of 512 bytes for all devices.
refuse_small_disk() {
    local room=$(($(about "$name/size") * 512))
    [ "$room" -gt 0 ] || fail 1 "there is no card in $device"
    [ "$room" -ge "$size" ] || fail 1 "$device has $room bytes, the image $size"
}

show() {
    local part
    echo "image:   $image, $((size / 1000000)) MB"
    echo "device:  $device, $(($(about "$name/size") * 512 / 1000000)) MB," \
        "$(about "$name/device/vendor") $(about "$name/device/model") $(about "$name/device/name")"
    while read -r part; do
        [ "$part" = "$name" ] || echo "         $part, $(($(about "$part/size") * 512 / 1000000)) MB, will be lost"
    done < <(disk_and_partitions)
}

ask() {
    local answer=""
    [ -z "$confirmed" ] || return 0
    [ -t 0 ] || fail 1 "cannot ask for confirmation without a terminal; see --yes-really"
    read -r -p "Everything on it will be lost. To continue, type $name: " answer
    [ "$answer" = "$name" ] || fail 1 "nothing was written"
}

write() {
    local progress=none
    [ ! -t 2 ] || progress=progress
    dd if="$image" of="$device" bs=4M conv=fsync,notrunc status="$progress" || fail 1 "writing to $device failed"
    # Read back from the card and not from the cache.
    [ ! -b "$device" ] || blockdev --flushbufs "$device"
    cmp -n "$size" "$image" "$device" || fail 1 "verification failed: the data read back differs; replace the card"
    [ ! -b "$device" ] || blockdev --rereadpt "$device" 2>/dev/null || true
    echo "written and verified: $size bytes; the card can be removed"
}

image="" device="" confirmed="" root="" internal=no dry=no
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry=yes ;;
        --internal) internal=yes ;;
        --yes-really | --root)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --yes-really) confirmed=$2 ;;
                --root) root=$2 ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            if [ -z "$image" ]; then
                image=$1
            elif [ -z "$device" ]; then
                device=$1
            else
                fail 2 "only one image and one device; see --help"
            fi ;;
    esac
    shift
done
[ -n "$device" ] || fail 2 "missing IMAGE or DEVICE; see --help"
[ -z "$confirmed" ] || [ "$confirmed" = "$device" ] || fail 2 "--yes-really names $confirmed, not $device"
for program in awk blockdev cmp dd realpath; do
    command -v "$program" >/dev/null || fail 3 "$program is not installed"
done
[ -f "$image" ] || fail 3 "$image does not exist"
size=$(stat -L -c %s "$image")
[ "$(od -An -tx1 -j 510 -N 2 "$image" | tr -d ' ')" = 55aa ] || fail 1 "$image is not a card image"

# Names like /dev/disk/by-id/... are links.
device=$(realpath "$device" 2>/dev/null) || fail 1 "$device does not exist"
if [ -n "$root" ]; then
    [ -f "$device" ] || fail 1 "$device is not a file"
else
    [ -b "$device" ] || fail 1 "$device is not a disk"
fi
name=$(basename "$device")
refuse_other_devices
refuse_used_disk
refuse_small_disk
show
if [ "$dry" = yes ]; then
    echo "would overwrite $device and verify it"
    exit 0
fi
ask
[ -w "$device" ] || fail 1 "$device is not writable; try sudo"
write
