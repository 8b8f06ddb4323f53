//! A screen without a desktop: the kernel's framebuffer, `/dev/fb0` for example.
//!
//! The frame is scaled to fit, rotated and centered. It is composed in memory and copied in one pass. If the driver
//! has memory for a second page, the pages are flipped; otherwise the copy waits for the vertical blank, if the driver
//! supports it. Screens with a palette or without colors are refused. The mode is never changed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use image::RgbImage;
use thiserror::Error;

use super::compositor::Compositor;
use super::{Display, SinkError};
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;
use crate::resize::ResizeError;
use crate::rotation::Rotation;

mod blit;
mod console;
mod fb_ioctl;
mod screen_format;

use blit::{Geometry, GeometryError};
use console::{Acquired, Console};
use fb_ioctl::{FixInfo, ScreenMemory, VarInfo};
use screen_format::{FormatError, ScreenFormat};

pub use console::guard as guard_console;

/// How often a screen that waits checks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// A driver whose wait for the vertical blank takes longer does not really support it.
const MAX_VSYNC: Duration = Duration::from_millis(200);

/// Why a framebuffer cannot be used.
#[derive(Debug, Error)]
enum FramebufferError {
    #[error("there is no screen; connect one and start the machine again, or use `--display none`")]
    NoScreen,
    #[error(
        "it does not exist; `ls /dev/fb*` lists the screens, `--display none` does without one"
    )]
    NotFound,
    #[error(
        "this user may not draw on it; add them to its group with `sudo usermod -aG video $USER` and log in again"
    )]
    PermissionDenied,
    #[error("it can't be opened ({0})")]
    Open(io::Error),
    #[error("it is not a framebuffer ({0})")]
    NotAFramebuffer(io::Error),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    #[error("mmap failed ({0})")]
    Map(io::Error),
    #[error("it was disconnected ({0}); connect it and start boxcam again")]
    Disconnected(io::Error),
    #[error("flipping its pages failed ({0})")]
    Flip(io::Error),
    #[error("a frame can't be scaled to it ({0})")]
    Scale(ResizeError),
    #[error("the process that restores its console can't be started ({0})")]
    Guard(io::Error),
}

impl FramebufferError {
    fn at(&self, path: &Path) -> SinkError {
        SinkError::Framebuffer {
            path: path.to_owned(),
            message: self.to_string(),
        }
    }

    fn from_open(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::Open(error),
        }
    }
}

/// Shows frames on a framebuffer.
pub struct FramebufferSink {
    // Dropped in this order: the screen is cleared before the console is restored.
    device: FramebufferDevice,
    console: Option<Console>,
    compositor: Compositor,
    rotation: Rotation,
    /// Size of the last image. If it changes, the screen is cleared.
    shown: (u32, u32),
}

impl FramebufferSink {
    /// Opens and clears that framebuffer, or the first usable one.
    ///
    /// # Errors
    /// [`SinkError::Framebuffer`] if there is none, access is denied or its format is not supported.
    pub fn open(path: Option<&Path>, rotation: Rotation) -> Result<Self, SinkError> {
        let device = match path {
            Some(path) => FramebufferDevice::open(path).map_err(|error| error.at(path))?,
            None => open_first()?,
        };
        Ok(Self {
            device,
            console: None,
            compositor: Compositor::default(),
            rotation,
            shown: (0, 0),
        })
    }

    /// Hides the text console, if there is one. `guard` is a command that runs [`guard_console`]: it restores the
    /// console even when this process is killed.
    ///
    /// Returns `false` if the console still shows text, because this user may not hide it.
    ///
    /// # Errors
    /// [`SinkError::Framebuffer`] if the guard cannot be started.
    pub fn take_console(&mut self, guard: Command) -> Result<bool, SinkError> {
        let acquired = Console::acquire(guard)
            .map_err(|error| FramebufferError::Guard(error).at(&self.device.path))?;
        let (console, is_hidden) = match acquired {
            Acquired::NoConsole => (None, true),
            Acquired::Hidden(console) => (Some(console), true),
            Acquired::CursorHidden(console) => (Some(console), false),
        };
        self.console = console;
        // Text may have been printed since the screen was cleared.
        self.device.clear();
        Ok(is_hidden)
    }

