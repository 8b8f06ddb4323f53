# Builds the file system of a computer with Debian's systemd: unpacked packages, the setup that their scripts would do, the
# test scripts, and the files that cross/install.sh sends to a board. Sourced by targets.
#
# Needs: work, here, system (unpacked packages), binary, additions, fail, and copy_modules.
# Sets: the file `system` in work, an ext4.
# shellcheck shell=bash
# shellcheck disable=SC2154

# shellcheck source=cross/image/disk.sh
. "$here/image/disk.sh"

# Free MiB for versions of boxcam and logs.
SPARE_MIB=256

build_system() {
    local tree=$work/system-tree PATH=$PATH:/usr/sbin:/sbin
    command -v mke2fs >/dev/null || fail 3 "mke2fs is not installed (Debian: apt install e2fsprogs)"
    rm -rf "$tree" "$work/system"
    place_packages "$tree"
    set_up "$tree"
    place_tests "$tree"
    copy_modules "$tree"
    make_ext4 "$work/system" "$(($(room_for "$tree") + SPARE_MIB))" system "$tree"
    rm -rf "$tree"
}

# Debian merges /bin, /sbin and /lib into /usr by links, which dpkg -x does not. Documentation is left out.
place_packages() {
    local tree=$1 folder
    mkdir -p "$tree"
    cp -a "$system/." "$tree/"
    for folder in bin sbin lib lib64; do
        mkdir -p "$tree/usr/$folder"
        [ ! -d "$tree/$folder" ] || cp -a "$tree/$folder/." "$tree/usr/$folder/"
        rm -rf "${tree:?}/$folder"
        ln -s "usr/$folder" "$tree/$folder"
    done
    rm -rf "$tree"/complete "$tree"/usr/share/{doc,info,locale,man} "$tree"/usr/lib/udev/hwdb.d
}

# Users and groups, a host name, a login on the screen; no first-boot setup, which would enable all services, no services
# with missing dependencies, and no login on the serial port, which is a file.
set_up() {
    local tree=$1 unit
    mkdir -p "$tree"/{dev,proc,sys,run,tmp,root,etc/systemd/system/getty.target.wants,var/log,var/tmp}
    chmod 1777 "$tree/tmp" "$tree/var/tmp"
    cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
    cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
    printf '%s\n' render:x:101: input:x:102: kvm:x:103: sgx:x:104: systemd-journal:x:105: >>"$tree/etc/group"
    echo 00000000000000000000000000000001 >"$tree/etc/machine-id"
    echo board >"$tree/etc/hostname"
    touch "$tree/etc/.updated" "$tree/var/.updated"
    ln -s /lib/systemd/system/getty@.service "$tree/etc/systemd/system/getty.target.wants/getty@tty1.service"
    ln -s /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
    ln -s /run "$tree/var/run"
    for unit in serial-getty@ttyS0.service getty-static.service systemd-logind.service; do
        ln -s /dev/null "$tree/etc/systemd/system/$unit"
    done
}

# place_tests TREE: `add/tiny.onnx` is the model, as install.sh's --model has it.
place_tests() {
    local tree=$1 sent=$1/guest/install
    cp -r "$here/board/guest" "$tree/guest"
    chmod +x "$tree"/guest/{run,confined}
    mkdir -p "$sent" "$tree/out" "$tree/guest/bin" "$tree/etc/systemd/system/multi-user.target.wants"
    mv "$tree/guest/guest.service" "$tree/etc/systemd/system/"
    ln -s ../guest.service "$tree/etc/systemd/system/multi-user.target.wants/guest.service"
    cp "$here/install/device.sh" "$here/install/boxcam.toml" "$here/boxcam.service" "$sent/"
    cp "$binary" "$sent/boxcam"
    cp "$additions/tiny.onnx" "$sent/boxcam.onnx"
}
