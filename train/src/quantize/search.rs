//! Search over the quantization settings: each candidate is built, and the one whose predictions differ least from the
//! float model's is kept.
//!
//! Only training pictures are used, without their labels: settings chosen on validation pictures would make the
//! validation figures too good.

use std::collections::BTreeMap;

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detection, Prediction};
use boxcam::evaluate::Agreement;
use boxcam::geometry::iou;
use boxcam::label::Labels;
use boxcam::preprocess::InputTensor;
use prost::Message;
use tract_onnx::pb;

use super::calibrate::{ActivationStats, Calibration};
use super::{QuantizeError, WeightScales, correct_biases, equalize, quantize};

/// Pictures for bias correction, which runs the model once per layer and picture.
const CORRECTION_PICTURES: usize = 32;

/// Pictures on which candidates are compared: at least this many of a large set, fewer than twice as many.
const COMPARISON_PICTURES: usize = 300;

/// How a model is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub calibration: Calibration,
    pub weight_scales: WeightScales,
    pub correct_biases: bool,
    pub equalize: bool,
}

/// Settings that are given; the others are searched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    pub calibration: Option<Calibration>,
    pub weight_scales: Option<WeightScales>,
    pub correct_biases: Option<bool>,
    pub equalize: Option<bool>,
}

/// How far an int8 model's predictions are from the float model's; 0 for equal predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Mean Kullback-Leibler divergence of the image's scores from the float model's, in nats; 0 or above. 0 for a model
    /// without image heads.
    pub scores: f64,
    /// 1 minus the mean IoU with the float model's boxes of the image, `0..=1`; 0 for a model without image heads.
    pub boxes: f64,
    /// 1 minus how well the float model's objects are found again, `0..=1`; 0 for a model without object outputs.
    pub objects: f64,
}

/// Objects from this score on are compared.
const MIN_OBJECT_SCORE: f32 = 0.05;

impl Distance {
    /// The sum that the search minimizes: a tenth of a nat weighs as much as a tenth of IoU, and as a tenth of the objects.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.scores + self.boxes + self.objects
    }

    /// The distance between predictions for the same pictures.
    #[must_use]
    pub fn between(float: &[Prediction], int8: &[Prediction]) -> Self {
        let objects = object_distance(float, int8);
        if float.iter().any(|prediction| !prediction.has_image_heads()) {
            return Self {
                scores: 0.0,
                boxes: 0.0,
                objects,
            };
        }
        let count = float.len().max(1) as f64;
        let pairs = || float.iter().zip(int8);
        let scores = pairs().map(|(float, int8)| kl_divergence(float.scores(), int8.scores()));
        let boxes = pairs().map(|(float, int8)| iou(float.bounding_box(), int8.bounding_box()));
        Self {
            scores: scores.sum::<f64>() / count,
            boxes: 1.0 - boxes.map(f64::from).sum::<f64>() / count,
            objects,
        }
    }
}

/// 1 minus the mean, weighted by score, of how well each object of the float model is found again: the IoU with the nearest
/// object of its class, less the difference of the scores.
fn object_distance(float: &[Prediction], int8: &[Prediction]) -> f64 {
    let objects = |prediction: &Prediction| -> Vec<Detection> {
        let objects = prediction.objects(MIN_OBJECT_SCORE);
        objects.unwrap_or_default().to_vec()
    };
    let (mut found, mut all) = (0.0, 0.0);
    for (float, int8) in float.iter().zip(int8) {
        let others = objects(int8);
        for object in objects(float) {
            let same_class = others.iter().filter(|other| other.class == object.class);
            let likeness = same_class.map(|other| {
                let difference = (object.confidence - other.confidence).abs();
                iou(&object.bounding_box, &other.bounding_box) * (1.0 - difference)
            });
            let weight = f64::from(object.confidence);
            found += weight * f64::from(likeness.fold(0.0, f32::max));
            all += weight;
        }
    }
    if all > 0.0 { 1.0 - found / all } else { 0.0 }
}

