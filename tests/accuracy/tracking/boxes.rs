//! The tracks that boxcam finds in a film.

use std::time::{Duration, Instant, SystemTime};

use boxcam::detect::{Prediction, Thresholds};
use boxcam::evaluate::TrackBox;
use boxcam::track::Tracker;

/// The visible tracks after each prediction; `rate` is that of the film, in frames per second.
pub(crate) fn tracked_boxes<'a>(
    mut tracker: Tracker,
    predictions: impl Iterator<Item = &'a Prediction>,
    thresholds: &Thresholds,
    rate: u32,
) -> Vec<Vec<TrackBox>> {
    let (start, time) = (Instant::now(), SystemTime::UNIX_EPOCH);
    let frames = (0..).zip(predictions).map(|(number, prediction)| {
        let passed = Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        let found = tracker.update(prediction, thresholds, start + passed, time + passed);
        let boxes = found.tracks.iter().map(|stable| TrackBox {
            track: stable.track,
            class: stable.detection.class,
            bounding_box: stable.detection.bounding_box,
        });
        boxes.collect()
    });
    frames.collect()
}
