//! Replaces a part of an image by a few blocks of one color each.

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use image::{Rgb, RgbImage};

use crate::geometry::NormBox;

/// Blocks along the longer side of what is hidden. There are fewer along the shorter one, since a block is about square.
pub const BLOCKS: u32 = 8;

/// What is hidden around a box, at each side, as a share of the box's width or height: boxes are not exact.
pub const MARGIN: f32 = 0.1;

/// And at least so many pixels.
const LEAST_MARGIN: f32 = 4.0;

/// A block has at least this side in pixels, so that nothing of a tiny box is left.
const LEAST_BLOCK: u32 = 8;

/// Pixelates a box and the margin around it, as far as they are in the image.
pub(super) fn pixelate_box(image: &mut RgbImage, bounding_box: &NormBox) {
    let (width, height) = image.dimensions();
    if width > 0 && height > 0 {
        pixelate(image, &with_margin(bounding_box, width, height));
    }
}

fn with_margin(bounding_box: &NormBox, width: u32, height: u32) -> Rectangle {
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let margin = |length: f32, size: u32| (length * MARGIN).max(LEAST_MARGIN / size as f32);
    let (x, y) = (margin(x_max - x_min, width), margin(y_max - y_min, height));
    let corners = [x_min - x, x_max + x, y_min - y, y_max + y];
    let larger = NormBox::from_regression(corners).unwrap_or(NormBox::WHOLE);
    larger.to_pixels(width, height)
}

/// Gives each block of a rectangle inside the image the mean color of its pixels.
fn pixelate(image: &mut RgbImage, area: &Rectangle) {
    let Size { width, height } = area.size;
    let longer = width.max(height);
    let count = (longer / LEAST_BLOCK).clamp(1, BLOCKS);
    // Rounded down, so that a block is no narrower than it is long.
    let count_of = |length: u32| (length * count / longer.max(1)).max(1);
    let (columns, rows) = (count_of(width), count_of(height));
    for row in 0..rows {
        let (top, bottom) = (row * height / rows, (row + 1) * height / rows);
        for column in 0..columns {
            let (left, right) = (column * width / columns, (column + 1) * width / columns);
            let corner = area.top_left + Point::new(left as i32, top as i32);
            fill_with_mean(
                image,
                &Rectangle::new(corner, Size::new(right - left, bottom - top)),
            );
        }
    }
}

fn fill_with_mean(image: &mut RgbImage, block: &Rectangle) {
    let (left, top) = (block.top_left.x as u32, block.top_left.y as u32);
    let Size { width, height } = block.size;
    let pixels = || (top..top + height).flat_map(|y| (left..left + width).map(move |x| (x, y)));
    let count = u64::from(width) * u64::from(height);
    if count == 0 {
        return;
    }
    let mut sums = [0_u64; 3];
    for (x, y) in pixels() {
        for (sum, value) in sums.iter_mut().zip(image.get_pixel(x, y).0) {
            *sum += u64::from(value);
        }
    }
    let mean = Rgb(sums.map(|sum| ((sum + count / 2) / count) as u8));
    for (x, y) in pixels() {
        image.put_pixel(x, y, mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No two pixels beside each other are alike.
    fn checked(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| match (x + y).is_multiple_of(2) {
            true => Rgb([250, 250, 250]),
            false => Rgb([5, 5, 5]),
        })
    }

    fn boxed(corners: [f32; 4]) -> NormBox {
        NormBox::from_regression(corners).expect("finite")
    }

    /// Whether nothing of [`checked`] is left at a pixel.
    fn is_hidden(image: &RgbImage, x: u32, y: u32) -> bool {
        (100..=155).contains(&image.get_pixel(x, y)[0])
    }

    #[test]
    fn all_of_a_box_and_its_margin_is_hidden_and_nothing_else() {
        let mut image = checked(200, 100);
        pixelate_box(&mut image, &boxed([0.25, 0.75, 0.2, 0.6]));
        // 10 pixels and 4 pixels of margin.
        for (x, y) in (0..200).flat_map(|x| (0..100).map(move |y| (x, y))) {
            let is_inside = (40..160).contains(&x) && (16..64).contains(&y);
            assert_eq!(is_hidden(&image, x, y), is_inside, "{x}, {y}");
        }
    }

    #[test]
    fn the_longer_side_has_eight_blocks() {
        let mut image = RgbImage::from_fn(400, 400, |x, y| Rgb([(x / 2) as u8, (y / 2) as u8, 0]));
        pixelate_box(&mut image, &boxed([0.1, 0.9, 0.3, 0.5]));
        let colors = |along: &dyn Fn(u32) -> Rgb<u8>, range: std::ops::Range<u32>| {
            let mut colors: Vec<_> = range.map(along).collect();
            colors.dedup();
            colors.len() as u32
        };
        let across = colors(&|x| *image.get_pixel(x, 160), 8..392);
        let down = colors(&|y| *image.get_pixel(200, y), 112..208);
        assert_eq!((across, down), (BLOCKS, BLOCKS * 96 / 384));
    }

    #[test]
    fn tiny_boxes_and_boxes_at_the_edge_leave_nothing() {
        let cases = [
            [0.5, 0.5, 0.5, 0.5],
            [0.5, 0.502, 0.5, 0.504],
            [0.0, 0.01, 0.0, 0.01],
            [0.99, 1.0, 0.0, 1.0],
            [0.0, 1.0, 0.999, 1.0],
            [0.0, 1.0, 0.0, 1.0],
        ];
        for (width, height) in [(64, 48), (7, 5), (300, 2), (1, 1)] {
            for corners in cases {
                let mut image = checked(width, height);
                pixelate_box(&mut image, &boxed(corners));
                let pixels = boxed(corners).to_pixels(width, height);
                for y in pixels.rows() {
                    for x in pixels.columns() {
                        let is_only_one = width * height == 1;
                        assert!(
                            is_only_one || is_hidden(&image, x as u32, y as u32),
                            "{corners:?} of {width} x {height}: {x}, {y}"
                        );
                    }
                }
            }
        }
        pixelate_box(&mut RgbImage::new(0, 5), &NormBox::WHOLE);
    }

    #[test]
    fn overlapping_boxes_are_all_hidden() {
        let mut image = checked(100, 100);
        let boxes = [
            [0.2, 0.6, 0.2, 0.6],
            [0.4, 0.8, 0.4, 0.8],
            [0.3, 0.5, 0.3, 0.9],
        ];
        for corners in boxes {
            pixelate_box(&mut image, &boxed(corners));
        }
        for corners in boxes {
            let pixels = boxed(corners).to_pixels(100, 100);
            for y in pixels.rows() {
                for x in pixels.columns() {
                    assert!(is_hidden(&image, x as u32, y as u32), "{x}, {y}");
                }
            }
        }
    }
}
