//! `.tflite` files, schema version 3.

use half::f16;

use super::FormatError;
use super::flatbuffer::Table;

// Field numbers of tensorflow/lite/schema/schema.fbs.
const MODEL_OPERATOR_CODES: usize = 1;
const MODEL_SUBGRAPHS: usize = 2;
const MODEL_BUFFERS: usize = 4;
const OPERATOR_CODE_DEPRECATED_BUILTIN_CODE: usize = 0;
const OPERATOR_CODE_CUSTOM_CODE: usize = 1;
const OPERATOR_CODE_BUILTIN_CODE: usize = 3;
const SUBGRAPH_TENSORS: usize = 0;
const SUBGRAPH_INPUTS: usize = 1;
const SUBGRAPH_OUTPUTS: usize = 2;
const SUBGRAPH_OPERATORS: usize = 3;
const OPERATOR_OPCODE_INDEX: usize = 0;
const OPERATOR_INPUTS: usize = 1;
const OPERATOR_OUTPUTS: usize = 2;
const OPERATOR_BUILTIN_OPTIONS: usize = 4;
const OPERATOR_CUSTOM_OPTIONS: usize = 5;
const TENSOR_SHAPE: usize = 0;
const TENSOR_TYPE: usize = 1;
const TENSOR_BUFFER: usize = 2;
const TENSOR_NAME: usize = 3;
const TENSOR_QUANTIZATION: usize = 4;
const QUANTIZATION_SCALE: usize = 2;
const QUANTIZATION_ZERO_POINT: usize = 3;
const QUANTIZATION_DIMENSION: usize = 6;
const BUFFER_DATA: usize = 0;

/// Values of `TensorType`.
const FLOAT32: i8 = 0;
const FLOAT16: i8 = 1;
const INT32: i8 = 2;
const UINT8: i8 = 3;
const INT64: i8 = 4;
const INT8: i8 = 9;

/// Values of the enumeration `BuiltinOperator`.
pub(crate) mod builtin {
    pub(crate) const ADD: i32 = 0;
    pub(crate) const AVERAGE_POOL_2D: i32 = 1;
    pub(crate) const CONCATENATION: i32 = 2;
    pub(crate) const CONV_2D: i32 = 3;
    pub(crate) const DEPTHWISE_CONV_2D: i32 = 4;
    pub(crate) const DEQUANTIZE: i32 = 6;
    pub(crate) const LOGISTIC: i32 = 14;
    pub(crate) const MUL: i32 = 18;
    pub(crate) const RELU: i32 = 19;
    pub(crate) const RELU6: i32 = 21;
    pub(crate) const RESHAPE: i32 = 22;
    pub(crate) const SOFTMAX: i32 = 25;
    pub(crate) const CUSTOM: i32 = 32;
    pub(crate) const PAD: i32 = 34;
    pub(crate) const TRANSPOSE: i32 = 39;
    pub(crate) const MEAN: i32 = 40;
    pub(crate) const SUB: i32 = 41;
    pub(crate) const DIV: i32 = 42;
    pub(crate) const SQUEEZE: i32 = 43;
    pub(crate) const EXP: i32 = 47;
    pub(crate) const CAST: i32 = 53;
    pub(crate) const MAXIMUM: i32 = 55;
    pub(crate) const MINIMUM: i32 = 57;
    pub(crate) const SLICE: i32 = 65;
    pub(crate) const EXPAND_DIMS: i32 = 70;
    pub(crate) const QUANTIZE: i32 = 114;
    pub(crate) const HARD_SWISH: i32 = 117;

