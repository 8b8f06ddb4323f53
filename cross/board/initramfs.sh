# The computer's only file system: busybox, boxcam, v4l2-ctl, their libraries, kernel modules, the test scripts.
# Sourced by board.sh.
#
# Wants: work, root, kernel_version, here, binary, webcam, additions, modules (array of the target). Gives: initramfs.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

build_initramfs() {
    local tree=$work/tree
    initramfs=$work/initramfs.cpio
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,lib,proc,sys,dev,tmp,out,add,config}
    cp "$root/bin/busybox" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    cp -r "$here/board/guest/." "$tree/guest"
    chmod +x "$tree/guest/init"
    cp "$binary" "$tree/bin/boxcam"
    cp "$webcam" "$tree/bin/webcam"
    # To set what the driver plays and which faults it has; boxcam itself is never helped by it.
    cp "$(command -v v4l2-ctl || fail 3 "v4l2-ctl is not there; install v4l-utils")" "$tree/bin/v4l2-ctl"
    cp -r "$additions/." "$tree/add"
    copy_libraries "$tree" "$tree/bin/boxcam"
    copy_libraries "$tree" "$tree/bin/v4l2-ctl"
    copy_modules "$tree"
    # Not compressed: emulated, unpacking takes longer than reading.
    (cd "$tree" && find . | "$root/bin/busybox" cpio -o -H newc 2>/dev/null) >"$initramfs"
    rm -rf "$tree"
}

# The loader and the shared libraries of a program, at the paths that they have here.
copy_libraries() {
    local tree=$1 program=$2 library
    while read -r library; do
        mkdir -p "$tree$(dirname "$library")"
        cp -L "$library" "$tree$library"
    done < <(ldd "$program" | grep -o '/[^ ]*')
}

# The modules that the target names and whatever they need.
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
