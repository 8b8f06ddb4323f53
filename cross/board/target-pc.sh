# An x86-64 PC: two cores, vivid's cameras, a USB webcam on a made-up bus, a screen that is a VESA
# framebuffer of 640 x 480 in RGB565 at first and one of DRM in 32 bits once bochs is loaded. Sourced by board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

target_packages() {
    echo "$(package_behind linux-image-amd64) busybox-static kmod"
}

modules=(virtio_pci virtio_blk vivid bochs vhci-hcd uvcvideo)
command_line="console=tty0 console=ttyS0 quiet loglevel=4 panic=-1 consoleblank=0 vga=0x311 rdinit=/guest/init"
emulator=(qemu-system-x86_64 -machine q35 -accel "tcg,thread=multi" -cpu max -smp 2 -m 1024 -vga std -net none
    -drive "file=$work/disk,format=raw,if=virtio")
