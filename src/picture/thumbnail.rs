//! Tells pictures that look nearly alike.
//!
//! Two pictures are compared by their thumbnails (gray, 17 x 16, mean subtracted): near duplicates have a small mean absolute
//! difference, both absolutely ([`NEAR`]) and relative to the contrast ([`NEAR_RELATIVE`]), since on a plain background all
//! differences are small. Scaled, recompressed and slightly edited copies are found; crops, mirrored pictures and other
//! photographs of a series mostly are not. A difference hash (the signs between neighboring pixels) was tried and dropped:
//! on plain backgrounds the signs are noise, so copies differed in more bits than unrelated pictures.

use image::RgbImage;
use image::imageops::{FilterType, grayscale, resize, thumbnail};

const COLUMNS: u32 = 17;
const ROWS: u32 = 16;

/// Pictures of at least twice this size are scaled down in two steps, the first one coarse and fast. 16 x 16 of its pixels
/// make one of the thumbnail, so the coarse step hardly matters.
const LARGE: (u32, u32) = (COLUMNS * 16, ROWS * 16);

/// The maximum [`Thumbnail::difference`] of near duplicates. `docs/datasets.md` has the measurements that this and
/// [`NEAR_RELATIVE`] were chosen by.
const NEAR: f32 = 9.0;

/// The maximum difference of near duplicates as a fraction of the greater [`Thumbnail::contrast`].
const NEAR_RELATIVE: f32 = 0.3;

/// A difference that is always accepted: the noise of compression in a picture of one color.
const NOISE: f32 = 1.0;

/// Values are stored in sixteenths of a gray level, so that subtracting the mean loses nothing.
const STEPS_PER_LEVEL: f32 = 16.0;

/// Pixels that are compared between two checks of the limit.
const TWO_ROWS: usize = 2 * COLUMNS as usize;

/// What of a picture is compared with other pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail {
    /// Row by row, minus the mean, in sixteenths of a gray level.
    values: Vec<i16>,
    contrast: f32,
}

impl Thumbnail {
    /// `image`: decoded and upright, with at least one pixel.
    #[must_use]
    pub fn of(image: &RgbImage) -> Self {
        let values = values_of(image);
        let squares = values
            .iter()
            .map(|gray| (f32::from(*gray) / STEPS_PER_LEVEL).powi(2));
        let contrast = (squares.sum::<f32>() / values.len() as f32).sqrt();
        Self { values, contrast }
    }

    /// Whether the pictures look nearly alike.
    #[must_use]
    pub fn is_near(&self, other: &Self) -> bool {
        let limit = NEAR_RELATIVE * self.contrast.max(other.contrast);
        let limit = limit.clamp(NOISE, NEAR);
        self.difference_to(other, limit) <= limit
    }

    /// The standard deviation of the thumbnail, in gray levels of 0..=255.
    #[must_use]
    pub const fn contrast(&self) -> f32 {
        self.contrast
    }

    /// The mean absolute difference of the two thumbnails with equal means, in gray levels of 0..=255.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f32 {
        self.difference_to(other, f32::INFINITY)
    }

    /// The difference, or any value above `limit` if it exceeds that: most pictures differ enough in their first rows.
    fn difference_to(&self, other: &Self, limit: f32) -> f32 {
        let scale = STEPS_PER_LEVEL * self.values.len() as f32;
        let rows = self
            .values
            .chunks(TWO_ROWS)
            .zip(other.values.chunks(TWO_ROWS));
        let mut sum = 0;
        for (ours, theirs) in rows {
            let pairs = ours.iter().zip(theirs);
            sum += pairs.map(|(a, b)| i32::from(a.abs_diff(*b))).sum::<i32>();
            if sum as f32 > limit * scale {
                break;
            }
        }
        sum as f32 / scale
    }
}

/// The gray thumbnail of a picture minus its mean.
fn values_of(image: &RgbImage) -> Vec<i16> {
    let mut gray = grayscale(image);
    if gray.width() >= 2 * LARGE.0 && gray.height() >= 2 * LARGE.1 {
        gray = thumbnail(&gray, LARGE.0, LARGE.1);
    }
    let small = resize(&gray, COLUMNS, ROWS, FilterType::Triangle).into_raw();
    let mean = small.iter().map(|gray| f32::from(*gray)).sum::<f32>() / small.len() as f32;
    let above = |gray: u8| ((f32::from(gray) - mean) * STEPS_PER_LEVEL).round() as i16;
    small.into_iter().map(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_on_a_plain_background_is_ignored() {
        let two_tone = |edge: u32, noise: u8| {
            RgbImage::from_fn(64, 64, |x, y| {
                let gray = if y < edge { 20 } else { 220 };
                image::Rgb([gray + noise * ((x * 7 + y * 13) % 3) as u8; 3])
            })
        };
        let own = Thumbnail::of(&two_tone(16, 0));
        assert!(own.is_near(&Thumbnail::of(&two_tone(16, 2))));
        assert!(!own.is_near(&Thumbnail::of(&two_tone(48, 0))));
        assert!(own.contrast() > 80.0 && own.difference(&own) == 0.0);
    }
}
