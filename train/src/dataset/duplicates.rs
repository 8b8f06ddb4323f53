//! Finds duplicate pictures.
//!
//! A picture in both training and validation makes the validation figures too good. Exact duplicates have the same decoded,
//! upright pixels. Near duplicates have similar thumbnails (gray, 17 x 16, mean subtracted): the mean absolute difference
//! is small, both absolutely ([`NEAR`]) and relative to the contrast ([`NEAR_RELATIVE`]), since on a plain background all
//! differences are small. Scaled, recompressed and slightly edited copies are found; crops, mirrored pictures and other
//! photographs of a series mostly are not. A difference hash (the signs between neighboring pixels) was tried and dropped:
//! on plain backgrounds the signs are noise, so copies differed in more bits than unrelated pictures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxcam::picture::{self, PictureError};
use image::RgbImage;
use image::imageops::{FilterType, grayscale, resize, thumbnail};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::imported::LabeledPicture;

const COLUMNS: u32 = 17;
const ROWS: u32 = 16;

/// Pictures of at least twice this size are scaled down in two steps, the first one coarse and fast. 16 x 16 of its pixels
/// make one of the thumbnail, so the coarse step hardly matters.
const LARGE: (u32, u32) = (COLUMNS * 16, ROWS * 16);

/// The maximum [`Fingerprint::difference`] of near duplicates. `docs/datasets.md` has the measurements that this and
/// [`NEAR_RELATIVE`] were chosen by.
pub const NEAR: f32 = 9.0;

/// The maximum difference of near duplicates as a fraction of the greater [`Fingerprint::contrast`].
pub const NEAR_RELATIVE: f32 = 0.3;

/// A difference that is always accepted: the noise of compression in a picture of one color.
const NOISE: f32 = 1.0;

/// Thumbnail values are stored in sixteenths of a gray level, so that subtracting the mean loses nothing.
const STEPS_PER_LEVEL: f32 = 16.0;

/// Pixels that are compared between two checks of the limit.
const TWO_ROWS: usize = 2 * COLUMNS as usize;

/// The data of a picture that is compared with other pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    content: [u8; 32],
    /// The thumbnail, row by row, minus its mean, in sixteenths of a gray level.
    thumbnail: Vec<i16>,
    contrast: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Similarity {
    /// Identical decoded pixels.
    Exact,
    /// Similar thumbnails.
    Near,
}

/// Two duplicates, as indices in the list of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicatePair {
    /// The lower index.
    pub first: usize,
    pub second: usize,
    pub similarity: Similarity,
}

impl Fingerprint {
    /// `image`: decoded and upright.
    #[must_use]
    pub fn of(image: &RgbImage) -> Self {
        let mut content = Sha256::new();
        content.update(image.width().to_be_bytes());
        content.update(image.height().to_be_bytes());
        content.update(image.as_raw());
        let thumbnail = thumbnail_of(image);
        let squares = thumbnail
            .iter()
            .map(|gray| (f32::from(*gray) / STEPS_PER_LEVEL).powi(2));
        let contrast = (squares.sum::<f32>() / thumbnail.len() as f32).sqrt();
        Self {
            size: image.dimensions(),
            content: content.finalize().into(),
            thumbnail,
            contrast,
        }
    }

    /// The SHA-256 of the size and the pixels.
    #[must_use]
    pub fn content(&self) -> &[u8; 32] {
        &self.content
    }

    /// `None` if the pictures are not duplicates.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Option<Similarity> {
        if self.content == other.content {
            return Some(Similarity::Exact);
        }
        let limit = NEAR_RELATIVE * self.contrast.max(other.contrast);
        let limit = limit.clamp(NOISE, NEAR);
        (self.difference_to(other, limit) <= limit).then_some(Similarity::Near)
    }

    /// The standard deviation of the thumbnail, in gray levels of 0..=255.
    #[must_use]
    pub fn contrast(&self) -> f32 {
        self.contrast
    }

    /// The mean absolute difference of the two thumbnails with equal means, in gray levels of 0..=255.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f32 {
        self.difference_to(other, f32::INFINITY)
    }

    /// The difference, or any value above `limit` if it exceeds that: most pictures differ enough in their first rows.
    fn difference_to(&self, other: &Self, limit: f32) -> f32 {
        let scale = STEPS_PER_LEVEL * self.thumbnail.len() as f32;
        let rows = self
            .thumbnail
            .chunks(TWO_ROWS)
            .zip(other.thumbnail.chunks(TWO_ROWS));
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
fn thumbnail_of(image: &RgbImage) -> Vec<i16> {
    let mut gray = grayscale(image);
    if gray.width() >= 2 * LARGE.0 && gray.height() >= 2 * LARGE.1 {
        gray = thumbnail(&gray, LARGE.0, LARGE.1);
    }
    let small = resize(&gray, COLUMNS, ROWS, FilterType::Triangle).into_raw();
    let mean = small.iter().map(|gray| f32::from(*gray)).sum::<f32>() / small.len() as f32;
    let above = |gray: u8| ((f32::from(gray) - mean) * STEPS_PER_LEVEL).round() as i16;
    small.into_iter().map(above).collect()
}

/// The fingerprints of pictures, in the same order, computed on `threads` threads. `on_picture` is called after each.
pub fn fingerprints(
    pictures: &[LabeledPicture],
    threads: usize,
    on_picture: &(dyn Fn() + Sync),
) -> Vec<Result<Fingerprint, PictureError>> {
    let next = AtomicUsize::new(0);
    let prints = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((index, picture)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    pictures.get(index).map(|picture| (index, picture))
                } {
                    let print = picture::open(&picture.path).map(|image| Fingerprint::of(&image));
                    prints.lock().insert(index, print);
                    on_picture();
                }
            });
        }
    });
    prints.into_inner().into_values().collect()
}

