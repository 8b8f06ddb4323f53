//! A foreign network as typed operators that both formats share.

use std::rc::Rc;

use crate::formats::KernelLayout;

/// A network. The inputs of a node are outputs of nodes before it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// What the network gives; empty if the file does not say it.
    pub(super) outputs: Vec<Value>,
}

/// An output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    pub(super) node: usize,
    /// Most operators have one output, number 0.
    pub(super) output: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    /// As in the file.
    pub(super) name: String,
    /// As in the file, for messages.
    pub(super) operator: String,
    pub(super) op: Op,
    pub(super) inputs: Vec<Value>,
    /// Of the first output, in a network of integers.
    pub(super) scale: Option<ActivationScale>,
}

/// How the 8-bit integers of an activation stand for numbers: `scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ActivationScale {
    pub(super) scale: f32,
    pub(super) zero_point: i64,
    /// 0 to 255 instead of -128 to 127.
    pub(super) is_unsigned: bool,
}

impl ActivationScale {
    /// The least and the greatest number that an integer stands for.
    pub(super) fn range(&self) -> [f32; 2] {
        let (least, greatest) = if self.is_unsigned {
            (0, 255)
        } else {
            (-128, 127)
        };
        let number = |q: i64| self.scale * (q - self.zero_point) as f32;
        [number(least), number(greatest)]
    }
}

/// Floats in row-major order. Shapes and axes are given as floats too: they are far below 2^24.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// What a node computes. Maps are `[1, height, width, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// The image; sides that the file leaves open are `None`.
    Input(Vec<Option<usize>>),
    Constant(Rc<Tensor>),
    /// Gives its first input, as casts and conversions between integers and numbers do.
    Identity,
    /// Inputs: map, kernel, and bias if any.
    Conv(Convolution),
    /// Inputs: map, gamma, beta, mean, variance.
    BatchNorm {
        epsilon: f32,
    },
    Binary(Binary),
    /// The sum of all inputs.
    Sum,
    Unary(Unary),
    Softmax,
    /// Inputs: values, axes.
    Mean {
        keeps_sides: bool,
    },
    /// Mean over a window of these sides.
    AveragePool {
        height: usize,
        width: usize,
    },
    /// Inputs: map, amounts.
    Pad,
    /// Inputs: values, shape.
    Reshape,
    Squeeze {
        axes: Vec<i64>,
    },
    /// Inputs: values, axis.
    ExpandDims,
    /// Inputs: values, permutation.
    Transpose,
    Concat {
        axis: i64,
    },
    /// Joins its inputs along a new axis.
    Pack {
        axis: i64,
    },
    Unpack {
        axis: i64,
        count: usize,
    },
    /// Inputs: values, begin, size.
    Slice,
    /// Inputs: values, begin, end, strides.
    StridedSlice(SliceMasks),
    /// Inputs: values, how often along each axis.
    Tile,
    Shape,
    /// Inputs: image, size `[height, width]`.
    ResizeImage {
        /// Pixels are squares, as in TensorFlow 2, and not points.
        has_half_pixels: bool,
    },
    /// `TFLite_Detection_PostProcess`; inputs: box codes, scores, anchors.
    PostProcess(PostProcess),
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Convolution {
    pub(super) is_depthwise: bool,
    pub(super) layout: KernelLayout,
    /// Down and along.
    pub(super) strides: [usize; 2],
    /// Down and along.
    pub(super) dilations: [usize; 2],
    pub(super) padding: Padding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// As much as makes the output `ceil(side / stride)`; the odd pixel at the end.
    Same,
    /// None.
    Valid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Minimum,
}

impl Binary {
    pub(super) fn compute(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Maximum => a.max(b),
            Self::Minimum => a.min(b),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Relu,
    Relu6,
    Sigmoid,
    /// `x * relu6(x + 3) / 6`
    HardSwish,
    Exponential,
    SquareRoot,
    ReciprocalSquareRoot,
    Negative,
}

impl Unary {
    pub(super) fn compute(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Exponential => x.exp(),
            Self::SquareRoot => x.sqrt(),
            Self::ReciprocalSquareRoot => 1.0 / x.sqrt(),
            Self::Negative => -x,
        }
    }
}

/// Bit masks of a strided slice, one bit per axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SliceMasks {
    /// From the start.
    pub(super) begin: i64,
    /// To the end.
    pub(super) end: i64,
    /// One entry, whose axis is left out.
    pub(super) shrink: i64,
    /// Ellipsis or new axes, which are not evaluated.
    pub(super) other: i64,
}

/// Options of `TFLite_Detection_PostProcess`. Box codes and anchors are y, x, height, width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PostProcess {
    /// Without the background.
    pub(super) classes: usize,
    /// Of y, x, height, width: what the box codes are divided by.
    pub(super) scales: [f32; 4],
    pub(super) nms_iou: Option<f32>,
}

impl Tensor {
    #[cfg(test)]
    pub(super) fn scalar(value: f32) -> Self {
        Self {
            shape: Vec::new(),
            values: vec![value],
        }
    }

    /// The values as whole numbers, for shapes and axes.
    pub(super) fn integers(&self) -> Vec<i64> {
        self.values.iter().map(|&value| value as i64).collect()
    }
}

impl Value {
    pub(super) fn of(node: usize) -> Self {
        Self { node, output: 0 }
    }
}

impl Graph {
    pub(super) fn node(&self, value: Value) -> &Node {
        &self.nodes[value.node]
    }

    /// The nodes that read each node, by the number of the latter.
    pub(super) fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.node].push(number);
            }
        }
        readers
    }

    /// Whether the values pass unchanged but for their shape.
    pub(super) fn keeps_values(&self, node: usize) -> bool {
        matches!(
            self.nodes[node].op,
            Op::Identity | Op::Reshape | Op::Squeeze { .. } | Op::ExpandDims
        )
    }
}
