//! Metrics beyond the headline: average precision, intervals, calibration, histograms, and metrics per size and class.

use serde::Serialize;

use super::average_precision::PrecisionRecall;
use super::bootstrap::Intervals;
use super::objects::{ObjectCurve, ObjectEvaluation, ObjectMetrics};
use super::{CORRECT_IOU, Evaluation, Mean, PictureResult};
use crate::label::ClassId;

/// Number of bins over `0..=1`, of the calibration and of the IoU histogram.
const BINS: usize = 10;

/// Upper bounds of the size ranges, as shares of a picture's area.
const SIZE_BOUNDS: [f32; 5] = [0.05, 0.15, 0.3, 0.6, 1.0];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// Average precision at an IoU of 0.5, mean over the classes that have ground-truth boxes.
    pub ap50: f64,
    /// The same, mean over the IoU thresholds 0.5, 0.55, ... 0.95.
    pub ap: f64,
    /// With several detections in a picture; `None` until [`Self::with_objects`].
    pub objects: Option<ObjectMetrics>,
    pub intervals: Intervals,
    pub calibration: Calibration,
    pub iou_histogram: IouHistogram,
    /// The smallest size first.
    pub per_size: Vec<SizeMetrics>,
    /// In the order of the labels.
    pub per_class: Vec<ClassMetrics>,
    /// For the chart.
    #[serde(skip)]
    pub precision_recall: PrecisionRecall,
    /// For the chart; empty until [`Self::with_objects`].
    #[serde(skip)]
    pub object_curves: Vec<ObjectCurve>,
}

impl Details {
    #[must_use]
    pub fn of(evaluation: &Evaluation) -> Self {
        let precision_recall = PrecisionRecall::of(evaluation);
        let mean = precision_recall.mean();
        Self {
            ap50: mean.ap50,
            ap: mean.ap,
            objects: None,
            intervals: Intervals::of(evaluation),
            calibration: Calibration::of(evaluation),
            iou_histogram: IouHistogram::of(evaluation),
            per_size: SizeMetrics::of(evaluation),
            per_class: ClassMetrics::of(evaluation, &precision_recall),
            precision_recall,
            object_curves: Vec::new(),
        }
    }

    /// Adds the metrics with several detections in a picture.
    #[must_use]
    pub fn with_objects(mut self, objects: &ObjectEvaluation) -> Self {
        self.objects = Some(objects.metrics());
        self.object_curves = objects.precision_recall();
        for (index, size) in self.per_size.iter_mut().enumerate() {
            size.objects_ap50 = objects.ap50_of_size(|share| size_index(share) == index);
        }
        for (class, found) in self.per_class.iter_mut().zip(objects.per_class()) {
            class.objects_ap50 = found.map(|found| found.ap50);
            class.objects_ap = found.map(|found| found.ap);
            class.objects_recall = found.map(|found| found.recall);
        }
        self
    }
}

/// The metrics of one class, over its ground-truth boxes. A mean over nothing is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassMetrics {
    pub class: String,
    /// Number of ground-truth boxes of the class.
    #[serde(rename = "rows")]
    pub boxes: usize,
    /// Share of those in pictures whose top class is this class.
    pub recall: Option<f64>,
    /// Of the ground-truth boxes in pictures whose top class is this class, the share that are of the class. Boxes of
    /// classes that the model doesn't know count too.
    pub precision: Option<f64>,
    /// Mean IoU of the predicted box with each of its boxes, whatever the predicted class.
    pub mean_iou: Option<f64>,
    pub ap50: Option<f64>,
    pub ap: Option<f64>,
    /// With several detections in a picture.
    pub objects_ap50: Option<f64>,
    pub objects_ap: Option<f64>,
    /// With up to 100 detections of the class in a picture.
    pub objects_recall: Option<f64>,
}

impl ClassMetrics {
    fn of(evaluation: &Evaluation, precision_recall: &PrecisionRecall) -> Vec<Self> {
        let names = evaluation.labels().iter().enumerate();
        names
            .map(|(index, name)| {
                let class = ClassId::new(index);
                let [mut recall, mut precision, mut overlap] = [Mean::default(); 3];
                for picture in evaluation.pictures() {
                    let is_predicted = picture.top_class == class;
                    for truth in &picture.boxes {
                        let is_true = truth.class == Some(class);
                        if is_true {
                            recall.add_hit(is_predicted);
                            overlap.add(f64::from(truth.iou));
                        }
                        if is_predicted {
                            precision.add_hit(is_true);
                        }
                    }
                }
                let average_precision = precision_recall.of_class(class);
                Self {
                    class: name.to_owned(),
                    boxes: recall.count(),
                    recall: recall.non_empty(),
                    precision: precision.non_empty(),
                    mean_iou: overlap.non_empty(),
                    ap50: average_precision.map(|precision| precision.ap50),
                    ap: average_precision.map(|precision| precision.ap),
                    objects_ap50: None,
                    objects_ap: None,
                    objects_recall: None,
                }
            })
            .collect()
    }
}

