//! Composes the image for a window or a screen: the frame, scaled to fit the viewport, with the overlay of its report.
//!
//! The overlay is drawn at the size of the composed image, so that text stays sharp.

use std::convert::Infallible;

use image::RgbImage;

use crate::frame::Frame;
use crate::health::CaptureState;
use crate::overlay::{self, Canvas};
use crate::report::Report;
use crate::resize::{ResizeError, Resizer};

/// Composes images; reuses its memory.
#[derive(Default)]
pub(super) struct Compositor {
    resizer: Resizer,
    image: RgbImage,
    /// Width and height, in pixels, that the image was composed for.
    viewport: (u32, u32),
}

impl Compositor {
    /// The image that was composed last.
    pub(super) fn image(&self) -> &RgbImage {
        &self.image
    }

    /// Composes a frame and its report. Returns `false` if the frame or the viewport has no pixels.
    pub(super) fn show(
        &mut self,
        frame: &Frame,
        report: &Report,
        viewport: (u32, u32),
    ) -> Result<bool, ResizeError> {
        let Some(size) = fit(frame.image.dimensions(), viewport) else {
            return Ok(false);
        };
        self.viewport = viewport;
        self.scale(&frame.image, size)?;
        let mut canvas = Canvas::new(&mut self.image);
        let Ok(()) = overlay::draw(&mut canvas, frame, report);
        Ok(true)
    }

    /// Draws the capture state over the image, since it may take long until the next frame. Returns `false` if there
    /// is nothing to draw.
    pub(super) fn show_state(&mut self, state: CaptureState, viewport: (u32, u32)) -> bool {
        if viewport.0 == 0 || viewport.1 == 0 {
            return false;
        }
        if self.viewport != viewport {
            // There is no frame yet, or the viewport was resized.
            self.image = RgbImage::new(viewport.0, viewport.1);
            self.viewport = viewport;
        }
        let drawn: Result<bool, Infallible> =
            overlay::draw_capture_state(&mut Canvas::new(&mut self.image), state);
        let Ok(is_drawn) = drawn;
        is_drawn
    }

    fn scale(&mut self, frame: &RgbImage, (width, height): (u32, u32)) -> Result<(), ResizeError> {
        if self.image.dimensions() != (width, height) {
            self.image = RgbImage::new(width, height);
        }
        if frame.dimensions() == (width, height) {
            self.image.copy_from_slice(frame);
            return Ok(());
        }
        self.resizer.resize(frame, &mut self.image)
    }
}

/// The largest size with the image's aspect ratio that fits the viewport; `None` if one of them has no pixels.
fn fit(image: (u32, u32), viewport: (u32, u32)) -> Option<(u32, u32)> {
    let [width, height, max_width, max_height] =
        [image.0, image.1, viewport.0, viewport.1].map(u64::from);
    if width * height == 0 || max_width * max_height == 0 {
        return None;
    }
    let scaled = |length: u64, to: u64, from: u64| (length * to / from).max(1);
    let (width, height) = if max_width * height <= max_height * width {
        (max_width, scaled(height, max_width, width))
    } else {
        (scaled(width, max_height, height), max_height)
    };
    Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image::Rgb;

    use super::*;
    use crate::frame::Origin;
    use crate::label::Labels;

    fn report() -> Report {
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid");
        Report::waiting(Arc::new(labels), "0123abcd".into())
    }

    fn frame(width: u32, height: u32) -> Frame {
        let image = RgbImage::from_pixel(width, height, Rgb([200, 100, 50]));
        Frame::new(0, Origin::Live, image)
    }

    #[test]
    fn an_image_keeps_its_aspect_ratio_in_any_viewport() {
        let cases = [
            ((640, 480), (640, 480), Some((640, 480))),
            ((1920, 1080), (640, 480), Some((640, 360))),
            ((480, 640), (640, 480), Some((360, 480))),
            ((8, 6), (640, 480), Some((640, 480))),
            ((10_000, 1), (640, 480), Some((640, 1))),
            ((640, 480), (0, 480), None),
            ((0, 480), (640, 480), None),
        ];
        for (image, viewport, expected) in cases {
            assert_eq!(fit(image, viewport), expected, "{image:?} in {viewport:?}");
        }
    }

    #[test]
    fn scaling_keeps_colors() {
        let mut compositor = Compositor::default();
        for size in [(70, 11), (33, 20), (5, 90)] {
            compositor
                .scale(&frame(33, 20).image, size)
                .expect("scaled");
            let expected = RgbImage::from_pixel(size.0, size.1, Rgb([200, 100, 50]));
            assert_eq!(*compositor.image(), expected);
        }
    }

    #[test]
    fn without_frames_the_capture_state_is_shown() {
        let mut compositor = Compositor::default();
        assert!(!compositor.show_state(CaptureState::Stalled, (0, 9)));
        assert!(compositor.show_state(CaptureState::Starting, (120, 80)));
        assert_eq!(compositor.image().dimensions(), (120, 80));
        assert!(compositor.image().pixels().any(|pixel| pixel.0 != [0; 3]));
        assert!(
            compositor
                .show(&frame(60, 60), &report(), (120, 80))
                .expect("scaled")
        );
        assert_eq!(compositor.image().dimensions(), (80, 80));
        // The last frame stays visible behind the banner.
        assert!(compositor.show_state(CaptureState::Stalled, (120, 80)));
        assert_eq!(compositor.image().get_pixel(0, 0).0, [200, 100, 50]);
        assert!(!compositor.show_state(CaptureState::Live, (120, 80)));
        assert!(
            !compositor
                .show(&frame(0, 60), &report(), (120, 80))
                .expect("scaled")
        );
    }
}
