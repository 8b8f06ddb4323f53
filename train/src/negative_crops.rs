//! Negative crops: parts of annotated images that no true box touches.
//!
//! Objects without a box are not noticed: a crop is only as empty as the annotations are complete.

use boxcam::dataset::{AnnotatedPicture, Dataset, DatasetIssue};
use boxcam::geometry::NormBox;
use image::RgbImage;
use image::math::Rect;

/// Least width and height of a negative crop in pixels.
pub const MIN_SIDE: u32 = 96;

/// Largest aspect ratio of a negative crop: preprocessing would distort longer ones.
const MAX_ASPECT: u32 = 2;

/// Whether an image of a split may lack a box: it is unknown which one a faulty row belongs to.
#[must_use]
pub fn may_lack_a_box(split: &Dataset) -> bool {
    let mut issues = split.issues.iter();
    issues.any(|issue| matches!(issue, DatasetIssue::Row(_)))
}

/// The [`largest_negative_crop`] of an annotated image; `None` for one without boxes, which may be incomplete.
#[must_use]
pub fn negative_crop(picture: &AnnotatedPicture, image: &RgbImage) -> Option<Rect> {
    if picture.annotations.is_empty() {
        return None;
    }
    let boxes = picture.annotations.iter().map(|row| row.bounding_box);
    let boxes: Vec<NormBox> = boxes.collect();
    largest_negative_crop(&boxes, image.width(), image.height())
}

/// The largest rectangle of an image of `width` x `height` pixels that touches none of the boxes, of at least
/// [`MIN_SIDE`] pixels each way and an aspect ratio of at most 2; the first of equal ones.
#[must_use]
pub fn largest_negative_crop(boxes: &[NormBox], width: u32, height: u32) -> Option<Rect> {
    let taken: Vec<Rect> = boxes.iter().map(|b| to_rect(b, width, height)).collect();
    let lefts = taken.iter().map(|rect| rect.x + rect.width);
    let rights = taken.iter().map(|rect| rect.x);
    let lefts: Vec<u32> = std::iter::once(0).chain(lefts).collect();
    let rights: Vec<u32> = std::iter::once(width).chain(rights).collect();
    let area = |rect: &Rect| u64::from(rect.width) * u64::from(rect.height);
    let mut best: Option<Rect> = None;
    for &left in &lefts {
        for &right in rights.iter().filter(|right| **right > left) {
            let (top, bottom) = tallest_gap(&taken, left, right, height);
            let found = limit_aspect(Rect {
                x: left,
                y: top,
                width: right - left,
                height: bottom - top,
            });
            let is_large = found.width >= MIN_SIDE && found.height >= MIN_SIDE;
            if is_large && best.is_none_or(|best| area(&found) > area(&best)) {
                best = Some(found);
            }
        }
    }
    best
}

/// The central part with an aspect ratio of at most [`MAX_ASPECT`].
fn limit_aspect(rect: Rect) -> Rect {
    let width = rect.width.min(rect.height.saturating_mul(MAX_ASPECT));
    let height = rect.height.min(rect.width.saturating_mul(MAX_ASPECT));
    Rect {
        x: rect.x + (rect.width - width) / 2,
        y: rect.y + (rect.height - height) / 2,
        width,
        height,
    }
}

fn to_rect(bounding_box: &NormBox, width: u32, height: u32) -> Rect {
    let pixels = bounding_box.to_pixels(width, height);
    Rect {
        // A box in pixels is within its image.
        x: pixels.top_left.x.unsigned_abs(),
        y: pixels.top_left.y.unsigned_abs(),
        width: pixels.size.width,
        height: pixels.size.height,
    }
}

/// The most consecutive rows between two columns that no box touches: the first and the one after the last.
fn tallest_gap(taken: &[Rect], left: u32, right: u32, height: u32) -> (u32, u32) {
    let between = |rect: &&Rect| rect.x < right && rect.x + rect.width > left;
    let mut rows: Vec<(u32, u32)> = taken
        .iter()
        .filter(between)
        .map(|rect| (rect.y, rect.y + rect.height))
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
        NormBox::new(x_min, x_max, y_min, y_max).expect("a valid box")
    }

    fn found(boxes: &[[f32; 4]]) -> Option<[u32; 4]> {
        let boxes: Vec<_> = boxes.iter().map(|corners| boxed(*corners)).collect();
        largest_negative_crop(&boxes, 400, 300).map(|a| [a.x, a.y, a.width, a.height])
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
    fn no_box_is_touched_and_the_size_limits_hold() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut some = 0;
        for _ in 0..500 {
            let boxes: Vec<NormBox> = (0..random.usize(1..8))
                .map(|_| {
                    let (x, y) = (0.8 * random.f32(), 0.8 * random.f32());
                    boxed([x, x + 0.2 * random.f32(), y, y + 0.2 * random.f32()])
                })
                .collect();
            let Some(free) = largest_negative_crop(&boxes, 640, 480) else {
                continue;
            };
            some += 1;
            assert!(free.width >= MIN_SIDE && free.height >= MIN_SIDE);
            assert!(free.width <= 2 * free.height && free.height <= 2 * free.width);
            assert!(free.x + free.width <= 640 && free.y + free.height <= 480);
            for taken in boxes.iter().map(|b| to_rect(b, 640, 480)) {
                let apart = taken.x >= free.x + free.width
                    || free.x >= taken.x + taken.width
                    || taken.y >= free.y + free.height
                    || free.y >= taken.y + taken.height;
                assert!(apart, "{free:?} {taken:?}");
            }
        }
        assert!(some > 400, "{some}");
    }
}
