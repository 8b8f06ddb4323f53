//! The Debian package on an emulated computer with apt and systemd: `cross/board/guest/tests/package.sh`.

use crate::computer::{Board, Results};

const OPTIONS: &str = "/etc/boxcam/boxcam.toml";
const PROGRAM: &str = "/usr/bin/boxcam";
const UNIT: &str = "/usr/lib/systemd/system/boxcam.service";
const LOG: &str = "/var/log/boxcam/boxcam.jsonl";

/// What `cross/install.sh` keeps of packages, and how it sets a model.
const VERSIONS: &str = "/var/lib/boxcam-versions";
const MODEL: &str = "/etc/systemd/system/boxcam.service.d/install-model.conf";

/// What `cross/install.sh` installs without a package.
const FORMER: [&str; 4] = [
    "/usr/local/bin/boxcam",
    "/usr/local/lib/boxcam",
    "/etc/systemd/system/boxcam.service",
    "/etc/boxcam.toml",
];

/// What there was of boxcam at a time.
struct State {
    text: String,
    options: String,
}

impl State {
    #[track_caller]
    fn of(results: &Results, name: &str) -> Self {
        let options = format!("{name}.toml");
        Self {
            text: results.text(&format!("{name}.txt")),
            options: if results.has(&options) {
                results.text(&options)
            } else {
                String::new()
            },
        }
    }

    fn has(&self, line: &str) -> bool {
        self.text.lines().any(|other| other == line)
    }

    fn has_file(&self, path: &str) -> bool {
        self.has(&format!("file {path}"))
    }

    /// The service of the package is up and starts at boot, with options that only root and boxcam read.
    #[track_caller]
    fn assert_installed(&self, version: &str) {
        let version = format!("version installed {}{version}", env!("CARGO_PKG_VERSION"));
        let program = format!("program {PROGRAM}");
        let lines = [
            "active active",
            "enabled enabled",
            "options root:boxcam 640",
        ];
        for line in lines.into_iter().chain([&*version, &*program]) {
            assert!(self.has(line), "no {line:?} in {}", self.text);
        }
        for file in [PROGRAM, UNIT, OPTIONS] {
            assert!(self.has_file(file), "no {file} in {}", self.text);
        }
        for file in FORMER {
            assert!(!self.has_file(file), "{file} in {}", self.text);
        }
    }
}

#[test]
fn the_package_takes_over_what_install_sh_installed() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("package");
    let before = State::of(&results, "before");
    for file in FORMER {
        assert!(before.has_file(file), "no {file} in {}", before.text);
    }
    let after = State::of(&results, "taken-over");
    after.assert_installed("");
    // The test's own options and model.
    assert!(
        after.options.contains("threshold = 0.0"),
        "{}",
        after.options
    );
    let model = "model = \"/var/lib/boxcam/model.onnx\"";
    assert!(after.options.contains(model), "{}", after.options);
}

#[test]
fn an_upgrade_keeps_changed_options_and_restarts_the_service() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("package");
    let before = State::of(&results, "sent-one");
    let after = State::of(&results, "sent-two");
    after.assert_installed("+two");
    assert_eq!(after.options, before.options);
    let shipped = format!("{OPTIONS}.dpkg-dist");
    assert!(after.has_file(&shipped), "{}", after.text);
}

#[test]
fn install_sh_changes_the_package_with_its_model_and_rolls_it_back() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("package");
    let versions = [("sent-one", ""), ("sent-two", "+two"), ("rolled-back", "")];
    for (name, version) in versions {
        let state = State::of(&results, name);
        state.assert_installed(version);
        assert!(state.has_file(VERSIONS), "{}", state.text);
        let has_model = name == "sent-two";
        assert_eq!(state.has_file(MODEL), has_model, "{}", state.text);
        let command = state.text.lines().find(|line| line.starts_with("command "));
        let command = command.expect("it runs");
        assert_eq!(command.contains(" --model "), has_model, "{command}");
        assert_eq!(state.options, State::of(&results, "taken-over").options);
    }
    let purged = State::of(&results, "purged");
    for file in [VERSIONS, MODEL] {
        assert!(!purged.has_file(file), "{file} in {}", purged.text);
    }
    let log = results.text("install.log");
    assert_eq!(log.matches("boxcam is up").count(), 3, "{log}");
}

#[test]
fn one_command_installs_a_service_that_finds_the_classes_of_coco() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("package");
    let fresh = State::of(&results, "fresh");
    fresh.assert_installed("");
    assert!(
        fresh.options.contains("model = \"coco\""),
        "{}",
        fresh.options
    );
    let log = results.text("log.jsonl");
    assert!(log.contains("\"state\":\"live\""), "{log}");
}

#[test]
fn removing_keeps_the_options_and_purging_keeps_the_log() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("package");
    let purged = State::of(&results, "purged");
    assert!(!purged.has_file(OPTIONS), "{}", purged.text);
    let removed = State::of(&results, "removed");
    assert_eq!(removed.options, State::of(&results, "fresh").options);
    for gone in [purged, removed] {
        assert!(gone.has_file(LOG), "{}", gone.text);
        assert!(gone.has("active inactive"), "{}", gone.text);
        for file in [PROGRAM, UNIT] {
            assert!(!gone.has_file(file), "{file} in {}", gone.text);
        }
    }
}
