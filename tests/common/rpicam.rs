//! MJPEG streams, and scripts that stand in for `rpicam-vid`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};

use super::{TestDir, solid_image};

/// Sends `frames.mjpg` again and again, as fast as it is read.
pub(crate) const ENDLESS: &str = "while cat frames.mjpg; do :; done";

/// Motion JPEG of one color.
pub(crate) fn mjpeg(color: &str, (width, height): (u32, u32), frames: usize) -> Vec<u8> {
    let picture = imageops::resize(&solid_image(color), width, height, FilterType::Nearest);
    let mut file = Vec::new();
    let encoder = JpegEncoder::new(&mut file);
    picture.write_with_encoder(encoder).expect("encoded");
    file.repeat(frames)
}

/// Installs a script as `rpicam-vid` and returns the PATH on which it comes first. It writes its arguments to `words` and
/// its process id to `number` in the test folder.
pub(crate) fn install(place: &TestDir, script: &str) -> OsString {
    let head = "#!/bin/sh\necho \"$@\" > words\necho $$ > number";
    place.write("bin/rpicam-vid", format!("{head}\n{script}\n"));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.path("bin/rpicam-vid"), mode).expect("made to run");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = [place.path("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .collect();
    std::env::join_paths(folders).expect("a path")
}
