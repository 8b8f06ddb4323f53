# Runs the computer: starts it, answers its requests, collects its results. Sourced by board.sh.
#
# Needs: work, out, initramfs, tests, deadline, kernel; of the target: emulator (array: the program and its machine, with
# the chardevs `console` and `control` in its serial ports) and command_line. The guest sends requests on its port `control`, one per line:
# `screendump NAME` and `say WORDS`, which are answered with `ok`, `cut CODE NAME` and `done CODE`.
# shellcheck shell=bash
# shellcheck disable=SC2154

emulator_id=""

# Start of the disk's second half, to which the guest writes its results as a tar file. The first half is a file system.
HALF_MIB=256

run_machine() {
    command -v "${emulator[0]}" >/dev/null || fail 3 "${emulator[0]} is not installed (Debian: qemu-system-x86 or qemu-system-arm)"
    local started=$SECONDS code=0 boot=0 asked
    rm -rf "$out"
    mkdir -p "$out"
    make_disk
    trap end_machine EXIT
    while :; do
        boot=$((boot + 1))
        start_machine "$boot"
        answer "$started"
        collect
        case $asked in
            done) break ;;
            # The script that requested the power cut is run first.
            cut) while [ "${tests[0]}" != "$rest" ]; do tests=("${tests[@]:1}"); done ;;
        esac
        stop_machine
    done
    echo "[$((SECONDS - started)) s] done with code $code; see $out"
    [ "$code" -eq 0 ] || exit 1
}

# Creates a disk whose first half is an empty file system. An SD card's size must be a power of two.
make_disk() {
    local maker
    maker=$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs) || fail 3 "mke2fs is not installed (Debian: apt install e2fsprogs)"
    rm -f "$work/disk"
    truncate -s "$((2 * HALF_MIB))M" "$work/disk"
    "$maker" -q -F -t ext4 "$work/disk" "${HALF_MIB}m" || fail 3 "mke2fs failed on $work/disk"
}

start_machine() {
    rm -f "$work"/control.* "$work"/monitor.*
    mkfifo "$work"/{control,monitor}.{in,out}
    # Parameters unknown to the kernel become the environment of the guest's init. The emulator must not inherit the
    # lock.
    "${emulator[@]}" -kernel "$kernel" -initrd "$initramfs" \
        -append "$command_line $COMMON tests=$(IFS=,; echo "${tests[*]}") boot=$1 half=$HALF_MIB" \
        -chardev "file,id=console,path=$out/console.log,append=on" -chardev "pipe,id=control,path=$work/control" \
        -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor \
        -display none -no-reboot </dev/null >>"$out/emulator.log" 2>&1 9>&- &
    emulator_id=$!
    # Both directions are opened for reading and writing, so that open does not block.
    exec 3<>"$work/control.in" 4<>"$work/control.out" 5<>"$work/monitor.in" 6<>"$work/monitor.out"
}

COMMON="quiet loglevel=4 panic=-1 consoleblank=0 rdinit=/guest/init"

# Answers the guest until it is done or requests a power cut, and sets `asked` to the request, `code` to 1 if a script
# failed, and `rest` to the script to run again.
answer() {
    local started=$1 word part line=""
    while [ $((SECONDS - started)) -lt "$deadline" ]; do
        kill -0 "$emulator_id" 2>/dev/null || break
        # Discards the monitor's output, which must not fill its pipe.
        while read -r -t 0.01 -n 4096 _ <&6; do :; done
        # A line that is not complete at the timeout is continued by the next read.
        if ! IFS= read -r -t 2 part <&4; then
            line+=$part
            continue
        fi
        read -r word rest <<<"${line}${part%$'\r'}"
        line=""
        case $word in
            say) echo "[$((SECONDS - started)) s] $rest" ;;
            screendump) screendump "$out/$rest.png" ;;
            cut | done)
                asked=$word
                [ "$word" = "done" ] || cut_power
                [ "${rest%% *}" = 0 ] || code=1
                rest=${rest#* }
                return 0 ;;
        esac
        echo ok >&3
    done
    tail -n 20 "$out/console.log" "$out/emulator.log" >&2
    fail 1 "the computer did not finish in $((SECONDS - started)) s (at most $deadline)"
}

screendump() {
    local file=$1 tenth
    mkdir -p "$(dirname "$file")"
    for tenth in {0..299}; do
        # On a busy machine the request may get lost. It is repeated every 10 s, because a late answer overwrites the file.
        [ $((tenth % 100)) -ne 0 ] || [ -e "$file" ] || echo "screendump $file -f png" >&5
        tail -c 8 "$file" 2>/dev/null | grep -aq IEND && return 0
        sleep 0.1
    done
    echo "board.sh: the screenshot $file was not written" >&2
}

# Unpacks the tar file that the guest wrote to its disk.
collect() {
    tar -x -m -C "$out" -f - < <(tail -c "+$((HALF_MIB * 1024 * 1024 + 1))" "$work/disk")
}

# Kills the emulator at once: only data on the disk is kept.
cut_power() {
    kill -KILL "$emulator_id"
    echo "[$((SECONDS - started)) s] power cut"
}

stop_machine() {
    [ -n "$emulator_id" ] || return 0
    kill "$emulator_id" 2>/dev/null || true
    wait "$emulator_id" 2>/dev/null || true
    emulator_id=""
}

end_machine() {
    stop_machine
    rm -f "$work"/control.* "$work"/monitor.* "$work/disk"
}
