//! The log of the program under faults: it is killed, the disk is full or read-only, another program moves the file.
#![cfg(all(unix, feature = "demo"))]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::common::TestDir;
use serde_json::Value;

/// More frames than any of these runs processes.
const ENDLESS: &str = "1000000";

/// A run in the background, with its standard error.
struct Running {
    program: Child,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let mut program = command.spawn().expect("the program starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, kept) = (program.stderr.take().expect("piped"), Arc::clone(&stderr));
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut stderr = kept.lock().unwrap_or_else(PoisonError::into_inner);
                *stderr += &format!("{line}\n");
            }
        });
        Self { program, stderr }
    }

    fn stderr(&self) -> String {
        self.stderr.lock().expect("valid").clone()
    }

    fn wait_for_stderr(&self, text: &str) {
        wait_until(
            || self.stderr().contains(text),
            || format!("no {text:?} in {:?}", self.stderr()),
        );
    }

    /// Terminates it. Returns its exit code and its standard error.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.program.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        let ended = self.program.wait().expect("exited");
        (ended.code(), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has exited already, unless a test failed.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A run of the demo over that many frames, as fast as possible.
fn demo(folder: &TestDir, frames: &str, arguments: &[&str]) -> Command {
    let all = "run --source demo --display none --model tiny.onnx --frames";
    let all: Vec<&str> = all.split(' ').chain([frames]).collect();
    let mut command = folder.command(&[&all, arguments].concat());
    command.stdout(Stdio::null());
    command
}

/// The log and its rotated files, the oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let name = path
        .file_name()
        .expect("has one")
        .to_string_lossy()
        .into_owned();
    let entries = fs::read_dir(path.parent().expect("has one")).expect("readable");
    let mut files: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let this = entry.file_name().to_string_lossy().into_owned();
            let rest = this.strip_prefix(&name)?;
            let age = rest
                .strip_prefix('.')
                .map_or(Some(0), |age| age.parse().ok())?;
            Some((age, entry.path()))
        })
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    files.into_iter().map(|(_, path)| path).collect()
}

/// All complete lines of these files. Each may end with a truncated one.
fn complete_lines(files: &[PathBuf]) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read(file).expect("readable");
        let complete = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in text[..complete].split_inclusive(|&byte| byte == b'\n') {
            let parsed = serde_json::from_slice(line);
            let shown = String::from_utf8_lossy(line);
            lines.push(parsed.unwrap_or_else(|e| panic!("{e} in {}: {shown}", file.display())));
        }
    }
    lines
}

/// The number of a frame, or of a picture by its name.
fn number_of(line: &Value) -> u64 {
    let name = line["picture"].as_str().map(Path::new);
    let stem = name.and_then(|name| name.file_stem()?.to_str()?.parse().ok());
    stem.or(line["frame"].as_u64()).expect("a number")
}

/// Asserts that each frame has one line, in order, and that a `lost` line has the number of missing ones. Returns the
/// number of missing lines and of runs.
#[track_caller]
fn assert_gapless(lines: &[Value]) -> (u64, u64) {
    let (mut missing, mut runs) = (0, 0);
    let (mut last, mut lost, mut time) = (None, 0, String::new());
    for line in lines {
        if let Some(count) = line["lost"].as_u64() {
            assert!(line["error"].is_string(), "{line}");
            lost += count;
            continue;
        }
        let number = number_of(line);
        // Times of this form sort as text; pictures have none.
        if let Some(this) = line["time"].as_str() {
            assert!(this >= time.as_str(), "{this} after {time}");
            time = this.to_owned();
        }
        match last {
            Some(last) if number != 0 => {
                assert_eq!(number, last + 1 + lost, "after {last} and {lost} lost");
                missing += lost;
            }
            // The oldest lines may be deleted, and a line that a kill truncated is not of the next run.
            _ => runs += 1,
        }
        (last, lost) = (Some(number), 0);
    }
    (missing, runs)
}

