# Builds the initramfs: busybox, boxcam, v4l2-ctl, their libraries, kernel modules, the test scripts.
# Sourced by board.sh.
#
# Needs: work, tools, root, kernel_version, here, additions; of the target: modules (array) and what its
# build_programs gives: binary, webcam, v4l2_ctl, libraries (array: where those of these programs lie).
# Sets: initramfs.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

build_initramfs() {
    local tree=$work/tree
    initramfs=$work/initramfs.cpio
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,lib,proc,sys,dev,tmp,out,add,config,disk}
    cp "$root/bin/busybox" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    # The kernel runs /sbin/modprobe.
    ln -s bin "$tree/sbin"
    cp -r "$here/board/guest/." "$tree/guest"
    chmod +x "$tree/guest/init" "$tree/guest/run"
    cp "$binary" "$tree/bin/boxcam"
    cp "$webcam" "$tree/bin/webcam"
    # Controls the driver's images and faults; boxcam does not use it.
    cp "$v4l2_ctl" "$tree/bin/v4l2-ctl"
    cp -r "$additions/." "$tree/add"
    local program
    for program in boxcam webcam v4l2-ctl; do
        copy_libraries "$tree" "$tree/bin/$program"
    done
    copy_modules "$tree"
    # Not compressed, because decompression is slow in the emulator.
    (cd "$tree" && find . | "$tools/bin/busybox" cpio -o -H newc 2>/dev/null) >"$initramfs"
    rm -rf "$tree"
}

# Copies the loader and all libraries of a program, recursively.
copy_libraries() {
    local tree=$1 program=$2 loader name file
    loader=$(readelf --program-headers "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
    if [ -n "$loader" ] && [ ! -e "$tree$loader" ]; then
        mkdir -p "$tree$(dirname "$loader")"
        cp -L "$(library "$(basename "$loader")")" "$tree$loader"
    fi
    while read -r name; do
        [ ! -e "$tree/lib/$name" ] || continue
        file=$(library "$name") || exit
        cp -L "$file" "$tree/lib/$name"
        copy_libraries "$tree" "$file"
    done < <(readelf --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
}

# Prints the path of a library.
library() {
    local folder
    for folder in "${libraries[@]}"; do
        [ ! -e "$folder/$1" ] || { echo "$folder/$1"; return; }
    done
    fail 3 "no library $1 in ${libraries[*]}"
}

# Copies the target's modules and their dependencies.
copy_modules() {
    local tree=$1 module file
    for module in "${modules[@]}"; do
        while read -r file; do
            mkdir -p "$tree$(dirname "${file#"$root"}")"
            cp "$file" "$tree${file#"$root"}"
        done < <(kmod modprobe -d "$root" -S "$kernel_version" --show-depends "$module" |
            sed -n 's/^insmod \([^ ]*\).*/\1/p')
    done
    cp "$root/lib/modules/$kernel_version"/modules.{order,builtin,builtin.modinfo} "$tree/lib/modules/$kernel_version/"
    kmod depmod -b "$tree" "$kernel_version"
}
