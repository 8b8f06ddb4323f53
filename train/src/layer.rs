//! One layer's weights as plain numbers: what files, networks and graphs hand one another.

/// One convolution, without what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// `[out, in / groups, height, width]`
    pub shape: [usize; 4],
    /// Weights in that order.
    pub weights: Vec<f32>,
    /// One number an output channel.
    pub bias: Vec<f32>,
    /// Step in both directions; the padding is TensorFlow's SAME.
    pub stride: usize,
    /// Input channels for a depthwise convolution, else 1.
    pub groups: usize,
}

impl ConvWeights {
    /// Whether it is one of the three kinds of a MobileNet: 1 x 1, depthwise 3 x 3, and a first one of 3 x 3 at stride 2.
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

/// One dense layer, without what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseWeights {
    /// `[out, in]`
    pub shape: [usize; 2],
    /// Weights in that order.
    pub weights: Vec<f32>,
    /// One number an output.
    pub bias: Vec<f32>,
}

/// One layer of a trunk: a convolution of the layer before it, then what is done to its output, in this order.
///
/// Enough for MobileNet v1 (Howard et al. 2017) and the residual blocks of v2 (Sandler et al. 2018).
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The convolution.
    pub conv: ConvWeights,
    /// `min(max(x, 0), 6)` after the convolution; a linear bottleneck has none.
    pub relu6: bool,
    /// Index of the earlier layer of the trunk whose output is added to this one's: the two ends of a residual
    /// block. The output of a layer is what is there after its own addition.
    pub add: Option<usize>,
}