#[test]
fn kills_at_any_moment_lose_no_logged_line() {
    // One with a rotation every other line, of so many files that many kills interrupt one; and one with fewer rotations.
    let settings = [
        "--log-size 600B --log-keep 300",
        "--log-size 5kB --log-keep 50",
    ];
    let threads: Vec<_> = (0..)
        .zip(settings)
        .map(|(seed, settings)| thread::spawn(move || kill_many_times(seed, settings)))
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Length and time of the log, which change with every line.
fn version(log: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(log).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// A run over many small pictures.
fn pictures(folder: &TestDir, settings: &str) -> Command {
    let arguments = format!(
        "run --source pictures --display none --model tiny.onnx --log out.jsonl {settings}"
    );
    let mut command = folder.command(&arguments.split(' ').collect::<Vec<_>>());
    command.stdout(Stdio::null());
    command
}

fn kill_many_times(seed: u64, settings: &str) {
    const PICTURES: u64 = 1000;
    let folder = TestDir::new();
    folder.write_solid_image("pictures/0000.png", "red");
    let first = folder.path("pictures/0000.png");
    for number in 1..PICTURES {
        let link = folder.path(&format!("pictures/{number:04}.png"));
        fs::hard_link(&first, link).expect("linked");
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let log = folder.path("out.jsonl");
    let (mut written, mut interrupted, mut truncated) = (0, 0, 0);
    for _ in 0..100 {
        let before = version(&log);
        let running = Running::start(pictures(&folder, settings));
        // Mostly while lines are written, sometimes while it starts.
        if random.u8(0..5) > 0 {
            wait_until(|| version(&log) != before, || running.stderr());
        }
        thread::sleep(Duration::from_micros(random.u64(0..100_000)));
        drop(running);
        let files = files(&log);
        let lines = complete_lines(&files);
        let (missing, _) = assert_gapless(&lines);
        assert_eq!(missing, 0, "a kill loses no line within a run");
        let oldest: Option<usize> = files
            .first()
            .and_then(|f| f.extension()?.to_str()?.parse().ok());
        interrupted += usize::from(oldest.unwrap_or(0) + 1 > files.len());
        written += lines.last().map_or(0, |line| {
            line["picture"].as_str().map_or(0, |_| number_of(line))
        });
        truncated += usize::from(lines.iter().any(|line| !line["lost"].is_null()));
    }
    println!(
        "100 kills, {settings}, {written} lines: {interrupted} interrupted a rotation, {truncated} truncated a line"
    );
    assert!(written > 100, "the runs wrote lines");
    let ended = pictures(&folder, &format!("{settings} --frames 3")).status();
    assert_eq!(ended.expect("started").code(), Some(0));
    let newer = complete_lines(&files(&log));
    assert_gapless(&newer);
    assert_eq!(number_of(newer.last().expect("some")), 2);
}

/// A file system mounted in the test's folder. Dropping it unmounts it.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` if mounting is not permitted. The test is then reported as skipped.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        if test_support::tool_is_missing("mount") {
            return None;
        }
        fs::create_dir_all(&at).expect("created");
        let arguments = ["-t", "tmpfs", "-o", options, "boxcam-test"];
        let done = Command::new("mount").args(arguments).arg(&at).output();
        let done = done.expect("mount starts");
        if !done.status.success() {
            let error = String::from_utf8_lossy(&done.stderr);
            test_support::skip!("no file system can be mounted here: {error}");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // `-l`: a failed test may still have a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_only_lines_are_lost_and_counted() {
    let folder = TestDir::new();
    let Some(_disk) = Mounted::new(folder.path("disk"), "size=64k") else {
        return;
    };
    let filler = folder.path("disk/filler");
    fs::write(&filler, vec![0; 40_000]).expect("fits");
    let running = Running::start(demo(&folder, ENDLESS, &["--log", "disk/out.jsonl"]));
    running.wait_for_stderr("disk/out.jsonl: can't be written (No space left");
    let log = folder.path("disk/out.jsonl");
    let text = fs::read_to_string(&log).expect("readable");
    assert!(text.ends_with("}\n"), "a truncated line is removed");
    fs::remove_file(&filler).expect("removed");
    running.wait_for_stderr("disk/out.jsonl: can be written again;");
    let (code, stderr) = running.stop();
    assert_eq!(code, Some(5), "a recording with lost lines: {stderr}");
    let lines = complete_lines(std::slice::from_ref(&log));
    let (missing, runs) = assert_gapless(&lines);
    assert!(missing > 0 && runs == 1);
    let lost = lines
        .iter()
        .filter_map(|line| line["lost"].as_u64())
        .next()
        .expect("a line");
    assert!(
        stderr.contains(&format!("can be written again; {lost} lines were lost")),
        "{stderr}"
    );
    assert!(fs::read_to_string(&log).expect("readable").ends_with("}\n"));
}

#[test]
fn a_read_only_disk_loses_lines_until_it_is_writable() {
    let folder = TestDir::new();
    fs::create_dir(folder.path("disk")).expect("created");
    let running = Running::start(demo(&folder, ENDLESS, &["--log", "disk/out.jsonl"]));
    let log = folder.path("disk/out.jsonl");
    let has_lines = || fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0);
    wait_until(has_lines, || running.stderr());
    let Some(read_only) = Mounted::new(folder.path("disk"), "ro") else {
        return;
    };
    running.wait_for_stderr("disk/out.jsonl: can't be written (Read-only file system");
    drop(read_only);
    running.wait_for_stderr("disk/out.jsonl: can be written again;");
    let (code, stderr) = running.stop();
    assert_eq!(code, Some(5), "{stderr}");
    let (missing, runs) = assert_gapless(&complete_lines(&[log]));
    assert!(missing > 0 && runs == 1);
}

#[test]
fn a_log_that_another_program_moves_continues_in_a_new_file() {
    let folder = TestDir::new();
    let running = Running::start(demo(&folder, ENDLESS, &["--log", "out.jsonl"]));
    let (log, moved) = (folder.path("out.jsonl"), folder.path("moved.jsonl"));
    let has_lines = || fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0);
    wait_until(has_lines, || running.stderr());
    fs::rename(&log, &moved).expect("moved");
    wait_until(has_lines, || running.stderr());
    // A second run must not write to the same file.
    let output = folder.run_tiny(&[
        "run",
        "--source",
        "demo",
        "--frames",
        "1",
        "--log",
        "out.jsonl",
    ]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["another boxcam is writing to it"]);
    assert_eq!(running.stop(), (Some(0), String::new()));
    let (missing, runs) = assert_gapless(&complete_lines(&[moved, log]));
    assert_eq!((missing, runs), (0, 1));
}

