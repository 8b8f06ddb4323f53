# boxcam starts without a camera; then a USB webcam is plugged in, unplugged, replaced by another, stalls, and sends partial
# and invalid frames. times.txt has the time of each step in hundredths of a second.
modprobe -r vivid
watch run --display none --stall 2s --wait
sleep 3
usb_camera MJPG 640x480 /add/MJPG
step plugged-in live

kill "$camera"
step unplugged reopening
sleep 3
head -c 153600 /dev/zero >small
usb_camera YUY2 320x240 small
step plugged-in-smaller live
wait_for 20 contains '"width":320' run.log || fail "no smaller frame"
kill "$camera"
step unplugged reopening
sleep 1
usb_camera MJPG 640x480 /add/MJPG
step plugged-in-again live
for fault in stall half garbage; do
    echo $fault >&7
    step $fault reopening
    sleep 1
    echo flow >&7
    step after-$fault live
done
finish
unplug
