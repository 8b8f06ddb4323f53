//! A picture as a film: a window that glides over it, and what a tracker would make of that.

use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;
use image::imageops::crop_imm;

use crate::detect::Prediction;
use crate::track::{EventKind, TrackSettings, Tracker};

/// Frames of a film.
const FRAMES: u32 = 40;
/// Time from one to the next.
const STEP: Duration = Duration::from_millis(100);
/// The window's sides, in sides of the picture.
const WINDOW: f32 = 0.8;

/// The film of a picture: four seconds at ten frames a second, of a window of 0.8 of its sides that glides
/// from the top left corner to the bottom right one.
pub fn pan(picture: &RgbImage) -> impl Iterator<Item = RgbImage> {
    let (width, height) = picture.dimensions();
    let window = |side: u32| ((side as f32 * WINDOW) as u32).max(1).min(side);
    let place = move |side: u32, frame: u32| (side - window(side)) * frame / (FRAMES - 1);
    (0..FRAMES).map(move |frame| {
        let (left, top) = (place(width, frame), place(height, frame));
        crop_imm(picture, left, top, window(width), window(height)).to_image()
    })
}

/// How long a film is.
pub(super) fn length(frames: usize) -> Duration {
    STEP.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))
}

/// How many things appear to a tracker in a film of which this was said.
pub(super) fn appeared(film: &[Prediction], threshold: f32) -> usize {
    let mut tracker = Tracker::new(TrackSettings::new(threshold));
    let mut at = Instant::now();
    let mut appeared = 0;
    for prediction in film {
        let (_, events) = tracker.update(prediction, at, SystemTime::UNIX_EPOCH);
        let new = events.iter().filter(|e| e.kind == EventKind::Appeared);
        appeared += new.count();
        at += STEP;
    }
    appeared
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_window_glides_from_corner_to_corner() {
        let picture = RgbImage::from_fn(100, 50, |x, y| Rgb([x as u8, y as u8, 0]));
        let film: Vec<_> = pan(&picture).collect();
        assert_eq!(film.len(), 40);
        assert!(film.iter().all(|frame| frame.dimensions() == (80, 40)));
        assert_eq!(film[0].get_pixel(0, 0), &Rgb([0, 0, 0]));
        assert_eq!(film[39].get_pixel(79, 39), &Rgb([99, 49, 0]));
        let mut lefts = film
            .windows(2)
            .map(|pair| (pair[0][(0, 0)][0], pair[1][(0, 0)][0]));
        assert!(lefts.all(|(before, after)| before <= after && after - before <= 1));
        assert_eq!(pan(&RgbImage::new(1, 1)).count(), 40);
        assert_eq!(length(40), Duration::from_secs(4));
    }

    #[test]
    fn what_appears_is_counted_as_a_tracker_does() {
        let says = |score| Prediction::new(vec![score, 0.0], [0.2, 0.6, 0.2, 0.6]).expect("sound");
        let film: Vec<_> = (0..40)
            .map(|i| says(if i == 7 { 0.9 } else { 0.1 }))
            .collect();
        assert_eq!(appeared(&film, 0.4), 0);
        assert_eq!(appeared(&vec![says(0.5); 40], 0.4), 1);
        assert_eq!(appeared(&vec![says(0.5); 40], 0.6), 0);
    }
}
