#!/usr/bin/env bash
# Checks from the file alone whether a program can run on a board.
set -euo pipefail

# The C library of Debian and Raspberry Pi OS 12; a program may not need a newer one.
floor=2.36
largest=64
with_debug=no

usage() {
    cat <<TEXT
usage: cross/check.sh [--glibc VERSION] [--size MIB] [--debug] BINARY

Checks a program for a board and prints the results: built for ARM (32 bit: with hardware floating point, armhf), no debug
information, no shared libraries other than the C library's, no newer C library and no larger file than given.

  --glibc VERSION   newest C library that it may need; default: $floor
  --size MIB        largest size; default: $largest
  --debug           debug information is allowed

Exit code: 0: all checks passed; 1: a check failed; 2: wrong usage; 3: readelf is missing (Debian: binutils).
TEXT
}

fail() {
    local code=$1
    shift
    echo "check.sh: $*" >&2
    exit "$code"
}

bad=0
# report NAME VALUE [EXPECTED]: a line of the report; with EXPECTED the check has failed.
report() {
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
            # Without it the file is for soft-float systems, whose C library has another name.
            readelf -A "$binary" | grep -q 'Tag_ABI_VFP_args: VFP registers' || wrong="not for armhf systems" ;;
        *) wrong="not an ARM processor" ;;
    esac
    report processor "$machine" "$wrong"
}

check_debug() {
    local found wrong=""
    found=$(readelf -S -W "$binary" | grep -c ' \.debug_' || true)
    [ "$found" -eq 0 ] || [ "$with_debug" = yes ] || wrong="not stripped"
    report "debug information" "$found sections" "$wrong"
}

check_libraries() {
    local library other=() needed
    mapfile -t needed < <(readelf -d -W "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    for library in "${needed[@]}"; do
        case $library in
            libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-aarch64.so.1 | ld-linux-armhf.so.3) ;;
            *) other+=("$library") ;;
        esac
    done
    report "shared libraries" "${needed[*]:-none}" "${other[*]:+not of the C library: ${other[*]}}"
}

check_glibc() {
    local newest wrong=""
    newest=$(readelf -V -W "$binary" | grep -o 'GLIBC_[0-9][0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
    if [ -n "$newest" ] && [ "$(printf '%s\n' "$floor" "$newest" | sort -V | tail -n 1)" != "$floor" ]; then
        wrong="at most $floor"
    fi
    report "glibc at least" "${newest:-none}" "$wrong"
}

check_size() {
    local bytes wrong=""
    bytes=$(stat -c %s "$binary")
    [ "$bytes" -le $((largest * 1048576)) ] || wrong="at most $largest MiB"
    report size "$bytes bytes" "$wrong"
}

binary=""
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --debug) with_debug=yes ;;
        --glibc | --size)
            [[ ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail 2 "$1 needs a number; see --help"
            case $1 in
                --glibc) floor=$2 ;;
                --size) largest=${2%.*} ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$binary" ] || fail 2 "only one program; see --help"
            binary=$1 ;;
    esac
    shift
done
[ -n "$binary" ] || fail 2 "which program? see --help"
command -v readelf >/dev/null || fail 3 "readelf is not installed (Debian: apt install binutils)"
# readelf succeeds on any file.
[ "$(head -c 4 "$binary" 2>/dev/null | od -An -tx1 | tr -d ' ')" = 7f454c46 ] || fail 1 "$binary is not a program"
check_processor
check_debug
check_libraries
check_glibc
check_size
exit "$bad"
