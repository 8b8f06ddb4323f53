//! Snapshots of the real program: within their budget, whole after a kill, lost where the disk is full.
#![cfg(all(unix, feature = "demo"))]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::TestDir;

const DEMO: [&str; 7] = [
    "run",
    "--source",
    "demo",
    "--display",
    "none",
    "--snapshots",
    "shots",
];

/// Names and sizes of what is in a folder.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).expect("there").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.metadata().expect("a file").len())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn snapshots_keep_their_budget_over_restarts_and_leave_others_alone() {
    const BUDGET: u64 = 3_000_000;
    let place = TestDir::new();
    place.write("shots/mine.png", [0; 5000]);
    place.write("shots/.boxcam-4711.part", [0; 5000]);
    place.write("shots/frame-999999.png", [0; 5000]);
    let budget = BUDGET.to_string();
    for frames in ["6", "9"] {
        let words = [
            &DEMO[..],
            &["--snapshots-size", &budget, "--frames", frames],
        ]
        .concat();
        let said = place.run_tiny(&words);
        said.assert_exit_code(0);
        assert_eq!(said.lines().len().to_string(), frames);
        let mut files = files(&place.path("shots"));
        let mine = files.iter().position(|(name, _)| name == "mine.png");
        files.remove(mine.expect("nobody touches it"));
        let total: u64 = files.iter().map(|(_, size)| size).sum();
        assert!(total <= BUDGET, "{files:?}");
        let newest = format!(
            "frame-{:06}.png",
            frames.parse::<u32>().expect("a number") - 1
        );
        assert!(files.iter().any(|(name, _)| *name == newest), "{files:?}");
        assert!(
            files.iter().all(|(name, _)| name.starts_with("frame-")),
            "{files:?}"
        );
    }
    let said = place.run_tiny(&[&DEMO[..], &["--snapshots-size", "1kB", "--frames", "2"]].concat());
    said.assert_exit_code(5);
    said.assert_stderr_contains(&[
        "one snapshot has",
        "the budget for all is 1000",
        "2 snapshots were lost",
    ]);
    assert_eq!(said.lines().len(), 2, "detection went on");
    assert_eq!(files(&place.path("shots")), [("mine.png".to_owned(), 5000)]);
}

#[test]
fn snapshots_are_whole_whenever_the_program_is_killed() {
    let place = TestDir::new();
    let words = [&DEMO[..], &["--frames", "1000000", "--model", "tiny.onnx"]].concat();
    let mut dice = fastrand::Rng::with_seed(1);
    let (mut unfinished, mut whole) = (0, 0);
    for _ in 0..20 {
        let mut command = place.command(&words);
        let mut program = command.stdout(Stdio::null()).spawn().expect("it starts");
        // Some moment of writing one.
        let unfinished_one = format!("shots/.boxcam-{}.part", program.id());
        let unfinished_one = place.path(&unfinished_one);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !unfinished_one.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros(dice.u64(0..3000)));
        program.kill().expect("killed");
        program.wait().expect("it ends");
        for (name, _) in files(&place.path("shots")) {
            if name.ends_with(".part") {
                unfinished += 1;
                continue;
            }
            let picture = image::open(place.path("shots").join(&name));
            assert!(picture.is_ok(), "{name}: {picture:?}");
            whole += 1;
        }
    }
    eprintln!("{unfinished} of 20 kills left an unfinished file");
    assert!(whole > 0, "there were some");
    place
        .run_tiny(&[&DEMO[..], &["--frames", "1"]].concat())
        .assert_exit_code(0);
    let left = files(&place.path("shots"));
    assert!(
        left.iter().all(|(name, _)| name.ends_with(".png")),
        "{left:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_snapshots_and_nothing_else() {
    let place = TestDir::new();
    fs::create_dir(place.path("shots")).expect("made");
    if test_support::tool_is_missing("mount") {
        return;
    }
    let shots = place.path("shots");
    let words = ["-t", "tmpfs", "-o", "size=2m", "boxcam-test"];
    let mounted = Command::new("mount").args(words).arg(&shots).output();
    let mounted = mounted.expect("mount starts");
    if !mounted.status.success() {
        let error = String::from_utf8_lossy(&mounted.stderr);
        test_support::skip!("no file system can be mounted here: {error}");
        return;
    }
    let said = place.run_tiny(&[&DEMO[..], &["--frames", "40"]].concat());
    let left = files(&shots);
    let broken = left
        .iter()
        .find(|(name, _)| image::open(shots.join(name)).is_err());
    let broken = broken.cloned();
    let unmounted = Command::new("umount").arg("-l").arg(&shots).status();
    assert!(unmounted.expect("umount starts").success());
    said.assert_exit_code(5);
    said.assert_stderr_contains(&[
        "shots: can't be written (No space left",
        "snapshots were lost",
    ]);
    // A picture that is small enough may still fit now and then; each is either there or counted.
    let lost = said.stderr.lines().filter_map(|line| {
        let (before, _) = line.split_once(" snapshots were lost")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    let lost: usize = lost.sum();
    assert_eq!(left.len() + lost, 40, "{}", said.stderr);
    assert_eq!(said.lines().len(), 40, "detection went on");
    assert!(
        broken.is_none() && !left.is_empty(),
        "{broken:?} of {left:?}"
    );
}
