//! Recall and false alarms at every confidence threshold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sliding_window::{appearances, duration};
use super::{Evaluation, Mean};
use crate::card::ModelCard;
use crate::detect::{Prediction, Thresholds};

/// The thresholds are the multiples of 1 / `STEPS` between 0 and 1.
const STEPS: u8 = 20;

/// Predictions for negatives: pictures that contain no object. The kind of a picture is the name of its folder.
#[derive(Debug, Clone)]
pub struct NegativeResults {
    /// The model's.
    card: ModelCard,
    /// Those of the card.
    thresholds: Thresholds,
    /// Highest scores, by kind.
    scores: BTreeMap<String, Vec<f32>>,
    /// Detections of each picture at the thresholds, the primary one and objects.
    detections: Vec<usize>,
    /// Predictions for the frames of clips, by kind.
    clips: BTreeMap<String, Vec<Vec<Prediction>>>,
}

/// False alarms at the thresholds of the model's card, over all negatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FalseAlarms {
    /// Number of negatives.
    pub pictures: usize,
    /// Share of those with any detection.
    pub with_detection: f64,
    /// Mean number of detections in a picture.
    pub detections_per_picture: f64,
}

/// Recall and false alarms at a threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThresholdPoint {
    /// Confidence from which a prediction is a detection.
    pub threshold: f32,
    /// Share of annotated pictures with a detection.
    pub pictures_found: f64,
    /// Share of annotated pictures with a detection of their folder's class.
    #[serde(rename = "pictures_right")]
    pub pictures_correct: f64,
    /// Share of ground-truth boxes whose class is detected.
    #[serde(rename = "rows_right")]
    pub boxes_correct: f64,
    /// Share of negatives with a detection, by kind.
    pub false_alarms: BTreeMap<String, f64>,
    /// Tracks that appear per minute of the clips, by kind; only kinds that have clips.
    #[serde(rename = "false_appearances_a_minute")]
    pub false_appearances_per_minute: BTreeMap<String, f64>,
}

impl NegativeResults {
    /// Without any picture yet, for predictions of the model that has this card.
    #[must_use]
    pub fn new(card: &ModelCard) -> Self {
        Self {
            card: card.clone(),
            thresholds: Thresholds::new(card, None),
            scores: BTreeMap::new(),
            detections: Vec::new(),
            clips: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, kind: &str, prediction: &Prediction) {
        let primary = prediction.detection(self.thresholds.primary);
        let others = prediction.others(&self.thresholds);
        self.detections
            .push(usize::from(primary.is_some()) + others.len());
        let scores = self.scores.entry(kind.to_owned()).or_default();
        scores.push(prediction.top().1);
    }

    /// Adds the predictions for the frames of a clip.
    pub fn add_clip(&mut self, kind: &str, clip: Vec<Prediction>) {
        self.clips.entry(kind.to_owned()).or_default().push(clip);
    }

    /// Number of pictures, by kind.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        let kinds = self.scores.iter();
        kinds.map(|(kind, scores)| (kind.as_str(), scores.len()))
    }

    /// At the thresholds of the card; `None` without negatives.
    #[must_use]
    pub fn at_card_thresholds(&self) -> Option<FalseAlarms> {
        let [mut with_detection, mut detections] = [Mean::default(); 2];
        for &count in &self.detections {
            with_detection.add_hit(count > 0);
            detections.add(count as f64);
        }
        (detections.count() > 0).then(|| FalseAlarms {
            pictures: detections.count(),
            with_detection: with_detection.value(),
            detections_per_picture: detections.value(),
        })
    }

    fn false_alarms(&self, threshold: f32) -> BTreeMap<String, f64> {
        let share = |scores: &[f32]| {
            let mut alarms = Mean::default();
            let hits = scores.iter().map(|score| *score >= threshold);
            hits.for_each(|hit| alarms.add_hit(hit));
            alarms.value()
        };
        let kinds = self.scores.iter();
        kinds
            .map(|(kind, scores)| (kind.clone(), share(scores)))
            .collect()
    }

