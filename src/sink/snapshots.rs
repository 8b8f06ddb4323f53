//! Snapshots: annotated frames in a folder whose total size is limited.
//!
//! Each event gets a JPEG named by its time, kind, class and track, as
//! `20261123T204501.123Z-appeared-apple-17.jpg`; in a zone or at a line, the name of that follows. With a record per frame, each frame gets a PNG instead, named as in
//! [`super::picture_files`]. A snapshot shows what a display shows: the visible tracks, or the frame's own detections if the
//! source is not tracked. In that of an event, the thing of the event is marked.
//!
//! Snapshots of earlier runs are recognized by their names, `TIME-EVENT-CLASS-TRACK.jpg` and `frame-NUMBER.png`. Those of
//! events are synced before they get their name, so that a power cut leaves no empty one.
//!
//! A failed write does not end the run: the snapshot is dropped and counted in [`Health::snapshots_lost`]. Only a folder that
//! cannot be created or listed at the start is an error.

use std::path::Path;
use std::sync::Arc;

use bytesize::ByteSize;

use super::budget_folder::FileGroup;
use super::folder_writer::{FolderSettings, FolderWriter, encode_error};
use super::picture_files::{EVENT_QUALITY, FileNamer, annotate, annotate_event, encode_png};
use super::{Sink, SinkError, event_names};
use crate::health::Health;
use crate::log_lines::RecordPer;
use crate::picture::encode_jpeg;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::warn;

const FILES: FolderSettings = FolderSettings {
    group: FileGroup {
        item: "snapshot",
        option: "--snapshots-size",
        has_name: is_snapshot,
    },
    items: "snapshots",
    lost: |health| &health.snapshots_lost,
};

/// Writes snapshots and continues after write errors.
#[derive(Debug)]
pub struct SnapshotSink {
    per: RecordPer,
    writer: FolderWriter,
    namer: FileNamer,
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
        Ok(Self {
            per,
            writer: FolderWriter::open(FILES, path, budget, health)?,
            namer: FileNamer::default(),
            has_reported_deletion: false,
        })
    }

    fn save_frame(&mut self, frame: &PublicFrame, report: &Report) {
        let name = self.namer.name(frame);
        if self.writer.drops_during_delay() {
            return;
        }
        let png = encode_png(&annotate(frame, report)).map_err(encode_error);
        let deleted = self.writer.save(name, png, false);
        if deleted > 0 && !self.has_reported_deletion {
            self.has_reported_deletion = true;
            let (folder, budget) = (self.writer.path().display(), self.writer.budget());
            let (budget, option) = (ByteSize(budget), FILES.group.option);
            warn!(
                "{folder}: snapshot budget {budget} reached; deleting the oldest (see `{option}`)"
            );
        }
    }

    /// Saves the frame once per event.
    fn save_events(&mut self, frame: &PublicFrame, report: &Report) {
        for event in &report.events {
            if self.writer.drops_during_delay() {
                continue;
            }
            let image = annotate_event(frame, report, event);
            let jpeg = encode_jpeg(&image, EVENT_QUALITY).map_err(encode_error);
            let beginning = event_names::of_time(event.time);
            let zones = report.zones.map();
            let name = event_names::of_event(&beginning, event, &report.labels, zones);
            self.writer.save(format!("{name}.jpg"), jpeg, true);
        }
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

/// Whether the file name is that of a snapshot of any run of boxcam.
fn is_snapshot(name: &str) -> bool {
    let number = name
        .strip_prefix("frame-")
        .and_then(|rest| rest.strip_suffix(".png"));
    event_names::is_of_event(name, "jpg") || number.is_some_and(event_names::is_padded_number)
}

#[cfg(test)]
mod tests;
