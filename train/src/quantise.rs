//! Static quantisation: a float model in, the same model in 8 bits out.
//!
//! In go a float ONNX model and calibration pictures, out comes a model in QDQ form (quantise, dequantise
//! around every operator; scheme of Jacob et al. 2018, "Quantization and Training of Neural Networks for
//! Efficient Integer-Arithmetic-Only Inference"): weights int8, symmetric, one scale an output channel;
//! activations int8 with one scale and zero point a tensor; biases int32. How ranges and scales are chosen is
//! tried out ([`choose::choose`]). The result is refused when it loses too much ([`Loss::check`]).

use std::collections::{BTreeMap, BTreeSet};

use boxcam::card::{CardError, ModelCard};
use boxcam::evaluate::Metrics;
use thiserror::Error;
use tract_onnx::pb;

pub mod calibrate;
mod channels;
pub mod choose;
mod correct;
mod dequantise;
mod engine;
pub mod errors;
mod histogram;
mod qdq;

pub use channels::WeightScales;
pub use correct::correct_biases;
pub use dequantise::dequantise;
pub use qdq::quantise;

/// Most class accuracy, and most mean IoU, that quantising may cost: half a point of either.
pub const MAX_LOSS: f64 = 0.005;

/// On few rows more may be lost: so many rows, since one that falls to the other side by chance is no fault.
const SPARED_ROWS: f64 = 2.0;

/// A model that can't be quantised, or should not be.
#[derive(Debug, Error)]
pub enum QuantiseError {
    /// It has no card.
    #[error("the model can't be quantised: {0}")]
    Card(#[from] CardError),
    /// The graph is not as this quantiser knows it.
    #[error(
        "the model can't be quantised: node {node} {message}; give the float model that `boxcam-train train` wrote"
    )]
    Graph {
        /// Name of the node.
        node: String,
        /// What is wrong with it.
        message: String,
    },
    /// The engine can't run the float model.
    #[error("the model can't be run on the calibration pictures: {message}")]
    Engine {
        /// The engine's words.
        message: String,
    },
    /// Not one calibration picture could be read.
    #[error("there is no calibration picture; give a folder with training pictures")]
    NoPictures,
    /// The quantised model is too much worse.
    #[error(
        "refused: quantising costs {accuracy:.4} of class accuracy and {iou:.4} of mean IoU, at most {most:.4} of each may \
         be lost; calibrate on more pictures of the kind it will see"
    )]
    Refused {
        /// Class accuracy lost.
        accuracy: f64,
        /// Mean IoU lost.
        iou: f64,
        /// Most that may be lost of each.
        most: f64,
    },
}

/// What quantising cost; above 0 is worse, below 0 better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Class accuracy of the float model less that of the quantised one.
    pub accuracy: f64,
    /// The same for mean IoU.
    pub iou: f64,
    /// Rows that it was measured on.
    pub rows: usize,
}

impl Loss {
    /// What the step from one to the other cost.
    #[must_use]
    pub fn between(float: &Metrics, quantised: &Metrics) -> Self {
        Self {
            accuracy: float.class_accuracy - quantised.class_accuracy,
            iou: float.mean_iou - quantised.mean_iou,
            rows: quantised.boxes,
        }
    }

    /// # Errors
    /// [`QuantiseError::Refused`] when it is more than may be lost.
    pub fn check(self) -> Result<Self, QuantiseError> {
        let Self {
            accuracy,
            iou,
            rows,
        } = self;
        let most = MAX_LOSS.max(SPARED_ROWS / rows as f64);
        // "not at most" also refuses NaN.
        if accuracy <= most && iou <= most {
            Ok(self)
        } else {
            Err(QuantiseError::Refused {
                accuracy,
                iou,
                most,
            })
        }
    }
}

/// The least and the greatest value that a tensor took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Least.
    pub min: f32,
    /// Greatest.
    pub max: f32,
}

impl Range {
    /// Of no value at all.
    pub const EMPTY: Self = Self {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
    };

    /// Takes in more values.
    pub fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        for value in values {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }
}

/// How a float becomes an int8: `q = round(x / scale) + zero_point`, kept within -128..=127.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scheme {
    /// Step of one unit; above 0.
    pub scale: f32,
    /// The int8 that stands for 0.
    pub zero_point: i8,
}

impl Scheme {
    /// The finest scheme in which every value of the range and 0 have a place.
    #[must_use]
    pub fn for_range(range: Range) -> Self {
        let (min, max) = (range.min.min(0.0), range.max.max(0.0));
        // A tensor that is 0 throughout needs some scale all the same.
        let scale = ((max - min) / 255.0).max(f32::MIN_POSITIVE.sqrt());
        let zero_point = (-128.0 - min / scale).round().clamp(-128.0, 127.0) as i8;
        Self { scale, zero_point }
    }

