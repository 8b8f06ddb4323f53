# The shipped model with a USB webcam that shows a snack.
usb_camera MJPG 640x480 /add/scene.jpg
timeout 120 boxcam run --source camera --display none --frames 2 --lines frames --log shipped.log 2>shipped.err </dev/null
echo $? >shipped.code
unplug
