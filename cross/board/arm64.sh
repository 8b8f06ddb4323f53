# Shared by the boards with a 64 bit ARM processor. Sourced by their targets.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

architecture=arm64

# v4l2-ctl, and the libraries that it needs beyond those of the cross compiler.
target_packages() {
    echo "$(depends_on linux-image-arm64 linux-image- "${apt[@]}") busybox-static v4l-utils libv4l-0 libv4lconvert0 libv4l2rds0" \
        "libjpeg62-turbo libstdc++6 libudev1"
}

build_programs() {
    local rust=aarch64-unknown-linux-gnu
    "$here/build.sh" "$rust" --emulated build --quiet --package boxcam --package webcam ||
        fail 3 "cross/build.sh $rust failed"
    [ -n "$binary" ] || binary=$built/cross/$rust/emulated/boxcam
    [ -x "$binary" ] || fail 3 "$binary does not exist"
    # Symbols are most of the file, and the whole file is loaded into the emulator's memory.
    aarch64-linux-gnu-strip -o "$work/boxcam" "$binary" || fail 3 "$binary cannot be stripped: it is not for this board"
    binary=$work/boxcam
    webcam=$built/cross/$rust/emulated/webcam
    v4l2_ctl=$root/usr/bin/v4l2-ctl
    libraries=(/usr/aarch64-linux-gnu/lib "$root/lib/aarch64-linux-gnu" "$root/usr/lib/aarch64-linux-gnu")
}
