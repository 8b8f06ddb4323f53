//! Evaluation: compares predictions with ground truth.
//!
//! [`Evaluator`] runs a detector over a [`Dataset`](crate::dataset::Dataset). [`Evaluation`] collects its predictions
//! beside the ground truth and computes [`Metrics`], [`Details`] and, with pictures that contain no object, the
//! [`threshold_curve`]. No threshold is applied before that: the top class and the box count as they are.
//!
//! [`TrackEvaluation`] compares tracks with true ones.

use serde::Serialize;

use crate::dataset::Annotation;
use crate::detect::Detection;
use crate::geometry::iou;
use crate::label::{ClassId, Labels};

mod agreement;
mod assignment;
mod average_precision;
mod bootstrap;
mod comparison;
mod details;
mod evaluator;
mod film_tracks;
mod image_id;
mod objects;
mod predicted;
mod sliding_window;
mod threshold_curve;
mod tracks;

pub use agreement::{Agreement, ClassAgreement, REFERENCE_SCORE};
pub use average_precision::{AveragePrecision, PrecisionRecall};
pub use bootstrap::{Interval, Intervals};
pub use comparison::{Compared, Comparison, Difference};
pub use details::{Calibration, CalibrationBin, ClassMetrics, Details, IouHistogram, SizeMetrics};
pub use evaluator::{Evaluator, Predictions, SkippedPicture};
pub use film_tracks::{FilmTrackError, track_film};
pub use image_id::ImageId;
pub use objects::{AreaMetrics, ObjectCurve, ObjectEvaluation, ObjectMetrics, PixelBox, Recalls};
pub use predicted::{Predicted, RecordedPrediction};
pub use threshold_curve::{FalseAlarms, NegativeResults, ThresholdPoint, threshold_curve};
pub use tracks::{TrackBox, TrackEvaluation, TrackMetrics, TrackedFrame};

/// A box is correct from this IoU on.
pub const CORRECT_IOU: f32 = 0.5;

/// Predictions compared with ground truth, picture by picture in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Evaluation {
    labels: Labels,
    pictures: Vec<PictureResult>,
}

/// The prediction for one picture, compared with its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureResult {
    /// The class of the picture's folder; `None` if the model doesn't know it.
    pub folder_class: Option<ClassId>,
    /// One entry per ground-truth box; may be empty.
    pub boxes: Vec<BoxResult>,
    /// The class with the highest score.
    pub top_class: ClassId,
    /// That score.
    pub confidence: f32,
    /// The first of equals; `None` without a ground-truth box.
    pub largest_box: Option<LargestBox>,
}

/// The largest ground-truth box of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LargestBox {
    /// As a share of the picture's area.
    pub area: f32,
    /// IoU with the predicted box, `0..=1`.
    pub iou: f32,
}

/// One ground-truth box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxResult {
    /// `None` if the model doesn't know the class.
    pub class: Option<ClassId>,
    /// IoU with the predicted box, `0..=1`.
    pub iou: f32,
    /// Squared difference of a coordinate from the predicted box, mean over the four.
    pub squared_error: f64,
}

/// The metrics of a model on annotated pictures. A mean over nothing is 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// Number of ground-truth boxes.
    #[serde(rename = "rows")]
    pub boxes: usize,
    /// Number of pictures, with and without ground-truth boxes.
    pub pictures: usize,
    /// Share of ground-truth boxes whose class is the top class.
    pub class_accuracy: f64,
    /// Share of pictures whose folder is the top class.
    pub picture_accuracy: f64,
    /// Mean IoU of the predicted box with each ground-truth box.
    pub mean_iou: f64,
    /// Mean IoU with the largest ground-truth box of each picture that has one.
    pub largest_box_mean_iou: f64,
    /// Share of those with an IoU of at least 0.5.
    pub largest_box_iou_over_half: f64,
    /// Mean squared error of a coordinate, over ground-truth boxes.
    pub box_mse: f64,
    /// Ground-truth boxes whose class the model doesn't know; they count as wrong.
    #[serde(rename = "unknown_class_rows")]
    pub unknown_class_boxes: usize,
    pub confusion: Confusion,
}

/// Confusion matrix: ground-truth boxes by true and by predicted class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// The classes, in the order of rows and columns.
    pub labels: Vec<String>,
    /// `counts[true class][predicted class]`.
    pub counts: Vec<Vec<usize>>,
}

impl Evaluation {
    /// Without any picture yet.
    #[must_use]
    pub const fn new(labels: Labels) -> Self {
        Self {
            labels,
            pictures: Vec::new(),
        }
    }

    /// Of predictions, in their order.
    #[must_use]
    pub fn of<T: Predicted>(predictions: &Predictions<'_, T>, labels: Labels) -> Self {
        let mut evaluation = Self::new(labels);
        for (picture, prediction) in &predictions.pictures {
            evaluation.add(&picture.folder, &picture.annotations, prediction);
        }
        evaluation
    }