#[test]
fn standard_output_may_be_a_truncated_or_full_file() {
    let folder = TestDir::new();
    folder.write(
        "out.jsonl",
        "{\"schema\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"frame\":7}\n{\"sch",
    );
    let mut options = File::options();
    let file = options
        .append(true)
        .open(folder.path("out.jsonl"))
        .expect("readable");
    let mut command = demo(&folder, "3", &[]);
    let output = command.stdout(file).output().expect("started");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("standard output: its last line was truncated: 5 bytes"),
        "{stderr}"
    );
    let text = fs::read_to_string(folder.path("out.jsonl")).expect("readable");
    assert!(!text.contains("{\"sch{"), "{text}");
    let lines = complete_lines(&[folder.path("out.jsonl")]);
    assert_eq!((lines.len(), &lines[1]["lost"]), (5, &1.into()));
    if cfg!(target_os = "linux") {
        let full = options.open("/dev/full").expect("readable");
        let mut command = demo(&folder, "3", &["--snapshots", "shots"]);
        let output = command.stdout(full).output().expect("started");
        assert_eq!(output.status.code(), Some(5));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("standard output: can't be written (No space left"),
            "{stderr}"
        );
        assert!(stderr.contains("3 lines were lost at the end"), "{stderr}");
        assert!(
            folder.path("shots/frame-000002.png").exists(),
            "detection continued"
        );
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let folder = TestDir::new();
    let mut command = demo(&folder, ENDLESS, &[]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().expect("started");
    let mut first = [0; 10];
    let mut reader = program.stdout.take().expect("piped");
    reader.read_exact(&mut first).expect("some bytes");
    drop(reader);
    let output = program.wait_with_output().expect("exited");
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
