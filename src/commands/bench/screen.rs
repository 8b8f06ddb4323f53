//! The age of a picture when it is on the screen, and of the box in it: the live pipeline with a camera that sends
//! one picture 30 times a second, and a screen in memory.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::health::Health;
use boxcam::overlay::{self, Canvas};
use boxcam::pipeline::{Input, Pipeline, Times};
use boxcam::report::Report;
use boxcam::sink::{Sink, SinkError};
use boxcam::source::{FrameSource, SourceError};

use super::super::Failure;
use super::Encoded;

/// Time from one frame to the next.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Frames that go through the model.
const FRAMES: u64 = 20;

/// What a person at the screen would see.
#[derive(Default)]
pub(super) struct Ages {
    /// From when a frame was taken to when it is drawn.
    pub(super) picture: Vec<Duration>,
    /// From when the frame was taken that the box is from, to the same.
    pub(super) found: Vec<Duration>,
}

/// Runs the live pipeline for a while.
pub(super) fn ages(picture: &Encoded, detector: &TractDetector) -> Result<Ages, Failure> {
    let mut screen = Screen(Ages::default());
    let encoded = picture.clone();
    let stop = AtomicBool::new(false);
    let pipeline = Pipeline {
        detector: Box::new(detector.clone()),
        newer_models: None,
        outputs: Vec::new(),
        display: Some(&mut screen),
        // Always a box, so that there is always something to draw.
        threshold: Some(0.0),
        is_tracked: true,
        frames: FRAMES.try_into().ok(),
        stop: &stop,
        health: Arc::new(Health::default()),
        times: Times::default(),
    };
    pipeline.run(Input::Live {
        open: Box::new(move || Ok(Box::new(Repeated::new(encoded.clone())) as _)),
        reopens: false,
        wait: false,
    })?;
    Ok(screen.0)
}

/// A camera that sends the same picture again and again.
struct Repeated {
    picture: Encoded,
    next: Instant,
    sequence: u64,
}

impl Repeated {
    fn new(picture: Encoded) -> Self {
        Self {
            picture,
            next: Instant::now(),
            sequence: 0,
        }
    }
}

impl FrameSource for Repeated {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        let captured_at = Instant::now();
        self.next = captured_at + INTERVAL;
        let image = self.picture.image()?;
        let sequence = self.sequence;
        self.sequence += 1;
        Ok(Some(Frame {
            captured_at,
            ..Frame::new(sequence, Origin::Live, image)
        }))
    }
}

struct Screen(Ages);

impl Sink for Screen {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let mut image = frame.image.clone();
        let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), frame, report, report.shown());
        // Before the first box there is nothing to measure.
        if let Some(found_at) = report.captured_at {
            self.0.picture.push(frame.captured_at.elapsed());
            self.0.found.push(found_at.elapsed());
        }
        Ok(())
    }
}
