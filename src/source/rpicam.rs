//! The cameras of a Raspberry Pi's own connectors (CSI), through the program that the system has for them.
//!
//! In go a camera's number, a size and a rate; `rpicam-vid` (or `libcamera-vid`, as it was called) runs as a
//! child and sends motion JPEG, out come its frames. Live. The child is killed and waited for when the source
//! goes, when a read is broken off, and by the kernel when this program dies; what it said last is told when it
//! ends by itself. It is not started again here: that is for the pipeline to do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::stream::input::{CancelToken, CancellableReader, PollResult};
use super::stream::{StreamKind, StreamSource};
use super::{CancelHandle, FrameSource, SourceError};
use crate::frame::Frame;

mod child;

use child::Child;

/// What the program is called, the newer name first.
const PROGRAMS: [&str; 2] = ["rpicam-vid", "libcamera-vid"];

/// Time that a camera has to send its first byte, after which it is opened all the same, and who watches over it
/// waits for the rest of its start, which takes about one second. Nothing can break this wait off.
const START: Duration = Duration::from_millis(500);

/// Frames from a camera through `rpicam-vid`.
pub struct RpicamSource {
    stream: StreamSource<CancellableReader>,
    child: Arc<Child>,
    break_off: CancelToken,
    name: String,
}

impl RpicamSource {
    /// Starts the program for the camera of this number, from 0, and waits until it sends something or ends.
    ///
    /// # Errors
    /// [`SourceError::Stream`] when the program is not installed, can't be started or ends without a picture.
    pub fn open(camera: u32, width: u32, height: u32, fps: u32) -> Result<Self, SourceError> {
        let name = format!("rpicam:{camera}");
        let program = PROGRAMS.iter().find_map(|program| in_path(program));
        let program = program.ok_or_else(|| {
            let advice = "install it with `sudo apt install rpicam-apps`, or for a USB camera use `--source camera`";
            fault(&name, format!("rpicam-vid is not installed; {advice}"))
        })?;
        let command = command(&program, camera, (width, height), fps);
        let unstartable = |error: std::io::Error| {
            let advice = "try it by itself: rpicam-hello";
            let program = program.display();
            fault(
                &name,
                format!("{program} can't be started ({error}); {advice}"),
            )
        };
        let (child, stdout) = Child::start(command).map_err(unstartable)?;
        let input = CancellableReader::new(stdout.into()).map_err(unstartable)?;
        let mut source = Self {
            break_off: input.break_off(),
            stream: StreamSource::new(&*name, input, StreamKind::Live, (width, height)),
            child,
            name,
        };
        source.wait_for_start()?;
        Ok(source)
    }

    fn wait_for_start(&mut self) -> Result<(), SourceError> {
        let waited = self.stream.reader().wait(Some(START));
        if !matches!(waited, Ok(PollResult::Nothing)) && !self.stream.has_begun()? {
            return Err(self.ended());
        }
        Ok(())
    }

    /// What is to be said of a program that sends no more.
    fn ended(&self) -> SourceError {
        let words = self.child.last_words();
        let advice =
            "look at the camera's cable, and for cameras with `rpicam-hello --list-cameras`";
        fault(&self.name, format!("{words}; {advice}"))
    }
}

impl FrameSource for RpicamSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        match self.stream.next_frame()? {
            Some(frame) => Ok(Some(frame)),
            None if self.break_off.is_done() => Ok(None),
            None => Err(self.ended()),
        }
    }

    /// Kills the program and ends the stream.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let (child, break_off) = (Arc::clone(&self.child), self.break_off.clone());
        Some(Box::new(move || {
            break_off.now();
            child.kill();
        }))
    }
}

impl Drop for RpicamSource {
    fn drop(&mut self) {
        self.child.kill();
        self.child.wait();
    }
}

fn fault(name: &str, message: String) -> SourceError {
    SourceError::Stream {
        stream: name.to_owned(),
        message,
    }
}

/// The program with its words, made to die with this one where `setpriv` can see to that.
fn command(program: &Path, camera: u32, (width, height): (u32, u32), fps: u32) -> Command {
    let mut command = match in_path("setpriv").filter(|setpriv| is_whole(setpriv)) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    let numbers = [camera, width, height, fps].map(|number| number.to_string());
    let names = ["--camera", "--width", "--height", "--framerate"];
    for (name, number) in names.iter().zip(numbers) {
        command.arg(name).arg(number);
    }
    // No preview, without an end, each picture sent when it is there and not with the next.
    command.args(["-n", "-t", "0", "--codec", "mjpeg", "--flush", "-o", "-"]);
    command
}

/// BusyBox has a `setpriv` that lacks what is needed of it.
fn is_whole(setpriv: &Path) -> bool {
    let real = setpriv.canonicalize();
    real.is_ok_and(|real| real.file_name() != Some(OsStr::new("busybox")))
}

/// A program that can be run by its name.
fn in_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join(name));
    files.find(|file| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

#[cfg(test)]
mod tests;
