//! Cameras on the Raspberry Pi's connector, read through the program `rpicam-vid`.
//!
//! The program converts the sensor's raw data and sends motion JPEG.

use std::path::Path;
use std::process::Command;

use super::SourceError;
use super::program::{ProgramConfig, ProgramSource, stream_error};
use crate::child_process;

/// Names of the program, the newer one first.
const PROGRAMS: [&str; 2] = ["rpicam-vid", "libcamera-vid"];

/// Starts the program for the camera with this number, from 0. Width and height in pixels and frames per second are
/// requested from the camera.
///
/// # Errors
/// [`SourceError::Stream`] if the program is not installed, can't be started or ends without a frame.
pub fn open(camera: u32, size: (u32, u32), fps: u32) -> Result<ProgramSource, SourceError> {
    let source = format!("rpicam:{camera}");
    let program = PROGRAMS
        .iter()
        .find_map(|program| which::which(program).ok());
    let program = program.ok_or_else(|| {
        let advice = "install it with `sudo apt install rpicam-apps`, or for a USB camera use `--source camera`";
        stream_error(&source, format!("rpicam-vid is not installed; {advice}"))
    })?;
    let config = ProgramConfig {
        source,
        program: "rpicam-vid",
        command: command(&program, camera, size, fps),
        start_advice: "run rpicam-hello to test the camera",
        end_advice: "check the camera's cable, and list the cameras with `rpicam-hello --list-cameras`",
        redact: Box::new(str::to_owned),
    };
    ProgramSource::start(config, size)
}

fn command(program: &Path, camera: u32, (width, height): (u32, u32), fps: u32) -> Command {
    let mut command = child_process::command(program);
    let values = [camera, width, height, fps].map(|value| value.to_string());
    let names = ["--camera", "--width", "--height", "--framerate"];
    for (name, value) in names.iter().zip(values) {
        command.arg(name).arg(value);
    }
    // No preview window, no time limit, and each frame is sent at once.
    command.args(["-n", "-t", "0", "--codec", "mjpeg", "--flush", "-o", "-"]);
    command
}

#[cfg(test)]
mod tests {
    //! The whole source is tested with a script instead of `rpicam-vid` in `tests/live/stream.rs`, where PATH can be set.

    use super::*;

    #[test]
    fn the_program_gets_the_requested_mode() {
        let command = command(Path::new("/usr/bin/rpicam-vid"), 1, (1280, 720), 15);
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy())
            .collect();
        let line = arguments.join(" ");
        let expected = "--camera 1 --width 1280 --height 720 --framerate 15 -n -t 0 --codec mjpeg --flush -o -";
        assert!(line.ends_with(expected), "{line}");
    }
}