    /// Adds a picture: its folder, its ground-truth boxes (may be empty) and the prediction for it.
    pub fn add<'a>(
        &mut self,
        folder: &str,
        annotations: impl IntoIterator<Item = &'a Annotation>,
        prediction: &impl Predicted,
    ) {
        let Detection {
            class: top_class,
            confidence,
            bounding_box: predicted,
        } = prediction.primary();
        let mut result = PictureResult {
            folder_class: self.labels.find(folder),
            boxes: Vec::new(),
            top_class,
            confidence,
            largest_box: None,
        };
        for annotation in annotations {
            let truth = &annotation.bounding_box;
            let (iou, area) = (iou(truth, &predicted), truth.area());
            if result.largest_box.is_none_or(|largest| area > largest.area) {
                result.largest_box = Some(LargestBox { area, iou });
            }
            let pairs = truth.corners().into_iter().zip(predicted.corners());
            let squares = pairs.map(|(a, b)| f64::from(a - b).powi(2));
            result.boxes.push(BoxResult {
                class: self.labels.find(&annotation.class_name),
                iou,
                squared_error: squares.sum::<f64>() / 4.0,
            });
        }
        self.pictures.push(result);
    }

    /// The classes of the model.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    #[must_use]
    pub fn pictures(&self) -> &[PictureResult] {
        &self.pictures
    }

    /// Over all pictures that were added.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let [mut class, mut overlap, mut squared_error] = [Mean::default(); 3];
        let [mut folder, mut largest, mut largest_correct] = [Mean::default(); 3];
        for picture in &self.pictures {
            folder.add_hit(picture.is_correct());
            for truth in &picture.boxes {
                class.add_hit(truth.class == Some(picture.top_class));
                overlap.add(f64::from(truth.iou));
                squared_error.add(truth.squared_error);
            }
            if let Some(iou) = picture.largest_iou() {
                largest.add(f64::from(iou));
                largest_correct.add_hit(iou >= CORRECT_IOU);
            }
        }
        let confusion = self.confusion();
        let known: usize = confusion.counts.iter().flatten().sum();
        Metrics {
            boxes: class.count(),
            pictures: self.pictures.len(),
            class_accuracy: class.value(),
            picture_accuracy: folder.value(),
            mean_iou: overlap.value(),
            largest_box_mean_iou: largest.value(),
            largest_box_iou_over_half: largest_correct.value(),
            box_mse: squared_error.value(),
            unknown_class_boxes: class.count() - known,
            confusion,
        }
    }

    fn confusion(&self) -> Confusion {
        let classes = self.labels.len();
        let mut counts = vec![vec![0; classes]; classes];
        for picture in &self.pictures {
            for class in picture.boxes.iter().filter_map(|truth| truth.class) {
                counts[class.index()][picture.top_class.index()] += 1;
            }
        }
        Confusion {
            labels: self.labels.iter().map(str::to_owned).collect(),
            counts,
        }
    }
}

impl PictureResult {
    /// IoU of the predicted box with the largest ground-truth box; `None` without one.
    #[must_use]
    pub fn largest_iou(&self) -> Option<f32> {
        self.largest_box.map(|largest| largest.iou)
    }

    /// Whether the top class is that of the folder.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.folder_class == Some(self.top_class)
    }

    /// Number of ground-truth boxes whose class is the top class.
    #[must_use]
    pub fn correct_boxes(&self) -> usize {
        self.boxes_of(self.top_class).count()
    }

    fn boxes_of(&self, class: ClassId) -> impl Iterator<Item = &BoxResult> {
        let is_of_class = move |truth: &&BoxResult| truth.class == Some(class);
        self.boxes.iter().filter(is_of_class)
    }

    /// The highest IoU with a ground-truth box of the top class; `None` without such a box.
    fn best_iou(&self) -> Option<f32> {
        let boxes = self.boxes_of(self.top_class);
        boxes.map(|truth| truth.iou).reduce(f32::max)
    }
}

/// A running mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Adds 1 for a hit and 0 for a miss, so that the mean is the share of hits.
    pub fn add_hit(&mut self, hit: bool) {
        self.add(f64::from(u8::from(hit)));
    }

    /// Number of values added.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// 0 without values.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// `None` without values.
    fn non_empty(&self) -> Option<f64> {
        (self.count > 0).then(|| self.value())
    }
}

/// Test fixtures for the submodules.
#[cfg(test)]
mod fixtures {
    use super::*;

