#!/usr/bin/env bash
# Builds boxcam for 64 and 32 bit ARM boards and for Windows, and runs it under qemu or Wine, on a Debian machine without docker or
# rustup's targets.
# The compiler and its standard libraries are Debian's rustc-web, unpacked and not installed; linker, C library and qemu are
# Debian packages, from the list that the image of `cross build` uses too.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
# shellcheck source=cross/build/toolchain.sh
. "$here/build/toolchain.sh"

usage() {
    cat <<'TEXT'
usage: cross/build.sh TARGET [--emulated] [CARGO ARGUMENTS]

Runs cargo for an ARM board or for Windows; tests, examples and `cargo run` are run under qemu or Wine.

  TARGET           aarch64-unknown-linux-gnu: Raspberry Pi 3, 4, 5 and Zero 2 W with a 64 bit system
                   armv7-unknown-linux-gnueabihf: the same, and Pi 2, with a 32 bit system
                   aarch64-unknown-linux-musl: any 64 bit system; static, and therefore without a window
                   x86_64-pc-windows-gnu: Windows 10 and later, without cameras
  --emulated       the build of the tests on emulated processors and boards: the profile `emulated`, which is quick to build, with
                   the features of such a board
  CARGO ARGUMENTS  default: `build --release`. --target is added

Results are in target/cross/TARGET. Missing Debian packages are installed (cross compiler, C library, qemu or Wine), with sudo
unless root; the Rust compiler is unpacked into target/cross/toolchain, 700 MB, once; delete it to get a newer one.
QEMU_CPU selects the processor to emulate, for example: QEMU_CPU=cortex-a53 cross/build.sh TARGET test --lib

Exit code: cargo's; 2: wrong usage; 3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "build.sh: $*" >&2
    exit "$code"
}

[ $# -ge 1 ] || fail 2 "missing TARGET; see --help"
# musl: musl's name of the processor. builds_std: Debian has no standard library for the target.
musl="" builds_std=no
case $1 in
    -h | --help) usage; exit 0 ;;
    # Debian's names of the architecture and the compiler, and qemu's program.
    aarch64-unknown-linux-gnu) architecture=arm64 triple=aarch64-linux-gnu emulator=qemu-aarch64 ;;
    armv7-unknown-linux-gnueabihf) architecture=armhf triple=arm-linux-gnueabihf emulator=qemu-arm ;;
    aarch64-unknown-linux-musl)
        architecture=arm64 triple=aarch64-linux-gnu emulator=qemu-aarch64 musl=aarch64-linux-musl builds_std=yes
        ;;
    x86_64-pc-windows-gnu) architecture=windows triple=x86_64-w64-mingw32 emulator=/usr/lib/wine/wine64 builds_std=yes ;;
    *) fail 2 "unknown target $1; see --help" ;;
esac
target=$1
shift
kind=()
if [ "${1:-}" = --emulated ]; then
    kind=(--profile emulated --locked --no-default-features --features "camera,framebuffer,embedded-model,web")
    shift
fi
if [ $# -eq 0 ]; then
    set -- build --release
    # A window loads X11 and Wayland at run time.
    [ -z "$musl" ] || set -- "$@" --package boxcam --no-default-features \
        --features camera,framebuffer,demo,embedded-coco,embedded-model,mqtt,web
fi

built=${CARGO_TARGET_DIR:-$repository/target}/cross
work=$repository/target/cross
root=$work/toolchain
mkdir -p "$work"
exec 9>"$work/lock"
flock -w 600 9 || fail 3 "another run downloads into $work"
"$here/build/install.sh" "$architecture"
fetch_compiler
case $target in
    *-musl) fetch_library && fetch_musl ;;
    *-windows-gnu) fetch_windows ;;
    *) fetch_library ;;
esac
exec 9>&-

lower=${target//-/_}
upper=${lower^^}
export CARGO_TARGET_DIR=$built
export RUSTC=$root/usr/bin/rustc
export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export "CARGO_TARGET_${upper}_LINKER=$triple-gcc"
case $target in
    *-windows-gnu) export "CARGO_TARGET_${upper}_RUNNER=$emulator" ;;
    *) export "CARGO_TARGET_${upper}_RUNNER=$emulator -L /usr/$triple" ;;
esac
export "CC_$lower=$triple-gcc"
if [ "$builds_std" = yes ]; then
    # The standard library is built with the program, an unstable feature of cargo.
    export RUSTC_BOOTSTRAP=1
    kind+=("-Zbuild-std=std,panic_unwind")
fi
if [ -n "$musl" ]; then
    own=$root/musl-$architecture flags=CARGO_TARGET_${upper}_RUSTFLAGS
    export "CARGO_TARGET_${upper}_LINKER=$own/cc" "CARGO_TARGET_${upper}_RUNNER=$emulator" "CC_$lower=$own/cc"
    export "$flags=${!flags:-} -C link-self-contained=no -C target-feature=+crt-static -C relocation-model=static \
-L native=$own/usr/lib/$musl"
fi
# --target must be before a `--`.
subcommand=$1
shift
cd "$repository"
exec cargo "$subcommand" --target "$target" "${kind[@]}" "$@"