    /// The device file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.device.path
    }

    fn present(&mut self) -> Result<(), FramebufferError> {
        let image = self.compositor.image();
        let had_text = self.console.as_ref().is_some_and(Console::had_text);
        if had_text || self.shown != image.dimensions() {
            self.shown = image.dimensions();
            self.device.clear();
        }
        self.device.put(image, self.rotation)
    }

    fn try_show(&mut self, frame: &Frame, report: &Report) -> Result<(), FramebufferError> {
        self.device.follow_mode()?;
        let viewport = self.device.geometry.viewport(self.rotation);
        let composed = self.compositor.show(frame, report, viewport);
        if composed.map_err(FramebufferError::Scale)? {
            self.present()?;
        }
        Ok(())
    }

    fn try_show_state(&mut self, change: &StateChange) -> Result<(), FramebufferError> {
        self.device.follow_mode()?;
        let viewport = self.device.geometry.viewport(self.rotation);
        if self.compositor.show_state(change.state, viewport) {
            self.present()?;
        }
        Ok(())
    }
}

impl Display for FramebufferSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let shown = self.try_show(frame, report);
        shown.map_err(|error| error.at(&self.device.path))
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let shown = self.try_show_state(change);
        shown.map_err(|error| error.at(&self.device.path))
    }

    fn wait_until_closed(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(STOP_CHECK);
        }
        Ok(())
    }
}

/// Whether a desktop, or another program that manages the screen, is using it.
#[must_use]
pub fn is_screen_taken() -> bool {
    console::is_managed()
}

/// An open framebuffer: its mode, its memory and its pages.
///
/// It never sets a mode, adapts if another program has, and leaves the screen black and as it was found.
struct FramebufferDevice {
    path: PathBuf,
    file: File,
    /// The state at the start, which is restored at the end.
    var: VarInfo,
    format: ScreenFormat,
    geometry: Geometry,
    memory: ScreenMemory,
    /// The visible page, 0 or 1.
    page: usize,
    /// Whether there are two pages to flip.
    flips: bool,
    waits_for_vsync: bool,
    /// The screen was disconnected, and its memory must not be written.
    is_disconnected: bool,
}

impl FramebufferDevice {
    fn open(path: &Path) -> Result<Self, FramebufferError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(FramebufferError::from_open)?;
        let var = fb_ioctl::var_info(&file).map_err(FramebufferError::NotAFramebuffer)?;
        let fix = fb_ioctl::fix_info(&file).map_err(FramebufferError::NotAFramebuffer)?;
        let format = ScreenFormat::new(&var, &fix)?;
        let flips = can_flip(&file, &var, &fix);
        let pages = if flips { 2 } else { 1 };
        let geometry = Geometry::new(&var, &fix, format.bytes(), pages)?;
        let memory = ScreenMemory::map(&file, fix.memory_start, fix.memory_length as usize)
            .map_err(FramebufferError::Map)?;
        // Many drivers do not support it. The screen is then on already, or the console turns it on.
        let _ = fb_ioctl::unblank(&file);
        let mut device = Self {
            path: path.to_owned(),
            file,
            var,
            format,
            geometry,
            memory,
            page: 0,
            flips,
            waits_for_vsync: true,
            is_disconnected: false,
        };
        device.clear();
        if flips {
            device.flip_to(0)?;
        }
        Ok(device)
    }

    /// Reopens the device if another program has changed the mode.
    fn follow_mode(&mut self) -> Result<(), FramebufferError> {
        match fb_ioctl::var_info(&self.file) {
            Err(error) => {
                self.is_disconnected = true;
                return Err(FramebufferError::Disconnected(error));
            }
            Ok(now) if now.is_same_mode(&self.var) => {}
            Ok(_) => *self = Self::open(&self.path)?,
        }
        Ok(())
    }

    fn clear(&mut self) {
        for page in 0..if self.flips { 2 } else { 1 } {
            blit::clear(&self.format, &self.geometry, page, &mut self.memory);
        }
    }

    fn put(&mut self, image: &RgbImage, rotation: Rotation) -> Result<(), FramebufferError> {
        let page = if self.flips { 1 - self.page } else { 0 };
        if !self.flips {
            self.wait_for_vsync();
        }
        blit::put(
            image,
            rotation,
            &self.format,
            &self.geometry,
            page,
            &mut self.memory,
        );
        if self.flips {
            self.flip_to(page)?;
            // The page that is drawn next stays visible until then.
            self.wait_for_vsync();
        }
        Ok(())
    }

    fn flip_to(&mut self, page: usize) -> Result<(), FramebufferError> {
        let y_offset = page as u32 * self.var.height;
        let var = VarInfo {
            y_offset,
            ..self.var
        };
        fb_ioctl::pan(&self.file, var).map_err(FramebufferError::Flip)?;
        self.page = page;
        Ok(())
    }

    fn wait_for_vsync(&mut self) {
        if !self.waits_for_vsync {
            return;
        }
        let start = Instant::now();
        let waited = fb_ioctl::wait_for_vsync(&self.file);
        let was_interrupted =
            matches!(&waited, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        self.waits_for_vsync = (waited.is_ok() || was_interrupted) && start.elapsed() < MAX_VSYNC;
    }
}

