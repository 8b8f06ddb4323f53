//! Snapshots: annotated frames in a folder whose total size is limited.
//!
//! Each event gets a JPEG named by its time, kind, class and track, as
//! `20261123T204501.123Z-appeared-apple-17.jpg`. With a record per frame, each frame gets a PNG instead, named as in
//! [`super::picture_files`]. A snapshot shows the detection of its own frame, not the tracked one.
//!
//! All snapshots in the folder together stay within the budget; the oldest are deleted first. Snapshots of earlier
//! runs are recognized by their names, `TIME-EVENT-CLASS-TRACK.jpg` and `frame-NUMBER.png`; any other file from before
//! is neither counted nor deleted. A file is complete when it gets its name. Temporary files of a killed run are
//! deleted at the start, so a folder is for one run at a time. Snapshots of events are synced before they get their
//! name, so that a power cut leaves no empty one.
//!
//! A failed write does not end the run: the snapshot is dropped, counted in [`Health::snapshots_lost`] and reported
//! once. Only a folder that cannot be created or listed at the start is an error.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytesize::ByteSize;
use image::ImageError;

use super::picture_files::{Durability, FileNamer, annotate, encode_png, write_atomically};
use super::write_failures::WriteFailureLog;
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::health::Health;
use crate::log_lines::RecordPer;
use crate::picture::encode_jpeg;
use crate::report::Report;
use crate::warn;

mod snapshot_folder;

use snapshot_folder::{SnapshotFolder, event_file_name};

/// JPEG quality, 1 to 100: boxes and labels stay sharp, and a file of 640 x 480 has about 60 kB.
const QUALITY: u8 = 85;

/// Writes snapshots and continues after write errors.
#[derive(Debug)]
pub struct SnapshotSink {
    path: PathBuf,
    per: RecordPer,
    folder: SnapshotFolder,
    namer: FileNamer,
    failures: WriteFailureLog,
    health: Arc<Health>,
    has_reported_deletion: bool,
}

impl SnapshotSink {
    /// Creates the folder if it does not exist. `budget` is the maximum total size in bytes.
    ///
    /// # Errors
    /// [`SinkError::Write`] if the folder cannot be created or listed.
    pub fn open(
        path: &Path,
        per: RecordPer,
        budget: u64,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let folder = SnapshotFolder::open(path, budget).map_err(|source| SinkError::Write {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            per,
            folder,
            namer: FileNamer::default(),
            failures: WriteFailureLog::new(path, "snapshots"),
            health,
            has_reported_deletion: false,
        })
    }

    fn save_frame(&mut self, frame: &Frame, report: &Report) {
        let name = self.namer.name(frame);
        if self.drops_during_delay() {
            return;
        }
        let image = annotate(frame, report, report.detections());
        let saved = encode_png(&image)
            .map_err(io_error)
            .and_then(|bytes| self.save(name, &bytes, Durability::Default));
        self.record(saved);
    }

    /// Saves the frame once per event, encoded once.
    fn save_events(&mut self, frame: &Frame, report: &Report) {
        let mut encoded = None;
        for event in &report.events {
            if self.drops_during_delay() {
                continue;
            }
            let bytes = match encoded.take() {
                Some(bytes) => Ok(bytes),
                None => {
                    let image = annotate(frame, report, report.detections());
                    encode_jpeg(&image, QUALITY).map_err(io_error)
                }
            };
            let saved = bytes.and_then(|bytes| {
                let name = event_file_name(event, &report.labels);
                let saved = self.save(name, &bytes, Durability::Synced);
                encoded = Some(bytes);
                saved
            });
            self.record(saved);
        }
    }

    /// Whether a retry delay is running. The snapshot then counts as lost.
    fn drops_during_delay(&mut self) -> bool {
        let may_try = self.failures.may_try(Instant::now());
        if !may_try {
            self.failures.record_drop();
            self.health.snapshots_lost.add(1);
        }
        !may_try
    }

    fn save(&mut self, name: String, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let size = bytes.len() as u64;
        let deleted = self.folder.make_room(&name, size)?;
        if deleted > 0 && self.per == RecordPer::Frame && !self.has_reported_deletion {
            self.has_reported_deletion = true;
            let (folder, budget) = (self.path.display(), ByteSize(self.folder.budget()));
            warn!(
                "{folder}: snapshot budget {budget} reached; deleting the oldest (see `--snapshots-size`)"
            );
        }
        write_atomically(&self.path.join(&name), bytes, durability)?;
        self.folder.add(name, size);
        Ok(())
    }

    fn record(&mut self, saved: io::Result<()>) {
        match saved {
            Ok(()) => self.failures.record_success(),
            Err(error) => {
                self.failures.record_failure(error, Instant::now());
                self.health.snapshots_lost.add(1);
            }
        }
    }
}

impl Sink for SnapshotSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        match self.per {
            RecordPer::Frame => self.save_frame(frame, report),
            RecordPer::Event => self.save_events(frame, report),
        }
        Ok(())
    }

    fn events_only(&self) -> bool {
        self.per == RecordPer::Event
    }
}

impl Drop for SnapshotSink {
    fn drop(&mut self) {
        self.failures.finish();
    }
}

/// An encoder error is handled as a write error.
fn io_error(error: ImageError) -> io::Error {
    match error {
        ImageError::IoError(error) => error,
        other => io::Error::new(ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests;
