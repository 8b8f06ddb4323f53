//! A desktop window that shows every frame with its report, on X11 or Wayland.
//!
//! In go frames and reports, out come pixels on a screen. The frame is scaled to fit the window as it is at
//! the moment, and the report is drawn at the size of the window, so that writing stays sharp. The libraries
//! of the desktop are loaded when the window is opened: a machine without them still runs boxcam. The one file
//! that names minifb.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use image::RgbImage;
use minifb::{Key, ScaleMode, Window, WindowOptions};

use super::compositor::Compositor;
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;

/// Width and height of a new window, in pixels.
const NEW: (usize, usize) = (640, 480);

/// How often a window that lingers looks whether it was closed.
const LINGER_CHECK: Duration = Duration::from_millis(20);

/// A window on the desktop.
pub struct WindowSink {
    window: Window,
    view: Compositor,
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
            view: Compositor::default(),
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

    /// Width and height, in pixels; a window can be far too large, but never for a `u32`.
    fn room(&self) -> (u32, u32) {
        let (width, height) = self.window.get_size();
        let side = |pixels| u32::try_from(pixels).unwrap_or(u32::MAX);
        (side(width), side(height))
    }

    fn put(&mut self, (width, height): (u32, u32)) -> Result<(), SinkError> {
        let (width, height) = (width as usize, height as usize);
        let buffer = centred(self.view.picture(), width, height);
        self.window
            .update_with_buffer(&buffer, width, height)
            .map_err(|error| failed("it can't be drawn on", &error.to_string()))
    }
}

impl Sink for WindowSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let room = self.room();
        let is_seen = self
            .view
            .show(frame, report, room)
            .map_err(|error| failed("a frame can't be scaled to it", &error))?;
        if is_seen {
            self.put(room)?;
        } else {
            self.window.update();
        }
        self.check_open()
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let room = self.room();
        if self.view.state(change.state, room) {
            self.put(room)?;
        }
        self.check_open()
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        self.window.update();
        self.check_open()
    }

    fn wait_until_closed(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
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
}
