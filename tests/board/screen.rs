//! What a screenshot of the computer must show: the camera's picture with its box, then the text again.

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::computer::Results;
use crate::picture::{BARS, assert_bars_between, is_near};

/// The camera's picture filled the screen's height in its middle, with a box where the log says, and the text
/// came back after a clean end and after a kill.
#[track_caller]
pub(crate) fn assert_screen(results: &Results, size: (u32, u32)) {
    let before = results.picture("before.png");
    assert_eq!(before.dimensions(), size);
    assert_eq!(results.code("TERM"), 0, "{}", results.text("TERM.err"));
    for ending in ["TERM", "KILL"] {
        let during = results.picture(&format!("{ending}-during.png"));
        let frames = results.frames(ending);
        let last = frames.last().expect("frames were logged");
        assert_camera(&during, &last["detection"]);
        let after = results.picture(&format!("{ending}-after.png"));
        assert_eq!(after.dimensions(), size);
        assert_text(&before, &after);
    }
}

/// The camera's picture fills the screen's height in its middle, with a box where the log has it.
#[track_caller]
pub(crate) fn assert_camera(screen: &RgbImage, detection: &Value) {
    let (width, height) = screen.dimensions();
    let wide = height * 640 / 480;
    let left = (width - wide) / 2;
    assert_bars_between(screen, (left, left + wide), &BARS);
    assert_box(screen, left, wide, detection);
}

/// The lower side of the box in the log crosses the green bar where the log says.
#[track_caller]
fn assert_box(screen: &RgbImage, left: u32, wide: u32, detection: &Value) {
    let bottom = detection["y_max"].as_f64().expect("a box");
    let column = left + wide * 7 / 16;
    let row = (f64::from(screen.height()) * bottom) as u32;
    let is_bar = |row: u32| is_near(screen.get_pixel(column, row).0, BARS[3]);
    let reach = screen.height() / 48;
    assert!(
        (row - reach..row + reach).any(|row| !is_bar(row)),
        "no line"
    );
    assert!(
        is_bar(row - 2 * reach) && is_bar(row + 2 * reach),
        "not a line"
    );
}

/// The first line of the text is as it was, and nothing of the picture is left below the text.
#[track_caller]
fn assert_text(before: &RgbImage, after: &RgbImage) {
    let (width, _) = before.dimensions();
    let is_same = |x: u32, y: u32| before.get_pixel(x, y) == after.get_pixel(x, y);
    let differing = (0..16).flat_map(|y| (0..width).map(move |x| (x, y)));
    let differing = differing.filter(|&(x, y)| !is_same(x, y)).count();
    assert_eq!(differing, 0, "pixels of the first line of text");
    assert_no_picture(after);
}

/// Nothing of the picture is left below the text.
#[track_caller]
pub(crate) fn assert_no_picture(screen: &RgbImage) {
    let (width, height) = screen.dimensions();
    let below = (height / 2..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let lit = below
        .filter(|&(x, y)| *screen.get_pixel(x, y) != Rgb([0; 3]))
        .count();
    assert_eq!(lit, 0, "pixels of the picture are left");
}
