//! What a screen must show: the camera's picture, and a box where the log says.

use image::RgbImage;
use serde_json::Value;

use crate::picture::is_near;

/// How far a side of the box may be from where the log has it, in pixels: it is three pixels thick.
const REACH: u32 = 3;

/// So far from a side there is nothing but the picture again.
const BESIDE: u32 = 8;

/// The screen shows a picture of its own height in its middle, with a box where the log says.
#[track_caller]
pub(crate) fn assert_seen(screen: &RgbImage, picture: &RgbImage, detection: &Value) {
    assert_eq!(
        screen.height(),
        picture.height(),
        "the picture would be scaled"
    );
    let left = (screen.width() - picture.width()) / 2;
    let is_picture = |x: u32, y: u32| {
        let shown = screen.get_pixel(left + x, y).0;
        is_near(shown, picture.get_pixel(x, y).0)
    };
    let side = |name: &str| detection[name].as_f64().expect("a box");
    let (width, height) = picture.dimensions();
    let columns = ["x_min", "x_max"].map(|name| (side(name) * f64::from(width)) as u32);
    let rows = ["y_min", "y_max"].map(|name| (side(name) * f64::from(height)) as u32);
    for column in columns {
        let share = |x| share_of(middle(rows), |y| is_picture(x, y));
        assert_line(column, width, share, "column");
    }
    for row in rows {
        let share = |y| share_of(last(columns), |x| is_picture(x, y));
        assert_line(row, height, share, "row");
    }
}

/// There is a line near `at`, and on both of its sides, as far as these are within `limit`, there is none. `share` tells
/// which share of a line is the picture's.
#[track_caller]
fn assert_line(at: u32, limit: u32, share: impl Fn(u32) -> f64, what: &str) {
    let near = at.saturating_sub(REACH)..(at + REACH + 1).min(limit);
    let least = near.map(&share).fold(1.0, f64::min);
    assert!(
        least < 0.1,
        "no line at {what} {at}: {least:.2} of it is the picture"
    );
    let beside = [at.checked_sub(BESIDE), Some(at + BESIDE)];
    for beside in beside.into_iter().flatten().filter(|&at| at < limit) {
        let share = share(beside);
        assert!(
            share > 0.9,
            "{what} {beside} is not the picture, {share:.2} of it is"
        );
    }
}

/// The last third of a side from left to right, but for its end: the label and the status line begin on the left.
fn last([from, to]: [u32; 2]) -> std::ops::Range<u32> {
    from + (to - from) / 3 * 2..to.saturating_sub(BESIDE)
}

/// The middle third of a side from top to bottom.
fn middle([from, to]: [u32; 2]) -> std::ops::Range<u32> {
    let third = (to - from) / 3;
    from + third..to - third
}

fn share_of(range: std::ops::Range<u32>, is_so: impl Fn(u32) -> bool) -> f64 {
    let all = range.len() as f64;
    range.filter(|&at| is_so(at)).count() as f64 / all
}
