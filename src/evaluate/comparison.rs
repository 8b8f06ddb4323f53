//! The difference between two models, by the paired bootstrap.
//!
//! Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 13: in every sample both models have the
//! same pictures, so that what is difficult for both cancels out. The standard error of a difference is the standard deviation
//! over the samples, the interval spans their middle 95%.

use serde::Serialize;

use super::bootstrap::{Interval, Ratios, SAMPLES, SEED, sample};
use super::objects::{ObjectEvaluation, ObjectRanking};
use super::{Evaluation, Predicted, Predictions};
use crate::label::Labels;

/// Number of metrics that are compared.
const METRICS: usize = 6;

/// A metric of two models on the same pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Of the model that is evaluated.
    pub value: f64,
    /// Of the model that it is compared with.
    pub other: f64,
    /// `value - other`.
    pub difference: f64,
    /// Of the difference.
    pub standard_error: f64,
    /// The 95% confidence interval of the difference.
    #[serde(flatten)]
    pub interval: Interval,
}

/// The metrics of the same names as in the evaluation of one model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// With several detections in a picture, at an IoU of 0.5.
    pub objects_ap50: Difference,
    /// With several detections in a picture.
    pub objects_ap: Difference,
    pub class_accuracy: Difference,
    pub mean_iou: Difference,
    pub largest_box_mean_iou: Difference,
    pub largest_box_iou_over_half: Difference,
}

/// One of the two models: what its predictions add to the metrics.
pub struct Compared {
    pictures: usize,
    ratios: Ratios,
    objects: ObjectRanking,
}

impl Compared {
    #[must_use]
    pub fn of<T: Predicted>(predictions: &Predictions<'_, T>, labels: &Labels) -> Self {
        let evaluation = Evaluation::of(predictions, labels.clone());
        Self {
            pictures: predictions.pictures.len(),
            ratios: Ratios::of(&evaluation),
            objects: ObjectEvaluation::of(predictions, labels.clone()).ranking(),
        }
    }

    /// The compared metrics of a sample of the pictures.
    fn metrics(&self, weights: &[usize]) -> [f64; METRICS] {
        let (ap50, ap) = self.objects.average_precision(|picture| weights[picture]);
        let [class, iou, largest, over_half] = self.ratios.weighted(weights);
        [ap50, ap, class, iou, largest, over_half]
    }
}

impl Comparison {
    /// Compares a model with another one.
    ///
    /// # Panics
    /// If the two don't have the same number of pictures. They must be the same ones, in the same order.
    #[must_use]
    pub fn of(model: &Compared, other: &Compared) -> Self {
        assert_eq!(model.pictures, other.pictures, "of the same pictures");
        let differences = |weights: &[usize]| {
            let pairs = model
                .metrics(weights)
                .into_iter()
                .zip(other.metrics(weights));
            pairs
                .map(|(value, other)| value - other)
                .collect::<Vec<_>>()
        };
        let mut samples = [const { Vec::new() }; METRICS];
        let mut random = fastrand::Rng::with_seed(SEED);
        for _ in 0..SAMPLES {
            let weights = sample(&mut random, model.pictures);
            for (values, difference) in samples.iter_mut().zip(differences(&weights)) {
                values.push(difference);
            }
        }
        let all = vec![1; model.pictures];
        let (values, others) = (model.metrics(&all), other.metrics(&all));
        let mut metrics = samples.into_iter().zip(values.into_iter().zip(others));
        let mut next = || {
            let (samples, (value, other)) = metrics.next().expect("one of each metric");
            Difference::new(value, other, samples)
        };
        Self {
            objects_ap50: next(),
            objects_ap: next(),
            class_accuracy: next(),
            mean_iou: next(),
            largest_box_mean_iou: next(),
            largest_box_iou_over_half: next(),
        }
    }
}

impl Difference {
    /// `samples`: the difference in each bootstrap sample.
    fn new(value: f64, other: f64, samples: Vec<f64>) -> Self {
        Self {
            value,
            other,
            difference: value - other,
            standard_error: standard_deviation(&samples),
            interval: Interval::of(samples),
        }
    }
}

