//! Choice of a confidence threshold by what a model detects on annotated pictures, and on negatives.
//!
//! Among the thresholds with a false alarm on at most [`FALSE_ALARM_RATE`] of the negatives, the one with the highest F1 is
//! chosen. F1 is the harmonic mean of precision and recall; false alarms count as wrong detections. A model that is sure often
//! has the same F1 over a range of thresholds: the middle one is the farthest from missed objects and from wrong detections.
//!
//! Parts of annotated pictures are uncertain negatives: they may show objects without a box. A limit on their false alarms must
//! not cost more than half of the correct detections.

use boxcam::detect::Detection;
use boxcam::evaluate::CORRECT_IOU;
use boxcam::geometry::{NormBox, iou};
use boxcam::label::ClassId;
use serde::{Deserialize, Serialize};

/// Largest share of the negatives that may have a false alarm, if any threshold achieves it.
pub const FALSE_ALARM_RATE: f64 = 0.05;

/// Fewest negatives that a rate of false alarms is required on: one of them is [`FALSE_ALARM_RATE`].
pub const MIN_NEGATIVES: usize = 20;

/// The thresholds in percent.
const PERCENT: std::ops::RangeInclusive<u8> = 5..=95;

/// What a model detects without a threshold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScoredDetections {
    /// Score of each detection on the annotated pictures, and whether it is correct.
    pub detections: Vec<(f32, bool)>,
    /// Number of objects in these pictures.
    pub objects: usize,
    /// Highest score on each negative.
    pub negatives: Vec<f32>,
    /// Whether the negatives may show objects.
    pub are_negatives_uncertain: bool,
}

/// Which thresholds were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// Those with few false alarms.
    FewFalseAlarms,
    /// All: none has few false alarms, or with uncertain negatives, only such as miss too much.
    ManyFalseAlarms,
    /// All: there are fewer than [`MIN_NEGATIVES`] negatives.
    NoNegatives,
}

/// A threshold and how good it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChosenThreshold {
    pub threshold: f32,
    pub rule: ThresholdRule,
    /// Share of the detections that are correct, false alarms included.
    pub precision: f64,
    /// Share of the objects that are detected correctly.
    pub recall: f64,
    /// Number of objects.
    pub objects: usize,
    /// Number of negatives.
    pub negatives: usize,
    /// Number of negatives with a detection.
    pub false_alarms: usize,
}

/// Counts at one threshold.
#[derive(Debug, Clone, Copy)]
struct Counts {
    percent: u8,
    correct: usize,
    detections: usize,
    false_alarms: usize,
}

impl ScoredDetections {
    /// Adds the detections of a picture, the highest score first, and its objects. A detection is correct if it has the class
    /// of an object that no detection with a higher score has found, and an IoU of at least [`CORRECT_IOU`] with it.
    pub fn add_picture(&mut self, detections: &[Detection], objects: &[(ClassId, NormBox)]) {
        let mut is_found = vec![false; objects.len()];
        for detection in detections {
            let overlap =
                |(_, bounding_box): &(ClassId, NormBox)| iou(bounding_box, &detection.bounding_box);
            let free = objects.iter().enumerate().filter(|(index, object)| {
                !is_found[*index] && object.0 == detection.class && overlap(object) >= CORRECT_IOU
            });
            let best = free.max_by(|(_, a), (_, b)| overlap(a).total_cmp(&overlap(b)));
            self.detections.push((detection.confidence, best.is_some()));
            if let Some((index, _)) = best {
                is_found[index] = true;
            }
        }
        self.objects += objects.len();
    }

    /// The threshold by the rule of this module; `None` if no detection is correct, so that none is better than another.
    #[must_use]
    pub fn choose(&self) -> Option<ChosenThreshold> {
        let all: Vec<Counts> = PERCENT.map(|percent| self.counts(percent)).collect();
        let most = FALSE_ALARM_RATE * self.negatives.len() as f64;
        let quiet = all.iter().filter(|c| c.false_alarms as f64 <= most);
        let quiet: Vec<Counts> = quiet.copied().collect();
        let best_of_all = self.best(&all)?;
        let (rule, best) = match self.best(&quiet) {
            _ if self.negatives.len() < MIN_NEGATIVES => (ThresholdRule::NoNegatives, best_of_all),
            Some(quiet) if !self.misses_too_much(quiet, best_of_all) => {
                (ThresholdRule::FewFalseAlarms, quiet)
            }
            _ => (ThresholdRule::ManyFalseAlarms, best_of_all),
        };
        Some(self.at(&best, rule))
    }

    /// Whether a limit on the false alarms of uncertain negatives costs more than half of the correct detections.
    fn misses_too_much(&self, quiet: Counts, best: Counts) -> bool {
        self.are_negatives_uncertain && 2 * quiet.correct < best.correct
    }

    /// The counts with the highest F1, the middle of equals; `None` if all are 0.
    fn best(&self, compared: &[Counts]) -> Option<Counts> {
        let best = compared.iter().map(|c| self.f1(c)).fold(0.0, f64::max);
        let equal = compared.iter().filter(|c| best > 0.0 && self.f1(c) >= best);
        let equal: Vec<&Counts> = equal.collect();
        equal.get(equal.len() / 2).map(|counts| **counts)
    }

