# A USB webcam with a single format, on the kernel's usbcore and uvcvideo, for each format that boxcam reads. /add/FORMAT is
# a frame in that format.
for format in MJPG YUY2 NV12 GREY BGR3; do
    usb_camera $format 640x480 /add/$format
    v4l2-ctl --list-formats-ext >$format.offered
    capture $format
    unplug
done
