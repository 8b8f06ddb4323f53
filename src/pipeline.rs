//! Runs a source, a model and sinks.
//!
//! An offline source is read on the calling thread and no frame is dropped. A live source is supervised: it is reopened
//! when it fails or stalls. Capture, model and each sink have their own thread; the newest frame replaces one that
//! still waits for the model, which is counted as dropped.
//!
//! ```text
//! offline   calling thread: source -> model -> sinks -> display
//! live      supervisor thread: opens the source, gives it up, reopens it
//!           capture thread:    source -> latest frame -+-> model thread -> one queue and thread per sink
//!                                                      +-> calling thread: display, with the latest report
//! ```

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use thiserror::Error;

use crate::class_selection::{ClassSelection, UnknownClass};
use crate::detect::{DetectError, DetectionFilter, Detector};
use crate::health::Health;
use crate::label::aliases::Aliases;
use crate::preprocess::PreprocessError;
use crate::regions::RegionsError;
use crate::sink::clips::ClipNamer;
use crate::sink::{Display, Sink, SinkError};
use crate::source::{FrameSource, SourceError, SourceFactory};
use crate::zone::ZoneMap;

mod capture;
mod channels;
mod clock;
mod heat_control;
mod inference;
mod live;
mod observation;
mod offline;
mod rest;

pub use clock::{Clock, SystemClock};
pub use rest::{HeatSettings, RestSettings};

/// A detector with its sinks, and how to run them.
pub struct Pipeline<'a> {
    pub detector: Box<dyn Detector>,
    /// Detectors that replace the current one before the next frame.
    pub new_models: Option<Receiver<Box<dyn Detector>>>,
    /// Called in this order.
    pub sinks: Vec<Box<dyn Sink + Send>>,
    /// Stays on the calling thread, as window systems require.
    pub display: Option<&'a mut dyn Display>,
    /// Confidence threshold of a detection, in `0..=1`; `None` for the model's own.
    pub threshold: Option<f32>,
    /// What counts as a detection.
    pub filter: DetectionFilter,
    /// The classes whose things are pixelated in what sinks get, whether or not they count as detections; none with `None`.
    pub hidden: Option<ClassSelection>,
    /// Whether they are pixelated on the display, too. It then shows the frames that the model has processed.
    pub hide_on_display: bool,
    /// The names to show for classes.
    pub aliases: Arc<Aliases>,
    /// Zones and lines; without effect unless objects are tracked.
    pub zones: Arc<ZoneMap>,
    /// Names the clips of events; `None` if no sink saves clips.
    pub clip_namer: Option<ClipNamer>,
    /// Whether frames follow each other, so that objects are tracked.
    pub track: bool,
    /// Whether only the primary detection of a frame is reported.
    pub one: bool,
    /// Looks at parts of a frame, too: at most so many inferences per second of frames that follow each other.
    pub regions: Option<NonZeroU32>,
    /// Which frames are not computed.
    pub rest: RestSettings,
    /// Ends the run after this number of frames, those that are not computed among them.
    pub max_frames: Option<NonZeroU64>,
    /// Ends the run after this time; a recording, at this position.
    pub max_duration: Option<Duration>,
    /// Ends the run when it becomes true.
    pub stop: &'a AtomicBool,
    pub health: Arc<Health>,
    pub timeouts: Timeouts,
    pub clock: Arc<dyn Clock>,
}

/// The source of a run.
pub enum SourceConfig {
    /// Read as fast as it is processed.
    Offline(Box<dyn FrameSource>),
    Live(LiveSource),
}

/// A source that delivers frames at its own rate.
pub struct LiveSource {
    pub open: SourceFactory,
    /// Whether to reopen it when it fails or ends; otherwise the run ends.
    pub reopen: bool,
    /// Whether to wait for a source that can't be opened at the start; otherwise the run ends.
    pub wait: bool,
}

