//! A network in whole numbers, as it was found in a model file: what is computed, not how or where.
//!
//! Values are maps of stored numbers; floats are what leaves the whole numbers at the heads. Layers stand in the
//! order in which they can run.

use super::arithmetic::{Stored, Target};
use super::floats::FloatOperation;
use super::layer::{DenseLayer, DepthwiseLayer};
use super::map::MapSize;

/// A map of stored numbers, by its place in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// A list of floats, by its place in [`Graph::floats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloatId(pub usize);

/// What a network computes.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// How the input becomes stored numbers; none while the graph is being found.
    pub entry: Option<Entry>,
    /// The first is the input.
    pub values: Vec<MapValue>,
    /// How many floats each has.
    pub floats: Vec<usize>,
    /// In the order in which they run.
    pub layers: Vec<Layer>,
    /// What is asked for.
    pub outputs: Vec<FloatId>,
}

/// A map of stored numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapValue {
    /// Its size.
    pub size: MapSize,
    /// What one step is worth; above 0.
    pub scale: f32,
    /// The number that stands for 0.
    pub zero_point: Stored,
}

/// How an input becomes stored numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Bytes of a picture, each looked up: `[height, width, channels]`.
    Pixels(Box<[Stored; 256]>),
    /// Floats, quantised with the scale and zero point of the first value: `[channels, height, width]`.
    Floats,
}

/// A step of the computation, with the name that it has in the model file.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Name in the model file.
    pub name: String,
    /// What is computed.
    pub operation: Operation,
}

/// What a layer computes, and of what.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A convolution that sees all channels.
    Dense(ValueId, DenseLayer, ValueId),
    /// A convolution that sees one channel.
    Depthwise(ValueId, DepthwiseLayer, ValueId),
    /// The sum of two maps of one size, in steps of the output's scale.
    Add([ValueId; 2], Target, ValueId),
    /// Each pixel so many times down and across; scale and zero point stay as they are.
    Enlarge(ValueId, usize, ValueId),
    /// The mean of each channel.
    Pool(ValueId, Target, ValueId),
    /// A dense layer whose sums, times the multipliers, stay floats: `[channels, height, width]`.
    Head(ValueId, DenseLayer, FloatId),
    /// What a map stands for: `[channels, height, width]`.
    Dequantise(ValueId, FloatId),
    /// What is left to do in floats.
    Float(FloatOperation),
}

impl Operation {
    /// The maps that it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<ValueId> {
        match self {
            Self::Dense(input, ..)
            | Self::Depthwise(input, ..)
            | Self::Enlarge(input, ..)
            | Self::Pool(input, ..)
            | Self::Head(input, ..)
            | Self::Dequantise(input, _) => vec![*input],
            Self::Add(inputs, ..) => inputs.to_vec(),
            Self::Float(_) => Vec::new(),
        }
    }

    /// The map that it makes.
    #[must_use]
    pub fn makes(&self) -> Option<ValueId> {
        match self {
            Self::Dense(.., output)
            | Self::Depthwise(.., output)
            | Self::Add(.., output)
            | Self::Enlarge(.., output)
            | Self::Pool(.., output) => Some(*output),
            Self::Head(..) | Self::Dequantise(..) | Self::Float(_) => None,
        }
    }

    /// What it is, in a word or two.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_, layer, _) if layer.window.kernel == [1, 1] => "pointwise int8",
            Self::Dense(..) => "convolution int8",
            Self::Depthwise(..) => "depthwise int8",
            Self::Add(..) => "add int8",
            Self::Enlarge(..) => "enlarge int8",
            Self::Pool(..) => "mean int8",
            Self::Head(..) => "dense int8 to f32",
            Self::Dequantise(..) => "dequantise",
            Self::Float(operation) => operation.kind(),
        }
    }
}

impl Graph {
    /// A new map.
    pub fn add_value(&mut self, value: MapValue) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }

    /// A new list of so many floats.
    pub fn add_floats(&mut self, length: usize) -> FloatId {
        self.floats.push(length);
        FloatId(self.floats.len() - 1)
    }

    /// A map.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &MapValue {
        &self.values[id.0]
    }
}
