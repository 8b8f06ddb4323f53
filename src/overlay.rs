//! Draws a report on a picture: the box with its label, the true box if it is known, and a status line; a band
//! across the picture where something is amiss.
//!
//! In goes any draw target of embedded-graphics that holds the whole picture, from a watch-sized display to a
//! full HD screen; lines and writing grow with it. Nothing is drawn outside of the target, and the picture
//! itself is not drawn here.

use std::time::Duration;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{
    PrimitiveStyle, PrimitiveStyleBuilder, Rectangle, StrokeAlignment,
};

use crate::detect::Detection;
use crate::frame::{Frame, GroundTruth, Origin};
use crate::geometry::{NormBox, iou};
use crate::health::CaptureState;
use crate::report::Report;

mod banner;
mod canvas;
mod palette;
mod tag;
mod truth;

pub use canvas::Canvas;
pub use truth::{draw_caption, draw_truth};

use banner::Banner;
use palette::{CHALK, INK, QUIET};
use tag::{Lettering, Tag};

/// Age from which a box is said to be old: a person sees that it lags behind.
const AGED: Duration = Duration::from_millis(100);

/// Draws a report on a target that holds the whole picture of a frame, which may be a later one than the report
/// is about.
///
/// The box has the colour of its class and a tag with its label and confidence. True boxes are thin and
/// dashed, with the IoU of the detection. The status line at the bottom says how many frames a second
/// go through the model and how long the network took, how old the box is if it is much older than the picture,
/// and quietly `nothing` when nothing was found. A band says when capture is in trouble, or that no frame has
/// been through the model yet.
///
/// # Errors
/// Whatever the target fails with.
pub fn draw<D>(
    target: &mut D,
    frame: &Frame,
    report: &Report,
    detection: Option<&Detection>,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    let layout = Layout::new(area.size);
    let truth: &[GroundTruth] = match &frame.origin {
        Origin::Scene(truth) => truth,
        Origin::Live | Origin::Picture(_) => &[],
    };
    for there in truth {
        layout.draw_true_box(&mut target, there)?;
    }
    if let Some(detection) = detection {
        let label = report.labels.name(detection.class);
        layout.draw_detection(&mut target, detection, label)?;
    }
    for there in truth {
        layout.draw_true_tag(&mut target, there, report, detection)?;
    }
    layout.draw_status(&mut target, frame, report, detection)?;
    match banner(report) {
        Some(banner) => banner.draw(&mut target),
        None => Ok(()),
    }
}

/// Draws a band that says what capture is at, on a target that shows the last picture or none; whether there was
/// anything to say: while frames come, each says enough by itself.
///
/// # Errors
/// Whatever the target fails with.
pub fn draw_state<D>(target: &mut D, state: CaptureState) -> Result<bool, D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    match Banner::of_state(state) {
        Some(banner) if !area.is_zero_sized() => {
            banner.draw(&mut target.cropped(&area)).map(|()| true)
        }
        _ => Ok(false),
    }
}

/// Draws one box as a detection is drawn: a line in that colour between dark rims, and a tag with the text, which
/// is left out where the text is empty.
///
/// # Errors
/// Whatever the target fails with.
pub fn draw_box<D>(
    target: &mut D,
    bounding_box: &NormBox,
    colour: Rgb888,
    text: &str,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    Layout::new(area.size).draw_box(&mut target, bounding_box, colour, text)
}

/// The band that a report wants.
fn banner(report: &Report) -> Option<Banner> {
    match report.capture {
        // There is a frame, so the first has come.
        CaptureState::Starting | CaptureState::Live => {
            report.captured_at.is_none().then_some(Banner::NO_MODEL)
        }
        state @ (CaptureState::Stalled | CaptureState::Reopening) => Banner::of_state(state),
    }
}

/// Sizes that suit a target.
struct Layout {
    size: Size,
    /// Width of the line of the box, without its rims.
    line: u32,
    /// Width of the dark rims that keep a line readable on a light picture.
    rim: u32,
    /// Width of the dashes of the true box.
    dash: u32,
    label: Lettering,
    small: Lettering,
    /// Where tags may be: all but the status line.
    room: Rectangle,
}

impl Layout {
    fn new(size: Size) -> Self {
        let side = size.width.min(size.height);
        let small = Lettering::of_height(side / 32);
        let status = small.tag_height();
        Self {
            size,
            line: (side / 160).max(2),
            rim: (side / 480).max(1),
            dash: (side / 240).max(1),
            label: Lettering::of_height((side / 22).max(13)),
            small,
            room: Rectangle::new(
                Point::zero(),
                Size::new(size.width, size.height.saturating_sub(status)),
            ),
        }
    }

    fn pixels(&self, bounding_box: &NormBox) -> Rectangle {
        bounding_box.to_pixels(self.size.width, self.size.height)
    }

    fn draw_detection<D>(
        &self,
        target: &mut D,
        detection: &Detection,
        label: Option<&str>,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let confidence = format!("{:.0}%", detection.confidence * 100.0);
        let text = self.caption(label.unwrap_or("?"), &confidence);
        let colour = palette::of_class(detection.class);
        self.draw_box(target, &detection.bounding_box, colour, &text)
    }

    fn draw_box<D>(
        &self,
        target: &mut D,
        bounding_box: &NormBox,
        colour: Rgb888,
        text: &str,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let outer = self.pixels(bounding_box);
        stroke(target, &outer, self.line + 2 * self.rim, INK)?;
        let inner = outer.offset(-(self.rim as i32));
        stroke(target, &inner, self.line, colour)?;
        if text.is_empty() {
            return Ok(());
        }
        let tag = Tag {
            text: text.to_owned(),
            lettering: self.label,
            ink: INK,
            ground: colour,
        };
        let height = tag.size().height as i32;
        let above = outer.top_left - Point::new(0, height);
        // Without room above, the tag goes inside, on the upper line.
        let place = if above.y >= 0 { above } else { outer.top_left };
        tag.draw(target, place, &self.room)
    }

