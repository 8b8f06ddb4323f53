//! What a model costs beside what it is worth.

use std::time::Instant;

use boxcam::detect::tract::TractDetector;
use boxcam::detect::{DetectError, Detector};
use boxcam::preprocess::preprocess;
use boxcam::split::Split;
use serde::Serialize;

/// Pictures that are timed at most, spread over all: the time hangs on the network, hardly on the picture.
const TIMED: usize = 100;

/// Time and size of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Speed {
    /// Half of the inferences took at most so long, on one thread; none without a picture that can be read.
    pub(super) inference_p50_ms: Option<f64>,
    /// Pictures that were timed.
    pub(super) pictures: usize,
    /// Size of the model file.
    pub(super) model_bytes: usize,
    /// Multiplications, each with an addition, for one picture; none where the engine can't tell.
    pub(super) multiply_adds: Option<u64>,
}

impl Speed {
    /// Times the network alone, without reading and preprocessing.
    pub(super) fn of(detector: &TractDetector, split: &Split) -> Result<Self, DetectError> {
        let mut detector = detector.clone();
        let step = split.pictures.len().div_ceil(TIMED).max(1);
        let mut times = Vec::new();
        for picture in split.pictures.iter().step_by(step) {
            // What can't be read has been named before.
            let Ok(frame) = picture.frame() else { continue };
            let Ok(input) = preprocess(&frame, detector.card()) else {
                continue;
            };
            let started = Instant::now();
            detector.predict(&input)?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        // To the microsecond.
        let milliseconds = |micros: f64| micros.round() / 1e3;
        let median = times.get(times.len().saturating_sub(1) / 2);
        Ok(Self {
            inference_p50_ms: median.map(|time| milliseconds(time.as_secs_f64() * 1e6)),
            pictures: times.len(),
            model_bytes: detector.file_bytes(),
            multiply_adds: detector.multiply_adds(),
        })
    }
}
