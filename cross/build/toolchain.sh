# Downloads Rust's compiler and standard libraries from Debian. Sourced by build.sh.
#
# Needs: here, target, architecture (Debian's name of it), triple (of its cross compiler), work, root (where the Rust compiler is
# to lie), fail; for musl also musl (its name of the processor).
# shellcheck shell=bash
# shellcheck disable=SC2154

# shellcheck source=cross/build/lists.sh
. "$here/build/lists.sh"

# Unpacks the compiler and the host's standard library. They are not installed, because the packages conflict with rustup
# and with Debian's other rustc.
fetch_compiler() {
    [ ! -f "$root/complete" ] || return 0
    # Some names contain versions: libstd-rust-web-1.96, libllvm22.
    local library=libstd-rust-web-dev runtime llvm version
    runtime=$(depends_on "$library" libstd-rust-web-) || exit
    llvm=$(depends_on "$runtime" libllvm) || exit
    version=$(apt-cache show --no-all-versions rustc-web | sed -n 's/^Version: //p')
    rm -rf "$root"
    echo "build.sh: downloading rustc-web" >&2
    unpack "$root" apt-get -qq -o APT::Sandbox::User= download \
        "rustc-web=$version" "$library=$version" "$runtime=$version" "$llvm"
    echo "$version" >"$root/complete"
}

# Unpacks the target's standard library, of the same version as the compiler.
fetch_library() {
    [ ! -f "$root/complete-$architecture" ] || return 0
    local name=libstd-rust-web-dev version uri checksum
    version=$(cat "$root/complete")
    echo "build.sh: downloading $name for $architecture" >&2
    if read_lists "$work/apt-$architecture" && apt-cache "${foreign[@]}" show "$name=$version" &>/dev/null; then
        unpack "$root" apt-get "${foreign[@]}" download "$name=$version"
    else
        # Mirrors had invalid lists of armhf for weeks. The package has the same name as the one of the host's
        # architecture, and a known checksum.
        checksum=$(known_checksum "$version") || exit
        uri=$(apt-get download --print-uris "$name=$version" |
            sed -n "s/^'\(.*\)_[a-z0-9]*\.deb'.*/\1_$architecture.deb/p")
        unpack "$root" /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User= download-file \
            "$uri" "$name.deb" "SHA256:$checksum"
    fi
    touch "$root/complete-$architecture"
}

known_checksum() {
    case $architecture-$1 in
        armhf-1.96.0+dfsg1-1~deb12u2) echo b9f9dd1d03a903680f918cb2bba00a2a3d76558545d5e6a8061072ab461bb989 ;;
        *) fail 3 "$(tail -n 1 "$work/apt-$architecture/log"); no checksum is known for $1 of $architecture" ;;
    esac
}

# Unpacks the source of Rust's standard library, for targets for which Debian has no build of it.
fetch_source() {
    local version into=$root/usr/lib/rustlib/src/rust
    [ ! -e "$into/library" ] || return 0
    version=$(cat "$root/complete")
    echo "build.sh: downloading the source of the standard library" >&2
    unpack "$root" apt-get -qq -o APT::Sandbox::User= download "rust-web-src=$version"
    mkdir -p "$into"
    ln -sfn "$(echo "$root"/usr/src/rustc-*/library)" "$into/library"
}

# Compiles the first and last object of a program for Windows, which come with a built standard library.
fetch_windows() {
    local into=$root/usr/lib/rustlib/$target/lib object
    fetch_source
    mkdir -p "$into"
    for object in rsbegin rsend; do
        [ -f "$into/$object.o" ] || RUSTC_BOOTSTRAP=1 LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu "$root/usr/bin/rustc" \
            --target "$target" --emit obj -o "$into/$object.o" \
            "$root/usr/lib/rustlib/src/rust/library/rtstartup/$object.rs" || fail 3 "$object.o of $target cannot be compiled"
    done
}

# Unpacks the parts of a static program: the source of Rust's standard library; musl; and LLVM's unwinder, because GCC's needs
# glibc. Creates a linker, $root/musl-ARCHITECTURE/cc.
fetch_musl() {
    local into=$root/musl-$architecture library
    [ ! -f "$into/complete" ] || return 0
    fetch_source
    echo "build.sh: downloading musl" >&2
    read_lists "$work/apt-$architecture" || fail 3 "$(tail -n 1 "$work/apt-$architecture/log")"
    unpack "$into" apt-get "${foreign[@]}" download musl-dev libunwind-16-dev
    library=$into/usr/lib/$musl
    # The specs contain the installation path.
    sed "s#/usr/\(lib\|include\)/$musl#$into&#g" "$library/musl-gcc.specs" >"$into/specs"
    printf '#!/bin/sh\nexec %s-gcc "$@" -specs "%s/specs"\n' "$triple" "$into" >"$into/cc"
    chmod +x "$into/cc"
    cp "$into/usr/lib/llvm-16/lib/libunwind.a" "$library/"
    "$into/cc" -O2 -U_FORTIFY_SOURCE -c "$here/build/musl/fortify.c" -o "$into/fortify.o"
    "$triple-ar" r "$library/libunwind.a" "$into/fortify.o"
    touch "$into/complete"
}
