# vivid as a webcam: captures frames of each requested size.
vivid node_types=0x1 num_inputs=1 input_types=0x0
v4l2-ctl --list-formats-ext >offered.txt
for size in 640x480 1280x720 320x180; do
    capture "$size" --size "$size"
done
