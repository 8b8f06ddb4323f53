//! The service: its unit, and the options that it is given.

use std::process::Command;

use test_support::tool_is_missing;

use crate::common::TestDir;
use crate::{repository, run};

/// Tenths of what `systemd-analyze security` calls exposure; cross/README.md says why it is not less.
const EXPOSURE: &str = "18";

/// Bytes of log on a card, old ones included.
const LOG_BUDGET: u64 = 10_000_000;

#[test]
fn the_service_is_as_confined_as_promised() {
    if tool_is_missing("systemd-analyze") {
        return;
    }
    let unit = repository("cross/boxcam.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold"]);
    run(command.arg(EXPOSURE).arg(unit)).expect(0, "Overall exposure level");
}

#[test]
fn boxcam_takes_the_options_and_keeps_its_log_small() {
    let options = repository("cross/install/boxcam.toml");
    let text = std::fs::read_to_string(&options).expect("there");
    let table: toml::Table = text.parse().expect("sound");
    let size: bytesize::ByteSize = table["log-size"]
        .as_str()
        .expect("words")
        .parse()
        .expect("a size");
    let files = 1 + table["log-keep"]
        .as_integer()
        .expect("a number")
        .unsigned_abs();
    assert!(
        size.as_u64() * files <= LOG_BUDGET,
        "{size} in {files} files"
    );

    // As the unit starts it, but for what this machine has not.
    let place = TestDir::new();
    let words = "run --source demo --frames 2 --display none --web 127.0.0.1:0 --log out.jsonl --model tiny.onnx";
    let mut command = place.command(&words.split(' ').collect::<Vec<_>>());
    run(command.arg("--config").arg(options)).expect(0, "");
    assert!(place.path("out.jsonl").exists());
}
