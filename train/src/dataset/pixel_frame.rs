//! Normalizes boxes in pixels to the upright picture.
//!
//! Most labeling tools show pictures upright, as EXIF orientation demands, but some do not. If the size in the annotations
//! is that of the stored pixels, and differs from the upright size, the box is rotated along with the picture. If the two
//! cannot be distinguished (square pictures, half turns), boxes are assumed to be upright. A size with the same aspect
//! ratio means that the picture was scaled after labeling, and the box is scaled too; any other size is an error. Up to
//! two pixels outside of the picture count as rounding and are clamped; more is an error. A minimum above its maximum is
//! exchanged with it.

use std::path::Path;

use boxcam::geometry::NormBox;
use boxcam::picture::{Header, PictureError};
use image::metadata::Orientation;

use super::import_error::AnnotationError;

/// How far a box may extend beyond its picture, in pixels of the annotations: tools round, count from 1, or count
/// edges.
pub const ROUNDING_TOLERANCE: f64 = boxcam::dataset::ROUNDING_TOLERANCE;

/// [`ROUNDING_TOLERANCE`] for coordinates that are already normalized, if the size of the picture is unknown.
const NORMALIZED_TOLERANCE: f64 = 0.001;

/// The coordinate system of annotations: the size of the picture in pixels, and its orientation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelFrame {
    size: (u32, u32),
    orientation: Orientation,
}

impl PixelFrame {
    /// Reads the header of a picture file. `stated` is the size in the annotations, if they have one.
    ///
    /// # Errors
    /// [`AnnotationError::SizeMismatch`] if `stated` has neither the stored nor the upright aspect ratio,
    /// [`AnnotationError::Picture`] if the file cannot be read as a picture.
    pub fn of(picture: &Path, stated: Option<(u32, u32)>) -> Result<Self, AnnotationError> {
        let header: Result<Header, PictureError> = Header::read(picture);
        let header = header?;
        let upright = header.upright();
        let stated = stated.unwrap_or(upright);
        if same_aspect_ratio(stated, upright) {
            return Ok(Self {
                size: stated,
                orientation: Orientation::NoTransforms,
            });
        }
        if same_aspect_ratio(stated, (header.width, header.height)) {
            return Ok(Self {
                size: stated,
                orientation: header.orientation,
            });
        }
        Err(AnnotationError::SizeMismatch {
            picture: picture.into(),
            stated,
            real: upright,
        })
    }

    /// The normalized box of `x_min, x_max, y_min, y_max` in pixels; the upper left corner of the picture is 0, 0.
    ///
    /// # Errors
    /// [`AnnotationError`] if a corner is not finite, or the box has no area or lies outside of the picture.
    pub fn normalize(
        &self,
        [x_min, x_max, y_min, y_max]: [f64; 4],
    ) -> Result<NormBox, AnnotationError> {
        let (left, right) =
            normalize_axis('x', x_min, x_max, self.size.0.into(), ROUNDING_TOLERANCE)?;
        let (top, bottom) =
            normalize_axis('y', y_min, y_max, self.size.1.into(), ROUNDING_TOLERANCE)?;
        oriented([left, right, top, bottom], self.orientation)
    }
}

/// The box of corners that are normalized already. The header of the picture is read only if a corner is outside of it.
///
/// # Errors
/// As for [`PixelFrame::normalize`].
pub fn normalized_box(corners: [f64; 4], picture: &Path) -> Result<NormBox, AnnotationError> {
    let [x_min, x_max, y_min, y_max] = corners;
    let is_inside = corners.iter().all(|corner| (0.0..=1.0).contains(corner));
    let size = match is_inside {
        true => None,
        false => Header::read(picture).ok().map(|header| header.upright()),
    };
    let (x, y) = size.map_or(
        (NORMALIZED_TOLERANCE, NORMALIZED_TOLERANCE),
        |(width, height)| {
            let relative = |side: u32| ROUNDING_TOLERANCE / f64::from(side.max(1));
            (relative(width), relative(height))
        },
    );
    let (left, right) = normalize_axis('x', x_min, x_max, 1.0, x)?;
    let (top, bottom) = normalize_axis('y', y_min, y_max, 1.0, y)?;
    oriented([left, right, top, bottom], Orientation::NoTransforms)
}

