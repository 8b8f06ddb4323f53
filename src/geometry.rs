//! Normalised bounding boxes, their conversion to pixels, and IoU.

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use thiserror::Error;

/// A bounding box given by its corners, each coordinate in `0..=1` of the picture's width or height.
///
/// Always finite, inside the picture and ordered (`x_min <= x_max`, `y_min <= y_max`). The origin is the
/// top left corner of the picture. A box in pixels is embedded-graphics' [`Rectangle`]; [`NormBox::to_pixels`] converts
/// to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormBox {
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

/// Coordinates that are not a valid box.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum BoxError {
    /// A coordinate is NaN, infinite or not in `0..=1`.
    #[error("{name} is {value}; a normalised coordinate is between 0 and 1")]
    OutOfRange { name: &'static str, value: f32 },
    #[error("{axis}_min {min} is greater than {axis}_max {max}; swap them")]
    Reversed {
        /// `x` or `y`.
        axis: char,
        min: f32,
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

    /// # Errors
    /// [`BoxError`] if a coordinate is not in `0..=1` or a minimum is greater than its maximum.
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

    /// The nearest valid box to the output of a network, in the order `x_min, x_max, y_min, y_max`:
    /// coordinates are clamped to the picture and reversed pairs are swapped.
    ///
    /// `None` if a number is NaN or infinite.
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

    #[must_use]
    pub const fn x_min(&self) -> f32 {
        self.x_min
    }

    #[must_use]
    pub const fn x_max(&self) -> f32 {
        self.x_max
    }

    #[must_use]
    pub const fn y_min(&self) -> f32 {
        self.y_min
    }

    #[must_use]
    pub const fn y_max(&self) -> f32 {
        self.y_max
    }

    /// The corners as `[x_min, x_max, y_min, y_max]`, the order of the annotations and of the network.
    #[must_use]
    pub const fn corners(&self) -> [f32; 4] {
        [self.x_min, self.x_max, self.y_min, self.y_max]
    }

    /// The area in parts of the picture, `0..=1`.
    #[must_use]
    pub fn area(&self) -> f32 {
        (self.x_max - self.x_min) * (self.y_max - self.y_min)
    }

    /// The area of the intersection in parts of the picture, `0..=1`.
    #[must_use]
    pub fn intersection_area(&self, other: &Self) -> f32 {
        let width = (self.x_max.min(other.x_max) - self.x_min.max(other.x_min)).max(0.0);
        let height = (self.y_max.min(other.y_max) - self.y_min.max(other.y_min)).max(0.0);
        width * height
    }

    /// The area of the intersection as a share of the smaller box's area, `0..=1` (IoS); 0 if a box has no area.
    ///
    /// 1 if one box contains the other, however much larger it is.
    #[must_use]
    pub fn intersection_over_smaller(&self, other: &Self) -> f32 {
        let smaller = self.area().min(other.area());
        if smaller > 0.0 {
            (self.intersection_area(other) / smaller).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// A rectangle of a picture of `width` x `height` pixels, as far as it is inside the picture. The inverse of
    /// [`Self::to_pixels`].
    #[must_use]
    pub fn from_pixels(pixels: &Rectangle, width: u32, height: u32) -> Self {
        let span = |start: i32, length: u32, size: u32| {
            let (start, size) = (f64::from(start), f64::from(size.max(1)));
            let share = |position: f64| (position / size).clamp(0.0, 1.0) as f32;
            (share(start), share(start + f64::from(length)))
        };
        let (x_min, x_max) = span(pixels.top_left.x, pixels.size.width, width);
        let (y_min, y_max) = span(pixels.top_left.y, pixels.size.height, height);
        Self {
            x_min,
            x_max,
            y_min,
            y_max,
        }
    }

    /// Converts a box in a crop to the frame: `self` is in units of the crop's sides, `crop` is the crop's box in the frame.
    ///
    /// ```
    /// use boxcam::geometry::NormBox;
    ///
    /// let crop = NormBox::new(0.5, 1.0, 0.0, 0.5)?;
    /// let found = NormBox::new(0.0, 0.5, 0.5, 1.0)?;
    /// assert_eq!(found.from_crop_to_frame(&crop).corners(), [0.5, 0.75, 0.25, 0.5]);
    /// # Ok::<(), boxcam::geometry::BoxError>(())
    /// ```
    #[must_use]
    pub fn from_crop_to_frame(&self, crop: &Self) -> Self {
        // Exact at both edges of the crop; rounding must not lead out of it, and so out of the frame.
        let between =
            |low: f32, high: f32, share: f32| (low * (1.0 - share) + high * share).clamp(low, high);
        let x = |share| between(crop.x_min, crop.x_max, share);
        let y = |share| between(crop.y_min, crop.y_max, share);
        Self {
            x_min: x(self.x_min),
            x_max: x(self.x_max),
            y_min: y(self.y_min),
            y_max: y(self.y_max),
        }
    }

    /// The pixels that the box covers at least partly in a picture of `width` x `height` pixels.
    ///
    /// Edges are rounded outwards, so the rectangle contains the whole box. It is always inside the picture and has at
    /// least one pixel.
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

/// The first pixel that `min..max` touches, and the one after the last, of `size` pixels.
fn pixel_span(min: f32, max: f32, size: u32) -> (u32, u32) {
    let extent = f64::from(size);
    // f32 coordinates have an error of up to 2^-24; without this tolerance a box that ends exactly on the edge of a pixel
    // would sometimes get one pixel more.
    let tolerance = extent * 1e-7;
    let last = size.saturating_sub(1);
    let first = ((f64::from(min) * extent + tolerance).floor() as u32).min(last);
    let end = ((f64::from(max) * extent - tolerance).ceil() as u32).clamp(first + 1, size.max(1));
    (first, end)
}

/// Intersection over union of two boxes, in `0..=1`: 1 for equal boxes, 0 for disjoint ones.
///
/// The IoU of two boxes without area is 0 by definition.
///
/// The example is the textbook chapter's; the exact value is 4/17.
///
/// ```
/// use boxcam::geometry::{NormBox, iou};
///
/// let truth = NormBox::new(0.2, 0.7, 0.3, 0.6)?;
/// let prediction = NormBox::new(0.4, 0.6, 0.2, 0.5)?;
/// let expected = 0.235_294_117_647_058_82_f64;
/// assert!((f64::from(iou(&truth, &prediction)) - expected).abs() < 1e-7);
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
        NormBox::new(corners[0], corners[1], corners[2], corners[3]).expect("a valid box")
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
    fn a_box_in_a_crop_is_the_same_pixels_in_the_frame() {
        let random = &mut fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let (width, height) = (random.u32(1..3000), random.u32(1..3000));
            let (left, top) = (random.u32(0..width), random.u32(0..height));
            let size = Size::new(random.u32(1..=width - left), random.u32(1..=height - top));
            let pixels = Rectangle::new(Point::new(left as i32, top as i32), size);
            let crop = NormBox::from_pixels(&pixels, width, height);
            assert_eq!(crop.to_pixels(width, height), pixels);
            assert_eq!(NormBox::WHOLE.from_crop_to_frame(&crop), crop);
            let (a, b, c, d) = (random.f32(), random.f32(), random.f32(), random.f32());
            let found = boxed([a.min(b), a.max(b), c.min(d), c.max(d)]);
            let in_frame = found.from_crop_to_frame(&crop);
            boxed(in_frame.corners());
            let expected = left as f32 + found.x_min() * size.width as f32;
            assert!((in_frame.x_min() * width as f32 - expected).abs() < 0.01);
            let expected = top as f32 + found.y_max() * size.height as f32;
            assert!((in_frame.y_max() * height as f32 - expected).abs() < 0.01);
        }
    }

    #[test]
    fn a_part_covers_all_of_the_smaller_box() {
        let whole = boxed([0.0, 0.5, 0.0, 0.5]);
        let part = boxed([0.1, 0.2, 0.1, 0.2]);
        assert!((whole.intersection_over_smaller(&part) - 1.0).abs() < 1e-6);
        assert_eq!(
            whole.intersection_over_smaller(&part),
            part.intersection_over_smaller(&whole)
        );
        let beside = boxed([0.25, 0.75, 0.0, 0.5]);
        assert!((whole.intersection_over_smaller(&beside) - 0.5).abs() < 1e-6);
        let point = boxed([0.1, 0.1, 0.1, 0.1]);
        assert_eq!(whole.intersection_over_smaller(&point), 0.0);
    }

    #[test]
    fn invalid_coordinates_are_named_in_the_error() {
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
    fn network_outputs_are_clamped_and_ordered() {
        let valid = NormBox::from_regression([1.2, -0.3, 0.25, 0.5]).expect("finite");
        assert_eq!(valid.corners(), [0.0, 1.0, 0.25, 0.5]);
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
