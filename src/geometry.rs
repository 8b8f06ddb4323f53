//! Boxes: normalised ones, pixel ones, the one conversion between them, and the one IoU.
//!
//! In go four numbers, out comes a [`NormBox`] that is known to be sound, or a [`BoxError`] that says
//! which number is not. Nothing here draws, reads or writes.

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use thiserror::Error;

/// A bounding box given by its corners, each coordinate in `0..=1` of the picture's width or height.
///
/// Always finite, inside the picture and ordered (`x_min <= x_max`, `y_min <= y_max`). The origin is the
/// top left corner of the picture. A box in pixels is another type, embedded-graphics' [`Rectangle`];
/// [`NormBox::to_pixels`] is the one way from here to there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormBox {
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

/// Four numbers that are not a box.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum BoxError {
    /// A coordinate is NaN, infinite or not in `0..=1`.
    #[error("{name} is {value}; a normalised coordinate lies between 0 and 1")]
    OutOfRange {
        /// Which coordinate.
        name: &'static str,
        /// What it was.
        value: f32,
    },
    /// A minimum is above its maximum.
    #[error("{axis}_min {min} is greater than {axis}_max {max}; swap them or mend the row")]
    Reversed {
        /// `x` or `y`.
        axis: char,
        /// The minimum as given.
        min: f32,
        /// The maximum as given.
        max: f32,
    },
}

impl NormBox {
    /// The whole picture.
    pub const WHOLE: Self = Self {
        x_min: 0.0,
        x_max: 1.0,
        y_min: 0.0,
        y_max: 1.0,
    };

    /// A box from its corners.
    ///
    /// # Errors
    /// [`BoxError`] when a coordinate is not a number in `0..=1` or a pair is in the wrong order.
    pub fn new(x_min: f32, x_max: f32, y_min: f32, y_max: f32) -> Result<Self, BoxError> {
        let named = [
            ("x_min", x_min),
            ("x_max", x_max),
            ("y_min", y_min),
            ("y_max", y_max),
        ];
        for (name, value) in named {
            if !(0.0..=1.0).contains(&value) {
                return Err(BoxError::OutOfRange { name, value });
            }
        }
        for (axis, min, max) in [('x', x_min, x_max), ('y', y_min, y_max)] {
            if min > max {
                return Err(BoxError::Reversed { axis, min, max });
            }
        }
        Ok(Self {
            x_min,
            x_max,
            y_min,
            y_max,
        })
    }

    /// The nearest sound box to what a regression put out, in the order `x_min, x_max, y_min, y_max`:
    /// coordinates are clamped into the picture and a reversed pair is put in order.
    ///
    /// `None` when a number is NaN or infinite: such an output is a fault and not a box.
    #[must_use]
    pub fn from_regression(corners: [f32; 4]) -> Option<Self> {
        if corners.iter().any(|c| !c.is_finite()) {
            return None;
        }
        let [a, b, c, d] = corners.map(|c| c.clamp(0.0, 1.0));
        Some(Self {
            x_min: a.min(b),
            x_max: a.max(b),
            y_min: c.min(d),
            y_max: c.max(d),
        })
    }

    /// Left edge.
    #[must_use]
    pub const fn x_min(&self) -> f32 {
        self.x_min
    }

    /// Right edge.
    #[must_use]
    pub const fn x_max(&self) -> f32 {
        self.x_max
    }

    /// Top edge.
    #[must_use]
    pub const fn y_min(&self) -> f32 {
        self.y_min
    }

    /// Bottom edge.
    #[must_use]
    pub const fn y_max(&self) -> f32 {
        self.y_max
    }

    /// The corners as `[x_min, x_max, y_min, y_max]`, the order of the annotations and of the network.
    #[must_use]
    pub const fn corners(&self) -> [f32; 4] {
        [self.x_min, self.x_max, self.y_min, self.y_max]
    }

    /// The share of the picture that the box covers, in `0..=1`.
    #[must_use]
    pub fn area(&self) -> f32 {
        (self.x_max - self.x_min) * (self.y_max - self.y_min)
    }

    /// Area that both boxes cover, `0..=1`.
    #[must_use]
    pub fn intersection_area(&self, other: &Self) -> f32 {
        let width = (self.x_max.min(other.x_max) - self.x_min.max(other.x_min)).max(0.0);
        let height = (self.y_max.min(other.y_max) - self.y_min.max(other.y_min)).max(0.0);
        width * height
    }

    /// The pixels that the box covers, even in part, in a picture of `width` x `height` pixels.
    ///
    /// Edges go outwards to whole pixels, so that the rectangle holds the whole box; it never leaves the
    /// picture, and a box without any extent still covers one pixel.
    ///
    /// ```
    /// use boxcam::geometry::NormBox;
    /// use embedded_graphics::{prelude::*, primitives::Rectangle};
    ///
    /// let half = NormBox::new(0.25, 0.75, 0.5, 1.0)?;
    /// assert_eq!(half.to_pixels(640, 480), Rectangle::new(Point::new(160, 240), Size::new(320, 240)));
    /// # Ok::<(), boxcam::geometry::BoxError>(())
    /// ```
    #[must_use]
    pub fn to_pixels(&self, width: u32, height: u32) -> Rectangle {
        let (left, right) = pixel_span(self.x_min, self.x_max, width);
        let (top, bottom) = pixel_span(self.y_min, self.y_max, height);
        Rectangle::new(
            Point::new(left as i32, top as i32),
            Size::new(right - left, bottom - top),
        )
    }
}