    /// Label and confidence, the label shortened to what the target is wide enough for.
    fn caption(&self, label: &str, confidence: &str) -> String {
        let most = self.label.characters_in(self.size.width);
        let whole = format!("{label} {confidence}");
        if whole.chars().count() <= most {
            return whole;
        }
        let kept = most.saturating_sub(confidence.chars().count() + 3);
        let start: String = label.chars().take(kept).collect();
        format!("{start}.. {confidence}")
    }

    /// As many of the words, from the first, as a tag at the bottom has room for, but never none.
    fn fitting(&self, words: &[String]) -> String {
        let most = self.small.characters_in(self.size.width);
        let counts = (1..=words.len()).rev();
        let mut lines = counts.map(|count| words[..count].join("  "));
        let fitting = lines.find(|line| line.chars().count() <= most);
        fitting
            .or_else(|| words.first().cloned())
            .unwrap_or_default()
    }

    fn draw_true_box<D>(&self, target: &mut D, there: &GroundTruth) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let pixels = self.pixels(&there.bounding_box);
        stroke(target, &pixels, self.dash, INK)?;
        for dash in dashes(&pixels, self.dash, self.dash * 6) {
            fill(target, &dash, CHALK)?;
        }
        Ok(())
    }

    fn draw_true_tag<D>(
        &self,
        target: &mut D,
        there: &GroundTruth,
        report: &Report,
        detection: Option<&Detection>,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let tag = Tag {
            text: true_caption(there, report, detection),
            lettering: self.small,
            ink: CHALK,
            ground: INK,
        };
        let pixels = self.pixels(&there.bounding_box);
        let corner = pixels.top_left + pixels.size;
        let size = tag.size();
        let below = corner - Point::new(size.width as i32, 0);
        let fits = corner.y + size.height as i32 <= self.room.size.height as i32;
        let place = if fits { below } else { corner - size };
        tag.draw(target, place, &self.room)
    }

    fn draw_status<D>(
        &self,
        target: &mut D,
        frame: &Frame,
        report: &Report,
        detection: Option<&Detection>,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let found = detection.is_some();
        let text = self.fitting(&status(frame, report, found));
        if text.is_empty() {
            return Ok(());
        }
        let tag = Tag {
            text,
            lettering: self.small,
            ink: if found { CHALK } else { QUIET },
            ground: INK,
        };
        let bottom = Point::new(0, self.size.height as i32);
        tag.draw(target, bottom, &Rectangle::new(Point::zero(), self.size))
    }
}

/// What the status line says, the most important first; nothing before the first report.
fn status(frame: &Frame, report: &Report, found: bool) -> Vec<String> {
    let Some(captured_at) = report.captured_at else {
        return Vec::new();
    };
    let mut words = Vec::new();
    let age = frame.captured_at.saturating_duration_since(captured_at);
    if !found {
        words.push("nothing".to_owned());
    } else if age >= AGED {
        words.push(format!("box {} old", age_in_words(age)));
    }
    if let Some(rate) = report.frames_per_second {
        words.push(format!("{rate:.1} fps"));
    }
    words.push(format!("{:.1} ms", report.inference.as_secs_f64() * 1000.0));
    words
}

/// To ten milliseconds or a tenth of a second: more digits only flicker.
fn age_in_words(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        format!("{} ms", age.as_millis() / 10 * 10)
    } else {
        format!("{:.1} s", age.as_secs_f64())
    }
}

/// What is said of a true box: its IoU with the detection, and its name where the model missed it.
fn true_caption(there: &GroundTruth, report: &Report, detection: Option<&Detection>) -> String {
    match detection {
        Some(found) => {
            let named = report.labels.name(found.class) == Some(there.label.as_str());
            let overlap = iou(&found.bounding_box, &there.bounding_box);
            if named {
                format!("IoU {overlap:.2}")
            } else {
                format!("true: {}  IoU {overlap:.2}", there.label)
            }
        }
        None => format!("true: {}", there.label),
    }
}

/// A frame of `width` pixels just inside a rectangle.
fn stroke<D>(target: &mut D, area: &Rectangle, width: u32, colour: Rgb888) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let style = PrimitiveStyleBuilder::new()
        .stroke_color(colour.into())
        .stroke_width(width)
        .stroke_alignment(StrokeAlignment::Inside)
        .build();
    area.into_styled(style).draw(target)
}

fn fill<D>(target: &mut D, area: &Rectangle, colour: Rgb888) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    area.into_styled(PrimitiveStyle::with_fill(colour.into()))
        .draw(target)
}

/// Dashes of that width and length along the four sides of a rectangle, just inside of it.
fn dashes(area: &Rectangle, width: u32, length: u32) -> Vec<Rectangle> {
    let mut dashes = Vec::new();
    let far = area.top_left + area.size.saturating_sub(Size::new_equal(width));
    for start in (0..area.size.width).step_by(2 * length as usize) {
        let size = Size::new(length.min(area.size.width - start), width);
        let x = area.top_left.x + start as i32;
        dashes.extend([area.top_left.y, far.y].map(|y| Rectangle::new(Point::new(x, y), size)));
    }
    for start in (0..area.size.height).step_by(2 * length as usize) {
        let size = Size::new(width, length.min(area.size.height - start));
        let y = area.top_left.y + start as i32;
        dashes.extend([area.top_left.x, far.x].map(|x| Rectangle::new(Point::new(x, y), size)));
    }
    dashes.iter().map(|dash| dash.intersection(area)).collect()
}

#[cfg(test)]
mod tests;
