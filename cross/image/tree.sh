# Builds the folders of the card's partitions. Sourced by image.sh.
#
# Needs: here, work, packages, kernel_version, binary, config, model, fail.
# Sets: boot, system, data (folders).
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Modules of the initramfs, to find the card; depmod does not know that ext4 needs its checksum module.
early_modules=(virtio_pci virtio_mmio virtio_blk clk-raspberrypi gpio-raspberrypi-exp gpio-regulator reset-raspberrypi
    sdhci-iproc bcm2835 mmc_block pcie-brcmstb xhci-pci usb-storage uas crc32c_generic ext4)

# Modules of the system: cameras, screens, wired network, and their buses.
late_modules='/(drivers/(media/(usb|v4l2-core|common|mc|test-drivers/vivid)|usb|mmc|virtio|input|hid|clk|gpio|regulator|reset|pinctrl/bcm|i2c'
late_modules+='|spi|dma|soc/bcm|firmware|watchdog|thermal/broadcom|cpufreq|net/(usb|phy|mdio|ethernet/broadcom)|net/virtio_net'
late_modules+='|gpu/drm/(virtio|vc4|v3d|tiny|panel|bridge)|video/fbdev)|fs/(ext4|fat|nls))'

# copy_libraries TREE: copies the loader and all libraries that the programs in the tree need, recursively.
copy_libraries() {
    local tree=$1 library found new=yes
    while [ "$new" = yes ]; do
        new=no
        while read -r library; do
            [ -z "$(find "$tree/lib" -name "$library")" ] || continue
            found=$(find "$packages/lib" "$packages/usr/lib" -name "$library" | head -n 1)
            [ -n "$found" ] || fail 3 "no package has $library"
            cp -L "$found" "$tree/lib/$library"
            new=yes
        done < <(find "$tree" -type f -perm -u+x -exec sh -c 'readelf -d "$@" 2>/dev/null' sh {} + |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
    done
}

# Prints the files of the modules whose path matches a pattern, and of their dependencies.
modules_like() {
    awk -F: -v pattern="$1" '
        { needs[$1] = $2 }
        $1 ~ pattern { wanted[$1] = 1 }
        END {
            for (name in wanted) {
                print name
                count = split(needs[name], list, " ")
                for (i = 1; i <= count; i++) print list[i]
            }
        }' "$packages/lib/modules/$kernel_version/modules.dep" | sort -u
}

# copy_modules TREE PATTERN
copy_modules() {
    local from=$packages/lib/modules/$kernel_version to=$1/lib/modules/$kernel_version
    mkdir -p "$to"
    modules_like "$2" | (cd "$from" && cpio --quiet -pdm "$to")
    cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
    depmod -b "$1" "$kernel_version"
}

# Links all busybox commands that no program in the tree provides.
place_busybox() {
    local name
    cp "$packages/bin/busybox" "$1/bin/busybox"
    for name in $(qemu-aarch64 "$packages/bin/busybox" --list); do
        [ -e "$1/bin/$name" ] || [ -e "$1/sbin/$name" ] || ln -s busybox "$1/bin/$name"
    done
}

build_initramfs() {
    local tree=$work/early pattern
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,lib,proc,sys,dev,card}
    cp "$packages/bin/busybox" "$tree/bin/busybox"
    cp "$here/image/early-init" "$tree/init"
    chmod 755 "$tree/init"
    pattern=$(IFS='|'; echo "/(${early_modules[*]})[.]ko")
    copy_modules "$tree" "$pattern"
    printf '%s\n' "${early_modules[@]}" >"$tree/modules"
    (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$boot/initrd.img"
    rm -rf "$tree"
}

# The read-only system.
build_system() {
    system=$work/system
    rm -rf "$system"
    mkdir -p "$system"/{bin,sbin,usr/bin,lib,etc,dev,proc,sys,run,tmp,boot,data,usr/lib/boxcam,var}
    cp -r "$here/image/root/." "$system/"
    chmod 755 "$system"/usr/lib/boxcam/*
    cp "$packages/sbin/e2fsck" "$packages/sbin/mke2fs" "$system/sbin/"
    cp "$packages/usr/bin/setpriv" "$system/usr/bin/"
    place_busybox "$system"
    ln -s ../bin/busybox "$system/sbin/init"
    ln -s ../data/log "$system/var/log"
    cp "$binary" "$system/usr/lib/boxcam/boxcam"
    [ -z "$model" ] || cp "$model" "$system/usr/lib/boxcam/boxcam.onnx"
    copy_libraries "$system"
    copy_modules "$system" "$late_modules"
}

# The boot partition, which the firmware starts and a card reader shows.
build_boot() {
    boot=$work/boot
    rm -rf "$boot"
    mkdir -p "$boot/EFI/BOOT" "$boot/loader/entries"
    cp "$packages/boot/vmlinuz-$kernel_version" "$boot/vmlinuz"
    cp "$config" "$boot/boxcam.toml"
    cp "$here/image/README.txt" "$here/image/appliance.txt" "$boot/"
    cp "$packages/usr/lib/systemd/boot/efi/systemd-bootaa64.efi" "$boot/EFI/BOOT/BOOTAA64.EFI"
    printf 'timeout 0\n' >"$boot/loader/loader.conf"
    printf 'title boxcam\nlinux /vmlinuz\ninitrd /initrd.img\noptions %s console=ttyAMA0\n' "$command_line" \
        >"$boot/loader/entries/boxcam.conf"
    place_firmware
}

# A Raspberry Pi's firmware reads config.txt.
place_firmware() {
    local from=$packages/usr/lib/raspi-firmware trees=$packages/usr/lib/linux-image-$kernel_version/broadcom
    [ -d "$from" ] || return 0
    cp "$from"/*.{bin,elf,dat} "$boot/"
    cp "$trees"/bcm27*-rpi-*.dtb "$trees"/bcm283*-rpi-*.dtb "$boot/"
    cp "$here/image/config.txt" "$boot/"
    printf '%s console=ttyS1,115200\n' "$command_line" >"$boot/cmdline.txt"
}

build_data() {
    data=$work/data
    rm -rf "$data"
    mkdir -p "$data"/{log,state,a,b,snapshots}
}

# The screen stays on and shows neither kernel messages nor a cursor.
command_line="quiet loglevel=3 consoleblank=0 vt.global_cursor_default=0 panic=10"
