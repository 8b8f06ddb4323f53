//! Object branch of the FCOS head: for every cell of the stride-16 map a score for each class, and a box.
//!
//! It reads the map that the box head's layers end in. That map tells where objects are but, with a box head that was trained
//! before, not of which class; so the scores also read a projection of the backbone's last map, from which the image's class
//! comes. A score is trained to be the IoU of the cell's box with an object of that class.

use burn::prelude::*;
use burn::tensor::activation::sigmoid;

use super::decode::{self, TensorOps};
use super::fcos::{depthwise, pointwise, pointwise_linear, random, upsample};
use crate::layer::ConvWeights;
use crate::network::Conv;
use crate::onnx::GraphBuilder;

/// Names of the layers in a model file, in the order of [`ObjectBranch::convs`].
const NAMES: [&str; 6] = [
    "objects.coarse",
    "objects.fine",
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
    /// Projection of the backbone's last map, for the scores.
    coarse: Conv,
    /// Projection of the box head's map, for the scores.
    fine: Conv,
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
    /// A branch on the box head's map of `hidden` channels and the backbone's last map of `last` channels.
    #[must_use]
    pub fn new(last: usize, hidden: usize, classes: usize, device: &Device) -> Self {
        let output = |outputs: usize, inputs: usize, bias: f32| {
            let mut layer = random([outputs, inputs, 1, 1], 0.01, device);
            layer.bias.fill(bias);
            pointwise_linear(&layer, device)
        };
        let width = hidden.div_ceil(2);
        Self {
            coarse: pointwise(last, width, device),
            fine: pointwise(hidden, width, device),
            around: depthwise(width, device),
            logits: output(classes, width, INITIAL_LOGIT),
            box_around: depthwise(hidden, device),
            distances: output(4, hidden, INITIAL_DISTANCE),
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
        match loaded.map(<[Conv; 6]>::try_from) {
            Some(Ok([coarse, fine, around, logits, box_around, distances])) => Self {
                coarse,
                fine,
                around,
                logits,
                box_around,
                distances,
            },
            _ => self,
        }
    }

    fn convs(&self) -> [&Conv; 6] {
        [
            &self.coarse,
            &self.fine,
            &self.around,
            &self.logits,
            &self.box_around,
            &self.distances,
        ]
    }

    /// Predictions on the box head's map `[batch, height, width, hidden]` and the backbone's last map
    /// `[batch, height / 2, width / 2, last]`.
    #[must_use]
    pub fn forward(&self, map: Tensor<4>, last: Tensor<4>) -> ObjectPredictions {
        let [batch, height, width, _] = map.dims();
        let cells = height * width;
        let sum = self.fine.forward(map.clone()) + upsample(self.coarse.forward(last));
        let logits = self.logits.forward(self.around.forward(sum));
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

    /// Adds the branch to a graph, on the box head's map `hidden` with `side * side` cells and the backbone's last map.
    /// Returns the names of the scores `[1, cells, classes]` and of the corners `[1, cells, 4]`.
    pub(super) fn export(
        &self,
        graph: &mut GraphBuilder,
        [hidden, last]: [&str; 2],
        side: usize,
    ) -> [String; 2] {
        let [
            of_coarse,
            of_fine,
            of_around,
            of_logits,
            of_box_around,
            of_edges,
        ] = NAMES;
        let cells = (side * side) as i64;
        let coarse = graph.conv_relu6(of_coarse, last, &self.coarse.weights());
        let coarse = graph.upsample("objects.twice", &coarse, 2);
        let fine = graph.conv_relu6(of_fine, hidden, &self.fine.weights());
        let sum = graph.binary("Add", "objects.sum", &fine, &coarse);
        let around = graph.conv_relu6(of_around, &sum, &self.around.weights());
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
        let branch = ObjectBranch::new(12, 8, 3, &device);
        let found = branch.forward(
            Tensor::zeros([2, 4, 4, 8], &device),
            Tensor::zeros([2, 2, 2, 12], &device),
        );
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
    fn the_scores_of_the_model_that_ships_cost_less_than_ten_million_multiply_adds() {
        let branch = ObjectBranch::new(1280, 128, 20, &Device::flex());
        let [coarse, scores @ .., box_around, distances] =
            branch.convs().map(|conv| conv.weights().weights.len());
        let of_scores = coarse * 9 * 9 + scores.iter().sum::<usize>() * 18 * 18;
        assert_eq!(of_scores, 9_891_072);
        assert_eq!((box_around + distances) * 18 * 18, 539_136);
    }

    #[test]
    fn scores_depend_on_both_maps_and_boxes_on_that_of_the_box_head() {
        let device = Device::flex();
        let branch = ObjectBranch::new(12, 8, 3, &device);
        let of = |hidden: f32, last: f32| {
            let found = branch.forward(
                Tensor::full([1, 4, 4, 8], hidden, &device),
                Tensor::full([1, 2, 2, 12], last, &device),
            );
            (to_vec(found.logits), to_vec(found.corners))
        };
        let (logits, corners) = of(1.0, 1.0);
        let (with_other_last, same_corners) = of(1.0, 0.0);
        assert_ne!(logits, with_other_last);
        assert_eq!(corners, same_corners);
        assert_ne!(logits, of(0.0, 1.0).0);
    }

    #[test]
    fn weights_are_loaded_by_name_if_all_of_them_fit() {
        let device = Device::flex();
        let [mine, other] = [0, 1].map(|_| ObjectBranch::new(12, 8, 3, &device));
        let weights = |branch: &ObjectBranch| branch.convs().map(Conv::weights);
        let given = weights(&other);
        let find = |name: &str| {
            let index = NAMES.iter().position(|known| *known == name)?;
            Some(&given[index])
        };
        let before = weights(&mine);
        let partly = mine.load_pretrained(|name| find(name).filter(|_| name != NAMES[5]));
        assert_eq!(weights(&partly), before);
        assert_eq!(weights(&partly.load_pretrained(find)), given);
        let of_two_classes = ObjectBranch::new(12, 8, 2, &device);
        let before = weights(&of_two_classes);
        assert_eq!(weights(&of_two_classes.load_pretrained(find)), before);
    }
}