/// Minimum and maximum on one axis, relative to `size`.
fn normalize_axis(
    axis: char,
    min: f64,
    max: f64,
    size: f64,
    tolerance: f64,
) -> Result<(f64, f64), AnnotationError> {
    if !min.is_finite() || !max.is_finite() {
        let value = if min.is_finite() { max } else { min };
        let field = if axis == 'x' { "x" } else { "y" };
        let value = value.to_string();
        return Err(AnnotationError::NotANumber { field, value });
    }
    // Some tools write the corner where the drawing of the box began first.
    let (min, max) = (min.min(max), max.max(min));
    if min >= max {
        return Err(AnnotationError::NoExtent { axis, at: min });
    }
    // The clamped box must have an area too.
    if min < -tolerance || max > size + tolerance || max <= 0.0 || min >= size {
        return Err(AnnotationError::Outside {
            axis,
            min,
            max,
            size,
        });
    }
    let normalized = |value: f64| (value / size).clamp(0.0, 1.0);
    Ok((normalized(min), normalized(max)))
}

/// Whether two sizes have the same aspect ratio, apart from rounding to whole pixels.
fn same_aspect_ratio(a: (u32, u32), b: (u32, u32)) -> bool {
    if a.0 == 0 || a.1 == 0 || b.0 == 0 || b.1 == 0 {
        return false;
    }
    let (small, large) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let scale = f64::from(small.0) / f64::from(large.0);
    let other = f64::from(small.1) / f64::from(large.1);
    // Width and height of the smaller one are each rounded by up to half a pixel.
    let slack = 0.51 / f64::from(large.0) + 0.51 / f64::from(large.1);
    a == b || (scale - other).abs() <= slack
}

/// The box after the picture is rotated or mirrored.
fn oriented(corners: [f64; 4], orientation: Orientation) -> Result<NormBox, AnnotationError> {
    let [left, right, top, bottom] = corners;
    let to = |x: f64, y: f64| match orientation {
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
        [a.min(c), a.max(c), b.min(d), b.max(d)].map(|corner| corner as f32);
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
    fn a_box_is_oriented_like_its_pixels() {
        for orientation in ALL {
            let mut picture = GrayImage::new(20, 10);
            for (x, y) in [(2, 1), (4, 1), (2, 3), (4, 3)] {
                picture.put_pixel(x, y, Luma([255]));
            }
            let mut picture = DynamicImage::from(picture);
            picture.apply_orientation(orientation);
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
            let frame = PixelFrame {
                size: (20, 10),
                orientation,
            };
            let found = frame
                .normalize([2.0, 5.0, 1.0, 4.0])
                .expect("valid")
                .corners();
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{orientation:?}");
            }
        }
    }

    #[test]
    fn rounding_is_clamped_and_more_is_refused() {
        let frame = PixelFrame {
            size: (100, 50),
            orientation: Orientation::NoTransforms,
        };
        let clamped = frame
            .normalize([-1.0, 101.0, 10.0, 51.5])
            .expect("rounding");
        assert_eq!(clamped.corners(), [0.0, 1.0, 0.2, 1.0]);
        let swapped = frame.normalize([90.0, 30.0, 40.0, 10.0]).expect("a box");
        assert_eq!(swapped.corners(), [0.3, 0.9, 0.2, 0.8]);
        let refused = |corners| frame.normalize(corners).expect_err("no box").to_string();
        assert!(
            refused([0.0, 103.0, 0.0, 10.0])
                .contains("from 0 to 103 in x, the picture from 0 to 100")
        );
        assert!(refused([5.0, 5.0, 0.0, 10.0]).contains("begins and ends at 5 in x"));
        assert!(refused([0.0, 10.0, 50.0, 51.0]).contains("in y"));
        assert!(refused([0.0, f64::NAN, 0.0, 1.0]).contains("expected a number"));
    }

    #[test]
    fn scaled_pictures_have_the_same_aspect_ratio() {
        for (a, b, same) in [
            ((1024, 683), (384, 256), true),
            ((640, 480), (480, 640), false),
            ((640, 480), (640, 470), false),
            ((500, 375), (500, 375), true),
            ((0, 0), (10, 10), false),
        ] {
            assert_eq!(same_aspect_ratio(a, b), same, "{a:?} {b:?}");
            assert_eq!(same_aspect_ratio(b, a), same, "{a:?} {b:?}");
        }
    }
}
