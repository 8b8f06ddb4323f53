# Debian's packages for arm64, fetched and unpacked, never installed. Sourced by image.sh.
#
# Wants: work, and read_lists, depends_on and unpack of build/lists.sh. Gives: packages (where they lie), kernel_version.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Read by read_lists. What a Raspberry Pi starts with is not free software, so Debian's main part lacks it.
architecture=arm64
components="main non-free-firmware"

# What the system on the card is made of. util-linux is there for its setpriv, e2fsprogs for a data partition that power
# was cut from.
system_packages=(busybox-static libc6 libgcc-s1 e2fsprogs libblkid1 libuuid1 libcom-err2 libext2fs2 libss2 util-linux
    libcap-ng0 systemd-boot-efi)

# Fetches them once; delete target/image/packages to get newer ones.
fetch_packages() {
    packages=$work/packages
    if [ ! -f "$packages/complete" ]; then
        command -v apt-get >/dev/null || fail 3 "apt-get is not there; the card is made of Debian's packages"
        read_lists "$work/apt-arm64" || fail 3 "apt-get can't read the lists of arm64; see $work/apt-arm64/log"
        local kernel
        kernel=$(depends_on linux-image-arm64 linux-image- "${foreign[@]}") || exit
        rm -rf "$packages"
        echo "image.sh: fetching $kernel ${system_packages[*]}" >&2
        unpack "$packages" apt-get "${foreign[@]}" download "$kernel" "${system_packages[@]}"
        (unpack "$packages" apt-get "${foreign[@]}" download raspi-firmware) ||
            echo "image.sh: without raspi-firmware the card starts by UEFI only" >&2
        touch "$packages/complete"
    fi
    kernel_version=$(basename "$packages"/lib/modules/*)
    [ -f "$packages/lib/modules/$kernel_version/modules.dep" ] || depmod -b "$packages" "$kernel_version"
}
