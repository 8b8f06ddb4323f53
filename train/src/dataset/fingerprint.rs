//! Which pictures are the same, or nearly so.
//!
//! In go pictures, out come groups that must not be torn apart: a picture that is learnt from and judged by
//! says nothing. Exact duplicates have the same decoded, upright pixels, whatever their files. Near duplicates look the
//! same when they are made small: in grey, 17 x 16, brightness taken off, the average difference of a pixel is small,
//! in itself ([`NEAR`]) and beside the contrast of the picture ([`NEAR_SHARE`]): on a plain ground all that differs is
//! small. Scaled, recompressed and slightly edited copies are found; crops, mirror images and the next photograph
//! of a series mostly are not. A difference hash (its bits are the signs between neighbours) was tried
//! and dropped: on plain grounds a sign is noise, so copies differed in more bits than strangers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxcam::picture::{self, PictureError};
use image::RgbImage;
use image::imageops::{FilterType, grayscale, resize, thumbnail};
use sha2::{Digest, Sha256};

use super::Picture;

const COLUMNS: u32 = 17;
const ROWS: u32 = 16;

/// Sides above which a picture is made smaller in two steps, the first one coarse and fast. 16 pixels in each
/// direction make one of the small picture then, so its edges hardly move.
const LARGE: (u32, u32) = (COLUMNS * 16, ROWS * 16);

/// The most that near duplicates differ, as [`Fingerprint::difference`] says. `docs/datasets.md` has the differences
/// between copies and between strangers that this and [`NEAR_SHARE`] were chosen by.
pub const NEAR: f32 = 9.0;

/// The most that near duplicates differ as a share of [`Fingerprint::contrast`], the greater of the two.
pub const NEAR_SHARE: f32 = 0.3;

/// What is nothing in any picture: all that compression makes of a plain one.
const NOTHING: f32 = 1.0;

/// Small differences are kept in such parts of a grey, so that taking off the brightness loses nothing.
const PARTS: f32 = 16.0;

/// Pixels of the small picture that are compared at once.
const TWO_ROWS: usize = 2 * COLUMNS as usize;

/// What is kept of a picture to find it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    content: [u8; 32],
    /// The small picture, row by row, in sixteenths of a grey above its mean.
    greys: Vec<i16>,
    contrast: f32,
}

/// How much two pictures are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// The same pixels.
    Exact,
    /// The same picture to the eye.
    Near,
}

/// Two pictures that are alike, by their places in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The earlier one.
    pub first: usize,
    /// The later one.
    pub second: usize,
    /// How much they are alike.
    pub likeness: Likeness,
}

impl Fingerprint {
    /// The fingerprint of upright pixels.
    #[must_use]
    pub fn of(image: &RgbImage) -> Self {
        let mut content = Sha256::new();
        content.update(image.width().to_be_bytes());
        content.update(image.height().to_be_bytes());
        content.update(image.as_raw());
        let greys = small(image);
        let squares = greys.iter().map(|grey| (f32::from(*grey) / PARTS).powi(2));
        let contrast = (squares.sum::<f32>() / greys.len() as f32).sqrt();
        Self {
            size: image.dimensions(),
            content: content.finalize().into(),
            greys,
            contrast,
        }
    }

    /// The SHA-256 of the size and the pixels.
    #[must_use]
    pub fn content(&self) -> &[u8; 32] {
        &self.content
    }

    /// How much another picture is like this one, if it is.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.content == other.content {
            return Some(Likeness::Exact);
        }
        let share = NEAR_SHARE * self.contrast.max(other.contrast);
        let most = share.clamp(NOTHING, NEAR);
        (self.difference_to(other, most) <= most).then_some(Likeness::Near)
    }

    /// The standard deviation of the small picture, in greys of 255.
    #[must_use]
    pub fn contrast(&self) -> f32 {
        self.contrast
    }

    /// How much the pixels of the two small pictures differ on average, in greys of 255, their means made equal.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f32 {
        self.difference_to(other, f32::INFINITY)
    }

    /// The same, or anything above `most` where it is more: most pictures differ enough in their first rows.
    fn difference_to(&self, other: &Self, most: f32) -> f32 {
        let scale = PARTS * self.greys.len() as f32;
        let rows = self
            .greys
            .chunks(TWO_ROWS)
            .zip(other.greys.chunks(TWO_ROWS));
        let mut sum = 0;
        for (ours, theirs) in rows {
            let pairs = ours.iter().zip(theirs);
            sum += pairs.map(|(a, b)| i32::from(a.abs_diff(*b))).sum::<i32>();
            if sum as f32 > most * scale {
                break;
            }
        }
        sum as f32 / scale
    }
}

/// A picture in grey, small, less its mean.
fn small(image: &RgbImage) -> Vec<i16> {
    let mut grey = grayscale(image);
    if grey.width() >= 2 * LARGE.0 && grey.height() >= 2 * LARGE.1 {
        grey = thumbnail(&grey, LARGE.0, LARGE.1);
    }
    let small = resize(&grey, COLUMNS, ROWS, FilterType::Triangle).into_raw();
    let mean = small.iter().map(|grey| f32::from(*grey)).sum::<f32>() / small.len() as f32;
    let above = |grey: u8| ((f32::from(grey) - mean) * PARTS).round() as i16;
    small.into_iter().map(above).collect()
}

/// The fingerprints of pictures, in their order, made on `threads` threads; `seen` is called after each.
pub fn all(
    pictures: &[Picture],
    threads: usize,
    seen: &(dyn Fn() + Sync),
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
                    // A poisoned lock means that another thread panicked; the scope ends with it.
                    if let Ok(mut all) = prints.lock() {
                        all.insert(index, print);
                    }
                    seen();
                }
            });
        }
    });
    prints
        .into_inner()
        .unwrap_or_default()
        .into_values()
        .collect()
}

/// All pairs of pictures that are alike; pictures without a fingerprint are like no other. Every picture is
/// compared with every other: twice the pictures take four times as long.
#[must_use]
pub fn pairs(prints: &[Option<Fingerprint>], threads: usize) -> Vec<Pair> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(first) = {
                    let first = next.fetch_add(1, Ordering::Relaxed);
                    (first < prints.len()).then_some(first)
                } {
                    let alike = pairs_of(prints, first);
                    if let Ok(mut found) = found.lock() {
                        found.extend(alike);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|pair: &Pair| (pair.first, pair.second));
    found
}

fn pairs_of(prints: &[Option<Fingerprint>], first: usize) -> Vec<Pair> {
    let Some(print) = &prints[first] else {
        return Vec::new();
    };
    let later = prints.iter().enumerate().skip(first + 1);
    let alike = later.filter_map(|(second, other)| {
        let likeness = print.likeness(other.as_ref()?)?;
        Some(Pair {
            first,
            second,
            likeness,
        })
    });
    alike.collect()
}

/// For each of `count` pictures the first of the group that it belongs to: pictures that are alike, directly or by
/// way of others.
#[must_use]
pub fn groups(count: usize, pairs: &[Pair]) -> Vec<usize> {
    let mut leader: Vec<usize> = (0..count).collect();
    for pair in pairs {
        let (a, b) = (
            root(&mut leader, pair.first),
            root(&mut leader, pair.second),
        );
        leader[a.max(b)] = a.min(b);
    }
    (0..count).map(|index| root(&mut leader, index)).collect()
}

/// The first of a group; the path to it is shortened on the way.
fn root(leader: &mut [usize], mut index: usize) -> usize {
    while leader[index] != index {
        leader[index] = leader[leader[index]];
        index = leader[index];
    }
    index
}

#[cfg(test)]
mod tests;