    /// Names of operators, for messages: those above and some that other detectors have.
    pub(crate) const NAMES: &[(i32, &str)] = &[
        (ADD, "ADD"),
        (AVERAGE_POOL_2D, "AVERAGE_POOL_2D"),
        (CONCATENATION, "CONCATENATION"),
        (CONV_2D, "CONV_2D"),
        (DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D"),
        (DEQUANTIZE, "DEQUANTIZE"),
        (LOGISTIC, "LOGISTIC"),
        (MUL, "MUL"),
        (RELU, "RELU"),
        (RELU6, "RELU6"),
        (RESHAPE, "RESHAPE"),
        (SOFTMAX, "SOFTMAX"),
        (CUSTOM, "CUSTOM"),
        (PAD, "PAD"),
        (TRANSPOSE, "TRANSPOSE"),
        (MEAN, "MEAN"),
        (SUB, "SUB"),
        (DIV, "DIV"),
        (SQUEEZE, "SQUEEZE"),
        (EXP, "EXP"),
        (CAST, "CAST"),
        (MAXIMUM, "MAXIMUM"),
        (MINIMUM, "MINIMUM"),
        (SLICE, "SLICE"),
        (EXPAND_DIMS, "EXPAND_DIMS"),
        (QUANTIZE, "QUANTIZE"),
        (HARD_SWISH, "HARD_SWISH"),
        (9, "FULLY_CONNECTED"),
        (17, "MAX_POOL_2D"),
        (23, "RESIZE_BILINEAR"),
        (26, "SPACE_TO_DEPTH"),
        (45, "STRIDED_SLICE"),
        (49, "SPLIT"),
        (54, "PRELU"),
        (67, "TRANSPOSE_CONV"),
        (77, "SHAPE"),
        (83, "PACK"),
        (88, "UNPACK"),
        (97, "RESIZE_NEAREST_NEIGHBOR"),
        (98, "LEAKY_RELU"),
    ];
}

/// Field numbers of the options of operators, and values of their enumerations.
///
/// `Conv2DOptions` and `DepthwiseConv2DOptions` begin alike.
pub(crate) mod options {
    pub(crate) const CONV_PADDING: usize = 0;
    pub(crate) const CONV_STRIDE_W: usize = 1;
    pub(crate) const CONV_STRIDE_H: usize = 2;
    pub(crate) const CONV_ACTIVATION: usize = 3;
    pub(crate) const CONV_DILATION_W: usize = 4;
    pub(crate) const CONV_DILATION_H: usize = 5;
    pub(crate) const DEPTHWISE_ACTIVATION: usize = 4;
    pub(crate) const DEPTHWISE_DILATION_W: usize = 5;
    pub(crate) const DEPTHWISE_DILATION_H: usize = 6;
    /// Of `AddOptions`, `MulOptions`, `SubOptions` and `DivOptions`.
    pub(crate) const ADD_ACTIVATION: usize = 0;
    pub(crate) const CONCATENATION_AXIS: usize = 0;
    pub(crate) const CONCATENATION_ACTIVATION: usize = 1;
    pub(crate) const RESHAPE_SHAPE: usize = 0;
    pub(crate) const SQUEEZE_DIMENSIONS: usize = 0;
    pub(crate) const REDUCER_KEEPS_SIDES: usize = 0;
    pub(crate) const POOL_FILTER_WIDTH: usize = 3;
    pub(crate) const POOL_FILTER_HEIGHT: usize = 4;
    pub(crate) const POOL_ACTIVATION: usize = 5;

    /// Values of `Padding`.
    pub(crate) const SAME: i8 = 0;

    /// Values of `ActivationFunctionType`.
    pub(crate) const NO_ACTIVATION: i8 = 0;
    pub(crate) const RELU: i8 = 1;
    pub(crate) const RELU6: i8 = 3;
}

/// The first graph of a file.
pub(crate) struct TfliteFile<'a> {
    codes: Vec<Table<'a>>,
    buffers: Vec<Table<'a>>,
    tensors: Vec<Table<'a>>,
    pub(crate) operators: Vec<Operator<'a>>,
    /// Tensors that the caller provides.
    pub(crate) inputs: Vec<usize>,
    /// Tensors that the caller receives.
    pub(crate) outputs: Vec<usize>,
}

/// An operator of the graph.
#[derive(Clone, Copy)]
pub(crate) struct Operator<'a>(Table<'a>);

/// How the integers of a tensor stand for numbers: `scale * (q - zero_point)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorScales {
    /// One of the whole tensor, or one for each entry of `dimension`.
    pub(crate) scales: Vec<f32>,
    /// As many as scales.
    pub(crate) zero_points: Vec<i64>,
    pub(crate) dimension: usize,
}

