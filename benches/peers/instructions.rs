//! Instructions an inference, counted by the processor through `perf` or, where it has no counters, by Valgrind.
//!
//! They tell what the time can't: whether an engine does less work, or the machine was kinder to it. Two runs of
//! different length are counted and the rest, loading the model and Python itself, falls out in the difference.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::engine::{Engine, Kind, Start};
use crate::setup::Setup;

/// What counts.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counter {
    /// The processor.
    Perf,
    /// An emulated processor without AVX-512: engines run there what they have for AVX2. Slow, but exact.
    Valgrind,
}

impl Counter {
    /// The processor if it counts here; Valgrind only for those who have the time.
    pub(crate) fn find(is_emulation_wanted: bool) -> Option<Self> {
        if perf_counts() {
            Some(Self::Perf)
        } else if is_emulation_wanted {
            Some(Self::Valgrind)
        } else {
            eprintln!(
                "SKIPPED: perf counts no instructions here (it is missing, or the machine is a virtual one); \
                 --valgrind counts those of an AVX2 machine, slowly"
            );
            None
        }
    }

    /// Instructions for one inference of an engine.
    pub(crate) fn per_inference(self, kind: &Kind, setup: &Setup) -> Result<f64> {
        let (few, many) = match self {
            Self::Perf => (5, 25),
            Self::Valgrind => (1, 4),
        };
        let least = self.counted(setup.command(kind)?, few)?;
        let most = self.counted(setup.command(kind)?, many)?;
        Ok((most - least) / f64::from(many - few))
    }

    /// All instructions of a worker that does some inferences.
    fn counted(self, start: Start, inferences: u32) -> Result<f64> {
        let counts = start.talk.with_extension("count");
        let mut command = self.command(&counts);
        command
            .arg(start.command.get_program())
            .args(start.command.get_args());
        for (name, value) in start.command.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        let talk = start.talk;
        let mut engine = Engine::start(Start { command, talk })?;
        engine.run(inferences)?;
        let process = engine.process();
        // The count is written when the worker has ended.
        drop(engine);
        match self {
            Self::Perf => first_number(&std::fs::read_to_string(counts)?),
            Self::Valgrind => {
                // A process that the engine started on its side has a file of its own.
                let said = std::fs::read_to_string(counts.with_extension(process.to_string()))?;
                let collected = said.lines().find_map(|l| l.split_once("Collected :"));
                collected.and_then(|(_, count)| count.trim().parse().ok())
            }
        }
        .context("nothing was counted")
    }

    fn command(self, counts: &Path) -> Command {
        let mut command = Command::new(match self {
            Self::Perf => "perf",
            Self::Valgrind => "valgrind",
        });
        match self {
            Self::Perf => {
                command.args(["stat", "-x,", "-e", "instructions:u", "-o"]);
                command.arg(counts).arg("--");
            }
            Self::Valgrind => {
                command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
                let log = counts.with_extension("%p");
                command.arg(format!("--log-file={}", log.display()));
            }
        }
        command
    }
}

/// Whether `perf` is there and the machine lets it count.
fn perf_counts() -> bool {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", "instructions:u", "true"]);
    let said = command
        .output()
        .map(|output| output.stderr)
        .unwrap_or_default();
    first_number(&String::from_utf8_lossy(&said)).is_some()
}

/// The count in the first line that begins with one; "<not supported>" is none.
fn first_number(said: &str) -> Option<f64> {
    let mut lines = said.lines();
    lines.find_map(|line| line.split(',').next()?.parse().ok())
}
