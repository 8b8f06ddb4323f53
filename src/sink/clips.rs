//! Clips: films of events, with some seconds before and after, in a folder whose total size is limited.
//!
//! A clip is motion JPEG in an AVI file, named as the snapshot of its event: `20261123T204501.123Z-appeared-apple-17.avi`.
//! It has the JPEGs of the camera as they came. The frames of a source without JPEGs, and all frames of a run with hidden classes,
//! are encoded. Nothing is drawn on them.
//!
//! All events begin a clip, those of zones among them. One that happens while a clip is written makes it longer, so that
//! nothing is stored twice. After 60 s, at a quarter of the budget, and when the size of the frames changes, a clip ends and another
//! one goes on.
//!
//! [`ClipNamer`] names the clip of each event beforehand ([`Report::clip`]), so that other sinks can announce it. A report whose
//! clip has another name ends the one that is written.
//!
//! Frames of a live source that the model did not get come before the report of a later frame. So frames wait in the buffer until
//! the report of a later one has come, and are written in order.
//!
//! A clip that cannot be written is dropped and counted in [`Health::clips_lost`]; the next event tries again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::budget_folder::FileGroup;
use super::folder_writer::{FolderSettings, FolderWriter};
use super::frame_times::FrameTimes;
use super::picture_files::EVENT_QUALITY;
use super::{Sink, SinkError, event_names};
use crate::frame::{Frame, Origin};
use crate::health::{CaptureState, Health, StateChange};
use crate::output_file::{OutputFileError, PendingFile};
use crate::picture::{encode_jpeg, jpeg};
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::track::Event;

mod avi;
mod frame_buffer;
mod namer;

use avi::{AviFrame, AviWriter, FinishedAvi};
use frame_buffer::{ClipFrame, FrameBuffer};

pub use namer::ClipNamer;

/// The longest clip. Events that go on for longer have several.
const MAX_LENGTH: Duration = Duration::from_secs(60);

/// A clip has at most this part of the budget, so that there is room for earlier ones.
const BUDGET_SHARE: u64 = 4;

const EXTENSION: &str = "avi";

const FILES: FolderSettings = FolderSettings {
    group: FileGroup {
        item: "clip",
        option: "--clips-size",
        has_name: is_clip,
    },
    items: "clips",
    lost: |health| &health.clips_lost,
};

/// What a clip shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipSettings {
    /// Time before an event.
    pub before: Duration,
    /// Time after the last event.
    pub after: Duration,
    /// The maximum total size of all clips in bytes.
    pub budget: u64,
}

/// Writes clips and continues after write errors.
#[derive(Debug)]
pub struct ClipSink {
    settings: ClipSettings,
    writer: FolderWriter,
    frames: FrameBuffer,
    times: FrameTimes,
    /// When the newest frame was captured of which the report has come: all frames before it have come.
    reported: Duration,
    /// `None` between events.
    recording: Option<Recording>,
    /// The last name of [`Report::clip`] that a clip was begun with.
    begun: Option<Arc<str>>,
}

/// The time around one or more events.
#[derive(Debug)]
struct Recording {
    /// The name of the first clip, until it is begun.
    name: Option<String>,
    /// The end of the names of later ones, which is of the last event; their beginning is of their first frame.
    event: String,
    /// The film whose frames are recorded; `None` for live frames.
    film: Option<PathBuf>,
    /// The time of the last frame.
    until: Duration,
    /// `None` before the first frame, and between two clips.
    clip: Option<Clip>,
}

/// A file that is being written.
#[derive(Debug)]
struct Clip {
    name: String,
    size: (u32, u32),
    avi: AviWriter<PendingFile>,
}

impl ClipSink {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// [`SinkError::Write`] if the folder cannot be created or listed.
    pub fn open(
        path: &Path,
        settings: ClipSettings,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        Ok(Self {
            settings,
            writer: FolderWriter::open(FILES, path, settings.budget, health)?,
            frames: FrameBuffer::default(),
            times: FrameTimes::default(),
            reported: Duration::ZERO,
            recording: None,
            begun: None,
        })
    }

