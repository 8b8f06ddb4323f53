//! `cross/install.sh` on a board with dpkg: a stand-in for ssh runs the board's part on this machine, with a folder for its root
//! and a dpkg that only unpacks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use test_support::{file_names, tool_is_missing};

use crate::package::{STRIP, manual_program};
use crate::{ScriptOutput, repository, run};

const PROGRAM: &str = "usr/bin/boxcam";
const OPTIONS: &str = "etc/boxcam/boxcam.toml";
const VERSIONS: &str = "var/lib/boxcam-versions/versions";
const MODEL: &str = "etc/systemd/system/boxcam.service.d/install-model.conf";

const SSH: &str = r#"for last; do :; done
PATH=$BOARD_PATH:$PATH exec sh -c "$last""#;

/// Unpacks, and keeps the checksums where the real one does. The file `broken` lets it fail.
const DPKG: &str = r#"[ "$1" != --print-architecture ] || { echo amd64; exit; }
root=${1#--root=}
for last; do :; done
[ ! -e "$root/broken" ] || { echo "dpkg: error: broken" >&2; exit 1; }
dpkg-deb --extract "$last" "$root"
mkdir -p "$root/var/lib/dpkg/info"
dpkg-deb --info "$last" md5sums >"$root/var/lib/dpkg/info/boxcam.md5sums"
echo "$*" >>"$root/dpkg.log"
"#;

struct PackageBoard {
    place: TempDir,
}

impl PackageBoard {
    /// `None` where there is no dpkg-deb.
    fn new() -> Option<Self> {
        if tool_is_missing("dpkg-deb") {
            return None;
        }
        let place = tempfile::tempdir().expect("a folder");
        let board = Self { place };
        board.program("here/ssh", SSH);
        board.program("board/dpkg", DPKG);
        board.program("board/sudo", "shift; exec \"$@\"");
        // The man pages of the package, without a build.
        let manual = manual_program();
        let cargo = format!("for last; do :; done; exec {} \"$last\"", manual.display());
        board.program("here/cargo", &cargo);
        board.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        board.write(&format!("root/{OPTIONS}"), "source = \"demo\"\n");
        Some(board)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A file of the board.
    fn on_board(&self, name: &str) -> PathBuf {
        self.path("root").join(name)
    }

    fn read(&self, name: &str) -> String {
        let path = self.on_board(name);
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(&path, text).expect("written");
        path
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    /// A package whose program does this.
    fn package(&self, name: &str, script: &str) -> String {
        let tree = format!("{name}-tree");
        self.program(&format!("{tree}/{PROGRAM}"), script);
        let control = "Package: boxcam\nVersion: 1\nArchitecture: all\nMaintainer: A <a@debian.org>\nDescription: test\n";
        self.write(&format!("{tree}/DEBIAN/control"), control);
        self.write(
            &format!("{tree}/DEBIAN/md5sums"),
            &format!("{name}  {PROGRAM}\n"),
        );
        let file = self.path(&format!("{name}.deb"));
        let mut build = Command::new("dpkg-deb");
        run(build
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&self.path(&tree), &file]))
        .expect(0, "");
        file.to_str().expect("plain").to_owned()
    }

    /// `cross/install.sh` with this board and these options.
    fn script(&self, words: &[&str]) -> ScriptOutput {
        let path = std::env::var("PATH").expect("set");
        run(Command::new(repository("cross/install.sh"))
            .args(words)
            .arg("board")
            .env("PATH", format!("{}:{path}", self.path("here").display()))
            .env("BOARD_PATH", self.path("board")))
    }

    /// The same, with the folder as the board's root.
    fn install(&self, words: &[&str]) -> ScriptOutput {
        let root = self.path("root");
        let root = ["--root", root.to_str().expect("plain")];
        self.script(&[words, &root].concat())
    }

    /// What the installed program prints.
    fn version(&self) -> String {
        let output = run(Command::new(self.on_board(PROGRAM)).arg("--version"));
        output.expect(0, "").text.trim().to_owned()
    }

    /// Number of packages that were installed so far.
    fn installations(&self) -> usize {
        self.read("dpkg.log").lines().count()
    }
}

#[test]
fn a_package_is_installed_once_and_the_one_before_is_kept() {
    let Some(board) = PackageBoard::new() else {
        return;
    };
    let [one, two, three] =
        ["one", "two", "three"].map(|name| board.package(name, &format!("echo {name}")));
    board
        .install(&["--package", &one, "--dry-run"])
        .expect(0, "would install the package 1");
    assert!(!board.on_board("var").exists());

    board
        .install(&["--package", &one])
        .expect(0, "installed version");
    assert_eq!(board.version(), "one");
    board
        .install(&["--package", &one])
        .expect(0, "is already installed");
    assert_eq!(board.installations(), 1);
    board
        .install(&["--rollback"])
        .expect(1, "there is no version before");

    board.install(&["--package", &two]).expect(0, "is kept");
    assert_eq!(board.version(), "two");
    for expected in ["one", "two"] {
        board
            .install(&["--rollback"])
            .expect(0, "switched back to version");
        assert_eq!(board.version(), expected);
    }
    board.install(&["--package", &three]).expect(0, "is kept");
    assert_eq!(
        file_names(&board.on_board(VERSIONS)).len(),
        2,
        "the oldest one is gone"
    );
    assert_eq!(board.read(OPTIONS), "source = \"demo\"\n");

    // Another one is installed by hand.
    board.write("root/var/lib/dpkg/info/boxcam.md5sums", "another\n");
    board
        .install(&["--package", &three])
        .expect(0, "installed version");
    assert_eq!(
        board.read("var/lib/dpkg/info/boxcam.md5sums"),
        format!("three  {PROGRAM}\n")
    );
    board
        .install(&["--rollback"])
        .expect(0, "switched back to version");
    assert_eq!(board.version(), "two");
}

#[test]
fn the_model_of_a_version_comes_and_goes_with_it() {
    let Some(board) = PackageBoard::new() else {
        return;
    };
    let [one, two] = ["one", "two"].map(|name| board.package(name, &format!("echo {name}")));
    let model = board.write("model.onnx", "a model");
    fs::set_permissions(&model, fs::Permissions::from_mode(0o600)).expect("set");
    board
        .install(&["--package", &one])
        .expect(0, "installed version");
    let with_model = ["--package", &two, "--model", model.to_str().expect("plain")];
    board.install(&with_model).expect(0, "installed version");
    for _ in 0..2 {
        let unit = board.read(MODEL);
        let named = unit
            .trim_end()
            .rsplit_once(" --model /")
            .expect("a model")
            .1
            .to_owned();
        assert_eq!(board.read(&named), "a model");
        let mode = fs::metadata(board.on_board(&named))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644, "for the user of the service");
        let start =
            "\nExecStart=\nExecStart=/usr/bin/boxcam run --config /etc/boxcam/boxcam.toml --model";
        assert!(unit.contains(start), "{unit}");
        board.install(&["--rollback"]).expect(0, "switched back");
        assert!(!board.on_board(MODEL).exists());
        board.install(&["--rollback"]).expect(0, "switched back");
    }
}

