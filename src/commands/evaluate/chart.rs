//! SVG charts for the HTML report and for files.
//!
//! Every color is an attribute, so a chart is complete as a file; the style sheet of the report overrides the colors by
//! class for light and dark mode.

use boxcam::evaluate::{Calibration, Confusion, PrecisionRecall};
use maud::{Markup, html};

/// The plot area, in the units of the chart. Every chart but the confusion matrix has one, with 0 to 1 on the x axis.
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
const RIGHT: f64 = 14.0;
/// Height of the numbers and the label below the plot area.
const BOTTOM: f64 = 40.0;
/// Width of the legend.
const LEGEND: f64 = 200.0;

/// Number of grid steps on each axis.
const STEPS: u8 = 5;

/// Colors that people with any kind of color vision can tell apart (Okabe and Ito).
const PALETTE: [&str; 7] = [
    "#0072b2", "#009e73", "#d55e00", "#e69f00", "#cc79a7", "#56b4e9", "#000000",
];

/// Side of a cell of the confusion matrix.
const CELL: f64 = 26.0;
/// Space for the class names beside and above the confusion matrix.
const NAMES: f64 = 96.0;
/// Height of a horizontal bar with the space around it.
const BAR: f64 = 18.0;
/// Space for the number behind the longest bar.
const NUMBER: f64 = 40.0;
/// Longest class name shown, in characters.
const MAX_NAME: usize = 14;

/// A line of a chart.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) is_dashed: bool,
    /// Pairs of x and y, `0..=1`.
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines with a legend.
pub(super) fn lines(x_label: &str, y_label: &str, series: &[Series]) -> Markup {
    let styled = || series.iter().zip(PALETTE.iter().cycle()).enumerate();
    let legend_x = LEFT + WIDTH + RIGHT;
    let legend_y = |index: usize| TOP + 8.0 + 16.0 * index as f64;
    let body = html! {
        @for (index, (series, color)) in styled() {
            g class={ "series-" (index % PALETTE.len()) } stroke=(color) stroke-width="2" fill="none"
                stroke-dasharray=(if series.is_dashed { "6 3" } else { "none" }) {
                polyline points=(polyline(series.points.iter().copied())) {}
                path d={ "M" (legend_x) " " (legend_y(index)) "h20" } {}
            }
            text x=(legend_x + 26.0) y=(legend_y(index) + 4.0) { (printable(&series.name)) }
        }
    };
    let title = format!("{y_label} over {x_label}");
    plot(&title, [x_label, y_label], 1.0, LEGEND, &body)
}

/// Accuracy over confidence, with the diagonal of perfect calibration.
pub(super) fn reliability(calibration: &Calibration) -> Markup {
    let body = html! {
        path class="diagonal" stroke="#5b6470" stroke-dasharray="5 4" fill="none"
            d={ "M" (units(x(0.0))) " " (units(y(0.0))) "L" (units(x(1.0))) " " (units(y(1.0))) } {}
        @for bin in &calibration.bins {
            @if let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.mean_confidence) {
                (bar(bin.low, bin.high, accuracy, &format!(
                    "{} pictures, confidence {confidence:.3}, accuracy {accuracy:.3}",
                    bin.pictures
                )))
                circle class="mean" fill="#d55e00" r="3.5"
                    cx=(units(x(confidence.min(1.0)))) cy=(units(y(accuracy))) {}
            }
        }
    };
    let labels = ["confidence", "accuracy"];
    plot("reliability diagram", labels, 1.0, 0.0, &body)
}

/// Counts in bins of equal width over the IoU.
pub(super) fn iou_histogram(title: &str, counts: &[usize]) -> Markup {
    let steps = usize::from(STEPS);
    let highest = counts.iter().copied().max().unwrap_or_default();
    // A multiple of the steps, so that every grid line is at a whole number.
    let y_max = (highest.div_ceil(steps).max(1) * steps) as f64;
    let edge = |bin: usize| bin as f64 / counts.len() as f64;
    let body = html! {
        @for (bin, count) in counts.iter().enumerate() {
            (bar(edge(bin), edge(bin + 1), *count as f64 / y_max, &format!(
                "IoU {:.1} to {:.1}: {count}",
                edge(bin),
                edge(bin + 1)
            )))
        }
    };
    plot(title, ["IoU", "count"], y_max, 0.0, &body)
}

