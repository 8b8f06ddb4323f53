//! The report: one HTML file with all that was measured, which a browser opens without a network.
//!
//! In goes what was measured, out comes the text of the file. It names no time, so the same model on the same pictures
//! gives the same file but for the time of an inference. Nothing in it is a program.

use std::fmt::Write as _;

use boxcam::card::ModelCard;
use boxcam::evaluate::{ClassFigures, CurvePoint, Details, Figures, Interval, SizeFigures};

use super::charts;
use super::gallery::{self, Judged};
use super::markup::{escaped, section, share};
use super::speed::Speed;
use crate::commands::curve;

const STYLE: &str = include_str!("style.css");

/// All that a report tells.
pub(super) struct Contents<'a> {
    pub(super) model: &'a str,
    pub(super) card: &'a ModelCard,
    pub(super) figures: &'a Figures,
    pub(super) details: &'a Details,
    pub(super) speed: &'a Speed,
    pub(super) judged: &'a [Judged<'a>],
    /// None without pictures with nothing in them.
    pub(super) curve: Option<&'a [CurvePoint]>,
}

/// The whole file.
pub(super) fn html(contents: &Contents<'_>) -> String {
    let Contents {
        model,
        card,
        figures,
        details,
        ..
    } = contents;
    let title = escaped(&format!("{} ({model})", card.name));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>{} true boxes in {} pictures. Below a figure stands where it lies with a confidence of 95 of 100.</p>\n",
        figures.rows, figures.pictures
    );
    page += &headline(contents);
    page += &drawings(details);
    page += &section(
        "Classes",
        "Recall and mean IoU are over the true boxes of a class, precision over those in pictures that were taken for it.",
        &by_class(&details.per_class),
    );
    page += &section(
        "Sizes",
        "Pictures by the area of their largest true box, as a share of the picture.",
        &by_size(&details.per_size),
    );
    page += &section(
        "Confusion",
        "A row for each true class, a column for what it was taken for; counts of true boxes.",
        &format!(
            "<div class=\"scroll\">\n{}</div>\n",
            charts::confusion(&figures.confusion)
        ),
    );
    let (worst, best) = gallery::rows(contents.judged, &card.labels);
    let words = "White boxes are true, the coloured one is predicted. First the mistakes that the model is surest of, then the worst boxes.";
    page += &section("The worst pictures", words, &worst);
    page += &section("The best pictures", "", &best);
    if let Some(points) = contents.curve {
        let words = "How much of what is there is found at each threshold, and how often nothing is taken for something.";
        let drawing = format!("<div class=\"paper\">\n{}</div>\n", curve::svg(points));
        page += &section("Thresholds and false alarms", words, &drawing);
    }
    page += &section("The model's card", "", &told_by_card(card));
    page + "</body>\n</html>\n"
}

fn headline(contents: &Contents<'_>) -> String {
    let Contents {
        figures,
        details,
        speed,
        ..
    } = contents;
    let Details {
        intervals,
        calibration,
        ..
    } = details;
    let shares = [
        (
            "class accuracy, rows",
            figures.class_accuracy,
            Some(intervals.class_accuracy),
        ),
        ("class accuracy, pictures", figures.picture_accuracy, None),
        ("mean IoU, rows", figures.mean_iou, Some(intervals.mean_iou)),
        (
            "mean IoU, largest box",
            figures.largest_box_mean_iou,
            Some(intervals.largest_box_mean_iou),
        ),
        (
            "largest box, IoU of 0.5 or more",
            figures.largest_box_iou_over_half,
            Some(intervals.largest_box_iou_over_half),
        ),
        ("AP at IoU 0.5", details.ap50, Some(intervals.ap50)),
        ("AP at IoU 0.5 to 0.95", details.ap, None),
        (
            "expected calibration error",
            calibration.expected_error,
            None,
        ),
    ];
    let mut text = "<dl class=\"figures\">\n".to_owned();
    for (name, value, interval) in shares {
        let between = |Interval { low, high }| format!("{low:.4} to {high:.4}");
        text += &tile(
            name,
            &share(Some(value)),
            &interval.map(between).unwrap_or_default(),
        );
    }
    if let Some(time) = speed.inference_p50_ms {
        text += &tile(
            "inference, one thread",
            &format!("{time:.1} ms"),
            "median, on this machine",
        );
    }
    let products = speed
        .multiply_adds
        .map(|count| format!("{:.0} million multiply-adds", count as f64 / 1e6));
    let size = format!("{:.2} MB", speed.model_bytes as f64 / 1e6);
    text += &tile("model file", &size, &products.unwrap_or_default());
    text + "</dl>\n"
}

