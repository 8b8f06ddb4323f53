//! Files with the predictions for every picture: the results format of COCO, and JSON lines.

use boxcam::detect::Prediction;
use boxcam::evaluate::{ImageId, PixelBox, Predictions};
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use serde::Serialize;

/// A detection in COCO's results format.
#[derive(Serialize)]
struct CocoResult {
    image_id: ImageId,
    /// Number of the label, from 1.
    category_id: usize,
    /// `[x, y, width, height]` in pixels.
    bbox: [f64; 4],
    score: f32,
}

/// A line of `--predictions`.
#[derive(Serialize)]
struct PredictionLine<'a> {
    schema: u32,
    picture: String,
    width: u32,
    height: u32,
    /// That of the highest score.
    #[serde(flatten)]
    primary: Labeled<'a>,
    /// In the order of the labels.
    scores: &'a [f32],
    /// The highest score first; `None` if the model has no object outputs.
    objects: Option<Vec<Labeled<'a>>>,
    model: &'a str,
}

#[derive(Serialize)]
struct Labeled<'a> {
    class: &'a str,
    confidence: f32,
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

/// The version of the lines. It is incremented when a field is removed or changes its meaning.
pub(super) const LINE_SCHEMA: u32 = 1;

/// All detections as a JSON list, which pycocotools' `loadRes` reads: the objects, or the one box of a model without.
pub(super) fn coco_results(predictions: &Predictions<'_>) -> serde_json::Result<String> {
    let ids = ImageId::of(predictions);
    let pictures = predictions.pictures.iter().zip(&predictions.sizes).zip(ids);
    let results = pictures.flat_map(|(((_, prediction), size), id)| {
        let detections = prediction.ranked_detections().into_iter();
        detections.map(move |found| {
            let pixels = PixelBox::new(&found.bounding_box, *size);
            CocoResult {
                image_id: id.clone(),
                category_id: found.class.index() + 1,
                bbox: [pixels.x, pixels.y, pixels.width, pixels.height],
                score: found.confidence,
            }
        })
    });
    serde_json::to_string(&results.collect::<Vec<_>>())
}

/// One JSON line for each picture.
pub(super) fn lines(
    predictions: &Predictions<'_>,
    labels: &Labels,
    model: &str,
) -> serde_json::Result<String> {
    let mut text = String::new();
    let pictures = predictions.pictures.iter().zip(&predictions.sizes);
    for ((picture, prediction), [width, height]) in pictures {
        let line = PredictionLine {
            schema: LINE_SCHEMA,
            picture: picture.path.to_string_lossy().into_owned(),
            width: *width,
            height: *height,
            primary: primary(prediction, labels),
            scores: prediction.scores(),
            objects: prediction.objects(0.0).map(|objects| {
                let labeled = objects.iter();
                labeled
                    .map(|o| Labeled::new(labels, o.class, o.confidence, &o.bounding_box))
                    .collect()
            }),
            model,
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

fn primary<'a>(prediction: &Prediction, labels: &'a Labels) -> Labeled<'a> {
    let (class, confidence) = prediction.top();
    Labeled::new(labels, class, confidence, prediction.bounding_box())
}

impl<'a> Labeled<'a> {
    fn new(labels: &'a Labels, class: ClassId, confidence: f32, bounding_box: &NormBox) -> Self {
        let [x_min, x_max, y_min, y_max] = bounding_box.corners();
        Self {
            class: labels.name(class).unwrap_or("?"),
            confidence,
            x_min,
            x_max,
            y_min,
            y_max,
        }
    }
}
