# An x86-64 PC: two cores, vivid's cameras, a USB webcam on a virtual bus, and a VESA framebuffer of 640 x 480 in RGB565,
# which becomes a DRM one in 32 bits once bochs is loaded. Sourced by board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

architecture=amd64

target_packages() {
    echo "$(depends_on linux-image-amd64 linux-image- "${apt[@]}") busybox-static"
}

# v4l2-ctl is the host's.
build_programs() {
    [ -n "$binary" ] || binary=$built/release/boxcam
    [ -x "$binary" ] || fail 3 "$binary does not exist; run: cargo build --release"
    (cd "$repository" && cargo build --release --quiet --locked --package webcam) || fail 3 "building cross/webcam failed"
    webcam=$built/release/webcam
    v4l2_ctl=$(command -v v4l2-ctl) || fail 3 "v4l2-ctl is not installed (Debian: apt install v4l-utils)"
    libraries=(/lib /lib64 /usr/lib /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu)
}

scripts=(camera hdmi screen16 screen32 shipped svideo unplug usb vanish)
modules=(virtio_pci virtio_blk vivid bochs vhci-hcd uvcvideo)
command_line="console=tty0 console=ttyS0 vga=0x311 control=ttyS1 disk=vda drivers=virtio_pci,virtio_blk screen=bochs"
emulator=(qemu-system-x86_64 -machine q35 -accel "tcg,thread=multi" -cpu max -smp 2 -m 1024 -vga std -net none
    -serial chardev:console -serial chardev:control -drive "file=$work/disk,format=raw,if=virtio")
