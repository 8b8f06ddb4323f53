//! Draws a report over an image: the boxes with their labels, the ground-truth box if it is known, a status line, and a
//! banner about the capture state.
//!
//! The target is any draw target of embedded-graphics that holds the whole image, from a watch-sized display to a
//! full HD screen; lines and text scale with it. Nothing is drawn outside of the target. The image itself is not
//! drawn here.

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
use crate::label::ClassId;
use crate::report::Report;
use crate::track::Event;
use crate::zone_monitor::ZoneCounts;

mod canvas;
mod placement;
mod text;
mod zone_outlines;

pub use canvas::Canvas;
pub use text::can_draw;

use placement::LabelPlacer;
use text::{ScaledFont, TextLabel};

/// The line of a marked box, in lines of another.
const MARKED_LINE: u32 = 2;

/// The age from which the status line shows the age of the box: it visibly lags behind.
const VISIBLE_AGE: Duration = Duration::from_millis(100);

/// Text on a class color, and the outline that keeps a light line visible on a light image.
const BLACK: Rgb888 = Rgb888::new(0, 0, 0);
/// Text on a dark background, and the ground-truth box.
const WHITE: Rgb888 = Rgb888::new(255, 255, 255);
/// Unobtrusive text.
const GRAY: Rgb888 = Rgb888::new(170, 170, 170);
/// Background of a warning. It is not a class color.
const AMBER: Rgb888 = Rgb888::new(0xFF, 0xC0, 0x00);

/// Paul Tol's *light* scheme (<https://personal.sron.nl/~pault/>): distinguishable with color blindness, and black text
/// is readable on each color.
const CLASS_COLORS: [Rgb888; 8] = [
    Rgb888::new(0x99, 0xDD, 0xFF),
    Rgb888::new(0xEE, 0x88, 0x66),
    Rgb888::new(0xBB, 0xCC, 0x33),
    Rgb888::new(0xFF, 0xAA, 0xBB),
    Rgb888::new(0xEE, 0xDD, 0x88),
    Rgb888::new(0x44, 0xBB, 0x99),
    Rgb888::new(0x77, 0xAA, 0xDD),
    Rgb888::new(0xAA, 0xAA, 0x00),
];

/// With more than eight classes, some share a color.
fn class_color(class: ClassId) -> Rgb888 {
    CLASS_COLORS[class.index() % CLASS_COLORS.len()]
}

/// Draws a report on a target that holds the whole image of a frame. The frame may be a later one than the report
/// describes. The detections are those of [`Report::shown`]. Zones and lines are drawn if the options say so
/// ([`crate::zone::ZoneMap::is_drawn`]).
///
/// A box has the color of its class and a label with the class and the confidence. Labels never cover each other; one that
/// has no place is left out. Ground-truth boxes are thin and dashed, each with the IoU of the detection that fits it best.
/// The status line at the bottom has the frames per second, the duration of the inference, the age of the box if it is much older
/// than the frame, and `nothing` in gray without a detection. A banner reports a capture failure, or that there was no
/// inference yet.
///
/// # Errors
/// Those of the target.
pub fn draw<D>(target: &mut D, frame: &Frame, report: &Report) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    draw_boxes(
        target,
        frame,
        report,
        &plain_boxes(report),
        shown_zones(report),
    )
}

/// Draws a report as [`draw`] does, with the zones and lines in any case.
///
/// # Errors
/// Those of the target.
pub fn draw_with_zones<D>(target: &mut D, frame: &Frame, report: &Report) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let zones = Some(&*report.zones);
    draw_boxes(target, frame, report, &plain_boxes(report), zones)
}

fn plain_boxes(report: &Report) -> Vec<ShownBox<'_>> {
    report.shown().map(ShownBox::plain).collect()
}

fn shown_zones(report: &Report) -> Option<&ZoneCounts> {
    report.zones.map().is_drawn().then_some(&*report.zones)
}

