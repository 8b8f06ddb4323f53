# Downloads and unpacks Debian packages without installing them, and installs a whole Debian system. Sourced by board.sh.
#
# Needs: here, work, boards (where they are to lie), architecture and target_packages (variable and function of the target),
# system_packages (array; what a target with a Debian system has beside the essential packages and apt).
# Sets: tools (this machine's own programs), root (the computer's files), system (a tar file of that system), kernel_version,
# kernel.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# shellcheck source=cross/build/lists.sh
. "$here/build/lists.sh"

# Downloads the packages once; delete target/board to get newer ones.
fetch_packages() {
    command -v apt-get >/dev/null || fail 3 "apt-get is missing; the emulated computers need Debian packages"
    tools=$boards/tools
    root=$boards/$architecture
    system=$boards/system-$architecture.tar
    mkdir -p "$boards"
    exec 8>"$boards/lock"
    flock -w 600 8 || fail 3 "another run downloads into $boards"
    apt=(-qq -o APT::Sandbox::User=)
    [ -f "$tools/complete" ] || fetch "$tools" busybox-static kmod device-tree-compiler libfdt1
    [ -f "$root/complete" ] || fetch_board
    [ "${#system_packages[@]}" -eq 0 ] || [ -f "$system" ] || install_system
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

# Installs the system's packages from the host's sources of Debian, without documentation and translations.
install_system() {
    command -v mmdebstrap >/dev/null || fail 3 "mmdebstrap is not installed (Debian: apt install mmdebstrap)"
    local lists=$boards/system.list options=$boards/system.conf log=$boards/system.log folder
    local excluded=()
    apt-get indextargets --format "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
\$(REPO_URI) \$(RELEASE) main" 'Created-By: Packages' 'Origin: Debian' 'Component: main' >"$lists"
    # How the host reaches its sources.
    apt-config dump Acquire >"$options"
    for folder in doc info locale man; do
        excluded+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
    done
    echo "board.sh: installing a Debian system" >&2
    mmdebstrap --quiet --format=tar --variant=minbase --aptopt="$options" "${excluded[@]}" \
        --include="$(IFS=,; echo "${system_packages[*]}")" "" "$system.new" "$lists" 2>"$log" ||
        fail 3 "mmdebstrap failed: $(tail -n 1 "$log")"
    mv "$system.new" "$system"
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