/// 0 of fewer than two values.
fn standard_deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / (count - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::RecordedPrediction;
    use super::super::fixtures::annotation;
    use super::*;
    use crate::dataset::AnnotatedPicture;
    use crate::detect::Detection;
    use crate::geometry::NormBox;
    use crate::label::ClassId;

    const PICTURES: usize = 100;

    const BOX: [f32; 4] = [0.1, 0.5, 0.1, 0.5];

    fn labels() -> Labels {
        Labels::new(["apple", "banana"].map(str::to_owned).to_vec()).expect("valid")
    }

    fn pictures() -> Vec<AnnotatedPicture> {
        let picture = |index| AnnotatedPicture {
            path: format!("apple/{index:03}.jpg").into(),
            folder: "apple".to_owned(),
            annotations: vec![annotation("apple", BOX)],
            exhaustive: None,
        };
        (0..PICTURES).map(picture).collect()
    }

    /// A model that is right where `is_right`: a picture's apple, in its box; else a banana in half of the box.
    fn compared(pictures: &[AnnotatedPicture], is_right: impl Fn(usize) -> bool) -> Compared {
        let found = |index: usize| {
            let [x_min, x_max, y_min, y_max] = BOX;
            let (class, y_max) = match is_right(index) {
                true => (0, y_max),
                false => (1, (y_min + y_max) / 2.0),
            };
            let primary = Detection {
                class: ClassId::new(class),
                confidence: 0.9,
                bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("valid"),
            };
            RecordedPrediction {
                primary,
                objects: Some(vec![primary]),
            }
        };
        let predictions = Predictions {
            pictures: pictures.iter().zip((0..).map(found)).collect(),
            sizes: vec![[100, 100]; pictures.len()],
            skipped: Vec::new(),
        };
        Compared::of(&predictions, &labels())
    }

    /// Both models are right in 70 pictures, one of them in 10 more: the standard error of the difference is
    /// `sqrt(0.1 * 0.9 / 100)`, 0.03; without the pairs it would be `sqrt(0.7 * 0.3 / 100 + 0.8 * 0.2 / 100)`, 0.061.
    #[test]
    fn what_both_models_do_cancels_out() {
        let pictures = pictures();
        let better = compared(&pictures, |index| index < 80);
        let other = compared(&pictures, |index| index < 70);
        let comparison = Comparison::of(&better, &other);
        let class = comparison.class_accuracy;
        assert!((class.value - 0.8).abs() < 1e-9 && (class.other - 0.7).abs() < 1e-9);
        assert!((class.difference - 0.1).abs() < 1e-9);
        assert!((class.standard_error - 0.03).abs() < 0.003, "{class:?}");
        let Interval { low, high } = class.interval;
        assert!((low - (0.1 - 1.96 * 0.03)).abs() < 0.015, "{low}");
        assert!((high - (0.1 + 1.96 * 0.03)).abs() < 0.015, "{high}");
        // A picture that is wrong has half of the IoU.
        let iou = comparison.mean_iou;
        assert!((iou.difference - 0.05).abs() < 1e-6 && (iou.standard_error - 0.015).abs() < 0.002);
        assert!(comparison.objects_ap50.interval.low > 0.0);
        assert_eq!(comparison, Comparison::of(&better, &other), "a fixed seed");
    }

    #[test]
    fn the_other_way_round_the_signs_change() {
        let pictures = pictures();
        let one = compared(&pictures, |index| index % 3 == 0);
        let other = compared(&pictures, |index| index % 2 == 0);
        let there = Comparison::of(&one, &other).objects_ap50;
        let back = Comparison::of(&other, &one).objects_ap50;
        assert_eq!((there.value, there.other), (back.other, back.value));
        assert_eq!(there.difference, -back.difference);
        assert!((there.interval.low + back.interval.high).abs() < 1e-9);
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let pictures = pictures();
        let model = compared(&pictures, |index| index % 2 == 0);
        let Difference {
            difference,
            standard_error,
            interval,
            ..
        } = Comparison::of(&model, &model).objects_ap;
        assert_eq!((difference, standard_error), (0.0, 0.0));
        assert_eq!(interval, Interval::default());
    }

    #[test]
    fn without_pictures_everything_is_zero() {
        let none = compared(&[], |_| true);
        let ap = Comparison::of(&none, &none).objects_ap;
        assert_eq!((ap.value, ap.standard_error), (0.0, 0.0));
    }
}