/// Precision over recall at an IoU of 0.5.
pub(super) fn precision_recall(curve: &PrecisionRecall) -> Markup {
    let body = html! {
        polyline class="line" stroke="#0072b2" stroke-width="2" fill="none" points=(polyline(curve.points())) {}
    };
    let labels = ["recall", "precision"];
    plot("precision over recall", labels, 1.0, 0.0, &body)
}

/// A horizontal bar for each name; none for a share that is `None`.
pub(super) fn shares(title: &str, named: &[(String, Option<f64>)]) -> Markup {
    let height = BAR * named.len() as f64 + 10.0;
    let left = NAMES + 8.0;
    let top = |index: usize| 5.0 + BAR * index as f64;
    let width = left + WIDTH + NUMBER;
    svg(
        title,
        width,
        height,
        &html! {
            @for (index, (name, share)) in named.iter().enumerate() {
                @let base = top(index) + BAR / 2.0 + 4.0;
                text x=(NAMES) y=(units(base)) text-anchor="end" { (shorten(name)) }
                @if let Some(share) = share {
                    rect class="bar" fill="#0072b2" fill-opacity="0.7" x=(units(left)) y=(units(top(index) + 2.0))
                        width=(units(share * WIDTH)) height=(units(BAR - 4.0)) {
                        title { (printable(name)) (format!(": {share:.4}")) }
                    }
                    text x=(units(left + share * WIDTH + 5.0)) y=(units(base)) { (format!("{share:.3}")) }
                } @else {
                    text x=(units(left)) y=(units(base)) { "–" }
                }
            }
        },
    )
}

/// A matrix of counts; the opacity of a cell is its share of the true class.
pub(super) fn confusion(confusion: &Confusion) -> Markup {
    let side = NAMES + CELL * confusion.labels.len() as f64;
    let edge = NAMES - 5.0;
    let center = |index: usize| units(NAMES + CELL * (index as f64 + 0.5) + 4.0);
    // The names above the columns lean to the right.
    let width = side + NAMES / 2.0;
    svg(
        "confusion matrix",
        width,
        side,
        &html! {
            @for (index, label) in confusion.labels.iter().enumerate() {
                text x=(edge) y=(center(index)) text-anchor="end" { (shorten(label)) }
                text transform={ "translate(" (center(index)) " " (edge) ") rotate(-60)" } { (shorten(label)) }
            }
            @for (truth, counts) in confusion.counts.iter().enumerate() {
                @let total = counts.iter().sum::<usize>().max(1);
                @for (predicted, count) in counts.iter().enumerate() {
                    g {
                        title {
                            (printable(&confusion.labels[truth])) " predicted as "
                            (printable(&confusion.labels[predicted])) ": " (count)
                        }
                        (cell(predicted, truth, *count, *count as f64 / total as f64))
                    }
                }
            }
        },
    )
}

fn cell(column: usize, row: usize, count: usize, share: f64) -> Markup {
    let at = |index: usize| NAMES + CELL * index as f64;
    let (x, y) = (at(column), at(row));
    let (class, color) = if column == row {
        ("correct", PALETTE[0])
    } else {
        ("wrong", PALETTE[2])
    };
    let is_dark = share > 0.55;
    html! {
        rect class="cell" x=(x) y=(y) width=(CELL) height=(CELL) fill="none" stroke="#d5d9df" {}
        @if count > 0 {
            rect class=(class) x=(x) y=(y) width=(CELL) height=(CELL) fill=(color)
                fill-opacity=(format!("{:.2}", 0.08 + 0.92 * share)) {}
            text class=[is_dark.then_some("inverse")] fill=(if is_dark { "#fff" } else { "#1b1e23" })
                x=(x + CELL / 2.0) y=(y + CELL / 2.0 + 4.0) text-anchor="middle" { (count) }
        }
    }
}

/// A bar from `low` to `high` on the x axis with the height of a share.
fn bar(low: f64, high: f64, share: f64, tooltip: &str) -> Markup {
    html! {
        rect class="bar" fill="#0072b2" fill-opacity="0.7" x=(units(x(low) + 1.0)) y=(units(y(share)))
            width=(units((high - low) * WIDTH - 2.0)) height=(units(share * HEIGHT)) {
            title { (tooltip) }
        }
    }
}

