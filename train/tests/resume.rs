//! A killed and resumed training ends with the same files, bit for bit, as an uninterrupted one; a checkpoint of another
//! training is refused.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{fail, model_that_ships, program, succeed, succeed_saying, text};

#[test]
fn a_killed_training_resumes_to_the_same_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let model = model_that_ships();
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "64",
        "--val",
        "8",
    ]);
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let always = |run: &Path, recipe: &str| {
        let words = [
            "train",
            "run",
            "--data",
            text(&data),
            "--weights",
            text(&model),
            "--run",
            text(run),
            "--recipe",
            recipe,
            "--input-size",
            "64",
            "--epochs",
            "3",
            "--set",
            "synthetic_images=0",
            "--set",
            "synthetic_negatives=0",
        ];
        words.map(str::to_owned)
    };
    for recipe in ["quick", "full"] {
        let (whole, broken) = (whole.join(recipe), broken.join(recipe));
        let (unbroken, arguments) = (always(&whole, recipe), always(&broken, recipe));
        let unbroken = unbroken.each_ref().map(String::as_str);
        let arguments = arguments.each_ref().map(String::as_str);
        let with = |more: &[&'static str]| [&arguments[..], more].concat();
        succeed(&unbroken);
        // Killed as soon as there is a checkpoint.
        let mut child = program(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let checkpoint = broken.join("checkpoint.safetensors");
        while !checkpoint.exists() {
            let ended = child.try_wait().expect("asked");
            assert!(ended.is_none(), "ended before it was killed: {arguments:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        child.wait().expect("ended");

        let (_, refused) = fail(&arguments);
        assert!(refused.contains("--resume"), "{refused}");
        let (_, refused) = fail(&with(&["--seed", "2", "--resume"]));
        assert!(refused.contains("another training"), "{refused}");
        let (_, resumed) = succeed_saying(&with(&["--resume"]));
        assert!(resumed.contains("resuming after epoch"), "{resumed}");
        for file in ["float.onnx", "history.csv", "checkpoint.safetensors"] {
            let read = |run: &Path| std::fs::read(run.join(file)).expect("written");
            assert!(read(&whole) == read(&broken), "{recipe}: {file} differs");
        }
    }
    refuses_another_training(&always(&whole.join("quick"), "quick"), &data);
}

/// The finished training is refused with other data, frozen layers or recipe.
fn refuses_another_training(arguments: &[String], data: &Path) {
    let refused = |more: &[&str], difference: &str| {
        let arguments = arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments
            .chain(["--resume"])
            .chain(more.iter().copied())
            .collect();
        let (code, words) = fail(&arguments);
        assert!(code == 3 && words.contains(difference), "{words}");
    };
    refused(&["--set", "dropout=0.1"], "now: dropout = 0.1");
    // The shipped backbone in half precision instead of the dequantized one.
    let backbone = model_that_ships().with_file_name("trunk.onnx");
    let weights = arguments
        .iter()
        .position(|a| a == "--weights")
        .expect("given");
    let mut others: Vec<&str> = arguments.iter().map(String::as_str).collect();
    others[weights + 1] = text(&backbone);
    others.push("--resume");
    let (code, words) = fail(&others);
    assert!(code == 3 && words.contains("the frozen layers"), "{words}");
    let csv = data.join("annotations-val.csv");
    let rows = std::fs::read_to_string(&csv).expect("written");
    let fewer = rows.trim_end().rsplit_once('\n').expect("several rows").0;
    std::fs::write(&csv, format!("{fewer}\n")).expect("written");
    refused(&[], "the data (");
}
