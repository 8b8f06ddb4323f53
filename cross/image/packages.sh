# Downloads and unpacks Debian packages for arm64, without installing them. Sourced by image.sh.
#
# Needs: work, and read_lists, depends_on and unpack of build/lists.sh. Sets: packages (where they lie), kernel_version.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Read by read_lists. The Raspberry Pi firmware is not free software, so it is not in Debian's main component.
architecture=arm64
components="main non-free-firmware"

# Packages of the card's system. util-linux provides setpriv, e2fsprogs repairs the data partition after power cuts.
system_packages=(busybox-static libc6 libgcc-s1 e2fsprogs libblkid1 libuuid1 libcom-err2 libext2fs2 libss2 util-linux
    libcap-ng0 systemd-boot-efi)

# Downloads them once; delete target/image/packages to get newer ones.
fetch_packages() {
    packages=$work/packages
    if [ ! -f "$packages/complete" ]; then
        command -v apt-get >/dev/null || fail 3 "apt-get is missing; the card needs Debian packages"
        read_lists "$work/apt-arm64" || fail 3 "apt-get cannot download the package lists of arm64; see $work/apt-arm64/log"
        local kernel
        kernel=$(depends_on linux-image-arm64 linux-image- "${foreign[@]}") || exit
        rm -rf "$packages"
        echo "image.sh: downloading $kernel ${system_packages[*]}" >&2
        unpack "$packages" apt-get "${foreign[@]}" download "$kernel" "${system_packages[@]}"
        (unpack "$packages" apt-get "${foreign[@]}" download raspi-firmware) ||
            echo "image.sh: without raspi-firmware the card boots by UEFI only" >&2
        touch "$packages/complete"
    fi
    kernel_version=$(basename "$packages"/lib/modules/*)
    [ -f "$packages/lib/modules/$kernel_version/modules.dep" ] || depmod -b "$packages" "$kernel_version"
}
