//! The curves: a panel for each measure, training and validation against the epoch.
//!
//! Drawn with plotters, at twice the size that they are looked at: its SVG has whole pixels only.

use std::ops::Range;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::history::History;
use super::{MEASURES, Measure};
use crate::draw::DrawError;
use crate::draw::palette::{Colour, Palette};

/// Width and height of a panel in the pixels of its SVG, twice those that it is meant to be seen at.
pub const PANEL: (u32, u32) = (1240, 760);

/// Panels side by side in [`all`].
const COLUMNS: usize = 2;

/// Up to so many epochs, each has a dot.
const MOST_DOTS: usize = 40;

/// The measures of which a history has something.
#[must_use]
pub fn drawn(history: &History) -> Vec<Measure> {
    let has = |measure: &Measure| history.has(measure.training) || history.has(measure.validation);
    MEASURES.into_iter().filter(has).collect()
}

/// One panel, as the text of an SVG.
///
/// # Errors
/// [`DrawError::Chart`] in the words of plotters.
pub fn panel(history: &History, measure: &Measure, page: Palette) -> Result<String, DrawError> {
    register_letters();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, PANEL).into_drawing_area();
        draw(&area, history, measure, page).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

/// All panels on one page, as the text of an SVG.
///
/// # Errors
/// [`DrawError::Chart`] in the words of plotters.
pub fn all(history: &History, page: Palette) -> Result<String, DrawError> {
    register_letters();
    let measures = drawn(history);
    let columns = COLUMNS.min(measures.len()).max(1);
    let rows = measures.len().div_ceil(columns).max(1);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&colour(page.ground))
            .map_err(|error| failed(&error))?;
        for (part, measure) in area.split_evenly((rows, columns)).iter().zip(&measures) {
            draw(part, history, measure, page).map_err(|error| failed(&error))?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

fn failed(error: &impl std::error::Error) -> DrawError {
    DrawError::Chart {
        message: error.to_string(),
    }
}

/// Plotters measures words before it places them, and must not ask the machine for letters.
fn register_letters() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // DejaVu is sound; were it not, the words would be a little out of their places.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font("sans-serif", FontStyle::Bold, dejavu::sans::bold());
    });
}

fn colour([red, green, blue]: Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

fn draw<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    history: &History,
    measure: &Measure,
    page: Palette,
) -> Drawn<DB> {
    area.fill(&colour(page.ground))?;
    let series = [
        (measure.training, "training", page.first),
        (measure.validation, "validation", page.second),
    ];
    let shown: Vec<_> = series
        .into_iter()
        .filter(|(column, ..)| history.has(column))
        .collect();
    head(area, measure, &shown, page)?;
    let range = value_range(history, measure);
    let decimals = decimals(&range);
    let mut chart = ChartBuilder::on(area)
        .margin_top(96)
        .margin_right(44)
        .margin_bottom(16)
        .margin_left(16)
        .x_label_area_size(76)
        .y_label_area_size(104)
        .build_cartesian_2d(epoch_range(history), range.clone())?;
    let words = |size: u32| ("sans-serif", size).into_font().color(&colour(page.quiet));
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(colour(page.line).stroke_width(2))
        .axis_style(colour(page.line).stroke_width(2))
        .label_style(words(30))
        .axis_desc_style(words(28))
        .x_desc("epoch")
        .x_labels(12)
        .y_labels(6)
        .y_label_formatter(&|value| format!("{value:.decimals$}"))
        .draw()?;
    for run in history.runs.iter().skip(1) {
        let start = run.first as i32;
        let line = [(start, range.start), (start, range.end)];
        let dashes = DashedLineSeries::new(line, 8, 10, colour(page.quiet).stroke_width(2));
        chart.draw_series(dashes)?;
    }
    for (column, _, ink) in shown {
        let style = colour(ink).stroke_width(5);
        // A gap parts a curve in two.
        for piece in pieces(history, column) {
            if history.epochs.len() <= MOST_DOTS || piece.len() == 1 {
                let dot = |&place| Circle::new(place, 7, colour(ink).filled());
                chart.draw_series(piece.iter().map(dot))?;
            }
            chart.draw_series(LineSeries::new(piece, style))?;
        }
        if let Some(best) = history.best()
            && let Some(value) = best.value(column)
        {
            let place = (best.number as i32, value);
            let ring = |radius, style| std::iter::once(Circle::new(place, radius, style));
            chart.draw_series(ring(13, colour(page.ground).filled()))?;
            chart.draw_series(ring(13, style))?;
        }
    }
    Ok(())
}

