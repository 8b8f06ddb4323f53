//! Skipped tests, test data, Python packages and what is in a folder, for the tests of all packages.
//!
//! A test that cannot run here calls [`skip!`] and returns. The reason goes straight to standard error, because libtest
//! captures what `print!` and `eprint!` write, and into a list that [`print_summary`] prints at the end of each package.
//!
//! | variable | effect |
//! | --- | --- |
//! | `BOXCAM_REQUIRE_ALL=1` | a skipped test fails, except for missing data where `needs-data.txt` names the test |
//! | `BOXCAM_DATA=FOLDER` | folder of the data sets, by default `../shared/data` beside the checkout |

mod python;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use python::PythonPackages;

/// Tests that may be skipped where there is no data.
const NEEDS_DATA: &str = include_str!("../needs-data.txt");

/// Records that the calling test is skipped, with a reason in the syntax of `format!`. The test returns afterwards.
///
/// Panics if `BOXCAM_REQUIRE_ALL` is set.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => { $crate::skip_test(&::std::format!($($reason)+)) };
}

/// What [`skip!`] calls.
#[track_caller]
pub fn skip_test(reason: &str) {
    let test = current_test();
    assert!(
        !requires_all(),
        "{test} must not be skipped, because BOXCAM_REQUIRE_ALL is set: {reason}"
    );
    record(&test, reason);
}

/// Whether a program is not installed; the calling test is then recorded as skipped.
#[track_caller]
pub fn tool_is_missing(program: &str) -> bool {
    // Servers and disk tools are not on the PATH of every user.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let is_missing = which::which_in(program, Some(path), "/").is_err();
    if is_missing {
        skip_test(&format!("{program} is not installed (see .ci/setup)"));
    }
    is_missing
}

/// A file or folder of the data sets that the calling test needs. `None` if there is no data; the test is then recorded as
/// skipped.
///
/// Panics if `needs-data.txt` does not name the test, or if `BOXCAM_DATA` is set and has no such path.
#[track_caller]
pub fn data(path: &str) -> Option<PathBuf> {
    let test = current_test();
    assert!(
        may_lack_data(&test),
        "{test} uses {path} of BOXCAM_DATA: add it to tests/support/needs-data.txt"
    );
    let found = optional_data(path);
    if found.is_none() {
        record(&test, &format!("no {path} in {}", data_folder().display()));
    }
    found
}

/// A file or folder of the data sets for a test that runs without it too.
///
/// Panics if `BOXCAM_DATA` is set and has no such path.
#[track_caller]
pub fn optional_data(path: &str) -> Option<PathBuf> {
    let found = data_folder().join(path);
    let is_there = found.exists();
    let is_promised = std::env::var_os("BOXCAM_DATA").is_some_and(|folder| !folder.is_empty());
    assert!(
        is_there || !is_promised,
        "BOXCAM_DATA is set, but there is no {}",
        found.display()
    );
    is_there.then_some(found)
}

/// The names of all files and folders in a folder, sorted.
#[track_caller]
pub fn file_names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The files in a folder that has only files, by name.
#[track_caller]
pub fn read_files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, bytes)
    };
    file_names(folder).into_iter().map(read).collect()
}

/// Prints which tests the packages of this run have skipped so far.
pub fn print_summary() {
    let skipped = fs::read_to_string(list()).unwrap_or_default();
    let count = skipped.lines().count();
    println!("\nskipped tests: {count}");
    for line in skipped.lines() {
        println!("  {line}");
    }
    println!();
}

fn requires_all() -> bool {
    std::env::var_os("BOXCAM_REQUIRE_ALL").is_some_and(|value| !value.is_empty())
}

fn data_folder() -> PathBuf {
    let set = std::env::var_os("BOXCAM_DATA").filter(|folder| !folder.is_empty());
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    set.map_or_else(beside, PathBuf::from)
}

fn may_lack_data(test: &str) -> bool {
    // With `--test-threads=1` libtest runs the tests on the main thread, and only the program is known.
    let is_unknown = |listed: &str| {
        test.strip_suffix("::main")
            .is_some_and(|program| listed.split("::").next() == Some(program))
    };
    NEEDS_DATA
        .lines()
        .any(|listed| listed == test || is_unknown(listed))
}

/// Program and name of the test that runs on this thread.
fn current_test() -> String {
    let program = std::env::current_exe().ok();
    let program = program
        .as_deref()
        .and_then(Path::file_stem)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // cargo appends a hash.
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    let thread = std::thread::current();
    format!("{program}::{}", thread.name().unwrap_or("unnamed thread"))
}

fn record(test: &str, reason: &str) {
    let line = format!("{test}: {}", reason.trim().replace('\n', " "));
    // Standard error itself is not captured. A closed one must not fail the test.
    let _ = io::stderr().write_all(format!("\nSKIPPED {line}\n").as_bytes());
    let list = list();
    fs::create_dir_all(list.parent().expect("has a folder")).expect("the folder is made");
    let file = OpenOptions::new().create(true).append(true).open(&list);
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", list.display()));
}

/// The list of this run: all test programs that one `cargo test` starts have the same parent process.
fn list() -> PathBuf {
    let program = std::env::current_exe().expect("has a path");
    // target/release/deps/PROGRAM
    let profile = program.ancestors().nth(2).unwrap_or(Path::new("."));
    profile.join("skipped-tests").join(run_id())
}

/// Process id of the parent and, as ids are used again, its start time.
#[cfg(unix)]
fn run_id() -> String {
    let parent = std::os::unix::process::parent_id();
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    // The name, in parentheses, may have spaces in it; the start time is the 20th field behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let start = fields.split_whitespace().nth(19).unwrap_or("0");
    format!("{parent}-{start}")
}

#[cfg(not(unix))]
fn run_id() -> String {
    "run".to_owned()
}
