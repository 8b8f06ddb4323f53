//! Layers as a model file has them, before a kernel has packed their weights.

use super::arithmetic::Target;
use super::map::Window;

/// From sums to stored values, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// What each sum begins with; one a channel. What the input's zero point adds to a sum is taken off here.
    pub bias: Vec<i32>,
    /// Scale of the input times that of the channel's weights, over that of the output; one a channel.
    pub multipliers: Vec<f32>,
    /// What the sums become.
    pub target: Target,
}

/// A convolution in which each output channel sees all input channels.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLayer {
    /// What it looks at.
    pub window: Window,
    /// Channels of the input.
    pub in_channels: usize,
    /// `[out][down][across][in]`
    pub weights: Vec<i8>,
    /// One a channel of the output.
    pub sums: Sums,
}

/// A convolution in which each channel sees itself only.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseLayer {
    /// What it looks at.
    pub window: Window,
    /// `[down][across][channel]`
    pub weights: Vec<i8>,
    /// One a channel.
    pub sums: Sums,
}

impl Sums {
    /// Channels of the output.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.bias.len()
    }
}

impl DenseLayer {
    /// Weights of a channel of the output for a row of the window: so many bytes, the channels of its first pixel, then
    /// of its second, `pixel` bytes apart.
    pub(crate) fn line(&self, out: usize, line: usize, pixel: usize, bytes: usize) -> Vec<i8> {
        let [down, across] = self.window.kernel;
        let mut weights = vec![0; bytes];
        if out < self.sums.channels() {
            let from = (out * down + line) * across * self.in_channels;
            let pixels = self.weights[from..][..across * self.in_channels].chunks(self.in_channels);
            for (to, pixel) in weights.chunks_mut(pixel).zip(pixels) {
                to[..pixel.len()].copy_from_slice(pixel);
            }
        }
        weights
    }

    /// Weight of a channel of the output, in a row of the window, for a byte of this row: the channels of its first
    /// pixel, then of its second; `pixel` bytes apart. 0 where there is no such channel.
    pub(crate) fn weight(&self, out: usize, line: usize, byte: usize, pixel: usize) -> i8 {
        let [down, across] = self.window.kernel;
        let (x, channel) = (byte / pixel, byte % pixel);
        let is_there =
            out < self.sums.channels() && line < down && x < across && channel < self.in_channels;
        if !is_there {
            return 0;
        }
        self.weights[((out * down + line) * across + x) * self.in_channels + channel]
    }
}

impl DepthwiseLayer {
    /// Weight of a channel at a place of the window; 0 where there is none.
    pub(crate) fn weight(&self, line: usize, x: usize, channel: usize) -> i8 {
        let [down, across] = self.window.kernel;
        let channels = self.sums.channels();
        if line < down && x < across && channel < channels {
            self.weights[(line * across + x) * channels + channel]
        } else {
            0
        }
    }
}
