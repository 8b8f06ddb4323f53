#!/bin/sh
# The part of cross/install.sh that runs on the board, as root, with the programs of any Debian. Beside it are the files
# to install: boxcam, boxcam.service, boxcam.toml, and optionally boxcam.onnx.
#
# usage: device.sh install|rollback ROOT WAIT_SECONDS DRY(yes|no) ID
#
# A version is a folder named by the checksum of its files, so that installing it again changes nothing. `current` and
# `previous` are links to such folders; switching versions changes the links.
set -eu

action=$1 root=${2%/} timeout=$3 dry=$4 id=$5
here=$(cd "$(dirname "$0")" && pwd)
# The PATH of a login by ssh may lack the folder of useradd.
PATH=$PATH:/usr/sbin:/sbin
library=$root/usr/local/lib/boxcam
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
    "$here/boxcam" --version >/dev/null 2>&1 ||
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
    for file in boxcam boxcam.service boxcam.onnx; do
        [ ! -e "$here/$file" ] || cp "$here/$file" "$library/versions/.new/$file"
    done
    chmod 755 "$library/versions/.new" "$library/versions/.new/boxcam"
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

# The default options, if there are none. They may contain a broker's password.
place_options() {
    if [ ! -e "$root/etc/boxcam.toml" ]; then
        put "$here/boxcam.toml" "$root/etc/boxcam.toml" 640 \
            "$(sed -n 's/^boxcam:[^:]*:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/passwd")"
    fi
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
        [ -z "$root" ] || act systemctl --root="$root" enable --quiet boxcam.service
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
            fail "boxcam has captured no frame after $timeout s. Run 'boxcam doctor --config /etc/boxcam.toml' on the" \
                "board, or switch to $(version previous) with --rollback"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    say "boxcam is up"
}

install_version() {
    check_program
    if [ "$(version current)" = "$id" ]; then
        say "version $id is already installed"
        # Restores files that were removed by hand; a running service is left alone.
        if [ "$dry" = no ]; then
            add_user
            place_links
            place_options
            [ "$live" = yes ] && is_active && return
            start_service
        fi
        return
    fi
    if [ "$dry" = yes ]; then
        say "would install version $id in place of $(version current | grep . || echo none)"
        if [ -e "$root/etc/boxcam.toml" ]; then
            say "would keep $root/etc/boxcam.toml"
        else
            say "would create $root/etc/boxcam.toml"
        fi
        add_user
        say "would restart the service and wait up to $timeout s for its first frame"
        return
    fi
    add_user
    place_version
    before=$(version current)
    [ -z "$before" ] || point previous "$before"
    point current "$id"
    place_links
    place_options
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
    point current "$before"
    point previous "$now"
    place_links
    say "switched back to version $before; $now is kept"
    start_service
}

case $action in
    install) install_version ;;
    rollback) roll_back ;;
    *) fail "unknown action $action" ;;
esac
