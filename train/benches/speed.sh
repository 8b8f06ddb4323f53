#!/usr/bin/env bash
# Training speed of boxcam-train and PyTorch, measured alternately several times on this machine.
#
#     train/benches/speed.sh PYTHON V1.tflite V2.tflite [ROUNDS]
#
# PYTHON is an interpreter with torch. Prints both medians and their ratio; above 1 boxcam-train is faster.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# -lt 3 ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 2
fi
python=$1 v1=$2 v2=$3 rounds=${4:-5}

cargo build --release --workspace --quiet
rate() { sed -n 's/.*"images_per_second": *\([0-9.]*\).*/\1/p'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for network in v1 v2; do
    weights=$v1
    [ "$network" = v1 ] || weights=$v2
    ours='' theirs=''
    for _ in $(seq "$rounds"); do
        ours+=$(target/release/boxcam-train train benchmark --weights "$weights" --steps 5 | rate)$'\n'
        theirs+=$("$python" train/benches/pytorch.py "$network" --steps 5 | rate)$'\n'
    done
    ours=$(printf %s "$ours" | median) theirs=$(printf %s "$theirs" | median)
    awk -v n="$network" -v a="$ours" -v b="$theirs" \
        'BEGIN { printf "%s: boxcam-train %.1f pictures/s, PyTorch %.1f, ratio %.2f\n", n, a, b, a / b }'
done
