//! Cameras of the network (RTSP, HTTP), read through the program `ffmpeg`.
//!
//! The program decodes the stream, scales it down and sends motion JPEG. It gets the whole address as an argument, with
//! its password: other users of the machine may see it in the list of processes.

use std::path::Path;
use std::process::Command;

use super::SourceError;
use super::program::{ProgramConfig, ProgramSource, stream_error};
use crate::child_process;
use crate::stream_url::StreamUrl;

/// Starts `ffmpeg` for a stream. It sends at most this number of frames per second, scaled down to the least size that
/// covers this width and height in pixels.
///
/// # Errors
/// [`SourceError::Stream`] if `ffmpeg` is not installed, can't be started or ends without a frame.
pub fn open(url: &StreamUrl, size: (u32, u32), fps: u32) -> Result<ProgramSource, SourceError> {
    let source = url.to_string();
    let program = which::which("ffmpeg").map_err(|_| {
        let message = "ffmpeg is not installed, which opens the cameras of a network; install it with `sudo apt \
                       install ffmpeg`";
        stream_error(&source, message.to_owned())
    })?;
    let secret = url.clone();
    let config = ProgramConfig {
        source,
        program: "ffmpeg",
        command: command(&program, url, size, fps),
        start_advice: "install it again with `sudo apt install --reinstall ffmpeg`",
        end_advice: "check that the camera is on, its address, and the user name and password; `ffplay URL` shows what \
                     it sends",
        redact: Box::new(move |text| secret.redact(text)),
    };
    ProgramSource::start(config, size)
}

fn command(program: &Path, url: &StreamUrl, size: (u32, u32), fps: u32) -> Command {
    let mut command = child_process::command(program);
    command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"]);
    // Without a delay for buffers.
    command.args(["-fflags", "nobuffer", "-flags", "low_delay"]);
    if url.is_rtsp() {
        // Over UDP, lost packets leave grey blocks. Sound is not requested.
        let options = ["-rtsp_transport", "tcp", "-allowed_media_types", "video"];
        command.args(options);
    }
    command.args(["-i", url.expose(), "-map", "0:v:0"]);
    command.args(["-vf", &filters(size, fps), "-r", &fps.to_string()]);
    command.args(["-c:v", "mjpeg", "-q:v", "3", "-flush_packets", "1"]);
    command.args(["-f", "mjpeg", "pipe:1"]);
    command
}

/// Drops frames that arrive faster than wanted, and scales the others.
///
/// The time of arrival decides, because the time stamps of many cameras are wrong. The last time stamps are exactly at
/// the rate of the output, so that ffmpeg neither repeats nor drops a frame on its own.
fn filters((width, height): (u32, u32), fps: u32) -> String {
    // Less than the distance of two frames, for the jitter of a network.
    let distance = 0.75 / f64::from(fps);
    format!(
        "settb=AVTB,setpts=RTCTIME-RTCSTART,\
         select='isnan(prev_selected_t)+gte(t-prev_selected_t,{distance:.6})',setpts=N/({fps}*TB),\
         scale=w='min({width},iw)':h='min({height},ih)':force_original_aspect_ratio=increase"
    )
}

#[cfg(test)]
mod tests {
    //! The whole source is tested with ffmpeg itself in `tests/live/sources/network.rs`.

    use super::*;

    fn line(url: &str) -> String {
        let url = url.parse().expect("valid");
        let command = command(Path::new("/usr/bin/ffmpeg"), &url, (640, 480), 15);
        let arguments = command
            .get_args()
            .map(|argument| argument.to_string_lossy());
        arguments.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ffmpeg_gets_the_address_and_the_requested_mode() {
        let rtsp = line("rtsp://u:pw@cam/x");
        for part in [
            "-nostdin",
            "-rtsp_transport tcp",
            "-i rtsp://u:pw@cam/x -map 0:v:0",
            "gte(t-prev_selected_t,0.050000)",
            "min(640,iw)",
            "min(480,ih)",
            "-r 15",
            "-f mjpeg pipe:1",
        ] {
            assert!(rtsp.contains(part), "{part}: {rtsp}");
        }
        let http = line("http://cam/v.mjpg");
        assert!(!http.contains("rtsp"), "it is an error for HTTP: {http}");
    }
}
