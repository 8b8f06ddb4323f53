# The screen of a DRM driver, in 32 bits, wider than the picture.
vivid node_types=0x1 num_inputs=1 input_types=0x0
modprobe bochs || fail "no bochs"
wait_for 10 says bochs /sys/class/graphics/fb0/name || fail "bochs gives no framebuffer"
screen
