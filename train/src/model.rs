//! The whole model: the frozen part of the backbone, the trainable part and the heads.

use boxcam::card::{
    BOX_OUTPUT, CLASS_OUTPUT, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT,
};
use boxcam::label::Labels;
use burn::prelude::*;
use tract_onnx::pb;

use crate::heads::{
    BoxHead, BoxOutput, CellPredictions, ClassHead, FcosHead, GlobalBoxHead, ObjectPredictions,
    pool,
};
use crate::layer::Layer;
use crate::network::{Backbone, cuts, fine_layer};
use crate::onnx::{GraphBuilder, INPUT};
use crate::recipe::{Frozen, HeadKind, Recipe};
use crate::weights::{BackboneWeights, HeadWeights};

#[derive(Module, Debug)]
pub struct Heads {
    pub class: ClassHead,
    pub bounding_box: BoxHead,
}

/// Everything that is trained.
#[derive(Module, Debug)]
pub struct Net {
    /// The part of the backbone that is trained; may be empty.
    pub backbone: Backbone,
    pub heads: Heads,
}

/// Output for a batch.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Pooled features, the input of the class head, `[batch, channels]`.
    pub features: Tensor<2>,
    /// Class logits, `[batch, classes]`.
    pub logits: Tensor<2>,
    /// Corners, `[batch, 4]`.
    pub corners: Tensor<2>,
    /// Predictions of all cells, if the box head has them.
    pub cells: Option<CellPredictions>,
    /// Objects of all cells, if the box head has them.
    pub objects: Option<ObjectPredictions>,
}

/// A model in training.
#[derive(Debug, Clone)]
pub struct Model {
    /// The part of the backbone that is not trained.
    pub frozen: Vec<Layer>,
    pub net: Net,
}

impl Heads {
    fn load_pretrained(self, pretrained: &HeadWeights) -> Self {
        Self {
            class: self.class.load_pretrained(&pretrained.class),
            bounding_box: self.bounding_box.load_pretrained(pretrained),
        }
    }
}

impl Net {
    /// Reads pictures or cached features, `[batch, height, width, channels]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Answer {
        let maps = self.backbone.feature_maps(input);
        let features = pool(maps.last.clone());
        let logits = self.heads.class.forward(features.clone());
        let BoxOutput {
            corners,
            cells,
            objects,
        } = self.heads.bounding_box.forward(maps);
        Answer {
            features,
            logits,
            corners,
            cells,
            objects,
        }
    }
}

impl Model {
    /// A model for these classes on a pretrained backbone. Heads of the same classes and shape are loaded too; others are
    /// initialized randomly.
    #[must_use]
    pub fn new(
        weights: &BackboneWeights,
        labels: &Labels,
        recipe: &Recipe,
        device: &Device,
    ) -> Self {
        let layers = &weights.layers;
        let cut = cut(layers, recipe.frozen());
        let channels_of = |layer: Option<&Layer>| layer.map_or(0, |layer| layer.conv.shape[0]);
        let channels = channels_of(layers.last());
        let bounding_box = match recipe.head {
            HeadKind::Global => BoxHead::Global(GlobalBoxHead::new(channels, device)),
            HeadKind::Fcos | HeadKind::Objects => {
                let fine = channels_of(fine_layer(layers).map(|fine| &layers[fine]));
                let head = FcosHead::new(channels, fine, recipe.head_channels, device);
                BoxHead::Fcos(match recipe.head {
                    HeadKind::Objects => head.with_objects(labels.len()),
                    _ => head,
                })
            }
        };
        let class = ClassHead::new(channels, labels.len(), recipe.dropout, device);
        let fresh = Heads {
            class,
            bounding_box,
        };
        let heads = match weights.heads_for(labels) {
            Some(pretrained) => fresh.load_pretrained(pretrained),
            None => fresh,
        };
        Self {
            frozen: layers[..cut].to_vec(),
            net: Net {
                backbone: Backbone::new(layers, cut, layers.len(), device),
                heads,
            },
        }
    }

    /// The frozen part; `None` if everything is trained.
    #[must_use]
    pub fn frozen_backbone(&self, device: &Device) -> Option<Backbone> {
        let layers = self.frozen.len();
        (layers > 0).then(|| Backbone::new(&self.frozen, 0, layers, device))
    }

    /// The whole network as a float ONNX model for pictures of the card's size; `net` gives the trained part.
    #[must_use]
    pub fn export(&self, net: &Net, card: &ModelCard) -> pb::ModelProto {
        let mut graph = GraphBuilder::new(&card.name, &card.input);
        let mut layers = self.frozen.clone();
        layers.extend(net.backbone.layers());
        let maps = graph.backbone(INPUT, &layers);
        let map = |layer: Option<usize>| layer.map_or(INPUT, |layer| maps[layer].as_str());
        let fine = map(fine_layer(&layers));
        let last = map(layers.len().checked_sub(1));
        let side = card.input.width as usize;
        let side = layers
            .iter()
            .fold(side, |side, layer| side.div_ceil(layer.conv.stride));
        let scores = net.heads.class.export(&mut graph, last);
        let heads = &net.heads;
        let boxes = heads.bounding_box.export(&mut graph, [fine, last], side);
        let classes = card.labels.len();
        let mut outputs = vec![
            (CLASS_OUTPUT, scores.as_str(), vec![1, classes]),
            (BOX_OUTPUT, &boxes.corners, vec![1, 4]),
        ];
        if let Some([scores, corners]) = &boxes.objects {
            // Those of the stride-16 map.
            let cells = (2 * side).pow(2);
            outputs.push((OBJECT_SCORES_OUTPUT, scores, vec![1, cells, classes]));
            outputs.push((OBJECT_BOXES_OUTPUT, corners, vec![1, cells, 4]));
        }
        graph.finish_with(&outputs, card)
    }
}

/// Number of frozen layers. The cut moves towards the input until no residual connection crosses it.
fn cut(layers: &[Layer], frozen: Frozen) -> usize {
    let wanted = match frozen {
        Frozen::First(count) => count.min(layers.len()),
        Frozen::AllButLast(count) => layers.len().saturating_sub(count),
    };
    let possible = cuts(layers).into_iter();
    possible.filter(|&cut| cut <= wanted).max().unwrap_or(0)
}
