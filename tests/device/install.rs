//! `cross/install.sh` against a real ssh server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::board::Board;
use crate::{repository, run};
use test_support::tool_is_missing;

const PROGRAM: &str = "usr/local/bin/boxcam";
const OPTIONS: &str = "etc/boxcam.toml";

/// What the installed program says is its version.
fn version(board: &Board) -> String {
    let output = run(Command::new(board.path(PROGRAM)).arg("--version"));
    output.expect(0, "").text.trim().to_owned()
}

fn word(path: &Path) -> &str {
    path.to_str().expect("plain")
}

#[test]
fn boxcam_is_installed_as_a_service_and_again_without_a_change() {
    let Some(board) = Board::start() else { return };
    let install = ["--binary", env!("CARGO_BIN_EXE_boxcam")];
    let before = board.files();
    board
        .install(&[&install[..], &["--dry-run"]].concat())
        .expect(0, "would install version");
    assert_eq!(board.files(), before);

    board.install(&install).expect(0, "installed version");
    assert_eq!(
        version(&board),
        format!("boxcam {}", env!("CARGO_PKG_VERSION"))
    );
    let unit = "etc/systemd/system/boxcam.service";
    let shipped = |path| fs::read_to_string(repository(path)).expect("there");
    assert_eq!(board.read(unit), shipped("cross/boxcam.service"));
    assert_eq!(board.read(OPTIONS), shipped("cross/install/boxcam.toml"));
    let mode = fs::metadata(board.path(OPTIONS))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640, "a password may be in it");
    assert!(board.read("etc/passwd").contains("\nboxcam:"));
    assert!(board.read("etc/group").contains("video:x:44:boxcam"));
    if !tool_is_missing("systemctl") {
        let wanted = board.path("etc/systemd/system/multi-user.target.wants/boxcam.service");
        assert!(wanted.is_symlink(), "not enabled");
    }

    let program = fs::canonicalize(board.path(PROGRAM)).expect("there");
    let changed = |path: &Path| {
        fs::metadata(path)
            .and_then(|about| about.modified())
            .expect("known")
    };
    let first = changed(&program);
    board.install(&install).expect(0, "is already installed");
    assert_eq!(
        fs::canonicalize(board.path(PROGRAM)).expect("there"),
        program
    );
    assert_eq!(changed(&program), first);
    assert!(!board.path("usr/local/lib/boxcam/previous").exists());
}

#[test]
fn a_new_version_keeps_the_options_and_the_version_before() {
    let Some(board) = Board::start() else { return };
    let programs = ["one", "two", "three"].map(|name| board.program(name, &format!("echo {name}")));
    let [one, two, three] = programs.each_ref().map(|path| word(path));
    board
        .install(&["--rollback"])
        .expect(1, "there is no version before");
    board.install(&["--binary", one]).expect(0, "installed");
    board.write(OPTIONS, "source = \"demo\"\n");

    let model = repository("models/snacks-small.onnx");
    board
        .install(&["--binary", two, "--model", word(&model)])
        .expect(0, "is kept");
    assert_eq!(version(&board), "two");
    assert_eq!(board.read(OPTIONS), "source = \"demo\"\n");
    let beside = fs::canonicalize(board.path(PROGRAM))
        .expect("there")
        .with_file_name("boxcam.onnx");
    assert_eq!(
        fs::read(beside).expect("there"),
        fs::read(model).expect("there")
    );

    let before = board.files();
    board
        .install(&["--rollback", "--dry-run"])
        .expect(0, "would switch");
    assert_eq!(board.files(), before);
    for expected in ["one", "two"] {
        board
            .install(&["--rollback"])
            .expect(0, "switched back to version");
        assert_eq!(version(&board), expected);
        assert_eq!(board.read(OPTIONS), "source = \"demo\"\n");
    }

    board.install(&["--binary", three]).expect(0, "installed");
    let kept = fs::read_dir(board.path("usr/local/lib/boxcam/versions")).expect("there");
    assert_eq!(kept.count(), 2, "the oldest one is gone");
    board
        .install(&["--rollback"])
        .expect(0, "switched back to version");
    assert_eq!(version(&board), "two");
}

#[test]
fn a_program_that_does_not_run_there_changes_nothing() {
    let Some(board) = Board::start() else { return };
    let good = board.program("good", "echo good");
    board
        .install(&["--binary", word(&good)])
        .expect(0, "installed");
    let before = board.files();
    let damaged = board.program("damaged", "exit 1");
    board
        .install(&["--binary", word(&damaged)])
        .expect(1, "nothing was changed");
    assert_eq!(board.files(), before);
    assert_eq!(version(&board), "good");
}

#[test]
fn what_is_missing_is_said_before_anything_is_sent() {
    let nowhere = ["--binary", "no-such-file", "nobody@127.0.0.1"];
    crate::script("install.sh", &nowhere).expect(3, "no-such-file does not exist");
    crate::script("install.sh", &["--root", "card", "board"]).expect(2, "absolute path");
    crate::script("install.sh", &["--wait", "long", "board"])
        .expect(2, "integer number of seconds");
}
