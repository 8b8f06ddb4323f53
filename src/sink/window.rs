//! A desktop window that shows each frame with its report, on X11 or Wayland.
//!
//! The frame is scaled to fit the window. The libraries of the desktop are loaded when the window is opened, so boxcam
//! also runs on a machine without them. This is the only file that uses minifb.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use image::RgbImage;
use minifb::{Key, ScaleMode, Window, WindowOptions};

use super::compositor::Compositor;
use super::{Display, SinkError};
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;

/// Initial width and height in pixels.
const INITIAL_SIZE: (usize, usize) = (640, 480);

/// How often a window that waits to be closed handles its events.
const EVENT_INTERVAL: Duration = Duration::from_millis(20);

/// A desktop window.
pub struct WindowSink {
    window: Window,
    compositor: Compositor,
}

impl WindowSink {
    /// Opens a window that the user can resize.
    ///
    /// # Errors
    /// [`SinkError::Window`] if there is neither X11 nor Wayland, or their libraries are missing.
    pub fn open() -> Result<Self, SinkError> {
        let options = WindowOptions {
            resize: true,
            // Only visible while the window is being resized.
            scale_mode: ScaleMode::AspectRatioStretch,
            ..WindowOptions::default()
        };
        let (width, height) = INITIAL_SIZE;
        let mut window = Window::new("boxcam", width, height, options)
            .map_err(|error| failed("it can't be opened", &error))?;
        // The source limits the frame rate.
        window.set_target_fps(0);
        Ok(Self {
            window,
            compositor: Compositor::default(),
        })
    }

    /// [`SinkError::Closed`] after the user has closed the window or pressed Escape.
    fn check_open(&self) -> Result<(), SinkError> {
        if self.window.is_open() && !self.window.is_key_down(Key::Escape) {
            Ok(())
        } else {
            Err(SinkError::Closed)
        }
    }

    /// Width and height in pixels.
    fn viewport(&self) -> (u32, u32) {
        let (width, height) = self.window.get_size();
        let side = |pixels| u32::try_from(pixels).unwrap_or(u32::MAX);
        (side(width), side(height))
    }

    fn present(&mut self, (width, height): (u32, u32)) -> Result<(), SinkError> {
        let (width, height) = (width as usize, height as usize);
        let buffer = centered(self.compositor.image(), width, height);
        self.window
            .update_with_buffer(&buffer, width, height)
            .map_err(|error| failed("it can't be drawn", &error))
    }
}

impl Display for WindowSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let viewport = self.viewport();
        let is_composed = self
            .compositor
            .show(frame, report, viewport)
            .map_err(|error| failed("a frame can't be scaled", &error))?;
        if is_composed {
            self.present(viewport)?;
        } else {
            self.window.update();
        }
        self.check_open()
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let viewport = self.viewport();
        if self.compositor.show_state(change.state, viewport) {
            self.present(viewport)?;
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
            std::thread::sleep(EVENT_INTERVAL);
        }
        Ok(())
    }
}

fn failed(what: &str, cause: &dyn std::error::Error) -> SinkError {
    SinkError::Window {
        message: format!("{what} ({cause})"),
    }
}

/// The image in the center of a black buffer of minifb's pixels, `0x00RRGGBB` each. The image is at most as large as
/// the buffer.
fn centered(image: &RgbImage, width: usize, height: usize) -> Vec<u32> {
    let mut buffer = vec![0; width * height];
    let left = width.saturating_sub(image.width() as usize) / 2;
    let top = height.saturating_sub(image.height() as usize) / 2;
    let lines = buffer.chunks_exact_mut(width).skip(top);
    for (line, row) in lines.zip(image.rows()) {
        for (target, pixel) in line[left..].iter_mut().zip(row) {
            let [red, green, blue] = pixel.0;
            *target = u32::from_be_bytes([0, red, green, blue]);
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn an_image_is_centered() {
        let image = RgbImage::from_pixel(1, 2, Rgb([0x12, 0x34, 0x56]));
        let (dark, light) = (0, 0x0012_3456);
        let expected = [
            [dark, dark, dark],
            [dark, light, dark],
            [dark, light, dark],
            [dark, dark, dark],
        ];
        assert_eq!(centered(&image, 3, 4), expected.concat());
    }
}
