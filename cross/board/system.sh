# Builds the file system of a computer with Debian's systemd: an installed system, the test scripts, the files that
# cross/install.sh sends to a board, and two versions of the package. Sourced by targets.
#
# Needs: work, here, built, system (a tar file), binary, additions, fail, and copy_modules.
# Sets: the file `system` in work, an ext4.
# shellcheck shell=bash
# shellcheck disable=SC2154

# shellcheck source=cross/image/disk.sh
. "$here/image/disk.sh"

# Free MiB for versions of boxcam, packages that are kept uncompressed, and logs.
SPARE_MIB=640

build_system() {
    local tree=$work/system-tree PATH=$PATH:/usr/sbin:/sbin
    command -v mke2fs >/dev/null || fail 3 "mke2fs is not installed (Debian: apt install e2fsprogs)"
    rm -rf "$tree" "$work/system"
    mkdir -p "$tree"
    # All files are root's, so that root is not needed here. systemd makes the devices.
    tar -x -p --no-same-owner --exclude='./dev/*' -C "$tree" -f "$system"
    set_up "$tree"
    place_tests "$tree"
    make_packages "$tree/guest/packages"
    copy_modules "$tree"
    make_ext4 "$work/system" "$(($(room_for "$tree") + SPARE_MIB))" system "$tree"
    rm -rf "$tree"
}

# A host name, a login on the screen; no first-boot setup, which would enable all services, no services with missing
# dependencies, and no login on the serial port, which is a file.
set_up() {
    local tree=$1 unit
    echo 00000000000000000000000000000001 >"$tree/etc/machine-id"
    echo board >"$tree/etc/hostname"
    touch "$tree/etc/.updated" "$tree/var/.updated"
    ln -sf /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
    for unit in serial-getty@ttyS0.service getty-static.service systemd-logind.service; do
        ln -sf /dev/null "$tree/etc/systemd/system/$unit"
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

# make_packages FOLDER: the package with its program in `one`, and in `two` a later version whose default options differ.
make_packages() {
    local folder=$1 made=$work/packages contents=$work/package manual=()
    rm -rf "$made" "$contents"
    # Built by the tests; cross/package.sh would build it otherwise.
    if [ -x "$built/release/examples/manual" ]; then
        "$built/release/examples/manual" "$made/manual"
        manual=(--manual "$made/manual")
    fi
    "$here/package.sh" x86_64-unknown-linux-gnu --binary "$binary" "${manual[@]}" --output "$made" \
        --maintainer "A Maintainer <maintainer@debian.org>" >/dev/null
    dpkg-deb --raw-extract "$made"/*.deb "$contents"
    pack "$contents" "$folder/one"
    sed -i 's/^Version: .*/&+two/' "$contents/DEBIAN/control"
    echo '# version two' >>"$contents/etc/boxcam/boxcam.toml"
    pack "$contents" "$folder/two"
    rm -rf "$made" "$contents"
}

# pack CONTENTS FOLDER: not compressed, because decompression is slow in the emulator.
pack() {
    mkdir -p "$2"
    dpkg-deb --root-owner-group -Znone --build "$1" "$2/boxcam.deb" >/dev/null
}
