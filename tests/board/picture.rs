//! Colour bars, as cameras play them and as they must arrive.

use image::{Rgb, RgbImage};

/// The bars of vivid's picture, from left to right.
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

/// Where to look for them, as a share of the height: above our status line, and not on a side
/// of the tiny model's box.
const BARS_AT: f64 = 0.6;

/// What a channel may be off: YUV with halved colour and RGB565 don't keep every bit.
const NEAR: u8 = 12;

/// The bars fill a picture from side to side, in colour or, from a camera without, in their luma.
#[track_caller]
pub(crate) fn assert_bars(picture: &RgbImage, is_grey: bool) {
    let wanted = if is_grey { BARS.map(grey) } else { BARS };
    assert_bars_between(picture, (0, picture.width()), &wanted);
}

/// Eight bars of those colours stand between two columns of a picture.
#[track_caller]
pub(crate) fn assert_bars_between(
    picture: &RgbImage,
    (left, right): (u32, u32),
    wanted: &[[u8; 3]; 8],
) {
    let row = (f64::from(picture.height()) * BARS_AT) as u32;
    let width = (right - left) / 8;
    let middles = (0..8).map(|bar| left + width * bar + width / 2);
    for (x, wanted) in middles.zip(wanted) {
        let Rgb(seen) = *picture.get_pixel(x, row);
        assert!(
            is_near(seen, *wanted),
            "{seen:?}, not {wanted:?} at {x}, {row}"
        );
    }
}

/// Whether two colours are the same but for what formats lose.
pub(crate) fn is_near(seen: [u8; 3], wanted: [u8; 3]) -> bool {
    let mut channels = seen.iter().zip(wanted);
    channels.all(|(seen, wanted)| seen.abs_diff(wanted) <= NEAR)
}

fn grey(colour: [u8; 3]) -> [u8; 3] {
    let picture = RgbImage::from_pixel(1, 1, Rgb(colour));
    [image::imageops::grayscale(&picture).get_pixel(0, 0).0[0]; 3]
}
