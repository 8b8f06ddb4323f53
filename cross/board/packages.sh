# Downloads and unpacks Debian packages, without installing them. Sourced by board.sh.
#
# Needs: here, work, boards (where they are to lie), architecture and target_packages (variable and function of the target),
# system_packages (array; what a target with a system of Debian's has of it).
# Sets: tools (this machine's own programs), root (the computer's files), system (that system's), kernel_version, kernel.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/build/lists.sh
. "$here/build/lists.sh"

# Downloads the packages once; delete target/board to get newer ones.
fetch_packages() {
    command -v apt-get >/dev/null || fail 3 "apt-get is missing; the emulated computers need Debian packages"
    tools=$boards/tools
    root=$boards/$architecture
    system=$boards/system-$architecture
    mkdir -p "$boards"
    exec 8>"$boards/lock"
    flock -w 600 8 || fail 3 "another run downloads into $boards"
    apt=(-qq -o APT::Sandbox::User=)
    [ -f "$tools/complete" ] || fetch "$tools" busybox-static kmod device-tree-compiler libfdt1
    [ -f "$root/complete" ] || fetch_board
    [ "${#system_packages[@]}" -eq 0 ] || [ -f "$system/complete" ] || fetch_system
    exec 8>&-
    kernel_version=$(basename "$root"/lib/modules/*)
    kernel=$root/boot/vmlinuz-$kernel_version
}

# Sets `apt` to options for the target's packages.
use_lists() {
    if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
        read_lists "$boards/apt-$architecture" ||
            fail 3 "cannot download the package lists of $architecture: $(tail -n 1 "$boards/apt-$architecture/log")"
        apt=("${foreign[@]}")
    fi
}

fetch_board() {
    local packages
    use_lists
    packages=$(target_packages) || exit
    # shellcheck disable=SC2086 # names
    fetch "$root" $packages
}

# Downloads the system's packages and all dependencies, as for an empty machine.
fetch_system() {
    local packages
    use_lists
    packages=$(apt-get "${apt[@]}" -o Dir::State::status=/dev/null -o APT::Install-Recommends=false --simulate install \
        "${system_packages[@]}" | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    [ -n "$packages" ] || fail 3 "apt-get cannot resolve ${system_packages[*]}"
    # shellcheck disable=SC2086 # names
    fetch "$system" $packages
}

# fetch FOLDER PACKAGE...: with the options in `apt`.
fetch() {
    local into=$1
    shift
    rm -rf "$into"
    echo "board.sh: downloading $*" >&2
    unpack "$into" apt-get "${apt[@]}" download "$@"
    local modules=("$into"/lib/modules/*)
    [ ! -d "${modules[0]}" ] || kmod depmod -b "$into" "$(basename "${modules[0]}")"
    touch "$into/complete"
}

# kmod is one program that acts by its name.
kmod() {
    local name=$1
    shift
    (exec -a "$name" "$tools/bin/kmod" "$@")
}