/// First pixel and the one after the last that `min..max` touches, of `size` pixels.
fn pixel_span(min: f32, max: f32, size: u32) -> (u32, u32) {
    let extent = f64::from(size);
    // f32 coordinates carry an error of up to 2^-24; without the slack a box that ends exactly on a
    // pixel's edge would now and then take one pixel more.
    let slack = extent * 1e-7;
    let last = size.saturating_sub(1);
    let first = ((f64::from(min) * extent + slack).floor() as u32).min(last);
    let end = ((f64::from(max) * extent - slack).ceil() as u32).clamp(first + 1, size.max(1));
    (first, end)
}

/// Intersection over union of two boxes, in `0..=1`: 1 for equal boxes, 0 for disjoint ones.
///
/// Two boxes without any area have no union; their IoU is 0 by definition here.
///
/// The example is the textbook chapter's: of these two boxes it says 0.23529411764705882, in 64 bits; that is 4/17.
///
/// ```
/// use boxcam::geometry::{NormBox, iou};
///
/// let truth = NormBox::new(0.2, 0.7, 0.3, 0.6)?;
/// let prediction = NormBox::new(0.4, 0.6, 0.2, 0.5)?;
/// let said = 0.235_294_117_647_058_82_f64;
/// assert!((f64::from(iou(&truth, &prediction)) - said).abs() < 1e-7);
/// # Ok::<(), boxcam::geometry::BoxError>(())
/// ```
#[must_use]
pub fn iou(a: &NormBox, b: &NormBox) -> f32 {
    let intersection = a.intersection_area(b);
    let union = a.area() + b.area() - intersection;
    if union > 0.0 {
        (intersection / union).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(corners: [f32; 4]) -> NormBox {
        NormBox::new(corners[0], corners[1], corners[2], corners[3]).expect("a sound box")
    }

    #[test]
    fn iou_is_symmetric_one_for_self_zero_for_disjoint() {
        let cases = [
            ([0.0, 0.5, 0.0, 0.5], [0.25, 0.75, 0.25, 0.75], 1.0 / 7.0),
            ([0.2, 0.7, 0.3, 0.6], [0.4, 0.6, 0.2, 0.5], 4.0 / 17.0),
            ([0.0, 0.4, 0.0, 1.0], [0.6, 1.0, 0.0, 1.0], 0.0),
            ([0.0, 0.5, 0.0, 1.0], [0.5, 1.0, 0.0, 1.0], 0.0),
            ([0.0, 1.0, 0.0, 1.0], [0.25, 0.75, 0.25, 0.75], 0.25),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (boxed(a), boxed(b));
            assert!((iou(&a, &b) - expected).abs() < 1e-6, "{a:?} {b:?}");
            assert_eq!(iou(&a, &b), iou(&b, &a));
            assert!((iou(&a, &a) - 1.0).abs() < 1e-6);
        }
        let point = boxed([0.5, 0.5, 0.5, 0.5]);
        assert_eq!(iou(&point, &point), 0.0);
    }

    #[test]
    fn unsound_corners_are_refused_by_name() {
        let reversed = NormBox::new(0.7, 0.2, 0.0, 1.0);
        assert!(matches!(
            reversed,
            Err(BoxError::Reversed { axis: 'x', .. })
        ));
        for bad in [f32::NAN, f32::INFINITY, -0.01, 1.01] {
            let error = NormBox::new(0.0, 1.0, 0.0, bad).expect_err("not a box");
            assert!(matches!(error, BoxError::OutOfRange { name: "y_max", .. }));
        }
    }

    #[test]
    fn a_regression_is_clamped_and_put_in_order() {
        let mended = NormBox::from_regression([1.2, -0.3, 0.25, 0.5]).expect("finite");
        assert_eq!(mended.corners(), [0.0, 1.0, 0.25, 0.5]);
        assert_eq!(NormBox::from_regression([f32::NAN, 0.0, 0.0, 0.0]), None);
    }

    #[test]
    fn pixels_cover_the_box_and_stay_inside() {
        let random = &mut fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let (a, b, c, d) = (random.f32(), random.f32(), random.f32(), random.f32());
            let norm = boxed([a.min(b), a.max(b), c.min(d), c.max(d)]);
            let (width, height) = (random.u32(1..2000), random.u32(1..2000));
            let pixels = norm.to_pixels(width, height);
            let (left, top) = (pixels.top_left.x as f32, pixels.top_left.y as f32);
            assert!(left >= 0.0 && top >= 0.0 && pixels.size.width > 0 && pixels.size.height > 0);
            assert!(left as u32 + pixels.size.width <= width);
            assert!(top as u32 + pixels.size.height <= height);
            assert!(left <= norm.x_min() * width as f32 + 0.001);
            let right = left + pixels.size.width as f32;
            assert!(right + 0.001 >= norm.x_max() * width as f32);
        }
        let tenths = boxed([0.1, 0.3, 0.0, 0.7]);
        let expected = Rectangle::new(Point::new(1, 0), Size::new(2, 7));
        assert_eq!(tenths.to_pixels(10, 10), expected);
    }
}
