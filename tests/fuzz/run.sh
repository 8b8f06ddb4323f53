#!/usr/bin/env bash
# Fuzzes what boxcam reads: each target, or those named, one after the other.
#
#     tests/fuzz/run.sh [--build | --seconds N | --runs N] [TARGET...]
#
# N is for each target; without it, 10 seconds. --build only builds the targets. It needs stable Rust and a C++ compiler: rustc.sh adds the instrumentation.
# New inputs are kept in target/fuzz/corpus/TARGET, an input that fails in target/fuzz/failures. Prints for each target the
# number of inputs, the edges of the program that were reached, the inputs that are kept, the slowest input and the memory.
set -euo pipefail
cd "$(dirname "$0")"
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

limit=-max_total_time=10
case ${1:-} in
--seconds) limit=-max_total_time=$2 && shift 2 ;;
--runs) limit=-runs=$2 && shift 2 ;;
--build) limit="" && shift ;;
-*) sed -n 's/^# \?//p' "$0" && exit 2 ;;
esac

host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-../../target}/fuzz
mkdir -p "$built"
built=$(realpath "$built")
# With --target, build scripts and macros are not instrumented.
RUSTC_WRAPPER=$PWD/rustc.sh CARGO_TARGET_DIR=$built ${FUZZ_CARGO:-cargo} build --locked --bins --target "$host"
[ -n "$limit" ] || exit 0

targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

# value NAME LOG: a number of libFuzzer's final statistics.
value() {
    sed -n "s/^stat::$1: *//p" "$2" | tail -n 1
}

mkdir -p "$built/failures" "$built/logs"
ulimit -c 0
failed=()
printf '%-12s %12s %8s %8s %10s %8s\n' target inputs edges kept slowest memory
for target in "${targets[@]}"; do
    corpus=$built/corpus/$target
    log=$built/logs/$target
    mkdir -p "$corpus" "seeds/$target"
    # What boxcam itself prints is left out. The time that a single input takes is checked by the target in CPU time
    # (src/bounds.rs), and its memory too; these limits are for what hangs without using the CPU.
    options=("$limit" -timeout=300 -rss_limit_mb=3072 -max_len=65536 -close_fd_mask=3 -print_final_stats=1
        "-artifact_prefix=$built/failures/$target-")
    code=0
    "$built/$host/debug/$target" "${options[@]}" "$corpus" "seeds/$target" >"$log" 2>&1 </dev/null || code=$?
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-12s %12s %8s %8s %8s s %5s MB\n' "$target" "$(value number_of_executed_units "$log")" "${edges:-0}" \
        "$(find "$corpus" -type f | wc -l)" "$(value slowest_unit_time_sec "$log")" "$(value peak_rss_mb "$log")"
    if [ "$code" -ne 0 ]; then
        failed+=("$target")
        tail -n 20 "$log" >&2
    fi
done
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'failed: %s; run target/fuzz/%s/debug/TARGET with the file that is named above to see why\n' "${failed[*]}" "$host" >&2
    exit 1
fi
