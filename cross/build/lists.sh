# Debian's package lists of another architecture, read without telling this machine's own apt of it. Sourced by
# toolchain.sh and by board/packages.sh.
#
# Wants: architecture (Debian's name of it). Gives: foreign, the options with which apt-get and apt-cache use the lists.
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
