# vivid as an S-Video grabber: sizes are a range with steps, as in many camera chips.
vivid node_types=0x1 num_inputs=1 input_types=0x2
v4l2-ctl --list-formats-ext >offered.txt
capture svideo
