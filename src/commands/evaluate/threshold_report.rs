//! The threshold curve as a table, as CSV and as an SVG chart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use boxcam::evaluate::ThresholdPoint;
use boxcam::options::CurveFile;
use boxcam::sink::SinkError;
use maud::Markup;

use super::chart::{self, Series};
use super::save;

pub(super) fn write(file: &CurveFile, points: &[ThresholdPoint]) -> Result<(), SinkError> {
    let (path, text) = match file {
        CurveFile::Csv(path) => (path, csv(points)),
        CurveFile::Svg(path) => (path, svg(points).into_string()),
    };
    save(path, text.as_bytes())
}

/// One line per threshold.
pub(super) fn table(points: &[ThresholdPoint]) -> String {
    let columns = columns(points);
    let mut text = String::from("threshold");
    for column in &columns {
        let _ = write!(text, "  {}", column.name);
    }
    text.push('\n');
    for (line, point) in points.iter().enumerate() {
        let _ = write!(text, "{:>9.2}", point.threshold);
        for column in &columns {
            let _ = write!(text, "  {:>1$.3}", column.values[line], column.name.len());
        }
        text.push('\n');
    }
    text
}

fn csv(points: &[ThresholdPoint]) -> String {
    let columns = columns(points);
    let mut text = String::from("threshold");
    for column in &columns {
        // The name of a kind is that of a folder, which may contain any character.
        let _ = write!(text, ",\"{}\"", column.name.replace('"', "\"\""));
    }
    text.push('\n');
    for (line, point) in points.iter().enumerate() {
        let _ = write!(text, "{:.2}", point.threshold);
        for column in &columns {
            let _ = write!(text, ",{:.5}", column.values[line]);
        }
        text.push('\n');
    }
    text
}

/// The shares over the threshold. Appearances per minute are not shares and are left out.
pub(super) fn svg(points: &[ThresholdPoint]) -> Markup {
    let columns = columns(points).into_iter();
    let shares = columns.filter(|column| column.unit != Unit::PerMinute);
    let series = shares.map(|column| {
        let thresholds = points.iter().map(|point| f64::from(point.threshold));
        Series {
            points: thresholds.zip(column.values).collect(),
            is_dashed: column.unit == Unit::ShareOfNegatives,
            name: column.name,
        }
    });
    chart::lines("threshold", "share", &series.collect::<Vec<_>>())
}

struct Column {
    name: String,
    unit: Unit,
    /// One value per threshold.
    values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    ShareOfAnnotated,
    ShareOfNegatives,
    PerMinute,
}

fn columns(points: &[ThresholdPoint]) -> Vec<Column> {
    let column = |name: &str, value: fn(&ThresholdPoint) -> f64| Column {
        name: name.to_owned(),
        unit: Unit::ShareOfAnnotated,
        values: points.iter().map(value).collect(),
    };
    let mut columns = vec![
        column("pictures found", |point| point.pictures_found),
        column("pictures correct", |point| point.pictures_correct),
        column("boxes correct", |point| point.boxes_correct),
    ];
    columns.extend(by_kind(
        points,
        "false alarms",
        Unit::ShareOfNegatives,
        |point| &point.false_alarms,
    ));
    columns.extend(by_kind(
        points,
        "false appearances per minute",
        Unit::PerMinute,
        |point| &point.false_appearances_per_minute,
    ));
    columns
}

/// One column per kind of negatives; every point has the same kinds.
fn by_kind(
    points: &[ThresholdPoint],
    name: &str,
    unit: Unit,
    values: fn(&ThresholdPoint) -> &BTreeMap<String, f64>,
) -> Vec<Column> {
    let kinds = points.first().map(|point| values(point).keys());
    let column = |kind: &String| {
        let value = |point| values(point).get(kind).copied().unwrap_or_default();
        Column {
            name: format!("{name}, {kind}"),
            unit,
            values: points.iter().map(value).collect(),
        }
    };
    kinds.into_iter().flatten().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<ThresholdPoint> {
        let point = |threshold: f32, share: f64| ThresholdPoint {
            threshold,
            pictures_found: share,
            pictures_correct: share / 2.0,
            boxes_correct: share / 4.0,
            false_alarms: [("walls & <floors>".to_owned(), 1.0 - share)].into(),
            false_appearances_per_minute: [("walls".to_owned(), 7.5)].into(),
        };
        vec![point(0.05, 1.0), point(0.5, 0.5)]
    }

    #[test]
    fn the_table_has_one_line_per_threshold() {
        let text = table(&points());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let header = "threshold  pictures found  pictures correct  boxes correct  false alarms, ";
        assert!(lines[0].starts_with(header));
        let fields: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(
            fields,
            ["0.50", "0.500", "0.250", "0.125", "0.500", "7.500"]
        );
    }

    #[test]
    fn the_csv_can_be_parsed() {
        let text = csv(&points());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().expect("a header").clone();
        assert_eq!(
            names.iter().next_back(),
            Some("false appearances per minute, walls")
        );
        let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0][0], &rows[0][1], &rows[1][4]),
            ("0.05", "1.00000", "0.50000")
        );
    }

    #[test]
    fn names_are_escaped_in_the_svg() {
        let text = svg(&points()).into_string();
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>"));
        assert_eq!(text.matches("<polyline").count(), 4);
        assert!(text.contains("walls &amp; &lt;floors&gt;") && !text.contains("per minute"));
        // Share 1 at a threshold of 0.05, 0.5 at 0.5.
        assert!(text.contains("points=\"61.0,10.0 196.0,120.0\""), "{text}");
    }
}
