//! The engines, and a running one: a child process that runs inferences on request.
//!
//! Its first line is a [`Ready`]; then for each line with a number on its standard input it runs that many inferences of
//! one image and prints their cost. peers.py has the same protocol.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// boxcam's own engine; the times of the others are relative to it.
pub(crate) const OURS: &str = "ours";

/// Which engine, and what it runs in.
pub(crate) struct EngineKind {
    /// Its name in the table and on the workers' command line.
    pub(crate) name: &'static str,
    /// Whether peers.py runs it.
    pub(crate) is_python: bool,
    /// Whether its u8 x s8 kernels for x86 add two products in 16 bits where there is no VNNI.
    pub(crate) saturates_without_vnni: bool,
}

/// The engine with the right predictions: ONNX Runtime with all graph optimizations disabled computes the model's
/// operators in floats, where nothing saturates. It is not timed.
pub(crate) const REFERENCE: EngineKind = EngineKind::python("onnxruntime-reference");

/// All engines, in the order of the table.
pub(crate) const ENGINES: [EngineKind; 8] = [
    EngineKind::rust(OURS),
    EngineKind::rust("tract-f32"),
    EngineKind::rust("tract-int8"),
    EngineKind::python("openvino-int8").saturating(),
    EngineKind::python("onnxruntime-int8").saturating(),
    EngineKind::python("onnxruntime-f32"),
    EngineKind::python("litert-int8"),
    EngineKind::python("ncnn-int8"),
];

impl EngineKind {
    const fn rust(name: &'static str) -> Self {
        Self {
            name,
            is_python: false,
            saturates_without_vnni: false,
        }
    }

    const fn python(name: &'static str) -> Self {
        Self {
            is_python: true,
            ..Self::rust(name)
        }
    }

    const fn saturating(self) -> Self {
        Self {
            saturates_without_vnni: true,
            ..self
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name == OURS
    }
}

/// The first line of an engine that has loaded its model.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: String,
    /// CPU time from the model file to ready.
    pub(crate) load_ms: f64,
    pub(crate) first_ms: f64,
    /// Scores and corners for each image.
    pub(crate) predictions: Vec<(Vec<f32>, Vec<f32>)>,
}

/// Seconds of some inferences.
pub(crate) struct Cost {
    /// Of all threads of the engine's process together.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// The command that starts an engine, and the file for its standard error.
pub(crate) struct WorkerCommand {
    pub(crate) command: Command,
    pub(crate) log: PathBuf,
}

/// A running engine.
pub(crate) struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    log: PathBuf,
    pub(crate) ready: Ready,
}

impl Engine {
    /// Starts an engine and waits until it is ready.
    pub(crate) fn start(start: WorkerCommand) -> Result<Self> {
        let WorkerCommand { mut command, log } = start;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("has no output")?;
        let mut output = BufReader::new(output);
        let line = read_line(&mut output, &log);
        let ready = line.and_then(|line| Ok(serde_json::from_str(&line)?));
        let ready = ready.inspect_err(|_| kill(&mut child))?;
        Ok(Self {
            child,
            input,
            output,
            log,
            ready,
        })
    }

    /// Runs some inferences.
    pub(crate) fn run(&mut self, count: u32) -> Result<Cost> {
        let input = self.input.as_mut().context("has ended")?;
        writeln!(input, "{count}").with_context(|| last_message(&self.log))?;
        let line = read_line(&mut self.output, &self.log)?;
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [cpu, wall] = numbers[..] else {
            bail!("expected two numbers, got {line:?}");
        };
        Ok(Cost { cpu, wall })
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The peak resident set size of the process in MB, on Linux.
    pub(crate) fn peak_rss_mb(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process_id())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Every worker exits when its standard input is closed.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn read_line(output: &mut BufReader<ChildStdout>, log: &Path) -> Result<String> {
    let mut line = String::new();
    let length = output.read_line(&mut line)?;
    ensure!(length > 0, "{}", last_message(log));
    Ok(line)
}

/// The last line of an engine's standard error, which most likely tells why it ended.
fn last_message(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it ended without a message").to_owned()
}