/// All pairs of duplicates. Every picture with a fingerprint is compared with every other: the time is quadratic in their
/// number.
#[must_use]
pub fn duplicate_pairs(
    prints: &[Result<Fingerprint, PictureError>],
    threads: usize,
) -> Vec<DuplicatePair> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(first) = {
                    let first = next.fetch_add(1, Ordering::Relaxed);
                    (first < prints.len()).then_some(first)
                } {
                    let pairs = pairs_of(prints, first);
                    found.lock().extend(pairs);
                }
            });
        }
    });
    let mut found = found.into_inner();
    found.sort_by_key(|pair: &DuplicatePair| (pair.first, pair.second));
    found
}

fn pairs_of(prints: &[Result<Fingerprint, PictureError>], first: usize) -> Vec<DuplicatePair> {
    let Ok(print) = &prints[first] else {
        return Vec::new();
    };
    let later = prints.iter().enumerate().skip(first + 1);
    let pairs = later.filter_map(|(second, other)| {
        let similarity = print.similarity(other.as_ref().ok()?)?;
        Some(DuplicatePair {
            first,
            second,
            similarity,
        })
    });
    pairs.collect()
}

/// For each of `count` pictures the lowest index in its group: the pictures that are connected by pairs.
#[must_use]
pub fn duplicate_groups(count: usize, pairs: &[DuplicatePair]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..count).collect();
    for pair in pairs {
        let (a, b) = (
            root(&mut parent, pair.first),
            root(&mut parent, pair.second),
        );
        parent[a.max(b)] = a.min(b);
    }
    (0..count).map(|index| root(&mut parent, index)).collect()
}

/// The root of a union-find tree, with path halving.
fn root(parent: &mut [usize], mut index: usize) -> usize {
    while parent[index] != index {
        parent[index] = parent[parent[index]];
        index = parent[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use boxcam::scene::random_scene;
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::{FilterType, resize};

    use super::*;

    fn recompressed(image: &RgbImage, quality: u8) -> RgbImage {
        let mut bytes = Cursor::new(Vec::new());
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        image.write_with_encoder(encoder).expect("encoded");
        image::load_from_memory(bytes.get_ref())
            .expect("decoded")
            .into_rgb8()
    }

    #[test]
    fn copies_are_found_and_others_are_not() {
        let scenes: Vec<RgbImage> = (0..40)
            .map(|seed| random_scene(seed, 160, 120).image)
            .collect();
        let prints: Vec<Fingerprint> = scenes.iter().map(Fingerprint::of).collect();
        let (mut of_copies, mut of_others) = (0.0_f32, f32::INFINITY);
        for (index, (scene, print)) in scenes.iter().zip(&prints).enumerate() {
            assert_eq!(
                print.similarity(&Fingerprint::of(scene)),
                Some(Similarity::Exact)
            );
            let half = resize(scene, 80, 60, FilterType::Triangle);
            let copies = [
                recompressed(scene, 60),
                recompressed(scene, 30),
                recompressed(&half, 60),
                half,
                resize(scene, 331, 250, FilterType::CatmullRom),
                // Large enough for scaling in two steps.
                resize(scene, 1100, 825, FilterType::CatmullRom),
                RgbImage::from_fn(160, 120, |x, y| {
                    image::Rgb(scene.get_pixel(x, y).0.map(|value| value.saturating_add(3)))
                }),
            ];
            for (copy, image) in copies.iter().enumerate() {
                let other = Fingerprint::of(image);
                of_copies = of_copies.max(print.difference(&other));
                let similarity = print.similarity(&other);
                assert_eq!(
                    similarity,
                    Some(Similarity::Near),
                    "scene {index}, copy {copy}"
                );
            }
            for other in prints.iter().skip(index + 1) {
                of_others = of_others.min(print.difference(other));
                assert_eq!(print.similarity(other), None, "scene {index}");
            }
        }
        println!("copies differ by up to {of_copies:.2}, other scenes by {of_others:.2} and more");
    }

    #[test]
    fn noise_on_a_plain_background_is_ignored() {
        let two_tone = |edge: u32, noise: u8| {
            RgbImage::from_fn(64, 64, |x, y| {
                let gray = if y < edge { 20 } else { 220 };
                image::Rgb([gray + noise * ((x * 7 + y * 13) % 3) as u8; 3])
            })
        };
        let print = Fingerprint::of(&two_tone(16, 0));
        let noisy = Fingerprint::of(&two_tone(16, 2));
        assert_eq!(print.similarity(&noisy), Some(Similarity::Near));
        assert_eq!(print.similarity(&Fingerprint::of(&two_tone(48, 0))), None);
    }

    #[test]
    fn groups_are_transitive() {
        let pair = |first, second| DuplicatePair {
            first,
            second,
            similarity: Similarity::Near,
        };
        assert_eq!(
            duplicate_groups(6, &[pair(0, 4), pair(2, 3), pair(3, 4)]),
            [0, 1, 0, 0, 0, 5]
        );
    }
}
