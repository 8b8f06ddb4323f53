//! What a person sees on a window or a screen: the frame, scaled to fit, with its report drawn on it.
//!
//! In go frames, reports and what capture is at, out comes one picture, at most as large as the room for it. The
//! report is drawn at the size of the picture that is seen, so that writing stays sharp.

use std::convert::Infallible;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use crate::frame::Frame;
use crate::health::CaptureState;
use crate::overlay::{self, Canvas};
use crate::report::Report;

/// The picture that is seen; its memory is used again for the next.
#[derive(Default)]
pub(super) struct Compositor {
    resizer: Resizer,
    picture: RgbImage,
    /// Room that the picture was made for.
    room: (u32, u32),
}

impl Compositor {
    /// The picture, as it is to be seen.
    pub(super) fn picture(&self) -> &RgbImage {
        &self.picture
    }

    /// Makes the picture of a frame with its report. `false` when there is nothing to see, as the frame or the
    /// room has no pixels.
    ///
    /// # Errors
    /// The words of whoever scales.
    pub(super) fn show(
        &mut self,
        frame: &Frame,
        report: &Report,
        room: (u32, u32),
    ) -> Result<bool, String> {
        let Some(size) = fit(frame.image.dimensions(), room) else {
            return Ok(false);
        };
        self.room = room;
        self.scale(&frame.image, size)?;
        let Ok(()) = overlay::draw(
            &mut Canvas::new(&mut self.picture),
            frame,
            report,
            report.shown(),
        );
        Ok(true)
    }

    /// Says on the picture what capture is at: no frame may come for long. `false` when nothing is to be said
    /// or there is no room.
    pub(super) fn state(&mut self, state: CaptureState, room: (u32, u32)) -> bool {
        if room.0 == 0 || room.1 == 0 {
            return false;
        }
        if self.room != room {
            // There is no frame yet, or it had another size.
            self.picture = RgbImage::new(room.0, room.1);
            self.room = room;
        }
        let drawn: Result<bool, Infallible> =
            overlay::draw_state(&mut Canvas::new(&mut self.picture), state);
        let Ok(is_drawn) = drawn;
        is_drawn
    }

    fn scale(&mut self, frame: &RgbImage, (width, height): (u32, u32)) -> Result<(), String> {
        if self.picture.dimensions() != (width, height) {
            self.picture = RgbImage::new(width, height);
        }
        if frame.dimensions() == (width, height) {
            self.picture.copy_from_slice(frame);
            return Ok(());
        }
        let source = ImageRef::new(frame.width(), frame.height(), frame, PixelType::U8x3)
            .map_err(|error| error.to_string())?;
        let mut target = Image::from_slice_u8(width, height, &mut self.picture, PixelType::U8x3)
            .map_err(|error| error.to_string())?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer
            .resize(&source, &mut target, &options)
            .map_err(|error| error.to_string())
    }
}

/// The largest size of the picture's shape that the room holds; `None` when one of them has no pixels.
fn fit(picture: (u32, u32), room: (u32, u32)) -> Option<(u32, u32)> {
    let [width, height, most_width, most_height] =
        [picture.0, picture.1, room.0, room.1].map(u64::from);
    if width * height == 0 || most_width * most_height == 0 {
        return None;
    }
    let scaled = |length: u64, most: u64, whole: u64| (length * most / whole).max(1);
    let (width, height) = if most_width * height <= most_height * width {
        (most_width, scaled(height, most_width, width))
    } else {
        (scaled(width, most_height, height), most_height)
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
        let labels = Labels::new(vec!["apple".to_owned()]).expect("sound");
        Report::waiting(Arc::new(labels), "0123abcd".into())
    }

    fn frame(width: u32, height: u32) -> Frame {
        let image = RgbImage::from_pixel(width, height, Rgb([200, 100, 50]));
        Frame::new(0, Origin::Live, image)
    }

    #[test]
    fn a_picture_keeps_its_shape_in_any_room() {
        let cases = [
            ((640, 480), (640, 480), Some((640, 480))),
            ((1920, 1080), (640, 480), Some((640, 360))),
            ((480, 640), (640, 480), Some((360, 480))),
            ((8, 6), (640, 480), Some((640, 480))),
            ((10_000, 1), (640, 480), Some((640, 1))),
            ((640, 480), (0, 480), None),
            ((0, 480), (640, 480), None),
        ];
        for (picture, room, expected) in cases {
            assert_eq!(fit(picture, room), expected, "{picture:?} in {room:?}");
        }
    }

    #[test]
    fn scaling_keeps_colours() {
        let mut view = Compositor::default();
        for size in [(70, 11), (33, 20), (5, 90)] {
            view.scale(&frame(33, 20).image, size).expect("scaled");
            let expected = RgbImage::from_pixel(size.0, size.1, Rgb([200, 100, 50]));
            assert_eq!(*view.picture(), expected);
        }
    }

    #[test]
    fn without_frames_the_state_is_seen() {
        let mut view = Compositor::default();
        assert!(!view.state(CaptureState::Stalled, (0, 9)));
        assert!(view.state(CaptureState::Starting, (120, 80)));
        assert_eq!(view.picture().dimensions(), (120, 80));
        assert!(view.picture().pixels().any(|pixel| pixel.0 != [0; 3]));
        assert_eq!(view.show(&frame(60, 60), &report(), (120, 80)), Ok(true));
        assert_eq!(view.picture().dimensions(), (80, 80));
        // The last frame stays behind the words.
        assert!(view.state(CaptureState::Stalled, (120, 80)));
        assert_eq!(view.picture().get_pixel(0, 0).0, [200, 100, 50]);
        assert!(!view.state(CaptureState::Live, (120, 80)));
        assert_eq!(view.show(&frame(0, 60), &report(), (120, 80)), Ok(false));
    }
}
