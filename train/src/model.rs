//! The whole model: the frozen part of the trunk, the part that learns, and the heads.
//!
//! In go weights and a recipe, out comes a model that can be trained from pictures or from features, asked,
//! and written as a float ONNX graph.

use boxcam::card::ModelCard;
use boxcam::label::Labels;
use burn::prelude::*;
use tract_onnx::pb;

use crate::heads::{BoxHead, CellPredictions, ClassHead, FcosHead, GlobalBoxHead, pool};
use crate::layer::Layer;
use crate::network::{Backbone, cuts, fine_layer};
use crate::onnx::{GraphBuilder, INPUT};
use crate::recipe::{Frozen, HeadKind, Recipe};
use crate::weights::{BackboneWeights, HeadWeights};

/// Both heads.
#[derive(Module, Debug)]
pub struct Heads {
    /// What it is.
    pub class: ClassHead,
    /// Where it is.
    pub bounding_box: BoxHead,
}

/// All that learns.
#[derive(Module, Debug)]
pub struct Net {
    /// The part of the trunk that learns; may have no layer.
    pub trunk: Backbone,
    /// Both heads.
    pub heads: Heads,
}

/// What a batch comes to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the class head reads, `[batch, channels]`.
    pub features: Tensor<2>,
    /// Class logits, `[batch, classes]`.
    pub logits: Tensor<2>,
    /// Corners, `[batch, 4]`.
    pub corners: Tensor<2>,
    /// What each cell says, where the box head asks them.
    pub cells: Option<CellPredictions>,
}

/// A model in training.
#[derive(Debug, Clone)]
pub struct Model {
    /// The part of the trunk that stays as it is, as plain weights.
    pub frozen: Vec<Layer>,
    /// All that learns.
    pub net: Net,
}

impl Heads {
    fn load_pretrained(self, given: &HeadWeights) -> Self {
        Self {
            class: self.class.load_pretrained(&given.class),
            bounding_box: self.bounding_box.load_pretrained(given),
        }
    }
}

impl Net {
    /// From pictures or features, `[batch, height, width, channels]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Answer {
        let maps = self.trunk.feature_maps(input);
        let features = pool(maps.last.clone());
        let logits = self.heads.class.forward(features.clone());
        let (corners, cells) = self.heads.bounding_box.forward(maps);
        Answer {
            features,
            logits,
            corners,
            cells,
        }
    }
}

impl Model {
    /// A model for these classes on a trunk. Its heads are fresh, but those of weights for the same classes are taken
    /// over where they are of the same shape.
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
            HeadKind::Global => BoxHead::Pooled(GlobalBoxHead::new(channels, device)),
            HeadKind::Fcos => {
                let fine = channels_of(fine_layer(layers).map(|fine| &layers[fine]));
                BoxHead::Fine(FcosHead::new(channels, fine, recipe.head_channels, device))
            }
        };
        let class = ClassHead::new(channels, labels.len(), recipe.dropout, device);
        let fresh = Heads {
            class,
            bounding_box,
        };
        let heads = match weights.heads_for(labels) {
            Some(given) => fresh.load_pretrained(given),
            None => fresh,
        };
        Self {
            frozen: layers[..cut].to_vec(),
            net: Net {
                trunk: Backbone::new(layers, cut, layers.len(), device),
                heads,
            },
        }
    }

    /// The frozen part, which everything goes through first; none where everything learns.
    #[must_use]
    pub fn extractor(&self, device: &Device) -> Option<Backbone> {
        let layers = self.frozen.len();
        (layers > 0).then(|| Backbone::new(&self.frozen, 0, layers, device))
    }

    /// The whole network with a net that learnt, as a float ONNX model for pictures of the card's size.
    #[must_use]
    pub fn export(&self, net: &Net, card: &ModelCard) -> pb::ModelProto {
        let mut graph = GraphBuilder::new(&card.name, &card.input);
        let mut layers = self.frozen.clone();
        layers.extend(net.trunk.layers());
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
        let corners = heads.bounding_box.export(&mut graph, [fine, last], side);
        graph.finish(&scores, &corners, card)
    }
}

/// Layers that stay as they are. The cut is moved towards the input until no residual way crosses it.
fn cut(layers: &[Layer], frozen: Frozen) -> usize {
    let wanted = match frozen {
        Frozen::First(count) => count.min(layers.len()),
        Frozen::AllButLast(count) => layers.len().saturating_sub(count),
    };
    let possible = cuts(layers).into_iter();
    possible.filter(|&cut| cut <= wanted).max().unwrap_or(0)
}