    /// What a value comes back as: stored in 8 bits and read again.
    #[must_use]
    pub fn rounded(&self, value: f32) -> f32 {
        let zero = f32::from(self.zero_point);
        let stored = (value / self.scale).round_ties_even() + zero;
        (stored.clamp(-128.0, 127.0) - zero) * self.scale
    }

    /// The greatest value with a place.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.scale * (127.0 - f32::from(self.zero_point))
    }
}

/// The card in a model's metadata.
///
/// # Errors
/// [`CardError`] when there is none or it can't be used.
pub fn card(model: &pb::ModelProto) -> Result<ModelCard, CardError> {
    let entries = model.metadata_props.iter();
    ModelCard::from_metadata(entries.map(|entry| (entry.key.as_str(), entry.value.as_str())))
}

/// The values that are stored in 8 bits: whatever a convolution, a dense layer or a pooling takes in, both maps that
/// a residual block adds, and their sum.
///
/// A `Flatten` only renames its input and a `Resize` only repeats it, so both are looked through.
#[must_use]
pub fn stored_values(graph: &pb::GraphProto) -> BTreeSet<String> {
    let producers: BTreeMap<&str, &pb::NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| {
            node.output
                .iter()
                .map(move |output| (output.as_str(), node))
        })
        .collect();
    let maps = maps(graph);
    let stored = |node: &pb::NodeProto| -> Vec<String> {
        match node.op_type.as_str() {
            "Conv" | "Gemm" | "GlobalAveragePool" => node.input.iter().take(1).cloned().collect(),
            "Add" if is_sum_of_maps(node, &maps) => {
                node.input.iter().chain(&node.output).cloned().collect()
            }
            _ => Vec::new(),
        }
    };
    let source = |value: String| {
        let mut name = value.as_str();
        let keeps_numbers =
            |node: &&&pb::NodeProto| matches!(node.op_type.as_str(), "Flatten" | "Resize");
        while let Some(node) = producers.get(name).filter(keeps_numbers) {
            name = node.input.first().map_or("", String::as_str);
        }
        name.to_owned()
    };
    graph.node.iter().flat_map(stored).map(source).collect()
}

/// Values that are the output of a convolution, or of what is done to such maps one number at a time.
///
/// What a head makes of a map is none: its sums are of few numbers and stay floats.
fn maps(graph: &pb::GraphProto) -> BTreeSet<&str> {
    let mut maps = BTreeSet::new();
    for node in &graph.node {
        let is_map = match node.op_type.as_str() {
            "Conv" => true,
            "Relu" | "Clip" | "Resize" => node
                .input
                .first()
                .is_some_and(|v| maps.contains(v.as_str())),
            "Add" => is_sum_of_maps(node, &maps),
            _ => false,
        };
        if is_map {
            maps.extend(node.output.iter().map(String::as_str));
        }
    }
    maps
}

fn is_sum_of_maps(node: &pb::NodeProto, maps: &BTreeSet<&str>) -> bool {
    node.input.iter().all(|value| maps.contains(value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_has_a_place_for_zero_and_both_ends() {
        for (min, max) in [
            (0.0, 6.0),
            (-1.0, 3.0),
            (-2.0, -1.0),
            (0.5, 0.7),
            (0.0, 0.0),
        ] {
            let scheme = Scheme::for_range(Range { min, max });
            let least = scheme.scale * (-128.0 - f32::from(scheme.zero_point));
            assert!(least <= min + scheme.scale && scheme.max() >= max - scheme.scale);
        }
        let relu6 = Scheme::for_range(Range { min: 0.0, max: 6.0 });
        assert_eq!(relu6.zero_point, -128);
        assert!((relu6.max() - 6.0).abs() < 1e-5);
    }

    #[test]
    fn a_loss_above_the_limit_is_refused() {
        let loss = |accuracy, iou, rows| {
            let loss = Loss {
                accuracy,
                iou,
                rows,
            };
            loss.check().is_ok()
        };
        assert!(loss(0.005, -0.2, 1000) && !loss(0.0051, -0.2, 1000));
        assert!(!loss(0.0, 0.0051, 1000) && !loss(f64::NAN, 0.0, 1000));
        // Two of a hundred rows, but not three.
        assert!(loss(0.02, 0.0, 100) && !loss(0.03, 0.0, 100));
    }
}
