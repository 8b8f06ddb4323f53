//! A box that every cell of two maps together votes on.
//!
//! The trunk's last map knows what things are and sees far, but a thing of an eighth of the picture's width is one
//! cell of it. The map before the last halving has four times as many cells. The last map is taken twice as high and
//! wide, the finer one is added (as in a feature pyramid, Lin et al. 2017), and its cells vote; what they come to is
//! [`CellPredictions::agreed`]. Every cell inside a true box can be taught by itself, and pooling would forget where things are.

use std::collections::BTreeMap;

use burn::prelude::*;

use super::cells::{self, CellPredictions};
use super::layers;
use crate::layer::ConvWeights;
use crate::network::{Conv, FeatureMaps};
use crate::onnx::GraphBuilder;

/// See the module.
#[derive(Module, Debug)]
pub struct FcosHead {
    coarse: Conv,
    fine: Conv,
    around: Conv,
    mix: Conv,
    further: Conv,
    blend: Conv,
    wide: Conv,
    vote: Conv,
}

impl FcosHead {
    /// The head on maps of `coarse` and `fine` channels, with `hidden` channels of its own.
    #[must_use]
    pub fn new(coarse: usize, fine: usize, hidden: usize, device: &Device) -> Self {
        Self {
            coarse: layers::pointwise(coarse, hidden, device),
            fine: layers::pointwise(fine, hidden, device),
            around: layers::depthwise(hidden, device),
            mix: layers::pointwise(hidden, hidden, device),
            further: layers::depthwise(hidden, device),
            blend: layers::pointwise(hidden, hidden, device),
            wide: layers::depthwise(hidden, device),
            vote: layers::vote(hidden, device),
        }
    }

    /// The same head with the weights of another model; as it is where those are not of such a head.
    pub(super) fn load_pretrained(self, given: &BTreeMap<String, ConvWeights>) -> Self {
        let device = self.coarse.device();
        let taken = self.layers().map(|(name, conv)| {
            let weights = given.get(name)?;
            let fits = weights.shape == conv.weights().shape;
            fits.then(|| Conv::new(weights, conv.is_cut(), &device))
        });
        let [
            Some(coarse),
            Some(fine),
            Some(around),
            Some(mix),
            Some(further),
            Some(blend),
            Some(wide),
            Some(vote),
        ] = taken
        else {
            return self;
        };
        Self {
            coarse,
            fine,
            around,
            mix,
            further,
            blend,
            wide,
            vote,
        }
    }

    /// All layers with their names: those on either map, those behind the sum of both, the votes.
    fn layers(&self) -> [(&'static str, &Conv); 8] {
        [
            ("box.coarse", &self.coarse),
            ("box.fine", &self.fine),
            ("box.around", &self.around),
            ("box.mix", &self.mix),
            ("box.further", &self.further),
            ("box.blend", &self.blend),
            ("box.wide", &self.wide),
            ("box.vote", &self.vote),
        ]
    }

    /// What each cell of the finer map says.
    ///
    /// # Panics
    /// When the trunk was cut behind its finer map.
    #[must_use]
    pub fn forward(&self, maps: FeatureMaps) -> CellPredictions {
        let fine = maps.fine.expect("a head of two maps has both");
        let coarse = twice(self.coarse.forward(maps.last));
        let hidden = self.fine.forward(fine) + coarse;
        let [_, _, behind_the_sum @ .., (_, vote)] = self.layers();
        let layers = behind_the_sum.into_iter();
        let hidden = layers.fold(hidden, |map, (_, conv)| conv.forward(map));
        CellPredictions::new(vote.forward(hidden))
    }

    /// Adds the head to a graph; see [`super::BoxHead::export`].
    pub(super) fn export(
        &self,
        graph: &mut GraphBuilder,
        [fine, last]: [&str; 2],
        side: usize,
    ) -> String {
        let [of_last, of_fine, behind_the_sum @ .., (name, vote)] = self.layers();
        let layer = |graph: &mut GraphBuilder, input: &str, (name, conv): (&str, &Conv)| {
            graph.conv_relu6(name, input, &conv.weights())
        };
        let coarse = layer(graph, last, of_last);
        let coarse = graph.enlarge("box.twice", &coarse, 2);
        let fine = layer(graph, fine, of_fine);
        let hidden = graph.binary("Add", "box.sum", &fine, &coarse);
        let layers = behind_the_sum.into_iter();
        let hidden = layers.fold(hidden, |value, next| layer(graph, &value, next));
        let votes = graph.conv(name, &hidden, &vote.weights());
        cells::export(graph, &votes, 2 * side)
    }
}

/// Each pixel four times: `[batch, height, width, channels]` to `[batch, 2 * height, 2 * width, channels]`.
fn twice(map: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = map.dims();
    map.reshape([batch * height, 1, width, 1, channels])
        .expand([batch * height, 2, width, 2, channels])
        .reshape([batch, 2 * height, 2 * width, channels])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::to_vec;

    #[test]
    fn each_pixel_stands_four_times() {
        let device = Device::flex();
        let map = Tensor::<4>::from_data([[[[1.0f32], [2.0]], [[3.0], [4.0]]]], &device);
        let expected = [
            [1.0, 1.0, 2.0, 2.0],
            [1.0, 1.0, 2.0, 2.0],
            [3.0, 3.0, 4.0, 4.0],
            [3.0, 3.0, 4.0, 4.0],
        ];
        assert_eq!(to_vec(twice(map)), expected.concat());
    }

    #[test]
    fn a_fresh_head_says_a_box_of_0_6_in_the_middle() {
        let device = Device::flex();
        let head = FcosHead::new(16, 12, 8, &device);
        let maps = FeatureMaps {
            fine: Some(Tensor::zeros([2, 8, 8, 12], &device)),
            last: Tensor::zeros([2, 4, 4, 16], &device),
        };
        for corners in to_vec(head.forward(maps).decode()).chunks(4) {
            for (found, expected) in corners.iter().zip([0.2, 0.8, 0.2, 0.8]) {
                assert!((found - expected).abs() < 1e-5, "{corners:?}");
            }
        }
    }
}
