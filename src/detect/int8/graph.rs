//! The operations of a quantized network and the values between them: what is computed, independent of the processor
//! and of memory.

use super::tensor::{MapSize, OutputQuant, Quantized, Window, encode};

/// Index into [`Graph::maps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapId(pub usize);

/// Index into [`Graph::float_lengths`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloatId(pub usize);

/// A network in integer arithmetic.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// `None` while the graph is being built.
    pub input: Option<InputQuantizer>,
    /// The first is the input.
    pub maps: Vec<FeatureMap>,
    /// Length of each float buffer.
    pub float_lengths: Vec<usize>,
    /// In the order in which they run.
    pub layers: Vec<GraphLayer>,
    pub outputs: Vec<GraphOutput>,
}

/// An output of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphOutput {
    Floats(FloatId),
    /// The scores of the [`SsdHead`], `[rows, classes]`.
    ObjectScores,
    /// The boxes of the [`SsdHead`], `[rows, 4]`.
    ObjectBoxes,
}

/// A quantized feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureMap {
    pub size: MapSize,
    /// Real value of one quantization step; above 0.
    pub scale: f32,
    pub zero_point: Quantized,
}

/// How the network's input is quantized.
#[derive(Debug, Clone, PartialEq)]
pub enum InputQuantizer {
    /// Bytes of an image, `[height, width, channels]`, through a lookup table.
    Pixels(Box<[Quantized; 256]>),
    /// Floats, `[channels, height, width]`, with the scale and zero point of the first map.
    Floats,
}

/// An operation with its name in the model file.
#[derive(Debug, Clone)]
pub struct GraphLayer {
    pub name: String,
    pub operation: Operation,
}

/// An operation with its inputs, parameters and output.
#[derive(Debug, Clone)]
pub enum Operation {
    Conv2d(MapId, Conv2d, MapId),
    DepthwiseConv2d(MapId, DepthwiseConv2d, MapId),
    /// The sum of two maps of one size, in units of the output's scale.
    Add([MapId; 2], OutputQuant, MapId),
    /// Repeats each pixel by an integer factor in both directions; scale and zero point do not change.
    UpsampleNearest(MapId, usize, MapId),
    /// The mean of each channel.
    GlobalAveragePool(MapId, OutputQuant, MapId),
    /// A convolution whose sums, times the multipliers, are output as floats: `[channels, height, width]`.
    FloatConv2d(MapId, Conv2d, FloatId),
    /// The real values of a map: `[channels, height, width]`.
    Dequantize(MapId, FloatId),
    Float(FloatOp),
    /// At most one in a graph, which has no other outputs for objects.
    SsdHead(Box<SsdHead>),
}

/// The end of an SSD. A row is a box shape at a pixel of one of several feature maps, in the order of maps, pixels and
/// shapes. It has a logit for each class and a box code: offset of the centre and logarithm of the size, both in x and y.
#[derive(Debug, Clone, PartialEq)]
pub struct SsdHead {
    /// For each feature map: the logits, `[row][class]` in the channels of a pixel, and the box codes, `[row][4]`.
    pub maps: Vec<[MapId; 2]>,
    pub classes: usize,
    pub decode: BoxDecode,
}

/// Conversion of a box code to a box for each row, in x and y: the centre is `offset * offset_factor + centre`, half the
/// size is `exp(log size * log_factor) * half_size`.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxDecode {
    pub offset_factors: Vec<[f32; 2]>,
    pub centres: Vec<[f32; 2]>,
    pub log_factors: Vec<[f32; 2]>,
    pub half_sizes: Vec<[f32; 2]>,
}

impl SsdHead {
    /// Number of rows of all feature maps.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.decode.centres.len()
    }
}

/// Bias and requantization of the 32-bit sums, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Epilogue {
    /// Initial value of each channel's sum. Includes the correction for the input's zero point.
    pub bias: Vec<i32>,
    /// The input's scale times the scale of the channel's weights, divided by the output's scale.
    pub multipliers: Vec<f32>,
    pub output_quant: OutputQuant,
}

/// A convolution with one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    pub window: Window,
    pub in_channels: usize,
    /// `[out channel][kernel row][kernel column][in channel]`
    pub weights: Vec<i8>,
    pub epilogue: Epilogue,
}

/// A convolution with one group per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseConv2d {
    pub window: Window,
    /// `[kernel row][kernel column][channel]`
    pub weights: Vec<i8>,
    pub epilogue: Epilogue,
}

/// An operation on float buffers. Shapes are resolved when it is built: it contains lengths and strides only.
#[derive(Debug, Clone)]
pub enum FloatOp {
    /// Elements from `start` on, as many as the output has.
    Slice {
        input: FloatId,
        start: usize,
        output: FloatId,
    },
    /// A binary operator with broadcasting.
    Elementwise {
        function: BinaryOp,
        inputs: [BroadcastOperand; 2],
        /// Dimensions of the output, outermost first; dimensions of length 1 can be left out.
        shape: Vec<usize>,
        output: FloatId,
    },
    /// A function of each element.
    Unary {
        function: UnaryOp,
        input: FloatId,
        output: FloatId,
    },
    /// `[outer, rows, columns, inner]` to `[outer, columns, rows, inner]`.
    Transpose {
        input: FloatId,
        /// Rows, columns, number of elements of each.
        size: [usize; 3],
        output: FloatId,
    },
    /// `exp(x) / sum(exp(x))` along one axis: `[outer, axis, inner]`.
    Softmax {
        input: FloatId,
        /// Length of the axis.
        axis: usize,
        /// Number of elements per step of the axis.
        inner: usize,
        output: FloatId,
    },
    /// `[batch, rows, shared]` times `[batch, shared, columns]`, giving `[batch, rows, columns]`.
    MatMul {
        inputs: [Operand; 2],
        /// Rows, shared dimension, columns.
        size: [usize; 3],
        output: FloatId,
    },
}