fn kl_divergence(float: &[f32], int8: &[f32]) -> f64 {
    let floor = 1e-9f64;
    let each = float.iter().zip(int8).map(|(&float, &int8)| {
        let (float, int8) = (f64::from(float).max(floor), f64::from(int8).max(floor));
        float * (float / int8).ln()
    });
    each.sum()
}

/// One candidate and its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    pub settings: Settings,
    pub distance: Distance,
}

/// Training pictures as inputs of the model.
#[derive(Debug)]
pub struct SearchInputs {
    /// Ranges and bias corrections come from these.
    pub calibration: Vec<InputTensor>,
    /// Candidates are compared on these.
    pub comparison: Vec<InputTensor>,
}

/// Indices of `pictures` training pictures for calibration, about `wanted` of them, and for comparison. Both are
/// spread evenly over the list, which is sorted by class, and never share a picture.
///
/// # Errors
/// [`QuantizeError::TooFewPictures`] for fewer than two.
pub fn split_pictures(
    pictures: usize,
    wanted: usize,
) -> Result<(Vec<usize>, Vec<usize>), QuantizeError> {
    if pictures < 2 {
        return Err(QuantizeError::TooFewPictures { found: pictures });
    }
    let wanted = wanted.max(1);
    // Every second picture at the most: the others are for comparison.
    let step = (pictures / wanted).max(2);
    let calibration = (0..pictures).step_by(step).collect();
    // A multiple of the step, so that both lists stay apart.
    let comparison_step = step * (pictures / step / wanted.min(COMPARISON_PICTURES)).max(1);
    let comparison = (step / 2..pictures).step_by(comparison_step).collect();
    Ok((calibration, comparison))
}

/// An int8 model and the settings that made it.
#[derive(Debug)]
pub struct QuantizedModel {
    pub model: pb::ModelProto,
    /// The float model that was quantized: the given one, or that with equalised channels.
    pub source: pb::ModelProto,
    pub trial: Trial,
    /// With the float model, on the comparison pictures; `None` of a model with image heads, which is checked on labelled
    /// pictures.
    pub agreement: Option<Agreement>,
}

/// Searches the settings that are not given, one after the other: first the calibration, then the weight scales, then
/// bias correction off, then equalisation off, each with the best of the settings before; `report` is called with every
/// trial. Biases are corrected and channels equalised from the first trial on because the best calibration depends on it
/// (`docs/training.md`).
///
/// # Errors
/// [`QuantizeError`] when a model can't be made or run.
pub fn search(
    float: &pb::ModelProto,
    inputs: &SearchInputs,
    overrides: Overrides,
    report: impl FnMut(&Trial),
) -> Result<QuantizedModel, QuantizeError> {
    let mut search = Search {
        float,
        inputs,
        sources: BTreeMap::new(),
        float_predictions: predictions(float, &inputs.comparison)?,
        report,
        best: None,
    };
    let calibrations = match &overrides.calibration {
        Some(calibration) => std::slice::from_ref(calibration),
        None => clap::ValueEnum::value_variants(),
    };
    for &calibration in calibrations {
        search.try_settings(Settings {
            calibration,
            weight_scales: overrides.weight_scales.unwrap_or(WeightScales::Max),
            correct_biases: overrides.correct_biases.unwrap_or(true),
            equalize: overrides.equalize.unwrap_or(true),
        })?;
    }
    if let (None, Some(settings)) = (overrides.weight_scales, search.best_settings()) {
        search.try_settings(Settings {
            weight_scales: WeightScales::LeastError,
            ..settings
        })?;
    }
    if let (None, Some(settings)) = (overrides.correct_biases, search.best_settings()) {
        search.try_settings(Settings {
            correct_biases: false,
            ..settings
        })?;
    }
    if let (None, Some(settings)) = (overrides.equalize, search.best_settings()) {
        search.try_settings(Settings {
            equalize: false,
            ..settings
        })?;
    }
    search.best.ok_or(QuantizeError::NoPictures)
}

/// A float model and the statistics of its activations.
struct Source {
    model: pb::ModelProto,
    stats: ActivationStats,
}

