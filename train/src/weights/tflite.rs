//! The backbone of a quantized `.tflite` file (schema version 3).

use std::collections::BTreeMap;

use super::flatbuffer::Table;
use super::{BackboneWeights, ParseError};
use crate::layer::{ConvWeights, Layer};

// Field numbers of tensorflow/lite/schema/schema.fbs. Conv2DOptions and DepthwiseConv2DOptions begin alike.
const MODEL_OPERATOR_CODES: usize = 1;
const MODEL_SUBGRAPHS: usize = 2;
const MODEL_BUFFERS: usize = 4;
const OPERATOR_CODE_DEPRECATED_BUILTIN_CODE: usize = 0;
const OPERATOR_CODE_BUILTIN_CODE: usize = 3;
const SUBGRAPH_TENSORS: usize = 0;
const SUBGRAPH_OPERATORS: usize = 3;
const OPERATOR_OPCODE_INDEX: usize = 0;
const OPERATOR_INPUTS: usize = 1;
const OPERATOR_OUTPUTS: usize = 2;
const OPERATOR_BUILTIN_OPTIONS: usize = 4;
const TENSOR_SHAPE: usize = 0;
const TENSOR_TYPE: usize = 1;
const TENSOR_BUFFER: usize = 2;
const TENSOR_NAME: usize = 3;
const TENSOR_QUANTIZATION: usize = 4;
const QUANTIZATION_SCALE: usize = 2;
const QUANTIZATION_ZERO_POINT: usize = 3;
const BUFFER_DATA: usize = 0;
const CONV_OPTIONS_PADDING: usize = 0;
const CONV_OPTIONS_STRIDE_W: usize = 1;
const CONV_OPTIONS_ACTIVATION: usize = 3;
const DEPTHWISE_OPTIONS_ACTIVATION: usize = 4;
const ADD_OPTIONS_ACTIVATION: usize = 0;

/// Values of the enumeration `BuiltinOperator`.
const ADD: i32 = 0;
const CONV_2D: i32 = 3;
const DEPTHWISE_CONV_2D: i32 = 4;

/// Value of `Padding`.
const SAME: i8 = 0;

/// Values of `ActivationFunctionType`.
const NO_ACTIVATION: i8 = 0;
const RELU6: i8 = 3;

/// Values of `TensorType`.
const INT32: i8 = 2;
const UINT8: i8 = 3;
const INT8: i8 = 9;

/// The layers before the pooling that begins the file's classifier.
pub(super) fn read(bytes: &[u8]) -> Result<BackboneWeights, ParseError> {
    let model = Table::root(bytes)?;
    let graphs = model.tables(MODEL_SUBGRAPHS)?;
    let graph = graphs.first().ok_or("it has no graph")?;
    let operators = graph.tables(SUBGRAPH_OPERATORS)?;
    let file = File {
        codes: model.tables(MODEL_OPERATOR_CODES)?,
        buffers: model.tables(MODEL_BUFFERS)?,
        tensors: graph.tables(SUBGRAPH_TENSORS)?,
    };
    let first = operators.first().ok_or("it has no operators")?;
    let input = operand(first, 0)?;
    let mut layers = Layers::new(input);
    for operator in &operators {
        match file.builtin_code(operator)? {
            code @ (CONV_2D | DEPTHWISE_CONV_2D) => {
                let is_depthwise = code == DEPTHWISE_CONV_2D;
                layers.push(operator, file.layer(operator, is_depthwise)?)?;
            }
            ADD => layers.add(operator)?,
            // The classifier, which begins with pooling.
            _ => break,
        }
    }
    let layers = layers.layers;
    if layers.len() < 3 {
        return Err(format!("it begins with {} convolutions", layers.len()).into());
    }
    let shape = file.shape(input)?;
    let &[_, side, _, _] = shape.as_slice() else {
        return Err(format!("its input has shape {shape:?}").into());
    };
    Ok(BackboneWeights {
        heads: None,
        side,
        layers,
    })
}

struct File<'a> {
    codes: Vec<Table<'a>>,
    buffers: Vec<Table<'a>>,
    tensors: Vec<Table<'a>>,
}

