#!/usr/bin/env bash
# Installs what a cross compiler for a board needs beside Rust's: see packages.txt.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: cross/build/install.sh [--list] ARCHITECTURE...

Installs Debian's packages for building for arm64 or armhf boards, those of cross/build/packages.txt that are missing,
with sudo unless root.

  --list    only prints the packages that are missing

Exit code: 0: all are there; 2: wrong usage; 3: they can't be installed here.
TEXT
}

fail() {
    local code=$1
    shift
    echo "install.sh: $*" >&2
    exit "$code"
}

# The list's lines for an architecture, and those for any.
wanted() {
    grep -E "^($1|any) " "$(dirname "$0")/packages.txt"
}

# The packages for these architectures of which a file is not there.
missing_for() {
    local architecture package file
    for architecture in "$@"; do
        while read -r _ package file; do
            [ -e "$file" ] || echo "$package"
        done < <(wanted "$architecture")
    done | sort -u
}

install_missing() {
    local missing as_root=()
    mapfile -t missing < <(missing_for "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail 3 "apt-get is not there; ${missing[*]} are Debian's packages"
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "install.sh: installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq || fail 3 "apt-get update fails"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || fail 3 "can't install ${missing[*]}"
}

action=install_missing
architectures=()
for word in "$@"; do
    case $word in
        -h | --help) usage; exit 0 ;;
        --list) action=missing_for ;;
        -*) fail 2 "unknown option $word; see --help" ;;
        *)
            grep -q "^$word " "$(dirname "$0")/packages.txt" || fail 2 "no packages are listed for $word; see --help"
            architectures+=("$word") ;;
    esac
done
[ "${#architectures[@]}" -gt 0 ] || fail 2 "for which architecture? see --help"
"$action" "${architectures[@]}"
