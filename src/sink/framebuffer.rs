//! A screen without a desktop: the kernel's framebuffer, `/dev/fb0` and its like.
//!
//! In go frames and reports, out come pixels in the screen's own format. The frame is scaled to fit, turned as
//! asked and put in the middle; it is drawn in memory first and copied in one pass. Where the driver has room for
//! a second page, the pages are flipped; else the copy is made between two pictures of the screen, if the driver
//! can wait for that. Screens with a palette or without colours are refused. Nothing here sets a mode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::compositor::Compositor;
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;
use crate::rotation::Rotation;

mod blit;
mod console;
mod kernel;
mod pixel;
mod screen;

use console::{Console, Taken};
use screen::Screen;

pub use console::guard as guard_console;

/// How often a screen that lingers looks whether it should end.
const LINGER_CHECK: Duration = Duration::from_millis(50);

/// Shows frames on a framebuffer.
pub struct FramebufferSink {
    // Dropped in this order: the screen goes dark before the console gets it back.
    screen: Screen,
    console: Option<Console>,
    view: Compositor,
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
            view: Compositor::default(),
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
        self.screen.path()
    }

    fn put(&mut self) -> Result<(), SinkError> {
        let picture = self.view.picture();
        let has_text = self.console.as_ref().is_some_and(Console::was_text_again);
        if has_text || self.shown != picture.dimensions() {
            self.shown = picture.dimensions();
            self.screen.clear();
        }
        self.screen.put(picture, self.rotation)
    }
}

impl Sink for FramebufferSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.screen.follow()?;
        let room = self.screen.room(self.rotation);
        match self.view.show(frame, report, room) {
            Ok(true) => self.put(),
            Ok(false) => Ok(()),
            Err(error) => Err(self
                .screen
                .failed(format!("a frame can't be scaled to it ({error})"))),
        }
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.screen.follow()?;
        let room = self.screen.room(self.rotation);
        if self.view.state(change.state, room) {
            self.put()?;
        }
        Ok(())
    }

    fn wait_until_closed(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
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
    }
}
