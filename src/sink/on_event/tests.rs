//! The sink with real programs: shell scripts.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use image::RgbImage;

use super::*;
use crate::detect::Detection;
use crate::frame::{Frame, Origin};
use crate::geometry::NormBox;
use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind};

fn settings(script: &str, limit: usize) -> OnEventSettings {
    let command = EventCommand {
        program: "sh".to_owned(),
        arguments: ["-c", script].map(str::to_owned).into(),
    };
    OnEventSettings {
        program: EventProgram::find(&command).expect("a shell"),
        limit: NonZeroUsize::new(limit).expect("some"),
        timeout: Duration::from_secs(600),
        camera: "cam".to_owned(),
        when_full: WhenFull::DropOldest,
    }
}

/// Shows a report with an event of each track.
fn show(sink: &mut OnEventSink, tracks: impl IntoIterator<Item = u64>) {
    let labels = Labels::new(vec!["apple".into()]).expect("valid");
    let event = |track| Event {
        kind: EventKind::Appeared,
        track,
        detection: Detection {
            class: ClassId::new(0),
            confidence: 0.5,
            bounding_box: NormBox::WHOLE,
        },
        time: SystemTime::now(),
        duration: Duration::ZERO,
    };
    let report = Report {
        events: tracks.into_iter().map(event).collect(),
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    };
    let frame = Frame::new(0, Origin::Live, RgbImage::new(4, 4));
    sink.show(&PublicFrame::hiding_nothing(frame), &report)
        .expect("shown");
}

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "timeout: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The names of the files in a folder that start with this.
fn files(folder: &Path, start: &str) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    names
}

/// A process that has ended may still be a zombie of its parent.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.is_ok_and(|status| !status.contains(") Z "))
}

/// Writes `started-TRACK` and waits for the file `go`.
fn waiting_script(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "cd '{folder}'; : > started-$BOXCAM_TRACK; until [ -e go ]; do sleep 0.02; done; : > done-$BOXCAM_TRACK"
    )
}

#[test]
fn at_most_the_limit_runs_at_once_and_a_full_queue_drops_the_oldest() {
    let folder = tempfile::tempdir().expect("a folder");
    let health = Arc::new(Health::default());
    let settings = settings(&waiting_script(folder.path()), 2);
    let mut sink = OnEventSink::start(settings, Arc::clone(&health)).expect("started");
    show(&mut sink, [1]);
    show(&mut sink, [2]);
    wait_until("two programs", || {
        files(folder.path(), "started").len() == 2
    });
    // The queue takes the next ones, and none of this waits for a program.
    let last = 2 + MAX_QUEUED as u64 + 5;
    show(&mut sink, 3..=last);
    assert_eq!(health.event_programs_dropped.get(), 5);
    assert_eq!(files(folder.path(), "started").len(), 2);
    fs::write(folder.path().join("go"), "").expect("written");
    let expected = 2 + MAX_QUEUED;
    wait_until("all", || files(folder.path(), "done").len() == expected);
    let done = files(folder.path(), "done");
    for (track, is_done) in [(1, true), (2, true), (3, false), (7, false), (8, true)] {
        assert_eq!(done.contains(&format!("done-{track}")), is_done, "{track}");
    }
    drop(sink);
    assert_eq!(health.event_programs_dropped.get(), 5);
    assert_eq!(health.event_programs_failed.get(), 0);
}

#[test]
fn files_wait_for_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = OnEventSettings {
        when_full: WhenFull::Wait,
        ..settings(
            &format!("cat > '{}'/$BOXCAM_TRACK", folder.path().display()),
            1,
        )
    };
    let health = Arc::new(Health::default());
    let mut sink = OnEventSink::start(settings, Arc::clone(&health)).expect("started");
    let count = MAX_QUEUED as u64 + 20;
    show(&mut sink, 1..=count);
    sink.wait_until_done(&AtomicBool::new(false))
        .expect("waited");
    assert_eq!(files(folder.path(), "").len() as u64, count);
    assert_eq!(health.event_programs_dropped.get(), 0);
    let line = fs::read_to_string(folder.path().join("7")).expect("readable");
    assert!(
        line.starts_with("{\"schema\":1,") && line.ends_with("}\n"),
        "{line}"
    );
    assert!(line.contains("\"track\":7,"), "{line}");
}

