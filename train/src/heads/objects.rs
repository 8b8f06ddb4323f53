//! Object branch of the FCOS head: for every cell of the stride-16 map a score for each class, and a box.
//!
//! It reads the map that the box head's layers end in, so that it costs two depthwise and two pointwise convolutions
//! more. A score is trained to be the IoU of the cell's box with an object of that class.

use burn::prelude::*;
use burn::tensor::activation::sigmoid;

use super::decode::{self, TensorOps};
use super::fcos::{depthwise, pointwise_linear, random};
use crate::layer::ConvWeights;
use crate::network::Conv;
use crate::onnx::GraphBuilder;

/// Names of the layers in a model file, in the order of [`ObjectBranch::convs`].
const NAMES: [&str; 4] = [
    "objects.around",
    "objects.logits",
    "objects.box_around",
    "objects.edges",
];

/// Logit of every class before training: a score of 0.018. Nearly all cells show no object.
const INITIAL_LOGIT: f32 = -4.0;

/// Distance of a cell's centre to each edge of its box before training, as a share of the picture's side.
const INITIAL_DISTANCE: f32 = 0.17;

/// See the module.
#[derive(Module, Debug)]
pub struct ObjectBranch {
    around: Conv,
    logits: Conv,
    box_around: Conv,
    distances: Conv,
}

/// Predictions of all cells, row by row.
#[derive(Debug, Clone)]
pub struct ObjectPredictions {
    /// Class logits, `[batch, cells, classes]`.
    pub logits: Tensor<3>,
    /// Corners of each cell's box in `x_min, x_max, y_min, y_max` order, `[batch, cells, 4]`.
    pub corners: Tensor<3>,
}

impl ObjectPredictions {
    /// `[batch, cells, classes]`, `0..=1`.
    #[must_use]
    pub fn scores(&self) -> Tensor<3> {
        sigmoid(self.logits.clone())
    }
}

impl ObjectBranch {
    /// A branch on a map of `hidden` channels.
    #[must_use]
    pub fn new(hidden: usize, classes: usize, device: &Device) -> Self {
        let output = |outputs: usize, bias: f32| {
            let mut layer = random([outputs, hidden, 1, 1], 0.01, device);
            layer.bias.fill(bias);
            pointwise_linear(&layer, device)
        };
        Self {
            around: depthwise(hidden, device),
            logits: output(classes, INITIAL_LOGIT),
            box_around: depthwise(hidden, device),
            distances: output(4, INITIAL_DISTANCE),
        }
    }

