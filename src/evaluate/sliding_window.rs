//! A clip made of one picture by a window that slides over it, to count false alarms of a moving camera.

use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;
use image::imageops::crop_imm;

use crate::card::ModelCard;
use crate::detect::{Prediction, Thresholds};
use crate::track::{EventKind, TrackSettings, Tracker};

/// Frames per clip.
const FRAMES: u32 = 40;
/// Time between frames.
const FRAME_INTERVAL: Duration = Duration::from_millis(100);
/// The window's sides, as shares of the picture's.
const WINDOW: f32 = 0.8;

/// The frames of a clip: four seconds at ten frames per second, in which the window slides from the top left corner to
/// the bottom right one.
pub(super) fn sliding_window(picture: &RgbImage) -> impl Iterator<Item = RgbImage> {
    let (width, height) = picture.dimensions();
    let window = |side: u32| ((side as f32 * WINDOW) as u32).max(1).min(side);
    let offset = move |side: u32, frame: u32| (side - window(side)) * frame / (FRAMES - 1);
    (0..FRAMES).map(move |frame| {
        let (left, top) = (offset(width, frame), offset(height, frame));
        crop_imm(picture, left, top, window(width), window(height)).to_image()
    })
}

/// The duration of a number of frames.
pub(super) fn duration(frames: usize) -> Duration {
    FRAME_INTERVAL.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))
}

/// Number of tracks that appear in a clip of the model's predictions at a threshold, which replaces those of its card.
pub(super) fn appearances(card: &ModelCard, clip: &[Prediction], threshold: f32) -> usize {
    let thresholds = Thresholds::new(card, Some(threshold));
    let mut tracker = Tracker::of_model(card, TrackSettings::new(threshold));
    let mut at = Instant::now();
    let mut appearances = 0;
    for prediction in clip {
        let frame = tracker.update(prediction, &thresholds, at, SystemTime::UNIX_EPOCH);
        let new = frame
            .events
            .iter()
            .filter(|e| e.kind == EventKind::Appeared);
        appearances += new.count();
        at += FRAME_INTERVAL;
    }
    appearances
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings, test_card};
    use crate::detect::{CellOutputs, Nms};

    #[test]
    fn the_window_slides_from_corner_to_corner() {
        let picture = RgbImage::from_fn(100, 50, |x, y| Rgb([x as u8, y as u8, 0]));
        let clip: Vec<_> = sliding_window(&picture).collect();
        assert_eq!(clip.len(), 40);
        assert!(clip.iter().all(|frame| frame.dimensions() == (80, 40)));
        assert_eq!(clip[0].get_pixel(0, 0), &Rgb([0, 0, 0]));
        assert_eq!(clip[39].get_pixel(79, 39), &Rgb([99, 49, 0]));
        let mut lefts = clip
            .windows(2)
            .map(|pair| (pair[0][(0, 0)][0], pair[1][(0, 0)][0]));
        assert!(lefts.all(|(before, after)| before <= after && after - before <= 1));
        assert_eq!(sliding_window(&RgbImage::new(1, 1)).count(), 40);
        assert_eq!(duration(40), Duration::from_secs(4));
    }

    #[test]
    fn appearances_are_counted_by_the_tracker() {
        let prediction =
            |score| Prediction::new(vec![score, 0.0], [0.2, 0.6, 0.2, 0.6]).expect("valid");
        let clip: Vec<_> = (0..40)
            .map(|i| prediction(if i == 7 { 0.9 } else { 0.1 }))
            .collect();
        let card = test_card(224);
        assert_eq!(appearances(&card, &clip, 0.4), 0);
        assert_eq!(appearances(&card, &vec![prediction(0.5); 40], 0.4), 1);
        assert_eq!(appearances(&card, &vec![prediction(0.5); 40], 0.6), 0);
    }

    #[test]
    fn all_objects_of_a_model_that_detects_several_are_counted() {
        let settings = ObjectSettings {
            threshold: 0.5,
            nms_iou: 0.6,
            most: 10,
            decode: ObjectDecode::InGraph,
        };
        let card = ModelCard {
            objects: Some(settings),
            ..test_card(224)
        };
        // An apple on the left and a banana on the right; of the image, neither.
        let cells = CellOutputs {
            scores: &[0.7, 0.0, 0.0, 0.5],
            boxes: &[0.1, 0.4, 0.2, 0.8, 0.6, 0.9, 0.2, 0.8],
        };
        let image = Prediction::new(vec![0.1, 0.1], [0.0, 1.0, 0.0, 1.0]).expect("valid");
        let nms = &mut Nms::new(settings, 2, 2);
        let prediction = image.with_objects(cells, nms).expect("valid");
        let clip = vec![prediction; 40];
        for (threshold, expected) in [(0.4, 2), (0.6, 1), (0.8, 0)] {
            assert_eq!(
                appearances(&card, &clip, threshold),
                expected,
                "{threshold}"
            );
        }
    }
}
