//! Drawings as SVG: coloured by the page's style, readable without it being known to the eye which colours there are.
//!
//! Every drawing but the confusion has one plot area with shares from 0 to 1 across.

use std::fmt::Write as _;

use boxcam::evaluate::{Calibration, Confusion, Precisions};

use super::markup::escaped;

/// The plot area, in the drawing's own units.
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
/// Below it stand numbers and a name.
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 14.0;

/// Lines of the grid each way, that at 0 left out.
const STEPS: u8 = 5;

/// A cell of the confusion.
const CELL: f64 = 26.0;
/// Room for the names of classes, beside and above the cells.
const NAMES: f64 = 96.0;

/// Accuracy over confidence: what is sure of itself in the right measure lies on the diagonal.
pub(super) fn reliability(calibration: &Calibration) -> String {
    let mut body = format!(
        "<path class=\"guide\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n",
        across(0.0),
        up(0.0),
        across(1.0),
        up(1.0)
    );
    for bin in &calibration.bins {
        if let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.mean_confidence) {
            let told = format!(
                "{} pictures, confidence {confidence:.3}, accuracy {accuracy:.3}",
                bin.pictures
            );
            body += &bar(bin.low, bin.high, accuracy, &told);
            let _ = writeln!(
                body,
                "<circle class=\"mark\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                across(confidence.min(1.0)),
                up(accuracy)
            );
        }
    }
    plot("reliability", "confidence", "accuracy", 1.0, &body)
}

/// Counts in bins of equal width over the IoU.
pub(super) fn overlaps(name: &str, counts: &[usize]) -> String {
    let most = counts.iter().copied().max().unwrap_or_default();
    // A multiple of the steps upwards, so that each is a whole number.
    let highest = (most.div_ceil(STEPS as usize).max(1) * STEPS as usize) as f64;
    let bins = counts.len() as f64;
    let mut body = String::new();
    for (bin, count) in counts.iter().enumerate() {
        let (low, high) = (bin as f64 / bins, (bin + 1) as f64 / bins);
        let told = format!("IoU {low:.1} to {high:.1}: {count}");
        body += &bar(low, high, *count as f64 / highest, &told);
    }
    plot(name, "IoU", "count", highest, &body)
}

/// Precision over recall at an IoU of 0.5.
pub(super) fn precision_recall(precisions: &Precisions) -> String {
    let mut points = String::new();
    for (recall, precision) in precisions.over_recall() {
        let _ = write!(points, "{:.1},{:.1} ", across(recall), up(precision));
    }
    let body = format!(
        "<polyline class=\"line\" points=\"{}\"/>\n",
        points.trim_end()
    );
    plot("precision over recall", "recall", "precision", 1.0, &body)
}

/// A bar between two places across, so high.
fn bar(low: f64, high: f64, share: f64, told: &str) -> String {
    format!(
        "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>\n",
        across(low) + 1.0,
        up(share),
        (high - low) * WIDTH - 2.0,
        share * HEIGHT,
        escaped(told)
    )
}

/// Axes around what is drawn; the numbers upwards go from 0 to `highest`.
fn plot(name: &str, below: &str, beside: &str, highest: f64, body: &str) -> String {
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let mut text = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(name)
    );
    for step in 0..=STEPS {
        let share = f64::from(step) / f64::from(STEPS);
        let (x, y) = (across(share), up(share));
        let number = share * highest;
        let number = if highest > 1.0 {
            format!("{number:.0}")
        } else {
            format!("{number:.1}")
        };
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}v{HEIGHT}M{LEFT} {y:.1}h{WIDTH}\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{share:.1}</text>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{number}</text>",
            TOP + HEIGHT + 16.0,
            LEFT - 6.0,
            y + 4.0
        );
    }
    let (middle, foot) = (LEFT + WIDTH / 2.0, TOP + HEIGHT + 34.0);
    let half = TOP + HEIGHT / 2.0;
    text += body;
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(11 {half}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n</svg>",
        escaped(below),
        escaped(beside)
    );
    text
}

fn across(share: f64) -> f64 {
    LEFT + share * WIDTH
}

fn up(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

/// A cell for each pair of classes, the darker the larger its share of the true class.
pub(super) fn confusion(confusion: &Confusion) -> String {
    let side = NAMES + CELL * confusion.labels.len() as f64;
    let mut text = format!(
        "<svg class=\"wide\" viewBox=\"0 0 {} {side}\" role=\"img\" aria-label=\"confusion\">\n",
        // The names above lean to the right.
        side + NAMES / 2.0
    );
    for (at, label) in confusion.labels.iter().enumerate() {
        let place = NAMES + CELL * (at as f64 + 0.5);
        let (name, edge) = (escaped(&shortened(label)), NAMES - 5.0);
        let _ = writeln!(
            text,
            "<text x=\"{edge}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\n\
             <text transform=\"translate({:.1} {edge}) rotate(-60)\">{name}</text>",
            place + 4.0,
            place + 4.0
        );
    }
    for (truth, row) in confusion.counts.iter().enumerate() {
        let all = row.iter().sum::<usize>().max(1) as f64;
        for (said, count) in row.iter().enumerate() {
            let told = format!(
                "{} taken for {}: {count}",
                confusion.labels[truth], confusion.labels[said]
            );
            text += &cell(said, truth, *count, *count as f64 / all, &told);
        }
    }
    text + "</svg>\n"
}

fn cell(column: usize, row: usize, count: usize, share: f64, told: &str) -> String {
    let place = |at: usize| NAMES + CELL * at as f64;
    let (x, y) = (place(column), place(row));
    let kind = if column == row { "right" } else { "wrong" };
    let mut text = format!(
        "<g><title>{}</title><rect class=\"cell\" x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\"/>",
        escaped(told)
    );
    if count > 0 {
        let ink = if share > 0.55 { "on" } else { "off" };
        let _ = write!(
            text,
            "<rect class=\"{kind}\" x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill-opacity=\"{:.2}\"/>\
             <text class=\"{ink}\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{count}</text>",
            0.08 + 0.92 * share,
            x + CELL / 2.0,
            y + CELL / 2.0 + 4.0
        );
    }
    text + "</g>\n"
}

/// What there is room for.
fn shortened(label: &str) -> String {
    const MOST: usize = 14;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let kept: String = label.chars().take(MOST - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_count() {
        let svg = overlaps("rows", &[0, 2, 10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(svg.matches("class=\"bar\"").count(), 10);
        let highest = format!("height=\"{HEIGHT:.1}\"><title>IoU 0.2 to 0.3: 10<");
        assert!(svg.contains(&highest), "{svg}");
        let fifth = format!("height=\"{:.1}\"><title>IoU 0.1 to 0.2: 2<", HEIGHT / 5.0);
        assert!(svg.contains(&fifth), "{svg}");
        assert!(overlaps("rows", &[0; 10]).contains("count"));
    }

    #[test]
    fn a_cell_is_as_dark_as_its_share_of_the_true_class() {
        let svg = confusion(&Confusion {
            labels: vec!["a<b".to_owned(), "a class of a long name".to_owned()],
            counts: vec![vec![3, 1], vec![0, 0]],
        });
        assert!(svg.contains("fill-opacity=\"0.77\"") && svg.contains("fill-opacity=\"0.31\""));
        assert!(svg.contains("a&lt;b taken for a class of a long name: 1"));
        assert!(svg.contains(">a class of a …<") && !svg.contains("a<b"));
    }
}