struct Search<'a, R> {
    float: &'a pb::ModelProto,
    inputs: &'a SearchInputs,
    /// By whether its channels are equalised.
    sources: BTreeMap<bool, Source>,
    float_predictions: Vec<Prediction>,
    report: R,
    best: Option<QuantizedModel>,
}

impl<R: FnMut(&Trial)> Search<'_, R> {
    fn best_settings(&self) -> Option<Settings> {
        self.best.as_ref().map(|best| best.trial.settings)
    }

    fn try_settings(&mut self, settings: Settings) -> Result<(), QuantizeError> {
        let model = self.quantize(settings)?;
        let int8 = predictions(&model, &self.inputs.comparison)?;
        let distance = Distance::between(&self.float_predictions, &int8);
        let trial = Trial { settings, distance };
        (self.report)(&trial);
        let is_better = |best: &QuantizedModel| distance.sum() < best.trial.distance.sum();
        if self.best.as_ref().is_none_or(is_better) {
            let agreement = agreement(self.float, &self.float_predictions, &int8)?;
            let source = self.source(settings.equalize)?.model.clone();
            self.best = Some(QuantizedModel {
                model,
                source,
                trial,
                agreement,
            });
        }
        Ok(())
    }

    fn source(&mut self, equalized: bool) -> Result<&Source, QuantizeError> {
        if !self.sources.contains_key(&equalized) {
            let pictures = &self.inputs.calibration;
            let model = match equalized {
                true => equalize(self.float, pictures)?,
                false => self.float.clone(),
            };
            let stats = ActivationStats::collect(&model, pictures)?;
            self.sources.insert(equalized, Source { model, stats });
        }
        Ok(&self.sources[&equalized])
    }

    fn quantize(&mut self, settings: Settings) -> Result<pb::ModelProto, QuantizeError> {
        let pictures = &self.inputs.calibration;
        let Source { model, stats } = self.source(settings.equalize)?;
        let ranges = stats.ranges(settings.calibration);
        let int8 = quantize(model, &ranges, settings.weight_scales)?;
        if !settings.correct_biases {
            return Ok(int8);
        }
        let step = (pictures.len() / CORRECTION_PICTURES).max(1);
        let inputs = pictures.iter().step_by(step);
        let inputs: Vec<InputTensor> = inputs.take(CORRECTION_PICTURES).cloned().collect();
        correct_biases(model, int8, &inputs)
    }
}

/// Of the int8 model's objects with those of the float model; `None` of models with image heads.
fn agreement(
    model: &pb::ModelProto,
    float: &[Prediction],
    int8: &[Prediction],
) -> Result<Option<Agreement>, QuantizeError> {
    if float.iter().any(Prediction::has_image_heads) {
        return Ok(None);
    }
    let labels: Labels = crate::onnx::card(model)?.labels;
    let objects = |predictions: &[Prediction]| -> Vec<Vec<Detection>> {
        let objects = predictions.iter().map(|one| one.objects(0.0));
        objects
            .map(|objects| objects.unwrap_or_default().to_vec())
            .collect()
    };
    let agreement = Agreement::between(&objects(int8), &objects(float), &labels);
    Ok(Some(agreement))
}