impl Drop for FramebufferDevice {
    fn drop(&mut self) {
        if self.is_disconnected {
            return;
        }
        // A frozen frame would look like a live one.
        self.clear();
        if self.flips {
            // If it fails, the console restores it too, if there is one.
            let _ = fb_ioctl::pan(&self.file, self.var);
        }
    }
}

/// Whether there is memory for two pages, and the driver can show the second one.
fn can_flip(file: &File, var: &VarInfo, fix: &FixInfo) -> bool {
    let lines = u64::from(var.height) * 2;
    let fits = u64::from(var.virtual_height) >= lines
        && lines * u64::from(fix.line_length) <= u64::from(fix.memory_length);
    let step = u32::from(fix.y_pan_step);
    let second = VarInfo {
        y_offset: var.height,
        ..*var
    };
    // Some drivers report the memory and then refuse.
    fits && step > 0
        && var.height.is_multiple_of(step)
        && fb_ioctl::pan(file, second).is_ok()
        && fb_ioctl::pan(file, *var).is_ok()
}

/// Opens the first usable framebuffer. The error is that of the first one.
fn open_first() -> Result<FramebufferDevice, SinkError> {
    let mut first_error = None;
    for path in framebuffers() {
        match FramebufferDevice::open(&path) {
            Ok(device) => return Ok(device),
            Err(error) => first_error = first_error.or_else(|| Some(error.at(&path))),
        }
    }
    Err(first_error.unwrap_or_else(|| FramebufferError::NoScreen.at(Path::new("/dev/fb0"))))
}

/// All `/dev/fbN`, in the order of their numbers.
fn framebuffers() -> Vec<PathBuf> {
    let number = |path: &Path| -> Option<u32> {
        path.file_name()?.to_str()?.strip_prefix("fb")?.parse().ok()
    };
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some((number(&entry.path())?, entry.path())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_framebuffer_is_refused_with_a_reason() {
        let error = |path: &Path| {
            let opened = FramebufferSink::open(Some(path), Rotation::None);
            opened.map(|_| ()).expect_err("refused").to_string()
        };
        let folder = tempfile::tempdir().expect("created");
        let file = folder.path().join("file");
        fs::write(&file, "text").expect("written");
        let missing = error(&folder.path().join("fb9"));
        assert!(
            missing.contains("fb9") && missing.contains("ls /dev/fb*"),
            "{missing}"
        );
        let regular = error(&file);
        assert!(regular.contains("it is not a framebuffer"), "{regular}");
        assert!(error(Path::new("/dev/null")).contains("it is not a framebuffer"));
    }

    #[test]
    fn a_permission_error_has_the_command_that_grants_it() {
        let denied = FramebufferError::from_open(io::ErrorKind::PermissionDenied.into());
        let message = denied.to_string();
        assert!(message.contains("sudo usermod -aG video"), "{message}");
    }
}
