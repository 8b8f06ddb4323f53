//! An options file.

use crate::Bounds;
use crate::scratch::Scratch;

static FOLDER: Scratch = Scratch::new();

pub fn run(bytes: &[u8]) {
    let path = FOLDER.write("boxcam.toml", bytes);
    let arguments = ["boxcam", "run", "--config"].map(std::ffi::OsString::from);
    Bounds::TEXT.check(|| {
        if let Err(error) = boxcam::options::parse(arguments.into_iter().chain([path.into()]), &[])
        {
            assert!(!error.to_string().is_empty());
        }
    });
}
