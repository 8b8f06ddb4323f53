//! The choice of how to quantise: each way is tried, and the one whose answers differ least from the float model's is
//! kept.
//!
//! In go a float model and training pictures, some to calibrate on and others to measure on; out come the int8 model
//! and how it was made. Labels are not looked at, and validation pictures never: a choice that was made on them
//! would make their figures better than they are.

use boxcam::detect::Detector;
use boxcam::detect::Prediction;
use boxcam::detect::tract::TractDetector;
use boxcam::geometry::iou;
use boxcam::preprocess::InputTensor;
use prost::Message;
use tract_onnx::pb;

use super::calibrate::{Calibration, Observations};
use super::channels::WeightScales;
use super::{QuantiseError, correct_biases, quantise};

/// Pictures on which biases are corrected: every layer takes a run of each.
const CORRECTION_PICTURES: usize = 32;

/// How a model is quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The ranges of activations.
    pub calibration: Calibration,
    /// The scales of weights.
    pub weight_scales: WeightScales,
    /// Whether biases are corrected.
    pub correct_biases: bool,
}

/// What is settled beforehand; the rest is chosen by measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The ranges of activations.
    pub calibration: Option<Calibration>,
    /// The scales of weights.
    pub weight_scales: Option<WeightScales>,
    /// Whether biases are corrected.
    pub correct_biases: Option<bool>,
}

/// How far an int8 model's answers are from the float model's; 0 where they are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Mean Kullback-Leibler divergence of the scores from the float model's, in nats; 0 or above.
    pub scores: f64,
    /// 1 less the mean IoU with the float model's boxes, `0..=1`.
    pub boxes: f64,
}

impl Distance {
    /// Both together: a tenth of a nat weighs as much as a tenth of IoU.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.scores + self.boxes
    }

    /// Between answers to the same pictures.
    #[must_use]
    pub fn between(float: &[Prediction], int8: &[Prediction]) -> Self {
        let count = float.len().max(1) as f64;
        let pairs = || float.iter().zip(int8);
        let scores = pairs().map(|(float, int8)| divergence(float.scores(), int8.scores()));
        let boxes = pairs().map(|(float, int8)| iou(float.bounding_box(), int8.bounding_box()));
        Self {
            scores: scores.sum::<f64>() / count,
            boxes: 1.0 - boxes.map(f64::from).sum::<f64>() / count,
        }
    }
}

fn divergence(truth: &[f32], found: &[f32]) -> f64 {
    let floor = 1e-9f64;
    let each = truth.iter().zip(found).map(|(&truth, &found)| {
        let (truth, found) = (f64::from(truth).max(floor), f64::from(found).max(floor));
        truth * (truth / found).ln()
    });
    each.sum()
}

/// One way of quantising and what it came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The way.
    pub settings: Settings,
    /// How far the answers to the measuring pictures are.
    pub distance: Distance,
}

/// Pictures as inputs of the float model, all of the training split.
#[derive(Debug)]
pub struct Pictures {
    /// Ranges are taken from these.
    pub calibration: Vec<InputTensor>,
    /// Trials are measured on these.
    pub measuring: Vec<InputTensor>,
}

/// An int8 model with how it was made.
#[derive(Debug)]
pub struct Quantised {
    /// The model.
    pub model: pb::ModelProto,
    /// How it was made, and how far it is from the float model.
    pub trial: Trial,
}

