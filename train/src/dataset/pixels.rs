//! Boxes in pixels, and the one way from there to shares of the upright picture.
//!
//! Labelling tools mostly show pictures upright, as EXIF says, but some do not. Where the annotations state the
//! picture's size it is seen which: with the sides of the stored pixels, swapped against the upright ones, the box
//! is turned along with the picture. Where nothing tells them apart (square pictures, half turns), boxes are taken
//! for upright ones. A stated size with the same shape is that of a picture scaled since then, and the box is
//! scaled too; any other is a fault. Up to two pixels outside are rounding and cut off; more is a fault.

use std::path::Path;

use boxcam::geometry::NormBox;
use boxcam::picture::{Header, PictureError};
use image::metadata::Orientation;

use super::AnnotationFault;

/// How far a box may reach out of its picture, in pixels of its annotations: tools round, count from 1, or count
/// edges.
pub const ROUNDING: f64 = 2.0;

/// A picture's size as its annotations see it, and the way from there to the upright picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ground {
    size: (u32, u32),
    turn: Orientation,
}

impl Ground {
    /// The ground of a picture file. `stated` is the size that the annotations give, if they give one.
    ///
    /// # Errors
    /// [`AnnotationFault::OtherSize`] when the size is neither of the picture nor of a scaled one,
    /// [`AnnotationFault::Picture`] when the file is no picture.
    pub fn of(picture: &Path, stated: Option<(u32, u32)>) -> Result<Self, AnnotationFault> {
        let header: Result<Header, PictureError> = Header::read(picture);
        let header = header?;
        let upright = header.upright();
        let stated = stated.unwrap_or(upright);
        if same_shape(stated, upright) {
            return Ok(Self {
                size: stated,
                turn: Orientation::NoTransforms,
            });
        }
        if same_shape(stated, (header.width, header.height)) {
            return Ok(Self {
                size: stated,
                turn: header.orientation,
            });
        }
        Err(AnnotationFault::OtherSize {
            picture: picture.into(),
            stated,
            real: upright,
        })
    }

    /// The box from `x_min, x_max, y_min, y_max` in pixels, the picture's upper left corner being 0, 0.
    ///
    /// # Errors
    /// [`AnnotationFault`] when that is no box, has no area, or lies outside of the picture.
    pub fn shares(
        &self,
        [x_min, x_max, y_min, y_max]: [f64; 4],
    ) -> Result<NormBox, AnnotationFault> {
        let (left, right) = side('x', x_min, x_max, self.size.0.into(), ROUNDING)?;
        let (top, bottom) = side('y', y_min, y_max, self.size.1.into(), ROUNDING)?;
        turned([left, right, top, bottom], self.turn)
    }
}

/// The box from corners that are shares already; a rounding of `0.001` is cut off.
///
/// # Errors
/// As for [`Ground::shares`].
pub fn from_shares([x_min, x_max, y_min, y_max]: [f64; 4]) -> Result<NormBox, AnnotationFault> {
    let (left, right) = side('x', x_min, x_max, 1.0, 0.001)?;
    let (top, bottom) = side('y', y_min, y_max, 1.0, 0.001)?;
    turned([left, right, top, bottom], Orientation::NoTransforms)
}

/// One side pair as shares of `size`.
fn side(
    axis: char,
    min: f64,
    max: f64,
    size: f64,
    slack: f64,
) -> Result<(f64, f64), AnnotationFault> {
    if !min.is_finite() || !max.is_finite() {
        let value = if min.is_finite() { max } else { min };
        let field = if axis == 'x' { "x" } else { "y" };
        let value = value.to_string();
        return Err(AnnotationFault::NotANumber { field, value });
    }
    if min >= max {
        return Err(AnnotationFault::Reversed { axis, min, max });
    }
    // What is left of a box after cutting must have an extent too.
    if min < -slack || max > size + slack || max <= 0.0 || min >= size {
        return Err(AnnotationFault::Outside {
            axis,
            min,
            max,
            size,
        });
    }
    let share = |value: f64| (value / size).clamp(0.0, 1.0);
    Ok((share(min), share(max)))
}

