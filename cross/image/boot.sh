#!/usr/bin/env bash
# Boots a card image in an emulator by UEFI, and checks updates and rollback.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$(dirname "$here")")

usage() {
    cat <<'TEXT'
usage: cross/image/boot.sh [--binary FILE] [--deadline SECONDS] [IMAGE]

Boots a copy of IMAGE (default: target/image/boxcam.img) three times in an emulated 64 bit ARM computer, with the kernel's
vivid as camera, and cuts the power after each boot:
  1. boxcam becomes healthy, and its image is on the screen;
  2. with an update on the card: it is installed, becomes healthy and stays;
  3. with an update that does not run: it is rolled back, and the previous version becomes healthy.
Then every line of the log must be valid.

  --binary FILE        the program on the card, from which the update is made; default: read from IMAGE
  --deadline SECONDS   timeout of each boot; default: 300

Screen and console of each boot are written to target/image/out. Needs qemu-system-aarch64 and its UEFI (Debian:
qemu-system-arm, qemu-efi-aarch64), mtools, e2fsprogs and python3.

Exit code: 0: all checks passed; 1: a check failed; 2: wrong usage; 3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "boot.sh: $*" >&2
    exit "$code"
}

emulator=""
stop() {
    [ -z "$emulator" ] || kill -9 "$emulator" 2>/dev/null || true
    wait "$emulator" 2>/dev/null || true
    emulator=""
}

# cut_power: while boxcam runs, once some lines are on the disk and some are not. The time is for a busy machine.
cut_power() {
    sleep 25
    stop
    echo "[$((SECONDS - started)) s] $name: power cut"
}

# start NAME: the computer, its console into out/NAME.log.
start() {
    name=$1
    started=$SECONDS
    rm -f "$work/monitor"
    qemu-system-aarch64 -machine virt -accel "tcg,thread=multi" -cpu cortex-a72 -smp 2 -m 1024 -bios "$firmware" \
        -drive "file=$card,format=raw,if=none,id=card" -device virtio-blk-pci,drive=card \
        -device virtio-gpu-pci,xres=640,yres=480 -net none -display none -no-reboot \
        -serial "file:$out/$name.log" -monitor "unix:$work/monitor,server,nowait" </dev/null 2>"$out/$name.err" 9>&- &
    emulator=$!
}

# await TEXT: waits until the console has it.
await() {
    while [ $((SECONDS - started)) -lt "$deadline" ]; do
        if grep -aq "$1" "$out/$name.log" 2>/dev/null; then
            echo "[$((SECONDS - started)) s] $name: $1"
            return 0
        fi
        kill -0 "$emulator" 2>/dev/null || break
        sleep 1
    done
    tail -n 20 "$out/$name.log" "$out/$name.err" >&2
    fail 1 "$name: no '$1' in $((SECONDS - started)) s"
}

# The camera's image must be on the screen: vivid's eight bars.
screenshot() {
    printf 'screendump %s -f ppm\n' "$out/$name.ppm" | monitor
    python3 - "$out/$name.ppm" <<'PYTHON' || fail 1 "$name: the camera's picture is not on the screen"
import sys
kind, size, _, pixels = open(sys.argv[1], "rb").read().split(b"\n", 3)
width, height = map(int, size.split())
bars = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
for number, bar in enumerate(bars):
    at = 3 * (height * 5 // 8 * width + (2 * number + 1) * width // 16)
    if any(abs(seen - 192 * lit) > 24 for seen, lit in zip(pixels[at:at + 3], bar)):
        sys.exit(f"bar {number} is {tuple(pixels[at:at + 3])}")
PYTHON
    echo "[$((SECONDS - started)) s] $name: the camera's picture is on the screen"
}

monitor() {
    python3 -c '
import socket, sys, time
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.stdin.buffer.read())
time.sleep(2)' "$work/monitor"
}

# offer FILE: puts an update on the card.
offer() {
    mmd -D s -i "$card@@1M" ::update 2>/dev/null || true
    (cd "$work" && sha256sum "$(basename "$1")" >"$work/boxcam.sha256")
    mcopy -o -i "$card@@1M" "$1" ::update/boxcam
    mcopy -o -i "$card@@1M" "$work/boxcam.sha256" ::update/boxcam.sha256
}

