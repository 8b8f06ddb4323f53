//! Average precision and recall with several detections in a picture, as COCO computes them (Lin et al., "Microsoft COCO", 2014,
//! and `cocoeval.py` of pycocotools).
//!
//! In a picture, the detections of a class are visited from the highest score down. Each is matched with the free ground-truth
//! box of its class that it overlaps most, if the IoU is at least the threshold. For the metrics of a range of sizes, boxes
//! of other sizes neither count as missed nor do detections of other sizes count as wrong.
//!
//! The detections are those of the object outputs. A model without them is measured with its one box in each picture.

use serde::Serialize;

use super::average_precision::{RECALLS, recall};
use super::{ImageId, Mean, Predicted, Predictions};
use crate::dataset::Annotation;
use crate::detect::Detection;
use crate::geometry::NormBox;
use crate::label::{ClassId, Labels};
pub(super) use ranking::ObjectRanking;
use ranking::{ClassRanking, Truth, matches, threshold};

mod ranking;

/// The steps of the thresholds 0.5 and 0.75, whose curves are drawn.
const CHART_THRESHOLDS: [usize; 2] = [0, 5];

/// Detections of a class that count in a picture.
const MOST: usize = 100;

/// COCO's bounds of small, medium and large boxes, in square pixels.
const AREA_BOUNDS: [(&str, f64, f64); 3] = [
    ("small", 0.0, 32.0 * 32.0),
    ("medium", 32.0 * 32.0, 96.0 * 96.0),
    ("large", 96.0 * 96.0, 1e10),
];

/// Detections and ground-truth boxes, picture by picture.
#[derive(Debug, Clone)]
pub struct ObjectEvaluation {
    labels: Labels,
    pictures: Vec<PictureObjects>,
}

#[derive(Debug, Clone, Default)]
struct PictureObjects {
    /// Position among the predictions.
    index: usize,
    /// Of classes that the model knows.
    truths: Vec<ClassBox>,
    /// The highest score first.
    detections: Vec<(f64, ClassBox)>,
}

#[derive(Debug, Clone, Copy)]
struct ClassBox {
    class: usize,
    pixels: PixelBox,
    /// Area as a share of the picture's.
    share: f32,
}

/// A box in pixels, as in a file of COCO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelBox {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// Metrics of the detections of a model. A mean over nothing is 0 here, and `None` in `per_area`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectMetrics {
    /// Average precision at an IoU of 0.5, mean over the classes that have ground-truth boxes.
    pub ap50: f64,
    /// The same, mean over the IoU thresholds 0.5, 0.55, ... 0.95.
    pub ap: f64,
    pub recall: Recalls,
    /// By COCO's areas.
    pub per_area: Vec<AreaMetrics>,
}

/// Share of ground-truth boxes that are found, mean over the IoU thresholds and the classes, by the maximum number of
/// detections of a class in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recalls {
    #[serde(rename = "1")]
    pub at_1: f64,
    #[serde(rename = "10")]
    pub at_10: f64,
    #[serde(rename = "100")]
    pub at_100: f64,
}

/// The metrics of the ground-truth boxes of a range of areas.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AreaMetrics {
    /// `small` (below 32 x 32 pixels), `medium` or `large` (from 96 x 96 pixels).
    pub area: &'static str,
    /// Number of ground-truth boxes.
    #[serde(rename = "rows")]
    pub boxes: usize,
    pub ap50: Option<f64>,
    pub ap: Option<f64>,
    /// With up to 100 detections of a class in a picture.
    pub recall: Option<f64>,
}

/// Precision over recall with several detections in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectCurve {
    /// The threshold.
    pub iou: f64,
    /// Pairs of recall and precision. The mean of the precisions is the average precision.
    pub points: Vec<(f64, f64)>,
}

/// The metrics of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ClassObjects {
    pub(super) ap50: f64,
    pub(super) ap: f64,
    pub(super) recall: f64,
    /// Number of ground-truth boxes.
    pub(super) boxes: usize,
}

impl PixelBox {
    /// Of a picture of `width` x `height` pixels.
    #[must_use]
    pub fn new(bounding_box: &NormBox, [width, height]: [u32; 2]) -> Self {
        let [x_min, x_max, y_min, y_max] = bounding_box.corners().map(f64::from);
        let (width, height) = (f64::from(width), f64::from(height));
        Self {
            x: x_min * width,
            y: y_min * height,
            width: (x_max - x_min) * width,
            height: (y_max - y_min) * height,
        }
    }