/// Whether two sizes are of one picture, perhaps scaled: each side is within a pixel of the other's.
fn same_shape(a: (u32, u32), b: (u32, u32)) -> bool {
    if a.0 == 0 || a.1 == 0 || b.0 == 0 || b.1 == 0 {
        return false;
    }
    let (small, large) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let scale = f64::from(small.0) / f64::from(large.0);
    let other = f64::from(small.1) / f64::from(large.1);
    // The width of the smaller one may be rounded by half a pixel, and so may its height.
    let slack = 0.51 / f64::from(large.0) + 0.51 / f64::from(large.1);
    a == b || (scale - other).abs() <= slack
}

/// The corners of a box in a picture that is turned like that.
fn turned(corners: [f64; 4], turn: Orientation) -> Result<NormBox, AnnotationFault> {
    let [left, right, top, bottom] = corners;
    let to = |x: f64, y: f64| match turn {
        Orientation::NoTransforms => (x, y),
        Orientation::Rotate90 => (1.0 - y, x),
        Orientation::Rotate180 => (1.0 - x, 1.0 - y),
        Orientation::Rotate270 => (y, 1.0 - x),
        Orientation::FlipHorizontal => (1.0 - x, y),
        Orientation::FlipVertical => (x, 1.0 - y),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate270FlipH => (1.0 - y, 1.0 - x),
    };
    let ((a, b), (c, d)) = (to(left, top), to(right, bottom));
    let [x_min, x_max, y_min, y_max] =
        [a.min(c), a.max(c), b.min(d), b.max(d)].map(|share| share as f32);
    Ok(NormBox::new(x_min, x_max, y_min, y_max)?)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma};

    use super::*;

    const ALL: [Orientation; 8] = [
        Orientation::NoTransforms,
        Orientation::Rotate90,
        Orientation::Rotate180,
        Orientation::Rotate270,
        Orientation::FlipHorizontal,
        Orientation::FlipVertical,
        Orientation::Rotate90FlipH,
        Orientation::Rotate270FlipH,
    ];

    #[test]
    fn a_box_is_turned_as_the_pixels_are() {
        for turn in ALL {
            let mut picture = GrayImage::new(20, 10);
            for (x, y) in [(2, 1), (4, 1), (2, 3), (4, 3)] {
                picture.put_pixel(x, y, Luma([255]));
            }
            let mut picture = DynamicImage::from(picture);
            picture.apply_orientation(turn);
            let picture = picture.to_luma8();
            let lit = picture
                .enumerate_pixels()
                .filter(|(.., pixel)| pixel[0] > 0);
            let (xs, ys): (Vec<u32>, Vec<u32>) = lit.map(|(x, y, _)| (x, y)).unzip();
            let (width, height) = (picture.width() as f32, picture.height() as f32);
            let expected = [
                *xs.iter().min().expect("lit") as f32 / width,
                (xs.iter().max().expect("lit") + 1) as f32 / width,
                *ys.iter().min().expect("lit") as f32 / height,
                (ys.iter().max().expect("lit") + 1) as f32 / height,
            ];
            let ground = Ground {
                size: (20, 10),
                turn,
            };
            let found = ground
                .shares([2.0, 5.0, 1.0, 4.0])
                .expect("a box")
                .corners();
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{turn:?}");
            }
        }
    }

    #[test]
    fn rounding_is_cut_off_and_more_is_refused() {
        let ground = Ground {
            size: (100, 50),
            turn: Orientation::NoTransforms,
        };
        let cut = ground.shares([-1.0, 101.0, 10.0, 51.5]).expect("rounding");
        assert_eq!(cut.corners(), [0.0, 1.0, 0.2, 1.0]);
        let refused = |corners| ground.shares(corners).expect_err("no box").to_string();
        assert!(
            refused([0.0, 103.0, 0.0, 10.0])
                .contains("from 0 to 103 in x, the picture from 0 to 100")
        );
        assert!(refused([5.0, 5.0, 0.0, 10.0]).contains("x_min 5 is not less than x_max 5"));
        assert!(refused([0.0, 10.0, 50.0, 51.0]).contains("in y"));
        assert!(refused([0.0, f64::NAN, 0.0, 1.0]).contains("expected a number"));
    }

    #[test]
    fn scaled_pictures_have_the_same_shape() {
        for (a, b, same) in [
            ((1024, 683), (384, 256), true),
            ((640, 480), (480, 640), false),
            ((640, 480), (640, 470), false),
            ((500, 375), (500, 375), true),
            ((0, 0), (10, 10), false),
        ] {
            assert_eq!(same_shape(a, b), same, "{a:?} {b:?}");
            assert_eq!(same_shape(b, a), same, "{a:?} {b:?}");
        }
    }
}
