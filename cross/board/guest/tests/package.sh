# The Debian package: it takes over what install/device.sh installed in systemd.sh, is upgraded, changed and rolled back by
# device.sh, and purged, then installed on a system without boxcam and removed. Runs after systemd.sh, with its camera.
log=/var/log/boxcam/boxcam.jsonl
options=/etc/boxcam/boxcam.toml
packages=/guest/packages
# What device.sh keeps of packages, and how it sets a model.
versions=/var/lib/boxcam-versions
model=/etc/systemd/system/boxcam.service.d/install-model.conf

# get ARGUMENT...: apt-get without questions, as unattended-upgrades runs it, and without a sync for each file.
get() {
    echo "## apt-get $*" >>apt.log
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--force-unsafe-io "$@" >>apt.log 2>&1
}

main() {
    systemctl show --property MainPID --value boxcam
}

is_up() {
    systemctl is-active --quiet boxcam
}

# is_new PROCESS: whether the service is up in another process.
is_new() {
    is_up && [ "$(main)" != "$1" ]
}

# keep NAME: saves what there is of boxcam.
keep() {
    {
        echo "active $(systemctl is-active boxcam)"
        echo "enabled $(systemctl is-enabled boxcam 2>/dev/null)"
        echo "program $(readlink "/proc/$(main)/exe")"
        echo "command $(tr '\0' ' ' </proc/"$(main)"/cmdline)"
        echo "version $(dpkg-query -W -f '${db:Status-Status} ${Version}' boxcam)"
        for file in /usr/bin/boxcam /usr/local/bin/boxcam /usr/local/lib/boxcam /usr/lib/systemd/system/boxcam.service \
            /etc/systemd/system/boxcam.service /etc/boxcam.toml $options $options.dpkg-dist $log $versions $model; do
            [ ! -e "$file" ] || echo "file $file"
        done
        echo "options $(stat -c '%U:%G %a' $options 2>/dev/null)"
    } >"$1.txt"
    [ ! -e $options ] || cp $options "$1.toml"
}

# install VERSION NAME: installs a version, waits until it is up in another process, and keeps NAME.
install() {
    before=$(main)
    get install "$packages/$1/boxcam.deb" || fail "$2: apt-get failed"
    wait_for 120 is_new "$before" || fail "$2: the service is not up"
    keep "$2"
}

# sent ACTION VERSION NAME: as install.sh does it, version two with the tiny model; waits for the first frame.
sent() {
    rm -rf /tmp/sent
    mkdir /tmp/sent
    cp /guest/install/device.sh "$packages/$2/boxcam.deb" /tmp/sent
    [ "$2" = one ] || cp /guest/install/boxcam.onnx /tmp/sent
    [ "$1" = install ] || rm /tmp/sent/boxcam.deb
    sh /tmp/sent/device.sh "$1" "" 120 no "$2" >>install.log 2>&1 || fail "$3: device.sh failed"
    keep "$3"
}

trap 'journalctl --boot --unit boxcam --no-pager >journal.txt' EXIT
keep before
# Leaves apt the processor.
sed -i '1i max-rate = 2
s/^display = .*/display = "none"/' /etc/boxcam.toml
install one taken-over
sent install one sent-one
sent install two sent-two
sent rollback one rolled-back
get purge boxcam || fail "apt-get purge failed"
keep purged
install one fresh
cp $log log.jsonl
get remove boxcam || fail "apt-get remove failed"
keep removed
