# The VESA framebuffer that the computer starts with: 640 x 480, RGB565.
vivid node_types=0x1 num_inputs=1 input_types=0x0
screen
