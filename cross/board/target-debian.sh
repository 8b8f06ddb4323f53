# The PC with Debian on a second disk: systemd, udev, and a login on the screen in 32 bits. Sourced by board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/board/target-pc.sh
. "$here/board/target-pc.sh"
# shellcheck source=cross/board/system.sh
. "$here/board/system.sh"

# systemd, udev, a login, and the programs of the tests; install/device.sh and the package expect nothing else.
system_packages=(login systemd systemd-sysv udev kmod busybox-static v4l-utils)

prepare_machine() {
    build_system
}

scripts=(systemd package)
modules=(virtio_pci virtio_blk ext4 autofs4 vivid bochs)
command_line="console=tty0 console=ttyS0 control=ttyS1 disk=vda system=vdb drivers=virtio_pci,virtio_blk,ext4 screen=bochs"
emulator+=(-drive "file=$work/system,format=raw,if=virtio")
