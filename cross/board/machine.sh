# The computer in motion: starts it, answers what it asks for, fetches what it wrote. Sourced by board.sh.
#
# Wants: work, out, initramfs, tests, deadline, emulator (array of the target: the program and its machine),
# kernel, command_line. The guest asks on its second serial port, a line each: `screendump NAME`, `say WORDS`,
# `done CODE`; the first two are answered with `ok`.
# shellcheck shell=bash
# shellcheck disable=SC2154

emulator_id=""

run_machine() {
    command -v "${emulator[0]}" >/dev/null || fail 3 "${emulator[0]} is not there; install Debian's qemu-system"
    local started=$SECONDS
    rm -rf "$out" "$work"/talk.* "$work"/monitor.* "$work/disk"
    mkdir -p "$out"
    mkfifo "$work"/{talk,monitor}.{in,out}
    truncate -s 512M "$work/disk"
    trap end_machine EXIT
    # The lock is not for the emulator to keep.
    "${emulator[@]}" -kernel "$kernel" -initrd "$initramfs" \
        -append "$command_line tests=$(IFS=,; echo "${tests[*]}")" \
        -serial "file:$out/console.log" -serial "pipe:$work/talk" -monitor "pipe:$work/monitor" \
        -display none -no-reboot </dev/null >"$out/emulator.log" 2>&1 9>&- &
    emulator_id=$!
    # Both directions are opened for reading and writing, so that nobody waits for the other.
    exec 3<>"$work/talk.in" 4<>"$work/talk.out" 5<>"$work/monitor.in" 6<>"$work/monitor.out"
    answer "$started"
}

# Answers the guest until it is done.
answer() {
    local started=$1 word rest
    while [ $((SECONDS - started)) -lt "$deadline" ]; do
        kill -0 "$emulator_id" 2>/dev/null || break
        # What the monitor prints is not needed, but must not fill its pipe.
        while read -r -t 0.01 -n 4096 _ <&6; do :; done
        read -r -t 2 word rest <&4 || continue
        rest=${rest%$'\r'}
        case $word in
            say) echo "[$((SECONDS - started)) s] $rest" ;;
            screendump) screendump "$out/$rest.png" ;;
            done)
                collect
                echo "[$((SECONDS - started)) s] done with code ${rest:-?}; see $out"
                [ "$rest" = 0 ] || exit 1
                return 0 ;;
        esac
        echo ok >&3
    done
    tail -n 20 "$out/console.log" "$out/emulator.log" >&2
    fail 1 "the computer gave no last word in $((SECONDS - started)) s (at most $deadline)"
}

screendump() {
    local file=$1
    mkdir -p "$(dirname "$file")"
    echo "screendump $file -f png" >&5
    for _ in {1..100}; do
        tail -c 8 "$file" 2>/dev/null | grep -aq IEND && return 0
        sleep 0.1
    done
    echo "board.sh: no screenshot $file" >&2
}

# The guest wrote a tar file straight onto its disk.
collect() {
    tar -x -f "$work/disk" -C "$out"
}

end_machine() {
    if [ -n "$emulator_id" ]; then
        kill "$emulator_id" 2>/dev/null || true
        wait "$emulator_id" 2>/dev/null || true
    fi
    rm -f "$work"/talk.* "$work"/monitor.* "$work/disk"
}
