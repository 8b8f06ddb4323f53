//! What every threshold would give, as text: a table for people, CSV for programs, a drawing for documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use boxcam::options::CurveFile;
use boxcam::evaluate::CurvePoint;
use boxcam::sink::SinkError;

/// The drawing, in its own units: where 0 and 1 lie on both axes.
const LEFT: f64 = 56.0;
const TOP: f64 = 16.0;
const SIDE: f64 = 400.0;
/// Right of the drawing stand the names of its lines.
const NAMES: f64 = 220.0;
/// Below stand the thresholds.
const BOTTOM: f64 = 44.0;

/// Colours that people with any kind of sight tell apart (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#009e73", "#d55e00", "#e69f00", "#cc79a7", "#56b4e9", "#000000",
];

/// Writes the curve to a file.
pub(super) fn write(file: &CurveFile, points: &[CurvePoint]) -> Result<(), SinkError> {
    let (path, text) = match file {
        CurveFile::Csv(path) => (path, csv(points)),
        CurveFile::Svg(path) => (path, svg(points)),
    };
    boxcam::sink::picture::save(path, text.as_bytes())
}

/// For people: a line a threshold, shares as they are.
pub(super) fn table(points: &[CurvePoint]) -> String {
    let columns = columns(points);
    let mut text = String::from("threshold");
    for (name, _) in &columns {
        let _ = write!(text, "  {name}");
    }
    text.push('\n');
    for (line, point) in points.iter().enumerate() {
        let _ = write!(text, "{:>9.2}", point.threshold);
        for (name, values) in &columns {
            let _ = write!(text, "  {:>1$.3}", values[line], name.len());
        }
        text.push('\n');
    }
    text
}

fn csv(points: &[CurvePoint]) -> String {
    let columns = columns(points);
    let mut text = String::from("threshold");
    for (name, _) in &columns {
        // A kind is the name of a folder, which may have anything in it.
        let _ = write!(text, ",\"{}\"", name.replace('"', "\"\""));
    }
    text.push('\n');
    for (line, point) in points.iter().enumerate() {
        let _ = write!(text, "{:.2}", point.threshold);
        for (_, values) in &columns {
            let _ = write!(text, ",{:.5}", values[line]);
        }
        text.push('\n');
    }
    text
}

/// The shares over the threshold; appearances a minute are no share and stand in the other forms only.
pub(super) fn svg(points: &[CurvePoint]) -> String {
    let (width, height) = (LEFT + SIDE + NAMES, TOP + SIDE + BOTTOM);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for step in 0..=10 {
        grid(&mut text, f64::from(step) / 10.0);
    }
    let (middle, below) = (LEFT + SIDE / 2.0, TOP + SIDE + 36.0);
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">threshold</text>"
    );
    let shares = columns(points)
        .into_iter()
        .filter(|(name, _)| !is_a_rate(name));
    for ((number, (name, values)), colour) in shares.enumerate().zip(COLOURS.iter().cycle()) {
        let mut places = String::new();
        for (point, share) in points.iter().zip(&values) {
            let _ = write!(
                places,
                "{:.1},{:.1} ",
                across(point.threshold.into()),
                up(*share)
            );
        }
        let (start, end) = (LEFT + SIDE + 12.0, LEFT + SIDE + 32.0);
        let row = TOP + 12.0 + 20.0 * number as f64;
        let dashes = if name.starts_with(ALARMS) {
            "6 3"
        } else {
            "none"
        };
        let _ = writeln!(
            text,
            "<g stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" fill=\"none\">\
             <polyline points=\"{}\"/><path d=\"M{start} {row}H{end}\"/></g>\n\
             <text x=\"{}\" y=\"{}\">{}</text>",
            places.trim_end(),
            end + 6.0,
            row + 4.0,
            escaped(&name)
        );
    }
    text.push_str("</svg>\n");
    text
}

/// A line of the grid each way, and its numbers.
fn grid(text: &mut String, share: f64) {
    let (x, y) = (across(share), up(share));
    let _ = writeln!(
        text,
        "<path d=\"M{x:.1} {TOP}v{SIDE}M{LEFT} {y:.1}h{SIDE}\" stroke=\"#ddd\"/>\n\
         <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{share}</text>\n\
         <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{share}</text>",
        TOP + SIDE + 18.0,
        LEFT - 6.0,
        y + 4.0
    );
}

fn across(share: f64) -> f64 {
    LEFT + share * SIDE
}

fn up(share: f64) -> f64 {
    TOP + (1.0 - share) * SIDE
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;")
}

/// What the names of false alarms begin with.
const ALARMS: &str = "false alarms, ";
/// What the names of appearances a minute begin with.
const RATES: &str = "appear a minute, ";

fn is_a_rate(name: &str) -> bool {
    name.starts_with(RATES)
}

/// All numbers of a curve by name, a column each.
fn columns(points: &[CurvePoint]) -> Vec<(String, Vec<f64>)> {
    let column = |value: fn(&CurvePoint) -> f64| points.iter().map(value).collect::<Vec<_>>();
    let mut columns = vec![
        ("pictures found".to_owned(), column(|p| p.pictures_found)),
        ("pictures right".to_owned(), column(|p| p.pictures_right)),
        ("rows right".to_owned(), column(|p| p.rows_right)),
    ];
    columns.extend(by_kind(points, ALARMS, |point| &point.false_alarms));
    columns.extend(by_kind(points, RATES, |point| {
        &point.false_appearances_a_minute
    }));
    columns
}

/// Columns of numbers by kind; every point has the same kinds.
fn by_kind(
    points: &[CurvePoint],
    start: &str,
    values: fn(&CurvePoint) -> &BTreeMap<String, f64>,
) -> Vec<(String, Vec<f64>)> {
    let kinds = points
        .first()
        .into_iter()
        .flat_map(|point| values(point).keys());
    kinds
        .map(|kind| {
            let value = |point| values(point).get(kind).copied().unwrap_or_default();
            (format!("{start}{kind}"), points.iter().map(value).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<CurvePoint> {
        let point = |threshold: f32, share: f64| CurvePoint {
            threshold,
            pictures_found: share,
            pictures_right: share / 2.0,
            rows_right: share / 4.0,
            false_alarms: [("walls & <floors>".to_owned(), 1.0 - share)].into(),
            false_appearances_a_minute: [("walls".to_owned(), 7.5)].into(),
        };
        vec![point(0.05, 1.0), point(0.5, 0.5)]
    }

    #[test]
    fn people_get_a_line_a_threshold() {
        let text = table(&points());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].starts_with("threshold  pictures found  pictures right  rows right  false")
        );
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words, ["0.50", "0.500", "0.250", "0.125", "0.500", "7.500"]);
    }

    #[test]
    fn programs_get_csv() {
        let text = csv(&points());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().expect("a header").clone();
        assert_eq!(names.iter().next_back(), Some("appear a minute, walls"));
        let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0][0], &rows[0][1], &rows[1][4]),
            ("0.05", "1.00000", "0.50000")
        );
    }

    #[test]
    fn documents_get_a_drawing_in_which_names_are_escaped() {
        let text = svg(&points());
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert_eq!(text.matches("<polyline").count(), 4);
        assert!(text.contains("walls &amp; &lt;floors>") && !text.contains("a minute"));
        // All found at a threshold of 0.05, a half at 0.5.
        assert!(text.contains("points=\"76.0,16.0 256.0,216.0\""), "{text}");
    }
}
