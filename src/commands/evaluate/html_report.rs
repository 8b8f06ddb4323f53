//! The HTML report: one file with every metric, charts and pictures, which a browser opens offline.
//!
//! It contains no script, no link and no date, so the same model and pictures give the same file except for the
//! inference time.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use boxcam::card::ModelCard;
use boxcam::dataset::AnnotatedPicture;
use boxcam::detect::Prediction;
use boxcam::evaluate::{
    ClassMetrics, Details, Evaluation, Interval, Metrics, ObjectMetrics, PictureResult,
    Predictions, SizeMetrics, ThresholdPoint,
};
use boxcam::frame::GroundTruth;
use boxcam::label::Labels;
use boxcam::overlay::{self, Canvas};
use boxcam::path_text::PathText;
use boxcam::picture::encode_jpeg;
use embedded_graphics::pixelcolor::Rgb888;
use image::RgbImage;
use image::imageops::thumbnail;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{self, Series, printable};
use super::{Speed, threshold_report};

const STYLE: &str = include_str!("style.css");

/// Number of pictures in each gallery.
const GALLERY: usize = 12;
/// Longest side of a picture, in pixels.
const MAX_SIDE: u32 = 320;
const JPEG_QUALITY: u8 = 78;
/// Color of the predicted box; ground-truth boxes are white.
const PREDICTED: Rgb888 = Rgb888::new(0xFF, 0xB0, 0x00);

/// Everything in the report.
pub(super) struct HtmlReport<'a> {
    pub(super) model: &'a str,
    pub(super) card: &'a ModelCard,
    pub(super) metrics: &'a Metrics,
    pub(super) details: &'a Details,
    pub(super) speed: &'a Speed,
    /// The same pictures in the same order as `evaluation`.
    pub(super) predictions: &'a Predictions<'a>,
    pub(super) evaluation: &'a Evaluation,
    /// `None` without negatives.
    pub(super) curve: Option<&'a [ThresholdPoint]>,
}