/// Draws a report as [`draw`] does, with the thing of one of its events marked among the others: its line is thicker, and its
/// label names the event. One that has left is drawn where it was last.
///
/// # Errors
/// Those of the target.
pub fn draw_event<D>(
    target: &mut D,
    frame: &Frame,
    report: &Report,
    event: &Event,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let marked = ShownBox {
        detection: &event.detection,
        event: Some(event.kind.name()),
    };
    let others = report.tracks.iter().filter(|t| t.track != event.track);
    let others = others.map(|track| ShownBox::plain(&track.detection));
    let boxes: Vec<ShownBox<'_>> = [marked].into_iter().chain(others).collect();
    draw_boxes(target, frame, report, &boxes, shown_zones(report))
}

/// A detection to draw.
#[derive(Debug, Clone, Copy)]
struct ShownBox<'a> {
    detection: &'a Detection,
    /// The name of the event that it is marked for.
    event: Option<&'static str>,
}

impl<'a> ShownBox<'a> {
    const fn plain(detection: &'a Detection) -> Self {
        Self {
            detection,
            event: None,
        }
    }

    /// What follows the name of the class.
    fn details(&self) -> String {
        let confidence = format!("{:.0}%", self.detection.confidence * 100.0);
        match self.event {
            Some(event) => format!("{confidence} {event}"),
            None => confidence,
        }
    }
}

/// Draws boxes, the most important first, with all that belongs to a frame and its report.
fn draw_boxes<D>(
    target: &mut D,
    frame: &Frame,
    report: &Report,
    boxes: &[ShownBox<'_>],
    zones: Option<&ZoneCounts>,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    let layout = OverlayLayout::new(area.size);
    let truths: &[GroundTruth] = match &frame.origin {
        Origin::Scene(truths) => truths,
        Origin::Live | Origin::Picture(_) | Origin::Recording(_) => &[],
    };
    if let Some(zones) = zones {
        layout.draw_zone_outlines(&mut target, zones.map())?;
    }
    for truth in truths {
        layout.draw_dashed_box(&mut target, truth)?;
    }
    // The most important one is drawn last, over the others.
    for shown in boxes.iter().rev() {
        let color = class_color(shown.detection.class);
        let line = match shown.event {
            Some(_) => MARKED_LINE * layout.line,
            None => layout.line,
        };
        layout.draw_outlined(&mut target, &shown.detection.bounding_box, line, color)?;
    }
    let mut placer = LabelPlacer::new(layout.viewport);
    for shown in boxes {
        let label = layout.detection_label(shown, report);
        let places = layout.places_at(&shown.detection.bounding_box, label.size());
        layout.draw_placed(&mut target, &mut placer, &label, &places)?;
    }
    for truth in truths {
        let label = layout.small_label(truth_caption(truth, report, boxes), WHITE);
        let place = layout.place_of_caption(truth, label.size());
        layout.draw_placed(&mut target, &mut placer, &label, &[place])?;
    }
    if let Some(zones) = zones {
        layout.draw_zone_captions(&mut target, &mut placer, zones)?;
    }
    layout.draw_status(&mut target, frame, report, !boxes.is_empty())?;
    match report_banner(report) {
        Some(banner) => banner.draw(&mut target),
        None => Ok(()),
    }
}

/// Draws a banner about the capture state over the last frame, or over an empty image. Returns whether there was
/// anything to draw: there is no banner while frames arrive.
///
/// # Errors
/// Those of the target.
pub fn draw_capture_state<D>(target: &mut D, state: CaptureState) -> Result<bool, D::Error>
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

/// Draws one box as a detection is drawn: a line of that color between dark outlines, and a label with the text unless
/// it is empty.
///
/// # Errors
/// Those of the target.
pub fn draw_box<D>(
    target: &mut D,
    bounding_box: &NormBox,
    color: Rgb888,
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
    OverlayLayout::new(area.size).draw_box(&mut target, bounding_box, color, text)
}

/// Draws ground-truth boxes without a detection: white with a black outline, each with its label unless that is empty.
/// Larger boxes are drawn first, so that smaller ones stay visible.
///
/// # Errors
/// Those of the target.
pub fn draw_ground_truth<D>(target: &mut D, truths: &[GroundTruth]) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    let layout = OverlayLayout::new(area.size);
    let mut largest_first: Vec<&GroundTruth> = truths.iter().collect();
    largest_first.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
    for truth in &largest_first {
        layout.draw_outlined(&mut target, &truth.bounding_box, layout.line, WHITE)?;
    }
    let viewport = Rectangle::new(Point::zero(), area.size);
    for truth in largest_first.iter().filter(|t| !t.label.is_empty()) {
        let corner = layout.pixels(&truth.bounding_box).top_left;
        layout
            .small_label(truth.label.clone(), WHITE)
            .draw(&mut target, corner, &viewport)?;
    }
    Ok(())
}