/// Tries what is not settled, first the calibration, then the scales of weights, then biases as they are, each with
/// what was best before; `tried` is told of every trial. Biases are corrected from the first trial on: which
/// calibration is best depends on it (`docs/training.md`).
///
/// # Errors
/// [`QuantiseError`] when a model can't be made or run.
pub fn choose(
    float: &pb::ModelProto,
    pictures: &Pictures,
    wanted: Wanted,
    mut tried: impl FnMut(&Trial),
) -> Result<Quantised, QuantiseError> {
    let observations = Observations::of(float, &pictures.calibration)?;
    let truth = answers(float, &pictures.measuring)?;
    let mut best: Option<Quantised> = None;
    let mut attempt = |settings: Settings, best: &mut Option<Quantised>| {
        let model = make(float, &observations, pictures, settings)?;
        let answers = answers(&model, &pictures.measuring)?;
        let distance = Distance::between(&truth, &answers);
        let trial = Trial { settings, distance };
        tried(&trial);
        let is_better = |best: &Quantised| distance.sum() < best.trial.distance.sum();
        if best.as_ref().is_none_or(is_better) {
            *best = Some(Quantised { model, trial });
        }
        Ok::<_, QuantiseError>(())
    };
    let calibrations = match &wanted.calibration {
        Some(calibration) => std::slice::from_ref(calibration),
        None => clap::ValueEnum::value_variants(),
    };
    for &calibration in calibrations {
        let settings = Settings {
            calibration,
            weight_scales: wanted.weight_scales.unwrap_or(WeightScales::Greatest),
            correct_biases: wanted.correct_biases.unwrap_or(true),
        };
        attempt(settings, &mut best)?;
    }
    let so_far = |best: &Option<Quantised>| best.as_ref().map(|best| best.trial.settings);
    if let (None, Some(settings)) = (wanted.weight_scales, so_far(&best)) {
        let weight_scales = WeightScales::LeastError;
        attempt(
            Settings {
                weight_scales,
                ..settings
            },
            &mut best,
        )?;
    }
    if let (None, Some(settings)) = (wanted.correct_biases, so_far(&best)) {
        let correct_biases = false;
        attempt(
            Settings {
                correct_biases,
                ..settings
            },
            &mut best,
        )?;
    }
    best.ok_or(QuantiseError::NoPictures)
}

fn make(
    float: &pb::ModelProto,
    observations: &Observations,
    pictures: &Pictures,
    settings: Settings,
) -> Result<pb::ModelProto, QuantiseError> {
    let ranges = observations.ranges(settings.calibration);
    let int8 = quantise(float, &ranges, settings.weight_scales)?;
    if !settings.correct_biases {
        return Ok(int8);
    }
    let step = (pictures.calibration.len() / CORRECTION_PICTURES).max(1);
    let inputs = pictures.calibration.iter().step_by(step);
    let inputs: Vec<InputTensor> = inputs.take(CORRECTION_PICTURES).cloned().collect();
    correct_biases(float, int8, &inputs)
}

/// What a model says of each picture, by the detector that runs on the device.
fn answers(
    model: &pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<Vec<Prediction>, QuantiseError> {
    let fault = |message: String| QuantiseError::Engine { message };
    let detector = TractDetector::from_bytes("in memory", &model.encode_to_vec());
    let mut detector = detector.map_err(|error| fault(error.to_string()))?;
    let answer = |input| {
        detector
            .predict(input)
            .map_err(|error| fault(error.to_string()))
    };
    inputs.iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(scores: [f32; 2], corners: [f32; 4]) -> Prediction {
        Prediction::new(scores.to_vec(), corners).expect("sound")
    }

    #[test]
    fn the_same_answers_have_no_distance_and_others_have_one_in_both_parts() {
        let float = [said([0.9, 0.1], [0.2, 0.8, 0.2, 0.8])];
        let same = Distance::between(&float, &float);
        assert!(same.sum().abs() < 1e-6, "{same:?}");
        let off = Distance::between(&float, &[said([0.6, 0.4], [0.2, 0.5, 0.2, 0.8])]);
        // 0.9 ln(0.9 / 0.6) + 0.1 ln(0.1 / 0.4), and half of the box.
        assert!(
            (off.scores - 0.2263).abs() < 1e-3 && (off.boxes - 0.5).abs() < 1e-3,
            "{off:?}"
        );
    }
}
