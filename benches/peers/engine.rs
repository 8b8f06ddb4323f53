//! The engines, and a running one: a child process that computes when it is told to.
//!
//! Its first line is a [`Hello`]; then for each line with a number on its standard input it does so many
//! inferences of one picture and says what they cost. peers.py speaks the same.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The engine that all others are set against.
pub(crate) const OURS: &str = "ours";

/// The engine whose answers are taken for right.
pub(crate) const REFERENCE: &str = "onnxruntime-int8";

/// An engine with the format that it runs.
pub(crate) struct Kind {
    /// How the table and the workers call it.
    pub(crate) name: &'static str,
    /// Whether it is one of peers.py.
    pub(crate) is_python: bool,
}

/// All engines, in the order of the table.
pub(crate) const ENGINES: [Kind; 8] = [
    Kind::rust(OURS),
    Kind::rust("tract-f32"),
    Kind::rust("tract-int8"),
    Kind::python("openvino-int8"),
    Kind::python(REFERENCE),
    Kind::python("onnxruntime-f32"),
    Kind::python("litert-int8"),
    Kind::python("ncnn-int8"),
];

impl Kind {
    const fn rust(name: &'static str) -> Self {
        let is_python = false;
        Self { name, is_python }
    }

    const fn python(name: &'static str) -> Self {
        let is_python = true;
        Self { name, is_python }
    }
}

/// What an engine says once it is ready.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: String,
    /// CPU time from the model file to ready.
    pub(crate) load_ms: f64,
    pub(crate) first_ms: f64,
    /// Scores and corners for each picture.
    pub(crate) answers: Vec<(Vec<f32>, Vec<f32>)>,
}

/// Seconds that some inferences took.
pub(crate) struct Cost {
    /// Of the engine's process, all its threads together.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// What starts an engine, and where its talk goes.
pub(crate) struct Start {
    pub(crate) command: Command,
    pub(crate) talk: PathBuf,
}

/// A running engine.
pub(crate) struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    talk: PathBuf,
    pub(crate) hello: Hello,
}

impl Engine {
    /// Starts an engine and waits until it is ready.
    pub(crate) fn start(start: Start) -> Result<Self> {
        let Start { mut command, talk } = start;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&talk)?)
            .spawn()
            .with_context(|| format!("{} doesn't start", command.get_program().display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("has no output")?;
        let mut output = BufReader::new(output);
        let line = answer(&mut output, &talk);
        let hello = line.and_then(|line| Ok(serde_json::from_str(&line)?));
        let hello = hello.inspect_err(|_| end(&mut child))?;
        Ok(Self {
            child,
            input,
            output,
            talk,
            hello,
        })
    }

    /// Does some inferences.
    pub(crate) fn run(&mut self, count: u32) -> Result<Cost> {
        let input = self.input.as_mut().context("has ended")?;
        writeln!(input, "{count}").with_context(|| last_words(&self.talk))?;
        let line = answer(&mut self.output, &self.talk)?;
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [cpu, wall] = numbers[..] else {
            bail!("said {line:?}, expected two numbers");
        };
        Ok(Cost { cpu, wall })
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process has had, in MB, where the system tells it.
    pub(crate) fn peak_rss_mb(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The end of its input is the end of its work; all engines leave by themselves then.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn answer(output: &mut BufReader<ChildStdout>, talk: &PathBuf) -> Result<String> {
    let mut line = String::new();
    let length = output.read_line(&mut line)?;
    ensure!(length > 0, "{}", last_words(talk));
    Ok(line)
}

/// The last line that an engine wrote to its standard error, which tells best why it ended.
fn last_words(talk: &PathBuf) -> String {
    let talk = std::fs::read_to_string(talk).unwrap_or_default();
    let line = talk.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it ended without a word").to_owned()
}