/// Draws a line of text at the bottom of a target, clipped at its edge.
///
/// # Errors
/// Those of the target.
pub fn draw_caption<D>(target: &mut D, text: &str) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() || text.is_empty() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    OverlayLayout::new(area.size).draw_at_bottom(&mut target, text.to_owned(), WHITE)
}

/// Sizes in pixels that suit a target.
struct OverlayLayout {
    size: Size,
    /// Width of the line of a box, without its outlines.
    line: u32,
    /// Width of the dark outlines.
    outline: u32,
    /// Width of the dashes of a ground-truth box.
    dash: u32,
    /// Font of the detection's label.
    label_font: ScaledFont,
    /// Font of the status line and of captions.
    small_font: ScaledFont,
    /// Where labels may be: everywhere but over the status line.
    viewport: Rectangle,
}

impl OverlayLayout {
    fn new(size: Size) -> Self {
        let side = size.width.min(size.height);
        let small_font = ScaledFont::of_height(side / 32);
        let status_height = small_font.label_height();
        Self {
            size,
            line: (side / 160).max(2),
            outline: (side / 480).max(1),
            dash: (side / 240).max(1),
            label_font: ScaledFont::of_height((side / 22).max(13)),
            small_font,
            viewport: Rectangle::new(
                Point::zero(),
                Size::new(size.width, size.height.saturating_sub(status_height)),
            ),
        }
    }

    fn pixels(&self, bounding_box: &NormBox) -> Rectangle {
        bounding_box.to_pixels(self.size.width, self.size.height)
    }

    fn detection_label(&self, shown: &ShownBox<'_>, report: &Report) -> TextLabel {
        let class = shown.detection.class;
        TextLabel {
            text: self.shortened(
                drawn_name(report.class_name(class), report),
                &shown.details(),
            ),
            font: self.label_font,
            color: BLACK,
            background: class_color(class),
        }
    }

    /// Where the label of a box may be, the best place first: above the box, or over its upper line if it does not fit above.
    fn places_at(&self, bounding_box: &NormBox, size: Size) -> [Point; 6] {
        let pixels = self.pixels(bounding_box);
        let (left, top) = (pixels.top_left.x, pixels.top_left.y);
        let end = pixels.top_left + pixels.size;
        let (width, height) = (size.width as i32, size.height as i32);
        let above = if top >= height { top - height } else { top };
        [
            Point::new(left, above),
            Point::new(left, top),
            Point::new(left, end.y),
            Point::new(left, end.y - height),
            Point::new(end.x - width, above),
            Point::new(end.x - width, end.y),
        ]
    }

    /// Draws a label at the place that `placer` gives it, if there is one.
    fn draw_placed<D>(
        &self,
        target: &mut D,
        placer: &mut LabelPlacer,
        label: &TextLabel,
        places: &[Point],
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        match placer.place(label.size(), places) {
            Some(place) => label.draw(target, place, &self.viewport),
            None => Ok(()),
        }
    }

    fn draw_box<D>(
        &self,
        target: &mut D,
        bounding_box: &NormBox,
        color: Rgb888,
        text: &str,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        self.draw_outlined(target, bounding_box, self.line, color)?;
        if text.is_empty() {
            return Ok(());
        }
        let label = TextLabel {
            text: text.to_owned(),
            font: self.label_font,
            color: BLACK,
            background: color,
        };
        let [place, ..] = self.places_at(bounding_box, label.size());
        label.draw(target, place, &self.viewport)
    }

