# The camera of a running boxcam vanishes and returns: its driver is unbound, it stalls, it is disconnected. boxcam must
# reopen it each time. times.txt has the time of each step in hundredths of a second.
vivid node_types=0x1 num_inputs=1 input_types=0x0
driver=/sys/bus/platform/drivers/vivid
watch run --display none --stall 2s
wait_for 30 is_live 1 || fail "no first frame"

# Also long enough that boxcam retries rarely.
for absence in 3 15; do
    echo vivid.0 >$driver/unbind || fail "unbind failed"
    step "unbind-$absence" reopening
    sleep $absence
    echo vivid.0 >$driver/bind || fail "bind failed"
    step "bind-$absence" live
done

# No buffer is returned, as by a camera that hangs.
v4l2-ctl -c percentage_of_dropped_buffers=100 || fail "setting dropped buffers failed"
step "stall" reopening
v4l2-ctl -c percentage_of_dropped_buffers=0 || fail "setting dropped buffers failed"
step "flow" live

# As if it was unplugged: every call fails.
v4l2-ctl -c disconnect=1 || fail "disconnect failed"
step "disconnect" reopening
echo vivid.0 >$driver/unbind
echo vivid.0 >$driver/bind
step "reconnect" live

# Another camera replaces it, with another number.
echo vivid.0 >$driver/unbind
step "taken-away" reopening
modprobe -r vivid
modprobe vivid node_types=0x1 num_inputs=1 input_types=0x0 vid_cap_nr=7
[ -e /dev/video7 ] || fail "vivid took another number"
step "renumbered" live

finish
