//! One layer's weights as plain numbers: what files, networks and graphs hand one another.

/// One convolution followed by `min(max(x, 0), 6)`.
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
