#!/usr/bin/env bash
# What must be so of a boxcam for a board, told from the file alone: nothing is run.
set -euo pipefail

# The oldest C library that may be asked for: that of Debian and Raspberry Pi OS 12 is 2.36.
floor=2.36
largest=64
with_debug=no

usage() {
    cat <<TEXT
usage: cross/check.sh [--glibc VERSION] [--size MIB] [--debug] BINARY

Checks that a program can be put on a board as it is, and prints what it found:
it is for an ARM processor (with the floating point registers of armhf where it is 32 bit), it has no debug information,
it wants no shared library but the C library's own, no newer C library than stated, and it is not larger than stated.

  --glibc VERSION   the newest version of the C library that it may want; $floor without it
  --size MIB        the largest size; $largest without it
  --debug           debug information is allowed

Exit code: 0: all is so; 1: something is not; 2: wrong usage; 3: there is no readelf (Debian: binutils).
TEXT
}

fail() {
    local code=$1
    shift
    echo "check.sh: $*" >&2
    exit "$code"
}

bad=0
# tell WHAT HOW [WRONG]: a line of the report; with WRONG, what should be instead.
tell() {
    if [ -n "${3:-}" ]; then
        bad=1
        printf '%-18s %s: %s\n' "$1" "$2" "WRONG: $3"
    else
        printf '%-18s %s\n' "$1" "$2"
    fi
}

check_processor() {
    local machine wrong=""
    machine=$(readelf -h "$binary" | sed -n 's/^ *Machine: *//p')
    case $machine in
        AArch64) ;;
        ARM)
            # Without it the file is for soft float systems, whose C library has another name.
            readelf -A "$binary" | grep -q 'Tag_ABI_VFP_args: VFP registers' || wrong="not for armhf systems" ;;
        *) wrong="no ARM processor" ;;
    esac
    tell processor "$machine" "$wrong"
}

check_debug() {
    local found wrong=""
    found=$(readelf -S -W "$binary" | grep -c ' \.debug_' || true)
    [ "$found" -eq 0 ] || [ "$with_debug" = yes ] || wrong="not stripped of it"
    tell "debug information" "$found sections" "$wrong"
}

check_libraries() {
    local library strange=() needed
    mapfile -t needed < <(readelf -d -W "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    for library in "${needed[@]}"; do
        case $library in
            libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-aarch64.so.1 | ld-linux-armhf.so.3) ;;
            *) strange+=("$library") ;;
        esac
    done
    tell "shared libraries" "${needed[*]:-none}" "${strange[*]:+not of the C library: ${strange[*]}}"
}

check_glibc() {
    local newest wrong=""
    newest=$(readelf -V -W "$binary" | grep -o 'GLIBC_[0-9][0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
    if [ -n "$newest" ] && [ "$(printf '%s\n' "$floor" "$newest" | sort -V | tail -n 1)" != "$floor" ]; then
        wrong="at most $floor"
    fi
    tell "glibc at least" "${newest:-none}" "$wrong"
}

check_size() {
    local bytes wrong=""
    bytes=$(stat -c %s "$binary")
    [ "$bytes" -le $((largest * 1048576)) ] || wrong="at most $largest MiB"
    tell size "$bytes bytes" "$wrong"
}

binary=""
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --debug) with_debug=yes ;;
        --glibc | --size)
            [[ ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail 2 "$1 wants a number; see --help"
            case $1 in
                --glibc) floor=$2 ;;
                --size) largest=${2%.*} ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$binary" ] || fail 2 "one program only; see --help"
            binary=$1 ;;
    esac
    shift
done
[ -n "$binary" ] || fail 2 "which program? see --help"
command -v readelf >/dev/null || fail 3 "readelf is not there; install Debian's binutils"
# readelf ends well on anything.
[ "$(head -c 4 "$binary" 2>/dev/null | od -An -tx1 | tr -d ' ')" = 7f454c46 ] || fail 1 "$binary is no program"
check_processor
check_debug
check_libraries
check_glibc
check_size
exit "$bad"
