//! Instructions per inference, counted by the processor through `perf` or, where it has no counters, by Valgrind.
//!
//! Unlike times, they do not depend on the load of the machine. Two runs of different length are counted; loading the
//! model and starting Python cancel out in the difference.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::engine::{Engine, EngineKind, WorkerCommand};
use crate::setup::Setup;

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counter {
    /// The processor's counters.
    Perf,
    /// An emulated processor without AVX-512, so that engines run their AVX2 code. Slow, but exact.
    Valgrind,
}

impl Counter {
    /// The processor's counters if it has any, else Valgrind if wanted.
    pub(crate) fn find(is_emulation_wanted: bool) -> Option<Self> {
        if perf_counts() {
            Some(Self::Perf)
        } else if is_emulation_wanted {
            Some(Self::Valgrind)
        } else {
            eprintln!(
                "instructions are not counted: perf is not installed, or this virtual machine has no counters; \
                 --valgrind counts those of an AVX2 processor, slowly"
            );
            None
        }
    }

    /// Instructions per inference of an engine.
    pub(crate) fn per_inference(self, kind: &EngineKind, setup: &Setup) -> Result<f64> {
        let (few, many) = match self {
            Self::Perf => (5, 25),
            Self::Valgrind => (1, 4),
        };
        let least = self.counted(setup.command(kind)?, few)?;
        let most = self.counted(setup.command(kind)?, many)?;
        Ok((most - least) / f64::from(many - few))
    }

    /// All instructions of a worker that runs some inferences.
    fn counted(self, start: WorkerCommand, inferences: u32) -> Result<f64> {
        let counts = start.log.with_extension("count");
        let mut command = self.command(&counts);
        command
            .arg(start.command.get_program())
            .args(start.command.get_args());
        for (name, value) in start.command.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        let log = start.log;
        let mut engine = Engine::start(WorkerCommand { command, log })?;
        engine.run(inferences)?;
        let process = engine.process_id();
        // The count is written when the worker has ended.
        drop(engine);
        match self {
            Self::Perf => first_number(&std::fs::read_to_string(counts)?),
            Self::Valgrind => {
                // A child process of the engine has a file of its own.
                let text = std::fs::read_to_string(counts.with_extension(process.to_string()))?;
                let collected = text.lines().find_map(|l| l.split_once("Collected :"));
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

/// Whether `perf` is installed and can count instructions.
fn perf_counts() -> bool {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", "instructions:u", "true"]);
    let stderr = command
        .output()
        .map(|output| output.stderr)
        .unwrap_or_default();
    first_number(&String::from_utf8_lossy(&stderr)).is_some()
}

/// The first line's number; `None` for "<not supported>".
fn first_number(text: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.split(',').next()?.parse().ok())
}
