//! A JPEG as a file, and as a frame at two scales.

use std::path::Path;

use boxcam::picture::decode;
use boxcam::picture::jpeg::{decode_scaled, preview};

use crate::Bounds;

/// Larger than any picture, so that it is decoded at full size.
const FULL_SIZE: (u32, u32) = (u32::MAX, u32::MAX);

/// What every JPEG starts with: the rest is the input.
const START: [u8; 2] = [0xff, 0xd8];

pub fn run(bytes: &[u8]) {
    let jpeg = if bytes.starts_with(&START) {
        bytes.to_vec()
    } else {
        [&START, bytes].concat()
    };
    Bounds::PICTURE.check(|| drop(decode(Path::new("fuzz"), &jpeg)));
    Bounds::PICTURE.check(|| drop(preview(&jpeg, (8, 8))));
    Bounds::PICTURE.check(|| drop(decode_scaled(&jpeg, (8, 8))));
    Bounds::PICTURE.check(|| drop(decode_scaled(&jpeg, FULL_SIZE)));
}
