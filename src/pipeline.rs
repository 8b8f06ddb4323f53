//! Source, model and sinks in motion.
//!
//! In goes a source, out go its frames through the model to every sink. A replayed source is asked for one
//! frame after the other and nothing is lost; all of it happens on the calling thread. A live one is watched
//! over and opened anew when it fails; capture, model and each output have a thread of their own, the newest
//! frame wins and frames that nobody had time for are counted. It knows traits only: no file, camera or
//! window is opened here.
//!
//! ```text
//! replayed   calling thread: source -> model -> outputs -> display
//! live       supervise: opens, gives up, opens again
//!            capture:   source -> newest frame -+-> model thread -> a queue for each output -> its thread
//!                                               +-> calling thread: display, with the latest report
//! ```

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use thiserror::Error;

use crate::detect::{DetectError, Detector};
use crate::health::Health;
use crate::preprocess::PreprocessError;
use crate::sink::{Sink, SinkError};
use crate::source::{FrameSource, SourceError, SourceFactory};

mod capture;
mod ending;
mod hub;
mod inference;
mod live;
mod outputs;
mod queue;
mod replayed;
mod slot;
mod supervisor;

/// What frames go through.
pub struct Pipeline<'a> {
    /// The model.
    pub detector: Box<dyn Detector>,
    /// Models that take over from it, each before the next frame.
    pub newer_models: Option<Receiver<Box<dyn Detector>>>,
    /// Who is told, in this order.
    pub outputs: Vec<Box<dyn Sink + Send>>,
    /// Who shows it to a person; stays on the calling thread.
    pub display: Option<&'a mut dyn Sink>,
    /// Confidence from which a prediction is a detection, in `0..=1`; the model's own without it.
    pub threshold: Option<f32>,
    /// Whether frames follow each other, so that what is in them can be tracked.
    pub is_tracked: bool,
    /// Ends the run after so many frames have been through the model.
    pub frames: Option<NonZeroU64>,
    /// Ends the run soon after it becomes true.
    pub stop: &'a AtomicBool,
    /// Where it is counted how the run is doing.
    pub health: Arc<Health>,
    /// How long things may take.
    pub times: Times,
}

/// Where the frames of a run come from.
pub enum Input {
    /// A source that is asked for each frame.
    Replayed(Box<dyn FrameSource>),
    /// A source whose frames go by when nobody asks for them.
    Live {
        /// Opens it.
        open: SourceFactory,
        /// Whether it is opened again when it fails or ends; otherwise that ends the run.
        reopens: bool,
        /// Whether a source that can't be opened at first is waited for; otherwise that ends the run.
        wait: bool,
    },
}

/// How long things may take in a live run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Time without a frame after which capture has stalled. A source that was just opened has twice that,
    /// and four times where that was not enough.
    pub stall: Duration,
    /// Pause before a source is opened again, the first time.
    pub shortest_pause: Duration,
    /// The longest such pause; each is twice the one before, and begins with the attempt before.
    pub longest_pause: Duration,
    /// Least time between two frames that are taken from a source, so that a flood leaves room for others.
    pub least_interval: Duration,
    /// Time after which the display is shown the last frame again, when no other has come.
    pub refresh: Duration,
    /// Time without a frame after which what was there has left.
    pub forget: Duration,
    /// Time for all that is under way to be finished at the end.
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(2),
            shortest_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(2),
            least_interval: Duration::from_millis(2),
            refresh: Duration::from_millis(500),
            forget: Duration::from_secs(5),
            drain: Duration::from_secs(5),
        }
    }
}

/// How a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that went through the model.
    pub frames: u64,
    /// Pictures and folders that could not be read. Broken frames of a live source are only counted in
    /// [`Health::broken`].
    pub skipped: u64,
    /// Frames of a live source that never went through the model.
    pub dropped: u64,
}

/// What ends a run early.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A thread failed to start.
    #[error("no thread could be started for {what} ({source}); end other programs and try again")]
    Thread {
        /// What the thread is for.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The source panicked.
    #[error("the source broke down; this is a fault of boxcam, please report what stands above")]
    SourcePanicked,
    /// The model panicked.
    #[error("the model broke down; this is a fault of boxcam, please report what stands above")]
    ModelPanicked,
    /// An output panicked.
    #[error("an output broke down; this is a fault of boxcam, please report what stands above")]
    OutputPanicked,
    /// A frame can't be given to the model.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The model failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Pipeline<'_> {
    /// Runs until the source ends, the limit of frames is reached, nobody looks any more
    /// ([`SinkError::Closed`]) or `stop` becomes true; all of these are well. What is still there then leaves,
    /// and the outputs are told all before this returns, in bounded time.
    ///
    /// A thread whose source or output never answers is left behind.
    ///
    /// # Errors
    /// [`PipelineError`]; a single picture or frame that can't be read is none, and neither is a live source
    /// that fails after it has given frames and can be opened again.
    pub fn run(self, input: Input) -> Result<Outcome, PipelineError> {
        match input {
            Input::Replayed(source) => replayed::run(self, source),
            Input::Live {
                open,
                reopens,
                wait,
            } => live::run(
                self,
                supervisor::Supply {
                    open,
                    reopens,
                    wait,
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests;
