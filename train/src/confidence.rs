//! How the confidence of a model was calibrated and its thresholds were chosen: what `fit` prints, and what it writes beside
//! the history of the run for the training report.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::thresholds::{ChosenThreshold, FALSE_ALARM_RATE, MIN_NEGATIVES, ThresholdRule};

/// The report's file in the folder of a run.
pub const CONFIDENCE_FILE: &str = "confidence.json";

/// What the confidence of a model is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceReport {
    /// Number of training pictures.
    pub train: usize,
    /// Number of pictures of the development part.
    pub development: usize,
    /// `None`: there is no development part.
    pub temperature: Option<FittedTemperature>,
    /// What the negatives are.
    pub negatives: Negatives,
    /// Of the class of the whole picture.
    pub threshold: Threshold,
    /// Of the objects, if the model finds several.
    pub objects: Option<Threshold>,
}

/// A temperature, and the calibration before and after, on the pictures that it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FittedTemperature {
    pub temperature: f64,
    pub cross_entropy: [f64; 2],
    pub expected_calibration_error: [f64; 2],
}

/// Pictures that show none of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// Those of `--negatives`.
    Given,
    /// Parts of the development pictures that no box touches.
    Crops,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// There is no development part, or no correct detection on it.
    Default(f32),
    Given(f32),
    Chosen(ChosenThreshold),
}

impl Threshold {
    #[must_use]
    pub const fn value(&self) -> f32 {
        match self {
            Self::Default(value) | Self::Given(value) => *value,
            Self::Chosen(chosen) => chosen.threshold,
        }
    }
}

impl ConfidenceReport {
    /// The report of the run whose history is `history`; `None` if there is none, or if it cannot be read.
    #[must_use]
    pub fn beside(history: &Path) -> Option<Self> {
        let file = history.with_file_name(CONFIDENCE_FILE);
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    /// In words: the temperature, the threshold, and that of the objects.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = vec![self.of_temperature()];
        let mut add = |name: &str, threshold: &Threshold| {
            sentences.push(format!("{name} {}", self.of_threshold(threshold)));
        };
        add("threshold", &self.threshold);
        if let Some(objects) = &self.objects {
            add("threshold of the objects", objects);
        }
        sentences
    }

    fn of_temperature(&self) -> String {
        let Self {
            train, development, ..
        } = self;
        let Some(fitted) = &self.temperature else {
            return format!(
                "confidence: not calibrated, since no development part is kept apart from the {train} training pictures"
            );
        };
        let [before, after] = fitted.expected_calibration_error;
        format!(
            "confidence: temperature {:.2}, fitted on the {development} pictures of the development part, which were not \
             trained on; expected calibration error there {before:.3} before, {after:.3} after",
            fitted.temperature
        )
    }

    fn of_threshold(&self, threshold: &Threshold) -> String {
        let value = threshold.value();
        let chosen = match threshold {
            Threshold::Default(_) => {
                let reason = match self.temperature {
                    Some(_) => "no detection on the development part is correct",
                    None => "there is no development part",
                };
                return format!("{value:.2}: the default, since {reason}");
            }
            Threshold::Given(_) => return format!("{value:.2}: as given"),
            Threshold::Chosen(chosen) => chosen,
        };
        let negatives = match self.negatives {
            Negatives::Given => "negatives of --negatives",
            Negatives::Crops => "negatives (parts of the development pictures without a box)",
        };
        let count = chosen.negatives;
        let rate = FALSE_ALARM_RATE * 100.0;
        let rule = match chosen.rule {
            ThresholdRule::FewFalseAlarms => format!(
                "the highest F1 of all thresholds with a false alarm on at most {rate:.0}% of {count} {negatives}"
            ),
            ThresholdRule::ManyFalseAlarms => format!(
                "the highest F1; a false alarm on at most {rate:.0}% of {count} {negatives} would cost more than half of the \
                 correct detections: do the negatives show objects?"
            ),
            ThresholdRule::NoNegatives => format!(
                "the highest F1; a rate of false alarms needs {MIN_NEGATIVES} negatives, there are {count} (fit --negatives \
                 FOLDER)"
            ),
        };
        format!(
            "{value:.2}: {rule}; there it finds {:.0}% of {} with a precision of {:.2}, and has {} false alarms",
            100.0 * chosen.recall,
            chosen.objects,
            chosen.precision,
            chosen.false_alarms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(rule: ThresholdRule) -> Threshold {
        Threshold::Chosen(ChosenThreshold {
            threshold: 0.55,
            rule,
            precision: 0.975,
            recall: 0.9,
            objects: 40,
            negatives: 38,
            false_alarms: 1,
        })
    }

    fn report() -> ConfidenceReport {
        ConfidenceReport {
            train: 245,
            development: 40,
            temperature: Some(FittedTemperature {
                temperature: 0.714,
                cross_entropy: [0.57, 0.39],
                expected_calibration_error: [0.184, 0.029],
            }),
            negatives: Negatives::Crops,
            threshold: chosen(ThresholdRule::FewFalseAlarms),
            objects: None,
        }
    }

    #[test]
    fn the_sentences_name_what_was_chosen_by_which_rule_and_on_how_many_pictures() {
        let [confidence, threshold] = report().sentences().try_into().expect("two");
        assert!(confidence.contains("temperature 0.71, fitted on the 40 pictures"));
        assert!(confidence.contains("0.184 before, 0.029 after"));
        let expected = "threshold 0.55: the highest F1 of all thresholds with a false alarm on at most 5% of 38 negatives \
                        (parts of the development pictures without a box); there it finds 90% of 40 with a precision of \
                        0.97, and has 1 false alarms";
        assert_eq!(threshold, expected);
        let report = ConfidenceReport {
            temperature: None,
            threshold: Threshold::Default(0.4),
            objects: Some(Threshold::Given(0.25)),
            ..report()
        };
        let expected = [
            "confidence: not calibrated, since no development part is kept apart from the 245 training pictures",
            "threshold 0.40: the default, since there is no development part",
            "threshold of the objects 0.25: as given",
        ];
        assert_eq!(report.sentences(), expected);
    }

    #[test]
    fn it_is_read_beside_the_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("history.csv");
        assert_eq!(ConfidenceReport::beside(&history), None);
        let json = serde_json::to_vec(&report()).expect("plain values");
        std::fs::write(folder.path().join(CONFIDENCE_FILE), json).expect("written");
        assert_eq!(ConfidenceReport::beside(&history), Some(report()));
    }
}
