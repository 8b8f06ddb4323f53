//! MJPEG streams, and scripts that stand in for `rpicam-vid`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use image::imageops::{self, FilterType};

use super::{TestDir, solid_image};

/// Sends `frames.mjpg` repeatedly, as fast as it is read.
pub(crate) const ENDLESS: &str = "while cat frames.mjpg; do :; done";

/// Motion JPEG of one color.
pub(crate) fn mjpeg(color: &str, (width, height): (u32, u32), frames: usize) -> Vec<u8> {
    let picture = imageops::resize(&solid_image(color), width, height, FilterType::Nearest);
    let jpeg = boxcam::picture::encode_jpeg(&picture, 75).expect("encoded");
    jpeg.repeat(frames)
}

/// Installs a script as `rpicam-vid` and returns the PATH on which it comes first. It writes its arguments to
/// `arguments` and its process id to `pid` in the test folder.
pub(crate) fn install(dir: &TestDir, script: &str) -> OsString {
    let head = "#!/bin/sh\necho \"$@\" > arguments\necho $$ > pid";
    dir.write("bin/rpicam-vid", format!("{head}\n{script}\n"));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path("bin/rpicam-vid"), mode).expect("made to run");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = [dir.path("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .collect();
    std::env::join_paths(folders).expect("a path")
}
