#!/usr/bin/env bash
# Counts the instructions that boxcam and other engines execute for one inference on the processors of Raspberry Pis,
# under qemu: the workers of ../main.rs and ../peers.py, built for ARM. README.md lists the limits of this method.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
# shellcheck source=cross/build/lists.sh
. "$repository/cross/build/lists.sh"

usage() {
    cat <<'TEXT'
usage: benches/peers/arm/run.sh [--model FILE] [--engines NAME,...] [--processors NAME,...]

Prints millions of instructions per inference, one thread, for each engine and processor, and the ratio to boxcam.

  --model FILE       the boxcam model; default: models/snacks.onnx
  --engines NAME     any of ours, tract-int8, litert-int8, ncnn-int8, onnxruntime-int8; default: all
  --processors NAME  any of cortex-a53 (Raspberry Pi 3, Zero 2 W), cortex-a72 (4), cortex-a76 (5); default: all

Needs what cross/build.sh needs, a C compiler, python3 with venv, and PyPI. All files are in target/peers-arm; delete it to
download them again. Exit code 0: all were counted; 1: an engine failed; 2: wrong usage; 3: something is missing on
this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "run.sh: $*" >&2
    exit "$code"
}

model=$repository/models/snacks.onnx
engines=ours,tract-int8,litert-int8,ncnn-int8,onnxruntime-int8
processors=cortex-a53,cortex-a72,cortex-a76
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --model | --engines | --processors)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --model) model=$(realpath -- "$2") ;;
                --engines) engines=$2 ;;
                --processors) processors=$2 ;;
            esac
            shift ;;
        *) fail 2 "unknown option $1; see --help" ;;
    esac
    shift
done
[ -f "$model" ] || fail 3 "$model does not exist"

work=$repository/target/peers-arm
board=$work/board
models=$work/models
# Read by lists.sh.
# shellcheck disable=SC2034
architecture=arm64
few=2
many=4

# The root file system of the board: C library, Python, the engines from PyPI.
make_board() {
    [ ! -f "$board/complete" ] || return 0
    rm -rf "$board"
    read_lists "$work/apt-arm64" || fail 3 "apt-get cannot download the package lists of arm64; see $work/apt-arm64/log"
    unpack "$board" apt-get "${foreign[@]}" -o "Dir::Cache::archives=$work/debs" \
        install --yes --download-only --no-install-recommends python3.11 libstdc++6
    # The workers need none of the engines' other dependencies.
    requirements 'numpy|flatbuffers|ai-edge-litert|ncnn|onnxruntime'
    local platforms=() version
    for version in 2_28 2_27 2_26 2_17; do
        platforms+=(--platform "manylinux_${version}_aarch64")
    done
    "${pip[@]}" --no-deps --only-binary=:all: --python-version 3.11 "${platforms[@]}" --target "$board/engines" \
        "${required[@]}"
    mkdir -p "$board/proc"
    touch "$board/complete"
}

# The models in each engine's format.
make_models() {
    requirements 'numpy|flatbuffers|ai-edge-litert|onnx'
    "${pip[@]}" "${required[@]}"
    rm -rf "$models"
    mkdir -p "$models"
    "$python" -B "$here/../make_models.py" "$model" "$models"
    "$python" -B "$here/prepare.py" "$model" "$models"
}

# Sets `required` to the lines of requirements.txt with these packages.
requirements() {
    mapfile -t required < <(grep -E "^($1)==" "$here/../requirements.txt")
}

# /proc/cpuinfo of a Raspberry Pi with this processor. This qemu shows the host's, and LiteRT and ONNX Runtime select
# their kernels by it.
cpuinfo() {
    local part revision variant=0x0 features="fp asimd evtstrm crc32 cpuid" core
    case $1 in
        cortex-a53) part=0xd03 revision=4 ;;
        cortex-a72) part=0xd08 revision=3 ;;
        cortex-a76)
            part=0xd0b revision=1 variant=0x4
            features+=" aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp" ;;
        *) fail 2 "unknown processor $1; see --help" ;;
    esac
    for core in 0 1 2 3; do
        printf '%s\t: %s\n' processor "$core" BogoMIPS 108.00 Features "$features" "CPU implementer" 0x41 \
            "CPU architecture" 8 "CPU variant" "$variant" "CPU part" "$part" "CPU revision" "$revision"
        echo
    done
}

# Instructions of a whole run of a worker.
count() {
    local engine=$1 processor=$2 inferences=$3 counted=$work/counted worker
    case $engine in
        ours | tract-*) worker=("$ours" --model "$model" --worker "$engine" "$models") ;;
        *) worker=("$board/usr/bin/python3.11" -B "$here/../peers.py" "$engine" "$model" "$models") ;;
    esac
    rm -f "$counted"
    cpuinfo "$processor" >"$board/proc/cpuinfo"
    # A random seed would change the order of Python's dictionaries.
    echo "$inferences" | OMP_NUM_THREADS=1 PYTHONHASHSEED=0 PYTHONPATH=$board/engines \
        qemu-aarch64 -cpu "$processor" -L "$board" -plugin "$work/count.so,out=$counted" "${worker[@]}" \
        >"$work/$engine.out" 2>"$work/$engine.err" || return 1
    cat "$counted"
}

mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || fail 3 "another run uses $work"
# Only cargo knows the file name of a benchmark.
ours=$("$repository/cross/build.sh" aarch64-unknown-linux-gnu bench --no-run \
    --manifest-path "$here/../Cargo.toml" --message-format=json-render-diagnostics |
    sed -n 's/.*"name":"peers".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$ours" ] || fail 3 "cargo did not build the benchmark"
cc -O2 -shared -fPIC -fvisibility=hidden -o "$work/count.so" "$here/count.c" || fail 3 "cc failed to build count.c"
python=$work/python/bin/python
[ -x "$python" ] || python3 -m venv "$work/python" || fail 3 "python3 -m venv failed (Debian: apt install python3-venv)"
pip=("$python" -m pip install --quiet --disable-pip-version-check)
make_board
make_models

row() {
    printf '%-18s %-12s %14s %8s   %s\n' "$@"
}

millions() {
    awk -v count="$1" 'BEGIN { printf "%.1f", count / 1e6 }'
}

# A worker's best score and its class: nearly the same for all engines.
best() {
    "$python" -c 'if True:
        import json, sys
        scores = json.loads(sys.stdin.readline())["predictions"][0][0]
        print(f"{max(scores):.3f} for {scores.index(max(scores))}")' <"$work/$1.out"
}

# Without a count of ours there is no ratio.
ratio() {
    awk -v count="$1" -v ours="$2" 'BEGIN { if (ours) printf "%.2f", count / ours; else print "-" }'
}

code=0
row engine processor "M instructions" "x ours" "prediction"
for processor in ${processors//,/ }; do
    our_count=""
    for engine in ${engines//,/ }; do
        if ! first=$(count "$engine" "$processor" "$few") || ! second=$(count "$engine" "$processor" "$many"); then
            tail -n 3 "$work/$engine.err" >&2
            row "$engine" "$processor" FAILED - -
            code=1
            continue
        fi
        one=$(((second - first) / (many - few)))
        [ "$engine" != ours ] || our_count=$one
        row "$engine" "$processor" "$(millions "$one")" "$(ratio "$one" "$our_count")" "$(best "$engine")"
    done
done
exit "$code"
