# Debian's packages, fetched and unpacked without being installed, and the lists of another architecture, read without
# telling this machine's own apt of it. Sourced by toolchain.sh, by board/packages.sh and by image.sh.
#
# Wants: architecture (Debian's name of it), work (a folder), fail. Gives: foreign, the options with which apt-get and
# apt-cache use the lists.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Reads the lists anew, into the folder $1. What apt says of it is in `log` there. `components` names what of Debian is
# wanted beside or instead of main.
read_lists() {
    local apt=$1
    mkdir -p "$apt/lists"
    apt-get indextargets --format "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
\$(REPO_URI) \$(RELEASE) ${components:-main}" 'Created-By: Packages' 'Origin: Debian' 'Component: main' >"$apt/sources"
    foreign=(-qq -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User=
        -o "Dir::Etc::sourcelist=$apt/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o Dir::State::status=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${foreign[@]}" update 2>"$apt/log"
}

# depends_on PACKAGE START [OPTION...]: the dependency of a package whose name starts so, as apt-cache with these options has
# it. Of a metapackage, the package that it stands for today.
depends_on() {
    local name package=$1 start=$2
    shift 2
    name=$(apt-cache "$@" depends "$package" 2>/dev/null | sed -n "s/^ *Depends: \($start.*\)/\1/p" | head -n 1)
    [ -n "$name" ] || fail 3 "apt has no package $package that depends on $start*; run apt-get update first"
    echo "$name"
}

# unpack FOLDER COMMAND...: runs the command, which downloads packages into the folder that it is run in, and unpacks them.
unpack() {
    local into=$1 debs=$work/debs deb
    shift
    rm -rf "$debs"
    mkdir -p "$debs" "$into"
    (cd "$debs" && "$@" >/dev/null) || fail 3 "download failed: $*"
    for deb in "$debs"/*.deb; do
        dpkg -x "$deb" "$into"
    done
    rm -rf "$debs"
}