/// An operand of [`FloatOp::Elementwise`].
#[derive(Debug, Clone)]
pub struct BroadcastOperand {
    pub operand: Operand,
    /// In elements, for each dimension of the output; 0 where the operand is repeated.
    pub strides: Vec<usize>,
}

/// A computed value or a constant.
#[derive(Debug, Clone)]
pub enum Operand {
    Computed(FloatId),
    Constant(Vec<f32>),
}

/// A function of a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    Exp,
    /// Natural logarithm.
    Ln,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

/// A function of two floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Min,
    Max,
}

impl Graph {
    pub fn add_map(&mut self, map: FeatureMap) -> MapId {
        self.maps.push(map);
        MapId(self.maps.len() - 1)
    }

    pub fn add_floats(&mut self, length: usize) -> FloatId {
        self.float_lengths.push(length);
        FloatId(self.float_lengths.len() - 1)
    }

    #[must_use]
    pub fn feature_map(&self, id: MapId) -> &FeatureMap {
        &self.maps[id.0]
    }
}

impl InputQuantizer {
    /// Builds the lookup table from the `q` of each pixel value.
    #[must_use]
    pub fn from_pixels(q: impl Fn(u8) -> i8) -> Self {
        Self::Pixels(Box::new(std::array::from_fn(|pixel| {
            encode(q(pixel as u8))
        })))
    }
}

impl Operation {
    /// The feature maps that it reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<MapId> {
        match self {
            Self::Conv2d(input, ..)
            | Self::DepthwiseConv2d(input, ..)
            | Self::UpsampleNearest(input, ..)
            | Self::GlobalAveragePool(input, ..)
            | Self::FloatConv2d(input, ..)
            | Self::Dequantize(input, _) => vec![*input],
            Self::Add(inputs, ..) => inputs.to_vec(),
            Self::SsdHead(head) => head.maps.concat(),
            Self::Float(_) => Vec::new(),
        }
    }

    /// The feature map that it writes.
    #[must_use]
    pub fn output(&self) -> Option<MapId> {
        match self {
            Self::Conv2d(.., output)
            | Self::DepthwiseConv2d(.., output)
            | Self::Add(.., output)
            | Self::UpsampleNearest(.., output)
            | Self::GlobalAveragePool(.., output) => Some(*output),
            Self::FloatConv2d(..) | Self::Dequantize(..) | Self::Float(_) | Self::SsdHead(_) => {
                None
            }
        }
    }

    /// Name of the operation in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_, layer, _) if layer.window.kernel == [1, 1] => "pointwise int8",
            Self::Conv2d(..) => "conv2d int8",
            Self::DepthwiseConv2d(..) => "depthwise int8",
            Self::Add(..) => "add int8",
            Self::UpsampleNearest(..) => "upsample int8",
            Self::GlobalAveragePool(..) => "mean int8",
            Self::FloatConv2d(..) => "conv2d int8 to f32",
            Self::Dequantize(..) => "dequantize",
            Self::Float(FloatOp::Slice { .. }) => "slice f32",
            Self::Float(FloatOp::Elementwise { .. }) => "elementwise f32",
            Self::Float(FloatOp::Unary { .. }) => "unary f32",
            Self::Float(FloatOp::Transpose { .. }) => "transpose f32",
            Self::Float(FloatOp::Softmax { .. }) => "softmax f32",
            Self::Float(FloatOp::MatMul { .. }) => "matmul f32",
            Self::SsdHead(_) => "ssd head",
        }
    }
}

impl Epilogue {
    /// Channels of the output.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.bias.len()
    }
}

impl Conv2d {
    /// Weights of an output channel for a kernel row, padded with zeros to `bytes`: the channels of its first pixel,
    /// then of its second, `pixel_stride` bytes apart. All zeros for a padding channel.
    pub(super) fn kernel_row(
        &self,
        out_channel: usize,
        row: usize,
        pixel_stride: usize,
        bytes: usize,
    ) -> Vec<i8> {
        let [rows, columns] = self.window.kernel;
        let mut weights = vec![0; bytes];
        if out_channel < self.epilogue.channels() {
            let start = (out_channel * rows + row) * columns * self.in_channels;
            let row = &self.weights[start..][..columns * self.in_channels];
            let pixels = row.chunks(self.in_channels);
            for (to, pixel) in weights.chunks_mut(pixel_stride).zip(pixels) {
                to[..pixel.len()].copy_from_slice(pixel);
            }
        }
        weights
    }
}

impl DepthwiseConv2d {
    /// Weight of a channel at a position of the kernel; 0 outside the kernel and for padding channels.
    pub(super) fn weight(&self, row: usize, column: usize, channel: usize) -> i8 {
        let [rows, columns] = self.window.kernel;
        let channels = self.epilogue.channels();
        if row < rows && column < columns && channel < channels {
            self.weights[(row * columns + column) * channels + channel]
        } else {
            0
        }
    }
}
