#!/bin/sh
# The part of cross/install.sh that runs on the board, as root, with the programs of any Debian. Beside it are the files
# to install: boxcam.deb and optionally boxcam.toml; or without a package boxcam, boxcam.service and boxcam.toml. With both
# optionally boxcam.onnx.
#
# usage: device.sh install|rollback ROOT WAIT_SECONDS DRY(yes|no) ID
#
# A version is a folder named by the checksum of its files, so that installing it again changes nothing. `current` and
# `previous` are links to such folders; switching versions changes the links, and installs the package of the version.
set -eu

action=$1 root=${2%/} timeout=$3 dry=$4 id=$5
here=$(cd "$(dirname "$0")" && pwd)
# The PATH of a login by ssh may lack the folder of useradd.
PATH=$PATH:/usr/sbin:/sbin
library=$root/usr/local/lib/boxcam options=$root/etc/boxcam.toml
# Not below /var/lib/boxcam, which belongs to the user of the service.
packages=$root/var/lib/boxcam-versions
# In place of the model that the options name.
model_drop_in=$root/etc/systemd/system/boxcam.service.d/install-model.conf
# What dpkg keeps of the package while it is installed.
checksums=$root/var/lib/dpkg/info/boxcam.md5sums
# Whether systemd runs the target system; a folder, or a card in a reader, is only prepared.
live=no
[ -n "$root" ] || [ ! -d /run/systemd/system ] || live=yes