    fn counts(&self, percent: u8) -> Counts {
        let threshold = threshold(percent);
        let detected = self
            .detections
            .iter()
            .filter(|(score, _)| *score >= threshold);
        let correct = detected.clone().filter(|(_, correct)| *correct).count();
        let alarms = self.negatives.iter().filter(|score| **score >= threshold);
        Counts {
            percent,
            correct,
            detections: detected.count(),
            false_alarms: alarms.count(),
        }
    }

    fn f1(&self, counts: &Counts) -> f64 {
        let of = counts.detections + counts.false_alarms + self.objects;
        2.0 * counts.correct as f64 / of.max(1) as f64
    }

    fn at(&self, counts: &Counts, rule: ThresholdRule) -> ChosenThreshold {
        let detections = counts.detections + counts.false_alarms;
        ChosenThreshold {
            threshold: threshold(counts.percent),
            rule,
            precision: counts.correct as f64 / detections.max(1) as f64,
            recall: counts.correct as f64 / self.objects as f64,
            objects: self.objects,
            negatives: self.negatives.len(),
            false_alarms: counts.false_alarms,
        }
    }
}

fn threshold(percent: u8) -> f32 {
    f32::from(percent) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty detections with scores from `low` up in steps of 0.01, all correct, of as many objects.
    fn correct_from(low: f32) -> ScoredDetections {
        ScoredDetections {
            detections: (0..20).map(|i| (low + 0.01 * i as f32, true)).collect(),
            objects: 20,
            ..ScoredDetections::default()
        }
    }

    fn chosen(scored: &ScoredDetections) -> (f32, ThresholdRule) {
        let chosen = scored.choose().expect("objects");
        (chosen.threshold, chosen.rule)
    }

    #[test]
    fn without_negatives_the_middle_of_the_best_thresholds_is_chosen() {
        let mut scored = correct_from(0.605);
        // From 0.05 to 0.60 all are equally good.
        assert_eq!(chosen(&scored), (0.33, ThresholdRule::NoNegatives));
        scored.detections.push((0.405, false));
        // Now from 0.41 on.
        assert_eq!(chosen(&scored), (0.51, ThresholdRule::NoNegatives));
        assert_eq!(ScoredDetections::default().choose(), None);
        scored
            .detections
            .iter_mut()
            .for_each(|(_, is_correct)| *is_correct = false);
        assert_eq!(scored.choose(), None, "no threshold finds anything");
    }

    #[test]
    fn a_twentieth_of_the_negatives_may_have_a_false_alarm() {
        let mut scored = correct_from(0.605);
        scored.negatives = vec![0.3; 38];
        scored.negatives.extend([0.705, 0.555]);
        // Two of forty are allowed, but a false alarm costs precision: none at 0.56 to 0.60 but the one at 0.705.
        let found = scored.choose().expect("objects");
        assert_eq!((found.threshold, found.false_alarms), (0.58, 1));
        assert_eq!(found.rule, ThresholdRule::FewFalseAlarms);
        // With six more, the threshold must be above them, although objects are missed.
        scored.negatives[..6].fill(0.655);
        let found = scored.choose().expect("objects");
        assert_eq!((found.threshold, found.false_alarms), (0.66, 1));
        assert!((found.recall - 0.7).abs() < 1e-9, "{found:?}");
        assert!((found.precision - 14.0 / 15.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn uncertain_negatives_must_not_cost_more_than_half_of_the_correct_detections() {
        let mut scored = correct_from(0.605);
        // Above 0.75, five of twenty objects are found; above 0.65, fifteen.
        for (score, uncertain, rule) in [
            (0.755, false, ThresholdRule::FewFalseAlarms),
            (0.755, true, ThresholdRule::ManyFalseAlarms),
            (0.655, true, ThresholdRule::FewFalseAlarms),
        ] {
            scored.negatives = vec![score; 20];
            scored.are_negatives_uncertain = uncertain;
            assert_eq!(chosen(&scored).1, rule, "{score} {uncertain}");
        }
    }

    #[test]
    fn few_negatives_are_no_rate_and_confident_false_alarms_cannot_be_excluded() {
        let mut scored = correct_from(0.605);
        scored.negatives = vec![0.99; 19];
        assert_eq!(chosen(&scored).1, ThresholdRule::NoNegatives);
        scored.negatives = vec![0.99; 20];
        let (threshold, rule) = chosen(&scored);
        assert_eq!(rule, ThresholdRule::ManyFalseAlarms);
        assert!(threshold < 0.61);
    }

    #[test]
    fn each_object_is_found_once_by_the_best_score_of_its_class() {
        let class = ClassId::new;
        let boxed = |x: f32| NormBox::new(x, x + 0.2, 0.0, 0.2).expect("a valid box");
        let detection = |index: usize, confidence: f32, x: f32| Detection {
            class: class(index),
            confidence,
            bounding_box: boxed(x),
        };
        let mut scored = ScoredDetections::default();
        let objects = [(class(0), boxed(0.1)), (class(1), boxed(0.6))];
        let detections = [
            detection(0, 0.9, 0.11),
            detection(0, 0.8, 0.1),
            detection(0, 0.7, 0.6),
            detection(1, 0.6, 0.75),
            detection(1, 0.5, 0.62),
        ];
        scored.add_picture(&detections, &objects);
        let correct: Vec<bool> = scored.detections.iter().map(|(_, c)| *c).collect();
        assert_eq!(correct, [true, false, false, false, true]);
        assert_eq!(scored.objects, 2);
    }
}