/// The metrics of pictures whose largest ground-truth box has an area of `from` up to below `to`, as shares of the
/// picture; a box of the whole picture is in the last range. A mean over nothing is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizeMetrics {
    pub from: f32,
    pub to: f32,
    /// Number of pictures.
    pub pictures: usize,
    /// Share of those whose folder is the top class.
    pub picture_accuracy: Option<f64>,
    /// Mean IoU of the predicted box with the largest ground-truth box.
    pub mean_iou: Option<f64>,
    /// Share of those with an IoU of at least 0.5.
    pub iou_over_half: Option<f64>,
    /// AP50 with several detections in a picture, of the ground-truth boxes of this size.
    pub objects_ap50: Option<f64>,
}

impl SizeMetrics {
    fn of(evaluation: &Evaluation) -> Vec<Self> {
        let lower_bounds = [0.0].into_iter().chain(SIZE_BOUNDS);
        let ranges = lower_bounds.zip(SIZE_BOUNDS).enumerate();
        let metrics = |(index, (from, to))| {
            let [mut correct, mut overlap, mut over_half] = [Mean::default(); 3];
            for picture in evaluation.pictures() {
                if let Some(largest) = picture.largest_box
                    && size_index(largest.area) == index
                {
                    correct.add_hit(picture.is_correct());
                    overlap.add(f64::from(largest.iou));
                    over_half.add_hit(largest.iou >= CORRECT_IOU);
                }
            }
            Self {
                from,
                to,
                pictures: overlap.count(),
                picture_accuracy: correct.non_empty(),
                mean_iou: overlap.non_empty(),
                iou_over_half: over_half.non_empty(),
                objects_ap50: None,
            }
        };
        ranges.map(metrics).collect()
    }
}

fn size_index(area: f32) -> usize {
    let index = SIZE_BOUNDS.iter().position(|&bound| area < bound);
    index.unwrap_or(SIZE_BOUNDS.len() - 1)
}

/// Confidence compared with accuracy: bins of equal width and the expected calibration error of Guo, Pleiss, Sun and
/// Weinberger, "On Calibration of Modern Neural Networks" (2017). A picture is correct if its folder is the top class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Mean distance of confidence and accuracy over the bins, weighted by their pictures; `0..=1`, 0 is best.
    pub expected_error: f64,
    /// From the lowest confidence to the highest.
    pub bins: Vec<CalibrationBin>,
}

/// The pictures with a confidence above `low` and up to `high`; 0 is in the first bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Exclusive.
    pub low: f64,
    /// Inclusive.
    pub high: f64,
    /// Number of pictures.
    pub pictures: usize,
    /// `None` without a picture.
    pub mean_confidence: Option<f64>,
    /// Share of correct pictures; `None` without a picture.
    pub accuracy: Option<f64>,
}

impl Calibration {
    #[must_use]
    pub fn of(evaluation: &Evaluation) -> Self {
        let mut sums = [(Mean::default(), Mean::default()); BINS];
        for picture in evaluation.pictures() {
            let (confidence, accuracy) = &mut sums[calibration_bin(picture.confidence)];
            confidence.add(f64::from(picture.confidence));
            accuracy.add_hit(picture.is_correct());
        }
        let all = evaluation.pictures().len().max(1) as f64;
        let weighted_gap = |(confidence, accuracy): &(Mean, Mean)| {
            let share = accuracy.count() as f64 / all;
            share * (confidence.value() - accuracy.value()).abs()
        };
        let bin = |(index, (confidence, accuracy)): (usize, &(Mean, Mean))| CalibrationBin {
            low: index as f64 / BINS as f64,
            high: (index + 1) as f64 / BINS as f64,
            pictures: accuracy.count(),
            mean_confidence: confidence.non_empty(),
            accuracy: accuracy.non_empty(),
        };
        Self {
            expected_error: sums.iter().map(weighted_gap).sum(),
            bins: sums.iter().enumerate().map(bin).collect(),
        }
    }
}

/// The first bin whose upper edge, as `f32`, is not below; rounding can leave a score slightly above 1.
fn calibration_bin(confidence: f32) -> usize {
    let edge = |bin: usize| (bin + 1) as f32 / BINS as f32;
    let found = (0..BINS).find(|&bin| confidence <= edge(bin));
    found.unwrap_or(BINS - 1)
}

/// Counts of boxes by IoU, in ten bins of equal width. A lower edge belongs to its bin; 1 is in the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IouHistogram {
    /// Of all ground-truth boxes.
    #[serde(rename = "rows")]
    pub boxes: [usize; BINS],
    /// Of the largest ground-truth box of each picture that has one.
    pub largest_box: [usize; BINS],
}

