//! Weights of one layer as plain vectors, exchanged between files, networks and graphs.

/// A convolution with bias, without its activation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// `[out, in / groups, height, width]`
    pub shape: [usize; 4],
    pub weights: Vec<f32>,
    /// `[out]`
    pub bias: Vec<f32>,
    /// In both directions; the padding is TensorFlow's SAME.
    pub stride: usize,
    /// Input channels for a depthwise convolution, else 1.
    pub groups: usize,
}

impl ConvWeights {
    /// Whether it is one of the three kinds in a MobileNet: 1 x 1, depthwise 3 x 3, or the first layer, 3 x 3 at stride 2.
    #[must_use]
    pub fn is_mobilenet(&self) -> bool {
        let [out, inner, height, width] = self.shape;
        let kind = (self.groups > 1, height, width, self.stride);
        out > 0
            && inner > 0
            && matches!(
                kind,
                (false, 1, 1, 1) | (true, 3, 3, 1 | 2) | (false, 3, 3, 2)
            )
    }
}

/// A dense layer with bias.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseWeights {
    /// `[out, in]`
    pub shape: [usize; 2],
    pub weights: Vec<f32>,
    /// `[out]`
    pub bias: Vec<f32>,
}

/// One layer of a backbone: a convolution of the previous layer's output, relu6, then a residual addition.
///
/// Covers MobileNet v1 (Howard et al. 2017) and v2 (Sandler et al. 2018).
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub conv: ConvWeights,
    /// `min(max(x, 0), 6)` after the convolution; absent in a linear bottleneck.
    pub relu6: bool,
    /// Index of an earlier layer whose output, after its own addition, is added to this one's.
    pub add: Option<usize>,
}
