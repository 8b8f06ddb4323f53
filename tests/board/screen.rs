//! Checks of screenshots: the camera's image with its box, and the text console afterwards.

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::color_bars::{BARS, assert_bars_between, is_near};
use crate::computer::Results;

/// The screen showed the camera with the logged box, and the text console was restored after SIGTERM and SIGKILL.
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

/// The camera's bars have the screen's height, in its middle, with the logged box.
#[track_caller]
pub(crate) fn assert_camera(screen: &RgbImage, detection: &Value) {
    let (width, height) = screen.dimensions();
    let wide = height * 640 / 480;
    let left = (width - wide) / 2;
    assert_bars_between(screen, (left, left + wide), &BARS);
    assert_box(screen, left, wide, detection);
}

/// The lower edge of the logged box crosses the green bar.
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

/// The first line of text is unchanged, and no pixel of the image is left below the text.
#[track_caller]
fn assert_text(before: &RgbImage, after: &RgbImage) {
    let (width, _) = before.dimensions();
    let is_same = |x: u32, y: u32| before.get_pixel(x, y) == after.get_pixel(x, y);
    let differing = (0..16).flat_map(|y| (0..width).map(move |x| (x, y)));
    let differing = differing.filter(|&(x, y)| !is_same(x, y)).count();
    assert_eq!(differing, 0, "pixels of the first line of text");
    assert_no_picture(after);
}

/// No pixel of the image is left below the text.
#[track_caller]
pub(crate) fn assert_no_picture(screen: &RgbImage) {
    let (width, height) = screen.dimensions();
    let below = (height / 2..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let lit = below
        .filter(|&(x, y)| *screen.get_pixel(x, y) != Rgb([0; 3]))
        .count();
    assert_eq!(lit, 0, "pixels of the image are left");
}

/// Greatest distance in pixels of a box edge from the log's; the line is three pixels thick.
const EDGE_TOLERANCE: u32 = 3;

/// At this distance in pixels from an edge only the image is visible.
const BESIDE_EDGE: u32 = 8;

/// The screen shows the image, of the screen's height, in its middle, with the logged box.
#[track_caller]
pub(crate) fn assert_image_and_box(screen: &RgbImage, image: &RgbImage, detection: &Value) {
    assert_eq!(screen.height(), image.height(), "the image would be scaled");
    let left = (screen.width() - image.width()) / 2;
    let is_image = |x: u32, y: u32| {
        let shown = screen.get_pixel(left + x, y).0;
        is_near(shown, image.get_pixel(x, y).0)
    };
    let side = |name: &str| detection[name].as_f64().expect("a box");
    let (width, height) = image.dimensions();
    let columns = ["x_min", "x_max"].map(|name| (side(name) * f64::from(width)) as u32);
    let rows = ["y_min", "y_max"].map(|name| (side(name) * f64::from(height)) as u32);
    for column in columns {
        let share = |x| share_of(middle(rows), |y| is_image(x, y));
        assert_line(column, width, share, "column");
    }
    for row in rows {
        let share = |y| share_of(last(columns), |x| is_image(x, y));
        assert_line(row, height, share, "row");
    }
}

/// There is a line near `at`, and none beside it within `limit`. `share` returns the share of a row or column that equals
/// the image.
#[track_caller]
fn assert_line(at: u32, limit: u32, share: impl Fn(u32) -> f64, what: &str) {
    let near = at.saturating_sub(EDGE_TOLERANCE)..(at + EDGE_TOLERANCE + 1).min(limit);
    let least = near.map(&share).fold(1.0, f64::min);
    assert!(
        least < 0.1,
        "no line at {what} {at}: {least:.2} of it equals the image"
    );
    let beside = [at.checked_sub(BESIDE_EDGE), Some(at + BESIDE_EDGE)];
    for beside in beside.into_iter().flatten().filter(|&at| at < limit) {
        let share = share(beside);
        assert!(
            share > 0.9,
            "{what} {beside} differs from the image: {share:.2} of it is equal"
        );
    }
}

/// The last third of a horizontal edge without its end; label and status line start on the left.
fn last([from, to]: [u32; 2]) -> std::ops::Range<u32> {
    from + (to - from) / 3 * 2..to.saturating_sub(BESIDE_EDGE)
}

/// The middle third of a vertical edge.
fn middle([from, to]: [u32; 2]) -> std::ops::Range<u32> {
    let third = (to - from) / 3;
    from + third..to - third
}

fn share_of(range: std::ops::Range<u32>, condition: impl Fn(u32) -> bool) -> f64 {
    let all = range.len() as f64;
    range.filter(|&at| condition(at)).count() as f64 / all
}