impl File<'_> {
    fn builtin_code(&self, operator: &Table) -> Result<i32, ParseError> {
        let index = operator.index(OPERATOR_OPCODE_INDEX)?;
        let code = self.codes.get(index);
        let code = code.ok_or_else(|| format!("operator code {index} is missing"))?;
        // Old files have only the 8-bit field, new ones both.
        let old = code.i8(OPERATOR_CODE_DEPRECATED_BUILTIN_CODE)?;
        Ok(code.i32(OPERATOR_CODE_BUILTIN_CODE)?.max(i32::from(old)))
    }

    fn tensor(&self, index: usize) -> Result<&Table<'_>, ParseError> {
        let tensor = self.tensors.get(index);
        tensor.ok_or_else(|| format!("tensor {index} is missing").into())
    }

    fn shape(&self, tensor: usize) -> Result<Vec<usize>, ParseError> {
        let shape = self.tensor(tensor)?.elements(TENSOR_SHAPE)?;
        let shape = shape.ok_or_else(|| format!("tensor {tensor} has no shape"))?;
        let side = |bytes: &[u8; 4]| usize::try_from(i32::from_le_bytes(*bytes));
        let sides: Result<_, _> = shape.iter().map(side).collect();
        Ok(sides.map_err(|_| format!("tensor {tensor} has a negative side"))?)
    }

    fn layer(&self, operator: &Table, is_depthwise: bool) -> Result<Layer, ParseError> {
        let options = operator.table(OPERATOR_BUILTIN_OPTIONS)?;
        let options = options.ok_or("a convolution has no options")?;
        let activation = match is_depthwise {
            true => DEPTHWISE_OPTIONS_ACTIVATION,
            false => CONV_OPTIONS_ACTIVATION,
        };
        let relu6 = match options.i8(activation)? {
            RELU6 => true,
            NO_ACTIVATION => false,
            other => return Err(format!("a convolution has activation {other}").into()),
        };
        let conv = self.convolution(operator, &options, is_depthwise)?;
        Ok(Layer {
            conv,
            relu6,
            add: None,
        })
    }

    fn convolution(
        &self,
        operator: &Table,
        options: &Table,
        is_depthwise: bool,
    ) -> Result<ConvWeights, ParseError> {
        let kernel = operand(operator, 1)?;
        let dims = self.shape(kernel)?;
        let &[first, height, width, last] = dims.as_slice() else {
            return Err(format!("a kernel has shape {dims:?}").into());
        };
        if options.i8(CONV_OPTIONS_PADDING)? != SAME && (height, width) != (1, 1) {
            return Err("a convolution has no padding".into());
        }
        let values = self.dequantized(kernel)?;
        // TensorFlow's layout is [out, height, width, in], and [1, height, width, out] for a depthwise kernel.
        let (channels, inputs) = match is_depthwise {
            true => (last, 1),
            false => (first, last),
        };
        let index = |out: usize, input: usize, pixel: usize| match is_depthwise {
            true => pixel * last + out,
            false => (out * height * width + pixel) * last + input,
        };
        let mut weights = Vec::with_capacity(values.len());
        for out in 0..channels {
            for input in 0..inputs {
                for pixel in 0..height * width {
                    let value = values.get(index(out, input, pixel));
                    weights.push(*value.ok_or("a kernel has too few values")?);
                }
            }
        }
        let bias = self.dequantized(operand(operator, 2)?)?;
        if bias.len() != channels {
            return Err(format!("{} biases for {channels} channels", bias.len()).into());
        }
        Ok(ConvWeights {
            shape: [channels, inputs, height, width],
            weights,
            bias,
            stride: usize::try_from(options.i32(CONV_OPTIONS_STRIDE_W)?).unwrap_or(0),
            groups: if is_depthwise { channels } else { 1 },
        })
    }

    /// `scale * (q - zero_point)` of a tensor with one scale.
    fn dequantized(&self, index: usize) -> Result<Vec<f32>, ParseError> {
        let tensor = self.tensor(index)?;
        let name = tensor.string(TENSOR_NAME)?.unwrap_or("(unnamed)");
        let buffer = self.buffers.get(tensor.index(TENSOR_BUFFER)?);
        let data = match buffer {
            Some(buffer) => buffer.elements::<1>(BUFFER_DATA)?,
            None => None,
        };
        let bytes = data.ok_or_else(|| format!("tensor {name} has no data"))?;
        let bytes = bytes.as_flattened();
        let quantization = tensor.table(TENSOR_QUANTIZATION)?;
        let quantization = quantization.ok_or_else(|| format!("tensor {name} is not quantized"))?;
        let scale = match quantization.elements(QUANTIZATION_SCALE)? {
            Some([scale]) => f32::from_le_bytes(*scale),
            Some(scales) => {
                return Err(
                    format!("tensor {name} has {} scales, expected 1", scales.len()).into(),
                );
            }
            None => return Err(format!("tensor {name} has no scale").into()),
        };
        let zero_point = quantization.elements(QUANTIZATION_ZERO_POINT)?;
        let zero_point = zero_point.and_then(<[[u8; 8]]>::first);
        let zero_point = zero_point.map_or(0, |bytes| i64::from_le_bytes(*bytes)) as f32;
        let dequantized = |q: f32| scale * (q - zero_point);
        match tensor.i8(TENSOR_TYPE)? {
            UINT8 => Ok(bytes.iter().map(|&q| dequantized(f32::from(q))).collect()),
            INT8 => {
                let signed = bytes.iter().map(|&q| dequantized(f32::from(q as i8)));
                Ok(signed.collect())
            }
            INT32 => {
                let signed = bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b));
                Ok(signed.map(|q| dequantized(q as f32)).collect())
            }
            other => Err(format!("tensor {name} has type {other}").into()),
        }
    }
}

