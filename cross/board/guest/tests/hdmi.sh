# vivid as an HDMI grabber: one size, that of the signal.
vivid node_types=0x1 num_inputs=1 input_types=0x3
v4l2-ctl --list-formats-ext >offered.txt
capture hdmi
