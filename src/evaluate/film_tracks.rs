//! Runs a model and the tracker over films with true tracks.

use std::time::{Instant, SystemTime};

use thiserror::Error;

use super::SkippedPicture;
use super::evaluator::predict_frame;
use super::tracks::{TrackBox, TrackedFrame};
use crate::dataset::films::{Film, FilmObject};
use crate::detect::{DetectError, Detector, Thresholds};
use crate::frame::{Frame, Origin};
use crate::label::Labels;
use crate::picture;
use crate::track::{TrackSettings, Tracker};

/// A film that can't be tracked.
#[derive(Debug, Error)]
pub enum FilmTrackError {
    #[error(transparent)]
    Picture(#[from] SkippedPicture),
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(
        "film {film}: the class \"{class}\" is not one of the model's; give films of the same classes"
    )]
    UnknownClass { film: String, class: String },
}

/// The true tracks of a film beside those that are found with a model, as `boxcam run` finds them. Objects that do not count,
/// and what is found where they are, are left out.
///
/// # Errors
/// [`FilmTrackError`] if a frame can't be read, the model fails or does not know a class.
pub fn track_film<D: Detector>(
    detector: &mut D,
    film: &Film,
) -> Result<Vec<TrackedFrame>, FilmTrackError> {
    let thresholds = Thresholds::new(detector.card(), None);
    let settings = TrackSettings::new(thresholds.primary);
    let mut tracker = Tracker::of_model(detector.card(), settings);
    let (start, time) = (Instant::now(), SystemTime::UNIX_EPOCH);
    let mut frames = Vec::new();
    for (number, frame) in (0..).zip(&film.frames) {
        let image = picture::open(&frame.picture).map_err(SkippedPicture::from)?;
        let image = Frame::new(u64::from(number), Origin::Live, image);
        let prediction = predict_frame(&frame.picture, &image, detector)??;
        let passed = film.frame_time * number;
        let found = tracker.update(&prediction, &thresholds, start + passed, time + passed);
        let found = found.tracks.iter().map(|stable| TrackBox {
            track: stable.track,
            class: stable.detection.class,
            bounding_box: stable.detection.bounding_box,
        });
        let labels = &detector.card().labels;
        frames.push(tracked_frame(
            film,
            &frame.objects,
            found.collect(),
            labels,
        )?);
    }
    Ok(frames)
}

fn tracked_frame(
    film: &Film,
    objects: &[FilmObject],
    found: Vec<TrackBox>,
    labels: &Labels,
) -> Result<TrackedFrame, FilmTrackError> {
    let ignored = objects.iter().filter(|object| !object.counts);
    let ignored: Vec<_> = ignored.map(|object| object.bounding_box).collect();
    let truth = objects.iter().filter(|object| object.counts).map(|object| {
        let class = labels.find(&object.class_name);
        let class = class.ok_or_else(|| FilmTrackError::UnknownClass {
            film: film.folder.display().to_string(),
            class: object.class_name.clone(),
        })?;
        Ok(TrackBox {
            track: object.track,
            class,
            bounding_box: object.bounding_box,
        })
    });
    let frame = TrackedFrame {
        truth: truth.collect::<Result<_, FilmTrackError>>()?,
        found,
    };
    Ok(frame.ignoring(&ignored))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::geometry::NormBox;
    use crate::label::ClassId;

    fn corners([x_min, x_max]: [f32; 2]) -> NormBox {
        NormBox::new(x_min, x_max, 0.0, 1.0).expect("valid")
    }

    fn object(track: u64, x: [f32; 2], counts: bool) -> FilmObject {
        FilmObject {
            track,
            class_name: "cake".to_owned(),
            bounding_box: corners(x),
            counts,
        }
    }

    fn frame_of(
        objects: &[FilmObject],
        found: &[[f32; 2]],
    ) -> Result<TrackedFrame, FilmTrackError> {
        let film = Film {
            folder: "films/one".into(),
            frame_time: Duration::from_millis(66),
            frames: Vec::new(),
        };
        let labels = Labels::new(["apple", "cake"].map(str::to_owned).to_vec()).expect("valid");
        let found = (1..).zip(found).map(|(track, x)| TrackBox {
            track,
            class: ClassId::new(0),
            bounding_box: corners(*x),
        });
        tracked_frame(&film, objects, found.collect(), &labels)
    }

    #[test]
    fn what_does_not_count_is_neither_missed_nor_wrong() {
        let objects = [object(7, [0.0, 0.3], true), object(8, [0.5, 0.7], false)];
        let found = [[0.0, 0.3], [0.5, 0.65], [0.9, 1.0]];
        let frame = frame_of(&objects, &found).expect("known classes");
        let truth: Vec<_> = frame
            .truth
            .iter()
            .map(|b| (b.track, b.class.index()))
            .collect();
        assert_eq!(truth, [(7, 1)]);
        let tracks: Vec<u64> = frame.found.iter().map(|found| found.track).collect();
        assert_eq!(
            tracks,
            [1, 3],
            "the second is the object that does not count"
        );
    }

    #[test]
    fn a_class_that_the_model_does_not_know_is_named() {
        let unknown = FilmObject {
            class_name: "kiwi".to_owned(),
            ..object(1, [0.0, 0.5], true)
        };
        let message = frame_of(&[unknown], &[]).expect_err("unknown").to_string();
        assert!(
            message.contains("film films/one: the class \"kiwi\""),
            "{message}"
        );
    }
}