impl HtmlReport<'_> {
    pub(super) fn render(&self) -> String {
        let title = printable(&format!("{} ({})", self.card.name, self.model));
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (title) }
                    p {
                        (self.metrics.boxes) " ground-truth boxes in " (self.metrics.pictures)
                        " pictures. Below a metric is its 95% confidence interval."
                    }
                    (self.headline())
                    (self.sections())
                }
            }
        };
        page.into_string()
    }

    fn headline(&self) -> Markup {
        let Self {
            metrics, details, ..
        } = self;
        let intervals = &details.intervals;
        let objects = |of: fn(&ObjectMetrics) -> f64| details.objects.as_ref().map_or(0.0, of);
        let calibration = &details.calibration;
        let shares = [
            (
                "class accuracy, boxes",
                metrics.class_accuracy,
                Some(intervals.class_accuracy),
            ),
            ("class accuracy, pictures", metrics.picture_accuracy, None),
            (
                "mean IoU, boxes",
                metrics.mean_iou,
                Some(intervals.mean_iou),
            ),
            (
                "mean IoU, largest box",
                metrics.largest_box_mean_iou,
                Some(intervals.largest_box_mean_iou),
            ),
            (
                "largest box, IoU of 0.5 or more",
                metrics.largest_box_iou_over_half,
                Some(intervals.largest_box_iou_over_half),
            ),
            ("AP at IoU 0.5", details.ap50, Some(intervals.ap50)),
            ("AP at IoU 0.5 to 0.95", details.ap, None),
            (
                "objects, AP at IoU 0.5",
                objects(|objects| objects.ap50),
                None,
            ),
            (
                "objects, AP at IoU 0.5 to 0.95",
                objects(|objects| objects.ap),
                None,
            ),
            (
                "objects, recall",
                objects(|objects| objects.recall.at_100),
                None,
            ),
            (
                "expected calibration error",
                calibration.expected_error,
                None,
            ),
        ];
        let interval_text = |interval: Option<Interval>| {
            let text = interval.map(|Interval { low, high }| format!("{low:.4} to {high:.4}"));
            text.unwrap_or_default()
        };
        let multiply_adds = self.speed.multiply_adds.map(|count| count as f64 / 1e6);
        let multiply_adds =
            multiply_adds.map(|millions| format!("{millions:.0} million multiply-adds"));
        let megabytes = self.speed.model_bytes as f64 / 1e6;
        html! {
            dl class="figures" {
                @for (name, value, interval) in shares {
                    (tile(name, &share(Some(value)), &interval_text(interval)))
                }
                @if let Some(time) = self.speed.inference_p50_ms {
                    (tile("inference, one thread", &format!("{time:.1} ms"), "median, on this machine"))
                }
                (tile("model file", &format!("{megabytes:.2} MB"), &multiply_adds.unwrap_or_default()))
            }
        }
    }

    fn sections(&self) -> Markup {
        let (worst, best) = self.galleries();
        html! {
            (section(
                "Confidence and boxes",
                "With one box per picture, at most one of several objects in it is found, so recall and average \
                 precision stay below 1.",
                &charts(self.details),
            ))
            (section(
                "Several objects",
                "With all detections in a picture: those of the object outputs, or the one box of a model without \
                 them. Every ground-truth box can be found.",
                &object_charts(self.details),
            ))
            (section(
                "Classes",
                "Recall and mean IoU are over the ground-truth boxes of a class, precision over those in pictures \
                 predicted as the class. The columns of the objects are with all detections in a picture.",
                &by_class(&self.details.per_class),
            ))
            (section(
                "Sizes",
                "Pictures by the area of their largest ground-truth box, as a share of the picture; for the objects, \
                 ground-truth boxes by their own area.",
                &by_size(&self.details.per_size),
            ))
            (section(
                "Confusion matrix",
                "A row per true class, a column per predicted class; counts of ground-truth boxes.",
                &html! { div class="scroll confusion" { (chart::confusion(&self.metrics.confusion)) } },
            ))
            (section(
                "The worst pictures",
                "Ground-truth boxes are white, the predicted box is colored. First wrong classes by descending \
                 confidence, then boxes by ascending IoU.",
                &worst,
            ))
            (section("The best pictures", "", &best))
            @if let Some(points) = self.curve {
                (section(
                    "Thresholds and false alarms",
                    "At each threshold: the share of pictures and boxes that are found, and the share of negatives \
                     with a false alarm.",
                    &html! { div class="threshold" { (threshold_report::svg(points)) } },
                ))
            }
            (section("Model card", "", &card(self.card)))
        }
    }

    /// The worst pictures, the worst first, and the best, the best first; no picture is in both.
    fn galleries(&self) -> (Markup, Markup) {
        let predictions = self.predictions.pictures.iter();
        let mut ranked: Vec<Ranked<'_>> = predictions
            .zip(self.evaluation.pictures())
            .filter_map(|((picture, prediction), result)| {
                Some((quality(result)?, *picture, prediction, result))
            })
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let shown = GALLERY.min(ranked.len() / 2);
        let labels = &self.card.labels;
        let worst = gallery(ranked.iter().take(shown), labels);
        let best = gallery(ranked.iter().rev().take(shown), labels);
        (worst, best)
    }
}

fn section(heading: &str, description: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (heading) }
            @if !description.is_empty() {
                p { (description) }
            }
            (body)
        }
    }
}

fn tile(name: &str, value: &str, note: &str) -> Markup {
    html! {
        div { dt { (name) } dd { (value) small { (note) } } }
    }
}

fn charts(details: &Details) -> Markup {
    let histogram = &details.iou_histogram;
    let charts = [
        (
            "Reliability: accuracy of pictures over their confidence; dots are bin means",
            chart::reliability(&details.calibration),
        ),
        (
            "Precision over recall at IoU 0.5, mean over classes",
            chart::precision_recall(&details.precision_recall),
        ),
        (
            "IoU with every ground-truth box",
            chart::iou_histogram("IoU of all boxes", &histogram.boxes),
        ),
        (
            "IoU with the largest ground-truth box of a picture",
            chart::iou_histogram("IoU of the largest boxes", &histogram.largest_box),
        ),
    ];
    figures(charts)
}

