//! Post-training static quantization: a float model and calibration pictures give an int8 model in QDQ form.
//!
//! The scheme is that of Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference": weights int8, symmetric, one scale per output channel; activations int8 with one
//! scale and zero point per tensor; biases int32. [`search::search`] tries the ways to choose ranges and scales, and
//! [`AccuracyDrop::check`] refuses a result that loses too much accuracy. `docs/quantisation.md` describes the steps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use boxcam::card::CardError;
use boxcam::evaluate::{Agreement, Metrics, REFERENCE_SCORE};
use thiserror::Error;
use tract_onnx::pb;

pub mod activations;
mod bias_correction;
pub mod calibrate;
mod channel_groups;
mod channel_samples;
mod equalize;
mod object_maps;
mod qdq;
pub mod search;

use object_maps::ObjectMaps;

pub use bias_correction::correct_biases;
pub use equalize::equalize;
pub use qdq::{WeightScales, dequantize, quantize};

/// Largest drop of class accuracy, of mean IoU, and of the objects' AP50, that is accepted.
pub const MAX_DROP: f64 = 0.005;

/// Least agreement with the float model that is accepted of a model without image heads, on training pictures that it was not
/// calibrated on.
pub const MIN_AGREEMENT: f64 = 0.95;

/// On a small validation set this many rows may become wrong, even if they are more than [`MAX_DROP`].
const ALLOWED_ROWS: f64 = 2.0;

/// Why a model can't be quantized, or must not be.
#[derive(Debug, Error)]
pub enum QuantizeError {
    #[error("the model can't be quantized: {0}")]
    Card(#[from] CardError),
    #[error(
        "the model can't be quantized: node {node} {message}; give the float model that `boxcam-train train run` wrote"
    )]
    Graph { node: String, message: String },
    #[error("the model can't be run on the calibration pictures: {message}")]
    Engine { message: String },
    #[error("no calibration picture could be read; give a folder with readable training pictures")]
    NoPictures,
    #[error(
        "{found} training picture(s) are too few to quantize: calibration and comparison need one each, and \
         several hundred give good ranges; add training pictures"
    )]
    TooFewPictures { found: usize },
    #[error(
        "refused: quantization costs {drop}, the limit is {limit:.4} of each; calibrate on more pictures like those \
         that the model will see"
    )]
    Refused { drop: AccuracyDrop, limit: f64 },
    #[error(
        "refused: the int8 model's agreement with the float model is {agreement:.4} on {boxes} objects, it must be at least \
         {MIN_AGREEMENT}; calibrate on more pictures like those that the model will see"
    )]
    Disagrees { agreement: f64, boxes: usize },
    #[error(
        "the float model detects nothing with a score of {REFERENCE_SCORE} on the pictures that were kept for the comparison; \
         add pictures of its classes"
    )]
    NothingDetected,
    #[error(
        "the model has a class and a box for the whole image, whose accuracy is checked on labelled pictures; give a \
         prepared data set with `--data`"
    )]
    NeedsLabels,
}

/// Checks a model without image heads.
///
/// # Errors
/// [`QuantizeError::Disagrees`] below [`MIN_AGREEMENT`], [`QuantizeError::NothingDetected`] without an object to agree on.
pub fn check_agreement(agreement: &Agreement) -> Result<(), QuantizeError> {
    let &Agreement {
        agreement, boxes, ..
    } = agreement;
    if boxes == 0 {
        return Err(QuantizeError::NothingDetected);
    }
    // Written so that NaN is refused too.
    if agreement >= MIN_AGREEMENT {
        Ok(())
    } else {
        Err(QuantizeError::Disagrees { agreement, boxes })
    }
}

/// Figures of a model on the validation images.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub metrics: Metrics,
    /// Average precision of the objects at an IoU of 0.5; `None` of a model without them.
    pub objects_ap50: Option<f64>,
}

/// How much worse the int8 model is than the float model; negative values are gains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccuracyDrop {
    /// Drop of class accuracy, `-1..=1`.
    pub accuracy: f64,
    /// Drop of mean IoU, `-1..=1`.
    pub iou: f64,
    /// Drop of the objects' AP50, `-1..=1`; `None` of a model without objects.
    pub objects_ap50: Option<f64>,
    /// Rows that it was measured on.
    pub rows: usize,
}