    /// Adds a frame to the buffer. One that can't be encoded, or that comes too late for its place in a clip, is left out.
    fn add(&mut self, frame: &Frame) -> Duration {
        let at = self.times.of(frame);
        let is_late = self.recording.is_some() && at <= self.reported;
        if !is_late && let Some(frame) = stored(frame, at) {
            self.frames.insert(frame);
        }
        at
    }

    /// Whether the events of the report are in another clip than the one that is recorded.
    fn begins_another(&self, report: &Report) -> bool {
        self.recording.is_some() && report.clip.is_some() && report.clip != self.begun
    }

    /// Begins a recording, or makes the present one longer.
    fn record_events(&mut self, frame: &Frame, report: &Report) {
        let Some(event) = report.events.first() else {
            return;
        };
        let until = self.reported + self.settings.after;
        let name = event_names::of_event("", event, &report.labels, report.zones.map());
        if let Some(recording) = &mut self.recording {
            (recording.until, recording.event) = (until, name);
            return;
        }
        if self.writer.drops_during_delay() {
            return;
        }
        self.frames.keep_last_size();
        let film = match &frame.origin {
            Origin::Recording(path) => Some(path.clone()),
            _ => None,
        };
        // After a failure, what was written under that name stays.
        let announced = report
            .clip
            .as_ref()
            .filter(|clip| self.begun.as_ref() != Some(*clip));
        let first = announced.map_or_else(|| clip_name(frame, event, report), ToString::to_string);
        self.begun.clone_from(&report.clip);
        self.recording = Some(Recording {
            name: Some(first),
            event: name,
            film,
            until,
            clip: None,
        });
    }

    /// Writes all frames up to the last report that are of the recording, and ends it if later ones are not.
    fn write_frames(&mut self) {
        while let Some(recording) = &mut self.recording {
            let Some(next) = self.frames.front_until(self.reported) else {
                return;
            };
            if next.at > recording.until {
                self.end_recording();
                break;
            }
            let Some(frame) = self.frames.pop_front() else {
                return;
            };
            let (writer, interval) = (&mut self.writer, self.frames.interval());
            if let Err(error) = recording.write(&frame, interval, writer) {
                self.recording = None;
                self.writer.record::<()>(Err(error));
            }
        }
        let least = self.reported.saturating_sub(self.settings.before);
        self.frames.drop_before(least);
    }

    /// Completes the clip that is being written. Later frames of the recording go into another one.
    fn end_clip(&mut self) {
        if let Some(recording) = &mut self.recording {
            let completed = recording.complete(&mut self.writer);
            completed.unwrap_or_else(|error| {
                self.recording = None;
                self.writer.record::<()>(Err(error));
            });
        }
    }

    fn end_recording(&mut self) {
        self.end_clip();
        self.recording = None;
    }

    /// Writes what has come, since no more frames come for now.
    fn write_rest(&mut self) {
        self.reported = self.frames.newest().unwrap_or_default().max(self.reported);
        self.write_frames();
        self.end_clip();
    }
}

impl Recording {
    /// Appends a frame to the clip. If there is none, or the frame does not fit into it, another one begins.
    fn write(
        &mut self,
        frame: &ClipFrame,
        interval: Duration,
        writer: &mut FolderWriter,
    ) -> Result<(), OutputFileError> {
        let max_bytes = (writer.budget() / BUDGET_SHARE).min(avi::MAX_BYTES);
        let fits = self.clip.as_ref().is_none_or(|clip| {
            let length = frame.at.saturating_sub(clip.avi.start());
            clip.size == frame.size
                && length <= MAX_LENGTH
                && clip.avi.bytes_with(frame.into()) <= max_bytes
        });
        if !fits {
            self.complete(writer)?;
        }
        match &mut self.clip {
            Some(clip) => clip.append(frame, writer),
            None => {
                self.clip = Some(Clip::begin(self.next_name(frame), frame, interval, writer)?);
                Ok(())
            }
        }
    }

    fn next_name(&mut self, frame: &ClipFrame) -> String {
        self.name.take().unwrap_or_else(|| {
            let beginning = match &self.film {
                Some(path) => event_names::of_recorded(path, frame.sequence),
                None => event_names::of_time(frame.time),
            };
            format!("{beginning}{}.{EXTENSION}", self.event)
        })
    }

