# The power is cut while two boxcams log to a disk: one the events of a camera, one the frames of a stream. After the next
# boot both continue their files. `before` has the logs before the cut, `after` those on the disk after the cut, `resumed`
# the continued ones.
start() {
    mount -t ext4 "/dev/$disk" /disk || fail "no file system on $disk"
}

# keep FOLDER: copies the logs.
keep() {
    mkdir "$1"
    cp /disk/*.log* "$1"
}

log_both() {
    boxcam run --source camera --wait --stall 5s --display none --model "$MODEL" --threshold 0 \
        --log /disk/events.log 2>"events-$boot.err" </dev/null &
    events=$!
    while cat /add/small.jpg; do sleep 0.1; done |
        boxcam run --source - --stall 20s --display none --model "$MODEL" --threshold 0 --lines frames \
            --log /disk/frames.log --log-size 4KB --log-keep 1000 2>"frames-$boot.err" &
    frames=$!
}

# logged COUNT TEXT: whether the log of events has the text so often.
logged() {
    [ "$(grep -c -e "$2" /disk/events.log)" -ge "$1" ]
}

start
if [ "$boot" -eq 1 ]; then
    # Frames must be on the disk too: by default writeback takes half a minute.
    echo 100 >/proc/sys/vm/dirty_expire_centisecs
    echo 50 >/proc/sys/vm/dirty_writeback_centisecs
    log_both
    usb_camera MJPG 640x480 /add/MJPG
    wait_for 60 logged 1 '"event":"appeared"' || fail "nothing appeared"
    wait_for 60 test -e /disk/frames.log.2 || fail "too few frames"
    unplug
    wait_for 20 logged 1 '"state":"reopening"' || fail "the camera's loss was not logged"
    # The log is synced at most once a second.
    sleep 1
    wait_for 20 logged 1 '"event":"left"' || fail "no track left"
    keep before
    save_results
    cut_power
fi
keep after
log_both
usb_camera MJPG 640x480 /add/MJPG
wait_for 60 logged 2 '"event":"appeared"' || fail "nothing appeared again"
old=$(find after -name 'frames.log.*' | wc -l)
wait_for 60 test -e "/disk/frames.log.$((old + 2))" || fail "too few frames again"
for process in "$events" "$frames"; do
    kill -TERM "$process"
    wait "$process" || fail "boxcam ended with $?"
done
keep resumed
umount /disk