    /// The result of a picture; each ground-truth box is given by its class and its IoU.
    pub(super) fn result(top: usize, confidence: f32, boxes: &[(usize, f32)]) -> PictureResult {
        let truth = |&(class, iou): &(usize, f32)| BoxResult {
            class: Some(ClassId::new(class)),
            iou,
            squared_error: 0.0,
        };
        PictureResult {
            folder_class: Some(ClassId::new(boxes.first().map_or(0, |truth| truth.0))),
            boxes: boxes.iter().map(truth).collect(),
            top_class: ClassId::new(top),
            confidence,
            largest_box: boxes.first().map(|&(_, iou)| LargestBox { area: 0.5, iou }),
        }
    }

    /// Of a model with two classes.
    pub(super) fn evaluation(pictures: Vec<PictureResult>) -> Evaluation {
        evaluation_of(2, pictures)
    }

    /// Of a model with one to three classes.
    pub(super) fn evaluation_of(classes: usize, pictures: Vec<PictureResult>) -> Evaluation {
        let names = ["apple", "banana", "cake"].map(str::to_owned);
        Evaluation {
            labels: Labels::new(names[..classes].to_vec()).expect("valid"),
            pictures,
        }
    }

    /// A picture of the folder `apple` without ground-truth boxes.
    pub(super) fn picture(name: &str) -> crate::dataset::AnnotatedPicture {
        crate::dataset::AnnotatedPicture {
            path: format!("apple/{name}.jpg").into(),
            folder: "apple".to_owned(),
            annotations: Vec::new(),
            exhaustive: None,
        }
    }

    /// A ground-truth box in a picture of the folder `apple`.
    pub(super) fn annotation(class_name: &str, corners: [f32; 4]) -> Annotation {
        let [x_min, x_max, y_min, y_max] = corners;
        Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: crate::geometry::NormBox::new(x_min, x_max, y_min, y_max).expect("valid"),
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{annotation, evaluation};
    use super::*;
    use crate::detect::Prediction;

    #[test]
    fn boxes_and_pictures_are_counted_separately() {
        let apple = Prediction::new(vec![0.9, 0.1], [0.0, 0.5, 0.0, 0.5]).expect("valid");
        let mut evaluation = evaluation(Vec::new());
        let annotations = [
            annotation("apple", [0.0, 0.5, 0.0, 0.5]),
            annotation("banana", [0.0, 1.0, 0.0, 1.0]),
            annotation("kiwi", [0.5, 1.0, 0.5, 1.0]),
        ];
        evaluation.add("apple", &annotations, &apple);
        evaluation.add("banana", [], &apple);
        let metrics = evaluation.metrics();
        assert_eq!((metrics.boxes, metrics.pictures), (3, 2));
        assert!((metrics.class_accuracy - 1.0 / 3.0).abs() < 1e-9);
        assert!((metrics.picture_accuracy - 0.5).abs() < 1e-9);
        assert!((metrics.mean_iou - 1.25 / 3.0).abs() < 1e-9);
        assert!((metrics.largest_box_mean_iou - 0.25).abs() < 1e-9);
        assert!(metrics.largest_box_iou_over_half.abs() < 1e-9);
        // Squared errors 0, (0.25 + 0.25) / 4 and 1 / 4.
        assert!((metrics.box_mse - (0.125 + 0.25) / 3.0).abs() < 1e-9);
        assert_eq!(metrics.unknown_class_boxes, 1);
        assert_eq!(metrics.confusion.counts, [[1, 0], [1, 0]]);
    }

    #[test]
    fn metrics_without_pictures_are_zero() {
        let metrics = evaluation(Vec::new()).metrics();
        assert_eq!((metrics.boxes, metrics.mean_iou), (0, 0.0));
    }

    #[test]
    fn a_result_has_an_entry_per_ground_truth_box() {
        let mut evaluation = evaluation(Vec::new());
        let prediction = Prediction::new(vec![0.25, 0.75], [0.0, 0.5, 0.0, 0.5]).expect("valid");
        let square = |class_name, side| annotation(class_name, [0.0, side, 0.0, side]);
        let annotations = [
            square("banana", 0.5),
            square("kiwi", 1.0),
            square("banana", 0.25),
        ];
        evaluation.add("apple", &annotations, &prediction);
        evaluation.add("banana", [], &prediction);
        let [first, second] = evaluation.pictures() else {
            panic!("two pictures");
        };
        let (apple, banana) = (ClassId::new(0), ClassId::new(1));
        assert_eq!((first.folder_class, first.top_class), (Some(apple), banana));
        let boxes: Vec<_> = first.boxes.iter().map(|b| (b.class, b.iou)).collect();
        let expected = [(Some(banana), 1.0), (None, 0.25), (Some(banana), 0.25)];
        assert_eq!(boxes, expected);
        let largest_box = Some(LargestBox {
            area: 1.0,
            iou: 0.25,
        });
        assert_eq!(
            (first.largest_box, first.best_iou()),
            (largest_box, Some(1.0))
        );
        assert_eq!((first.correct_boxes(), first.is_correct()), (2, false));
        assert!(second.is_correct() && second.largest_box.is_none());
    }
}
