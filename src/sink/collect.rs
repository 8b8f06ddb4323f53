//! Collects frames that are worth labelling, to train a better model with.
//!
//! A frame is kept for one of these reasons, the first that applies:
//!
//! | reason | the frame |
//! | --- | --- |
//! | `disagreement` | shows an object whose class is not that of its track |
//! | `uncertain` | has a detection whose confidence is little above the threshold |
//! | `sample` | is the Nth computed one since the last sample |
//!
//! It is stored as the JPEG of the camera as it came, named by its time, the reason and the class:
//! `20261123T204501.123Z-uncertain-apple.jpg`. A frame without a JPEG is encoded. At most one is stored in [`MIN_INTERVAL`], and none that
//! looks nearly like one of the latest [`MAX_COMPARED`] of them.
//!
//! A picture that cannot be written is dropped and counted in [`Health::collected_lost`].

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::budget_folder::FileGroup;
use super::folder_writer::{FolderSettings, FolderWriter, encode_error};
use super::frame_times::FrameTimes;
use super::{Sink, SinkError, event_names};
use crate::detect::Detection;
use crate::frame::Frame;
use crate::health::Health;
use crate::label::ClassId;
use crate::picture::{self, Thumbnail, encode_jpeg};
use crate::privacy::PublicFrame;
use crate::report::Report;

/// Least time between two pictures. Those of one motion are alike to a person, if not to [`Thumbnail::is_near`].
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The number of pictures that a frame is compared with.
pub const MAX_COMPARED: usize = 1000;

/// The number of pictures of earlier runs that are read at the start.
const MAX_READ: usize = 32;

/// A confidence is low in this part of the range from the threshold to 1.
const UNCERTAIN_SHARE: f32 = 0.2;

/// JPEG quality of frames without a JPEG: training is to see what the model saw.
const QUALITY: u8 = 95;

const EXTENSION: &str = "jpg";

const FILES: FolderSettings = FolderSettings {
    group: FileGroup {
        item: "picture",
        option: "--collect-size",
        has_name: is_collected,
    },
    items: "pictures",
    lost: |health| &health.collected_lost,
};

/// Why a frame is worth labelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Disagreement(ClassId),
    Uncertain(ClassId),
    Sample,
}

/// Stores frames and continues after write errors.
#[derive(Debug)]
pub struct CollectSink {
    writer: FolderWriter,
    /// A sample is one of so many computed frames; `None` for no samples.
    every: Option<NonZeroU64>,
    /// Computed frames since the last sample.
    computed: u64,
    times: FrameTimes,
    /// The time of the last picture.
    last: Option<Duration>,
    /// The latest pictures, the oldest first.
    stored: VecDeque<Thumbnail>,
}

impl CollectSink {
    /// Creates the folder if it does not exist. `every`: one of so many computed frames is kept in any case. `budget` is the
    /// maximum total size in bytes.
    ///
    /// # Errors
    /// [`SinkError::Write`] if the folder cannot be created or listed.
    pub fn open(
        path: &Path,
        every: Option<NonZeroU64>,
        budget: u64,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let writer = FolderWriter::open(FILES, path, budget, health)?;
        let latest = writer.newest(MAX_READ);
        // Pictures that can't be read are not compared with.
        let stored = latest
            .iter()
            .filter_map(|path| Some(Thumbnail::of(&picture::open(path).ok()?)))
            .collect();
        Ok(Self {
            writer,
            every,
            computed: 0,
            times: FrameTimes::default(),
            last: None,
            stored,
        })
    }

    fn reason(&mut self, report: &Report) -> Option<Reason> {
        self.computed += 1;
        let is_sample = self.every.is_some_and(|every| self.computed >= every.get());
        disagreement(report)
            .or_else(|| uncertain(report))
            .or_else(|| is_sample.then_some(Reason::Sample))
    }

    /// Stores a frame, unless it is too early or too much like others.
    fn store(&mut self, frame: &Frame, report: &Report, reason: Reason) {
        let at = self.times.of(frame);
        let is_early = |last: Duration| at.saturating_sub(last) < MIN_INTERVAL && at >= last;
        if self.last.is_some_and(is_early) {
            return;
        }
        let thumbnail = Thumbnail::of(&frame.image);
        if self.stored.iter().any(|stored| stored.is_near(&thumbnail)) {
            // Compares again after the interval, not in each frame.
            self.last = Some(at);
            return;
        }
        if self.writer.drops_during_delay() {
            return;
        }
        let jpeg = match frame.image.jpeg() {
            Some(jpeg) => Ok(jpeg.to_vec()),
            None => encode_jpeg(&frame.image, QUALITY).map_err(encode_error),
        };
        self.writer.save(name(frame, report, reason), jpeg, true);
        self.last = Some(at);
        if reason == Reason::Sample {
            self.computed = 0;
        }
        if self.stored.len() == MAX_COMPARED {
            self.stored.pop_front();
        }
        self.stored.push_back(thumbnail);
    }
}

/// The frame's detection of a visible track in another class than that of the track.
fn disagreement(report: &Report) -> Option<Reason> {
    let mut detections = report.numbered_detections();
    detections.find_map(|(detection, number)| {
        let track = report
            .tracks
            .iter()
            .find(|track| Some(track.track) == number)?;
        let is_other = detection.class != track.detection.class;
        is_other.then_some(Reason::Disagreement(detection.class))
    })
}

/// The detection of the lowest confidence, if that is low.
fn uncertain(report: &Report) -> Option<Reason> {
    let thresholds = report.thresholds;
    let primary = report.detection.iter().map(|it| (it, thresholds.primary));
    let others = report.others.iter().map(|it| (it, thresholds.objects));
    let share = |(detection, threshold): (&Detection, f32)| {
        let range = (1.0 - threshold).max(f32::EPSILON);
        ((detection.confidence - threshold) / range, detection.class)
    };
    let least = primary.chain(others).map(share);
    let (share, class) = least.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (share < UNCERTAIN_SHARE).then_some(Reason::Uncertain(class))
}

impl Reason {
    const NAMES: [&str; 3] = ["disagreement", "uncertain", "sample"];

    const fn name(self) -> &'static str {
        match self {
            Self::Disagreement(_) => Self::NAMES[0],
            Self::Uncertain(_) => Self::NAMES[1],
            Self::Sample => Self::NAMES[2],
        }
    }
}

fn name(frame: &Frame, report: &Report, reason: Reason) -> String {
    let (beginning, why) = (event_names::of_frame(frame), reason.name());
    match reason {
        Reason::Disagreement(class) | Reason::Uncertain(class) => {
            let class = event_names::sanitized(report.class_name(class));
            format!("{beginning}-{why}-{class}.{EXTENSION}")
        }
        Reason::Sample => format!("{beginning}-{why}.{EXTENSION}"),
    }
}

/// Whether the file name is that of a picture of any run of boxcam.
fn is_collected(name: &str) -> bool {
    let stem = name
        .strip_suffix(EXTENSION)
        .and_then(|stem| stem.strip_suffix('.'));
    let last = stem.and_then(|stem| stem.rsplit_once('-'));
    let beginning = last.and_then(|(rest, last)| match last == Reason::Sample.name() {
        true => Some(rest),
        false => {
            let (beginning, why) = rest.rsplit_once('-')?;
            (Reason::NAMES.contains(&why) && event_names::is_name(last)).then_some(beginning)
        }
    });
    beginning.is_some_and(event_names::is_beginning)
}

impl Sink for CollectSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        if let Some(reason) = self.reason(report) {
            self.store(frame, report, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
