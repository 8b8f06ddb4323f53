# A USB webcam that offers one format only, driven by the kernel's own usbcore and uvcvideo: each format that boxcam
# reads. /add/FORMAT is a frame as it is sent.
for format in MJPG YUY2 NV12 GREY BGR3; do
    usb_camera $format 640x480 /add/$format
    v4l2-ctl --list-formats-ext >$format.offered
    capture $format
    pull_out
done
