//! Parts of annotated pictures in which nothing is.
//!
//! In go the true boxes of a picture, out comes the largest rectangle that none of them touches. What
//! nobody drew a box around is not seen here: a picture is only as empty as its annotations are complete.

use boxcam::dataset::{AnnotatedPicture, Dataset, DatasetIssue};
use boxcam::geometry::NormBox;
use image::RgbImage;
use image::imageops::crop_imm;

/// The least width and height of a background, in pixels.
pub const LEAST_SIDE: u32 = 96;

/// How many times as long as wide a background may be; longer ones are cut, since a model would see them
/// squeezed.
const STRETCH: u32 = 2;

/// A rectangle in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Area {
    /// What a picture shows there.
    #[must_use]
    pub fn of(&self, picture: &RgbImage) -> RgbImage {
        crop_imm(picture, self.left, self.top, self.width, self.height).to_image()
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The middle of it, so that no side is more than twice as long as the other.
    fn cut(self) -> Self {
        let width = self.width.min(self.height.saturating_mul(STRETCH));
        let height = self.height.min(self.width.saturating_mul(STRETCH));
        Self {
            left: self.left + (self.width - width) / 2,
            top: self.top + (self.height - height) / 2,
            width,
            height,
        }
    }
}

/// Whether a picture of a split may lack a box: which one a faulty row belongs to is not known.
#[must_use]
pub fn may_lack_a_box(split: &Dataset) -> bool {
    let mut faults = split.issues.iter();
    faults.any(|fault| matches!(fault, DatasetIssue::Row(_)))
}

/// The [`largest_background`] of a picture, which is given as it was opened; none of one without boxes.
#[must_use]
pub fn empty_part(picture: &AnnotatedPicture, opened: &RgbImage) -> Option<Area> {
    if picture.annotations.is_empty() {
        return None;
    }
    let boxes: Vec<NormBox> = picture
        .annotations
        .iter()
        .map(|row| row.bounding_box)
        .collect();
    largest_background(&boxes, opened.width(), opened.height())
}

/// The largest rectangle of a picture of `width` x `height` pixels that none of the boxes touches, at least
/// [`LEAST_SIDE`] each way and at most twice as long as wide; the first of equals.
#[must_use]
pub fn largest_background(boxes: &[NormBox], width: u32, height: u32) -> Option<Area> {
    let taken: Vec<Area> = boxes.iter().map(|b| area(b, width, height)).collect();
    let lefts = taken.iter().map(|a| a.left + a.width);
    let rights = taken.iter().map(|a| a.left);
    let lefts: Vec<u32> = std::iter::once(0).chain(lefts).collect();
    let rights: Vec<u32> = std::iter::once(width).chain(rights).collect();
    let mut best: Option<Area> = None;
    for &left in &lefts {
        for &right in rights.iter().filter(|right| **right > left) {
            let (top, bottom) = widest_gap(&taken, left, right, height);
            let found = Area {
                left,
                top,
                width: right - left,
                height: bottom - top,
            };
            let found = found.cut();
            let is_large = found.width >= LEAST_SIDE && found.height >= LEAST_SIDE;
            if is_large && best.is_none_or(|best| found.pixels() > best.pixels()) {
                best = Some(found);
            }
        }
    }
    best
}

fn area(bounding_box: &NormBox, width: u32, height: u32) -> Area {
    let pixels = bounding_box.to_pixels(width, height);
    Area {
        // A box in pixels never leaves its picture.
        left: pixels.top_left.x.unsigned_abs(),
        top: pixels.top_left.y.unsigned_abs(),
        width: pixels.size.width,
        height: pixels.size.height,
    }
}

/// The most rows in a row between two columns that nothing touches: the first and the one after the last.
fn widest_gap(taken: &[Area], left: u32, right: u32, height: u32) -> (u32, u32) {
    let between = |a: &&Area| a.left < right && a.left + a.width > left;
    let mut rows: Vec<(u32, u32)> = taken
        .iter()
        .filter(between)
        .map(|a| (a.top, a.top + a.height))
        .collect();
    rows.sort_unstable();
    rows.push((height, height));
    let (mut best, mut free) = ((0, 0), 0);
    for (top, bottom) in rows {
        if top > free && top - free > best.1 - best.0 {
            best = (free, top);
        }
        free = free.max(bottom);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed([x_min, x_max, y_min, y_max]: [f32; 4]) -> NormBox {
        NormBox::new(x_min, x_max, y_min, y_max).expect("sound")
    }

    fn found(boxes: &[[f32; 4]]) -> Option<[u32; 4]> {
        let boxes: Vec<_> = boxes.iter().map(|corners| boxed(*corners)).collect();
        largest_background(&boxes, 400, 300).map(|a| [a.left, a.top, a.width, a.height])
    }

    #[test]
    fn the_largest_free_rectangle_is_found() {
        type Case<'a> = (&'a [[f32; 4]], Option<[u32; 4]>);
        let cases: [Case<'_>; 6] = [
            (&[], Some([0, 0, 400, 300])),
            (&[[0.0, 0.5, 0.0, 1.0]], Some([200, 0, 200, 300])),
            // Right of both boxes, over the whole height.
            (
                &[[0.0, 0.25, 0.0, 0.5], [0.0, 0.5, 0.5, 1.0]],
                Some([200, 0, 200, 300]),
            ),
            // Below, cut to twice its height.
            (&[[0.0, 1.0, 0.0, 0.5]], Some([50, 150, 300, 150])),
            // Left of it, over the whole height.
            (&[[0.5, 0.75, 0.3, 0.7]], Some([0, 0, 200, 300])),
            (&[[0.2, 0.8, 0.2, 0.8]], None),
        ];
        for (boxes, expected) in cases {
            assert_eq!(found(boxes), expected, "{boxes:?}");
        }
    }

    #[test]
    fn no_box_is_touched_and_the_size_is_kept() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut some = 0;
        for _ in 0..500 {
            let boxes: Vec<NormBox> = (0..random.usize(1..8))
                .map(|_| {
                    let (x, y) = (0.8 * random.f32(), 0.8 * random.f32());
                    boxed([x, x + 0.2 * random.f32(), y, y + 0.2 * random.f32()])
                })
                .collect();
            let Some(free) = largest_background(&boxes, 640, 480) else {
                continue;
            };
            some += 1;
            assert!(free.width >= LEAST_SIDE && free.height >= LEAST_SIDE);
            assert!(free.width <= 2 * free.height && free.height <= 2 * free.width);
            assert!(free.left + free.width <= 640 && free.top + free.height <= 480);
            for taken in boxes.iter().map(|b| area(b, 640, 480)) {
                let apart = taken.left >= free.left + free.width
                    || free.left >= taken.left + taken.width
                    || taken.top >= free.top + free.height
                    || free.top >= taken.top + taken.height;
                assert!(apart, "{free:?} {taken:?}");
            }
        }
        assert!(some > 400, "{some}");
    }
}
