# Debian's packages, fetched and unpacked, never installed. Sourced by board.sh.
#
# Wants: work, target_packages (function of the target). Gives: root (where they lie), kernel_version, kernel.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Fetches the target's packages once; delete target/board to get newer ones.
fetch_packages() {
    root=$work/root
    if [ ! -f "$root/complete" ]; then
        command -v apt-get >/dev/null || fail 3 "apt-get is not there; the board needs Debian's packages"
        local packages debs=$work/debs
        read -r -a packages <<<"$(target_packages)"
        rm -rf "$root" "$debs"
        mkdir -p "$root" "$debs"
        echo "board.sh: fetching ${packages[*]}" >&2
        (cd "$debs" && apt-get -qq -o APT::Sandbox::User= download "${packages[@]}" >/dev/null) ||
            fail 3 "apt-get can't fetch ${packages[*]}; run apt-get update first"
        local deb
        for deb in "$debs"/*.deb; do
            dpkg -x "$deb" "$root"
        done
        rm -rf "$debs"
        kernel_version=$(basename "$root"/lib/modules/*)
        kmod depmod -b "$root" "$kernel_version"
        touch "$root/complete"
    fi
    kernel_version=$(basename "$root"/lib/modules/*)
    kernel=$root/boot/vmlinuz-$kernel_version
}

# The package that a metapackage stands for today.
package_behind() {
    local name
    name=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1)
    [ -n "$name" ] || fail 3 "apt knows no package $1; run apt-get update first"
    echo "$name"
}

# kmod is one program that goes by the name that it is called with.
kmod() {
    local name=$1
    shift
    (exec -a "$name" "$root/bin/kmod" "$@")
}
