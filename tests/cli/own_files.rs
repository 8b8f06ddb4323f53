//! Files of the user beside those that the program writes: none is replaced.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::common::TestDir;

/// The files below a folder with their content; links with what they point to.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("known");
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            found.insert(name, target.to_string_lossy().into_owned().into_bytes());
        } else if kind.is_dir() {
            found.extend(
                content(&entry.path())
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            found.insert(name, fs::read(entry.path()).expect("readable"));
        }
    }
    found
}

#[track_caller]
fn assert_unchanged(before: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    let after = content(folder);
    for (name, bytes) in before {
        assert!(after.get(name) == Some(bytes), "{name} is not as it was");
    }
    let is_left = |name: &&String| name.ends_with(".part");
    assert_eq!(after.keys().find(is_left), None);
}

#[test]
fn a_picture_is_not_replaced_by_its_annotated_copy() {
    let dir = TestDir::new();
    dir.write_solid_image("cat.png", "red");
    dir.write_solid_image("dog.jpg", "green");
    dir.write_solid_image("dog.png", "blue");
    dir.write_solid_image("bird.jpg", "blue");
    let before = content(&dir.path(""));
    // The second run may replace what the first has written.
    for _ in 0..2 {
        let output = dir.run_tiny(&[
            "detect",
            "cat.png",
            "dog.jpg",
            "bird.jpg",
            "--annotate",
            ".",
        ]);
        output.assert_exit_code(5);
        assert_eq!(output.lines().len(), 3, "all are answered");
        output.assert_stderr_contains(&[
            "cat.png: exists and was not written by boxcam",
            "dog.png: exists and was not written by boxcam",
        ]);
        assert!(!output.stderr.contains("bird"), "{output:?}");
        assert_unchanged(&before, &dir.path(""));
        assert!(image::open(dir.path("bird.png")).is_ok());
    }
}

#[test]
fn links_folders_and_read_only_files_are_kept() {
    let dir = TestDir::new();
    for name in ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"] {
        dir.write_solid_image(name, "red");
    }
    dir.run_tiny(&["detect", "d.jpg", "--annotate", "out"])
        .assert_exit_code(0);
    fs::set_permissions(dir.path("out/d.png"), fs::Permissions::from_mode(0o444)).expect("set");
    symlink(dir.path("a.jpg"), dir.path("out/a.png")).expect("linked");
    symlink("nowhere", dir.path("out/b.png")).expect("linked");
    dir.write("out/c.png/mine.txt", "mine");
    let before = content(&dir.path(""));
    let output = dir.run_tiny(&[
        "detect",
        "a.jpg",
        "b.jpg",
        "c.jpg",
        "d.jpg",
        "e.jpg",
        "--annotate",
        "out",
    ]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[
        "out/a.png: exists and is a link",
        "out/b.png: exists and is a link",
        "out/c.png: exists and is a folder",
        "out/d.png: exists and is read-only",
    ]);
    assert_unchanged(&before, &dir.path(""));
    assert!(dir.path("out/e.png").is_file());
}

#[test]
fn two_pictures_of_one_name_are_both_annotated() {
    let dir = TestDir::new();
    dir.write_solid_image("a/dog.jpg", "red");
    dir.write_solid_image("b/dog.png", "green");
    dir.write_solid_image("c/DOG.png", "blue");
    for _ in 0..2 {
        let output = dir.run_tiny(&["detect", "a/dog.jpg", "b/dog.png", "c", "--annotate", "out"]);
        output.assert_exit_code(0);
        let names: Vec<String> = content(&dir.path("out")).into_keys().collect();
        assert_eq!(names, ["DOG-3.png", "dog-2.png", "dog.png"]);
    }
}

#[test]
fn snapshots_of_pictures_do_not_replace_the_pictures() {
    let dir = TestDir::new();
    dir.write_solid_image("d/cat.png", "red");
    dir.write_solid_image("d/dog.jpg", "green");
    let before = content(&dir.path("d"));
    let output = dir.run_tiny(&[
        "run",
        "--source",
        "d",
        "--snapshots",
        "d",
        "--display",
        "none",
    ]);
    output.assert_exit_code(5);
    assert_eq!(output.lines().len(), 2, "all are answered");
    output.assert_stderr_contains(&["d/cat.png: exists and was not written by boxcam"]);
    assert_unchanged(&before, &dir.path("d"));
    assert!(dir.path("d/dog.png").is_file());
}

#[test]
fn reports_replace_only_reports() {
    let dir = TestDir::new();
    dir.write_solid_image("val/red/1.png", "red");
    dir.write(
        "boxes.csv",
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\n1,0.2,0.8,0.2,0.8,red,red\n",
    );
    let evaluate = |curve: &str, report: &str| {
        let arguments = [
            "evaluate",
            "--pictures",
            "val",
            "--annotations",
            "boxes.csv",
        ];
        dir.run_tiny(&[&arguments[..], &["--curve", curve, "--report", report]].concat())
    };
    for (curve, report) in [
        ("c.csv", "r.html"),
        ("c.svg", "r.html"),
        ("c.csv", "r.html"),
    ] {
        evaluate(curve, report).assert_exit_code(0);
    }
    let foreign = [
        ("c.csv", "name,price\n"),
        ("c.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"),
        (
            "r.html",
            "<!DOCTYPE html><html><head><title>mine</title></head></html>",
        ),
    ];
    for (name, text) in foreign {
        dir.write(name, text);
        let curve = if name == "r.html" { "new.csv" } else { name };
        let report = if name == "r.html" { name } else { "new.html" };
        let output = evaluate(curve, report);
        output.assert_exit_code(5);
        output.assert_stderr_contains(&[&format!("{name}: exists and was not written by boxcam")]);
        assert!(
            output.stdout.contains("red"),
            "the table is printed: {output:?}"
        );
        assert_eq!(fs::read_to_string(dir.path(name)).expect("there"), text);
    }
    assert!(dir.path("new.csv").is_file() && dir.path("new.html").is_file());
}

#[test]
fn a_log_is_not_appended_to_another_file() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    dir.write("notes.txt", "milk\n{");
    let run = |log: &str, more: &[&str]| {
        let arguments = [
            "run",
            "--source",
            "a.png",
            "--display",
            "none",
            "--log",
            log,
        ];
        dir.run_tiny(&[&arguments[..], more].concat())
    };
    let before = content(&dir.path(""));
    for name in ["a.png", "notes.txt"] {
        let output = run(name, &[]);
        output.assert_exit_code(5);
        output.assert_stderr_contains(&[name, "was not written by boxcam"]);
        assert_unchanged(&before, &dir.path(""));
    }
    for _ in 0..2 {
        run("out.jsonl", &[]).assert_exit_code(0);
    }
    let lines = fs::read_to_string(dir.path("out.jsonl")).expect("written");
    assert_eq!(lines.lines().count(), 2);
    // A rotated log would get this name.
    dir.write("out.jsonl.2", "mine");
    let output = run("out.jsonl", &["--log-keep", "3"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["out.jsonl.2", "was not written by boxcam"]);
    assert_eq!(fs::read(dir.path("out.jsonl.2")).expect("there"), b"mine");
}