/// Layers read so far.
struct Layers {
    layers: Vec<Layer>,
    /// Index of the layer that makes a tensor, by the tensor.
    producers: BTreeMap<usize, usize>,
    /// The tensor that the next layer must read.
    last: usize,
}

impl Layers {
    fn new(input: usize) -> Self {
        Self {
            layers: Vec::new(),
            producers: BTreeMap::new(),
            last: input,
        }
    }

    fn push(&mut self, operator: &Table, layer: Layer) -> Result<(), ParseError> {
        if operand(operator, 0)? != self.last {
            let number = self.layers.len();
            let message =
                format!("convolution {number} does not read the output of the one before");
            return Err(message.into());
        }
        self.layers.push(layer);
        self.set_output(operator)
    }

    /// A residual addition of the last layer's output and an earlier one's.
    fn add(&mut self, operator: &Table) -> Result<(), ParseError> {
        let options = operator.table(OPERATOR_BUILTIN_OPTIONS)?;
        let activation = match options {
            Some(options) => options.i8(ADD_OPTIONS_ACTIVATION)?,
            None => NO_ACTIVATION,
        };
        if activation != NO_ACTIVATION {
            return Err("an addition has an activation".into());
        }
        let other = match [operand(operator, 0)?, operand(operator, 1)?] {
            [a, b] if a == self.last => b,
            [a, b] if b == self.last => a,
            _ => return Err("an addition does not read the layer before it".into()),
        };
        let earlier = *self
            .producers
            .get(&other)
            .ok_or("an addition reads a tensor that no convolution makes")?;
        let last = self.layers.last_mut().ok_or("it begins with an addition")?;
        if last.add.replace(earlier).is_some() {
            return Err("an addition follows an addition".into());
        }
        // From here on the layer's output is the sum.
        self.producers.remove(&self.last);
        self.set_output(operator)
    }

    fn set_output(&mut self, operator: &Table) -> Result<(), ParseError> {
        self.last = tensor_index(operator, OPERATOR_OUTPUTS, 0)?;
        self.producers.insert(self.last, self.layers.len() - 1);
        Ok(())
    }
}

fn operand(operator: &Table, number: usize) -> Result<usize, ParseError> {
    tensor_index(operator, OPERATOR_INPUTS, number)
}

/// Index of an operator's input or output tensor; -1 in the file marks an optional one that is absent.
fn tensor_index(operator: &Table, field: usize, number: usize) -> Result<usize, ParseError> {
    let indices = operator.elements(field)?.unwrap_or_default();
    let index = indices.get(number).map(|bytes| i32::from_le_bytes(*bytes));
    let index = index.and_then(|index| usize::try_from(index).ok());
    index.ok_or_else(|| format!("an operator has no operand {number}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_beyond_the_end_are_an_error() {
        for bytes in [
            &b""[..],
            b"\x20\0\0\0TFL3",
            b"\x04\0\0\0\xff\xff\xff\x7f",
            &[0xff; 64],
        ] {
            let error = read(bytes).expect_err("broken");
            assert!(matches!(error, ParseError::Broken(_)), "{error}");
        }
    }
}
