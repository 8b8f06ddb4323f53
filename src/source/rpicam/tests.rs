//! Tests of what runs as a child. The program itself is played in `tests/stream.rs`, where PATH can be set.

use std::fs;
use std::time::Instant;

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Whether a process of this number is there, as a zombie or otherwise.
fn is_there(process: &str) -> bool {
    Path::new("/proc").join(process.trim()).exists()
}

#[test]
fn a_killed_child_leaves_nothing_behind() {
    let (child, mut stdout) = Child::start(shell("sleep 600 & echo $$ $!; wait")).expect("started");
    let mut numbers = String::new();
    while !numbers.ends_with('\n') {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stdout, &mut byte).expect("two numbers");
        numbers.push(char::from(byte[0]));
    }
    let (shell, sleep) = numbers.split_once(' ').expect("two numbers");
    assert!(is_there(shell) && is_there(sleep));
    child.kill();
    assert!(child.wait().is_some(), "it was waited for");
    assert!(!is_there(shell), "no zombie");
    // Whoever takes in orphans waits for the other.
    let status = || fs::read_to_string(format!("/proc/{}/stat", sleep.trim()));
    let is_gone = || status().map_or(true, |stat| stat.contains(") Z "));
    let start = Instant::now();
    while !is_gone() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(is_gone(), "no orphan");
    child.kill();
}

#[test]
fn what_outlives_its_starter_is_killed_with_it() {
    let (child, mut stdout) =
        Child::start(shell("sleep 600 & echo $$ $!; exit 3")).expect("started");
    let mut numbers = String::new();
    while !numbers.ends_with('\n') {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stdout, &mut byte).expect("two numbers");
        numbers.push(char::from(byte[0]));
    }
    // It has to end by itself before it is killed.
    let (shell, _) = numbers.split_once(' ').expect("two numbers");
    let has_ended = || {
        let status = fs::read_to_string(format!("/proc/{shell}/stat"));
        status.map_or(true, |status| status.contains(") Z "))
    };
    let start = Instant::now();
    while !has_ended() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The pipes stay open, so the stream seems to go on: it is for the pipeline to give it up.
    child.kill();
    assert_eq!(child.wait().and_then(|status| status.code()), Some(3));
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut rest).expect("its end");
    assert!(rest.is_empty());
    assert!(child.last_words().contains("exit status: 3"));
    child.kill();
}

#[test]
fn last_words_are_the_last_of_many() {
    let script = "seq 100000 >&2; echo '  out of cameras ' >&2; exit 3";
    let (child, _stdout) = Child::start(shell(script)).expect("started");
    assert_eq!(
        child.last_words(),
        "rpicam-vid ended (exit status: 3) and said: 99998 / 99999 / 100000 / out of cameras"
    );
}

#[test]
fn programs_are_found_as_the_shell_finds_them() {
    assert!(in_path("sh").is_some_and(|file| file.is_file()));
    assert_eq!(in_path("no-such-program-anywhere"), None);
}

#[test]
fn the_program_is_asked_for_what_is_wanted() {
    let command = command(Path::new("/usr/bin/rpicam-vid"), 1, (1280, 720), 15);
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let line = words.join(" ");
    let wanted =
        "--camera 1 --width 1280 --height 720 --framerate 15 -n -t 0 --codec mjpeg --flush -o -";
    assert!(line.ends_with(wanted), "{line}");
}
