//! Command lines and files, and what becomes of them.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use clap::CommandFactory;

use super::*;
use crate::camera_choice::CameraChoice;
use crate::rotation::Rotation;

fn config(line: &str) -> Result<Config, ConfigError> {
    Config::from_args(line.split(' '))
}

fn run(line: &str) -> RunConfig {
    match config(line) {
        Ok(Config::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_finds_no_fault_with_the_definition() {
    Options::command().debug_assert();
}

#[test]
fn run_has_a_choice_for_everything() {
    let plain = run("boxcam run");
    assert_eq!(plain.source, SourceChoice::Camera(CameraChoice::First));
    assert_eq!(
        (plain.display, plain.log),
        (DisplayChoice::Auto, LogChoice::Stdout)
    );
    let full = run(
        "boxcam run --source demo --display none --log out.jsonl --snapshots s --model m.onnx \
         --threshold 0.25 --frames 7",
    );
    assert_eq!(full.source, SourceChoice::Demo);
    assert_eq!(full.log, LogChoice::File("out.jsonl".into()));
    assert_eq!(full.model.threshold.map(Threshold::value), Some(0.25));
    assert_eq!(full.frames.map(NonZeroU64::get), Some(7));
}

#[test]
fn sources_are_told_apart() {
    let source = |text: &str| text.parse::<SourceChoice>();
    let camera = |choice| Ok(SourceChoice::Camera(choice));
    assert_eq!(source("camera:2"), camera(CameraChoice::Number(2)));
    let by_id = "/dev/v4l/by-id/usb-Cam-index0";
    let expected = camera(CameraChoice::Device(by_id.into()));
    assert_eq!(source(&format!("camera:{by_id}")), expected);
    assert_eq!(source("auto"), camera(CameraChoice::First));
    let named = CameraChoice::Named("front".to_owned());
    assert_eq!(source("camera:front"), camera(named));
    assert!(source("camera:").is_err() && source("rpicam:left").is_err());
    assert!(source("").is_err());
    assert_eq!(source("-"), Ok(SourceChoice::Stdin));
    assert_eq!(source("rpicam"), Ok(SourceChoice::Rpicam(0)));
    assert_eq!(source("rpicam:1"), Ok(SourceChoice::Rpicam(1)));
    let folder = SourceChoice::Pictures("pictures/demo".into());
    assert_eq!(source("pictures/demo"), Ok(folder));
}

#[test]
fn values_that_cannot_be_are_usage_errors() {
    let lines = [
        "boxcam",
        "boxcam dance",
        "boxcam detect",
        "boxcam run --threshold 1.5 --source demo",
        "boxcam run --threshold NaN",
        "boxcam run --frames 0",
        "boxcam run --display lamp",
        "boxcam run --rotate 45",
        "boxcam run --size 640",
        "boxcam run --stall never",
        "boxcam evaluate --pictures val",
        "boxcam evaluate --pictures val --annotations a.csv --threads 0",
        "boxcam evaluate --pictures val --annotations a.csv --sliding-window",
        "boxcam evaluate --pictures val --annotations a.csv --curve curve.png",
    ];
    for line in lines {
        let Err(ConfigError::Words(error)) = config(line) else {
            panic!("{line}");
        };
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let Err(ConfigError::Words(help)) = config("boxcam --help") else {
        panic!("help");
    };
    assert_eq!(help.exit_code(), 0);
}

#[test]
fn values_out_of_their_range_name_the_option() {
    for (line, option) in [
        ("boxcam run --stall 10ms", "stall"),
        ("boxcam run --log-size 100B", "log-size"),
        ("boxcam run --snapshots-size 100B", "snapshots-size"),
        ("boxcam run --name \t", "name"),
    ] {
        let said = config(line).expect_err(line).to_string();
        assert!(said.starts_with(&format!("{option} has a value")), "{said}");
    }
}

#[test]
fn evaluate_and_detect_take_paths() {
    let line = "boxcam evaluate --pictures val --annotations a.csv --json --threads 3";
    let Ok(Config::Evaluate(evaluate)) = config(line) else {
        panic!("{line}");
    };
    assert!(evaluate.json && evaluate.threads.map(NonZeroUsize::get) == Some(3));
    let Ok(Config::Detect(detect)) = config("boxcam detect a.jpg b --annotate out") else {
        panic!("detect");
    };
    assert_eq!(detect.pictures, [PathBuf::from("a.jpg"), "b".into()]);
    assert_eq!(detect.annotate, Some("out".into()));
}

#[test]
fn the_command_line_goes_before_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("boxcam.toml");
    let text = "source = \"demo\"\nstall = \"5s\"\nwait = true\nlog-size = \"1MB\"\nrotate = 90\n\
                threshold = 0.25\nweb = 8080\n";
    std::fs::write(&file, text).expect("written");
    let line = format!("boxcam run --config {} --stall 3s", file.display());
    let config = run(&line);
    assert_eq!(config.source, SourceChoice::Demo);
    assert_eq!(config.stall, Duration::from_secs(3));
    assert_eq!(config.log_size, ByteSize::mb(1));
    assert_eq!((config.rotate, config.wait), (Rotation::Quarter, true));
    assert_eq!(config.model.threshold.map(Threshold::value), Some(0.25));
    assert_eq!(config.web.map(|web| web.0.port()), Some(8080));
    assert!(!run(&format!("{line} --wait=false")).wait);
}

/// The file that the README sends people to: each key is there, in a comment or not, and none is wrong.
#[test]
fn the_example_file_has_every_option_at_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/boxcam.toml");
    let text = std::fs::read_to_string(&path).expect("the example is there");
    let is_setting = |line: &&str| line.contains(" = ") && !line.starts_with("# #");
    let settings: Vec<&str> = text
        .lines()
        .filter(is_setting)
        .map(|line| line.trim_start_matches("#"))
        .collect();
    let all = file::parse(&settings.join("\n"), &path).expect("each setting is sound");
    assert!(all.clone().validated().is_ok());
    let as_is = file::parse(&text, &path).expect("sound");
    assert_eq!(as_is.validated().expect("sound"), run("boxcam run"));
    let run_options = Options::command();
    let run_options = run_options.find_subcommand("run").expect("it is there");
    for option in run_options.get_arguments().filter_map(|arg| arg.get_long()) {
        let is_set = |line: &&&str| line.trim().starts_with(&format!("{option} = "));
        let is_known = ["config", "help"].contains(&option);
        assert!(
            is_known || settings.iter().any(|line| is_set(&line)),
            "{option}"
        );
    }
}
