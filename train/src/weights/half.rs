//! The trunk of a model by itself, in half precision: what a training can start from, at half the size.

use boxcam::card::ModelCard;
use half::f16;
use tract_onnx::pb;

use super::{BackboneWeights, WeightsError};
use crate::onnx::{GraphBuilder, INPUT, Precision};

/// Name of the one output: the last layer's map.
const OUTPUT: &str = "features";

/// An ONNX model of the trunk alone, all numbers 16-bit floats, which [`super::read`] reads.
///
/// The card is that of the model which it is the trunk of, without what was measured of the whole: labels and
/// credits stay, figures and golden examples go.
///
/// # Errors
/// [`WeightsError::TooLarge`] for a weight that would become infinite.
pub fn half_precision(
    trunk: &BackboneWeights,
    card: &ModelCard,
) -> Result<pb::ModelProto, WeightsError> {
    for (layer, weights) in trunk.layers.iter().enumerate() {
        let numbers = weights.conv.weights.iter().chain(&weights.conv.bias);
        let too_large = |weight: &&f32| !f16::from_f32(**weight).is_finite();
        if let Some(&weight) = numbers.clone().find(too_large) {
            return Err(WeightsError::TooLarge { layer, weight });
        }
    }
    let card = ModelCard {
        figures: std::collections::BTreeMap::new(),
        golden: Vec::new(),
        ..card.clone()
    };
    let mut graph = GraphBuilder::with_precision(Precision::Half, &card.name, &card.input);
    let maps = graph.backbone(INPUT, &trunk.layers);
    let map = maps.last().map_or(INPUT, String::as_str);
    let channels = trunk.layers.last().map_or(3, |layer| layer.conv.shape[0]);
    let stride = |side: usize, stride: usize| side.div_ceil(stride);
    let strides = trunk.layers.iter().map(|layer| layer.conv.stride);
    let side = strides.fold(trunk.side, stride);
    let shape = vec![1, channels, side, side];
    Ok(graph.finish_with(&[(OUTPUT, map, shape)], &card))
}
