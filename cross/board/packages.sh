# Debian's packages, fetched and unpacked, never installed. Sourced by board.sh.
#
# Wants: here, work, boards (where they are to lie), architecture and target_packages (variable and function of the target).
# Gives: tools (this machine's own programs), root (the computer's files), kernel_version, kernel.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/build/lists.sh
. "$here/build/lists.sh"

# Fetches what is needed, once; delete target/board to get newer ones.
fetch_packages() {
    command -v apt-get >/dev/null || fail 3 "apt-get is not there; the board needs Debian's packages"
    tools=$boards/tools
    root=$boards/$architecture
    mkdir -p "$boards"
    exec 8>"$boards/lock"
    flock -w 600 8 || fail 3 "another run still fetches into $boards"
    apt=(-qq -o APT::Sandbox::User=)
    [ -f "$tools/complete" ] || fetch "$tools" busybox-static kmod device-tree-compiler libfdt1
    [ -f "$root/complete" ] || fetch_system
    exec 8>&-
    kernel_version=$(basename "$root"/lib/modules/*)
    kernel=$root/boot/vmlinuz-$kernel_version
}

fetch_system() {
    local packages
    if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
        read_lists "$boards/apt-$architecture" ||
            fail 3 "no package lists of $architecture: $(tail -n 1 "$boards/apt-$architecture/log")"
        apt=("${foreign[@]}")
    fi
    packages=$(target_packages) || exit
    # shellcheck disable=SC2086 # names
    fetch "$root" $packages
}

# fetch FOLDER PACKAGE...: with the options in `apt`.
fetch() {
    local into=$1
    shift
    rm -rf "$into"
    echo "board.sh: fetching $*" >&2
    unpack "$into" apt-get "${apt[@]}" download "$@"
    local modules=("$into"/lib/modules/*)
    [ ! -d "${modules[0]}" ] || kmod depmod -b "$into" "$(basename "${modules[0]}")"
    touch "$into/complete"
}

# kmod is one program that goes by the name that it is called with.
kmod() {
    local name=$1
    shift
    (exec -a "$name" "$tools/bin/kmod" "$@")
}
