//! `boxcam config`, and where the configuration file is looked for.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs boxcam with this folder for the user's configuration.
fn boxcam(arguments: &[&str], config_home: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxcam"));
    command.args(arguments).env("XDG_CONFIG_HOME", config_home);
    command.output().expect("it starts")
}

fn json(arguments: &[&str], config_home: &Path) -> Value {
    let output = boxcam(&[&["config", "--json"], arguments].concat(), config_home);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The option of that name.
fn option<'a>(report: &'a Value, name: &str) -> &'a Value {
    let options = report["options"].as_array().expect("an array");
    let found = options.iter().find(|option| option["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// A folder with `boxcam/boxcam.toml`.
fn config_home(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("boxcam")).expect("created");
    fs::write(folder.path().join("boxcam/boxcam.toml"), text).expect("written");
    folder
}

#[test]
fn the_users_own_file_is_found_and_the_command_line_wins() {
    let home = config_home("# mine\nrate = 12\nthreshold = 0.7\n");
    let file = home.path().join("boxcam/boxcam.toml");
    let report = json(&["--threshold", "0.3"], home.path());
    assert_eq!(report["file"], file.to_str().expect("plain"));
    let rate = option(&report, "rate");
    assert_eq!(
        (&rate["value"], &rate["origin"]["line"]),
        (&"12".into(), &2.into())
    );
    assert_eq!(rate["origin"]["path"], file.to_str().expect("plain"));
    let threshold = option(&report, "threshold");
    assert_eq!(threshold["value"], "0.3");
    assert_eq!(threshold["origin"]["from"], "command_line");
    assert_eq!(option(&report, "source")["origin"]["from"], "default");
}

#[test]
fn a_named_file_is_used_instead_of_the_users_own() {
    let home = config_home("rate = 12\n");
    let named = home.path().join("other.toml");
    fs::write(&named, "size = \"320x240\"\n").expect("written");
    let report = json(&["--config", named.to_str().expect("plain")], home.path());
    assert_eq!(option(&report, "size")["value"], "320x240");
    assert_eq!(option(&report, "rate")["value"], "30");
}

#[test]
fn the_text_can_be_saved_as_a_configuration_file() {
    let home = config_home("rate = 12\nclasses = [\"apple\", \"banana\"]\nwait = true\n");
    let output = boxcam(&["config"], home.path());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("rate = 12"), "{text}");
    assert!(text.contains("boxcam.toml:2"), "{text}");
    let saved = home.path().join("saved.toml");
    fs::write(&saved, &text).expect("written");
    let report = json(&["--config", saved.to_str().expect("plain")], home.path());
    for (name, value) in [
        ("rate", "12"),
        ("classes", "apple,banana"),
        ("wait", "true"),
    ] {
        assert_eq!(option(&report, name)["value"], value, "{text}");
    }
}

#[test]
fn an_invalid_file_that_was_found_is_named_with_its_line() {
    let home = config_home("rate = 12\nrat = 5\n");
    let output = boxcam(&["run", "--source", "demo", "--frames", "1"], home.path());
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("boxcam/boxcam.toml: line 2: rat: unknown key"),
        "{message}"
    );
}
