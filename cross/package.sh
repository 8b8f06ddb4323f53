#!/usr/bin/env bash
# Makes a Debian package and a tarball of boxcam for one target. Needs only dpkg-deb, gzip, tar and the binutils of the target
# beside the builds.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")

usage() {
    cat <<'TEXT'
usage: cross/package.sh [OPTIONS] TARGET

Writes boxcam_VERSION_ARCHITECTURE.deb and boxcam-VERSION-TARGET.tar.gz to target/package.

  TARGET            x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu or armv7-unknown-linux-gnueabihf
  --binary FILE     the program; default: target/TARGET/release/boxcam or target/cross/TARGET/release/boxcam,
                    for x86_64 also target/release/boxcam
  --manual FOLDER   man pages and completions; default: made by `cargo run --example manual`
  --maintainer WHO  `NAME <ADDRESS>` in the package; default: the author of the last commit
  --output FOLDER   default: target/package
  --no-tarball      writes only the package

The package installs the program, its unit (enabled and started), a user of its own, man pages, completions, the models in
/usr/share/boxcam/models and the options in /etc/boxcam/boxcam.toml, which dpkg keeps when they were changed. The tarball has
the same files without the service, for any folder. In both the program is stripped; the build keeps its function names.

The time stamps are those of the last commit (SOURCE_DATE_EPOCH replaces them), so the same program gives the same package.

Exit code: 0: done; 2: wrong usage; 3: something is missing on this machine.
TEXT
}

fail() {
    local code=$1
    shift
    echo "package.sh: $*" >&2
    exit "$code"
}

target="" binary="" manual="" maintainer="" output=$repository/target/package with_tarball=yes
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --no-tarball) with_tarball=no ;;
        --binary | --manual | --maintainer | --output)
            [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
            case $1 in
                --binary) binary=$2 ;;
                --manual) manual=$2 ;;
                --maintainer) maintainer=$2 ;;
                --output) output=$2 ;;
            esac
            shift ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [ -z "$target" ] || fail 2 "only one target; see --help"
            target=$1 ;;
    esac
    shift
done
case $target in
    x86_64-unknown-linux-gnu) architecture=amd64 triple=x86_64-linux-gnu ;;
    aarch64-unknown-linux-gnu) architecture=arm64 triple=aarch64-linux-gnu ;;
    armv7-unknown-linux-gnueabihf) architecture=armhf triple=arm-linux-gnueabihf ;;
    "") fail 2 "missing TARGET; see --help" ;;
    *) fail 2 "unknown target $target; see --help" ;;
esac
command -v dpkg-deb >/dev/null || fail 3 "dpkg-deb is not installed; packages are made on Debian or Ubuntu"
command -v "$triple-strip" >/dev/null ||
    fail 3 "$triple-strip is not installed (Debian: apt install binutils-${triple//_/-})"

find_binary() {
    local folders=("$repository/target/$target" "$repository/target/cross/$target") folder
    [ "$architecture" != amd64 ] || folders+=("$repository/target")
    for folder in "${folders[@]}"; do
        binary=$folder/release/boxcam
        [ ! -x "$binary" ] || return 0
    done
    fail 3 "boxcam is not built for $target; run: cross/build.sh $target, or for this machine: cargo build --release"
}

[ -n "$binary" ] || find_binary
[ -f "$binary" ] || fail 3 "$binary does not exist"
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml")
[ -n "$version" ] || fail 3 "Cargo.toml has no version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$manual" ]; then
    manual=$work/manual
    (cd "$repository" && cargo run --quiet --release --locked --example manual -- "$manual")
fi
[ -n "$maintainer" ] || maintainer=$(git -C "$repository" log -1 --format='%an <%ae>' 2>/dev/null) ||
    fail 3 "this is no git checkout; give --maintainer 'NAME <ADDRESS>'"