/// Title on the left, the names of the curves in their colours on the right.
fn head<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    measure: &Measure,
    shown: &[(&str, &str, Colour)],
    page: Palette,
) -> Drawn<DB> {
    let bold = ("sans-serif", 42).into_font().style(FontStyle::Bold);
    area.draw(&Text::new(
        measure.title,
        (36, 28),
        bold.color(&colour(page.ink)),
    ))?;
    let mut right = PANEL.0 as i32 - 44;
    for (_, name, ink) in shown.iter().rev() {
        let words = ("sans-serif", 32).into_font().color(&colour(page.ink));
        let words = words.pos(Pos::new(HPos::Right, VPos::Center));
        let (width, _) = area.estimate_text_size(name, &words)?;
        area.draw(&Text::new(*name, (right, 52), words))?;
        right -= width as i32 + 14;
        let line = [(right - 44, 52), (right, 52)];
        area.draw(&PathElement::new(line, colour(*ink).stroke_width(8)))?;
        right -= 44 + 40;
    }
    Ok(())
}

/// Every epoch, with room for a single one.
fn epoch_range(history: &History) -> Range<i32> {
    let number = |epoch: Option<&super::history::Epoch>| epoch.map_or(0, |e| e.number as i32);
    let (first, last) = (
        number(history.epochs.first()),
        number(history.epochs.last()),
    );
    if first == last {
        first - 1..last + 1
    } else {
        first..last
    }
}

/// All values of both series, with a little room around them; never below 0, where no measure is.
fn value_range(history: &History, measure: &Measure) -> Range<f64> {
    let columns = [measure.training, measure.validation];
    let values = columns.iter().flat_map(|column| history.series(column));
    let values: Vec<f64> = values.filter_map(|(_, value)| value).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let room = ((high - low) * 0.08).max(high.abs() * 0.01).max(1e-6);
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    (low - room).max(floor)..high + room
}

/// Digits after the point that tell the marks of an axis apart.
fn decimals(range: &Range<f64>) -> usize {
    let mark = (range.end - range.start) / 6.0;
    (-mark.log10().floor()).clamp(0.0, 6.0) as usize
}

/// The curve of a column, cut where an epoch has no number.
fn pieces(history: &History, column: &str) -> Vec<Vec<(i32, f64)>> {
    let mut pieces = vec![Vec::new()];
    for (epoch, value) in history.series(column) {
        match (value, pieces.last_mut()) {
            (Some(value), Some(piece)) => piece.push((epoch as i32, value)),
            _ => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::{of, run};
    use super::*;

    #[test]
    fn panels_are_those_that_the_history_has_columns_for() {
        let history = of(&[run(&[0.5, 0.6])]).expect("sound");
        let titles: Vec<&str> = drawn(&history)
            .iter()
            .map(|measure| measure.title)
            .collect();
        let all_but_none = [
            "loss",
            "class loss",
            "box loss",
            "box MSE",
            "class accuracy",
            "mean IoU",
        ];
        assert_eq!(titles, all_but_none);
        let history = of(&["epoch,loss\n1,2.0\n".to_owned()]).expect("sound");
        assert_eq!(drawn(&history).len(), 1);
    }

    #[test]
    fn a_gap_parts_a_curve() {
        let text = "epoch,loss\n1,2.0\n2,1.0\n3,inf\n4,\n5,3.0\n".to_owned();
        let history = of(&[text]).expect("sound");
        let pieces = pieces(&history, "loss");
        assert_eq!(pieces, [vec![(1, 2.0), (2, 1.0)], vec![(5, 3.0)]]);
    }

    #[test]
    fn ranges_hold_all_values_and_have_an_extent() {
        let single = of(&["epoch,loss\n7,2.0\n".to_owned()]).expect("sound");
        assert_eq!(epoch_range(&single), 6..8);
        let range = value_range(&single, &MEASURES[0]);
        assert!(range.start < 2.0 && range.end > 2.0);
        let zero = of(&["epoch,loss\n1,0\n2,0\n".to_owned()]).expect("sound");
        let range = value_range(&zero, &MEASURES[0]);
        assert!(range.start == 0.0 && range.end > 0.0);
        assert_eq!(decimals(&(0.0..60.0)), 0);
        assert_eq!(decimals(&(0.30..0.42)), 2);
        assert_eq!(decimals(&(0.0..6e-4)), 4);
    }

    #[test]
    fn every_shape_of_history_can_be_drawn() {
        let long = run(&vec![0.5; 200]);
        let single = "epoch,loss\n1,2.0\n".to_owned();
        for texts in [
            vec![single],
            vec![run(&[0.1, 0.2]), run(&[0.3])],
            vec![long],
        ] {
            let history = of(&texts).expect("sound");
            for page in [Palette::LIGHT, Palette::DARK] {
                let svg = all(&history, page).expect("drawn");
                assert!(svg.contains("epoch") && svg.contains("loss"));
                assert!(crate::draw::svg::to_png(&svg, 0.1).is_ok());
            }
        }
    }
}
