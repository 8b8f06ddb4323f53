//! A picture file of any format.

use std::path::Path;

use boxcam::picture::decode;

use crate::Bounds;

pub fn run(bytes: &[u8]) {
    Bounds::PICTURE.check(|| match decode(Path::new("fuzz"), bytes) {
        Ok(picture) => assert!(picture.width() > 0 && picture.height() > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    });
}
