#!/usr/bin/env bash
# Writes a card image to a card, and nothing else to anything else.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: cross/flash.sh [OPTIONS] IMAGE DEVICE

Writes a card image to a whole card, as in: cross/flash.sh boxcam.img /dev/sdb
All that was on the card is lost. It shows what DEVICE is and asks before it writes, then reads all of it back.

It refuses a partition; a disk of which anything is mounted, used for swapping or part of another device, so the system's
own; one that is write-protected or too small; and one that is neither removable, a memory card nor on USB.

  --dry-run              says what it would do, and writes nothing
  --yes-really DEVICE    does not ask; DEVICE again, so that one typing error is not enough
  --internal             takes a disk that can't be taken out of the computer
  --root FOLDER          for tests: FOLDER/sys and FOLDER/proc tell about devices, and DEVICE is a file in FOLDER/dev

Exit code: 0: done; 1: refused, not confirmed, or what was read back is not what was written; 2: wrong usage;
3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "flash.sh: $*" >&2
    exit "$code"
}

# The first line of what the kernel says about a device; nothing where it says nothing.
about() {
    local words=""
    read -r words 2>/dev/null <"$root/sys/class/block/$1" || true
    echo "$words"
}

# The disk's own name and those of its partitions.
all_of_it() {
    local folder
    echo "$name"
    for folder in "$root/sys/class/block/$name/$name"*; do
        [ ! -e "$folder/partition" ] || basename "$folder"
    done
}

refuse_what_is_no_card() {
    [ -e "$root/sys/class/block/$name" ] || fail 1 "$device is no disk"
    [ ! -e "$root/sys/class/block/$name/partition" ] || fail 1 "$device is a partition; the whole card is wanted"
    if [ "$(about "$name/removable")" != 1 ] && [ "$internal" = no ]; then
        # Card readers of some computers, and disks on USB, do not call themselves removable.
        case $name-$(realpath "$root/sys/class/block/$name") in
            mmcblk* | *usb*) ;;
            *) fail 1 "$device can't be taken out of this computer; is it the card? If so, --internal" ;;
        esac
    fi
    [ "$(about "$name/ro")" != 1 ] || fail 1 "$device is write-protected"
}

refuse_what_is_used() {
    local part number where
    while read -r part; do
        number=$(about "$part/dev")
        where=$(awk -v number="$number" '$3 == number { print $5; exit }' "$root/proc/self/mountinfo")
        [ -z "$where" ] || fail 1 "/dev/$part is mounted at $where"
        # Some file systems have a number of their own there; the device's name stands after the dash.
        where=$(awk -v name="/dev/$part" '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 2) == name) print $5 }' \
            "$root/proc/self/mountinfo" | head -n 1)
        [ -z "$where" ] || fail 1 "/dev/$part is mounted at $where"
        ! grep -q "^/dev/${part}[[:space:]]" "$root/proc/swaps" || fail 1 "/dev/$part is used for swapping"
        [ -z "$(ls "$root/sys/class/block/$part/holders" 2>/dev/null)" ] ||
            fail 1 "/dev/$part is part of $(ls "$root/sys/class/block/$part/holders")"
    done < <(all_of_it)
}

# The kernel counts in 512 bytes whatever the device does.
refuse_what_is_too_small() {
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
    done < <(all_of_it)
}

ask() {
    local answer=""
    [ -z "$confirmed" ] || return 0
    [ -t 0 ] || fail 1 "nobody can be asked; see --yes-really"
    read -r -p "All that is on it will be lost. To go on, type $name: " answer
    [ "$answer" = "$name" ] || fail 1 "nothing was written"
}

write() {
    local progress=none
    [ ! -t 2 ] || progress=progress
    dd if="$image" of="$device" bs=4M conv=fsync,notrunc status="$progress" || fail 1 "$device can't be written to"
    # What is read back must come from the card and not from memory.
    [ ! -b "$device" ] || blockdev --flushbufs "$device"
    cmp -n "$size" "$image" "$device" || fail 1 "what was read back is not what was written; the card is bad"
    [ ! -b "$device" ] || blockdev --rereadpt "$device" 2>/dev/null || true
    echo "written and read back: $size bytes; the card can be taken out"
}

image="" device="" confirmed="" root="" internal=no dry=no
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry=yes ;;
        --internal) internal=yes ;;
        --yes-really | --root)
            [ $# -ge 2 ] || fail 2 "$1 wants a value; see --help"
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
                fail 2 "one image and one device; see --help"
            fi ;;
    esac
    shift
done
[ -n "$device" ] || fail 2 "which image, and to which device? see --help"
[ -z "$confirmed" ] || [ "$confirmed" = "$device" ] || fail 2 "--yes-really says $confirmed, not $device"
for program in awk blockdev cmp dd realpath; do
    command -v "$program" >/dev/null || fail 3 "$program is not there"
done
[ -f "$image" ] || fail 3 "$image is not there"
size=$(stat -L -c %s "$image")
[ "$(od -An -tx1 -j 510 -N 2 "$image" | tr -d ' ')" = 55aa ] || fail 1 "$image is no card image"

# Names like /dev/disk/by-id/... are links.
device=$(realpath "$device" 2>/dev/null) || fail 1 "$device is not there"
if [ -n "$root" ]; then
    [ -f "$device" ] || fail 1 "$device is no file"
else
    [ -b "$device" ] || fail 1 "$device is no disk"
fi
name=$(basename "$device")
refuse_what_is_no_card
refuse_what_is_used
refuse_what_is_too_small
show
if [ "$dry" = yes ]; then
    echo "would overwrite $device and read it back"
    exit 0
fi
ask
[ -w "$device" ] || fail 1 "$device may not be written to; try sudo"
write
