# Builds the card's partitions and its image, without root and without loop devices. Sourced by image.sh.
#
# Needs: work, boot, system, data (folders), image, data_size.
# shellcheck shell=bash
# shellcheck disable=SC2154

# Sectors of 512 bytes in a MiB.
sectors=2048

# as_root COMMAND...: in a user namespace if need be, so that files in the file system are owned by root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        unshare --map-root-user "$@"
    fi
}

# MiB of a folder, with reserve.
room_for() {
    echo $(($(du -sm --apparent-size "$1" | cut -f 1) * 115 / 100 + 24))
}

# make_ext4 FILE MIB LABEL FOLDER
make_ext4() {
    rm -f "$1"
    truncate -s "$2M" "$1"
    as_root mke2fs -q -t ext4 -L "$3" -d "$4" -E root_owner=0:0,lazy_itable_init=0 -m 0 "$1"
}

# make_fat FILE MIB FOLDER: FAT32, which the Pi's firmware and UEFI read, and every PC.
make_fat() {
    rm -f "$1"
    truncate -s "$2M" "$1"
    mformat -i "$1" -F -v BOXCAM -T $(($2 * sectors)) -h 64 -s 32 ::
    mcopy -i "$1" -s "$3"/* ::
}

build_image() {
    local boot_size=256 system_size place=1 part
    system_size=$(room_for "$system")
    make_fat "$work/boot.part" "$boot_size" "$boot"
    make_ext4 "$work/system.part" "$system_size" boxcam-system "$system"
    make_ext4 "$work/data.part" "$data_size" boxcam-data "$data"
    rm -f "$image.new"
    truncate -s $((1 + boot_size + system_size + data_size))M "$image.new"
    sfdisk --quiet "$image.new" <<TABLE
label: dos
start=$((place * sectors)), size=$((boot_size * sectors)), type=c, bootable
start=$(((place + boot_size) * sectors)), size=$((system_size * sectors)), type=83
start=$(((place + boot_size + system_size) * sectors)), size=$((data_size * sectors)), type=83
TABLE
    for part in boot system data; do
        dd if="$work/$part.part" of="$image.new" bs=1M seek="$place" conv=notrunc,sparse status=none
        place=$((place + $(stat -c %s "$work/$part.part") / 1048576))
        rm "$work/$part.part"
    done
    mv "$image.new" "$image"
}