    fn appearances_per_minute(&self, threshold: f32) -> BTreeMap<String, f64> {
        let rate = |clips: &[Vec<Prediction>]| {
            let appeared: usize = clips
                .iter()
                .map(|clip| appearances(&self.card, clip, threshold))
                .sum();
            let time = duration(clips.iter().map(Vec::len).sum());
            appeared as f64 * 60.0 / time.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        let kinds = self.clips.iter();
        kinds
            .map(|(kind, clips)| (kind.clone(), rate(clips)))
            .collect()
    }
}

/// One point per threshold 0.05, 0.1, ... 0.95.
#[must_use]
pub fn threshold_curve(
    evaluation: &Evaluation,
    negatives: &NegativeResults,
) -> Vec<ThresholdPoint> {
    let thresholds = (1..STEPS).map(|step| f32::from(step) / f32::from(STEPS));
    thresholds
        .map(|threshold| point(evaluation, negatives, threshold))
        .collect()
}

fn point(evaluation: &Evaluation, negatives: &NegativeResults, threshold: f32) -> ThresholdPoint {
    let [mut found, mut correct, mut boxes] = [Mean::default(); 3];
    for picture in evaluation.pictures() {
        let is_found = picture.confidence >= threshold;
        found.add_hit(is_found);
        correct.add_hit(is_found && picture.is_correct());
        for truth in &picture.boxes {
            boxes.add_hit(is_found && truth.class == Some(picture.top_class));
        }
    }
    ThresholdPoint {
        threshold,
        pictures_found: found.value(),
        pictures_correct: correct.value(),
        boxes_correct: boxes.value(),
        false_alarms: negatives.false_alarms(threshold),
        false_appearances_per_minute: negatives.appearances_per_minute(threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{annotation, evaluation};
    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings, test_card};
    use crate::detect::{CellOutputs, Nms};

    const OBJECTS: ObjectSettings = ObjectSettings {
        threshold: 0.3,
        nms_iou: 0.5,
        most: 10,
        decode: ObjectDecode::InGraph,
    };

    fn prediction(apple: f32, banana: f32) -> Prediction {
        Prediction::new(vec![apple, banana], [0.0; 4]).expect("valid")
    }

    #[test]
    fn at_the_thresholds_of_the_card_objects_are_alarms_too() {
        let mut negatives = NegativeResults::new(&ModelCard {
            objects: Some(OBJECTS),
            ..test_card(224)
        });
        assert_eq!(negatives.at_card_thresholds(), None);
        let with_objects = |apple, scores: &[f32]| {
            let boxes = [0.0, 0.4, 0.0, 0.4, 0.6, 1.0, 0.6, 1.0];
            let cells = CellOutputs {
                scores,
                boxes: &boxes,
            };
            let image = Prediction::new(vec![apple, 0.1], [0.0, 0.4, 0.0, 0.4]);
            let nms = &mut Nms::new(OBJECTS, 2, 2);
            image
                .expect("valid")
                .with_objects(cells, nms)
                .expect("valid")
        };
        // Nothing; an object; the primary detection, which is the first object, and another object.
        negatives.add("wall", &with_objects(0.4, &[0.2, 0.1, 0.0, 0.2]));
        negatives.add("wall", &with_objects(0.4, &[0.2, 0.1, 0.0, 0.35]));
        negatives.add("noise", &with_objects(0.6, &[0.5, 0.1, 0.0, 0.35]));
        let expected = FalseAlarms {
            pictures: 3,
            with_detection: 2.0 / 3.0,
            detections_per_picture: 1.0,
        };
        assert_eq!(negatives.at_card_thresholds(), Some(expected));
    }

    #[test]
    fn a_point_has_recall_and_false_alarms() {
        let mut evaluation = evaluation(Vec::new());
        let truth = |class_name| annotation(class_name, [0.0, 1.0, 0.0, 1.0]);
        let annotations = [truth("apple"), truth("banana")];
        evaluation.add("apple", &annotations, &prediction(0.9, 0.1));
        evaluation.add("apple", &annotations[..1], &prediction(0.3, 0.7));
        evaluation.add("banana", [], &prediction(0.4, 0.6));
        let mut negatives = NegativeResults::new(&test_card(224));
        negatives.add("wall", &prediction(0.55, 0.45));
        negatives.add("wall", &prediction(0.45, 0.35));
        negatives.add("noise", &prediction(0.1, 0.2));
        // 40 frames are four seconds.
        negatives.add_clip("wall", vec![prediction(0.65, 0.1); 40]);
        negatives.add_clip("wall", vec![prediction(0.1, 0.1); 40]);
        let points = threshold_curve(&evaluation, &negatives);
        assert_eq!(points.len(), 19);
        let at = |threshold: f32| {
            let is_near = |point: &&ThresholdPoint| (point.threshold - threshold).abs() < 1e-6;
            points.iter().find(is_near).expect("on the curve")
        };
        let half = at(0.5);
        assert_eq!(
            (half.pictures_found, half.pictures_correct),
            (1.0, 2.0 / 3.0)
        );
        assert_eq!(half.boxes_correct, 1.0 / 3.0);
        assert_eq!(
            (half.false_alarms["wall"], half.false_alarms["noise"]),
            (0.5, 0.0)
        );
        assert_eq!(half.false_appearances_per_minute["wall"], 7.5);
        let high = at(0.8);
        assert_eq!(high.false_appearances_per_minute["wall"], 0.0);
        assert_eq!(
            (high.pictures_found, high.pictures_correct),
            (1.0 / 3.0, 1.0 / 3.0)
        );
        assert_eq!(
            (high.boxes_correct, high.false_alarms["wall"]),
            (1.0 / 3.0, 0.0)
        );
        let counts: Vec<_> = negatives.counts().collect();
        assert_eq!(counts, [("noise", 1), ("wall", 2)]);
    }
}