    #[must_use]
    pub fn area(&self) -> f64 {
        self.width * self.height
    }

    fn iou(&self, other: &Self) -> f64 {
        let end = |one: f64, other: f64| one.min(other);
        let width = end(self.x + self.width, other.x + other.width) - self.x.max(other.x);
        let height = end(self.y + self.height, other.y + other.height) - self.y.max(other.y);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let shared = width * height;
        shared / (self.area() + other.area() - shared)
    }
}

/// Whether a box is in the range of sizes that is measured.
type SizeRange<'a> = &'a dyn Fn(&ClassBox) -> bool;

impl ObjectEvaluation {
    /// Without any picture yet.
    #[must_use]
    pub const fn new(labels: Labels) -> Self {
        Self {
            labels,
            pictures: Vec::new(),
        }
    }

    /// Of predictions, in the order of their [`ImageId`]s.
    #[must_use]
    pub fn of<T: Predicted>(predictions: &Predictions<'_, T>, labels: Labels) -> Self {
        let mut evaluation = Self::new(labels);
        for index in ordered(predictions) {
            let (picture, prediction) = &predictions.pictures[index];
            let detections = prediction.ranked_detections();
            let size = predictions.sizes[index];
            evaluation.insert(index, size, &picture.annotations, &detections);
        }
        evaluation
    }

    /// Of predictions, with another model's detections in the same pictures, in the same order, as ground truth.
    pub(super) fn against<T: Predicted>(
        predictions: &Predictions<'_, T>,
        reference: &[Vec<Detection>],
        min_score: f32,
        labels: Labels,
    ) -> Self {
        let mut evaluation = Self::new(labels);
        for index in ordered(predictions) {
            let detections = predictions.pictures[index].1.ranked_detections();
            let truths = confident(&reference[index], min_score);
            evaluation.insert_boxes(index, predictions.sizes[index], truths, &detections);
        }
        evaluation
    }

    /// The same of the detections in pictures of unknown size, for which there are no metrics by area.
    pub(super) fn of_detections(
        detections: &[Vec<Detection>],
        reference: &[Vec<Detection>],
        min_score: f32,
        labels: Labels,
    ) -> Self {
        let mut evaluation = Self::new(labels);
        for (index, (found, reference)) in detections.iter().zip(reference).enumerate() {
            let truths = confident(reference, min_score);
            evaluation.insert_boxes(index, [1, 1], truths, found);
        }
        evaluation
    }

    /// Adds a picture: its width and height in pixels, its ground-truth boxes and the prediction for it.
    pub fn add(&mut self, size: [u32; 2], annotations: &[Annotation], prediction: &impl Predicted) {
        let detections = prediction.ranked_detections();
        self.insert(self.pictures.len(), size, annotations, &detections);
    }

    /// Adds a picture: its position among the predictions, its width and height in pixels, its ground-truth boxes and the
    /// detections in it, the highest score first.
    fn insert(
        &mut self,
        index: usize,
        size: [u32; 2],
        annotations: &[Annotation],
        detections: &[Detection],
    ) {
        let known = annotations
            .iter()
            .filter_map(|truth| Some((self.labels.find(&truth.class_name)?, &truth.bounding_box)));
        let truths: Vec<_> = known.collect();
        self.insert_boxes(index, size, truths, detections);
    }

    /// [`Self::insert`] with the class and the box of each ground truth.
    fn insert_boxes<'b>(
        &mut self,
        index: usize,
        size: [u32; 2],
        truths: impl IntoIterator<Item = (ClassId, &'b NormBox)>,
        detections: &[Detection],
    ) {
        let boxed = |class: ClassId, bounding_box: &NormBox| ClassBox {
            class: class.index(),
            pixels: PixelBox::new(bounding_box, size),
            share: bounding_box.area(),
        };
        let truths = truths.into_iter();
        let detections = detections.iter().map(|found| {
            let confidence = f64::from(found.confidence);
            (confidence, boxed(found.class, &found.bounding_box))
        });
        self.pictures.push(PictureObjects {
            index,
            truths: truths.map(|(class, found)| boxed(class, found)).collect(),
            detections: detections.collect(),
        });
    }

