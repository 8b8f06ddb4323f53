//! Box head after FCOS (Tian et al. 2019) on stride-16 features plus upsampled stride-32 features.
//!
//! The last map has a large receptive field, but an object an eighth of the picture wide covers only one of its cells. So
//! it is upsampled and added to the map before the last stride-2 layer (a feature pyramid, Lin et al. 2017), which has
//! four times as many cells. Each cell predicts four edge distances and a weight, see [`super::decode`].

use std::collections::BTreeMap;

use burn::prelude::*;
use burn::tensor::Distribution;

use super::ExportedBoxes;
use super::decode::{self, CELL_CHANNELS, CellPredictions};
use super::objects::{ObjectBranch, ObjectPredictions};
use crate::layer::ConvWeights;
use crate::network::{Conv, FeatureMaps, to_vec};
use crate::onnx::GraphBuilder;

/// Names of the layers in a model file, in the order of [`FcosHead::convs`].
const NAMES: [&str; 8] = [
    "box.coarse",
    "box.fine",
    "box.around",
    "box.mix",
    "box.further",
    "box.blend",
    "box.wide",
    "box.vote",
];

/// See the module.
#[derive(Module, Debug)]
pub struct FcosHead {
    /// Projection of the stride-32 map.
    coarse: Conv,
    /// Projection of the stride-16 map.
    fine: Conv,
    /// Depthwise and pointwise convolutions, alternating.
    tower: [Conv; 5],
    output: Conv,
    /// On the map before the last layer of the tower.
    objects: Option<ObjectBranch>,
}

/// Layers of the tower that the object branch shares.
const SHARED: usize = 4;

impl FcosHead {
    /// A head on maps of `coarse` and `fine` channels, with `hidden` channels of its own.
    #[must_use]
    pub fn new(coarse: usize, fine: usize, hidden: usize, device: &Device) -> Self {
        Self {
            coarse: pointwise(coarse, hidden, device),
            fine: pointwise(fine, hidden, device),
            tower: [
                depthwise(hidden, device),
                pointwise(hidden, hidden, device),
                depthwise(hidden, device),
                pointwise(hidden, hidden, device),
                depthwise(hidden, device),
            ],
            output: output(hidden, device),
            objects: None,
        }
    }

    /// The head with an untrained object branch for so many classes.
    #[must_use]
    pub fn with_objects(self, classes: usize) -> Self {
        let [hidden, last, ..] = self.coarse.weights().shape;
        let branch = ObjectBranch::new(last, hidden, classes, &self.coarse.device());
        Self {
            objects: Some(branch),
            ..self
        }
    }

    /// The head with the weights of another model; the box head, and the object branch, are unchanged if any of their
    /// weights is missing or has another shape.
    pub(super) fn load_pretrained(mut self, weights: &BTreeMap<String, ConvWeights>) -> Self {
        let branch = self.objects.take();
        self.objects = branch.map(|branch| branch.load_pretrained(|name| weights.get(name)));
        let device = self.coarse.device();
        let convs = self.convs().into_iter().zip(NAMES);
        let loaded = convs.map(|(conv, name)| {
            let weights = weights.get(name)?;
            let fits = weights.shape == conv.weights().shape;
            fits.then(|| Conv::new(weights, conv.has_relu6(), &device))
        });
        let loaded: Option<Vec<Conv>> = loaded.collect();
        match loaded.map(<[Conv; 8]>::try_from) {
            Some(Ok([coarse, fine, tower @ .., output])) => Self {
                coarse,
                fine,
                tower,
                output,
                objects: self.objects,
            },
            _ => self,
        }
    }

    fn convs(&self) -> [&Conv; 8] {
        let [a, b, c, d, e] = &self.tower;
        [&self.coarse, &self.fine, a, b, c, d, e, &self.output]
    }

    /// # Panics
    /// When the backbone was cut behind its stride-16 map.
    #[must_use]
    pub fn forward(&self, maps: FeatureMaps) -> (CellPredictions, Option<ObjectPredictions>) {
        let fine = maps.fine.expect("FCOS needs the stride-16 map");
        let coarse = upsample(self.coarse.forward(maps.last.clone()));
        let sum = self.fine.forward(fine) + coarse;
        let (shared, own) = self.tower.split_at(SHARED);
        let hidden = shared.iter().fold(sum, |map, conv| conv.forward(map));
        let objects = self.objects.as_ref();
        let objects = objects.map(|branch| branch.forward(hidden.clone(), maps.last));
        let hidden = own.iter().fold(hidden, |map, conv| conv.forward(map));
        let cells = CellPredictions::new(self.output.forward(hidden));
        (cells, objects)
    }

