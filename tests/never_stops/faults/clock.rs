//! The wall clock of the program, which jumps.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("clock.c");

/// Jumps in seconds: a clock without a battery, a wrong one, summer time, a correction.
const JUMPS: [i64; 8] = [
    -1_700_000_000,
    -86_400,
    -3600,
    -1,
    1,
    3600,
    86_400,
    300_000_000,
];

pub(super) struct Clock {
    file: File,
    path: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Compiles the library that moves the clock.
    pub(super) fn new(folder: &Path) -> Self {
        let (path, library) = (folder.join("clock"), folder.join("clock.so"));
        let source = folder.join("clock.c");
        fs::write(&source, SOURCE).expect("written");
        fs::write(&path, 0_i64.to_ne_bytes()).expect("written");
        // Rust itself links with it.
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.expect("a C compiler").success());
        let file = File::options().write(true).open(&path).expect("there");
        Self {
            file,
            path,
            library,
        }
    }

    pub(super) fn apply_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("BOXCAM_TEST_CLOCK", &self.path);
    }

    pub(super) fn jump(&mut self, random: &mut fastrand::Rng) {
        let offset = JUMPS[random.usize(..JUMPS.len())];
        // The program has mapped the file, so it is changed in place.
        self.file.seek(SeekFrom::Start(0)).expect("at its start");
        self.file.write_all(&offset.to_ne_bytes()).expect("written");
    }
}
