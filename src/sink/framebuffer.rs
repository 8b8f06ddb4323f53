//! A screen without a desktop: the kernel's framebuffer, `/dev/fb0` and its like.
//!
//! In go frames and reports, out come pixels in the screen's own format. The frame is scaled to fit, turned as
//! asked and put in the middle; it is drawn in memory first and copied in one pass. Where the driver has room for
//! a second page, the pages are flipped; else the copy is made between two pictures of the screen, if the driver
//! can wait for that. Screens with a palette or without colours are refused. Nothing here sets a mode.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::view::View;
use super::{Sink, SinkError};
use crate::config::Rotation;
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;

mod blit;
mod console;
mod kernel;
mod pixel;

use blit::Geometry;
use console::{Console, Taken};
use kernel::{FixInfo, ScreenMemory, VarInfo};
use pixel::PixelFormat;

pub use console::guard as guard_console;

/// How often a screen that lingers looks whether it should end.
const LINGER_CHECK: Duration = Duration::from_millis(50);

/// A wait for the screen that takes longer is of no use: no screen is that slow.
const LONGEST_VSYNC: Duration = Duration::from_millis(200);

/// Shows frames on a framebuffer.
pub struct FramebufferSink {
    // Dropped in this order: the screen goes dark before the console gets it back.
    screen: Screen,
    console: Option<Console>,
    view: View,
    rotation: Rotation,
    /// Size of what was shown last: a picture of another shape leaves rims behind.
    shown: (u32, u32),
}

impl FramebufferSink {
    /// Opens that framebuffer, or the first that can be used, and makes it dark. Pictures are turned by
    /// `rotation`.
    ///
    /// # Errors
    /// [`SinkError::Framebuffer`] where there is none, it may not be used or its format is unknown.
    pub fn open(path: Option<&Path>, rotation: Rotation) -> Result<Self, SinkError> {
        let screen = match path {
            Some(path) => Screen::open(path)?,
            None => first()?,
        };
        Ok(Self {
            screen,
            console: None,
            view: View::default(),
            rotation,
            shown: (0, 0),
        })
    }

    /// Puts the text console aside while pictures are shown, if there is one. `guard` is a command that runs
    /// [`guard_console`]: it gives the console back even when this program is killed.
    ///
    /// `false` where there is a console that still shows through, as this user may not put it aside.
    ///
    /// # Errors
    /// [`SinkError::Framebuffer`] when the guard can't be started.
    pub fn take_console(&mut self, guard: Command) -> Result<bool, SinkError> {
        let taken = Console::take(guard).map_err(|error| {
            self.screen
                .failed(format!("its console has no guard ({error})"))
        })?;
        let (console, is_whole) = match taken {
            Taken::Nothing => (None, true),
            Taken::Wholly(console) => (Some(console), true),
            Taken::Partly(console) => (Some(console), false),
        };
        self.console = console;
        // Text may have been printed since it was cleared.
        self.screen.clear();
        Ok(is_whole)
    }

    /// The device file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.screen.path
    }

    fn put(&mut self) -> Result<(), SinkError> {
        let picture = self.view.picture();
        if self.shown != picture.dimensions() {
            self.shown = picture.dimensions();
            self.screen.clear();
        }
        self.screen.put(picture, self.rotation)
    }
}

impl Sink for FramebufferSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.screen.follow()?;
        let room = self.screen.geometry.room(self.rotation);
        match self.view.show(frame, report, room) {
            Ok(true) => self.put(),
            Ok(false) => Ok(()),
            Err(error) => Err(self
                .screen
                .failed(format!("a frame can't be scaled to it ({error})"))),
        }
    }

    fn state(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.screen.follow()?;
        let room = self.screen.geometry.room(self.rotation);
        if self.view.state(change.state, room) {
            self.put()?;
        }
        Ok(())
    }

    fn linger(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LINGER_CHECK);
        }
        Ok(())
    }
}

/// Whether a desktop, or another program that manages the screen, has it at the moment.
#[must_use]
pub fn is_screen_taken() -> bool {
    console::is_managed()
}