fn tile(name: &str, value: &str, below: &str) -> String {
    format!(
        "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n",
        escaped(name),
        escaped(value),
        escaped(below)
    )
}

fn drawings(details: &Details) -> String {
    let histogram = &details.iou_histogram;
    let charts = [
        (
            "Reliability: accuracy of pictures over their confidence; dots are means",
            charts::reliability(&details.calibration),
        ),
        (
            "Precision over recall at IoU 0.5, mean over classes",
            charts::precision_recall(&details.precisions),
        ),
        (
            "IoU with every true box",
            charts::overlaps("IoU of rows", &histogram.rows),
        ),
        (
            "IoU with the largest true box of a picture",
            charts::overlaps("IoU of largest boxes", &histogram.largest_box),
        ),
    ];
    let figures = charts.map(|(name, svg)| {
        format!(
            "<figure><figcaption>{}</figcaption>\n{svg}</figure>\n",
            escaped(name)
        )
    });
    let words = "There is one box a picture, so of several true boxes in it at most one is found: recall and average precision end below 1.";
    section(
        "Confidence and boxes",
        words,
        &format!("<div class=\"charts\">\n{}</div>\n", figures.concat()),
    )
}

fn by_class(classes: &[ClassFigures]) -> String {
    let mut text = "<div class=\"scroll\"><table>\n<tr><th>class</th><th>rows</th><th>recall</th><th>precision</th>\
                    <th>mean IoU</th><th>AP50</th><th>AP</th></tr>\n"
        .to_owned();
    for class in classes {
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td>",
            escaped(&class.class),
            class.rows
        );
        text += &bars(&[
            class.recall,
            class.precision,
            class.mean_iou,
            class.ap50,
            class.ap,
        ]);
        text += "</tr>\n";
    }
    text + "</table></div>\n"
}

fn by_size(sizes: &[SizeFigures]) -> String {
    let mut text =
        "<div class=\"scroll\"><table>\n<tr><th>area</th><th>pictures</th><th>class accuracy</th>\
                    <th>mean IoU</th><th>IoU of 0.5 or more</th></tr>\n"
            .to_owned();
    for size in sizes {
        let _ = writeln!(
            text,
            "<tr><td>{} to {}</td><td>{}</td>{}</tr>",
            size.from,
            size.to,
            size.pictures,
            bars(&[size.picture_accuracy, size.mean_iou, size.iou_over_half])
        );
    }
    text + "</table></div>\n"
}

/// Cells with a share and a bar as long.
fn bars(shares: &[Option<f64>]) -> String {
    let cell = |value: &Option<f64>| {
        let width = 90.0 * value.unwrap_or_default();
        let value = share(*value);
        format!("<td>{value}<i style=\"width:{width:.0}%\"></i></td>")
    };
    shares.iter().map(cell).collect()
}

fn told_by_card(card: &ModelCard) -> String {
    let labels: Vec<&str> = card.labels.iter().collect();
    let training = &card.training;
    let lines = [
        ("name", card.name.clone()),
        ("labels", labels.join(", ")),
        (
            "input",
            format!("{} × {}", card.input.width, card.input.height),
        ),
        ("threshold", card.threshold.to_string()),
        ("recipe", training.recipe.clone()),
        ("data", training.data.clone()),
        ("credits", training.credits.clone()),
        (
            "training",
            format!(
                "{} pictures, {} epochs, seed {}",
                training.pictures, training.epochs, training.seed
            ),
        ),
    ];
    let figures = card
        .figures
        .iter()
        .map(|(name, value)| (name.as_str(), format!("{value:.4} on validation pictures")));
    let mut text = "<dl class=\"card\">\n".to_owned();
    for (name, value) in lines.into_iter().chain(figures) {
        let _ = writeln!(
            text,
            "<dt>{}</dt><dd>{}</dd>",
            escaped(name),
            escaped(&value)
        );
    }
    text + "</dl>\n"
}