#[test]
fn a_package_that_does_not_work_there_leaves_the_one_before() {
    let Some(board) = PackageBoard::new() else {
        return;
    };
    let one = board.package("one", "echo one");
    board
        .install(&["--package", &one])
        .expect(0, "installed version");
    let before = file_names(&board.on_board(VERSIONS));
    let damaged = board.package("damaged", "exit 1");
    board
        .install(&["--package", &damaged])
        .expect(1, "nothing was changed");
    let text = board.write("text.deb", "no package");
    let text = text.to_str().expect("plain");
    board
        .install(&["--package", text])
        .expect(1, "no package of boxcam");
    board.write("root/broken", "");
    let two = board.package("two", "echo two");
    let output = board
        .install(&["--package", &two])
        .expect(1, "cannot be installed");
    assert!(
        output.text.contains("dpkg: error: broken"),
        "{}",
        output.text
    );
    assert_eq!(file_names(&board.on_board(VERSIONS)), before);
    assert_eq!(
        (board.version().as_str(), board.installations()),
        ("one", 1)
    );

    let program = board.program("program", "echo files");
    let files = ["--binary", program.to_str().expect("plain")];
    board
        .install(&files)
        .expect(1, "the package boxcam is installed");
    assert!(!board.on_board("usr/local").exists());
}

#[test]
fn options_are_only_for_a_board_that_has_none() {
    let Some(board) = PackageBoard::new() else {
        return;
    };
    let own = board.write("own.toml", "threshold = 0.5\n");
    let own = own.to_str().expect("plain");
    let [one, two] = ["one", "two"].map(|name| board.package(name, &format!("echo {name}")));
    board
        .install(&["--package", &one, "--config", own])
        .expect(0, "installed");
    assert_eq!(board.read(OPTIONS), "source = \"demo\"\n");
    fs::remove_file(board.on_board(OPTIONS)).expect("there");
    board
        .install(&["--package", &two, "--config", own])
        .expect(0, "installed");
    assert_eq!(board.read(OPTIONS), "threshold = 0.5\n");
}

#[test]
fn the_package_of_the_program_is_made_for_a_board_with_dpkg() {
    let Some(board) = PackageBoard::new() else {
        return;
    };
    if tool_is_missing(STRIP) {
        return;
    }
    // Without --root the board is this machine, so that nothing may be changed.
    let install = ["--dry-run", "--binary", env!("CARGO_BIN_EXE_boxcam")];
    let made = concat!("would install the package ", env!("CARGO_PKG_VERSION"));
    board.script(&install).expect(0, made);
    let output = board.script(&[&install[..], &["--no-package"]].concat());
    let output = output.expect(0, "would install version");
    assert!(!output.text.contains("package"), "{}", output.text);
    let missing = ["--package", "/nowhere"];
    board.script(&missing).expect(3, "/nowhere does not exist");
    let one = board.package("one", "echo one");
    for other in [
        &["--no-package"][..],
        &["--binary", env!("CARGO_BIN_EXE_boxcam")],
    ] {
        let both = [&["--package", &one][..], other].concat();
        board.script(&both).expect(2, "--package excludes");
    }
}
