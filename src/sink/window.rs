//! A desktop window that shows every frame with its report, on X11 or Wayland.
//!
//! In go frames and reports, out come pixels on a screen. The frame is scaled to fit the window as it is at
//! the moment, and the report is drawn at the size of the window, so that writing stays sharp. The libraries
//! of the desktop are loaded when the window is opened: a machine without them still runs boxcam. The one file
//! that names minifb.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use minifb::{Key, ScaleMode, Window, WindowOptions};

use super::picture::truth_of;
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::overlay::{self, Canvas};
use crate::report::Report;

/// Width and height of a new window, in pixels.
const NEW: (usize, usize) = (640, 480);

/// How often a window that lingers looks whether it was closed.
const LINGER_CHECK: Duration = Duration::from_millis(20);

/// A window on the desktop.
pub struct WindowSink {
    window: Window,
    resizer: Resizer,
}

impl WindowSink {
    /// Opens a window. The person may change its size.
    ///
    /// # Errors
    /// [`SinkError::Window`] where there is neither X11 nor Wayland, or their libraries are missing.
    pub fn open() -> Result<Self, SinkError> {
        let options = WindowOptions {
            resize: true,
            // Only seen for a moment, while the window changes its size.
            scale_mode: ScaleMode::AspectRatioStretch,
            ..WindowOptions::default()
        };
        let mut window = Window::new("boxcam", NEW.0, NEW.1, options)
            .map_err(|error| failed("it can't be opened", &error.to_string()))?;
        // The source sets the pace.
        window.set_target_fps(0);
        Ok(Self {
            window,
            resizer: Resizer::new(),
        })
    }

    /// [`SinkError::Closed`] once the person has closed the window or pressed Escape.
    fn check_open(&self) -> Result<(), SinkError> {
        if self.window.is_open() && !self.window.is_key_down(Key::Escape) {
            Ok(())
        } else {
            Err(SinkError::Closed)
        }
    }

    /// The frame at that size, with the report drawn on it.
    fn annotated(
        &mut self,
        frame: &Frame,
        report: &Report,
        (width, height): (u32, u32),
    ) -> Result<RgbImage, SinkError> {
        let mut image = resized(&mut self.resizer, &frame.image, width, height)
            .map_err(|error| failed("a frame can't be scaled to it", &error))?;
        let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), report, truth_of(frame));
        Ok(image)
    }
}

impl Sink for WindowSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let (width, height) = self.window.get_size();
        match fit(frame.image.dimensions(), (width, height)) {
            None => self.window.update(),
            Some(size) => {
                let image = self.annotated(frame, report, size)?;
                let buffer = centred(&image, width, height);
                self.window
                    .update_with_buffer(&buffer, width, height)
                    .map_err(|error| failed("it can't be drawn on", &error.to_string()))?;
            }
        }
        self.check_open()
    }

    fn linger(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
        while !stop.load(Ordering::Relaxed) {
            self.window.update();
            self.check_open()?;
            std::thread::sleep(LINGER_CHECK);
        }
        Ok(())
    }
}

fn failed(what: &str, why: &str) -> SinkError {
    SinkError::Window {
        message: format!("{what} ({why})"),
    }
}

/// The largest size of the picture's shape that the window holds; `None` when one of them has no pixels.
fn fit(picture: (u32, u32), window: (usize, usize)) -> Option<(u32, u32)> {
    let (width, height) = (u64::from(picture.0), u64::from(picture.1));
    let (most_width, most_height) = (window.0 as u64, window.1 as u64);
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

fn resized(
    resizer: &mut Resizer,
    picture: &RgbImage,
    width: u32,
    height: u32,
) -> Result<RgbImage, String> {
    if picture.dimensions() == (width, height) {
        return Ok(picture.clone());
    }
    let (old_width, old_height) = picture.dimensions();
    let source = ImageRef::new(old_width, old_height, picture.as_raw(), PixelType::U8x3)
        .map_err(|error| error.to_string())?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    resizer
        .resize(&source, &mut target, &options)
        .map_err(|error| error.to_string())?;
    Ok(RgbImage::from_raw(width, height, target.into_vec())
        .expect("three bytes a pixel of a picture of that size"))
}

/// The picture in the middle of a black buffer of minifb's pixels, `0x00RRGGBB` each. The picture is at most as
/// large as the buffer.
fn centred(picture: &RgbImage, width: usize, height: usize) -> Vec<u32> {
    let mut buffer = vec![0; width * height];
    let left = width.saturating_sub(picture.width() as usize) / 2;
    let top = height.saturating_sub(picture.height() as usize) / 2;
    let lines = buffer.chunks_exact_mut(width).skip(top);
    for (line, row) in lines.zip(picture.rows()) {
        for (cell, pixel) in line[left..].iter_mut().zip(row) {
            let [red, green, blue] = pixel.0;
            *cell = u32::from_be_bytes([0, red, green, blue]);
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_in_any_window() {
        let cases = [
            ((640, 480), (640, 480), Some((640, 480))),
            ((1920, 1080), (640, 480), Some((640, 360))),
            ((480, 640), (640, 480), Some((360, 480))),
            ((8, 6), (640, 480), Some((640, 480))),
            ((10_000, 1), (640, 480), Some((640, 1))),
            ((640, 480), (0, 480), None),
            ((0, 480), (640, 480), None),
        ];
        for (picture, window, expected) in cases {
            assert_eq!(fit(picture, window), expected, "{picture:?} in {window:?}");
        }
    }

    #[test]
    fn a_picture_stands_in_the_middle() {
        let picture = RgbImage::from_pixel(1, 2, Rgb([0x12, 0x34, 0x56]));
        let (dark, light) = (0, 0x0012_3456);
        let expected = [
            [dark, dark, dark],
            [dark, light, dark],
            [dark, light, dark],
            [dark, dark, dark],
        ];
        assert_eq!(centred(&picture, 3, 4), expected.concat());
    }

    #[test]
    fn scaling_keeps_colours() {
        let picture = RgbImage::from_pixel(33, 20, Rgb([200, 100, 50]));
        let scaled = resized(&mut Resizer::new(), &picture, 70, 11).expect("scaled");
        assert_eq!(scaled, RgbImage::from_pixel(70, 11, Rgb([200, 100, 50])));
    }
}
