//! A camera's view of a photograph: a part of it that is zoomed and panned.

use image::RgbImage;

use super::rng::mix;
use super::{Stream, scene_seed};
use crate::resize::{CropBox, ResizeError, Resizer};

/// The shortest and the longest side of a view, in sides of the largest one that the photograph has room for.
const ZOOM: [f32; 2] = [0.55, 0.95];

/// The part of a photograph that is seen; positions and sides are shares of the photograph's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl View {
    /// The view at a moment `0..=1` of a scene. It moves from one place and zoom to others, slowly at the start and at the
    /// end, has the aspect ratio of the frame and lies within the photograph. Sizes are width and height in pixels, not 0.
    #[must_use]
    pub fn at(
        seed: u64,
        scene: u64,
        moment: f32,
        photograph: (u32, u32),
        frame: (u32, u32),
    ) -> Self {
        let mut rng = Stream::View.rng(scene_seed(seed, scene));
        let mut ends = || [rng.unit(), rng.unit(), rng.range(ZOOM[0], ZOOM[1])];
        let (start, end) = (ends(), ends());
        let way = moment * moment * (3.0 - 2.0 * moment);
        let [x, y, zoom] = [0, 1, 2].map(|value| mix(start[value], end[value], way));
        let aspect = |(width, height): (u32, u32)| width as f32 / height as f32;
        // How much wider the photograph is than the frame.
        let wider = aspect(photograph) / aspect(frame);
        let (width, height) = (zoom / wider.max(1.0), zoom * wider.min(1.0));
        Self {
            left: x * (1.0 - width),
            top: y * (1.0 - height),
            width,
            height,
        }
    }

    /// What is seen of the photograph, as a frame of this size in pixels. The filter is bilinear with antialiasing.
    ///
    /// # Errors
    /// [`ResizeError`] if the photograph cannot be resized.
    pub fn show(
        &self,
        photograph: &RgbImage,
        (width, height): (u32, u32),
    ) -> Result<RgbImage, ResizeError> {
        let (own_width, own_height) = photograph.dimensions();
        // Rounded shares may end a hair beyond the photograph, which the resizer refuses.
        let part = |start: f32, length: f32, side: u32| {
            let side = f64::from(side);
            let start = f64::from(start) * side;
            (start, (f64::from(length) * side).min(side - start))
        };
        let (left, part_width) = part(self.left, self.width, own_width);
        let (top, part_height) = part(self.top, self.height, own_height);
        let part = CropBox {
            left,
            top,
            width: part_width,
            height: part_height,
        };
        let mut frame = RgbImage::new(width, height);
        Resizer::default().resize_part(photograph, part, &mut frame)?;
        Ok(frame)
    }

    /// The corners `x_min, x_max, y_min, y_max` of a box in the photograph as shares of the frame, beyond 0 and 1 where it is
    /// not seen.
    #[must_use]
    pub fn corners(&self, [x_min, x_max, y_min, y_max]: [f32; 4]) -> [f32; 4] {
        let x = |at: f32| (at - self.left) / self.width;
        let y = |at: f32| (at - self.top) / self.height;
        [x(x_min), x(x_max), y(y_min), y(y_max)]
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    const PHOTOGRAPHS: [(u32, u32); 4] = [(640, 480), (1024, 300), (300, 1024), (17, 9)];

    #[test]
    fn a_view_lies_within_the_photograph_and_has_the_shape_of_the_frame() {
        for (scene, photograph) in (0..40).zip(PHOTOGRAPHS.into_iter().cycle()) {
            for step in 0..=10 {
                let view = View::at(3, scene, step as f32 / 10.0, photograph, (640, 480));
                let (right, bottom) = (view.left + view.width, view.top + view.height);
                assert!(view.left >= 0.0 && view.top >= 0.0, "{view:?}");
                assert!(right <= 1.0 + 1e-6 && bottom <= 1.0 + 1e-6, "{view:?}");
                let (width, height) = photograph;
                let aspect = view.width * width as f32 / (view.height * height as f32);
                assert!((aspect - 4.0 / 3.0).abs() < 1e-4, "{view:?}");
                assert!(view.width.max(view.height) >= ZOOM[0] - 1e-6, "{view:?}");
            }
        }
    }

    #[test]
    fn a_view_moves_smoothly() {
        for scene in 0..20 {
            let at = |step: f32| View::at(1, scene, step / 150.0, (800, 600), (640, 480));
            for step in 0..150 {
                let (before, after) = (at(step as f32), at(step as f32 + 1.0));
                let [x, _, y, _] = before.corners([after.left, 1.0, after.top, 1.0]);
                assert!(x.abs() < 0.02 && y.abs() < 0.02, "{scene} {step}: {x} {y}");
            }
            assert_ne!(at(0.0), at(150.0));
        }
    }

    #[test]
    fn a_box_is_where_its_pixels_are_shown() {
        let mut photograph = RgbImage::new(200, 100);
        for (x, y, pixel) in photograph.enumerate_pixels_mut() {
            if (80..120).contains(&x) && (40..60).contains(&y) {
                *pixel = Rgb([255, 255, 255]);
            }
        }
        let view = View {
            left: 0.2,
            top: 0.1,
            width: 0.5,
            height: 0.8,
        };
        let corners = view.corners([0.4, 0.6, 0.4, 0.6]);
        let expected = [0.4, 0.8, 0.375, 0.625];
        assert!(
            corners
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        let frame = view.show(&photograph, (80, 80)).expect("has pixels");
        let is_white = |x, y| frame.get_pixel(x, y)[0] > 127;
        for (x, y, expected) in [
            (33, 40, true),
            (62, 40, true),
            (30, 40, false),
            (66, 40, false),
        ] {
            assert_eq!(is_white(x, y), expected, "{x} {y}");
        }
        assert!(is_white(40, 31) && !is_white(40, 28) && is_white(40, 48) && !is_white(40, 52));
    }

    #[test]
    fn a_view_that_reaches_the_edge_is_shown() {
        for (scene, photograph) in (0..300).zip(PHOTOGRAPHS.into_iter().cycle()) {
            let (width, height) = photograph;
            let image = RgbImage::new(width, height);
            let mut view = View::at(5, scene, 0.0, photograph, (64, 48));
            (view.left, view.top) = (1.0 - view.width, 1.0 - view.height);
            view.left = view.left.next_up();
            assert!(view.show(&image, (64, 48)).is_ok(), "{view:?}");
        }
    }
}