    /// AP50 over all pictures, as in [`Self::metrics`].
    #[must_use]
    pub fn ap50(&self) -> f64 {
        mean(&self.per_class(), |class| class.ap50).unwrap_or_default()
    }

    /// Over all pictures.
    #[must_use]
    pub fn metrics(&self) -> ObjectMetrics {
        let all = self.by_class(&|_| true, MOST);
        let recall_at = |most| mean(&self.by_class(&|_| true, most), |class| class.recall);
        ObjectMetrics {
            ap50: mean(&all, |class| class.ap50).unwrap_or_default(),
            ap: mean(&all, |class| class.ap).unwrap_or_default(),
            recall: Recalls {
                at_1: recall_at(1).unwrap_or_default(),
                at_10: recall_at(10).unwrap_or_default(),
                at_100: recall_at(MOST).unwrap_or_default(),
            },
            per_area: AREA_BOUNDS.map(|bounds| self.area_metrics(bounds)).to_vec(),
        }
    }

    fn area_metrics(&self, (area, from, to): (&'static str, f64, f64)) -> AreaMetrics {
        // As pycocotools, in which both bounds are inclusive.
        let is_in = |found: &ClassBox| (from..=to).contains(&found.pixels.area());
        let classes = self.by_class(&is_in, MOST);
        AreaMetrics {
            area,
            boxes: classes.iter().flatten().map(|class| class.boxes).sum(),
            ap50: mean(&classes, |class| class.ap50),
            ap: mean(&classes, |class| class.ap),
            recall: mean(&classes, |class| class.recall),
        }
    }

    /// Of each class, in the order of the labels; `None` for a class without ground-truth boxes.
    pub(super) fn per_class(&self) -> Vec<Option<ClassObjects>> {
        self.by_class(&|_| true, MOST)
    }

    /// AP50 of the boxes whose share of the picture's area is in a range; `None` without ground-truth boxes.
    pub(super) fn ap50_of_size(&self, is_in: impl Fn(f32) -> bool) -> Option<f64> {
        let classes = self.by_class(&|found| is_in(found.share), MOST);
        mean(&classes, |class| class.ap50)
    }

    /// Precision over recall at IoUs of 0.5 and 0.75, mean over the classes that have ground-truth boxes.
    pub(super) fn precision_recall(&self) -> Vec<ObjectCurve> {
        let rankings = self.ranking().0;
        let curve = |step| {
            let classes = rankings.iter().filter_map(|class| class.precisions(step));
            let classes: Vec<Vec<f64>> = classes.collect();
            let count = classes.len().max(1) as f64;
            let mean = |at: usize| classes.iter().map(|class| class[at]).sum::<f64>() / count;
            ObjectCurve {
                iou: threshold(step),
                points: (0..RECALLS).map(|at| (recall(at), mean(at))).collect(),
            }
        };
        CHART_THRESHOLDS.map(curve).to_vec()
    }

    /// The detections of every class, ranked once and reused for every bootstrap sample.
    pub(super) fn ranking(&self) -> ObjectRanking {
        let classes = 0..self.labels.len();
        ObjectRanking(classes.map(|c| self.ranked(c, &|_| true, MOST)).collect())
    }

    fn by_class(&self, is_in: SizeRange<'_>, most: usize) -> Vec<Option<ClassObjects>> {
        let classes = 0..self.labels.len();
        let of = |class| self.ranked(class, is_in, most).metrics(|_| 1);
        classes.map(of).collect()
    }

    fn ranked(&self, class: usize, is_in: SizeRange<'_>, most: usize) -> ClassRanking {
        let mut boxes = Vec::new();
        let mut ranked = Vec::new();
        for picture in &self.pictures {
            let truths = picture.truths.iter().filter(|truth| truth.class == class);
            let mut truths: Vec<Truth<'_>> = truths
                .map(|found| Truth {
                    found,
                    is_ignored: !is_in(found),
                })
                .collect();
            // Stable, as the order decides between equal IoUs.
            truths.sort_by_key(|truth| truth.is_ignored);
            let counted = truths.iter().filter(|truth| !truth.is_ignored).count();
            if counted > 0 {
                boxes.push((picture.index, counted));
            }
            let detections = picture.detections.iter();
            let detections = detections.filter(|(_, found)| found.class == class);
            let detections: Vec<&(f64, ClassBox)> = detections.take(most).collect();
            let matches = matches(&truths, &detections, is_in);
            let scores = detections.iter().map(|(score, _)| *score);
            let matched = scores.zip(matches);
            ranked.extend(matched.map(|(score, matches)| (score, picture.index, matches)));
        }
        // Stable, so that equal scores keep the order of the pictures.
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let detections = ranked.into_iter().map(|(_, index, found)| (index, found));
        ClassRanking {
            boxes,
            detections: detections.collect(),
        }
    }
}

/// Class and box of the detections with at least this score.
fn confident(
    detections: &[Detection],
    min_score: f32,
) -> impl Iterator<Item = (ClassId, &NormBox)> {
    let confident = detections.iter();
    confident
        .filter(move |found| found.confidence >= min_score)
        .map(|found| (found.class, &found.bounding_box))
}

/// Positions of the predictions in the order of their [`ImageId`]s: pycocotools breaks ties between equal scores in it.
fn ordered<T>(predictions: &Predictions<'_, T>) -> Vec<usize> {
    let ids = ImageId::of(predictions);
    let mut positions: Vec<usize> = (0..ids.len()).collect();
    positions.sort_by(|&a, &b| ids[a].cmp(&ids[b]));
    positions
}

/// Over the classes that have ground-truth boxes; `None` without any.
fn mean(classes: &[Option<ClassObjects>], of: impl Fn(&ClassObjects) -> f64) -> Option<f64> {
    let mut mean = Mean::default();
    classes
        .iter()
        .flatten()
        .for_each(|class| mean.add(of(class)));
    mean.non_empty()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::annotation;
    use super::*;
    use crate::detect::Prediction;

    const SIZE: [u32; 2] = [100, 100];

    fn labels() -> Labels {
        Labels::new(["apple", "banana"].map(str::to_owned).to_vec()).expect("valid")
    }

    fn empty() -> ObjectEvaluation {
        ObjectEvaluation::new(labels())
    }

    /// Adds a picture in which these objects are found: class, score, corners.
    fn add(
        evaluation: &mut ObjectEvaluation,
        truths: &[Annotation],
        found: &[(usize, f32, [f32; 4])],
    ) {
        let detections = found.iter().map(|(class, confidence, corners)| Detection {
            class: ClassId::new(*class),
            confidence: *confidence,
            bounding_box: NormBox::from_regression(*corners).expect("finite"),
        });
        let detections: Vec<Detection> = detections.collect();
        let index = evaluation.pictures.len();
        evaluation.insert(index, SIZE, truths, &detections);
    }

    const LEFT: [f32; 4] = [0.0, 0.4, 0.0, 0.4];
    const RIGHT: [f32; 4] = [0.6, 1.0, 0.0, 0.4];
    const TINY: [f32; 4] = [0.5, 0.6, 0.8, 0.9];

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn every_ground_truth_box_can_be_found_once() {
        let mut evaluation = empty();
        let truths = [annotation("apple", LEFT), annotation("apple", RIGHT)];
        let found = [
            (0, 0.9, LEFT),
            (0, 0.8, [0.0, 0.4, 0.0, 0.39]),
            (0, 0.7, RIGHT),
        ];
        add(&mut evaluation, &truths, &found);
        let metrics = evaluation.metrics();
        // A hit, a second detection of the same apple, a hit.
        assert_near(metrics.ap50, (51.0 + 50.0 * 2.0 / 3.0) / 101.0);
        assert_near(metrics.ap, metrics.ap50);
        assert_near(metrics.recall.at_1, 0.5);
        assert_near(metrics.recall.at_10, 1.0);
        assert_near(metrics.recall.at_100, 1.0);
    }

    #[test]
    fn classes_are_measured_apart() {
        let mut evaluation = empty();
        let truths = [annotation("apple", LEFT), annotation("kiwi", RIGHT)];
        add(&mut evaluation, &truths, &[(1, 0.9, LEFT), (0, 0.5, LEFT)]);
        let [apple, banana] = evaluation.per_class()[..] else {
            panic!("two classes");
        };
        assert_near(apple.expect("has a box").ap, 1.0);
        assert_eq!(banana, None, "no bananas");
        assert_near(evaluation.metrics().ap, 1.0);
        let curves = evaluation.precision_recall();
        let ious: Vec<f64> = curves.iter().map(|curve| curve.iou).collect();
        assert!(ious[0] == 0.5 && (ious[1] - 0.75).abs() < 1e-9 && ious.len() == 2);
        assert!(
            curves[0]
                .points
                .iter()
                .all(|(_, precision)| *precision == 1.0)
        );
        add(&mut evaluation, &[annotation("banana", RIGHT)], &[]);
        assert_near(evaluation.metrics().ap, 0.5);
        let (last, precision) = evaluation.precision_recall()[1].points[100];
        assert_near(last, 1.0);
        assert_near(precision, 0.5);
    }

    #[test]
    fn boxes_of_other_sizes_are_ignored() {
        let mut evaluation = empty();
        let truths = [annotation("apple", LEFT), annotation("apple", TINY)];
        add(&mut evaluation, &truths, &[(0, 0.9, LEFT), (0, 0.8, TINY)]);
        // On the small side, the apple that was missed counts; on the other, the wrong detection.
        let truths = [annotation("apple", TINY)];
        add(&mut evaluation, &truths, &[(0, 0.95, RIGHT)]);
        let metrics = evaluation.metrics();
        let [small, medium, large] = metrics.per_area.as_slice() else {
            panic!("three ranges");
        };
        assert_eq!((small.boxes, medium.boxes, large.boxes), (2, 1, 0));
        assert_near(small.ap50.expect("has boxes"), 51.0 / 101.0);
        assert_near(small.recall.expect("has boxes"), 0.5);
        assert_near(medium.ap50.expect("has boxes"), 0.5);
        assert_eq!((large.ap50, large.recall), (None, None));
        assert_near(
            evaluation.ap50_of_size(|share| share < 0.05).expect("some"),
            51.0 / 101.0,
        );
        assert_eq!(evaluation.ap50_of_size(|share| share > 0.5), None);
    }

    #[test]
    fn a_model_without_objects_is_measured_with_its_one_box() {
        let mut evaluation = empty();
        let truths = [annotation("apple", LEFT), annotation("apple", RIGHT)];
        let image = Prediction::new(vec![0.3, 0.2], LEFT).expect("valid");
        evaluation.add(SIZE, &truths, &image);
        let metrics = evaluation.metrics();
        assert_near(evaluation.ap50(), metrics.ap50);
        assert_near(metrics.ap50, 51.0 / 101.0);
        assert_near(metrics.recall.at_100, 0.5);
    }

    /// A sample of the pictures has the metrics of the pictures in it, as often as they are in it.
    #[test]
    fn pictures_count_as_often_as_their_weight() {
        let pictures = [
            (LEFT, vec![(0, 0.9, LEFT), (0, 0.8, TINY)]),
            (RIGHT, vec![(0, 0.7, [0.6, 1.0, 0.0, 0.3]), (0, 0.95, TINY)]),
            (TINY, vec![(0, 0.6, LEFT)]),
        ];
        let mut all = empty();
        for (truth, found) in &pictures {
            add(&mut all, &[annotation("apple", *truth)], found);
        }
        let ranking = all.ranking();
        for weights in [[1, 1, 1], [2, 0, 1], [0, 3, 0], [1, 2, 0], [0, 0, 2]] {
            let mut sample = empty();
            for ((truth, found), times) in pictures.iter().zip(weights) {
                for _ in 0..times {
                    add(&mut sample, &[annotation("apple", *truth)], found);
                }
            }
            let expected = sample.metrics();
            let (ap50, ap) = ranking.average_precision(|picture| weights[picture]);
            assert_near(ap50, expected.ap50);
            assert_near(ap, expected.ap);
        }
        assert_eq!(ranking.average_precision(|_| 0), (0.0, 0.0));
    }

    #[test]
    fn without_pictures_metrics_are_zero() {
        let metrics = empty().metrics();
        assert_eq!(
            (metrics.ap50, metrics.ap, metrics.recall.at_100),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(metrics.per_area[0].ap50, None);
    }
}
