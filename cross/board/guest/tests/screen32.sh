# The screen of a DRM driver, in 32 bits, wider than the picture.
vivid node_types=0x1 num_inputs=1 input_types=0x0
load_screen
screen
