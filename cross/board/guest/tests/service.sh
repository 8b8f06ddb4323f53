# boxcam as a service runs it: all options in a file, the shipped model, a USB webcam that shows a snack, the screen, events
# in the log. The webcam is unplugged and plugged in again.
load_screen
cat >boxcam.toml <<'TEXT'
source = "camera"
display = "fb"
log = "run.log"
# An emulated processor is slow.
stall = "5s"
TEXT
[ -z "$model" ] || echo "model = \"/add/$model\"" >>boxcam.toml
usb_camera MJPG 640x480 /add/scene.jpg
boxcam doctor --config boxcam.toml >doctor.txt 2>&1
echo $? >doctor.code
boxcam run --config boxcam.toml 2>run.err </dev/null &
watcher=$!
wait_for 400 has_event 1 appeared || fail "nothing appeared"
sleep 2
screendump service/seen
unplug
step unplugged reopening
wait_for 60 has_event 1 left || fail "no track left"
usb_camera MJPG 640x480 /add/scene.jpg
step plugged-in live
wait_for 120 has_event 2 appeared || fail "nothing appeared again"
sleep 2
screendump service/again
kill -TERM "$watcher"
wait "$watcher"
echo $? >run.code
unplug
