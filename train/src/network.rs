//! Trainable convolutions and the backbone, channels last.
//!
//! A backbone can be cut where no residual connection crosses: the part before the cut is frozen, so its output can be
//! cached.

use burn::module::Param;
use burn::prelude::*;

use crate::conv::{ConvKind, convolve};
use crate::layer::{ConvWeights, Layer};

/// A convolution with its bias and an optional relu6.
#[derive(Module, Debug)]
pub struct Conv {
    /// See [`ConvKind`].
    weights: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    /// Kernel side, 3 or 1.
    kernel: usize,
    stride: usize,
    depthwise: bool,
    relu6: bool,
}

impl Conv {
    /// # Panics
    /// When it is not a layer of a MobileNet, see [`ConvWeights::is_mobilenet`].
    #[must_use]
    pub fn new(layer: &ConvWeights, relu6: bool, device: &Device) -> Self {
        let [out, inner, height, width] = layer.shape;
        let depthwise = layer.groups > 1;
        assert!(
            layer.is_mobilenet(),
            "not a layer of a MobileNet: {:?}",
            layer.shape
        );
        let area = height * width;
        let (shape, weights) = if depthwise {
            ([area, out], transposed(&layer.weights, out, area))
        } else {
            let rows = layer.weights.chunks_exact(inner * area);
            let channels_last = rows.flat_map(|row| transposed(row, inner, area));
            ([out, inner * area], channels_last.collect())
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

    #[must_use]
    pub fn has_relu6(&self) -> bool {
        self.relu6
    }

    #[must_use]
    pub fn device(&self) -> Device {
        self.weights.val().device()
    }

    /// See [`convolve`].
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let kind = match (self.depthwise, self.kernel) {
            (true, _) => ConvKind::Depthwise {
                stride: self.stride,
            },
            (false, 1) => ConvKind::Pointwise,
            _ => ConvKind::Stem,
        };
        convolve(kind, input, self.weights.val(), self.bias.val(), self.relu6)
    }

    /// The current weights.
    #[must_use]
    pub fn weights(&self) -> ConvWeights {
        let [rows, columns] = self.weights.val().dims();
        let values = to_vec(self.weights.val());
        let area = self.kernel * self.kernel;
        let (out, inner, weights) = if self.depthwise {
            (columns, 1, transposed(&values, rows, columns))
        } else {
            let inner = columns / area;
            let filters = values.chunks_exact(columns);
            let channels_first = filters.flat_map(|row| transposed(row, area, inner));
            (rows, inner, channels_first.collect())
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

/// Transposes a row-major matrix.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let cells = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
    cells
        .map(|(row, column)| values[row * columns + column])
        .collect()
}

#[derive(Module, Debug)]
struct TrunkLayer {
    conv: Conv,
    /// Index of the layer whose output is added, within this part of the backbone.
    add: Option<usize>,
}

/// A part of a backbone: a chain of convolutions with residual connections.
#[derive(Module, Debug)]
pub struct Backbone {
    layers: Vec<TrunkLayer>,
    /// Index of the first layer in the whole backbone.
    first: usize,
    /// Index of the layer that makes [`FeatureMaps::fine`], if it is in this part.
    fine: Option<usize>,
}

/// The feature maps that the heads read.
#[derive(Debug, Clone)]
pub struct FeatureMaps {
    /// The map before the last stride-2 layer (stride 16 in a MobileNet), twice as high and wide as the last map; `None`
    /// if the backbone is cut behind it. See [`fine_layer`].
    pub fine: Option<Tensor<4>>,
    /// The last map (stride 32).
    pub last: Tensor<4>,
}

impl Backbone {
    /// The layers `from..to` of a whole backbone.
    ///
    /// # Panics
    /// When a residual connection crosses `from`; see [`cuts`].
    #[must_use]
    pub fn new(layers: &[Layer], from: usize, to: usize, device: &Device) -> Self {
        let layer = |layer: &Layer| TrunkLayer {
            conv: Conv::new(&layer.conv, layer.relu6, device),
            add: layer.add.map(|add| {
                assert!(
                    add >= from,
                    "a residual connection crosses the cut at {from}"
                );
                add - from
            }),
        };
        Self {
            layers: layers[from..to].iter().map(layer).collect(),
            first: from,
            fine: fine_layer(&layers[..to]).and_then(|fine| fine.checked_sub(from)),
        }
    }

    /// `[batch, height, width, channels]` to the output of the last layer.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.feature_maps(input).last
    }

    /// `[batch, height, width, channels]` to the maps that the heads read.
    #[must_use]
    pub fn feature_maps(&self, input: Tensor<4>) -> FeatureMaps {
        let mut value = input;
        let mut fine = None;
        let mut kept: Vec<(usize, Tensor<4>)> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            value = layer.conv.forward(value);
            if let Some(add) = layer.add
                && let Some(at) = kept.iter().position(|(index, _)| *index == add)
            {
                value = value + kept.swap_remove(at).1;
            }
            if self.layers.iter().any(|later| later.add == Some(index)) {
                kept.push((index, value.clone()));
            }
            if self.fine == Some(index) {
                fine = Some(value.clone());
            }
        }
        FeatureMaps { fine, last: value }
    }

    /// The layers with their current weights, with indices of the whole backbone.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let layer = |layer: &TrunkLayer| Layer {
            conv: layer.conv.weights(),
            relu6: layer.conv.relu6,
            add: layer.add.map(|add| add + self.first),
        };
        self.layers.iter().map(layer).collect()
    }
}

/// Index of the layer before the last stride-2 layer.
#[must_use]
pub fn fine_layer(layers: &[Layer]) -> Option<usize> {
    let last = layers.iter().rposition(|layer| layer.conv.stride == 2)?;
    last.checked_sub(1)
}

/// Indices before which a backbone can be cut, because no residual connection crosses.
#[must_use]
pub fn cuts(layers: &[Layer]) -> Vec<usize> {
    let crossed = |cut: usize| {
        let later = layers[cut..].iter();
        later.filter_map(|layer| layer.add).any(|add| add < cut)
    };
    (0..=layers.len()).filter(|&cut| !crossed(cut)).collect()
}

/// The values of a tensor in row-major order.
#[must_use]
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec()
        .expect("converted to f32 above")
}