impl IouHistogram {
    fn of(evaluation: &Evaluation) -> Self {
        let pictures = evaluation.pictures().iter();
        let boxes = pictures.clone().flat_map(|picture| &picture.boxes);
        Self {
            boxes: histogram(boxes.map(|truth| truth.iou)),
            largest_box: histogram(pictures.filter_map(PictureResult::largest_iou)),
        }
    }
}

fn histogram(overlaps: impl Iterator<Item = f32>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for overlap in overlaps {
        // Compared as `f32`, so that an IoU of 0.7 is in the bin that starts there.
        let edge = |bin: usize| bin as f32 / BINS as f32;
        let bin = (1..BINS).rev().find(|&bin| overlap >= edge(bin));
        counts[bin.unwrap_or(0)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::LargestBox;
    use super::super::fixtures::{evaluation, result};
    use super::*;

    #[test]
    fn class_metrics_are_over_the_boxes_of_the_class() {
        let evaluation = evaluation(vec![
            result(0, 0.9, &[(0, 0.8), (1, 0.2)]),
            result(0, 0.8, &[(0, 0.6)]),
            result(0, 0.7, &[(1, 0.4)]),
        ]);
        let by_class = ClassMetrics::of(&evaluation, &PrecisionRecall::of(&evaluation));
        let [apple, banana] = by_class.as_slice() else {
            panic!("two classes");
        };
        assert_eq!((apple.boxes, apple.recall), (2, Some(1.0)));
        // Two of the four boxes in pictures predicted as apple are apples.
        assert_eq!(apple.precision, Some(0.5));
        assert!((apple.mean_iou.expect("some") - 0.7).abs() < 1e-6);
        assert_eq!((banana.boxes, banana.recall), (2, Some(0.0)));
        // Banana was never predicted: its precision is undefined, not 0.
        assert_eq!(banana.precision, None);
        assert!((banana.mean_iou.expect("some") - 0.3).abs() < 1e-6);
        assert_eq!(banana.ap50, Some(0.0));
    }

    #[test]
    fn pictures_are_grouped_by_the_area_of_their_largest_box() {
        let of_size = |area, iou, top| PictureResult {
            largest_box: Some(LargestBox { area, iou }),
            ..result(top, 0.9, &[(0, iou)])
        };
        let without_boxes = result(0, 0.9, &[]);
        let sizes = SizeMetrics::of(&evaluation(vec![
            of_size(0.01, 0.2, 0),
            of_size(0.05, 0.4, 0),
            of_size(0.149, 0.6, 1),
            of_size(1.0, 0.9, 0),
            without_boxes,
        ]));
        let counts = sizes.iter().map(|size| (size.from, size.to, size.pictures));
        let expected = [
            (0.0, 0.05, 1),
            (0.05, 0.15, 2),
            (0.15, 0.3, 0),
            (0.3, 0.6, 0),
            (0.6, 1.0, 1),
        ];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        let second = &sizes[1];
        assert!((second.mean_iou.expect("two") - 0.5).abs() < 1e-6);
        assert_eq!(second.iou_over_half, Some(0.5));
        assert_eq!(second.picture_accuracy, Some(0.5));
        assert_eq!(sizes[2].mean_iou, None);
    }

    #[test]
    fn the_calibration_error_equals_the_value_computed_by_hand() {
        let calibration = Calibration::of(&evaluation(vec![
            result(0, 0.95, &[(0, 0.5)]),
            result(0, 0.95, &[(1, 0.5)]),
            result(0, 0.5, &[(0, 0.5)]),
            result(1, 0.5, &[(1, 0.5)]),
        ]));
        let pictures: Vec<usize> = calibration.bins.iter().map(|bin| bin.pictures).collect();
        assert_eq!(pictures, [0, 0, 0, 0, 2, 0, 0, 0, 0, 2]);
        assert_eq!(calibration.bins[4].accuracy, Some(1.0));
        assert_eq!(calibration.bins[0].accuracy, None);
        // Half of the pictures are overconfident by 0.45, half underconfident by 0.5.
        assert!((calibration.expected_error - 0.475).abs() < 1e-6);
    }

    #[test]
    fn an_upper_edge_belongs_to_its_calibration_bin() {
        let bins = [0.0, 0.1, 0.3, 0.300_01, 0.7, 0.999, 1.0, 1.000_001].map(calibration_bin);
        assert_eq!(bins, [0, 0, 2, 3, 6, 9, 9, 9]);
    }

    #[test]
    fn a_lower_edge_belongs_to_its_histogram_bin() {
        let histogram = IouHistogram::of(&evaluation(vec![
            result(0, 0.9, &[(0, 0.5), (0, 0.0), (1, 0.499)]),
            result(0, 0.9, &[(0, 1.0), (0, 0.7)]),
            result(0, 0.9, &[]),
        ]));
        assert_eq!(histogram.boxes, [1, 0, 0, 0, 1, 1, 0, 1, 0, 1]);
        assert_eq!(histogram.largest_box, [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }
}