/// A program that ignores signals and has a child process; it writes both numbers into the file `pids`.
fn stubborn_script(folder: &Path) -> String {
    format!(
        "trap '' TERM INT HUP; cd '{}'; sleep 600 & echo $$ $! > new; mv new pids; wait",
        folder.display()
    )
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_child_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pids");
    let mut timeout = Duration::from_millis(100);
    // On a busy machine it may be killed before it has started its child process.
    let pids = loop {
        let health = Arc::new(Health::default());
        let settings = OnEventSettings {
            timeout,
            ..settings(&stubborn_script(folder.path()), 1)
        };
        let mut sink = OnEventSink::start(settings, Arc::clone(&health)).expect("started");
        show(&mut sink, [1]);
        sink.wait_until_done(&AtomicBool::new(false))
            .expect("waited");
        assert_eq!(health.event_programs_failed.get(), 1);
        match fs::read_to_string(&path) {
            Ok(pids) => break pids,
            Err(_) => timeout *= 2,
        }
    };
    for pid in pids.split_whitespace() {
        wait_until("the end of each process", || !is_running(pid));
    }
}

#[test]
fn the_end_of_a_run_kills_what_does_not_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pids");
    let health = Arc::new(Health::default());
    let settings = settings(&stubborn_script(folder.path()), 1);
    let mut sink = OnEventSink::start(settings, Arc::clone(&health)).expect("started");
    show(&mut sink, [1, 2, 3]);
    wait_until("the program", || path.exists());
    let pids = fs::read_to_string(path).expect("readable");
    drop(sink);
    for pid in pids.split_whitespace() {
        wait_until("the end of each process", || !is_running(pid));
    }
    let counts = [
        &health.event_programs_failed,
        &health.event_programs_dropped,
    ];
    assert_eq!(counts.map(crate::health::Counter::get), [1, 2]);
}

#[test]
fn what_a_program_leaves_in_the_background_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > '{}'", path.display());
    let health = Arc::new(Health::default());
    let mut sink = OnEventSink::start(settings(&script, 1), Arc::clone(&health)).expect("started");
    show(&mut sink, [1]);
    sink.wait_until_done(&AtomicBool::new(false))
        .expect("waited");
    let pid = fs::read_to_string(path).expect("written");
    wait_until("its end", || !is_running(&pid));
    assert_eq!(health.event_programs_failed.get(), 0);
}

#[test]
fn a_program_that_has_vanished_is_a_failure_of_the_run_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    fs::copy(which::which("true").expect("installed"), &path).expect("copied");
    let command = path.display().to_string().parse().expect("a command");
    let settings = OnEventSettings {
        program: EventProgram::find(&command).expect("there"),
        ..settings("", 1)
    };
    fs::remove_file(&path).expect("removed");
    let health = Arc::new(Health::default());
    let mut sink = OnEventSink::start(settings, Arc::clone(&health)).expect("started");
    show(&mut sink, [1, 2]);
    sink.wait_until_done(&AtomicBool::new(false))
        .expect("waited");
    assert_eq!(health.event_programs_failed.get(), 2);
    let error = EventProgram::find(&command).expect_err("gone").to_string();
    assert!(error.contains("notify\" that may be executed"), "{error}");
}

#[test]
fn drops_are_reported_once_in_a_while() {
    let mut queue = Queue::default();
    let start = Instant::now();
    assert_eq!(queue.drops_to_report(start), None);
    queue.unreported_drops = 1;
    assert_eq!(queue.drops_to_report(start), Some(1));
    queue.unreported_drops = 30;
    let soon = start + DROP_MESSAGE_INTERVAL / 2;
    assert_eq!(queue.drops_to_report(soon), None);
    assert_eq!(
        queue.drops_to_report(start + DROP_MESSAGE_INTERVAL),
        Some(30)
    );
}
