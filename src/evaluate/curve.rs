//! What a threshold costs: how much of what is there is found, against how often nothing is taken for it.
//!
//! In go predictions of annotated pictures and of pictures with nothing in them, out comes a [`CurvePoint`]
//! for each threshold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Mean;
use super::pan::{appeared, length};
use crate::annotations::Annotation;
use crate::detect::Prediction;
use crate::label::{ClassId, Labels};

/// The thresholds looked at: these many steps to 1, neither 0 nor 1 themselves.
const STEPS: u8 = 20;

/// Predictions, gathered.
#[derive(Debug, Clone)]
pub struct Curve {
    labels: Labels,
    pictures: Vec<Seen>,
    /// Highest scores on pictures with nothing in them, by kind of picture.
    nothing: BTreeMap<String, Vec<f32>>,
    /// What was said of films of such pictures.
    films: BTreeMap<String, Vec<Vec<Prediction>>>,
}

/// What was said of an annotated picture.
#[derive(Debug, Clone)]
struct Seen {
    top: ClassId,
    confidence: f32,
    folder: Option<ClassId>,
    rows: Vec<Option<ClassId>>,
}

/// What a threshold gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Confidence from which a prediction counts as a detection.
    pub threshold: f32,
    /// Share of annotated pictures in which something is found.
    pub pictures_found: f64,
    /// Share of annotated pictures in which the class of their folder is found.
    pub pictures_right: f64,
    /// Share of rows whose class is found.
    pub rows_right: f64,
    /// Share of pictures with nothing in them in which something is found, by kind of picture.
    pub false_alarms: BTreeMap<String, f64>,
    /// Things that appear to a tracker in a minute of films of such pictures, by kind; of the kinds that
    /// there were films of.
    pub false_appearances_a_minute: BTreeMap<String, f64>,
}

impl Curve {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self {
            labels,
            pictures: Vec::new(),
            nothing: BTreeMap::new(),
            films: BTreeMap::new(),
        }
    }

    /// One annotated picture: the folder that it lies in, its true rows, what the model said.
    pub fn add<'a>(
        &mut self,
        folder: &str,
        rows: impl IntoIterator<Item = &'a Annotation>,
        prediction: &Prediction,
    ) {
        let (top, confidence) = prediction.top();
        let rows = rows.into_iter();
        self.pictures.push(Seen {
            top,
            confidence,
            folder: self.labels.find(folder),
            rows: rows.map(|row| self.labels.find(&row.class_name)).collect(),
        });
    }

    /// One picture with nothing in it.
    pub fn add_nothing(&mut self, kind: &str, prediction: &Prediction) {
        let scores = self.nothing.entry(kind.to_owned()).or_default();
        scores.push(prediction.top().1);
    }

    /// A film with nothing in it: what the model said of the frames of a [`pan`](super::pan()).
    pub fn add_film(&mut self, kind: &str, film: Vec<Prediction>) {
        self.films.entry(kind.to_owned()).or_default().push(film);
    }

    /// Pictures with nothing in them, by kind.
    pub fn nothing(&self) -> impl Iterator<Item = (&str, usize)> {
        let kinds = self.nothing.iter();
        kinds.map(|(kind, scores)| (kind.as_str(), scores.len()))
    }

    /// The curve, from the lowest threshold to the highest.
    #[must_use]
    pub fn points(&self) -> Vec<CurvePoint> {
        let thresholds = (1..STEPS).map(|step| f32::from(step) / f32::from(STEPS));
        thresholds.map(|threshold| self.point(threshold)).collect()
    }

    fn point(&self, threshold: f32) -> CurvePoint {
        let [mut found, mut right, mut rows] = [Mean::default(); 3];
        for seen in &self.pictures {
            let is_found = seen.confidence >= threshold;
            found.add_hit(is_found);
            right.add_hit(is_found && seen.folder == Some(seen.top));
            for row in &seen.rows {
                rows.add_hit(is_found && *row == Some(seen.top));
            }
        }
        let alarms = |scores: &Vec<f32>| {
            let mut alarms = Mean::default();
            for score in scores {
                alarms.add_hit(*score >= threshold);
            }
            alarms.value()
        };
        let a_minute = |films: &Vec<Vec<Prediction>>| {
            let things: usize = films.iter().map(|film| appeared(film, threshold)).sum();
            let time = length(films.iter().map(Vec::len).sum());
            things as f64 * 60.0 / time.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        let kinds = self.nothing.iter();
        let films = self.films.iter();
        CurvePoint {
            threshold,
            pictures_found: found.value(),
            pictures_right: right.value(),
            rows_right: rows.value(),
            false_alarms: kinds.map(|(kind, s)| (kind.clone(), alarms(s))).collect(),
            false_appearances_a_minute: films
                .map(|(kind, f)| (kind.clone(), a_minute(f)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::NormBox;

    fn says(apple: f32, banana: f32) -> Prediction {
        Prediction::new(vec![apple, banana], [0.0; 4]).expect("sound")
    }

    #[test]
    fn a_threshold_is_held_against_what_is_there_and_what_is_not() {
        let labels = Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("sound");
        let mut curve = Curve::new(labels);
        let row = |class_name: &str| Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: NormBox::WHOLE,
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        };
        curve.add("apple", &[row("apple"), row("banana")], &says(0.9, 0.1));
        curve.add("apple", &[row("apple")], &says(0.3, 0.7));
        curve.add("banana", &[], &says(0.4, 0.6));
        curve.add_nothing("wall", &says(0.55, 0.45));
        curve.add_nothing("wall", &says(0.45, 0.35));
        curve.add_nothing("noise", &says(0.1, 0.2));
        // 40 frames are four seconds.
        curve.add_film("wall", vec![says(0.65, 0.1); 40]);
        curve.add_film("wall", vec![says(0.1, 0.1); 40]);
        let points = curve.points();
        assert_eq!(points.len(), 19);
        let at = |threshold: f32| {
            let near = |point: &&CurvePoint| (point.threshold - threshold).abs() < 1e-6;
            points.iter().find(near).expect("on the curve")
        };
        let half = at(0.5);
        assert_eq!((half.pictures_found, half.pictures_right), (1.0, 2.0 / 3.0));
        assert_eq!(half.rows_right, 1.0 / 3.0);
        assert_eq!(
            (half.false_alarms["wall"], half.false_alarms["noise"]),
            (0.5, 0.0)
        );
        assert_eq!(half.false_appearances_a_minute["wall"], 7.5);
        let high = at(0.8);
        assert_eq!(high.false_appearances_a_minute["wall"], 0.0);
        assert_eq!(
            (high.pictures_found, high.pictures_right),
            (1.0 / 3.0, 1.0 / 3.0)
        );
        assert_eq!(
            (high.rows_right, high.false_alarms["wall"]),
            (1.0 / 3.0, 0.0)
        );
        let kinds: Vec<_> = curve.nothing().collect();
        assert_eq!(kinds, [("noise", 1), ("wall", 2)]);
    }
}