impl<'a> TfliteFile<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let model = Table::root(bytes)?;
        let graphs = model.tables(MODEL_SUBGRAPHS)?;
        let graph = graphs.first().ok_or("it has no graph")?;
        let operators = graph.tables(SUBGRAPH_OPERATORS)?;
        Ok(Self {
            codes: model.tables(MODEL_OPERATOR_CODES)?,
            buffers: model.tables(MODEL_BUFFERS)?,
            tensors: graph.tables(SUBGRAPH_TENSORS)?,
            operators: operators.into_iter().map(Operator).collect(),
            inputs: present(tensor_indices(graph, SUBGRAPH_INPUTS)?),
            outputs: present(tensor_indices(graph, SUBGRAPH_OUTPUTS)?),
        })
    }

    /// Number of tensors.
    pub(crate) fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// The operator's value of the enumeration `BuiltinOperator`.
    pub(crate) fn builtin_code(&self, operator: Operator) -> Result<i32, FormatError> {
        let code = self.code(operator)?;
        // Old files have only the 8-bit field, new ones both.
        let old = code.i8(OPERATOR_CODE_DEPRECATED_BUILTIN_CODE)?;
        Ok(code.i32(OPERATOR_CODE_BUILTIN_CODE)?.max(i32::from(old)))
    }

    /// The name of an operator that is not built into TFLite.
    pub(crate) fn custom_code(&self, operator: Operator) -> Result<&'a str, FormatError> {
        let code = self.code(operator)?;
        Ok(code.string(OPERATOR_CODE_CUSTOM_CODE)?.unwrap_or_default())
    }

    fn code(&self, operator: Operator) -> Result<&Table<'a>, FormatError> {
        let index = operator.0.index(OPERATOR_OPCODE_INDEX)?;
        let code = self.codes.get(index);
        code.ok_or_else(|| format!("operator code {index} is missing").into())
    }

    fn tensor(&self, index: usize) -> Result<&Table<'a>, FormatError> {
        let tensor = self.tensors.get(index);
        tensor.ok_or_else(|| format!("tensor {index} is missing").into())
    }

    pub(crate) fn name(&self, tensor: usize) -> Result<&'a str, FormatError> {
        let name = self.tensor(tensor)?.string(TENSOR_NAME)?;
        Ok(name.unwrap_or("(unnamed)"))
    }

    pub(crate) fn shape(&self, tensor: usize) -> Result<Vec<usize>, FormatError> {
        // A scalar has no shape.
        let shape = self.tensor(tensor)?.elements(TENSOR_SHAPE)?;
        let shape = shape.unwrap_or_default();
        let side = |bytes: &[u8; 4]| usize::try_from(i32::from_le_bytes(*bytes));
        let sides: Result<_, _> = shape.iter().map(side).collect();
        Ok(sides.map_err(|_| format!("tensor {tensor} has a negative side"))?)
    }

    /// Whether the tensor holds 8-bit integers.
    pub(crate) fn is_8_bit(&self, tensor: usize) -> Result<bool, FormatError> {
        let kind = self.tensor(tensor)?.i8(TENSOR_TYPE)?;
        Ok(matches!(kind, UINT8 | INT8))
    }

    /// Whether the tensor holds unsigned 8-bit integers.
    pub(crate) fn is_unsigned(&self, tensor: usize) -> Result<bool, FormatError> {
        Ok(self.tensor(tensor)?.i8(TENSOR_TYPE)? == UINT8)
    }

    /// The scales of an integer tensor; `None` of other ones.
    pub(crate) fn scales(&self, tensor: usize) -> Result<Option<TensorScales>, FormatError> {
        let Some(quantization) = self.tensor(tensor)?.table(TENSOR_QUANTIZATION)? else {
            return Ok(None);
        };
        let scales = quantization.elements::<4>(QUANTIZATION_SCALE)?;
        let scales: Vec<f32> = scales
            .unwrap_or_default()
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        if scales.is_empty() {
            return Ok(None);
        }
        let points = quantization.elements::<8>(QUANTIZATION_ZERO_POINT)?;
        let points = points.unwrap_or_default();
        let point = |index: usize| {
            points
                .get(index)
                .map_or(0, |bytes| i64::from_le_bytes(*bytes))
        };
        Ok(Some(TensorScales {
            zero_points: (0..scales.len()).map(point).collect(),
            scales,
            dimension: usize::try_from(quantization.i32(QUANTIZATION_DIMENSION)?).unwrap_or(0),
        }))
    }

    /// The values of a constant tensor, dequantised if they are integers with scales; `None` of a tensor that an
    /// operator computes.
    pub(crate) fn values(&self, index: usize) -> Result<Option<Vec<f32>>, FormatError> {
        let tensor = self.tensor(index)?;
        let buffer = self.buffers.get(tensor.index(TENSOR_BUFFER)?);
        let data = match buffer {
            Some(buffer) => buffer.elements::<1>(BUFFER_DATA)?,
            None => None,
        };
        let Some(bytes) = data
            .map(<[[u8; 1]]>::as_flattened)
            .filter(|b| !b.is_empty())
        else {
            return Ok(None);
        };
        let kind = tensor.i8(TENSOR_TYPE)?;
        let mut values = numbers(kind, bytes).ok_or_else(|| {
            let name = tensor.string(TENSOR_NAME).ok().flatten();
            format!("tensor {} has type {kind}", name.unwrap_or("(unnamed)"))
        })?;
        let shape = self.shape(index)?;
        let mut sides = shape.iter();
        let count = sides.try_fold(1usize, |count, &side| count.checked_mul(side));
        if count != Some(values.len()) {
            let message = format!(
                "tensor {} has {} values, its shape is {shape:?}",
                self.name(index)?,
                values.len()
            );
            return Err(FormatError::Broken(message));
        }
        if let Some(scales) = self.scales(index)?.filter(|_| kind != FLOAT32) {
            scales.dequantize(&shape, &mut values);
        }
        Ok(Some(values))
    }
}