fn object_charts(details: &Details) -> Markup {
    let curves = details.object_curves.iter().map(|curve| Series {
        name: format!("IoU of {:.2} or more", curve.iou),
        is_dashed: false,
        points: curve.points.clone(),
    });
    let curves: Vec<Series> = curves.collect();
    let by_class = details.per_class.iter();
    let by_class = by_class.map(|class| (class.class.clone(), class.objects_ap50));
    let by_size = details.per_size.iter();
    let by_size = by_size.map(|size| (format!("{} to {}", size.from, size.to), size.objects_ap50));
    let objects = details.objects.iter();
    let by_area = objects.flat_map(|objects| &objects.per_area);
    let by_area = by_area.map(|area| (area.area.to_owned(), area.ap50));
    figures([
        (
            "Precision over recall, mean over classes",
            chart::lines("recall", "precision", &curves),
        ),
        (
            "AP at IoU 0.5 by class",
            chart::shares(
                "objects, AP at IoU 0.5 by class",
                &by_class.collect::<Vec<_>>(),
            ),
        ),
        (
            "AP at IoU 0.5 by the area of the box, as a share of the picture",
            chart::shares(
                "objects, AP at IoU 0.5 by share",
                &by_size.collect::<Vec<_>>(),
            ),
        ),
        (
            "AP at IoU 0.5 by COCO's areas: below 32 × 32 pixels, from 96 × 96 pixels",
            chart::shares(
                "objects, AP at IoU 0.5 by area",
                &by_area.collect::<Vec<_>>(),
            ),
        ),
    ])
}

/// Charts with their captions.
fn figures(charts: [(&str, Markup); 4]) -> Markup {
    html! {
        div class="charts" {
            @for (caption, chart) in charts {
                figure { figcaption { (caption) } (chart) }
            }
        }
    }
}

fn by_class(classes: &[ClassMetrics]) -> Markup {
    html! {
        div class="scroll" {
            table {
                tr {
                    th { "class" } th { "boxes" } th { "recall" } th { "precision" } th { "mean IoU" }
                    th { "AP50" } th { "AP" } th { "objects, AP50" } th { "objects, AP" } th { "objects, recall" }
                }
                @for class in classes {
                    tr {
                        td { (printable(&class.class)) }
                        td { (class.boxes) }
                        (bars(&[class.recall, class.precision, class.mean_iou, class.ap50, class.ap]))
                        (bars(&[class.objects_ap50, class.objects_ap, class.objects_recall]))
                    }
                }
            }
        }
    }
}

fn by_size(sizes: &[SizeMetrics]) -> Markup {
    html! {
        div class="scroll" {
            table {
                tr {
                    th { "area" } th { "pictures" } th { "class accuracy" } th { "mean IoU" }
                    th { "IoU of 0.5 or more" } th { "objects, AP50" }
                }
                @for size in sizes {
                    tr {
                        td { (size.from) " to " (size.to) }
                        td { (size.pictures) }
                        (bars(&[size.picture_accuracy, size.mean_iou, size.iou_over_half, size.objects_ap50]))
                    }
                }
            }
        }
    }
}

/// Table cells with a share and a bar of that length.
fn bars(shares: &[Option<f64>]) -> Markup {
    html! {
        @for &value in shares {
            td {
                (share(value))
                i style=(format!("width:{:.0}%", 90.0 * value.unwrap_or_default())) {}
            }
        }
    }
}

/// Four digits; a dash for `None`.
fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn card(card: &ModelCard) -> Markup {
    let labels: Vec<&str> = card.labels.iter().collect();
    let training = &card.training;
    let input = format!("{} × {}", card.input.width, card.input.height);
    let trained = format!(
        "{} pictures, {} epochs, seed {}",
        training.pictures, training.epochs, training.seed
    );
    let entries = [
        ("name", card.name.clone()),
        ("labels", labels.join(", ")),
        ("input", input),
        ("threshold", card.threshold.to_string()),
        ("recipe", training.recipe.clone()),
        ("data", training.data.clone()),
        ("credits", training.credits.clone()),
        ("training", trained),
    ];
    let calibration = Some(("calibration", training.calibration.clone()));
    let calibration = calibration.filter(|(_, how)| !how.is_empty());
    let entries = entries.into_iter().chain(calibration);
    let figures = card.figures.iter();
    let figures =
        figures.map(|(name, value)| (name.as_str(), format!("{value:.4} on validation pictures")));
    html! {
        dl class="card" {
            @for (name, value) in entries.chain(figures) {
                dt { (printable(name)) } dd { (printable(&value)) }
            }
        }
    }
}

/// A picture with its [`quality`].
type Ranked<'a> = (f32, &'a AnnotatedPicture, &'a Prediction, &'a PictureResult);

/// For ranking: the IoU with the largest box if the class is correct, else minus the confidence. `None` without a
/// ground-truth box.
fn quality(result: &PictureResult) -> Option<f32> {
    let iou = result.largest_iou()?;
    let is_correct = result.correct_boxes() > 0 || result.is_correct();
    Some(if is_correct { iou } else { -result.confidence })
}

