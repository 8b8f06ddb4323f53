# Downloads and unpacks Debian packages without installing them, also for another architecture, without changing apt's
# configuration. Sourced by toolchain.sh, by board/packages.sh and by image.sh.
#
# Needs: architecture (Debian's name of it), work (a folder), fail. Sets: foreign, the options with which apt-get and
# apt-cache use the lists.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

# Downloads the package lists into the folder $1, with apt's messages in its file `log`. `components` replaces Debian's
# component main.
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

# depends_on PACKAGE START [OPTION...]: prints the dependency of a package whose name has that start, for example the current
# package of a metapackage. The options are for apt-cache.
depends_on() {
    local name package=$1 start=$2
    shift 2
    name=$(apt-cache "$@" depends "$package" 2>/dev/null | sed -n "s/^ *Depends: \($start.*\)/\1/p" | head -n 1)
    [ -n "$name" ] || fail 3 "apt has no package $package that depends on $start*; run apt-get update first"
    echo "$name"
}

# unpack FOLDER COMMAND...: runs the command in a temporary folder, to which it downloads packages, and unpacks them.
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
