# The PC, but with a system of Debian's on a second disk: its systemd, its udev, its programs, and a login on the screen
# in 32 bits. Sourced by board.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/board/target-pc.sh
. "$here/board/target-pc.sh"
# shellcheck source=cross/board/system.sh
. "$here/board/system.sh"

# What install/device.sh may expect of any Debian, systemd with its udev, a login, and what the tests need.
system_packages=(base-files base-passwd bsdutils coreutils dash findutils grep login mount passwd perl-base sed util-linux
    systemd systemd-sysv udev kmod busybox-static v4l-utils)

prepare_machine() {
    build_system
}

scripts=(systemd)
modules=(virtio_pci virtio_blk ext4 autofs4 vivid bochs)
command_line="console=tty0 console=ttyS0 talk=ttyS1 disk=vda system=vdb drivers=virtio_pci,virtio_blk,ext4 screen=bochs"
emulator+=(-drive "file=$work/system,format=raw,if=virtio")
