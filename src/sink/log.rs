//! The log: JSON lines in a rotated file, or on standard output, for months.
//!
//! The lines are those of [`super::json`]. A failed write does not end the run: if a line cannot be written (the disk
//! is full or read-only, the folder is missing), it is dropped, counted in [`Health::lines_lost`] and reported once on
//! standard error. The first line after a second is tried again. A `lost` line replaces the missing ones. Only a file
//! that cannot be opened at the start is an error, and a closed pipe ends the run.
//!
//! Each line is one `write`. If only a part of it is written, that part is removed, so every line that ends is
//! complete. A line that a kill or a power cut truncated is removed when the file is next opened, also if standard
//! output is a file. The file is appended to. Before it would become longer than [`LogSettings::max_size`], `NAME`
//! is renamed `NAME.1`, `NAME.1` is renamed `NAME.2`, and so on up to [`LogSettings::keep`]. If another program moves
//! or deletes the file, the next line creates a new one.
//!
//! Killing the program loses no logged line. A power cut loses what the system has not written to the disk yet. With
//! a line per event, which is rare, the file is synced after a line, at most once a second. With a line per frame
//! that is left to the system, which takes up to half a minute: syncing every second would write gigabytes a day and
//! wear out an SD card. A file is also synced before it is rotated, and at the end.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::write_failures::WriteFailureLog;
use super::{Sink, SinkError, json};
use crate::frame::UnreadableFrame;
use crate::health::{Health, StateChange};
use crate::log_lines::RecordPer;
use crate::output_file::{KeptReason, OutputFileError};
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::warn;

mod line_writer;
mod log_file;
mod recovery;

use line_writer::LineWriter;
use log_file::{LogFile, rotated_path};
use recovery::{begins_as_log, repair};

/// Minimum time between two syncs.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The size in bytes at which the file is rotated. A single line may be longer.
    pub max_size: u64,
    /// The number of rotated files to keep.
    pub keep: u32,
    /// What gets a line.
    pub per: RecordPer,
}

/// Writes JSON lines and continues after write errors.
#[derive(Debug)]
pub struct LogSink {
    target: Target,
    per: RecordPer,
    /// The name of the log in messages.
    name: PathBuf,
    failures: WriteFailureLog,
    health: Arc<Health>,
    synced_at: Option<Instant>,
}

#[derive(Debug)]
enum Target {
    File(LogFile),
    Stdout {
        writer: LineWriter<File>,
        /// Bytes removed from a truncated line at the start, until they are logged.
        truncation: Option<u64>,
    },
}

impl LogSink {
    /// Opens a file for appending, or creates it.
    ///
    /// # Errors
    /// [`SinkError::Write`] if it cannot be opened, or another boxcam has locked it; [`SinkError::Kept`] if it, or a file
    /// in the place of a rotated log, is not a log of boxcam.
    pub fn open(
        path: &Path,
        settings: LogSettings,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let LogSettings {
            max_size,
            keep,
            per,
        } = settings;
        check_is_log(path)?;
        for number in 1..=keep.min(MAX_CHECKED) {
            check_is_log(&rotated_path(path, number))?;
        }
        let file = LogFile::open(path, max_size, keep).map_err(|error| failed(path, error))?;
        Ok(Self::new(Target::File(file), path, per, health))
    }

    /// A log on standard output, which is never rotated.
    ///
    /// # Errors
    /// [`SinkError::Write`] if standard output is closed.
    pub fn stdout(per: RecordPer, health: Arc<Health>) -> Result<Self, SinkError> {
        let name = Path::new("standard output");
        let target = Target::stdout().map_err(|error| failed(name, error))?;
        Ok(Self::new(target, name, per, health))
    }

    fn new(target: Target, name: &Path, per: RecordPer, health: Arc<Health>) -> Self {
        let mut log = Self {
            target,
            per,
            name: name.into(),
            failures: WriteFailureLog::new(name, "lines"),
            health,
            synced_at: None,
        };
        log.record_truncation();
        log.write_pending_gap();
        log
    }