impl Display for AccuracyDrop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { accuracy, iou, .. } = self;
        match self.objects_ap50 {
            None => write!(
                f,
                "{accuracy:.4} of class accuracy and {iou:.4} of mean IoU"
            ),
            Some(ap50) => write!(
                f,
                "{accuracy:.4} of class accuracy, {iou:.4} of mean IoU and {ap50:.4} of the objects' AP50"
            ),
        }
    }
}

impl AccuracyDrop {
    #[must_use]
    pub fn between(float: &Figures, int8: &Figures) -> Self {
        let (of_float, of_int8) = (&float.metrics, &int8.metrics);
        let objects = float.objects_ap50.zip(int8.objects_ap50);
        Self {
            accuracy: of_float.class_accuracy - of_int8.class_accuracy,
            iou: of_float.mean_iou - of_int8.mean_iou,
            objects_ap50: objects.map(|(float, int8)| float - int8),
            rows: of_int8.boxes,
        }
    }

    /// # Errors
    /// [`QuantizeError::Refused`] above [`MAX_DROP`]; on small sets, above two rows.
    pub fn check(self) -> Result<Self, QuantizeError> {
        let limit = MAX_DROP.max(ALLOWED_ROWS / self.rows as f64);
        // Written so that NaN is refused too.
        let is_small = |drop: f64| drop <= limit;
        if is_small(self.accuracy) && is_small(self.iou) && self.objects_ap50.is_none_or(is_small) {
            Ok(self)
        } else {
            Err(QuantizeError::Refused { drop: self, limit })
        }
    }
}

/// Minimum and maximum of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub min: f32,
    pub max: f32,
}

impl Range {
    /// The range of no values.
    pub const EMPTY: Self = Self {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
    };

    /// Widens the range to these values.
    pub fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        for value in values {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }
}

/// Scale and zero point of an int8 tensor: `q = round(x / scale) + zero_point`, clamped to -128..=127.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// Above 0.
    pub scale: f32,
    pub zero_point: i8,
}

impl QuantParams {
    /// The smallest scale that represents the range and 0.
    #[must_use]
    pub fn for_range(range: Range) -> Self {
        let (min, max) = (range.min.min(0.0), range.max.max(0.0));
        // The scale of an all-zero tensor must not be 0.
        let scale = ((max - min) / 255.0).max(f32::MIN_POSITIVE.sqrt());
        let zero_point = (-128.0 - min / scale).round().clamp(-128.0, 127.0) as i8;
        Self { scale, zero_point }
    }

    /// Quantizes a value and dequantizes it again.
    #[must_use]
    pub fn fake_quantize(&self, value: f32) -> f32 {
        let zero = f32::from(self.zero_point);
        let quantized = (value / self.scale).round_ties_even() + zero;
        (quantized.clamp(-128.0, 127.0) - zero) * self.scale
    }

    /// The largest value that can be represented.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.scale * (127.0 - f32::from(self.zero_point))
    }
}

/// Names of the activations that become int8: the inputs of convolutions, dense layers and pooling, both operands of a
/// residual addition, its output, and the outputs of an SSD's heads.
///
/// `Flatten` and `Resize` keep the values of their input, so the input's name stands for their output.
#[must_use]
pub fn quantized_tensors(graph: &pb::GraphProto) -> BTreeSet<String> {
    let outputs = |node| {
        let node: &pb::NodeProto = node;
        node.output
            .iter()
            .map(move |output| (output.as_str(), node))
    };
    let producers: BTreeMap<&str, &pb::NodeProto> = graph.node.iter().flat_map(outputs).collect();
    let maps = feature_maps(graph);
    let quantized = |node: &pb::NodeProto| -> Vec<String> {
        match node.op_type.as_str() {
            "Conv" | "Gemm" | "GlobalAveragePool" => node.input.iter().take(1).cloned().collect(),
            "Add" if adds_feature_maps(node, &maps) => {
                node.input.iter().chain(&node.output).cloned().collect()
            }
            _ => Vec::new(),
        }
    };
    let source = |value: String| {
        let mut name = value.as_str();
        let keeps_values =
            |node: &&&pb::NodeProto| matches!(node.op_type.as_str(), "Flatten" | "Resize");
        while let Some(node) = producers.get(name).filter(keeps_values) {
            name = node.input.first().map_or("", String::as_str);
        }
        name.to_owned()
    };
    let tensors = graph.node.iter().flat_map(quantized).map(source);
    tensors
        .chain(ObjectMaps::of(graph).iter().cloned())
        .collect()
}

