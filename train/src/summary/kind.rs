//! What a layer is, in words, and what it multiplies.

use std::fmt;

use tract_onnx::pb;

use super::Value;
use super::shapes::{int, ints};

/// What a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A convolution.
    Convolution {
        /// Height and width of its kernel.
        kernel: (usize, usize),
        /// Steps down and across.
        stride: (usize, usize),
        /// Whether each channel is convolved by itself.
        depthwise: bool,
    },
    /// A dense layer.
    Dense,
    /// A product of two tensors of which at least one is computed.
    MatrixProduct,
    /// A sum of two computed tensors: a residual connection.
    Sum,
    /// The mean over the map.
    Pool,
    /// Anything else, by the name of its operator.
    Other(String),
}

/// The word for an operator that belongs to the layer before it.
pub(super) fn activation(operator: &str) -> Option<&'static str> {
    match operator {
        "Relu" => Some("relu"),
        // The only bounds that are written are 0 and 6.
        "Clip" => Some("relu6"),
        "Sigmoid" => Some("sigmoid"),
        "HardSwish" => Some("hard swish"),
        "HardSigmoid" => Some("hard sigmoid"),
        "LeakyRelu" => Some("leaky relu"),
        _ => None,
    }
}

impl Kind {
    pub(super) fn of(node: &pb::NodeProto, inputs: &[Value<'_>]) -> Result<Self, String> {
        let computed = inputs
            .iter()
            .filter(|value| value.constant.is_none())
            .count();
        Ok(match node.op_type.as_str() {
            "Conv" => {
                let weights = &inputs.get(1).ok_or("has no weights")?.shape;
                let [out, inner, height, width] = weights[..] else {
                    return Err(format!(
                        "has weights of shape {weights:?}, expected 4 sides"
                    ));
                };
                let groups = int(node, "group").unwrap_or(1);
                let stride = ints(node, "strides");
                Self::Convolution {
                    kernel: (height, width),
                    stride: match stride[..] {
                        [down, across] => (down.max(1) as usize, across.max(1) as usize),
                        _ => (1, 1),
                    },
                    depthwise: inner == 1 && groups > 1 && groups as usize == out,
                }
            }
            "Gemm" => Self::Dense,
            "MatMul" => Self::MatrixProduct,
            "Add" if computed == 2 => Self::Sum,
            "GlobalAveragePool" | "AveragePool" | "ReduceMean" => Self::Pool,
            other => Self::Other(other.to_owned()),
        })
    }

    /// Multiplications for one number of the output.
    pub(super) fn products(&self, inputs: &[Value<'_>]) -> u64 {
        let side = |place: usize, from_end: usize| {
            let shape = inputs.get(place).map(|value| value.shape.as_slice());
            let shape = shape.unwrap_or_default();
            let at = shape.len().checked_sub(from_end);
            at.and_then(|at| shape.get(at))
                .map_or(0, |&side| side as u64)
        };
        match self {
            // Weights are [out, in / groups, height, width].
            Self::Convolution { .. } => side(1, 1) * side(1, 2) * side(1, 3),
            Self::Dense | Self::MatrixProduct => side(0, 1),
            Self::Sum | Self::Pool | Self::Other(_) => 0,
        }
    }

    /// Whether it is a convolution of 1 by 1.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        matches!(
            self,
            Self::Convolution {
                kernel: (1, 1),
                depthwise: false,
                ..
            }
        )
    }

    /// Whether each channel is convolved by itself.
    #[must_use]
    pub fn is_depthwise(&self) -> bool {
        matches!(
            self,
            Self::Convolution {
                depthwise: true,
                ..
            }
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Convolution {
                kernel: (height, width),
                stride,
                depthwise,
            } => {
                let what = if *depthwise {
                    "depthwise"
                } else {
                    "convolution"
                };
                write!(f, "{what} {height}×{width}")?;
                match stride {
                    (1, 1) => Ok(()),
                    (down, across) if down == across => write!(f, " /{down}"),
                    (down, across) => write!(f, " /{down}×{across}"),
                }
            }
            Self::Dense => f.write_str("dense"),
            Self::MatrixProduct => f.write_str("matrix product"),
            Self::Sum => f.write_str("sum"),
            Self::Pool => f.write_str("mean over the map"),
            Self::Other(operator) => f.write_str(&operator.to_lowercase()),
        }
    }
}
