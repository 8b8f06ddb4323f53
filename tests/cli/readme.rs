//! What README.md promises: its commands run, its links lead somewhere, and it stays short.

use std::fs;
use std::path::Path;

#[cfg(any(feature = "demo", feature = "embedded-coco"))]
use crate::common::TestDir;

/// The most words of README.md.
const MAX_WORDS: usize = 700;

fn repository(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn readme() -> String {
    fs::read_to_string(repository("README.md")).expect("README.md")
}

/// The arguments of the commands that run boxcam.
fn commands() -> Vec<Vec<String>> {
    let text = readme();
    let indented = text.lines().filter(|line| line.starts_with("    "));
    let programs = ["cargo run --release -- ", "boxcam "];
    let arguments = indented.filter_map(|line| {
        let line = line.trim();
        programs
            .iter()
            .find_map(|program| line.strip_prefix(program))
    });
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    arguments.map(words).collect()
}

/// With the photographs of the second command: here, the pictures of README.md itself.
#[cfg(feature = "embedded-coco")]
fn folder_with_photographs() -> TestDir {
    let folder = TestDir::new();
    let picture = |name: &str| image::open(repository(name)).expect("a picture").to_rgb8();
    folder.write("holiday/empty", "");
    picture("docs/photo.png")
        .save(folder.path("photo.jpg"))
        .expect("written");
    picture("docs/demo.png")
        .save(folder.path("holiday/beach.png"))
        .expect("written");
    fs::remove_file(folder.path("holiday/empty")).expect("removed");
    folder
}

#[cfg(any(feature = "demo", feature = "embedded-coco"))]
fn run(folder: &TestDir, arguments: &[String]) -> crate::common::CommandOutput {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = folder.run(&arguments);
    output.assert_exit_code(0);
    output
}

#[test]
fn there_are_three_commands_in_this_order() {
    let firsts: Vec<String> = commands().iter().map(|words| words[0].clone()).collect();
    assert_eq!(firsts, ["run", "detect", "run"]);
    let second = &commands()[1];
    let coco = ["--model".to_owned(), "coco".to_owned()];
    assert!(second.windows(2).any(|pair| pair == coco), "{second:?}");
}

#[cfg(feature = "demo")]
#[test]
fn the_first_command_shows_the_demo_and_saves_pictures() {
    let folder = TestDir::new();
    let output = run(&folder, &commands()[0]);
    assert_eq!(output.lines().len(), 120);
    let seen = fs::read_dir(folder.path("seen")).expect("created");
    assert!(seen.count() > 0);
}

#[cfg(feature = "embedded-coco")]
#[test]
fn the_second_command_prints_a_line_and_saves_a_copy_for_each_picture() {
    let folder = folder_with_photographs();
    let output = run(&folder, &commands()[1]);
    let pictures: Vec<_> = output
        .lines()
        .iter()
        .map(|line| line["picture"].clone())
        .collect();
    assert_eq!(pictures, ["photo.jpg", "holiday/beach.png"]);
    for name in ["photo.png", "beach.png"] {
        let copy = folder.path("found").join(name);
        assert!(image::open(&copy).is_ok(), "{}", copy.display());
    }
    let things = output.lines()[0]["detections"].as_array().map(Vec::len);
    assert!(
        things >= Some(2),
        "several things in the photograph: {things:?}"
    );
}

/// The camera, the screen, the log and the port are those of the machine of a test.
#[cfg(all(feature = "embedded-coco", feature = "web"))]
#[test]
fn the_third_command_runs_with_other_devices() {
    let folder = folder_with_photographs();
    let here = |word: &String| match word.as_str() {
        "camera" => "holiday".to_owned(),
        "fb" => "none".to_owned(),
        "/var/log/boxcam.jsonl" => "boxcam.jsonl".to_owned(),
        "8080" => "127.0.0.1:0".to_owned(),
        _ => word.clone(),
    };
    let arguments: Vec<String> = commands()[2].iter().map(here).collect();
    let output = run(&folder, &arguments);
    output.assert_stderr_contains(&["web page at http://127.0.0.1:"]);
    let log = fs::read_to_string(folder.path("boxcam.jsonl")).expect("the log");
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let text = readme();
    let mut links = 0;
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        if target.contains("://") {
            continue;
        }
        links += 1;
        assert!(repository(target).exists(), "{target}");
    }
    assert!(links > 15, "{links}");
}

#[test]
fn the_readme_is_short() {
    let words = readme().split_whitespace().count();
    assert!(
        words <= MAX_WORDS,
        "README.md has {words} words, at most {MAX_WORDS} are allowed"
    );
}
