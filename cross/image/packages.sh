# Debian's packages for arm64, fetched and unpacked, never installed. Sourced by image.sh.
#
# Wants: work, fail. Gives: packages (where they lie), kernel_version.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# What the system on the card is made of. util-linux is there for its setpriv, e2fsprogs for a data partition that power
# was cut from.
system_packages=(busybox-static libc6 libgcc-s1 e2fsprogs libblkid1 libuuid1 libcom-err2 libext2fs2 libss2 util-linux
    libcap-ng0 systemd-boot-efi)

# Fetches them once; delete target/image/packages to get newer ones.
fetch_packages() {
    packages=$work/packages
    if [ ! -f "$packages/complete" ]; then
        read_lists
        local kernel
        kernel=$(apt-cache "${foreign[@]}" depends linux-image-arm64 | sed -n 's/^ *Depends: //p' | head -n 1)
        [ -n "$kernel" ] || fail 3 "apt knows no linux-image-arm64; run apt-get update first"
        rm -rf "$packages"
        unpack "$packages" "$kernel" "${system_packages[@]}"
        # Not free software, so Debian's main part lacks it; everything else boots without.
        unpack "$packages" raspi-firmware ||
            echo "image.sh: no raspi-firmware in apt's lists; the card will boot by UEFI only" >&2
        touch "$packages/complete"
    fi
    kernel_version=$(basename "$packages"/lib/modules/*)
    [ -f "$packages/lib/modules/$kernel_version/modules.dep" ] || depmod -b "$packages" "$kernel_version"
}

# Lists of their own, so that this machine's apt need not know arm64. Gives: foreign, options for apt-get and apt-cache.
read_lists() {
    command -v apt-get >/dev/null || fail 3 "apt-get is not there; the card is made of Debian's packages"
    local apt=$work/apt
    mkdir -p "$apt/lists"
    apt-get indextargets --format "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
\$(REPO_URI) \$(RELEASE) main non-free-firmware" 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
        sort -u >"$apt/sources"
    foreign=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
        -o "Dir::Etc::sourcelist=$apt/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o Dir::State::status=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${foreign[@]}" update || fail 3 "apt-get can't read the lists for arm64"
}

# unpack INTO PACKAGE...
unpack() {
    local into=$1 debs=$work/debs deb
    shift
    echo "image.sh: fetching $*" >&2
    rm -rf "$debs"
    mkdir -p "$debs" "$into"
    (cd "$debs" && apt-get "${foreign[@]}" download "$@" >/dev/null) || return 1
    for deb in "$debs"/*.deb; do
        dpkg -x "$deb" "$into"
    done
    rm -rf "$debs"
}