/// Predictions of a model for each picture, by the detector that runs on the device.
fn predictions(
    model: &pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<Vec<Prediction>, QuantizeError> {
    let fault = |message: String| QuantizeError::Engine { message };
    let detector = TractDetector::from_bytes("in memory", &model.encode_to_vec());
    let mut detector = detector.map_err(|error| fault(error.to_string()))?;
    let predict = |input| {
        detector
            .predict(input)
            .map_err(|error| fault(error.to_string()))
    };
    inputs.iter().map(predict).collect()
}

#[cfg(test)]
mod tests {
    use boxcam::card::{ObjectDecode, ObjectSettings};
    use boxcam::detect::{CellOutputs, Nms};

    use super::*;

    fn prediction(scores: [f32; 2], corners: [f32; 4]) -> Prediction {
        Prediction::new(scores.to_vec(), corners).expect("valid prediction")
    }

    #[test]
    fn equal_predictions_have_no_distance_and_different_ones_have_both_parts() {
        let float = [prediction([0.9, 0.1], [0.2, 0.8, 0.2, 0.8])];
        let same = Distance::between(&float, &float);
        assert!(same.sum().abs() < 1e-6, "{same:?}");
        let other = [prediction([0.6, 0.4], [0.2, 0.5, 0.2, 0.8])];
        let distance = Distance::between(&float, &other);
        // 0.9 ln(0.9 / 0.6) + 0.1 ln(0.1 / 0.4), and half of the box.
        assert!(
            (distance.scores - 0.2263).abs() < 1e-3 && (distance.boxes - 0.5).abs() < 1e-3,
            "{distance:?}"
        );
    }

    #[test]
    fn objects_that_are_lost_or_moved_have_a_distance() {
        const SETTINGS: ObjectSettings = ObjectSettings {
            threshold: 0.3,
            nms_iou: 0.5,
            most: 10,
            decode: ObjectDecode::InGraph,
        };
        // Two cells with two classes; a score of 0 is no object.
        let found = |scores: [f32; 4], boxes: [[f32; 4]; 2]| {
            let cells = CellOutputs {
                scores: &scores,
                boxes: boxes.as_flattened(),
            };
            let prediction = prediction([0.9, 0.1], [0.2, 0.8, 0.2, 0.8]);
            let mut nms = Nms::new(SETTINGS, 2, 2);
            [prediction
                .with_objects(cells, &mut nms)
                .expect("valid outputs")]
        };
        let boxes = [[0.0, 0.5, 0.0, 0.5], [0.5, 1.0, 0.5, 1.0]];
        let float = found([0.8, 0.0, 0.0, 0.4], boxes);
        let distance = |scores, boxes| object_distance(&float, &found(scores, boxes));
        assert!(distance([0.8, 0.0, 0.0, 0.4], boxes).abs() < 1e-6);
        // The weaker one is lost, or has another class.
        assert!((distance([0.8, 0.0, 0.0, 0.0], boxes) - 1.0 / 3.0).abs() < 1e-6);
        assert!((distance([0.8, 0.0, 0.4, 0.0], boxes) - 1.0 / 3.0).abs() < 1e-6);
        // The stronger one has half of its box, and a score less by 0.2.
        let half = [[0.0, 0.5, 0.0, 0.25], boxes[1]];
        let expected = 1.0 - (0.8 * 0.5 * 0.8 + 0.4) / 1.2;
        assert!((distance([0.6, 0.0, 0.0, 0.4], half) - expected).abs() < 1e-6);
        let without = [prediction([0.9, 0.1], [0.2, 0.8, 0.2, 0.8])];
        assert_eq!(object_distance(&without, &without), 0.0);
    }

    #[test]
    fn calibration_and_comparison_never_share_a_picture() {
        for pictures in 2..1500 {
            for wanted in [1, 2, 7, 300, 500] {
                let (calibration, comparison) =
                    split_pictures(pictures, wanted).expect("enough pictures");
                assert!(!calibration.is_empty() && !comparison.is_empty());
                let shared = comparison
                    .iter()
                    .find(|i| calibration.binary_search(i).is_ok());
                assert_eq!(shared, None, "{pictures} pictures, {wanted} wanted");
            }
        }
    }

    #[test]
    fn a_large_split_gives_the_wanted_pictures_and_a_small_one_half_of_its_pictures() {
        let (calibration, comparison) = split_pictures(4265, 500).expect("enough pictures");
        assert_eq!((calibration.len(), comparison.len()), (534, 533));
        assert_eq!(
            (&calibration[..2], &comparison[..2]),
            (&[0, 8][..], &[4, 12][..])
        );
        let (calibration, comparison) = split_pictures(9, 500).expect("enough pictures");
        assert_eq!(calibration, [0, 2, 4, 6, 8]);
        assert_eq!(comparison, [1, 3, 5, 7]);
    }

    #[test]
    fn a_single_picture_is_refused() {
        let error = split_pictures(1, 500).expect_err("too few");
        assert!(
            error.to_string().starts_with("1 training picture(s)"),
            "{error}"
        );
    }
}
