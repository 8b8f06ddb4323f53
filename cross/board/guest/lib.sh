# What the scripts in the emulated computer share. Sourced by init and run; the port to the outside is open as 3.
# What the kernel's command line told stands in variables: see run.
# shellcheck shell=dash
# shellcheck disable=SC2154

# Seconds since the computer started, whole.
now() {
    cut -d. -f1 /proc/uptime
}

# Hundredths of a second since the computer started.
now_cs() {
    cut -d' ' -f1 /proc/uptime | tr -d .
}

# Tells the people outside.
say() {
    echo "say $*" >&3
    read -r _ <&3
}

# A screenshot NAME.png among the results.
screendump() {
    echo "screendump $1" >&3
    read -r _ <&3
}

fail() {
    echo "$*"
    exit 1
}

# Writes what the scripts have left so far onto the disk.
hand_over() {
    dmesg >"/out/dmesg-$boot.log"
    tar -c -C /out . | dd of="/dev/$disk" bs=1M seek="$half" conv=notrunc,fsync 2>/dev/null
}

# cut_power: the power is gone, and what is not on the disk with it. After the next start the script is begun again, with
# `boot` one higher. What is to be kept of the results was handed over before.
cut_power() {
    echo "cut $code $(basename "$PWD")" >&3
    sleep 60
    fail "the power is still on"
}

# wait_for SECONDS WHAT...: until a command succeeds.
wait_for() {
    until_time=$(($(now) + $1))
    shift
    until "$@"; do
        [ "$(now)" -lt "$until_time" ] || return 1
        sleep 0.1
    done
}

# has LINES FILE: whether a file has that many lines.
has() {
    [ "$(wc -l <"$2" 2>/dev/null || echo 0)" -ge "$1" ]
}

# is_live LINES: whether run.log has that many lines of frames.
is_live() {
    [ -e run.log ] && [ "$(grep -c '"frame":' run.log)" -ge "$1" ]
}

# happened COUNT EVENT: whether run.log tells of so many.
happened() {
    [ -e run.log ] && [ "$(grep -c "\"event\":\"$2\"" run.log)" -ge "$1" ]
}

# says TEXT FILE: whether a text is in a file.
says() {
    grep -q -e "$1" "$2" 2>/dev/null
}

# capture NAME OPTION...: three frames of the camera, in NAME.log, NAME.err, NAME.code and the folder NAME.
capture() {
    name=$1
    shift
    timeout 60 boxcam run --source camera --display none --model "$MODEL" --threshold 1 --lines frames --frames 3 \
        --log "$name.log" --snapshots "$name" "$@" 2>"$name.err" </dev/null
    echo $? >"$name.code"
}

# watch NAME OPTION...: boxcam on a camera in the background, its log in NAME.log, its talk in NAME.err.
watch() {
    name=$1
    shift
    boxcam run --model "$MODEL" --lines frames --log "$name.log" "$@" 2>"$name.err" </dev/null &
    watcher=$!
}

# step NAME STATE: waits until boxcam, watching as `run`, says STATE; adds to times.txt how long that took.
step() {
    begun=$(now_cs)
    wait_for 40 says_last "$2" || fail "$1: not $2 after 40 s"
    echo "$1 $2 $(($(now_cs) - begun))" >>times.txt
}

# says_last STATE: whether that is the last change of state in run.log.
says_last() {
    [ "$(grep -o '"state":"[a-z]*"' run.log | tail -n 1)" = "\"state\":\"$1\"" ]
}

# finish: boxcam, watching as `run`, still gives frames, and ends well.
finish() {
    lines=$(wc -l <run.log)
    wait_for 30 has $((lines + 5)) run.log || fail "no frames at the end"
    kill -TERM "$watcher"
    wait "$watcher"
    echo $? >run.code
}

# usb_camera FORMAT WxH FILE: a USB webcam that plays a file, its orders from the pipe `orders`; waits for its device.
usb_camera() {
    modprobe -r vivid
    modprobe uvcvideo || fail "no uvcvideo"
    modprobe vhci-hcd || fail "no vhci-hcd"
    ip link set lo up
    [ -p orders ] || mkfifo orders
    # Held open, so that the webcam doesn't see the end of its orders.
    exec 7<>orders
    webcam "$@" <orders 2>>webcam.err &
    camera=$!
    wait_for 20 test -e /dev/video0 || fail "$1: uvcvideo made no device"
}

# pull_out: the USB webcam is gone.
pull_out() {
    kill "$camera"
    wait "$camera"
    wait_for 20 test ! -e /dev/video0 || fail "uvcvideo kept its device"
}

# vivid ARGUMENT...: the camera driver anew with those arguments, without its writing on the picture.
vivid() {
    modprobe -r vivid
    modprobe vivid "$@" || fail "vivid can't be loaded with $*"
    wait_for 5 test -e /dev/video0 || fail "vivid made no device with $*"
    v4l2-ctl -c osd_text_mode=2 || fail "vivid can't be told not to write"
}

# load_screen: the screen's driver, where it is not the kernel's own.
load_screen() {
    [ -n "$screen" ] || return 0
    modprobe "$screen" || fail "no $screen"
    wait_for 10 says drmfb /sys/class/graphics/fb0/name || fail "$screen gives no framebuffer"
}

# screen OPTION...: the camera on /dev/fb0, with screenshots of the text before, the picture, and the text after a
# clean end and after a kill.
screen() {
    for file in name bits_per_pixel virtual_size stride; do
        echo "$file $(cat "/sys/class/graphics/fb0/$file")"
    done >framebuffer.txt
    directory=$(basename "$PWD")
    printf '\033[2J\033[H\033[?25lthe text of before\n' >/dev/tty1
    screendump "$directory/before"
    for ending in TERM KILL; do
        watch $ending --display fb --threshold 0 "$@"
        wait_for 40 has 5 $ending.log || fail "no frames before $ending"
        # What is drawn gets to the screen of a busy emulator late.
        sleep 3
        screendump "$directory/$ending-during"
        kill -$ending "$watcher"
        wait "$watcher"
        echo $? >$ending.code
        sleep 1
        echo "text after $ending" >/dev/tty1
        screendump "$directory/$ending-after"
    done
}

# A model of a few bytes that says which of red, green and blue there is most of, and "in the middle".
MODEL=/add/tiny.onnx
