# Functions of the scripts in the emulated computer. Sourced by init and run; descriptor 3 is the control port. The
# parameters of the kernel's command line are variables: see run.
# shellcheck shell=dash
# shellcheck disable=SC2154

# Whole seconds since boot.
now() {
    cut -d. -f1 /proc/uptime
}

# Hundredths of a second since boot.
now_cs() {
    cut -d' ' -f1 /proc/uptime | tr -d .
}

# Prints a message on the host.
say() {
    echo "say $*" >&3
    read -r _ <&3
}

# screendump NAME: saves a screenshot NAME.png among the results.
screendump() {
    echo "screendump $1" >&3
    read -r _ <&3
}

fail() {
    echo "$*"
    exit 1
}

# Writes the results so far to the disk.
save_results() {
    dmesg >"/out/dmesg-$boot.log"
    tar -c -C /out . | dd of="/dev/$disk" bs=1M seek="$half" conv=notrunc,fsync 2>/dev/null
}

# cut_power: cuts the power; data that is not on the disk is lost. After the next boot the script is run again, with `boot`
# one higher. Results must be saved before.
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

# has_event COUNT EVENT: whether run.log has that many events.
has_event() {
    [ -e run.log ] && [ "$(grep -c "\"event\":\"$2\"" run.log)" -ge "$1" ]
}

# contains TEXT FILE: whether a text is in a file.
contains() {
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

# watch NAME OPTION...: boxcam on a camera in the background, its log in NAME.log, its standard error in NAME.err.
watch() {
    name=$1
    shift
    boxcam run --model "$MODEL" --lines frames --log "$name.log" "$@" 2>"$name.err" </dev/null &
    watcher=$!
}

# step NAME STATE: waits until the last state in run.log is STATE; adds the time to times.txt.
step() {
    begun=$(now_cs)
    wait_for 40 last_state_is "$2" || fail "$1: not $2 after 40 s"
    echo "$1 $2 $(($(now_cs) - begun))" >>times.txt
}

# last_state_is STATE: whether run.log ends in this state.
last_state_is() {
    [ "$(grep -o '"state":"[a-z]*"' run.log | tail -n 1)" = "\"state\":\"$1\"" ]
}

# finish: checks that run.log still gets frames, and ends boxcam.
finish() {
    lines=$(wc -l <run.log)
    wait_for 30 has $((lines + 5)) run.log || fail "no frames at the end"
    kill -TERM "$watcher"
    wait "$watcher"
    echo $? >run.code
}

# usb_camera FORMAT WxH FILE: plugs in a USB webcam that plays a file and takes commands from the pipe `orders`; waits for
# its device.
usb_camera() {
    modprobe -r vivid
    modprobe uvcvideo || fail "no uvcvideo"
    modprobe vhci-hcd || fail "no vhci-hcd"
    ip link set lo up
    [ -p orders ] || mkfifo orders
    # Held open, so that the webcam does not read the end of the file.
    exec 7<>orders
    webcam "$@" <orders 2>>webcam.err &
    camera=$!
    wait_for 20 test -e /dev/video0 || fail "$1: uvcvideo created no device"
}

# unplug: removes the USB webcam.
unplug() {
    kill "$camera"
    wait "$camera"
    wait_for 20 test ! -e /dev/video0 || fail "uvcvideo kept its device"
}

# vivid ARGUMENT...: reloads the camera driver with these arguments, without text in its image.
vivid() {
    modprobe -r vivid
    modprobe vivid "$@" || fail "modprobe vivid $* failed"
    wait_for 5 test -e /dev/video0 || fail "vivid created no device with $*"
    v4l2-ctl -c osd_text_mode=2 || fail "vivid's text cannot be switched off"
}

# load_screen: loads the screen's driver if it is a module.
load_screen() {
    [ -n "$screen" ] || return 0
    modprobe "$screen" || fail "no $screen"
    wait_for 10 contains drmfb /sys/class/graphics/fb0/name || fail "$screen creates no framebuffer"
}

# screen OPTION...: shows the camera on /dev/fb0; takes screenshots of the text before, of the image, and of the text after
# SIGTERM and after SIGKILL.
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
        # A busy emulator updates its screen late.
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

# A model of a few bytes: its class is the most frequent of red, green and blue, its box is the middle.
MODEL=/add/tiny.onnx
