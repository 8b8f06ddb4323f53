//! The network as it is trained: convolutions in a row, channels last.
//!
//! In goes a batch of pictures or of cached features, `[batch, height, width, channels]`, out comes a map. A
//! trunk can be cut where no residual way crosses: what lies before the cut is frozen and its output can be
//! computed once and kept. No picture is opened here and no weight is read from a file.

use burn::module::Param;
use burn::prelude::*;

use crate::conv::{Kind, convolve};
use crate::layer::{ConvWeights, Layer};

/// A convolution with its bias, channels last.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in]`, or `[9, channels]` where it is depthwise.
    weights: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    /// 3 or 1.
    kernel: usize,
    stride: usize,
    depthwise: bool,
    relu6: bool,
}

impl Conv {
    /// The convolution with these weights.
    ///
    /// # Panics
    /// When it is none of a MobileNet, see [`ConvWeights::is_mobilenet`].
    #[must_use]
    pub fn new(layer: &ConvWeights, relu6: bool, device: &Device) -> Self {
        let [out, inner, height, width] = layer.shape;
        let depthwise = layer.groups > 1;
        assert!(
            layer.is_mobilenet(),
            "no convolution of a MobileNet: {:?}",
            layer.shape
        );
        let area = height * width;
        let (shape, weights) = if depthwise {
            ([area, out], transposed(&layer.weights, out, area))
        } else {
            let rows = layer.weights.chunks_exact(inner * area);
            let turned = rows.flat_map(|row| transposed(row, inner, area));
            ([out, inner * area], turned.collect())
        };
        Self {
            weights: Param::from_data(TensorData::new(weights, shape), device),
            bias: Param::from_data(TensorData::new(layer.bias.clone(), [out]), device),
            kernel: height,
            stride: layer.stride,
            depthwise,
            relu6,
        }
    }

    /// Whether its output is cut to `0..=6`.
    #[must_use]
    pub fn has_relu6(&self) -> bool {
        self.relu6
    }

    /// Where it is computed.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weights.val().device()
    }

    /// See [`convolve`].
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let kind = match (self.depthwise, self.kernel) {
            (true, _) => Kind::Depthwise {
                stride: self.stride,
            },
            (false, 1) => Kind::Pointwise,
            _ => Kind::Stem,
        };
        convolve(kind, input, self.weights.val(), self.bias.val(), self.relu6)
    }

    /// The weights as they are now.
    #[must_use]
    pub fn weights(&self) -> ConvWeights {
        let [rows, columns] = self.weights.val().dims();
        let values = to_vec(self.weights.val());
        let area = self.kernel * self.kernel;
        let (out, inner, weights) = if self.depthwise {
            (columns, 1, transposed(&values, rows, columns))
        } else {
            let inner = columns / area;
            let turned = values.chunks_exact(columns);
            let turned = turned.flat_map(|row| transposed(row, area, inner));
            (rows, inner, turned.collect())
        };
        ConvWeights {
            shape: [out, inner, self.kernel, self.kernel],
            weights,
            bias: to_vec(self.bias.val()),
            stride: self.stride,
            groups: if self.depthwise { out } else { 1 },
        }
    }
}

/// A matrix that lies row by row, turned so that it lies column by column.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let cells = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
    cells
        .map(|(row, column)| values[row * columns + column])
        .collect()
}

/// One layer of a trunk in training.
#[derive(Module, Debug)]
struct TrunkLayer {
    conv: Conv,
    /// Counted from the first layer of this part of the trunk.
    add: Option<usize>,
}

/// Convolutions in a row, some of them with a residual way around.
#[derive(Module, Debug)]
pub struct Backbone {
    layers: Vec<TrunkLayer>,
    /// Layers before the first one here, in the whole trunk.
    skipped: usize,
    /// The layer here whose map is the fine one; none where it lies before this part.
    fine: Option<usize>,
}

/// What the heads look at.
#[derive(Debug, Clone)]
pub struct FeatureMaps {
    /// The last map before the trunk's last halving, twice as high and wide as the last map of all; none where the
    /// trunk is cut behind it. See [`fine_layer`].
    pub fine: Option<Tensor<4>>,
    /// The last map.
    pub last: Tensor<4>,
}

impl Backbone {
    /// The layers from `from` up to `to` of a whole trunk.
    ///
    /// # Panics
    /// When a residual way leads in from before `from`; see [`cuts`].
    #[must_use]
    pub fn new(layers: &[Layer], from: usize, to: usize, device: &Device) -> Self {
        let layer = |layer: &Layer| TrunkLayer {
            conv: Conv::new(&layer.conv, layer.relu6, device),
            add: layer.add.map(|add| {
                assert!(add >= from, "a residual way crosses the cut at {from}");
                add - from
            }),
        };
        Self {
            layers: layers[from..to].iter().map(layer).collect(),
            skipped: from,
            fine: fine_layer(&layers[..to]).and_then(|fine| fine.checked_sub(from)),
        }
    }

    /// `[batch, height, width, channels in]` to the map of the last layer.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.feature_maps(input).last
    }

    /// `[batch, height, width, channels in]` to the maps that heads look at.
    #[must_use]
    pub fn feature_maps(&self, input: Tensor<4>) -> FeatureMaps {
        let mut value = input;
        let mut fine = None;
        let mut kept: Vec<(usize, Tensor<4>)> = Vec::new();
        for (place, layer) in self.layers.iter().enumerate() {
            value = layer.conv.forward(value);
            if let Some(add) = layer.add
                && let Some(at) = kept.iter().position(|(place, _)| *place == add)
            {
                value = value + kept.swap_remove(at).1;
            }
            if self.layers.iter().any(|later| later.add == Some(place)) {
                kept.push((place, value.clone()));
            }
            if self.fine == Some(place) {
                fine = Some(value.clone());
            }
        }
        FeatureMaps { fine, last: value }
    }

    /// The layers as they are now, as in the whole trunk.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let layer = |layer: &TrunkLayer| Layer {
            conv: layer.conv.weights(),
            relu6: layer.conv.relu6,
            add: layer.add.map(|add| add + self.skipped),
        };
        self.layers.iter().map(layer).collect()
    }
}

/// The layer whose map is the last one before the trunk's last halving.
#[must_use]
pub fn fine_layer(layers: &[Layer]) -> Option<usize> {
    let halving = layers.iter().rposition(|layer| layer.conv.stride == 2)?;
    halving.checked_sub(1)
}

/// Where a trunk can be cut: before each of these layers no residual way crosses.
#[must_use]
pub fn cuts(layers: &[Layer]) -> Vec<usize> {
    let crossed = |cut: usize| {
        let later = layers[cut..].iter();
        later.filter_map(|layer| layer.add).any(|add| add < cut)
    };
    (0..=layers.len()).filter(|&cut| !crossed(cut)).collect()
}

/// The numbers of a tensor, row by row.
#[must_use]
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec()
        .expect("converted to f32 one line above")
}