/// The first framebuffer that can be used; where none can, what is wrong with the first.
fn first() -> Result<Screen, SinkError> {
    let mut first_error = None;
    for path in framebuffers() {
        match Screen::open(&path) {
            Ok(screen) => return Ok(screen),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| SinkError::Framebuffer {
        path: "/dev/fb0".into(),
        message:
            "there is no screen; connect one and start the machine again, or use `--display none`"
                .into(),
    }))
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

/// A framebuffer in use.
struct Screen {
    path: PathBuf,
    file: File,
    /// How the screen was found, and what it is put back to.
    var: VarInfo,
    format: PixelFormat,
    geometry: Geometry,
    memory: ScreenMemory,
    /// The page that is seen and whether there are two to flip.
    page: usize,
    flips: bool,
    waits: bool,
    /// The screen was taken away, and its memory with it.
    is_gone: bool,
}

impl Screen {
    fn open(path: &Path) -> Result<Self, SinkError> {
        let failed = |message: String| SinkError::Framebuffer {
            path: path.to_owned(),
            message,
        };
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let file = opened.map_err(|error| failed(why_not_opened(&error)))?;
        let unknown = |error: io::Error| failed(format!("it is no framebuffer ({error})"));
        let var = kernel::var_info(&file).map_err(unknown)?;
        let fix = kernel::fix_info(&file).map_err(unknown)?;
        let format = PixelFormat::new(&var, &fix).map_err(failed)?;
        let flips = can_flip(&file, &var, &fix);
        let pages = if flips { 2 } else { 1 };
        let geometry = Geometry::new(&var, &fix, format.bytes(), pages).map_err(failed)?;
        let length = fix.memory_length as usize;
        let memory = ScreenMemory::map(&file, fix.memory_start, length)
            .map_err(|error| failed(format!("its memory can't be had ({error})")))?;
        // Many drivers can't; then it is lit, or the console does it.
        let _ = kernel::unblank(&file);
        let mut screen = Self {
            path: path.to_owned(),
            file,
            var,
            format,
            geometry,
            memory,
            page: 0,
            flips,
            waits: true,
            is_gone: false,
        };
        screen.clear();
        if flips {
            screen.pan_to(0)?;
        }
        Ok(screen)
    }

    fn failed(&self, message: String) -> SinkError {
        SinkError::Framebuffer {
            path: self.path.clone(),
            message,
        }
    }

    /// Takes note when somebody has changed the mode; an error when the screen is gone.
    fn follow(&mut self) -> Result<(), SinkError> {
        let now = kernel::var_info(&self.file).map_err(|error| {
            self.is_gone = true;
            self.failed(format!(
                "the screen is gone ({error}); connect it and start boxcam again"
            ))
        })?;
        if !now.is_same_mode(&self.var) {
            *self = Self::open(&self.path)?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        for page in 0..if self.flips { 2 } else { 1 } {
            blit::clear(&self.format, &self.geometry, page, &mut self.memory);
        }
    }

    fn put(&mut self, picture: &image::RgbImage, rotation: Rotation) -> Result<(), SinkError> {
        let page = if self.flips { 1 - self.page } else { 0 };
        if !self.flips {
            self.wait_for_vsync();
        }
        blit::put(
            picture,
            rotation,
            &self.format,
            &self.geometry,
            page,
            &mut self.memory,
        );
        if self.flips {
            self.pan_to(page)?;
            // The page that is drawn on next is seen until then.
            self.wait_for_vsync();
        }
        Ok(())
    }

    fn pan_to(&mut self, page: usize) -> Result<(), SinkError> {
        let y_offset = page as u32 * self.var.height;
        let place = VarInfo {
            y_offset,
            ..self.var
        };
        kernel::pan(&self.file, place)
            .map_err(|error| self.failed(format!("it can't be flipped any more ({error})")))?;
        self.page = page;
        Ok(())
    }

    fn wait_for_vsync(&mut self) {
        if !self.waits {
            return;
        }
        let start = Instant::now();
        let waited = kernel::wait_for_vsync(&self.file);
        let was_cut_short =
            matches!(&waited, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        self.waits = (waited.is_ok() || was_cut_short) && start.elapsed() < LONGEST_VSYNC;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        // A picture that stands still for ever would be taken for a live one.
        self.clear();
        if self.flips {
            // The console puts it back too, where there is one.
            let _ = kernel::pan(&self.file, self.var);
        }
    }
}

/// Whether there are two pages, and the driver goes from one to the other.
fn can_flip(file: &File, var: &VarInfo, fix: &FixInfo) -> bool {
    let lines = u64::from(var.height) * 2;
    let fits = u64::from(var.virtual_height) >= lines
        && lines * u64::from(fix.line_length) <= u64::from(fix.memory_length);
    let step = u32::from(fix.y_pan_step);
    let second = VarInfo {
        y_offset: var.height,
        ..*var
    };
    // Some drivers tell of room and refuse to go there.
    fits && step > 0
        && var.height.is_multiple_of(step)
        && kernel::pan(file, second).is_ok()
        && kernel::pan(file, *var).is_ok()
}

fn why_not_opened(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such screen; `ls /dev/fb*` shows those there are, `--display none` does without".into()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not draw on it; add them to its group with `sudo usermod -aG video $USER` and log in \
             again"
                .into()
        }
        _ => format!("it can't be opened ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_screen_is_refused_with_words() {
        let refused = |path: &str| {
            let opened = FramebufferSink::open(Some(Path::new(path)), Rotation::None);
            opened.map(|_| ()).expect_err(path).to_string()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "words").expect("written");
        let missing = folder.path().join("fb9");
        let said = refused(&missing.to_string_lossy());
        assert!(
            said.contains("fb9") && said.contains("ls /dev/fb*"),
            "{said}"
        );
        let said = refused(&file.to_string_lossy());
        assert!(said.contains("it is no framebuffer"), "{said}");
        assert!(refused("/dev/null").contains("it is no framebuffer"));
        let denied = why_not_opened(&io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("sudo usermod -aG video"), "{denied}");
    }
}
