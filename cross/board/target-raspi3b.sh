# A Raspberry Pi 3 B: four Cortex-A53 cores, an SD card, the firmware's framebuffer of 640 x 480 in RGB565. Sourced by
# board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/board/arm64.sh
. "$here/board/arm64.sh"

scripts=(screen16 service unplug power)
modules=(bcm2835 ext4 vivid vhci-hcd uvcvideo)
command_line="console=tty0 console=ttyAMA0 control=ttyS1 disk=mmcblk0 drivers=bcm2835 model=snacks-small.onnx"
emulator=(qemu-system-aarch64 -machine raspi3b -accel "tcg,thread=multi" -dtb "$work/board.dtb"
    -serial chardev:console -serial chardev:control -drive "file=$work/disk,format=raw,if=sd")

# Adds the framebuffer to the device tree, as the firmware would, at qemu's address. The Bluetooth chip, which qemu lacks,
# is removed from the first serial port.
prepare_machine() {
    local tree=$work/board.dtb screen=/chosen/framebuffer@3c100000
    cp "$root/usr/lib/linux-image-$kernel_version/broadcom/bcm2837-rpi-3-b.dtb" "$tree"
    fdt -r "$tree" /soc/serial@7e201000/bluetooth
    fdt -t x "$tree" /chosen '#address-cells' 1
    fdt -t x "$tree" /chosen '#size-cells' 1
    fdt "$tree" /chosen ranges
    fdt -c "$tree" $screen
    fdt -t s "$tree" $screen compatible simple-framebuffer
    fdt -t s "$tree" $screen format r5g6b5
    fdt -t x "$tree" $screen reg 3c100000 96000
    fdt -t i "$tree" $screen width 640
    fdt -t i "$tree" $screen height 480
    fdt -t i "$tree" $screen stride 1280
}

fdt() {
    local libraries=("$tools"/usr/lib/*-linux-gnu*)
    LD_LIBRARY_PATH=${libraries[0]} "$tools/usr/bin/fdtput" "$@"
}
