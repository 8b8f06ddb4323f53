//! Names clips when their events happen, long before they are complete, so that all outputs can announce the names.

use std::sync::Arc;
use std::time::Duration;

use super::{ClipSettings, MAX_LENGTH, clip_name};
use crate::frame::Frame;
use crate::report::Report;
use crate::sink::frame_times::FrameTimes;

/// Decides which clip the events of each report are in: that of the event before if it still goes on, or another one.
#[derive(Debug)]
pub struct ClipNamer {
    before: Duration,
    after: Duration,
    times: FrameTimes,
    current: Option<NamedClip>,
}

#[derive(Debug)]
struct NamedClip {
    name: Arc<str>,
    /// The time of its last frame, unless another event makes it longer.
    until: Duration,
    /// Later events are not in it: it would be too long.
    last_event: Duration,
}

impl ClipNamer {
    /// For a run whose clips have these settings.
    #[must_use]
    pub fn new(settings: ClipSettings) -> Self {
        Self {
            before: settings.before,
            after: settings.after,
            times: FrameTimes::default(),
            current: None,
        }
    }

    /// The file name of the clip of the report's events; `None` without events.
    pub fn name(&mut self, frame: &Frame, report: &Report) -> Option<Arc<str>> {
        let at = self.times.of(frame);
        let is_full = |clip: &NamedClip| at > clip.last_event;
        // Without an event it goes on, and its last frame is the last one before the end of a track.
        if !report.events.is_empty() && self.current.as_ref().is_some_and(is_full) {
            self.current = None;
        }
        self.name_at(at, frame, report)
    }

    /// The same for tracks that end without a new frame. `last` is the last one, which is in the clip before if that goes on.
    pub fn name_of_end(&mut self, last: &Frame, report: &Report) -> Option<Arc<str>> {
        let at = self.times.of(last);
        self.name_at(at, last, report)
    }

    fn name_at(&mut self, at: Duration, frame: &Frame, report: &Report) -> Option<Arc<str>> {
        let event = report.events.first()?;
        let until = at + self.after;
        if let Some(clip) = self.current.as_mut().filter(|clip| at <= clip.until) {
            clip.until = until;
            return Some(Arc::clone(&clip.name));
        }
        let name: Arc<str> = clip_name(frame, event, report).into();
        self.current = Some(NamedClip {
            name: Arc::clone(&name),
            until,
            last_event: at + MAX_LENGTH.saturating_sub(self.before),
        });
        Some(name)
    }
}
