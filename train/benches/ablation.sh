#!/usr/bin/env bash
# Ablation: one setting of a recipe changed at a time.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: train/benches/ablation.sh SNACKS WEIGHTS FOLDER [TRAIN ARGUMENTS]

Trains the recipe `small` for four epochs unchanged, then once per changed setting, and prints the table of docs/training.md:
the metrics of the last epoch.

  SNACKS           the data set: train/, val/ and their annotations
  WEIGHTS          starting weights, mobilenet_v2_1.0_224_quant.tflite
  FOLDER           folder of the runs; a complete run is not repeated, an interrupted one is resumed
  TRAIN ARGUMENTS  more arguments for `boxcam-train train run`, e.g. --epochs 8

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

# Trains one row of the table and prints it.
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

echo "| change | training class accuracy | training mean IoU | class accuracy | mean IoU |"
echo "| --- | --- | --- | --- | --- |"
row "none" "$@"
row "another seed" --seed 2 "$@"
row "no mixup" --set mixup_prob=0 "$@"
row "light augmentation in the last epoch" --set no_aug_epochs=1 "$@"
row "no synthetic images, no synthetic negatives" --set synthetic_images=0 --set synthetic_negatives=0 "$@"
row "no label smoothing" --set label_smoothing=0 "$@"
row "last weights instead of their EMA" --set ema_decay=0 "$@"
row "no GIoU loss of the cells" --set box_loss.cell_giou_weight=0 "$@"
row "no location loss of the cells" --set box_loss.location_weight=0 "$@"
row "global box head" --set head=global "$@"
row "global box head, a third of the backbone learning rate" --set head=global --set lr.backbone=1e-4 "$@"
row "first 12 convolutions frozen" --set freeze_first=12 "$@"
