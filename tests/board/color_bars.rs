//! Color bars, the test image of the cameras.

use image::{Rgb, RgbImage};

/// vivid's bars, from left to right.
pub(crate) const BARS: [[u8; 3]; 8] = [
    [191, 191, 191],
    [191, 191, 0],
    [0, 191, 191],
    [0, 191, 0],
    [191, 0, 191],
    [191, 0, 0],
    [0, 0, 191],
    [0, 0, 0],
];

/// The row to check, as a share of the height: above the status line, and not on an edge of the tiny model's box.
const BARS_AT: f64 = 0.6;

/// Greatest difference per channel: YUV with subsampled chroma and RGB565 lose precision.
const CHANNEL_TOLERANCE: u8 = 12;

/// The bars fill an image from side to side, in color, or in gray for a gray camera.
#[track_caller]
pub(crate) fn assert_bars(picture: &RgbImage, is_gray: bool) {
    let expected = if is_gray { BARS.map(gray) } else { BARS };
    assert_bars_between(picture, (0, picture.width()), &expected);
}

/// Eight bars of these colors are between two columns of an image.
#[track_caller]
pub(crate) fn assert_bars_between(
    picture: &RgbImage,
    (left, right): (u32, u32),
    expected: &[[u8; 3]; 8],
) {
    let row = (f64::from(picture.height()) * BARS_AT) as u32;
    let width = (right - left) / 8;
    let middles = (0..8).map(|bar| left + width * bar + width / 2);
    for (x, expected) in middles.zip(expected) {
        let Rgb(found) = *picture.get_pixel(x, row);
        assert!(
            is_near(found, *expected),
            "{found:?} instead of {expected:?} at {x}, {row}"
        );
    }
}

/// Whether two colors are equal within the tolerance.
pub(crate) fn is_near(found: [u8; 3], expected: [u8; 3]) -> bool {
    let mut channels = found.iter().zip(expected);
    channels.all(|(found, expected)| found.abs_diff(expected) <= CHANNEL_TOLERANCE)
}

fn gray(color: [u8; 3]) -> [u8; 3] {
    let picture = RgbImage::from_pixel(1, 1, Rgb(color));
    [image::imageops::grayscale(&picture).get_pixel(0, 0).0[0]; 3]
}
