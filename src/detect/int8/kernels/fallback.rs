//! Layers that ARM's kernels leave to the portable ones: windows that they have no loops for, and weights of -128 where
//! two products are added in 16 bits, in which -128 * -128 + -128 * -128 has no place. Quantisers make no such weights.
//!
//! The portable kernels pack whole groups of channels, and so does ARM: a number of bytes that is odd says that a layer
//! was left to them.

use super::super::aligned::Aligned;
use super::super::layer::{DenseLayer, DepthwiseLayer};
use super::{PackedDense, PackedDepthwise, portable};

/// Whether there is a weight of -128.
pub(super) fn has_least(weights: &[i8]) -> bool {
    weights.contains(&i8::MIN)
}

pub(super) fn pack_dense(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let packed = (portable::KERNELS.pack_dense)(layer, pixel);
    PackedDense {
        weights: marked(&packed.weights),
        ..packed
    }
}

pub(super) fn pack_depthwise(layer: &DepthwiseLayer) -> PackedDepthwise {
    let packed = (portable::KERNELS.pack_depthwise)(layer);
    PackedDepthwise {
        weights: marked(&packed.weights),
        ..packed
    }
}

fn marked(weights: &[i8]) -> Aligned<i8> {
    Aligned::copied(&[weights, &[0]].concat())
}

/// Whether a layer was packed here.
pub(super) fn is_marked(weights: &[i8]) -> bool {
    !weights.len().is_multiple_of(2)
}
