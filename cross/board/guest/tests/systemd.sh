# cross/install/device.sh installs boxcam under the systemd of this computer. The service is killed, stopped, suspended and
# updated. Then the power is cut, and the service must start at boot. times.txt has the time of each step in hundredths of
# a second.
log=/var/log/boxcam/boxcam.jsonl
drop_in=/etc/systemd/system/boxcam.service.d/test.conf

# about PROPERTY: a property of the service.
about() {
    systemctl show --property "$1" --value boxcam
}

is_up() {
    systemctl is-active --quiet boxcam
}

is_starting() {
    [ "$(about SubState)" = start ]
}

# Waiting for systemd's restart.
is_down() {
    [ "$(about SubState)" = auto-restart ]
}

# is_restarted COUNT: whether systemd has restarted it so often, and it is up.
is_restarted() {
    [ "$(about NRestarts)" -eq "$1" ] && is_up
}

# keep NAME: saves systemd's properties of the service.
keep() {
    systemctl show boxcam >"$1.txt"
}

# took NAME: adds the time since `begun` to times.txt.
took() {
    echo "$1 $(($(now_cs) - begun))" >>times.txt
}

# comes_back NAME COUNT: waits for systemd's restart number COUNT, as another process.
comes_back() {
    begun=$(now_cs)
    wait_for 60 is_restarted "$2" || fail "$1: it did not come back"
    took "$1"
    [ "$(about MainPID)" != "$main" ] || fail "$1: it is the same process"
    main=$(about MainPID)
    keep "$1"
}

# install VERSION: like install.sh; waits for the first frame.
install() {
    sh /guest/install/device.sh install "" 60 no "$1" >>install.log 2>&1
}

# override LINE...: overrides settings of the unit and reloads systemd.
override() {
    mkdir -p "${drop_in%/*}"
    printf '%s\n' '[Service]' "$@" >$drop_in
    systemctl daemon-reload
}

# confined USER: runs `confined` in the unit instead of boxcam.
confined() {
    override Type=oneshot Restart=no WatchdogSec=0 "User=$1" ExecStart= "ExecStart=/guest/confined $1"
    systemctl start boxcam || fail "the unit cannot run as $1"
    cp "/var/log/boxcam/confined-$1" "confined-$1.txt"
}

# Without a camera the service is starting and not up.
begin() {
    sed -i 's/^lines = .*/&\nthreshold = 0.0/' /guest/install/boxcam.toml
    load_screen
    install one &
    installing=$!
    wait_for 90 is_starting || fail "it was not started"
    sleep 4
    keep waiting
    begun=$(now_cs)
    vivid node_types=0x1 num_inputs=1 input_types=0x0
    wait $installing || fail "device.sh reported no frame"
    took camera
    main=$(about MainPID)
    keep up
    id boxcam >id.txt
    cat "/proc/$main/status" >status.txt
    ls -lR /var/log/boxcam /var/lib/boxcam >files.txt
    wait_for 20 has 1 $log || fail "nothing was logged"
    sleep 2
    screendump systemd/up
}

# systemd restarts the service after SIGKILL and after a watchdog timeout.
end_it() {
    kill -KILL "$main"
    comes_back killed 1
    override WatchdogSec=5 RestartSec=6
    systemctl restart boxcam || fail "restart failed"
    main=$(about MainPID)
    keep restarted
    kill -STOP "$main"
    wait_for 30 is_down || fail "the watchdog did not end it"
    sleep 1
    screendump systemd/hung
    comes_back stopped 1
}

stop_it() {
    begun=$(now_cs)
    systemctl stop boxcam || fail "stop failed"
    took stop
    keep ended
    sleep 1
    screendump systemd/ended
}

# Installs the same version, which changes nothing, then another one, and rolls back.
change_versions() {
    rm $drop_in
    systemctl daemon-reload
    install one || fail "the same version does not start"
    main=$(about MainPID)
    install one || fail "the same version does not stay"
    [ "$(about MainPID)" = "$main" ] || fail "the same version was started anew"
    for action in install rollback; do
        sh /guest/install/device.sh $action "" 60 no two >>install.log 2>&1 || fail "$action: no frame"
        readlink /usr/local/lib/boxcam/current >>versions.txt
    done
}

# Saves log and journal, also on failure.
leave() {
    cp $log "log-$boot.log"
    journalctl --boot --no-pager >"journal-$boot.txt"
}

trap leave EXIT
if [ "$boot" -eq 1 ]; then
    begin
    end_it
    stop_it
    confined boxcam
    confined root
    change_versions
    leave
    echo vivid >/etc/modules-load.d/vivid.conf
    echo 'options vivid node_types=0x1 num_inputs=1 input_types=0x0' >/etc/modprobe.d/vivid.conf
    sync
    save_results
    cut_power
fi
begun=$(now_cs)
wait_for 60 is_up || fail "it did not start by itself"
took by-itself
# Restarts the login, which sets the console to text mode, after boxcam.
systemctl restart getty@tty1 || fail "there is no login"
wait_for 20 contains login: /dev/vcs1 || fail "nobody can log in"
sleep 3
screendump systemd/by-itself