# extract NUMBER FILE: copies a partition; e2fsck cannot repair one inside an image.
extract() {
    local start size
    read -r start size < <(sfdisk --dump "$card" | sed -n "s/^.*$1 : start= *\([0-9]*\), size= *\([0-9]*\),.*/\1 \2/p")
    dd if="$card" of="$2" bs=512 skip="$start" count="$size" conv=sparse status=none
}

# take PARTITION PATH FILE: copies a file from an ext4 partition.
take() {
    debugfs -R "dump $2 $3" "$1" 2>/dev/null
    [ -s "$3" ] || fail 1 "the card has no $2"
}

prepare() {
    mkdir -p "$out"
    rm -rf "${out:?}"/*
    cp --sparse=always "$image" "$card"
    if [ -z "$binary" ]; then
        binary=$work/boxcam.factory
        extract 2 "$work/part"
        take "$work/part" /usr/lib/boxcam/boxcam "$binary"
        rm "$work/part"
    fi
    sed 's/^modules=.*/modules=vivid/; s/^trial=.*/trial=240/' "$here/appliance.txt" >"$work/appliance.txt"
    mcopy -o -i "$card@@1M" "$work/appliance.txt" ::appliance.txt
    # Every frame is logged, so that the power is cut while it is written.
    sed 's/^lines = .*/lines = "frames"/' "$here/boxcam.toml" >"$work/boxcam.toml"
    mcopy -o -i "$card@@1M" "$work/boxcam.toml" ::boxcam.toml
}

# Every line must be complete, except for the last one, which the power cut may truncate.
check_log() {
    local code=0
    # As at boot: the journal is replayed, and the file system must be consistent.
    extract 3 "$work/part"
    e2fsck -p "$work/part" >"$out/e2fsck.log" 2>&1 || code=$?
    [ "$code" -le 1 ] || fail 1 "the data partition is damaged; see $out/e2fsck.log"
    take "$work/part" /log/boxcam.jsonl "$out/boxcam.jsonl"
    python3 - "$out/boxcam.jsonl" <<'PYTHON' || fail 1 "the log is damaged"
import json, sys
lines = open(sys.argv[1], "rb").read().split(b"\n")
torn = lines.pop()
starts = frames = 0
for line in lines:
    entry = json.loads(line)
    starts += entry.get("state") == "live"
    frames += "detection" in entry
print(f"log: {len(lines)} whole lines, {frames} frames, {starts} starts, {len(torn)} bytes torn")
sys.exit(starts < 3 or frames < 6)
PYTHON
}

binary="" image="" deadline=300
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --binary | --deadline)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --binary) binary=$2 ;;
                --deadline) deadline=$2 ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$image" ] || fail 2 "only one image; see --help"
            image=$1 ;;
    esac
    shift
done
work=$repository/target/image
image=${image:-$work/boxcam.img}
card=$work/card.img
out=$work/out
PATH=$PATH:/usr/sbin:/sbin
firmware=/usr/share/qemu-efi-aarch64/QEMU_EFI.fd
for program in qemu-system-aarch64 mcopy debugfs e2fsck sfdisk python3; do
    command -v "$program" >/dev/null || fail 3 "$program is not installed; see --help"
done
for file in "$image" "$firmware" ${binary:+"$binary"}; do
    [ -f "$file" ] || fail 3 "$file does not exist; see --help"
done
exec 9>"$work/lock"
flock -w 600 9 || fail 3 "another run uses $work"
trap 'stop; rm -f "$card" "$work"/{monitor,part,new,broken,appliance.txt,boxcam.factory,boxcam.sha256,boxcam.toml}' EXIT
prepare

start 1-first
await "slot factory is healthy"
screenshot
cut_power

# The update only has to be a different file.
{ cat "$binary"; echo; } >"$work/new"
offer "$work/new"
start 2-update
await "installed the update in slot a"
await "slot a is healthy and stays"
cut_power

printf '#!/bin/sh\nexit 1\n' >"$work/broken"
offer "$work/broken"
start 3-broken
await "slot b was never healthy; rolled back to slot a"
await "slot a is healthy"
cut_power
check_log