say() { echo "board: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Runs a command, or prints it in a dry run.
act() {
    if [ "$dry" = yes ]; then
        say "would: $*"
    else
        "$@"
    fi
}

# version LINK: the version that a link points to; empty if there is none.
version() {
    basename "$(readlink "$library/$1" 2>/dev/null || true)"
}

# point LINK VERSION: atomically, so that a power cut leaves the old or the new link.
point() {
    ln -sfn "versions/$2" "$library/$1.new"
    sync
    mv -T "$library/$1.new" "$library/$1"
}

# A program that does not start here (another processor, an older C library, a damaged copy) must not replace one that does.
check_program() {
    program=$here/boxcam
    if [ "$kind" = package ]; then
        command -v dpkg >/dev/null || fail "this system has no dpkg; install without --package"
        dpkg-deb --fsys-tarfile "$here/boxcam.deb" | tar -xf - -C "$here" ./usr/bin/boxcam ||
            fail "this is no package of boxcam; nothing was changed"
        program=$here/usr/bin/boxcam
    fi
    "$program" --version >/dev/null 2>&1 ||
        fail "this program does not run here ($(uname -m)); nothing was changed. Was it built for this board?"
}

add_user() {
    if grep -q '^boxcam:' "$root/etc/passwd" 2>/dev/null; then
        return
    fi
    # shellcheck disable=SC2086 # none or two words
    act useradd ${root:+--prefix "$root"} --system --user-group --groups video,tty --no-create-home \
        --home-dir /var/lib/boxcam --shell /usr/sbin/nologin boxcam
}

place_version() {
    if [ -d "$library/versions/$id" ]; then
        return
    fi
    mkdir -p "$library/versions"
    rm -rf "$library/versions/.new"
    mkdir "$library/versions/.new"
    for file in boxcam boxcam.service boxcam.deb boxcam.onnx; do
        [ ! -e "$here/$file" ] || cp "$here/$file" "$library/versions/.new/$file"
    done
    # For the user of the service.
    chmod 755 "$library" "$library/versions"
    chmod -R u=rwX,go=rX "$library/versions/.new"
    [ "$kind" = package ] || chmod 755 "$library/versions/.new/boxcam"
    # The data must be on the disk before the name is.
    sync
    mv "$library/versions/.new" "$library/versions/$id"
}

# The parts that are not versioned: the program's path, and the unit in systemd's folder.
place_links() {
    mkdir -p "$root/usr/local/bin" "$root/etc/systemd/system"
    ln -sfn ../lib/boxcam/current/boxcam "$root/usr/local/bin/boxcam"
    put "$library/current/boxcam.service" "$root/etc/systemd/system/boxcam.service" 644 0
}

# The options that were sent, if there are none. They may contain a broker's password. A package brings options of its own,
# takes over those of an installation without a package, and lets the user of the service read them.
place_options() {
    if [ -e "$here/boxcam.toml" ] && [ ! -e "$options" ] && [ ! -e "$root/etc/boxcam.toml" ]; then
        group=$(sed -n 's/^boxcam:[^:]*:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/passwd")
        mkdir -p "${options%/*}"
        put "$here/boxcam.toml" "$options" 640 "${group:-0}"
    fi
}

# run_package_manager PACKAGE
run_package_manager() {
    if [ -z "$root" ] && command -v apt-get >/dev/null; then
        # All builds of a release have the same version. Waits for another apt, as that of unattended-upgrades.
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --reinstall --allow-downgrades --no-remove \
            --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$1"
    else
        dpkg ${root:+"--root=$root"} --force-confold --install "$1"
    fi
}

# install_package VERSION: installs its package, which restarts the service.
install_package() {
    if ! run_package_manager "$library/versions/$1/boxcam.deb" >"$here/log" 2>&1 </dev/null; then
        cat "$here/log" >&2
        remove_old_versions
        fail "the package cannot be installed (see above); 'dpkg --status boxcam' on the board shows its state." \
            "Remove the cause and try again"
    fi
}

# place_model VERSION: the service takes the model of the version, or that of the options.
place_model() {
    model=versions/$1/boxcam.onnx
    if [ -e "$library/$model" ]; then
        mkdir -p "${model_drop_in%/*}"
        {
            echo "# The model of cross/install.sh --model. An installation without --model removes this file."
            echo "[Service]"
            echo "ExecStart="
            echo "ExecStart=/usr/bin/boxcam run --config ${options#"$root"} --model ${library#"$root"}/$model"
        } >"$model_drop_in.new"
        mv "$model_drop_in.new" "$model_drop_in"
    else
        rm -f "$model_drop_in"
    fi
}

# place_unversioned VERSION: what is outside of the folder of the current version.
place_unversioned() {
    if [ "$kind" = package ]; then
        place_model "$1"
    else
        place_links
    fi
}

# Whether the package of the current version is the installed one: another one may have been installed by hand.
is_package_installed() {
    [ -e "$checksums" ] && [ "$(dpkg-deb --info "$library/current/boxcam.deb" md5sums)" = "$(cat "$checksums")" ]
}

# put FROM TO MODE GROUP: atomically. Under --root without root rights, the owner is not changed.
put() {
    cp "$1" "$2.new"
    chown "0:$4" "$2.new" 2>/dev/null || [ -n "$root" ]
    chmod "$3" "$2.new"
    mv "$2.new" "$2"
}

# Removes the versions that neither link points to.
remove_old_versions() {
    for folder in "$library"/versions/*; do
        case $(basename "$folder") in
            "$(version current)" | "$(version previous)") ;;
            *) rm -rf "$folder" ;;
        esac
    done
}

is_active() {
    [ "$(systemctl is-active boxcam || true)" = active ]
}

# Starts the service and waits for its readiness, which it reports after the first inference.
start_service() {
    if [ "$live" = no ]; then
        # A package enables its service itself.
        [ -z "$root" ] || [ "$kind" = package ] || act systemctl --root="$root" enable --quiet boxcam.service
        say "systemd does not run in ${root:-this system}: nothing was started"
        return
    fi
    systemctl daemon-reload
    systemctl enable --quiet boxcam
    # The start job ends with the first inference only.
    systemctl --no-block restart boxcam
    waited=0
    until is_active; do
        if [ "$waited" -ge "$timeout" ]; then
            journalctl --unit boxcam --lines 10 --no-pager || true
            fail "boxcam has captured no frame after $timeout s. Run 'boxcam doctor --config $options' on the" \
                "board, or switch to $(version previous) with --rollback"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    say "boxcam is up"
}

# Whether the version that was sent is in use.
is_installed() {
    [ "$(version current)" = "$id" ] || return 1
    [ "$kind" = files ] || is_package_installed
}

# Restores files that were removed by hand; a running service is left alone.
restore() {
    if [ "$kind" = files ]; then
        add_user
        place_options
    fi
    place_unversioned "$id"
    [ "$live" = yes ] && is_active && return
    start_service
}

announce_installation() {
    say "would install version $id in place of $(version current | grep . || echo none)"
    if [ -e "$options" ] || [ -e "$root/etc/boxcam.toml" ]; then
        say "would keep the options"
    else
        say "would create $options"
    fi
    if [ "$kind" = package ]; then
        say "would install the package $(dpkg-deb --field "$here/boxcam.deb" Version)"
    else
        add_user
    fi
    say "would restart the service and wait up to $timeout s for its first frame"
}

# Two installations would hide each other's program and unit.
check_other_kind() {
    if [ "$kind" = files ] && [ -e "$checksums" ]; then
        fail "the package boxcam is installed; install without --no-package, or remove it: apt remove boxcam"
    fi
    if [ "$kind" = package ] && [ -e "$root/usr/local/lib/boxcam" ]; then
        say "the package takes over the options of the installation in /usr/local and removes its versions"
    fi
}

install_version() {
    check_program
    check_other_kind
    if is_installed; then
        say "version $id is already installed"
        [ "$dry" = yes ] || restore
        return
    fi
    if [ "$dry" = yes ]; then
        announce_installation
        return
    fi
    before=$(version current)
    # The same one again, because another package was installed by hand since.
    [ "$before" != "$id" ] || before=""
    [ "$kind" = package ] || add_user
    place_version
    if [ "$kind" = package ]; then
        place_options
        install_package "$id"
    fi
    [ -z "$before" ] || point previous "$before"
    point current "$id"
    place_unversioned "$id"
    [ "$kind" = package ] || place_options
    remove_old_versions
    say "installed version $id${before:+; $before is kept}"
    start_service
}

roll_back() {
    now=$(version current)
    before=$(version previous)
    [ -n "$before" ] || fail "there is no version before ${now:-this one}"
    if [ "$dry" = yes ]; then
        say "would switch from $now back to $before and restart the service"
        return
    fi
    [ "$kind" = files ] || install_package "$before"
    point current "$before"
    point previous "$now"
    place_unversioned "$before"
    say "switched back to version $before; $now is kept"
    start_service
}

# A package that was sent, or that was installed by this script before.
kind=files
if [ -e "$here/boxcam.deb" ] || { [ "$action" = rollback ] && [ -e "$checksums" ]; }; then
    kind=package library=$packages options=$root/etc/boxcam/boxcam.toml
fi
case $action in
    install) install_version ;;
    rollback) roll_back ;;
    *) fail "unknown action $action" ;;
esac
