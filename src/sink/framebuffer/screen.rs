//! A framebuffer in use: its mode, its memory and its pages.
//!
//! In go pictures that fit, out come pixels in the screen's own format. It never sets a mode; it takes note when
//! somebody else has, and leaves the screen dark and as it was found.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::blit::{self, Geometry};
use super::kernel::{self, FixInfo, ScreenMemory, VarInfo};
use super::pixel::PixelFormat;
use crate::rotation::Rotation;
use crate::sink::SinkError;

/// A wait for the screen that takes longer is of no use: no screen is that slow.
const LONGEST_VSYNC: Duration = Duration::from_millis(200);

/// A framebuffer in use.
pub(super) struct Screen {
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
    pub(super) fn open(path: &Path) -> Result<Self, SinkError> {
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Width and height that a picture has on it, turned by `rotation`.
    pub(super) fn room(&self, rotation: Rotation) -> (u32, u32) {
        self.geometry.room(rotation)
    }

    pub(super) fn failed(&self, message: String) -> SinkError {
        SinkError::Framebuffer {
            path: self.path.clone(),
            message,
        }
    }

    /// Takes note when somebody has changed the mode; an error when the screen is gone.
    pub(super) fn follow(&mut self) -> Result<(), SinkError> {
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

    pub(super) fn clear(&mut self) {
        for page in 0..if self.flips { 2 } else { 1 } {
            blit::clear(&self.format, &self.geometry, page, &mut self.memory);
        }
    }

    pub(super) fn put(
        &mut self,
        picture: &image::RgbImage,
        rotation: Rotation,
    ) -> Result<(), SinkError> {
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
    fn who_may_not_draw_is_told_how_to() {
        let denied = why_not_opened(&io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("sudo usermod -aG video"), "{denied}");
    }
}
