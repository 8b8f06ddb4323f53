//! What the user has named with a path: pictures, a recording, a pipe or a camera.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;

use super::SourceError;
use super::recording::is_recording;
use crate::picture::is_image_path;

/// How frames are read from a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A picture, a folder of them, or a file that is neither, which opening it explains.
    Pictures,
    /// A file with a stream of frames.
    Recording,
    /// A named pipe or a device with a stream.
    Pipe,
    /// The device of a camera, under any name.
    Camera,
}

/// Looks at the file, without waiting for one that has no content yet.
///
/// # Errors
/// [`SourceError::Unknown`] if nothing is there and the name is not that of a picture, [`SourceError::Open`] if it can't
/// be looked at.
pub fn recognize(path: &Path) -> Result<PathKind, SourceError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(_) if is_image_path(path) => return Ok(PathKind::Pictures),
        Err(source) => {
            let path = path.to_path_buf();
            return Err(match source.kind() {
                ErrorKind::NotFound => SourceError::Unknown {
                    advice: advice(&path),
                    path,
                },
                _ => SourceError::Open { path, source },
            });
        }
    };
    if metadata.is_file() {
        // What can't be read is reported as a picture.
        return Ok(match is_recording(path) {
            Ok(true) => PathKind::Recording,
            _ => PathKind::Pictures,
        });
    }
    Ok(special_kind(&metadata))
}

#[cfg(target_os = "linux")]
fn special_kind(metadata: &Metadata) -> PathKind {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    /// The major number of V4L2 devices.
    const V4L2: u32 = 81;
    let kind = metadata.file_type();
    if kind.is_char_device() && rustix::fs::major(metadata.rdev()) == V4L2 {
        PathKind::Camera
    } else if kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
        PathKind::Pipe
    } else {
        PathKind::Pictures
    }
}

#[cfg(not(target_os = "linux"))]
fn special_kind(_: &Metadata) -> PathKind {
    PathKind::Pictures
}

/// What to write for the source that a text most likely means.
fn advice(path: &Path) -> &'static str {
    let text = path.to_string_lossy().to_lowercase();
    let word = text.split([':', '/']).next().unwrap_or_default();
    match word.trim_end_matches(|letter: char| letter.is_ascii_digit()) {
        "usb" | "webcam" | "cam" | "camera" | "cameras" | "uvc" | "v4l" | "v" | "video"
        | "device" => {
            "for a USB camera write `--source camera`, or `--source camera:0` for /dev/video0"
        }
        "picam" | "picamera" | "raspicam" | "rpi" | "pi" | "csi" | "libcamera"
        | "libcamera-vid" | "rpicam-vid" | "raspivid" => {
            "for a camera on the connector of a Raspberry Pi write `--source rpicam`"
        }
        "stdin" | "pipe" => "for standard input write `--source -`",
        "rtsp" | "rtsps" | "http" | "https" | "ip" | "ipcam" | "ipcamera" | "network" => {
            "for a camera of the network write its address, as `--source rtsp://HOST/PATH`"
        }
        "" if text.starts_with("/dev/") => {
            "list the cameras with `ls /dev/video*`, and check them with `boxcam doctor`"
        }
        _ => {
            "check the path; a camera is `camera`, `camera:0` or `rpicam`, a camera of the network `rtsp://HOST/PATH`, \
             standard input `-`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_devices_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.txt"), "text").expect("written");
        fs::write(at("a.y4m"), "YUV4MPEG2 W2 H2\n").expect("written");
        let kind = |name: &str| recognize(&at(name)).expect("there");
        assert_eq!(kind("."), PathKind::Pictures);
        assert_eq!(kind("a.txt"), PathKind::Pictures);
        assert_eq!(kind("a.y4m"), PathKind::Recording);
        assert_eq!(kind("a.jpg"), PathKind::Pictures, "a missing picture");
        let below_file = recognize(&at("a.txt/b")).expect_err("no folder");
        assert!(
            matches!(below_file, SourceError::Open { .. }),
            "{below_file}"
        );
        if cfg!(target_os = "linux") {
            let null = recognize(Path::new("/dev/null")).expect("there");
            assert_eq!(null, PathKind::Pipe);
        }
    }

    #[test]
    fn a_missing_file_that_means_a_camera_is_answered_with_what_to_write() {
        let cases = [
            ("usb", "`--source camera`"),
            ("webcam0", "`--source camera`"),
            ("USB:1", "`--source camera`"),
            ("picamera2", "`--source rpicam`"),
            ("stdin", "`--source -`"),
            ("rtsp:/cam/stream", "rtsp://HOST/PATH"),
            ("/dev/nothing", "ls /dev/video*"),
            ("holiday", "check the path"),
        ];
        for (text, expected) in cases {
            let error = recognize(Path::new(text)).expect_err("not there");
            let message = error.to_string();
            assert!(message.contains("no such file"), "{message}");
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
