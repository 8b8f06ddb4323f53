//! Snapshots: annotated frames in a folder whose total size is limited.
//!
//! Each event gets a JPEG named by its time, kind, class and track, as
//! `20261123T204501.123Z-appeared-apple-17.jpg`; in a zone or at a line, the name of that follows. With a record per frame, each frame gets a PNG instead, named as in
//! [`super::picture_files`]. A snapshot shows what a display shows: the visible tracks, or the frame's own detections if the
//! source is not tracked. In that of an event, the thing of the event is marked.
//!
//! All snapshots in the folder together stay within the budget; the oldest are deleted first. Snapshots of earlier
//! runs are recognized by their names, `TIME-EVENT-CLASS-TRACK.jpg` and `frame-NUMBER.png`, and by boxcam's mark; any
//! other file is never deleted or replaced. A file is complete when it gets its name. Temporary files of a killed run
//! are deleted at the start, so a folder is for one run at a time. Snapshots of events are synced before they get their
//! name, so that a power cut leaves no empty one.
//!
//! A failed write does not end the run: the snapshot is dropped, counted in [`Health::snapshots_lost`] and reported
//! once. One whose name a file of the user has is dropped, counted and named. Only a folder that cannot be created or listed at the start is an error.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytesize::ByteSize;
use image::ImageError;

use super::picture_files::{FileNamer, annotate, annotate_event, encode_png};
use super::write_failures::WriteFailureLog;
use super::{Sink, SinkError};
use crate::health::Health;
use crate::log_lines::RecordPer;
use crate::output_file::{self, OutputFileError, WriteSettings};
use crate::picture::encode_jpeg;
use crate::privacy::PublicFrame;
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

    fn save_frame(&mut self, frame: &PublicFrame, report: &Report) {
        let name = self.namer.name(frame);
        if self.drops_during_delay() {
            return;
        }
        let image = annotate(frame, report);
        let saved = match encode_png(&image) {
            Ok(bytes) => self.save(name, &bytes, false),
            Err(error) => Err(self.encode_error(name, error)),
        };
        self.record(saved);
    }

    /// Saves the frame once per event.
    fn save_events(&mut self, frame: &PublicFrame, report: &Report) {
        for event in &report.events {
            if self.drops_during_delay() {
                continue;
            }
            let image = annotate_event(frame, report, event);
            let name = event_file_name(event, &report.labels, report.zones.map());
            let saved = match encode_jpeg(&image, QUALITY) {
                Ok(bytes) => self.save(name, &bytes, true),
                Err(error) => Err(self.encode_error(name, error)),
            };
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

    fn save(&mut self, name: String, bytes: &[u8], sync: bool) -> Result<(), OutputFileError> {
        let bytes = output_file::marked(bytes);
        let path = self.path.join(&name);
        output_file::check_replaceable(&path, &bytes)?;
        let size = bytes.len() as u64;
        let deleted = self.folder.make_room(&name, size);
        let deleted = deleted.map_err(|source| OutputFileError::Write {
            path: path.clone(),
            source,
        })?;
        if deleted > 0 && self.per == RecordPer::Frame && !self.has_reported_deletion {
            self.has_reported_deletion = true;
            let (folder, budget) = (self.path.display(), ByteSize(self.folder.budget()));
            warn!(
                "{folder}: snapshot budget {budget} reached; deleting the oldest (see `--snapshots-size`)"
            );
        }
        let time = self.folder.next_time(SystemTime::now());
        let settings = WriteSettings {
            sync,
            modified: Some(time),
        };
        output_file::write(&path, &bytes, settings)?;
        self.folder.add(name, size, time);
        Ok(())
    }

    fn record(&mut self, saved: Result<(), OutputFileError>) {
        match saved {
            Ok(()) => return self.failures.record_success(),
            // The next one has another name.
            Err(error @ OutputFileError::Kept { .. }) => {
                warn!("{error}");
                self.health.files_kept.add(1);
            }
            Err(OutputFileError::Write { source, .. }) => {
                self.failures.record_failure(source, Instant::now());
            }
        }
        self.health.snapshots_lost.add(1);
    }

    /// An encoder error is handled as a write error.
    fn encode_error(&self, name: String, error: ImageError) -> OutputFileError {
        let source = match error {
            ImageError::IoError(error) => error,
            other => io::Error::new(ErrorKind::InvalidData, other),
        };
        let path = self.path.join(name);
        OutputFileError::Write { path, source }
    }
}

impl Sink for SnapshotSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
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

#[cfg(test)]
mod tests;
