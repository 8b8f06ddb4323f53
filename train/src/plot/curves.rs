//! Curves: a panel per metric with training and validation against the epoch.
//!
//! Drawn with plotters at twice the display size, since its SVG backend rounds to whole pixels.

use std::ops::Range;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::history::History;
use super::{METRICS, Metric};
use crate::draw::DrawError;
use crate::draw::theme::{self, Theme};

/// Width and height of a panel in pixels, twice its display size.
pub const PANEL: (u32, u32) = (1240, 760);

/// Panels per row in [`all_panels`].
const COLUMNS: usize = 2;

/// Up to this number of epochs, each point has a dot.
const MAX_DOTS: usize = 40;

/// The metrics that a history has a column for.
#[must_use]
pub fn available_metrics(history: &History) -> Vec<Metric> {
    let has = |metric: &Metric| history.has(metric.training) || history.has(metric.validation);
    METRICS.into_iter().filter(has).collect()
}

/// One panel as SVG.
///
/// # Errors
/// [`DrawError::Chart`] with the message of plotters.
pub fn panel(history: &History, metric: &Metric, theme: Theme) -> Result<String, DrawError> {
    register_fonts();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, PANEL).into_drawing_area();
        draw_panel(&area, history, metric, theme).map_err(|error| chart_error(&error))?;
        area.present().map_err(|error| chart_error(&error))?;
    }
    Ok(svg)
}

/// All panels on one page as SVG.
///
/// # Errors
/// [`DrawError::Chart`] with the message of plotters.
pub fn all_panels(history: &History, theme: Theme) -> Result<String, DrawError> {
    register_fonts();
    let metrics = available_metrics(history);
    let columns = COLUMNS.min(metrics.len()).max(1);
    let rows = metrics.len().div_ceil(columns).max(1);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&rgb(theme.background))
            .map_err(|error| chart_error(&error))?;
        for (part, metric) in area.split_evenly((rows, columns)).iter().zip(&metrics) {
            draw_panel(part, history, metric, theme).map_err(|error| chart_error(&error))?;
        }
        area.present().map_err(|error| chart_error(&error))?;
    }
    Ok(svg)
}

type DrawResult<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

fn chart_error(error: &impl std::error::Error) -> DrawError {
    DrawError::Chart {
        message: error.to_string(),
    }
}

/// Plotters measures text; without registered fonts it would look for installed ones.
fn register_fonts() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // DejaVu is valid. If it were not, text would only be misplaced a little.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font("sans-serif", FontStyle::Bold, dejavu::sans::bold());
    });
}

fn rgb([red, green, blue]: theme::Color) -> RGBColor {
    RGBColor(red, green, blue)
}

fn draw_panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    history: &History,
    metric: &Metric,
    theme: Theme,
) -> DrawResult<DB> {
    area.fill(&rgb(theme.background))?;
    let series = [
        (metric.training, "training", theme.first),
        (metric.validation, "validation", theme.second),
    ];
    let shown: Vec<_> = series
        .into_iter()
        .filter(|(column, ..)| history.has(column))
        .collect();
    draw_header(area, metric, &shown, theme)?;
    let range = value_range(history, metric);
    let decimals = decimals(&range);
    let mut chart = ChartBuilder::on(area)
        .margin_top(96)
        .margin_right(44)
        .margin_bottom(16)
        .margin_left(16)
        .x_label_area_size(76)
        .y_label_area_size(104)
        .build_cartesian_2d(epoch_range(history), range.clone())?;
    let font = |size: u32| ("sans-serif", size).into_font().color(&rgb(theme.muted));
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(rgb(theme.grid).stroke_width(2))
        .axis_style(rgb(theme.grid).stroke_width(2))
        .label_style(font(30))
        .axis_desc_style(font(28))
        .x_desc("epoch")
        .x_labels(12)
        .y_labels(6)
        .y_label_formatter(&|value| format!("{value:.decimals$}"))
        .draw()?;
    for run in history.runs.iter().skip(1) {
        let start = run.first_epoch as i32;
        let line = [(start, range.start), (start, range.end)];
        let dashes = DashedLineSeries::new(line, 8, 10, rgb(theme.muted).stroke_width(2));
        chart.draw_series(dashes)?;
    }
    for (column, _, color) in shown {
        let style = rgb(color).stroke_width(5);
        // A missing value interrupts the curve.
        for segment in segments(history, column) {
            if history.epochs.len() <= MAX_DOTS || segment.len() == 1 {
                let dot = |&point| Circle::new(point, 7, rgb(color).filled());
                chart.draw_series(segment.iter().map(dot))?;
            }
            chart.draw_series(LineSeries::new(segment, style))?;
        }
        if let Some(best) = history.best()
            && let Some(value) = best.value(column)
        {
            let point = (best.number as i32, value);
            let ring = |radius, style| std::iter::once(Circle::new(point, radius, style));
            chart.draw_series(ring(13, rgb(theme.background).filled()))?;
            chart.draw_series(ring(13, style))?;
        }
    }
    Ok(())
}

