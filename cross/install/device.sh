#!/bin/sh
# The half of cross/install.sh that runs on the board, as root, with what any Debian has. It lies in a folder of its own
# beside the files to install: boxcam, boxcam.service, boxcam.toml, and boxcam.onnx where a model was given.
#
# usage: device.sh install|rollback ROOT WAIT_SECONDS DRY(yes|no) ID
#
# A version is a folder named after what is in it, so that the same version again changes nothing. `current` and
# `previous` are links to such folders, and changing a link is all that a switch is.
set -eu

action=$1 root=${2%/} patience=$3 dry=$4 id=$5
here=$(cd "$(dirname "$0")" && pwd)
# What a login by ssh has as its path may lack useradd's.
PATH=$PATH:/usr/sbin:/sbin
library=$root/usr/local/lib/boxcam
# Where systemd runs the system that is installed to; a folder, or a card in a reader, is only prepared.
live=no
[ -n "$root" ] || [ ! -d /run/systemd/system ] || live=yes

say() { echo "board: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Does something, or says that it would.
act() {
    if [ "$dry" = yes ]; then
        say "would: $*"
    else
        "$@"
    fi
}

# version LINK: the version that a link is for; empty where there is none.
version() {
    basename "$(readlink "$library/$1" 2>/dev/null || true)"
}

# point LINK VERSION: in one step, so that a power cut leaves the old or the new one.
point() {
    ln -sfn "versions/$2" "$library/$1.new"
    sync
    mv -T "$library/$1.new" "$library/$1"
}

# The C library, the processor, a damaged copy: a program that does not even start here must not replace one that does.
prove() {
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
    # All of it is on the disk before its name is.
    sync
    mv "$library/versions/.new" "$library/versions/$id"
}

# What is of the system and not of a version: the path of the program, and the unit where systemd looks for it.
place_links() {
    mkdir -p "$root/usr/local/bin" "$root/etc/systemd/system"
    ln -sfn ../lib/boxcam/current/boxcam "$root/usr/local/bin/boxcam"
    put "$library/current/boxcam.service" "$root/etc/systemd/system/boxcam.service" 644 0
}

# The options, if there are none. A broker's password may be among them.
place_options() {
    if [ ! -e "$root/etc/boxcam.toml" ]; then
        put "$here/boxcam.toml" "$root/etc/boxcam.toml" 640 \
            "$(sed -n 's/^boxcam:[^:]*:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/passwd")"
    fi
}

# put FROM TO MODE GROUP: whole or not at all. Without the rights to do so in a folder, the owner stays who it is.
put() {
    cp "$1" "$2.new"
    chown "0:$4" "$2.new" 2>/dev/null || [ -n "$root" ]
    chmod "$3" "$2.new"
    mv "$2.new" "$2"
}

# Versions that neither link is for.
forget_old() {
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

# Starts it, and waits until it says that a frame went through the model.
start_service() {
    if [ "$live" = no ]; then
        [ -z "$root" ] || act systemctl --root="$root" enable --quiet boxcam.service
        say "no systemd runs in ${root:-this system}: nothing was started"
        return
    fi
    systemctl daemon-reload
    systemctl enable --quiet boxcam
    # Started is what it is only with the first frame.
    systemctl --no-block restart boxcam
    waited=0
    until is_active; do
        if [ "$waited" -ge "$patience" ]; then
            journalctl --unit boxcam --lines 10 --no-pager || true
            fail "boxcam has seen no frame after $patience s. 'boxcam doctor --config /etc/boxcam.toml' on the board" \
                "says what is wrong; --rollback goes back to $(version previous)"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    say "boxcam is up"
}

install_version() {
    prove
    if [ "$(version current)" = "$id" ]; then
        say "version $id is there already"
        # What of it was removed by hand comes back; what runs goes on.
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
            say "would make $root/etc/boxcam.toml"
        fi
        add_user
        say "would restart the service and wait up to $patience s for its first frame"
        return
    fi
    add_user
    place_version
    before=$(version current)
    [ -z "$before" ] || point previous "$before"
    point current "$id"
    place_links
    place_options
    forget_old
    say "installed version $id${before:+; $before is kept}"
    start_service
}

roll_back() {
    now=$(version current)
    before=$(version previous)
    [ -n "$before" ] || fail "there is no version before ${now:-any}"
    if [ "$dry" = yes ]; then
        say "would go back from $now to $before and restart the service"
        return
    fi
    point current "$before"
    point previous "$now"
    place_links
    say "back at version $before; $now is kept"
    start_service
}

case $action in
    install) install_version ;;
    rollback) roll_back ;;
    *) fail "no action $action" ;;
esac
