# The power is cut while two boxcams log to a disk: one the events of a camera, one the frames of a stream. After the
# next start both go on with their files. In `before` is what they had logged, in `after` what the disk had of it, in
# `resumed` what became of it.
start() {
    mount -t ext4 "/dev/$disk" /disk || fail "no file system on $disk"
}

# keep FOLDER: the logs as they are now.
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

# logged COUNT TEXT: whether that stands so often in the log of events.
logged() {
    [ "$(grep -c -e "$2" /disk/events.log)" -ge "$1" ]
}

start
if [ "$boot" -eq 1 ]; then
    # Of the frames, too, a part is to be on the disk: the system would take half a minute.
    echo 100 >/proc/sys/vm/dirty_expire_centisecs
    echo 50 >/proc/sys/vm/dirty_writeback_centisecs
    log_both
    usb_camera MJPG 640x480 /add/MJPG
    wait_for 60 logged 1 '"event":"appeared"' || fail "nothing appeared"
    wait_for 60 test -e /disk/frames.log.2 || fail "too few frames"
    pull_out
    wait_for 20 logged 1 '"state":"reopening"' || fail "the camera is not missed"
    # What is logged is put on the disk at most once a second.
    sleep 1
    wait_for 20 logged 1 '"event":"left"' || fail "nothing left"
    keep before
    hand_over
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