impl TensorScales {
    /// Replaces integers by the numbers that they stand for.
    fn dequantize(&self, shape: &[usize], values: &mut [f32]) {
        let inner: usize = shape.iter().skip(self.dimension + 1).product();
        let channels = self.scales.len();
        for (position, value) in values.iter_mut().enumerate() {
            let channel = match channels {
                1 => 0,
                _ => position / inner.max(1) % channels,
            };
            *value = self.scales[channel] * (*value - self.zero_points[channel] as f32);
        }
    }
}

/// Numbers of a `TensorType` as floats; `None` of an unknown type.
fn numbers(kind: i8, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        FLOAT32 => {
            let floats = bytes.as_chunks().0.iter();
            floats.map(|b| f32::from_le_bytes(*b)).collect()
        }
        FLOAT16 => {
            let floats = bytes.as_chunks().0.iter();
            floats.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
        INT32 => {
            let integers = bytes.as_chunks().0.iter();
            integers.map(|b| i32::from_le_bytes(*b) as f32).collect()
        }
        INT64 => {
            let integers = bytes.as_chunks().0.iter();
            integers.map(|b| i64::from_le_bytes(*b) as f32).collect()
        }
        UINT8 => bytes.iter().map(|&q| f32::from(q)).collect(),
        INT8 => bytes.iter().map(|&q| f32::from(q as i8)).collect(),
        _ => return None,
    })
}

impl<'a> Operator<'a> {
    /// Indices of the tensors that it reads; `None` for an optional one that is absent.
    pub(crate) fn inputs(&self) -> Result<Vec<Option<usize>>, FormatError> {
        tensor_indices(&self.0, OPERATOR_INPUTS)
    }

    /// Indices of the tensors that it writes.
    pub(crate) fn outputs(&self) -> Result<Vec<usize>, FormatError> {
        tensor_indices(&self.0, OPERATOR_OUTPUTS).map(present)
    }

    pub(crate) fn input(&self, number: usize) -> Result<usize, FormatError> {
        let index = self.inputs()?.get(number).copied().flatten();
        index.ok_or_else(|| format!("an operator has no operand {number}").into())
    }

    pub(crate) fn output(&self) -> Result<usize, FormatError> {
        let index = self.outputs()?.first().copied();
        index.ok_or_else(|| "an operator has no output".into())
    }

    /// The options of a built-in operator.
    pub(crate) fn options(&self) -> Result<Option<Table<'a>>, FormatError> {
        self.0.table(OPERATOR_BUILTIN_OPTIONS)
    }

    /// The options of another operator: a FlexBuffer.
    pub(crate) fn custom_options(&self) -> Result<&'a [u8], FormatError> {
        let bytes = self.0.elements::<1>(OPERATOR_CUSTOM_OPTIONS)?;
        Ok(bytes.unwrap_or_default().as_flattened())
    }
}

/// A list of tensor indices; -1 in the file marks an optional tensor that is absent.
fn tensor_indices(table: &Table, field: usize) -> Result<Vec<Option<usize>>, FormatError> {
    let indices = table.elements::<4>(field)?.unwrap_or_default();
    let index = |bytes: &[u8; 4]| usize::try_from(i32::from_le_bytes(*bytes)).ok();
    Ok(indices.iter().map(index).collect())
}

fn present(indices: Vec<Option<usize>>) -> Vec<usize> {
    indices.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_belong_to_the_entries_of_their_dimension() {
        let scales = TensorScales {
            scales: vec![1.0, 2.0],
            zero_points: vec![0, 1],
            dimension: 1,
        };
        let mut values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        scales.dequantize(&[2, 2, 2], &mut values);
        assert_eq!(values, [1.0, 2.0, 4.0, 6.0, 5.0, 6.0, 12.0, 14.0]);
    }

    #[test]
    fn offsets_beyond_the_end_are_an_error() {
        for bytes in [
            &b""[..],
            b"\x20\0\0\0TFL3",
            b"\x04\0\0\0\xff\xff\xff\x7f",
            &[0xff; 64],
        ] {
            let error = TfliteFile::read(bytes).err().expect("broken");
            assert!(matches!(error, FormatError::Broken(_)), "{error}");
        }
    }
}
