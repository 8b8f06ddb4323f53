#!/usr/bin/env bash
# Installs the cross compilers and C libraries for boards and for Windows; see packages.txt.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: cross/build/install.sh [--list] ARCHITECTURE...

Installs the missing Debian packages of cross/build/packages.txt for building for arm64 or armhf boards or for windows, with
sudo unless root.

  --list    only prints the packages that are missing

Exit code: 0: all are installed; 2: wrong usage; 3: they cannot be installed.
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

# The packages for these architectures of which a file is missing.
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
    command -v apt-get >/dev/null || fail 3 "apt-get is missing; ${missing[*]} are Debian packages"
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "install.sh: installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq || fail 3 "apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || fail 3 "cannot install ${missing[*]}"
}

action=install_missing
architectures=()
for argument in "$@"; do
    case $argument in
        -h | --help) usage; exit 0 ;;
        --list) action=missing_for ;;
        -*) fail 2 "unknown option $argument; see --help" ;;
        *)
            grep -q "^$argument " "$(dirname "$0")/packages.txt" || fail 2 "no packages are listed for $argument; see --help"
            architectures+=("$argument") ;;
    esac
done
[ "${#architectures[@]}" -gt 0 ] || fail 2 "missing ARCHITECTURE; see --help"
"$action" "${architectures[@]}"