    /// The branch with the weights that `find` gives by name; unchanged if any of them is missing or has another shape.
    pub(super) fn load_pretrained<'w>(
        self,
        find: impl Fn(&str) -> Option<&'w ConvWeights>,
    ) -> Self {
        let device = self.around.device();
        let convs = self.convs().into_iter().zip(NAMES);
        let loaded = convs.map(|(conv, name)| {
            let weights = find(name)?;
            let fits = weights.shape == conv.weights().shape;
            fits.then(|| Conv::new(weights, conv.has_relu6(), &device))
        });
        let loaded: Option<Vec<Conv>> = loaded.collect();
        match loaded.map(<[Conv; 4]>::try_from) {
            Some(Ok([around, logits, box_around, distances])) => Self {
                around,
                logits,
                box_around,
                distances,
            },
            _ => self,
        }
    }

    fn convs(&self) -> [&Conv; 4] {
        [
            &self.around,
            &self.logits,
            &self.box_around,
            &self.distances,
        ]
    }

    /// Predictions on a map `[batch, height, width, hidden]`.
    #[must_use]
    pub fn forward(&self, map: Tensor<4>) -> ObjectPredictions {
        let [batch, height, width, _] = map.dims();
        let cells = height * width;
        let logits = self.logits.forward(self.around.forward(map.clone()));
        let [_, _, _, classes] = logits.dims();
        let distances = self.distances.forward(self.box_around.forward(map));
        let raw = distances.reshape([batch, cells, 4]).swap_dims(1, 2);
        let ops = &mut TensorOps::new(&raw.device());
        let corners = decode::cell_corners(ops, "objects", &raw, height, width);
        ObjectPredictions {
            logits: logits.reshape([batch, cells, classes]),
            corners: corners.swap_dims(1, 2),
        }
    }

    /// Adds the branch to a graph, on the map `hidden` with `side * side` cells. Returns the names of the scores
    /// `[1, cells, classes]` and of the corners `[1, cells, 4]`.
    pub(super) fn export(
        &self,
        graph: &mut GraphBuilder,
        hidden: &str,
        side: usize,
    ) -> [String; 2] {
        let [of_around, of_logits, of_box_around, of_edges] = NAMES;
        let cells = (side * side) as i64;
        let around = graph.conv_relu6(of_around, hidden, &self.around.weights());
        let logits = self.logits.weights();
        let classes = logits.shape[0] as i64;
        let logits = graph.conv(of_logits, &around, &logits);
        let logits = graph.reshape("objects.logit_rows", &logits, &[1, classes, cells]);
        let logits = graph.transpose("objects.cell_logits", &logits, &[0, 2, 1]);
        let scores = graph.sigmoid("objects.scores", &logits);
        let around = graph.conv_relu6(of_box_around, hidden, &self.box_around.weights());
        let distances = graph.conv(of_edges, &around, &self.distances.weights());
        let distances = graph.reshape("objects.raw_distances", &distances, &[1, 4, cells]);
        let corners = decode::cell_corners(graph, "objects", &distances, side, side);
        let corners = graph.transpose("objects.corners", &corners, &[0, 2, 1]);
        [scores, corners]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::to_vec;

    #[test]
    fn an_untrained_branch_predicts_low_scores_and_a_box_around_each_cell() {
        let device = Device::flex();
        let branch = ObjectBranch::new(8, 3, &device);
        let found = branch.forward(Tensor::zeros([2, 4, 4, 8], &device));
        assert_eq!(found.logits.dims(), [2, 16, 3]);
        let scores = to_vec(found.scores());
        assert!(scores.iter().all(|score| (score - 0.018).abs() < 1e-3));
        // The second cell of the second row, whose centre is (0.375, 0.375).
        let corners = &to_vec(found.corners)[4 * 5..4 * 6];
        for (corner, expected) in corners.iter().zip([0.205, 0.545, 0.205, 0.545]) {
            assert!((corner - expected).abs() < 1e-5, "{corners:?}");
        }
    }

    #[test]
    fn the_branch_of_the_model_that_ships_costs_less_than_ten_million_multiply_adds() {
        let branch = ObjectBranch::new(128, 20, &Device::flex());
        let convs = branch.convs();
        let weights: usize = convs.iter().map(|conv| conv.weights().weights.len()).sum();
        assert_eq!(weights * 18 * 18, 1_741_824);
    }

    #[test]
    fn weights_are_loaded_by_name_if_all_of_them_fit() {
        let device = Device::flex();
        let [mine, other] = [0, 1].map(|_| ObjectBranch::new(8, 3, &device));
        let weights = |branch: &ObjectBranch| branch.convs().map(Conv::weights);
        let given = weights(&other);
        let find = |name: &str| {
            let index = NAMES.iter().position(|known| *known == name)?;
            Some(&given[index])
        };
        let before = weights(&mine);
        let partly = mine.load_pretrained(|name| find(name).filter(|_| name != NAMES[3]));
        assert_eq!(weights(&partly), before);
        assert_eq!(weights(&partly.load_pretrained(find)), given);
        let of_two_classes = ObjectBranch::new(8, 2, &device);
        let before = weights(&of_two_classes);
        assert_eq!(weights(&of_two_classes.load_pretrained(find)), before);
    }
}
