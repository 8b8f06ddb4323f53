#!/usr/bin/env bash
# The compiler of the fuzz targets (RUSTC_WRAPPER of run.sh): adds libFuzzer's instrumentation to boxcam and to the crates
# that read what comes from outside, not to what only computes. These are flags of stable Rust.
set -euo pipefail

crate=""
previous=""
is_for_target=false
for argument in "$@"; do
    [ "$previous" != --crate-name ] || crate=$argument
    [ "$argument" != --target ] || is_for_target=true
    previous=$argument
done
# Build scripts and macros run in the compiler.
$is_for_target || exec "$@"

case $crate in
axum | axum_core | base64 | boxcam* | bytesize | csv | csv_core | fdeflate | http | httparse | humantime | hyper | image | \
    image_webp | jpeg_decoder | png | prost | roxmltree | rumqttc | saphyr* | serde_json | toml* | tract_core | tract_data | \
    tract_hir | tract_onnx | winnow | zune_core | zune_jpeg | \
    picture | jpeg | mjpeg | yuv4mpeg | model | card | options | address | mqtt | web | chapter | coco | voc | yolo | \
    open_images | labelme | import)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
