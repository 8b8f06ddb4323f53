# qemu's generic ARM board: two Cortex-A76 cores, as in a Raspberry Pi 5, virtio devices, and virtio-gpu's screen in 32 bits.
# Sourced by board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/board/arm64.sh
. "$here/board/arm64.sh"

scripts=(svideo screen32 service unplug power)
modules=(virtio_pci virtio_blk ext4 virtio-gpu vivid vhci-hcd uvcvideo)
command_line="console=tty0 console=ttyAMA0 control=ttyS0 disk=vda drivers=virtio_pci,virtio_blk screen=virtio-gpu"
# The size of the Raspberry Pi touch display.
emulator=(qemu-system-aarch64 -machine virt -accel "tcg,thread=multi" -cpu cortex-a76 -smp 2 -m 1024 -net none
    -serial chardev:console -device "pci-serial,chardev=control" -device "virtio-gpu-pci,xres=800,yres=480"
    -drive "file=$work/disk,format=raw,if=virtio")