/// A grid with numbers and labels around `body`. The numbers on the y axis go from 0 to `y_max`.
fn plot(title: &str, labels: [&str; 2], y_max: f64, legend: f64, body: &Markup) -> Markup {
    let number = |value: f64| {
        let digits = usize::from(y_max <= 1.0);
        format!("{value:.digits$}")
    };
    let shares = || (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS));
    let (width, height) = (LEFT + WIDTH + RIGHT + legend, TOP + HEIGHT + BOTTOM);
    svg(
        title,
        width,
        height,
        &html! {
            @for share in shares() {
                path class="grid" stroke="#d5d9df" fill="none" d={
                    "M" (units(x(share))) " " (TOP) "v" (HEIGHT) "M" (LEFT) " " (units(y(share))) "h" (WIDTH)
                } {}
                text x=(units(x(share))) y=(TOP + HEIGHT + 16.0) text-anchor="middle" { (format!("{share:.1}")) }
                text x=(LEFT - 6.0) y=(units(y(share) + 4.0)) text-anchor="end" { (number(share * y_max)) }
            }
            (body)
            text x=(LEFT + WIDTH / 2.0) y=(TOP + HEIGHT + 34.0) text-anchor="middle" { (labels[0]) }
            text transform={ "translate(11 " (TOP + HEIGHT / 2.0) ") rotate(-90)" } text-anchor="middle" {
                (labels[1])
            }
        },
    )
}

fn svg(title: &str, width: f64, height: f64, body: &Markup) -> Markup {
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label=(printable(title)) font-family="system-ui, sans-serif" font-size="11" fill="#1b1e23" {
            rect class="ground" width=(width) height=(height) fill="#fff" {}
            (body)
        }
    }
}

fn polyline(points: impl Iterator<Item = (f64, f64)>) -> String {
    let points = points.map(|(across, up)| format!("{:.1},{:.1}", x(across), y(up)));
    points.collect::<Vec<_>>().join(" ")
}

/// From `0..=1` to the units of the chart.
fn x(share: f64) -> f64 {
    LEFT + share * WIDTH
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

fn units(value: f64) -> String {
    format!("{value:.1}")
}

/// Names of classes, folders and files may contain control characters, which XML forbids even when escaped.
pub(super) fn printable(text: &str) -> String {
    let is_forbidden = |letter: char| letter.is_control() && !letter.is_whitespace();
    text.replace(is_forbidden, "\u{fffd}")
}

fn shorten(label: &str) -> String {
    let label = printable(label);
    if label.chars().count() <= MAX_NAME {
        return label;
    }
    let kept: String = label.chars().take(MAX_NAME - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_height_of_a_bar_is_its_count() {
        let svg = iou_histogram("IoU", &[0, 2, 10, 0, 0, 0, 0, 0, 0, 0]).into_string();
        assert_eq!(svg.matches("class=\"bar\"").count(), 10);
        let highest = format!("height=\"{HEIGHT:.1}\"><title>IoU 0.2 to 0.3: 10<");
        assert!(svg.contains(&highest), "{svg}");
        let fifth = format!("height=\"{:.1}\"><title>IoU 0.1 to 0.2: 2<", HEIGHT / 5.0);
        assert!(svg.contains(&fifth), "{svg}");
        let empty = iou_histogram("IoU", &[0; 10]).into_string();
        assert!(empty.contains("count"));
    }

    #[test]
    fn a_share_is_a_bar_with_its_number() {
        let named = [("a<b".to_owned(), Some(0.5)), ("none".to_owned(), None)];
        let svg = shares("AP50 by class", &named).into_string();
        let bar = format!(
            "width=\"{:.1}\" height=\"14.0\"><title>a&lt;b: 0.5000<",
            WIDTH / 2.0
        );
        assert!(svg.contains(&bar) && svg.contains(">0.500<"), "{svg}");
        assert_eq!(svg.matches("class=\"bar\"").count(), 1);
        assert!(svg.contains(">none<") && svg.contains(">–<"));
    }

    #[test]
    fn the_opacity_of_a_cell_is_its_share_of_the_true_class() {
        let svg = confusion(&Confusion {
            labels: vec!["a<b".to_owned(), "a class of a long name".to_owned()],
            counts: vec![vec![3, 1], vec![0, 0]],
        })
        .into_string();
        assert!(svg.contains("fill-opacity=\"0.77\"") && svg.contains("fill-opacity=\"0.31\""));
        assert!(svg.contains("a&lt;b predicted as a class of a long name: 1"));
        assert!(svg.contains(">a class of a …<") && !svg.contains("a<b"));
    }

    #[test]
    fn control_characters_in_names_are_replaced() {
        assert_eq!(printable("a\u{0}b\u{1b}\tc"), "a\u{fffd}b\u{fffd}\tc");
    }
}
