# A grabber's S-Video input: sizes come as a range with steps, as those of many camera chips do.
vivid node_types=0x1 num_inputs=1 input_types=0x2
v4l2-ctl --list-formats-ext >offered.txt
capture svideo