    /// Adds the head to a graph; see [`super::BoxHead::export`].
    pub(super) fn export(
        &self,
        graph: &mut GraphBuilder,
        [fine, last]: [&str; 2],
        side: usize,
    ) -> ExportedBoxes {
        let [of_coarse, of_fine, tower @ .., of_output] = NAMES;
        let coarse = graph.conv_relu6(of_coarse, last, &self.coarse.weights());
        let coarse = graph.upsample("box.twice", &coarse, 2);
        let fine = graph.conv_relu6(of_fine, fine, &self.fine.weights());
        let sum = graph.binary("Add", "box.sum", &fine, &coarse);
        let layers: Vec<(&Conv, &str)> = self.tower.iter().zip(tower).collect();
        let (shared, own) = layers.split_at(SHARED);
        let mut add = |input: String, layers: &[(&Conv, &str)]| {
            layers.iter().fold(input, |input, (conv, name)| {
                graph.conv_relu6(name, &input, &conv.weights())
            })
        };
        let shared = add(sum, shared);
        let hidden = add(shared.clone(), own);
        let output = graph.conv(of_output, &hidden, &self.output.weights());
        let corners = decode::export(graph, &output, 2 * side);
        let objects = self.objects.as_ref();
        ExportedBoxes {
            corners,
            objects: objects.map(|branch| branch.export(graph, [&shared, last], 2 * side)),
        }
    }
}

/// Nearest-neighbour upsampling: `[batch, height, width, channels]` to `[batch, 2 * height, 2 * width, channels]`.
pub(super) fn upsample(map: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = map.dims();
    map.reshape([batch * height, 1, width, 1, channels])
        .expand([batch * height, 2, width, 2, channels])
        .reshape([batch, 2 * height, 2 * width, channels])
}

/// A pointwise convolution with relu6 and He initialization (He et al. 2015).
pub(super) fn pointwise(inputs: usize, outputs: usize, device: &Device) -> Conv {
    let deviation = (2.0 / inputs as f64).sqrt();
    let layer = random([outputs, inputs, 1, 1], deviation, device);
    Conv::new(&layer, true, device)
}

/// A pointwise convolution without an activation.
pub(super) fn pointwise_linear(layer: &ConvWeights, device: &Device) -> Conv {
    Conv::new(layer, false, device)
}

/// A 3 x 3 depthwise convolution with relu6, initialized near the identity.
pub(super) fn depthwise(channels: usize, device: &Device) -> Conv {
    let mut layer = random([channels, 1, 3, 3], 0.1, device);
    layer.groups = channels;
    let centre = layer.weights.iter_mut().skip(4).step_by(9);
    centre.for_each(|weight| *weight += 1.0);
    Conv::new(&layer, true, device)
}

/// The output convolution, initialized so that every cell predicts nearly the same weight and a box of 0.6 around it.
fn output(inputs: usize, device: &Device) -> Conv {
    let mut layer = random([CELL_CHANNELS, inputs, 1, 1], 0.01, device);
    layer.bias = vec![0.0, 0.3, 0.3, 0.3, 0.3];
    pointwise_linear(&layer, device)
}

/// A convolution with normally distributed weights around 0 and zero biases.
pub(super) fn random(shape: [usize; 4], deviation: f64, device: &Device) -> ConvWeights {
    let noise = Distribution::Normal(0.0, deviation);
    let weights = to_vec(Tensor::<4>::random(shape, noise, device));
    ConvWeights {
        shape,
        weights,
        bias: vec![0.0; shape[0]],
        stride: 1,
        groups: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upsampling_repeats_each_pixel_four_times() {
        let device = Device::flex();
        let map = Tensor::<4>::from_data([[[[1.0f32], [2.0]], [[3.0], [4.0]]]], &device);
        let expected = [
            [1.0, 1.0, 2.0, 2.0],
            [1.0, 1.0, 2.0, 2.0],
            [3.0, 3.0, 4.0, 4.0],
            [3.0, 3.0, 4.0, 4.0],
        ];
        assert_eq!(to_vec(upsample(map)), expected.concat());
    }

    #[test]
    fn an_untrained_head_predicts_a_centred_box_of_0_6() {
        let device = Device::flex();
        let head = FcosHead::new(16, 12, 8, &device);
        let maps = FeatureMaps {
            fine: Some(Tensor::zeros([2, 8, 8, 12], &device)),
            last: Tensor::zeros([2, 4, 4, 16], &device),
        };
        for corners in to_vec(head.forward(maps).0.decode()).chunks(4) {
            for (found, expected) in corners.iter().zip([0.2, 0.8, 0.2, 0.8]) {
                assert!((found - expected).abs() < 1e-5, "{corners:?}");
            }
        }
    }
}
