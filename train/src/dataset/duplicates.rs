//! Finds duplicate pictures.
//!
//! A picture in both training and validation makes the validation figures too good. Exact duplicates have the same decoded,
//! upright pixels. Near duplicates have similar thumbnails ([`Thumbnail`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxcam::picture::{self, PictureError, Thumbnail};
use image::RgbImage;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::imported::LabeledPicture;

/// The data of a picture that is compared with other pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Width and height in pixels, upright.
    pub size: (u32, u32),
    content: [u8; 32],
    thumbnail: Thumbnail,
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
        Self {
            size: image.dimensions(),
            content: content.finalize().into(),
            thumbnail: Thumbnail::of(image),
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
        let is_near = self.thumbnail.is_near(&other.thumbnail);
        is_near.then_some(Similarity::Near)
    }

    /// The standard deviation of the thumbnail, in gray levels of 0..=255.
    #[must_use]
    pub fn contrast(&self) -> f32 {
        self.thumbnail.contrast()
    }

    /// The mean absolute difference of the two thumbnails with equal means, in gray levels of 0..=255.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f32 {
        self.thumbnail.difference(&other.thumbnail)
    }
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
