//! The log of the real program when things go wrong: it is killed, the disk is full or read-only, somebody else
//! moves the file.
#![cfg(all(unix, feature = "demo"))]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::TestDir;
use serde_json::Value;

/// More frames than any run here comes to.
const ENDLESS: &str = "1000000";

/// A run in the background, with what it says.
struct Running {
    program: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let mut program = command.spawn().expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (program.stderr.take().expect("piped"), Arc::clone(&said));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = kept.lock().unwrap_or_else(PoisonError::into_inner);
                *said += &format!("{line}\n");
            }
        });
        Self { program, said }
    }

    fn said(&self) -> String {
        self.said.lock().expect("sound").clone()
    }

    fn wait_for_talk(&self, words: &str) {
        wait_until(
            || self.said().contains(words),
            || format!("no {words:?} in {:?}", self.said()),
        );
    }

    /// Asks it to end; its exit code and all that it said.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.program.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill is there").success());
        let ended = self.program.wait().expect("it ends");
        (ended.code(), self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
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

/// The demo of so many frames in this folder, one after the other as fast as it goes.
fn demo(place: &TestDir, frames: &str, words: &[&str]) -> Command {
    let all = "run --source demo --display none --model tiny.onnx --frames";
    let all: Vec<&str> = all.split(' ').chain([frames]).collect();
    let mut command = place.command(&[&all, words].concat());
    command.stdout(Stdio::null());
    command
}

/// The log and its old files, the oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let name = path
        .file_name()
        .expect("has one")
        .to_string_lossy()
        .into_owned();
    let entries = fs::read_dir(path.parent().expect("has one")).expect("there");
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

/// All whole lines of these files; a piece without an end is allowed at the end of each.
fn whole_lines(files: &[PathBuf]) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read(file).expect("there");
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in text[..whole].split_inclusive(|&byte| byte == b'\n') {
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

/// Every frame is there once and in order; where some are missing a line tells how many. Returns how many that
/// are, and how many runs there were.
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
            // The oldest lines may be gone, and what a kill tore is not of the next run.
            _ => runs += 1,
        }
        (last, lost) = (Some(number), 0);
    }
    (missing, runs)
}

#[test]
fn kills_at_any_moment_lose_nothing_that_was_logged() {
    // A rotation every other line, of so many files that many a kill finds one going on; and a quicker one.
    let settings = [
        "--log-size 600B --log-keep 300",
        "--log-size 5kB --log-keep 50",
    ];
    let places: Vec<_> = (0..)
        .zip(settings)
        .map(|(seed, settings)| thread::spawn(move || kill_many_times(seed, settings)))
        .collect();
    for place in places {
        place.join().expect("all is well");
    }
}

/// Changes with every line.
fn newest(log: &Path) -> Option<(u64, SystemTime)> {
    let about = fs::metadata(log).ok()?;
    Some((about.len(), about.modified().ok()?))
}

/// A run over many small pictures, which takes about as long as its start.
fn pictures(place: &TestDir, settings: &str) -> Command {
    let words = format!(
        "run --source pictures --display none --model tiny.onnx --log out.jsonl {settings}"
    );
    let mut command = place.command(&words.split(' ').collect::<Vec<_>>());
    command.stdout(Stdio::null());
    command
}

fn kill_many_times(seed: u64, settings: &str) {
    const PICTURES: u64 = 1000;
    let place = TestDir::new();
    place.write_solid_image("pictures/0000.png", "red");
    let first = place.path("pictures/0000.png");
    for number in 1..PICTURES {
        let link = place.path(&format!("pictures/{number:04}.png"));
        fs::hard_link(&first, link).expect("linked");
    }
    let mut dice = fastrand::Rng::with_seed(seed);
    let log = place.path("out.jsonl");
    let (mut written, mut broken_off, mut torn) = (0, 0, 0);
    for _ in 0..100 {
        let before = newest(&log);
        let running = Running::start(pictures(&place, settings));
        // Mostly while lines are written, now and then while it starts.
        if dice.u8(0..5) > 0 {
            wait_until(|| newest(&log) != before, || running.said());
        }
        thread::sleep(Duration::from_micros(dice.u64(0..100_000)));
        drop(running);
        let files = files(&log);
        let lines = whole_lines(&files);
        let (missing, _) = assert_gapless(&lines);
        assert_eq!(missing, 0, "a kill loses no line within a run");
        let oldest: Option<usize> = files
            .first()
            .and_then(|f| f.extension()?.to_str()?.parse().ok());
        broken_off += usize::from(oldest.unwrap_or(0) + 1 > files.len());
        written += lines.last().map_or(0, |line| {
            line["picture"].as_str().map_or(0, |_| number_of(line))
        });
        torn += usize::from(lines.iter().any(|line| !line["lost"].is_null()));
    }
    eprintln!(
        "100 kills, {settings}, {written} lines: {broken_off} found a rotation going on, {torn} tore a line"
    );
    assert!(written > 100, "the runs wrote something");
    let ended = pictures(&place, &format!("{settings} --frames 3")).status();
    assert_eq!(ended.expect("it starts").code(), Some(0));
    let newer = whole_lines(&files(&log));
    assert_gapless(&newer);
    assert_eq!(number_of(newer.last().expect("some")), 2);
}

