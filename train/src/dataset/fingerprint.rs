//! Which pictures are the same, or nearly so.
//!
//! In go pictures, out come groups that must not be torn apart: a picture that is learnt from and judged by
//! says nothing. Exact duplicates have the same decoded, upright pixels, whatever their files. Near duplicates have
//! the same difference hash: the picture in grey, scaled to 17 x 16, one bit for each pair of neighbours in a
//! row, set where the right one is lighter (Neal Krawetz, "Kind of Like That", 2013,
//! <https://www.hackerfactor.com/blog/?/archives/529-Kind-of-Like-That.html>, there with 9 x 8). Scaled,
//! recompressed and slightly recoloured copies are found; crops, mirror images and the next photograph of a series
//! are not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxcam::picture::{self, PictureError};
use image::imageops::{grayscale, thumbnail};
use image::{GrayImage, RgbImage};
use sha2::{Digest, Sha256};

use super::Picture;

const COLUMNS: u32 = 17;
const ROWS: u32 = 16;

/// The most bits of 256 in which near duplicates differ. Wide, since on plain grounds a bit is the sign of next to
/// nothing and turns over when a picture is compressed again; [`NEAR_GREYS`] is the strict one of the two.
pub const NEAR_BITS: u32 = 64;

/// The most that the small grey pictures of near duplicates differ on average, of 255, their brightness made equal. It
/// tells plain pictures apart, whose hashes are mostly noise or mostly zero.
pub const NEAR_GREYS: f32 = 4.0;

/// What is kept of a picture to find it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    content: [u8; 32],
    bits: [u64; 4],
    greys: Vec<u8>,
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
        let small: GrayImage = thumbnail(&grayscale(image), COLUMNS, ROWS);
        let mut bits = [0; 4];
        for place in 0..(COLUMNS - 1) * ROWS {
            let (x, y) = (place % (COLUMNS - 1), place / (COLUMNS - 1));
            if small.get_pixel(x, y)[0] < small.get_pixel(x + 1, y)[0] {
                bits[(place / 64) as usize] |= 1 << (place % 64);
            }
        }
        Self {
            size: image.dimensions(),
            content: content.finalize().into(),
            bits,
            greys: small.into_raw(),
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
        let pairs = self.bits.iter().zip(&other.bits);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        if apart > NEAR_BITS {
            None
        } else if self.content == other.content {
            Some(Likeness::Exact)
        } else {
            (self.greys_apart(other) <= NEAR_GREYS).then_some(Likeness::Near)
        }
    }

    fn greys_apart(&self, other: &Self) -> f32 {
        let count = self.greys.len() as f32;
        let pairs = || self.greys.iter().zip(&other.greys);
        let differences = || pairs().map(|(a, b)| f32::from(*a) - f32::from(*b));
        let brighter = differences().sum::<f32>() / count;
        differences()
            .map(|difference| (difference - brighter).abs())
            .sum::<f32>()
            / count
    }
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
/// compared with every other, about 100 million pairs a second and thread.
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
        for (index, (scene, print)) in scenes.iter().zip(&prints).enumerate() {
            assert_eq!(
                print.likeness(&Fingerprint::of(scene)),
                Some(Likeness::Exact)
            );
            let copies = [
                recompressed(scene, 60),
                resize(scene, 80, 60, FilterType::Triangle),
                resize(scene, 331, 250, FilterType::CatmullRom),
                RgbImage::from_fn(160, 120, |x, y| {
                    image::Rgb(scene.get_pixel(x, y).0.map(|value| value.saturating_add(3)))
                }),
            ];
            for (copy, image) in copies.iter().enumerate() {
                let likeness = print.likeness(&Fingerprint::of(image));
                assert_eq!(likeness, Some(Likeness::Near), "scene {index}, copy {copy}");
            }
            for other in prints.iter().skip(index + 1) {
                assert_eq!(print.likeness(other), None, "scene {index}");
            }
        }
    }

    #[test]
    fn plain_pictures_are_told_apart_by_their_greys() {
        let split = |at: u32| {
            RgbImage::from_fn(64, 64, |_, y| {
                image::Rgb([if y < at { 20 } else { 220 }; 3])
            })
        };
        let (a, b) = (Fingerprint::of(&split(16)), Fingerprint::of(&split(48)));
        assert_eq!(a.bits, b.bits, "no column differs from its neighbour");
        assert_eq!(a.likeness(&b), None);
    }

    #[test]
    fn groups_reach_by_way_of_others() {
        let pair = |first, second| Pair {
            first,
            second,
            likeness: Likeness::Near,
        };
        assert_eq!(
            groups(6, &[pair(0, 4), pair(2, 3), pair(3, 4)]),
            [0, 1, 0, 0, 0, 5]
        );
    }
}