/// Timeouts and intervals of a live run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A source that delivers no frame for this time has stalled. The first frame after opening may take twice this
    /// time, or four times if that was not enough before.
    pub stall: Duration,
    /// The least time that the first frame after opening may take.
    pub first_frame: Duration,
    /// Delay before a source is reopened the first time. It doubles with each attempt.
    pub min_retry_delay: Duration,
    pub max_retry_delay: Duration,
    /// Minimum time between two frames that are read from a source, which limits the load of a source without a rate.
    pub min_frame_interval: Duration,
    /// The display shows the last frame again after this time without a new one.
    pub redraw_interval: Duration,
    /// The current track ends after this time without a frame.
    pub leave_after_gap: Duration,
    /// Time for all threads to finish at the end.
    pub shutdown_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(2),
            first_frame: Duration::ZERO,
            min_retry_delay: Duration::from_millis(250),
            max_retry_delay: Duration::from_secs(2),
            min_frame_interval: Duration::from_millis(2),
            redraw_interval: Duration::from_millis(500),
            leave_after_gap: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// What a run processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Frames that the model processed.
    pub frames: u64,
    /// Pictures and folders of an offline source that could not be read.
    pub skipped: u64,
    /// Frames of a live source that the model did not process.
    pub dropped: u64,
}

/// What ends a run with an error.
#[derive(Debug, Error)]
pub enum PipelineError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "no frame came within {}; check the source, or give it more time with --duration",
        humantime::format_duration(*duration)
    )]
    NoFrame { duration: Duration },
    #[error("no thread could be started for {what} ({source}); end other programs and try again")]
    Thread {
        what: &'static str,
        source: std::io::Error,
    },
    #[error(
        "internal error in the source thread (this is a bug; please report the panic message above)"
    )]
    SourcePanicked,
    #[error(
        "internal error in the model thread (this is a bug; please report the panic message above)"
    )]
    ModelPanicked,
    #[error(
        "internal error in a sink thread (this is a bug; please report the panic message above)"
    )]
    SinkPanicked,
    /// Of a class to hide.
    #[error("--hide-classes: {0}")]
    UnknownHiddenClass(#[from] UnknownClass),
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl From<RegionsError> for PipelineError {
    fn from(error: RegionsError) -> Self {
        match error {
            RegionsError::Preprocess(error) => error.into(),
            RegionsError::Detect(error) => error.into(),
        }
    }
}

impl<'a> Pipeline<'a> {
    /// A pipeline without sinks that processes all frames, with default timeouts.
    #[must_use]
    pub fn new(detector: Box<dyn Detector>, stop: &'a AtomicBool) -> Self {
        Self {
            detector,
            new_models: None,
            sinks: Vec::new(),
            display: None,
            threshold: None,
            filter: DetectionFilter::default(),
            hidden: None,
            hide_on_display: false,
            aliases: Arc::default(),
            zones: Arc::default(),
            clip_namer: None,
            track: false,
            one: false,
            regions: None,
            rest: RestSettings::default(),
            max_frames: None,
            max_duration: None,
            stop,
            health: Arc::default(),
            timeouts: Timeouts::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Runs until the source ends, `max_frames` is reached, the window or pipe of a sink is closed
    /// ([`SinkError::Closed`]) or `stop` becomes true. None of these is an error. The current track ends then, and the
    /// sinks receive all pending reports within [`Timeouts::shutdown_timeout`].
    ///
    /// Threads of a source or sink that do not finish in time are detached.
    ///
    /// # Errors
    /// [`PipelineError`]. Unreadable pictures and frames are skipped; a live source that has delivered frames and may
    /// be reopened is retried.
    pub fn run(self, source: SourceConfig) -> Result<RunSummary, PipelineError> {
        let source = match self.rest.idle_interval {
            Some(_) => source.with_deferred_decoding(),
            None => source,
        };
        match source {
            SourceConfig::Offline(source) => offline::run(self, source),
            SourceConfig::Live(source) => live::run(self, source),
        }
    }
}

impl SourceConfig {
    /// Lets frames be decoded when they are computed or shown: of one that is neither, only the brightness is read.
    fn with_deferred_decoding(self) -> Self {
        match self {
            Self::Offline(mut source) => {
                source.defer_decoding();
                Self::Offline(source)
            }
            Self::Live(LiveSource {
                mut open,
                reopen,
                wait,
            }) => Self::Live(LiveSource {
                open: Box::new(move || {
                    let mut source = open()?;
                    source.defer_decoding();
                    Ok(source)
                }),
                reopen,
                wait,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