/// Outputs of convolutions, and of elementwise operators on them.
///
/// The decoding of a box head is not among them: its few additions stay in floats.
fn feature_maps(graph: &pb::GraphProto) -> BTreeSet<&str> {
    let mut maps = BTreeSet::new();
    for node in &graph.node {
        let is_map = match node.op_type.as_str() {
            "Conv" => true,
            "Relu" | "Clip" | "Resize" => node
                .input
                .first()
                .is_some_and(|v| maps.contains(v.as_str())),
            "Add" => adds_feature_maps(node, &maps),
            _ => false,
        };
        if is_map {
            maps.extend(node.output.iter().map(String::as_str));
        }
    }
    maps
}

fn adds_feature_maps(node: &pb::NodeProto, maps: &BTreeSet<&str>) -> bool {
    node.input.iter().all(|value| maps.contains(value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quant_params_represent_zero_and_both_ends_of_the_range() {
        for (min, max) in [
            (0.0, 6.0),
            (-1.0, 3.0),
            (-2.0, -1.0),
            (0.5, 0.7),
            (0.0, 0.0),
        ] {
            let params = QuantParams::for_range(Range { min, max });
            let least = params.scale * (-128.0 - f32::from(params.zero_point));
            assert!(least <= min + params.scale && params.max() >= max - params.scale);
        }
        let relu6 = QuantParams::for_range(Range { min: 0.0, max: 6.0 });
        assert_eq!(relu6.zero_point, -128);
        assert!((relu6.max() - 6.0).abs() < 1e-5);
    }

    #[test]
    fn a_model_that_disagrees_is_refused() {
        let of = |agreement, boxes| {
            check_agreement(&Agreement {
                agreement,
                boxes,
                per_class: Vec::new(),
            })
        };
        assert!(of(0.95, 9).is_ok());
        let message = of(0.949, 9).expect_err("is refused").to_string();
        assert!(message.contains("is 0.9490 on 9 objects"), "{message}");
        assert!(matches!(
            of(f64::NAN, 9),
            Err(QuantizeError::Disagrees { .. })
        ));
        assert!(matches!(of(1.0, 0), Err(QuantizeError::NothingDetected)));
    }

    #[test]
    fn a_drop_above_the_limit_is_refused() {
        let of_objects = |accuracy, iou, objects_ap50, rows| AccuracyDrop {
            accuracy,
            iou,
            objects_ap50,
            rows,
        };
        let passes = |accuracy, iou, rows| of_objects(accuracy, iou, None, rows).check().is_ok();
        assert!(passes(0.005, -0.2, 1000) && !passes(0.0051, -0.2, 1000));
        assert!(!passes(0.0, 0.0051, 1000) && !passes(f64::NAN, 0.0, 1000));
        // Two rows of a hundred pass, three do not.
        assert!(passes(0.02, 0.0, 100) && !passes(0.03, 0.0, 100));
        let ap50 = |drop| of_objects(0.001, -0.2, Some(drop), 1000).check();
        assert!(ap50(0.005).is_ok() && ap50(-0.1).is_ok() && ap50(f64::NAN).is_err());
        let message = ap50(0.0061).expect_err("is refused").to_string();
        let expected = "costs 0.0010 of class accuracy, -0.2000 of mean IoU and 0.0061 of the objects' AP50, the \
                        limit is 0.0050";
        assert!(message.contains(expected), "{message}");
    }
}