    fn complete(&mut self, writer: &mut FolderWriter) -> Result<(), OutputFileError> {
        match self.clip.take() {
            Some(clip) => clip.complete(writer),
            None => Ok(()),
        }
    }
}

impl Clip {
    fn begin(
        name: String,
        frame: &ClipFrame,
        interval: Duration,
        writer: &mut FolderWriter,
    ) -> Result<Self, OutputFileError> {
        let size = frame.size;
        writer.make_room(&name, frame.jpeg.len() as u64)?;
        let file = writer.begin(&name, &avi::unfinished_headers(size))?;
        let avi = AviWriter::begin(file, size, interval, frame.into());
        let avi = avi.map_err(|error| writer.failed(&name, error))?;
        Ok(Self { name, size, avi })
    }

    fn append(
        &mut self,
        frame: &ClipFrame,
        writer: &mut FolderWriter,
    ) -> Result<(), OutputFileError> {
        let frame = AviFrame::from(frame);
        writer.make_room(&self.name, self.avi.bytes_with(frame))?;
        let appended = self.avi.append(frame);
        appended.map_err(|error| writer.failed(&self.name, error))
    }

    fn complete(self, writer: &mut FolderWriter) -> Result<(), OutputFileError> {
        let Self { name, avi, .. } = self;
        let FinishedAvi { file, start, bytes } =
            avi.finish().map_err(|error| writer.failed(&name, error))?;
        writer.make_room(&name, bytes)?;
        writer.complete(name, file, &start, bytes)?;
        writer.record(Ok(()));
        Ok(())
    }
}

impl<'a> From<&'a ClipFrame> for AviFrame<'a> {
    fn from(frame: &'a ClipFrame) -> Self {
        Self {
            jpeg: &frame.jpeg,
            at: frame.at,
        }
    }
}

/// The name of a clip that begins with an event of this frame.
fn clip_name(frame: &Frame, event: &Event, report: &Report) -> String {
    let beginning = match &frame.origin {
        Origin::Recording(path) => event_names::of_recorded(path, frame.sequence),
        _ => event_names::of_time(event.time),
    };
    let name = event_names::of_event(&beginning, event, &report.labels, report.zones.map());
    format!("{name}.{EXTENSION}")
}

/// A frame as it is stored; `None` if it has no pixels.
fn stored(frame: &Frame, at: Duration) -> Option<ClipFrame> {
    let own = frame.image.jpeg().map(Arc::clone);
    let jpeg = own.or_else(|| Some(encode_jpeg(&frame.image, EVENT_QUALITY).ok()?.into()))?;
    Some(ClipFrame {
        size: jpeg::stored_size(&jpeg)?,
        jpeg,
        at,
        time: frame.time,
        sequence: frame.sequence,
    })
}

impl Sink for ClipSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        let at = self.add(frame);
        if self.begins_another(report) {
            // The frame of the event is in the next one.
            let before = at.saturating_sub(Duration::from_nanos(1));
            self.reported = self.reported.max(before);
            self.write_frames();
            self.end_recording();
        }
        self.reported = self.reported.max(at);
        self.write_frames();
        self.record_events(frame, report);
        self.write_frames();
        Ok(())
    }

    fn wants_rested_frames(&self) -> bool {
        true
    }

    fn wants_skipped_frames(&self) -> bool {
        true
    }

    fn on_skipped_frame(&mut self, frame: &PublicFrame) -> Result<(), SinkError> {
        self.add(frame);
        Ok(())
    }

    fn on_track_ended(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.record_events(frame, report);
        self.write_frames();
        Ok(())
    }

    /// The clip is whole while the camera is away.
    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        if change.state != CaptureState::Live {
            self.write_rest();
        }
        Ok(())
    }
}

impl Drop for ClipSink {
    fn drop(&mut self) {
        self.write_rest();
    }
}

/// Whether the file name is that of a clip of any run of boxcam.
fn is_clip(name: &str) -> bool {
    event_names::is_of_event(name, EXTENSION) || event_names::is_of_recorded_event(name, EXTENSION)
}

#[cfg(test)]
mod tests;
