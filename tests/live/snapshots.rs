//! Snapshots of the program: their budget, complete files after a kill, and a full disk.
#![cfg(all(unix, feature = "demo"))]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::TestDir;

const DEMO: [&str; 7] = [
    "run",
    "--source",
    "demo",
    "--display",
    "none",
    "--snapshots",
    "shots",
];

/// Names and sizes of the files in a folder.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).expect("readable").flatten();
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
fn the_budget_holds_across_restarts_and_other_files_are_kept() {
    const BUDGET: u64 = 3_000_000;
    let folder = TestDir::new();
    let mine = ["frame-999999.png", "mine.png"];
    folder.write("shots/mine.png", [0; 5000]);
    // It has the name of a snapshot, but boxcam did not write it.
    folder.write("shots/.boxcam-4711.part", [0; 5000]);
    folder.write("shots/frame-999999.png", [0; 5000]);
    let budget = BUDGET.to_string();
    for frames in ["6", "9"] {
        let arguments = [
            &DEMO[..],
            &["--snapshots-size", &budget, "--frames", frames],
        ]
        .concat();
        let output = folder.run_tiny(&arguments);
        output.assert_exit_code(0);
        assert_eq!(output.lines().len().to_string(), frames);
        let mut files = files(&folder.path("shots"));
        files.retain(|(name, _)| !mine.contains(&name.as_str()));
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
    let output =
        folder.run_tiny(&[&DEMO[..], &["--snapshots-size", "1kB", "--frames", "2"]].concat());
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[
        "one snapshot has",
        "the budget for all is 1000",
        "2 snapshots were lost",
    ]);
    assert_eq!(output.lines().len(), 2, "detection continued");
    assert_eq!(
        files(&folder.path("shots")),
        mine.map(|name| (name.to_owned(), 5000))
    );
}

#[test]
fn snapshots_are_complete_whenever_the_program_is_killed() {
    let folder = TestDir::new();
    let arguments = [&DEMO[..], &["--frames", "1000000", "--model", "tiny.onnx"]].concat();
    let mut random = fastrand::Rng::with_seed(1);
    let (mut temporary, mut complete) = (0, 0);
    for _ in 0..20 {
        let mut command = folder.command(&arguments);
        let mut program = command.stdout(Stdio::null()).spawn().expect("started");
        // Kill it while it writes a file.
        let temporary_file = format!("shots/.boxcam-{}.part", program.id());
        let temporary_file = folder.path(&temporary_file);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !temporary_file.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros(random.u64(0..3000)));
        program.kill().expect("killed");
        program.wait().expect("exited");
        for (name, _) in files(&folder.path("shots")) {
            if name.ends_with(".part") {
                temporary += 1;
                continue;
            }
            let picture = image::open(folder.path("shots").join(&name));
            assert!(picture.is_ok(), "{name}: {picture:?}");
            complete += 1;
        }
    }
    println!("{temporary} of 20 kills left a temporary file");
    assert!(complete > 0, "there are snapshots");
    folder
        .run_tiny(&[&DEMO[..], &["--frames", "1"]].concat())
        .assert_exit_code(0);
    let left = files(&folder.path("shots"));
    assert!(
        left.iter().all(|(name, _)| name.ends_with(".png")),
        "{left:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_only_snapshots_are_lost() {
    let folder = TestDir::new();
    fs::create_dir(folder.path("shots")).expect("created");
    if test_support::tool_is_missing("mount") {
        return;
    }
    let shots = folder.path("shots");
    let arguments = ["-t", "tmpfs", "-o", "size=2m", "boxcam-test"];
    let mounted = Command::new("mount").args(arguments).arg(&shots).output();
    let mounted = mounted.expect("mount starts");
    if !mounted.status.success() {
        let error = String::from_utf8_lossy(&mounted.stderr);
        test_support::skip!("no file system can be mounted here: {error}");
        return;
    }
    let output = folder.run_tiny(&[&DEMO[..], &["--frames", "40"]].concat());
    let left = files(&shots);
    let broken = left
        .iter()
        .find(|(name, _)| image::open(shots.join(name)).is_err());
    let broken = broken.cloned();
    let unmounted = Command::new("umount").arg("-l").arg(&shots).status();
    assert!(unmounted.expect("umount starts").success());
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[
        "shots: can't be written (No space left",
        "snapshots were lost",
    ]);
    // A small snapshot may still fit now and then. Each is either written or counted.
    let lost = output.stderr.lines().filter_map(|line| {
        let (before, _) = line.split_once(" snapshots were lost")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    let lost: usize = lost.sum();
    assert_eq!(left.len() + lost, 40, "{}", output.stderr);
    assert_eq!(output.lines().len(), 40, "detection continued");
    assert!(
        broken.is_none() && !left.is_empty(),
        "{broken:?} of {left:?}"
    );
}
