# The camera is taken away from a running boxcam and given back: its driver is unbound, it stops sending frames,
# it is pulled out. boxcam must go on by itself each time. In times.txt stands how long each step took,
# in hundredths of a second.
vivid node_types=0x1 num_inputs=1 input_types=0x0
driver=/sys/bus/platform/drivers/vivid
watch run --display none --stall 2s
wait_for 30 is_live 1 || fail "no first frame"

# For so long, too, that boxcam looks for it seldom.
for absence in 3 15; do
    echo vivid.0 >$driver/unbind || fail "can't be unbound"
    step "unbind-$absence" reopening
    sleep $absence
    echo vivid.0 >$driver/bind || fail "can't be bound"
    step "bind-$absence" live
done

# Buffers never come back, as from a camera that hangs.
v4l2-ctl -c percentage_of_dropped_buffers=100 || fail "drops can't be set"
step "stall" reopening
v4l2-ctl -c percentage_of_dropped_buffers=0 || fail "drops can't be set"
step "flow" live

# As if the plug was pulled: every call fails from now on.
v4l2-ctl -c disconnect=1 || fail "can't be disconnected"
step "disconnect" reopening
echo vivid.0 >$driver/unbind
echo vivid.0 >$driver/bind
step "reconnect" live

# Another camera in its place, under another number.
echo vivid.0 >$driver/unbind
step "taken-away" reopening
modprobe -r vivid
modprobe vivid node_types=0x1 num_inputs=1 input_types=0x0 vid_cap_nr=7
[ -e /dev/video7 ] || fail "vivid took another number"
step "renumbered" live

finish
