//! Snapshots: pictures with their boxes in a folder that never grows beyond a budget.
//!
//! In go frames and reports, out come files. An event gets a JPEG named by its time, what happened, the class and
//! the number of the track, as `20261123T204501.123Z-appeared-apple-17.jpg`. A run with a line a frame gets a PNG a
//! frame instead, named as [`super::picture`] names them.
//!
//! All snapshots of the folder together stay within the budget, the oldest go first. Which are snapshots of
//! earlier runs is told by the two kinds of name, `TIME-EVENT-CLASS-TRACK.jpg` and `frame-NUMBER.png`; any other
//! file that was there before is neither counted nor touched. A file is there as a whole or not at all; what a
//! killed run left unfinished is removed at the start, so a folder is for one run at a time. Snapshots of events
//! are put on the disk before they have their name, so that a power cut leaves no empty one.
//!
//! Detection never ends because of it: a snapshot that can't be written is lost, counted in
//! [`Health::snapshots_lost`] and said once. Only a folder that can't be made or listed at the start is an error.

use crate::warn;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytesize::ByteSize;
use image::ImageError;

use super::json::Lines;
use super::loss::Loss;
use super::picture::{Care, Names, annotate, png, write_whole};
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::health::Health;
use crate::picture::encode_jpeg;
use crate::report::Report;

mod name;
mod store;

use name::event_name;
use store::Store;

/// Quality of the JPEGs: boxes and labels stay sharp, a file of 640 x 480 has some 60 kB.
const QUALITY: u8 = 85;

/// Writes snapshots and goes on when it can't.
#[derive(Debug)]
pub struct SnapshotSink {
    folder: PathBuf,
    lines: Lines,
    store: Store,
    names: Names,
    loss: Loss,
    health: Arc<Health>,
    has_said_full: bool,
}

impl SnapshotSink {
    /// A sink into a folder, which is made if it isn't there, for snapshots of `budget` bytes at most.
    ///
    /// # Errors
    /// [`SinkError::Write`] when the folder can't be made or listed.
    pub fn open(
        folder: &Path,
        lines: Lines,
        budget: u64,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let store = Store::open(folder, budget).map_err(|source| SinkError::Write {
            path: folder.into(),
            source,
        })?;
        Ok(Self {
            folder: folder.into(),
            lines,
            store,
            names: Names::default(),
            loss: Loss::new(folder, "snapshots"),
            health,
            has_said_full: false,
        })
    }

    fn keep_frame(&mut self, frame: &Frame, report: &Report) {
        let name = self.names.next(frame);
        if self.pauses() {
            return;
        }
        let kept = png(&annotate(frame, report)).map_err(io_error);
        let kept = kept.and_then(|bytes| self.keep(name, &bytes, Care::Plain));
        self.note(kept);
    }

    fn keep_events(&mut self, frame: &Frame, report: &Report) {
        let mut picture = None;
        for event in &report.events {
            if self.pauses() {
                continue;
            }
            let encoded = match picture.take() {
                Some(bytes) => Ok(bytes),
                None => encode_jpeg(&annotate(frame, report), QUALITY).map_err(io_error),
            };
            let kept = encoded.and_then(|bytes| {
                let kept = self.keep(event_name(event, &report.labels), &bytes, Care::Synced);
                picture = Some(bytes);
                kept
            });
            self.note(kept);
        }
    }

    /// Whether nothing is tried for a while after a failure; what there was to keep then counts as lost.
    fn pauses(&mut self) -> bool {
        let may_try = self.loss.may_try(Instant::now());
        if !may_try {
            self.loss.pass();
            self.health.snapshots_lost.add(1);
        }
        !may_try
    }

    fn keep(&mut self, name: String, bytes: &[u8], care: Care) -> io::Result<()> {
        let size = bytes.len() as u64;
        let removed = self.store.make_room(&name, size)?;
        if removed > 0 && self.lines == Lines::Frames && !self.has_said_full {
            self.has_said_full = true;
            let (folder, budget) = (self.folder.display(), ByteSize(self.store.budget()));
            warn!(
                "{folder}: the oldest snapshots go from now on, as all may have {budget}; \
                 `--snapshots-size` allows more"
            );
        }
        write_whole(&self.folder.join(&name), bytes, care)?;
        self.store.add(name, size);
        Ok(())
    }

    fn note(&mut self, kept: io::Result<()>) {
        match kept {
            Ok(()) => self.loss.over(),
            Err(error) => {
                self.loss.failed(error, Instant::now());
                self.health.snapshots_lost.add(1);
            }
        }
    }
}

impl Sink for SnapshotSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        match self.lines {
            Lines::Frames => self.keep_frame(frame, report),
            Lines::Events => self.keep_events(frame, report),
        }
        Ok(())
    }

    fn events_only(&self) -> bool {
        self.lines == Lines::Events
    }
}

impl Drop for SnapshotSink {
    fn drop(&mut self) {
        self.loss.end();
    }
}

/// An encoder that fails is told of like a disk that does.
fn io_error(error: ImageError) -> io::Error {
    match error {
        ImageError::IoError(error) => error,
        other => io::Error::new(ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests;
