//! What a model costs: the bytes of its file, and the multiplications of one picture.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike as _;
use tract_onnx::tract_core::ops::Cost;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::TractDetector;

impl TractDetector {
    /// Bytes of the model file, its card with it.
    #[must_use]
    pub const fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Multiplications, each with an addition, of the convolutions and matrix products for one picture; none where
    /// the engine can't tell.
    #[must_use]
    pub const fn multiply_adds(&self) -> Option<u64> {
        self.multiply_adds
    }
}

/// Of a graph as it stands in the file, before anything in it is fused.
pub(super) fn multiply_adds(model: &TypedModel) -> Option<u64> {
    let mut sum = 0;
    for node in &model.nodes {
        // Sums and pools add, but multiply by nothing.
        if !(node.op_is::<Conv>() || node.op_is::<EinSum>()) {
            continue;
        }
        let inputs = model.node_input_facts(node.id).ok()?;
        for (cost, count) in node.op.cost(&inputs).ok()? {
            if matches!(cost, Cost::FMA(_)) {
                sum += count.to_usize().ok()? as u64;
            }
        }
    }
    Some(sum)
}

#[cfg(all(test, feature = "embedded-model"))]
mod tests {
    use super::*;

    /// As many as `boxcam-train model summary` counts in the file.
    #[test]
    fn the_model_that_ships_is_counted() {
        let bytes = include_bytes!("../../../models/snacks.onnx");
        let detector = TractDetector::from_bytes("snacks", bytes).expect("sound");
        assert_eq!(detector.multiply_adds(), Some(544_236_088));
        assert_eq!(detector.file_bytes(), bytes.len());
    }
}
