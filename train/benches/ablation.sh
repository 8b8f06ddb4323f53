#!/usr/bin/env bash
# Ablation: one setting of a recipe changed at a time, to see how much each contributes.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: train/benches/ablation.sh SNACKS WEIGHTS FOLDER [TRAIN ARGUMENTS]

Trains the recipe `small` for four epochs unchanged, then once for each changed setting, and prints a table of the last
epoch's figures for docs/training.md.

  SNACKS           the data set: train/, val/ and their annotations; to choose by the table, a development copy
                   (boxcam-train data convert --development)
  WEIGHTS          starting weights of all runs, mobilenet_v2_1.0_224_quant.tflite
  FOLDER           folder of the runs; complete runs are kept, an interrupted one is resumed
  TRAIN ARGUMENTS  more arguments for `boxcam-train train run`, as --epochs 8

About five minutes per row on two cores.
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

# Trains a run and prints its row of the table.
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

echo "| change | class accuracy, training | mean IoU, training | class accuracy | mean IoU |"
echo "| --- | --- | --- | --- | --- |"
row "none" "$@"
row "another seed" --seed 2 "$@"
row "no mixup" --set mixup_prob=0 "$@"
row "light augmentation in the last epoch" --set no_aug_epochs=1 "$@"
row "no synthetic images, no synthetic negatives" --set synthetic_images=0 --set synthetic_negatives=0 "$@"
row "no label smoothing" --set label_smoothing=0 "$@"
row "no EMA of the weights" --set ema_decay=0 "$@"
row "no loss of the cells' boxes" --set box_loss.cell_giou_weight=0 "$@"
row "no loss of the cells' weights" --set box_loss.location_weight=0 "$@"
row "global box head, GIoU loss" --set head=global "$@"
row "the same, a third of the learning rate of the backbone" --set head=global --set lr.backbone=1e-4 "$@"
row "first 12 convolutions frozen" --set freeze_first=12 "$@"