    fn put(&mut self, line: &str, now: Instant) -> Result<(), SinkError> {
        if !self.failures.may_try(now) {
            self.failures.record_drop();
            self.health.lines_lost.add(1);
            return Ok(());
        }
        match self.write(line, now) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(SinkError::Closed),
            Err(error) => {
                self.failures.record_failure(error, now);
                self.health.lines_lost.add(1);
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// Writes a line, after the one that replaces missing lines, if any are missing.
    fn write(&mut self, line: &str, now: Instant) -> io::Result<()> {
        self.target.make_ready()?;
        self.record_truncation();
        let gap = self.gap_line().unwrap_or_default();
        self.target.write(format!("{gap}{line}\n").as_bytes())?;
        self.failures.record_success();
        self.sync_if_due(now)
    }

    /// Writes the line that replaces missing lines, if any are missing and it can be written now.
    fn write_pending_gap(&mut self) {
        if self.target.make_ready().is_err() {
            return;
        }
        // If it fails, the line is written with the next one.
        if let Some(gap) = self.gap_line()
            && self.target.write(gap.as_bytes()).is_ok()
        {
            self.failures.record_success();
        }
    }

    fn gap_line(&self) -> Option<String> {
        let (count, error) = self.failures.lost()?;
        Some(json::gap_line(count, error) + "\n")
    }

    fn record_truncation(&mut self) {
        let Some(bytes) = self.target.take_truncation() else {
            return;
        };
        let message = format!("its last line was truncated: {bytes} bytes were removed");
        warn!("{}: {message}", self.name.display());
        self.failures.record_earlier_loss(message);
    }

    fn sync_if_due(&mut self, now: Instant) -> io::Result<()> {
        let is_due = |at| now.saturating_duration_since(at) >= SYNC_INTERVAL;
        if self.per == RecordPer::Frame || !self.synced_at.is_none_or(is_due) {
            return Ok(());
        }
        self.synced_at = Some(now);
        // A line that cannot be synced counts as lost, although it may still be readable.
        self.target.sync()
    }
}

impl Sink for LogSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        let now = Instant::now();
        match self.per {
            RecordPer::Frame => self.put(&json::frame_line(frame, report), now),
            RecordPer::Event => {
                json::event_lines(frame, report).try_for_each(|line| self.put(&line, now))
            }
        }
    }

    fn events_only(&self) -> bool {
        self.per == RecordPer::Event
    }

    fn on_unreadable_frame(&mut self, unreadable: &UnreadableFrame) -> Result<(), SinkError> {
        // Broken frames of a stream may come by the thousand. They are counted, but are not events.
        if self.per == RecordPer::Event && unreadable.path.is_none() {
            return Ok(());
        }
        self.put(&json::unreadable_line(unreadable), Instant::now())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.put(&json::state_line(change), Instant::now())
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.write_pending_gap();
        self.failures.finish();
        // The lines are written; a failed sync has nowhere to be reported.
        let _ = self.target.sync();
    }
}

impl Target {
    /// Standard output: often a pipe. If it is a file, it may end with a truncated line.
    fn stdout() -> io::Result<Self> {
        let mut file = unbuffered_stdout()?;
        let metadata = file.metadata()?;
        // The position is 0 with `>>`, although writes go to the end. Elsewhere, it was set on purpose.
        let is_at_end =
            metadata.is_file() && [0, metadata.len()].contains(&file.stream_position()?);
        let mut truncation = None;
        let mut writer = LineWriter::new(file.try_clone()?);
        // The shell opened the file for writing only. If it cannot be opened for reading, it is not repaired.
        if is_at_end && let Ok(mut log) = File::open("/dev/fd/1") {
            truncation = repair(&mut log, &mut writer)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Self::Stdout { writer, truncation })
    }

    fn make_ready(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.make_ready(),
            Self::Stdout { .. } => Ok(()),
        }
    }

    fn take_truncation(&mut self) -> Option<u64> {
        match self {
            Self::File(file) => file.take_truncation(),
            Self::Stdout { truncation, .. } => truncation.take(),
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(lines),
            Self::Stdout { writer, .. } => writer.write(lines),
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

/// Standard output without the buffer of the standard library.
#[cfg(unix)]
fn unbuffered_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn unbuffered_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// Rotated logs that are looked at before a run.
const MAX_CHECKED: u32 = 1000;

/// Checks that a file, if there is one, was written by boxcam: lines are not appended to a picture.
fn check_is_log(path: &Path) -> Result<(), SinkError> {
    if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(());
    }
    // A file that can't be read is reported when it is opened.
    if begins_as_log(path).unwrap_or(true) {
        return Ok(());
    }
    Err(SinkError::Kept(OutputFileError::Kept {
        path: path.into(),
        reason: KeptReason::Foreign,
    }))
}

fn failed(name: &Path, source: io::Error) -> SinkError {
    SinkError::Write {
        path: name.into(),
        source,
    }
}

#[cfg(test)]
mod tests;
