#!/usr/bin/env bash
# One choice of a recipe made otherwise at a time, all else the same: which of them a model owes what it can.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: train/benches/ablation.sh SNACKS WEIGHTS FOLDER [TRAIN ARGUMENTS]

Trains the recipe `small` for four epochs as it is, then once more for each choice made otherwise, and prints a table of
the last epoch's validation figures for docs/training.md.

  SNACKS           the data set: train/, val/ and their annotations
  WEIGHTS          what all of them start from, mobilenet_v2_1.0_224_quant.tflite
  FOLDER           where the runs are kept; a run that is complete there is not made again, one that was broken off goes on
  TRAIN ARGUMENTS  more for `boxcam-train train run`, as --epochs 8

About five minutes a row on two cores.
TEXT
}

case ${1:-} in
    -h | --help) usage; exit 0 ;;
esac
[ $# -ge 3 ] || { usage >&2; exit 2; }
snacks=$1 weights=$2 folder=$3
shift 3

cargo build --release --workspace --locked
train=${CARGO_TARGET_DIR:-target}/release/boxcam-train

# A row of the table, and what makes it.
row() {
    local name=$1 run
    shift
    run=$folder/$(echo "$name" | tr -cs 'a-z0-9\n' -)
    "$train" train run --data "$snacks" --weights "$weights" --recipe small --epochs 4 --run "$run" --resume "$@" >&2
    awk -F, -v name="$name" '
        NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
        END { printf "| %s | %.4f | %.4f | %.4f | %.4f |\n", name, $column["class_accuracy"], $column["mean_iou"],
            $column["val_class_accuracy"], $column["val_mean_iou"] }' "$run/history.csv"
}

echo "| what is otherwise | class accuracy, training | mean IoU, training | class accuracy | mean IoU |"
echo "| --- | --- | --- | --- | --- |"
row "nothing" "$@"
row "another seed" --seed 2 "$@"
row "no other picture mixed in" --set mixup_prob=0 "$@"
row "the last epoch's views nearly the pictures" --set no_aug_epochs=1 "$@"
row "no made-up scenes, no backgrounds" --set synthetic_images=0 --set synthetic_negatives=0 "$@"
row "labels not smoothed" --set label_smoothing=0 "$@"
row "last weights, not their mean" --set ema_decay=0 "$@"
row "cells are not taught boxes" --set box_loss.cell_giou_weight=0 "$@"
row "cells are not taught where the middle is" --set box_loss.location_weight=0 "$@"
row "the chapter's box head, loss of the overlap" --set head=global "$@"
row "the same, a third of the rate for the trunk" --set head=global --set lr.backbone=1e-4 "$@"
row "first 12 convolutions frozen" --set freeze_first=12 "$@"