    /// A line of that width in pixels and that color between dark outlines.
    fn draw_outlined<D>(
        &self,
        target: &mut D,
        bounding_box: &NormBox,
        line: u32,
        color: Rgb888,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let outer = self.pixels(bounding_box);
        stroke(target, &outer, line + 2 * self.outline, BLACK)?;
        let inner = outer.offset(-(self.outline as i32));
        stroke(target, &inner, line, color)
    }

    /// Label and confidence, with the label shortened to fit the width.
    fn shortened(&self, label: &str, confidence: &str) -> String {
        let max_length = self.label_font.characters_in(self.size.width);
        let text = format!("{label} {confidence}");
        if text.chars().count() <= max_length {
            return text;
        }
        let kept = max_length.saturating_sub(confidence.chars().count() + 3);
        let start: String = label.chars().take(kept).collect();
        format!("{start}.. {confidence}")
    }

    /// The first items, as many as fit the width, but at least one.
    fn fitting(&self, items: &[String]) -> String {
        let max_length = self.small_font.characters_in(self.size.width);
        let counts = (1..=items.len()).rev();
        let mut lines = counts.map(|count| items[..count].join("  "));
        let fitting = lines.find(|line| line.chars().count() <= max_length);
        fitting
            .or_else(|| items.first().cloned())
            .unwrap_or_default()
    }

    fn draw_dashed_box<D>(&self, target: &mut D, truth: &GroundTruth) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let pixels = self.pixels(&truth.bounding_box);
        stroke(target, &pixels, self.dash, BLACK)?;
        for dash in dashes(&pixels, self.dash, self.dash * 6) {
            fill(target, &dash, WHITE)?;
        }
        Ok(())
    }

    /// Below the bottom right corner, or above it if the caption does not fit below.
    fn place_of_caption(&self, truth: &GroundTruth, size: Size) -> Point {
        let pixels = self.pixels(&truth.bounding_box);
        let corner = pixels.top_left + pixels.size;
        let fits = corner.y + size.height as i32 <= self.viewport.size.height as i32;
        if fits {
            corner - Point::new(size.width as i32, 0)
        } else {
            corner - size
        }
    }

    fn draw_status<D>(
        &self,
        target: &mut D,
        frame: &Frame,
        report: &Report,
        has_detection: bool,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let text = self.fitting(&status(frame, report, has_detection));
        if text.is_empty() {
            return Ok(());
        }
        let color = if has_detection { WHITE } else { GRAY };
        self.draw_at_bottom(target, text, color)
    }

    fn draw_at_bottom<D>(&self, target: &mut D, text: String, color: Rgb888) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let bottom = Point::new(0, self.size.height as i32);
        let whole = Rectangle::new(Point::zero(), self.size);
        self.small_label(text, color).draw(target, bottom, &whole)
    }

    fn small_label(&self, text: String, color: Rgb888) -> TextLabel {
        TextLabel {
            text,
            font: self.small_font,
            color,
            background: BLACK,
        }
    }
}

/// The items of the status line, the most important first; empty before the first inference.
fn status(frame: &Frame, report: &Report, has_detection: bool) -> Vec<String> {
    let Some(captured_at) = report.captured_at else {
        return Vec::new();
    };
    let mut items = Vec::new();
    let age = frame.captured_at.saturating_duration_since(captured_at);
    if !has_detection {
        items.push("nothing".to_owned());
    } else if age >= VISIBLE_AGE {
        items.push(format!("box {} old", format_age(age)));
    }
    if let Some(rate) = report.frames_per_second {
        items.push(format!("{rate:.1} fps"));
    }
    items.push(format!("{:.1} ms", report.inference.as_secs_f64() * 1000.0));
    items
}

/// To ten milliseconds or a tenth of a second: more digits would only flicker.
fn format_age(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        format!("{} ms", age.as_millis() / 10 * 10)
    } else {
        format!("{:.1} s", age.as_secs_f64())
    }
}

/// The alias of a class, or its own name if it has no alias or the fonts lack a character of it.
fn drawn_name<'a>(name: &'a str, report: &'a Report) -> &'a str {
    let alias = report.aliases.get(name).filter(|alias| can_draw(alias));
    alias.unwrap_or(name)
}

