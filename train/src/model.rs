//! The whole model: the frozen part of the trunk, the trained part, and the heads.
//!
//! In go weights and a recipe, out comes a model that can be trained from features, asked, and written as
//! a float ONNX graph.

use boxcam::card::ModelCard;
use burn::prelude::*;
use tract_onnx::pb;

use crate::heads::{AttentionBox, BoxHead, ClassHead, PooledBox};
use crate::layer::Layer;
use crate::network::ConvStack;
use crate::onnx::{GraphBuilder, INPUT};
use crate::recipe::{BoxHeadKind, Recipe};
use crate::weights::TrunkWeights;

/// Both heads.
#[derive(Module, Debug)]
pub struct Heads {
    /// What it is.
    pub class: ClassHead,
    /// Where it is.
    pub bounding_box: BoxHead,
}

/// A model in training.
#[derive(Debug)]
pub struct Model {
    /// The whole trunk as it was at first.
    pub first: Vec<Layer>,
    /// How many of its layers stay as they are.
    pub cut: usize,
    /// The part of the trunk that learns; may have no layer.
    pub trunk: ConvStack,
    /// Both heads.
    pub heads: Heads,
    /// Pixels of the input's side.
    side: usize,
}

impl Model {
    /// A model with fresh heads for `classes` on a trunk.
    #[must_use]
    pub fn new(weights: &TrunkWeights, classes: usize, recipe: &Recipe, device: &Device) -> Self {
        let layers = &weights.layers;
        let mut cut = layers.len().saturating_sub(recipe.trained_convolutions);
        let is_inside = |cut: usize| {
            layers[cut..]
                .iter()
                .any(|l| l.add.is_some_and(|a| a + 1 < cut))
        };
        while is_inside(cut) {
            cut -= 1;
        }
        let channels = layers.last().map_or(0, |layer| layer.conv.shape[0]);
        let bounding_box = match recipe.box_head {
            BoxHeadKind::Pooled => BoxHead::Pooled(PooledBox::new(channels, device)),
            BoxHeadKind::Attention => BoxHead::Attention(AttentionBox::new(channels, device)),
        };
        Self {
            first: layers.clone(),
            cut,
            trunk: ConvStack::new(layers, cut, device),
            heads: Heads {
                class: ClassHead::new(channels, classes, recipe.dropout, device),
                bounding_box,
            },
            side: weights.side,
        }
    }

    /// The frozen part, to compute features with.
    #[must_use]
    pub fn extractor(&self, device: &Device) -> ConvStack {
        ConvStack::new(&self.first[..self.cut], 0, device)
    }

    /// From features to class logits `[batch, classes]` and corners `[batch, 4]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let map = self.trunk.forward(features);
        let logits = self.heads.class.forward(map.clone());
        (logits, self.heads.bounding_box.forward(map))
    }

    /// The model as it answers: without dropout, batch norms fixed, no gradients.
    #[must_use]
    pub fn valid(&self) -> Self {
        Self {
            first: Vec::new(),
            cut: 0,
            trunk: self.trunk.valid(),
            heads: self.heads.valid(),
            side: self.side,
        }
    }

    /// The whole network as a float ONNX model.
    #[must_use]
    pub fn export(&self, card: &ModelCard) -> pb::ModelProto {
        let mut graph = GraphBuilder::new(&card.name, &card.input);
        let mut layers = self.first.clone();
        for (layer, conv) in layers[self.cut..].iter_mut().zip(self.trunk.weights()) {
            layer.conv = conv;
        }
        let stride = |side: usize, layer: &Layer| side.div_ceil(layer.conv.stride);
        let side = layers.iter().fold(self.side, stride);
        let value = graph.trunk(INPUT, &layers);
        let scores = self.heads.class.export(&mut graph, &value);
        let corners = self.heads.bounding_box.export(&mut graph, &value, side);
        graph.finish(&scores, &corners, card)
    }
}
