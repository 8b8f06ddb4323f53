# The model that ships looks through a USB webcam at a picture of a snack.
usb_camera MJPG 640x480 /add/scene.jpg
timeout 120 boxcam run --source camera --display none --frames 2 --lines frames --log shipped.log 2>shipped.err </dev/null
echo $? >shipped.code
pull_out