/// The highest IoU with a detection, and the true class if that of the detection differs or there is none.
fn truth_caption(truth: &GroundTruth, report: &Report, boxes: &[ShownBox<'_>]) -> String {
    let name = drawn_name(&truth.label, report);
    let overlaps = boxes.iter().map(|shown| {
        let overlap = iou(&shown.detection.bounding_box, &truth.bounding_box);
        (overlap, shown.detection.class)
    });
    let best = overlaps.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best.filter(|(overlap, _)| *overlap > 0.0) {
        Some((overlap, class)) if report.class_name(class) == truth.label => {
            format!("IoU {overlap:.2}")
        }
        Some((overlap, _)) => format!("true: {name}  IoU {overlap:.2}"),
        None => format!("true: {name}"),
    }
}

/// A band across the image that can be read from a distance.
struct Banner {
    lines: [&'static str; 2],
    is_warning: bool,
}

impl Banner {
    /// Before the first inference.
    const NO_INFERENCE: Self = Self {
        lines: ["waiting for", "the model"],
        is_warning: false,
    };

    /// `None` while frames arrive.
    const fn of_state(state: CaptureState) -> Option<Self> {
        let (lines, is_warning) = match state {
            CaptureState::Starting => (["waiting for", "first frame"], false),
            CaptureState::Live => return None,
            CaptureState::Stalled => (["camera:", "stalled"], true),
            CaptureState::Reopening => (["camera:", "reopening"], true),
        };
        Some(Self { lines, is_warning })
    }

    /// Draws the band over the middle of the target. All have the same size, so that one covers the other.
    fn draw<D>(&self, target: &mut D) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let area = target.bounding_box();
        let height = (area.size.height * 9 / 20).clamp(1, area.size.width.max(1));
        let top = area.top_left.y + (area.size.height.saturating_sub(height) / 2) as i32;
        let band = Rectangle::new(
            Point::new(area.top_left.x, top),
            Size::new(area.size.width, height),
        );
        let (color, background) = if self.is_warning {
            (BLACK, AMBER)
        } else {
            (WHITE, BLACK)
        };
        fill(target, &band, background)?;
        // Without borders, the band would be invisible on an image of the same color.
        let border = (height / 24).max(1);
        for y in [top, top + height as i32 - border as i32] {
            let line = Rectangle::new(
                Point::new(band.top_left.x, y),
                Size::new(band.size.width, border),
            );
            fill(target, &line, color)?;
        }
        let longest = self.lines.iter().map(|line| line.len()).max().unwrap_or(1);
        // Less than half of the height per line, so that descenders stay off the border.
        let font = ScaledFont::fitting(longest, Size::new(band.size.width, height * 4 / 9));
        let line_height = font.height();
        let slack = height.saturating_sub(2 * line_height) / 2;
        let mut target = target.clipped(&band);
        for (row, line) in (0..).zip(self.lines) {
            let width = font.width(line.len());
            let left = band.top_left.x + (band.size.width.saturating_sub(width) / 2) as i32;
            let position = Point::new(left, top + (slack + row * line_height) as i32);
            font.draw(&mut target, line, position, color)?;
        }
        Ok(())
    }
}

fn report_banner(report: &Report) -> Option<Banner> {
    match report.capture {
        // A report has a frame, so the first frame has arrived.
        CaptureState::Starting | CaptureState::Live => {
            report.captured_at.is_none().then_some(Banner::NO_INFERENCE)
        }
        state @ (CaptureState::Stalled | CaptureState::Reopening) => Banner::of_state(state),
    }
}

/// A line of `width` pixels along the inside of a rectangle's sides.
fn stroke<D>(target: &mut D, area: &Rectangle, width: u32, color: Rgb888) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let style = PrimitiveStyleBuilder::new()
        .stroke_color(color.into())
        .stroke_width(width)
        .stroke_alignment(StrokeAlignment::Inside)
        .build();
    area.into_styled(style).draw(target)
}

fn fill<D>(target: &mut D, area: &Rectangle, color: Rgb888) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    area.into_styled(PrimitiveStyle::with_fill(color.into()))
        .draw(target)
}

/// Dashes of that width and length along the inside of a rectangle's sides.
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