/// The title on the left, the legend on the right.
fn draw_header<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    metric: &Metric,
    shown: &[(&str, &str, theme::Color)],
    theme: Theme,
) -> DrawResult<DB> {
    let bold = ("sans-serif", 42).into_font().style(FontStyle::Bold);
    area.draw(&Text::new(
        metric.title,
        (36, 28),
        bold.color(&rgb(theme.text)),
    ))?;
    let mut right = PANEL.0 as i32 - 44;
    for (_, name, color) in shown.iter().rev() {
        let font = ("sans-serif", 32).into_font().color(&rgb(theme.text));
        let font = font.pos(Pos::new(HPos::Right, VPos::Center));
        let (width, _) = area.estimate_text_size(name, &font)?;
        area.draw(&Text::new(*name, (right, 52), font))?;
        right -= width as i32 + 14;
        let line = [(right - 44, 52), (right, 52)];
        area.draw(&PathElement::new(line, rgb(*color).stroke_width(8)))?;
        right -= 44 + 40;
    }
    Ok(())
}

/// All epochs; a single epoch gets a margin of one on each side.
fn epoch_range(history: &History) -> Range<i32> {
    let number =
        |epoch: Option<&super::history::HistoryEpoch>| epoch.map_or(0, |e| e.number as i32);
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

/// All values of both series with a margin; not below 0 unless a value is.
fn value_range(history: &History, metric: &Metric) -> Range<f64> {
    let columns = [metric.training, metric.validation];
    let values = columns.iter().flat_map(|column| history.series(column));
    let values: Vec<f64> = values.filter_map(|(_, value)| value).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let margin = ((high - low) * 0.08).max(high.abs() * 0.01).max(1e-6);
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    (low - margin).max(floor)..high + margin
}

/// The number of decimals that distinguishes the labels of an axis.
fn decimals(range: &Range<f64>) -> usize {
    let step = (range.end - range.start) / 6.0;
    (-step.log10().floor()).clamp(0.0, 6.0) as usize
}

/// The points of a column, split at missing values.
fn segments(history: &History, column: &str) -> Vec<Vec<(i32, f64)>> {
    let mut segments = vec![Vec::new()];
    for (epoch, value) in history.series(column) {
        match (value, segments.last_mut()) {
            (Some(value), Some(segment)) => segment.push((epoch as i32, value)),
            _ => segments.push(Vec::new()),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::{history_of, run_csv};
    use super::*;

    #[test]
    fn only_metrics_with_columns_have_panels() {
        let history = history_of(&[run_csv(&[0.5, 0.6])]).expect("valid");
        let titles: Vec<&str> = available_metrics(&history)
            .iter()
            .map(|metric| metric.title)
            .collect();
        let expected = [
            "loss",
            "class loss",
            "box loss",
            "box MSE",
            "class accuracy",
            "mean IoU",
        ];
        assert_eq!(titles, expected);
        let history = history_of(&["epoch,loss\n1,2.0\n".to_owned()]).expect("valid");
        assert_eq!(available_metrics(&history).len(), 1);
    }

    #[test]
    fn a_missing_value_interrupts_the_curve() {
        let text = "epoch,loss\n1,2.0\n2,1.0\n3,inf\n4,\n5,3.0\n".to_owned();
        let history = history_of(&[text]).expect("valid");
        let segments = segments(&history, "loss");
        assert_eq!(segments, [vec![(1, 2.0), (2, 1.0)], vec![(5, 3.0)]]);
    }

    #[test]
    fn ranges_contain_all_values_and_are_not_empty() {
        let single = history_of(&["epoch,loss\n7,2.0\n".to_owned()]).expect("valid");
        assert_eq!(epoch_range(&single), 6..8);
        let range = value_range(&single, &METRICS[0]);
        assert!(range.start < 2.0 && range.end > 2.0);
        let zero = history_of(&["epoch,loss\n1,0\n2,0\n".to_owned()]).expect("valid");
        let range = value_range(&zero, &METRICS[0]);
        assert!(range.start == 0.0 && range.end > 0.0);
        assert_eq!(decimals(&(0.0..60.0)), 0);
        assert_eq!(decimals(&(0.30..0.42)), 2);
        assert_eq!(decimals(&(0.0..6e-4)), 4);
    }

    #[test]
    fn every_length_of_history_can_be_drawn() {
        let long = run_csv(&vec![0.5; 200]);
        let single = "epoch,loss\n1,2.0\n".to_owned();
        for texts in [
            vec![single],
            vec![run_csv(&[0.1, 0.2]), run_csv(&[0.3])],
            vec![long],
        ] {
            let history = history_of(&texts).expect("valid");
            for theme in [Theme::LIGHT, Theme::DARK] {
                let svg = all_panels(&history, theme).expect("drawn");
                assert!(svg.contains("epoch") && svg.contains("loss"));
                assert!(crate::draw::svg::to_png(&svg, 0.1).is_ok());
            }
        }
    }
}