/// A file system of its own in a folder of the workplace, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, said loudly, where this may not be done.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        if test_support::tool_is_missing("mount") {
            return None;
        }
        fs::create_dir_all(&at).expect("made");
        let words = ["-t", "tmpfs", "-o", options, "boxcam-test"];
        let done = Command::new("mount").args(words).arg(&at).output();
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
        // Also while a failed test still has a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_lines_which_are_counted_and_nothing_else() {
    let place = TestDir::new();
    let Some(_disk) = Mounted::new(place.path("disk"), "size=64k") else {
        return;
    };
    let filler = place.path("disk/filler");
    fs::write(&filler, vec![0; 40_000]).expect("fits");
    let running = Running::start(demo(&place, ENDLESS, &["--log", "disk/out.jsonl"]));
    running.wait_for_talk("disk/out.jsonl: can't be written (No space left");
    thread::sleep(Duration::from_millis(300));
    let log = place.path("disk/out.jsonl");
    let text = fs::read_to_string(&log).expect("there");
    assert!(text.ends_with("}\n"), "what was torn is cut off");
    fs::remove_file(&filler).expect("removed");
    running.wait_for_talk("disk/out.jsonl: can be written again;");
    let (code, said) = running.stop();
    assert_eq!(code, Some(5), "a replayed run that lost lines: {said}");
    let lines = whole_lines(std::slice::from_ref(&log));
    let (missing, runs) = assert_gapless(&lines);
    assert!(missing > 0 && runs == 1);
    let lost = lines
        .iter()
        .filter_map(|line| line["lost"].as_u64())
        .next()
        .expect("a line");
    assert!(
        said.contains(&format!("can be written again; {lost} lines were lost")),
        "{said}"
    );
    assert!(fs::read_to_string(&log).expect("there").ends_with("}\n"));
}

#[test]
fn a_read_only_disk_costs_lines_until_it_is_none() {
    let place = TestDir::new();
    fs::create_dir(place.path("disk")).expect("made");
    let running = Running::start(demo(&place, ENDLESS, &["--log", "disk/out.jsonl"]));
    let log = place.path("disk/out.jsonl");
    let has_lines = || fs::metadata(&log).is_ok_and(|about| about.len() > 0);
    wait_until(has_lines, || running.said());
    let Some(read_only) = Mounted::new(place.path("disk"), "ro") else {
        return;
    };
    running.wait_for_talk("disk/out.jsonl: can't be written (Read-only file system");
    drop(read_only);
    running.wait_for_talk("disk/out.jsonl: can be written again;");
    let (code, said) = running.stop();
    assert_eq!(code, Some(5), "{said}");
    let (missing, runs) = assert_gapless(&whole_lines(&[log]));
    assert!(missing > 0 && runs == 1);
}

#[test]
fn a_log_that_somebody_else_moves_goes_on_in_a_new_file() {
    let place = TestDir::new();
    let running = Running::start(demo(&place, ENDLESS, &["--log", "out.jsonl"]));
    let (log, moved) = (place.path("out.jsonl"), place.path("moved.jsonl"));
    let has_lines = || fs::metadata(&log).is_ok_and(|about| about.len() > 0);
    wait_until(has_lines, || running.said());
    fs::rename(&log, &moved).expect("moved");
    wait_until(has_lines, || running.said());
    // Another run must not write to the same file.
    let said = place.run_tiny(&[
        "run",
        "--source",
        "demo",
        "--frames",
        "1",
        "--log",
        "out.jsonl",
    ]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["another boxcam is writing to it"]);
    assert_eq!(running.stop(), (Some(0), String::new()));
    let (missing, runs) = assert_gapless(&whole_lines(&[moved, log]));
    assert_eq!((missing, runs), (0, 1));
}

#[test]
fn standard_output_may_be_a_file_that_is_torn_or_full() {
    let place = TestDir::new();
    place.write(
        "out.jsonl",
        "{\"schema\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"frame\":7}\n{\"sch",
    );
    let mut options = File::options();
    let file = options
        .append(true)
        .open(place.path("out.jsonl"))
        .expect("there");
    let mut command = demo(&place, "3", &[]);
    let output = command.stdout(file).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        talk.contains("standard output: its last line was truncated: 5 bytes"),
        "{talk}"
    );
    let text = fs::read_to_string(place.path("out.jsonl")).expect("there");
    assert!(!text.contains("{\"sch{"), "{text}");
    let lines = whole_lines(&[place.path("out.jsonl")]);
    assert_eq!((lines.len(), &lines[1]["lost"]), (5, &1.into()));
    if cfg!(target_os = "linux") {
        let full = options.open("/dev/full").expect("there");
        let mut command = demo(&place, "3", &["--snapshots", "shots"]);
        let output = command.stdout(full).output().expect("it starts");
        assert_eq!(output.status.code(), Some(5));
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(
            talk.contains("standard output: can't be written (No space left"),
            "{talk}"
        );
        assert!(talk.contains("3 lines were lost at the end"), "{talk}");
        assert!(
            place.path("shots/frame-000002.png").exists(),
            "detection went on"
        );
    }
}

#[test]
fn a_pipe_whose_reader_left_ends_a_run_well() {
    let place = TestDir::new();
    let mut command = demo(&place, ENDLESS, &[]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().expect("it starts");
    let mut first = [0; 10];
    let mut reader = program.stdout.take().expect("piped");
    reader.read_exact(&mut first).expect("some bytes");
    drop(reader);
    let output = program.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
