//! A training that is killed and taken up again ends where one without a break ends, to the bit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn boxcam_train(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxcam-train"));
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// The words on stderr of a run that ends as `well` says.
fn said(arguments: &[&str], well: bool) -> String {
    let output = boxcam_train(arguments).output().expect("starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), well, "{arguments:?}: {words}");
    words
}

#[test]
fn a_killed_training_goes_on_with_the_same_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/snacks.onnx");
    said(
        &[
            "scenes",
            "--output",
            text(&data),
            "--train",
            "64",
            "--val",
            "8",
        ],
        true,
    );
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let train = |run: &Path, recipe: &str, more: &[&str]| -> Vec<String> {
        let always = [
            "train",
            "--data",
            text(&data),
            "--weights",
            text(&model),
            "--run",
            text(run),
            "--recipe",
            recipe,
            "--side",
            "64",
            "--epochs",
            "3",
            "--views",
            "2",
            "--scenes",
            "0",
            "--backgrounds",
            "0",
        ];
        let all = always.iter().chain(more);
        all.map(|&word| word.to_owned()).collect()
    };
    let words = |owned: &[String]| {
        owned
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let run = |arguments: Vec<String>, well: bool| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        said(&arguments, well)
    };
    for recipe in ["quick", "snacks"] {
        let (whole, broken) = (whole.join(recipe), broken.join(recipe));
        run(train(&whole, recipe, &[]), true);
        // Killed as soon as there is something to go on from.
        let arguments = train(&broken, recipe, &[]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_boxcam-train"))
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let checkpoint = broken.join("checkpoint.safetensors");
        while !checkpoint.exists() {
            let ended = child.try_wait().expect("asked");
            assert!(
                ended.is_none(),
                "ended before it was killed: {}",
                words(&arguments)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        child.wait().expect("ended");

        let refused = run(train(&broken, recipe, &[]), false);
        assert!(refused.contains("--resume"), "{refused}");
        let refused = run(train(&broken, recipe, &["--seed", "2", "--resume"]), false);
        assert!(refused.contains("another training"), "{refused}");
        let resumed = run(train(&broken, recipe, &["--resume"]), true);
        assert!(resumed.contains("going on after epoch"), "{resumed}");
        for file in ["float.onnx", "history.csv", "checkpoint.safetensors"] {
            let read = |run: &Path| std::fs::read(run.join(file)).expect("written");
            assert!(read(&whole) == read(&broken), "{recipe}: {file} differs");
        }
    }
}
