//! The log: JSON lines in a file that is rotated, or on standard output, for months.
//!
//! In go frames, reports and changes of state, out come the lines of [`super::json`]. Detection never ends
//! because of it: where a line can't be written (the disk is full or read-only, the folder is gone) it is lost,
//! counted in [`Health::lines_lost`], said once on standard error, and tried again with the first line after a
//! second. Where lines are missing a `lost` line tells how many. Only a file that can't be opened at the start is
//! an error, and a pipe whose reader has left ends the run.
//!
//! Each line is one `write`, and a line of which only a part could be written is cut off again, so every line
//! that ends is whole. What a kill or a power cut tore is cut off when the file is next opened; standard output is
//! treated alike if it is a file. A file is added to. Before it would grow beyond [`LogSettings::size`] it becomes
//! `NAME.1`, what was `NAME.1` becomes `NAME.2`, and so on to [`LogSettings::keep`]. Where somebody else moves or
//! deletes the file, the next line goes to a new one.
//!
//! A kill of the program loses nothing that was logged. A power cut loses what the system has not put on the disk
//! yet. With a line an event, which is rare, that is asked for after a line, at most once a second. With a line a
//! frame it is left to the system, which takes up to half a minute: asking every second would write gigabytes a
//! day and wear an SD card out. A file is put on the disk before it is rotated, and at the end.

use crate::warn;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::json::{self, Lines};
use super::loss::Loss;
use super::{Sink, SinkError};
use crate::frame::{Frame, UnreadableFrame};
use crate::health::{Health, StateChange};
use crate::report::Report;

mod file;
mod line_writer;
mod rotate;
mod stdout;
mod tail;

use file::LogFile;
use line_writer::LineWriter;

/// Time from one wait for the disk to the next.
const SYNC_PAUSE: Duration = Duration::from_secs(1);

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes that a file may have; a single line may be longer.
    pub size: u64,
    /// How many old files are kept.
    pub keep: u32,
    /// What gets a line.
    pub lines: Lines,
}

/// Writes JSON lines and goes on when it can't.
#[derive(Debug)]
pub struct LogSink {
    target: Target,
    lines: Lines,
    /// What messages call it.
    name: PathBuf,
    loss: Loss,
    health: Arc<Health>,
    synced_at: Option<Instant>,
}

#[derive(Debug)]
enum Target {
    File(LogFile),
    Stdout {
        writer: LineWriter<File>,
        /// Bytes that were cut off at the start, until it is logged.
        cut: Option<u64>,
    },
}

impl LogSink {
    /// A log in a file, which is added to, or made.
    ///
    /// # Errors
    /// [`SinkError::Write`] when it can't be opened, or another boxcam has it open.
    pub fn open(
        path: &Path,
        settings: LogSettings,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let LogSettings { size, keep, lines } = settings;
        let file = LogFile::open(path, size, keep).map_err(|error| failed(path, error))?;
        Ok(Self::new(Target::File(file), path, lines, health))
    }

    /// A log on standard output, which is never rotated.
    ///
    /// # Errors
    /// [`SinkError::Write`] when there is none.
    pub fn stdout(lines: Lines, health: Arc<Health>) -> Result<Self, SinkError> {
        let name = Path::new("standard output");
        let (writer, cut) = stdout::open().map_err(|error| failed(name, error))?;
        let target = Target::Stdout { writer, cut };
        Ok(Self::new(target, name, lines, health))
    }

    fn new(target: Target, name: &Path, lines: Lines, health: Arc<Health>) -> Self {
        let mut log = Self {
            target,
            lines,
            name: name.into(),
            loss: Loss::new(name, "lines"),
            health,
            synced_at: None,
        };
        log.note_cut();
        log.settle();
        log
    }

    fn put(&mut self, line: serde_json::Result<Vec<u8>>) -> Result<(), SinkError> {
        let now = Instant::now();
        if !self.loss.may_try(now) {
            self.loss.pass();
            self.health.lines_lost.add(1);
            return Ok(());
        }
        let written = line
            .map_err(io::Error::from)
            .and_then(|line| self.write(line));
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(SinkError::Closed),
            Err(error) => {
                self.loss.failed(error, now);
                self.health.lines_lost.add(1);
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// Writes a line, and before it what is to be said of lines that are missing here.
    fn write(&mut self, line: Vec<u8>) -> io::Result<()> {
        self.target.make_ready()?;
        self.note_cut();
        let mut text = self.lost_line()?;
        text.extend(line);
        text.push(b'\n');
        self.target.write(&text)?;
        self.loss.over();
        self.sync_in_time()
    }

    /// Says that lines are missing, if any are and it can be said now.
    fn settle(&mut self) {
        let written = self.target.make_ready().and_then(|()| {
            let text = self.lost_line()?;
            if !text.is_empty() {
                self.target.write(&text)?;
                self.loss.over();
            }
            Ok(())
        });
        // If not, then with the next line.
        drop(written);
    }

    fn lost_line(&self) -> io::Result<Vec<u8>> {
        let Some((count, error)) = self.loss.so_far() else {
            return Ok(Vec::new());
        };
        let mut line = json::lost_line(count, error)?;
        line.push(b'\n');
        Ok(line)
    }

    fn note_cut(&mut self) {
        let Some(bytes) = self.target.take_cut() else {
            return;
        };
        let found = format!("its last line was torn: {bytes} bytes were cut off");
        warn!("{}: {found}", self.name.display());
        self.loss.found(found);
    }

    fn sync_in_time(&mut self) -> io::Result<()> {
        let is_due = self.synced_at.is_none_or(|at| at.elapsed() >= SYNC_PAUSE);
        if self.lines == Lines::Frames || !is_due {
            return Ok(());
        }
        self.synced_at = Some(Instant::now());
        // What the disk does not take counts as lost, though it may yet be read.
        self.target.sync()
    }
}

impl Sink for LogSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        match self.lines {
            Lines::Frames => self.put(json::frame_line(frame, report)),
            Lines::Events => report
                .events
                .iter()
                .try_for_each(|event| self.put(json::event_line(frame, report, event))),
        }
    }

    fn events_only(&self) -> bool {
        self.lines == Lines::Events
    }

    fn skip(&mut self, frame: &UnreadableFrame) -> Result<(), SinkError> {
        // Broken frames of a stream are counted; thousands of them are no events.
        if self.lines == Lines::Events && frame.path.is_none() {
            return Ok(());
        }
        self.put(json::error_line(frame))
    }

    fn state(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.put(json::state_line(change))
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.settle();
        self.loss.end();
        // The lines are written; whether the disk takes them nobody waits to hear.
        let _ = self.target.sync();
    }
}

impl Target {
    fn make_ready(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.make_ready(),
            Self::Stdout { .. } => Ok(()),
        }
    }

    fn take_cut(&mut self) -> Option<u64> {
        match self {
            Self::File(file) => file.take_cut(),
            Self::Stdout { cut, .. } => cut.take(),
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(text),
            Self::Stdout { writer, .. } => writer.write(text),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Stdout { writer, .. } if writer.inner().metadata()?.is_file() => {
                writer.inner().sync_data()
            }
            Self::Stdout { .. } => Ok(()),
        }
    }
}

fn failed(name: &Path, source: io::Error) -> SinkError {
    SinkError::Write {
        path: name.into(),
        source,
    }
}

#[cfg(test)]
mod tests;