fn gallery<'a>(pictures: impl Iterator<Item = &'a Ranked<'a>>, labels: &Labels) -> Markup {
    html! {
        div class="gallery" {
            @for picture in pictures { (figure(picture, labels)) }
        }
    }
}

/// A picture with its boxes and a caption; empty if it can't be read any more.
fn figure((_, picture, prediction, result): &Ranked<'_>, labels: &Labels) -> Markup {
    let (top, confidence) = prediction.top();
    let name = labels.name(top).unwrap_or("?");
    let predicted = printable(&format!("{name} {:.0}%", confidence * 100.0));
    let Some((image, jpeg)) = thumbnail_jpeg(picture, prediction, &predicted) else {
        return html! {};
    };
    let truth = picture.largest_box();
    let truth = printable(truth.map_or("", |truth| &truth.class_name));
    let iou = result.largest_iou().unwrap_or_default();
    let file = picture.path.file_name().unwrap_or_default();
    let file = PathText::of(Path::new(file)).text;
    let file = printable(&format!("{}/{file}", picture.folder));
    html! {
        figure {
            img width=(image.width()) height=(image.height())
                alt={ "true: " (truth) ", predicted: " (predicted) }
                src={ "data:image/jpeg;base64," (BASE64_STANDARD.encode(&jpeg)) };
            figcaption {
                b { (predicted) } ", true: " (truth) (format!(", IoU {iou:.2}"))
                br;
                small { (file) }
            }
        }
    }
}

/// A small copy with the ground-truth boxes and the predicted one.
fn thumbnail_jpeg(
    picture: &AnnotatedPicture,
    prediction: &Prediction,
    predicted: &str,
) -> Option<(RgbImage, Vec<u8>)> {
    let image = picture.frame().ok()?.image.into_rgb();
    let (width, height) = image.dimensions();
    let scale = f64::from(MAX_SIDE) / f64::from(width.max(height).max(1));
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let mut small = thumbnail(&image, side(width), side(height));
    let truth = picture.annotations.iter().map(|annotation| GroundTruth {
        label: annotation.class_name.clone(),
        bounding_box: annotation.bounding_box,
    });
    let truth: Vec<GroundTruth> = truth.collect();
    let mut canvas = Canvas::new(&mut small);
    let Ok(()) = overlay::draw_ground_truth(&mut canvas, &truth);
    let predicted_box = prediction.bounding_box();
    let Ok(()) = overlay::draw_box(&mut canvas, predicted_box, PREDICTED, predicted);
    let jpeg = encode_jpeg(&small, JPEG_QUALITY).ok()?;
    Some((small, jpeg))
}

#[cfg(test)]
mod tests {
    use boxcam::dataset::Annotation;
    use boxcam::geometry::NormBox;

    use super::*;

    fn annotation(class_name: &str, x_max: f32) -> Annotation {
        Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: NormBox::new(0.0, x_max, 0.0, 1.0).expect("valid"),
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        }
    }

    #[test]
    fn a_confident_wrong_class_is_worse_than_a_bad_box() {
        let labels = Labels::new(vec!["apple".to_owned(), "cake".to_owned()]).expect("valid");
        let mut evaluation = Evaluation::new(labels);
        for (apple, annotations) in [
            (0.1, vec![annotation("apple", 1.0)]),
            (0.9, vec![annotation("apple", 0.1)]),
            (0.9, vec![]),
        ] {
            let prediction = Prediction::new(vec![apple, 1.0 - apple], [0.0, 1.0, 0.0, 1.0]);
            evaluation.add("apple", &annotations, &prediction.expect("valid"));
        }
        let [wrong_class, bad_box, without_box] = evaluation.pictures() else {
            panic!("three pictures");
        };
        assert_eq!(quality(wrong_class), Some(-0.9));
        assert!((quality(bad_box).expect("has a box") - 0.1).abs() < 1e-6);
        assert_eq!(quality(without_box), None);
    }

    #[test]
    fn names_are_escaped() {
        let name = "<script>\"a\" & 'b'";
        let page = section(name, name, &html! {}).into_string();
        let escaped = "&lt;script&gt;&quot;a&quot; &amp; 'b'";
        assert!(
            page.contains(&format!("<h2>{escaped}</h2><p>{escaped}</p>")),
            "{page}"
        );
    }
}