[[ $maintainer == *" <"*@*">" ]] || fail 2 "--maintainer needs 'NAME <ADDRESS>'"
[ -f "$manual/boxcam.1" ] || fail 3 "$manual has no boxcam.1"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct 2>/dev/null || stat -c %Y "$repository/Cargo.toml")}
export SOURCE_DATE_EPOCH
umask 022

# As Debian's dh_strip does it. The build id stays, by which a debugger finds the program that has the names.
strip_program() {
    "$triple-strip" --remove-section=.comment --remove-section=.note -o "$work/boxcam" "$binary" ||
        fail 3 "$binary cannot be stripped: it is no program for $target"
}

# put FILE FOLDER [NAME]: a copy that all may read.
put() {
    install -D -m 644 "$1" "$2/${3:-$(basename "$1")}"
}

# The files that the package and the tarball share, under a prefix.
place_shared() {
    local prefix=$1 page
    install -D -m 755 "$work/boxcam" "$prefix/bin/boxcam"
    for page in "$manual"/*.1; do
        put "$page" "$prefix/share/man/man1"
    done
    gzip -9 -n "$prefix"/share/man/man1/*.1
    put "$manual/boxcam.bash" "$prefix/share/bash-completion/completions" boxcam
    put "$manual/boxcam.fish" "$prefix/share/fish/vendor_completions.d"
    put "$manual/_boxcam" "$prefix/share/zsh/vendor-completions"
    put "$repository/models/coco.onnx" "$prefix/share/boxcam/models"
    put "$repository/models/snacks.onnx" "$prefix/share/boxcam/models"
    put "$repository/models/snacks-objects.onnx" "$prefix/share/boxcam/models"
    put "$repository/models/snacks-small.onnx" "$prefix/share/boxcam/models"
    put "$repository/docs/boxcam.toml" "$prefix/share/doc/boxcam/examples" boxcam.toml
    put "$here/package/copyright" "$prefix/share/doc/boxcam"
}

# The unit of install.sh with the paths of the package.
package_unit() {
    sed -e '1,2c # Put your changes into a drop-in, which updates do not overwrite: systemctl edit boxcam' \
        -e 's|^ExecStart=.*|ExecStart=/usr/bin/boxcam run --config /etc/boxcam/boxcam.toml|' "$here/boxcam.service"
}

make_changelog() {
    printf 'boxcam (%s) stable; urgency=medium\n\n  * CHANGELOG.md of the source has the changes.\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

make_package() {
    local root=$work/root control=$work/root/DEBIAN script
    place_shared "$root/usr"
    mkdir -p "$root/usr/lib/systemd/system" "$control"
    package_unit >"$root/usr/lib/systemd/system/boxcam.service"
    put "$here/package/sysusers.conf" "$root/usr/lib/sysusers.d" boxcam.conf
    put "$here/package/boxcam.toml" "$root/etc/boxcam"
    make_changelog | gzip -9 -n >"$root/usr/share/doc/boxcam/changelog.gz"
    for script in preinst postinst prerm postrm; do
        install -m 755 "$here/package/$script" "$control/$script"
    done
    echo /etc/boxcam/boxcam.toml >"$control/conffiles"
    sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@MAINTAINER@/${maintainer//\//}/" \
        -e "s/@SIZE@/$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)/" "$here/package/control" >"$control/control"
    (cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$control/md5sums"
    dpkg-deb --root-owner-group -Zxz --build "$root" "$output/boxcam_${version}_$architecture.deb" >/dev/null
}

make_tarball() {
    local name=boxcam-$version-$target
    place_shared "$work/$name"
    put "$repository/README.md" "$work/$name"
    put "$repository/LICENSE-MIT" "$work/$name"
    put "$repository/LICENSE-APACHE" "$work/$name"
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" |
        gzip -9 -n >"$output/$name.tar.gz"
}

mkdir -p "$output"
strip_program
make_package
echo "written: $output/boxcam_${version}_$architecture.deb"
[ "$with_tarball" = yes ] || exit 0
make_tarball
echo "written: $output/boxcam-$version-$target.tar.gz"
