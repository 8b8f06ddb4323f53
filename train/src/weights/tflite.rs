//! The trunk of a quantised `.tflite` file.

use std::collections::BTreeMap;

use tract_tflite::tflite::{self, ActivationFunctionType, BuiltinOperator, Padding, TensorType};

use super::{BackboneWeights, Fault};
use crate::layer::{ConvWeights, Layer};

/// The layers up to the pooling that begins the old classifier.
pub(super) fn trunk(bytes: &[u8]) -> Result<BackboneWeights, Fault> {
    let broken = |error: flatbuffers::InvalidFlatbuffer| {
        let message = error.to_string();
        Fault::Broken(message.lines().next().unwrap_or("broken").to_owned())
    };
    let model = tflite::root_as_model(bytes).map_err(broken)?;
    Ok(layers(&model)?)
}

fn layers(model: &tflite::Model) -> Result<BackboneWeights, String> {
    let graph = model
        .subgraphs()
        .filter(|graphs| !graphs.is_empty())
        .map(|graphs| graphs.get(0))
        .ok_or("it has no graph")?;
    let operators = graph.operators().ok_or("it has no operators")?;
    if operators.is_empty() {
        return Err("it has no operators".to_owned());
    }
    let first = operand(&operators.get(0).inputs(), 0)?;
    let mut row = Row::from(first);
    for operator in operators {
        match kind(model, &operator)? {
            BuiltinOperator::CONV_2D | BuiltinOperator::DEPTHWISE_CONV_2D => {
                row.push(&operator, convolution(model, &graph, &operator)?)?;
            }
            BuiltinOperator::ADD => row.add(&operator)?,
            // What follows the last convolution is the old classifier, pooling first.
            _ => break,
        }
    }
    if row.layers.len() < 3 {
        return Err(format!("it begins with {} convolutions", row.layers.len()));
    }
    let input = tensor(&graph, first)?
        .shape()
        .ok_or("its input has no shape")?;
    let side = input.iter().nth(1).ok_or("its input is no picture")?;
    Ok(BackboneWeights {
        heads: None,
        side: usize::try_from(side).map_err(|_| "its input has a negative side")?,
        layers: row.layers,
    })
}

/// Layers found so far.
struct Row {
    layers: Vec<Layer>,
    /// Number of the layer that puts out a tensor, by the tensor.
    made_by: BTreeMap<usize, usize>,
    /// The tensor that the next layer has to take in.
    last: usize,
}

impl Row {
    fn from(input: usize) -> Self {
        Self {
            layers: Vec::new(),
            made_by: BTreeMap::new(),
            last: input,
        }
    }

    fn push(&mut self, operator: &tflite::Operator, conv: ConvWeights) -> Result<(), String> {
        if operand(&operator.inputs(), 0)? != self.last {
            let number = self.layers.len();
            return Err(format!(
                "convolution {number} does not take in what the one before it puts out"
            ));
        }
        let relu6 = is_relu6(operator)?;
        self.layers.push(Layer {
            conv,
            relu6,
            add: None,
        });
        self.made(operator)
    }

    /// The sum of the last layer's output and an earlier one's.
    fn add(&mut self, operator: &tflite::Operator) -> Result<(), String> {
        let options = operator.builtin_options_as_add_options();
        let activation = options.map(|options| options.fused_activation_function());
        if activation.is_some_and(|activation| activation != ActivationFunctionType::NONE) {
            return Err("a sum has an activation".to_owned());
        }
        let inputs = operator.inputs();
        let terms = [operand(&inputs, 0)?, operand(&inputs, 1)?];
        let other = match terms {
            [a, b] if a == self.last => b,
            [a, b] if b == self.last => a,
            _ => return Err("a sum leaves out the layer before it".to_owned()),
        };
        let earlier = *self
            .made_by
            .get(&other)
            .ok_or("a sum takes in what no convolution puts out")?;
        let last = self.layers.last_mut().ok_or("it begins with a sum")?;
        if last.add.replace(earlier).is_some() {
            return Err("a sum follows a sum".to_owned());
        }
        // From here on the layer's output is the sum.
        self.made_by.remove(&self.last);
        self.made(operator)
    }

    fn made(&mut self, operator: &tflite::Operator) -> Result<(), String> {
        self.last = operand(&operator.outputs(), 0)?;
        self.made_by.insert(self.last, self.layers.len() - 1);
        Ok(())
    }
}

fn is_relu6(operator: &tflite::Operator) -> Result<bool, String> {
    let dense = operator.builtin_options_as_conv_2_doptions();
    let depthwise = operator.builtin_options_as_depthwise_conv_2_doptions();
    let activation = dense
        .map(|options| options.fused_activation_function())
        .or(depthwise.map(|options| options.fused_activation_function()));
    match activation {
        Some(ActivationFunctionType::RELU6) => Ok(true),
        Some(ActivationFunctionType::NONE) => Ok(false),
        other => Err(format!("a convolution has the activation {other:?}")),
    }
}

fn kind(model: &tflite::Model, operator: &tflite::Operator) -> Result<BuiltinOperator, String> {
    let codes = model.operator_codes().ok_or("it has no operator codes")?;
    let index = operator.opcode_index() as usize;
    if index >= codes.len() {
        return Err(format!("operator code {index} is missing"));
    }
    let code = codes.get(index);
    // Old files have only the 8-bit field, new ones both.
    let old = BuiltinOperator(i32::from(code.deprecated_builtin_code()));
    Ok(code.builtin_code().max(old))
}

fn convolution(
    model: &tflite::Model,
    graph: &tflite::SubGraph,
    operator: &tflite::Operator,
) -> Result<ConvWeights, String> {
    let depthwise = operator.builtin_options_as_depthwise_conv_2_doptions();
    let (stride, padding) = match (operator.builtin_options_as_conv_2_doptions(), depthwise) {
        (Some(options), _) => (options.stride_w(), options.padding()),
        (_, Some(options)) => (options.stride_w(), options.padding()),
        _ => return Err("a convolution has no options".to_owned()),
    };
    let inputs = operator.inputs();
    let kernel = tensor(graph, operand(&inputs, 1)?)?;
    let bias = tensor(graph, operand(&inputs, 2)?)?;
    let dims: Vec<usize> = kernel
        .shape()
        .ok_or("a kernel has no shape")?
        .iter()
        .map(|dim| dim as usize)
        .collect();
    let &[first, height, width, last] = dims.as_slice() else {
        return Err(format!("a kernel has shape {dims:?}"));
    };
    if padding != Padding::SAME && (height, width) != (1, 1) {
        return Err("a convolution is not padded".to_owned());
    }
    let values = dequantised(model, &kernel)?;
    // TensorFlow keeps [out, height, width, in], and [1, height, width, out] when depthwise.
    let (channels, inner) = match depthwise {
        Some(_) => (last, 1),
        None => (first, last),
    };
    let place = |out: usize, inside: usize, pixel: usize| match depthwise {
        Some(_) => pixel * last + out,
        None => (out * height * width + pixel) * last + inside,
    };
    let mut weights = Vec::with_capacity(values.len());
    for out in 0..channels {
        for inside in 0..inner {
            for pixel in 0..height * width {
                let value = values.get(place(out, inside, pixel));
                weights.push(*value.ok_or("a kernel is cut short")?);
            }
        }
    }
    let bias = dequantised(model, &bias)?;
    if bias.len() != channels {
        return Err(format!("{} biases for {channels} channels", bias.len()));
    }
    Ok(ConvWeights {
        shape: [channels, inner, height, width],
        weights,
        bias,
        stride: stride as usize,
        groups: if depthwise.is_some() { channels } else { 1 },
    })
}

type Operands<'a> = Option<flatbuffers::Vector<'a, i32>>;

fn operand(operands: &Operands, place: usize) -> Result<usize, String> {
    let found = operands.and_then(|all| all.iter().nth(place));
    let index = found.ok_or_else(|| format!("an operator lacks its operand {place}"))?;
    usize::try_from(index).map_err(|_| format!("an operator leaves out its operand {place}"))
}

fn tensor<'a>(graph: &tflite::SubGraph<'a>, index: usize) -> Result<tflite::Tensor<'a>, String> {
    let tensors = graph.tensors().ok_or("it has no tensors")?;
    if index >= tensors.len() {
        return Err(format!("tensor {index} is missing"));
    }
    Ok(tensors.get(index))
}

/// `scale * (q - zero_point)` of an 8-bit tensor, `scale * q` of a 32-bit one; one scale a tensor.
fn dequantised(model: &tflite::Model, tensor: &tflite::Tensor) -> Result<Vec<f32>, String> {
    let name = tensor.name().unwrap_or("without a name");
    let buffers = model.buffers().ok_or("it has no buffers")?;
    let index = tensor.buffer() as usize;
    let bytes = (index < buffers.len())
        .then(|| buffers.get(index).data())
        .flatten()
        .ok_or_else(|| format!("tensor {name} has no data"))?
        .bytes();
    let quantisation = tensor
        .quantization()
        .ok_or_else(|| format!("tensor {name} is not quantised"))?;
    let scale = match quantisation.scale().map(|scales| (scales.len(), scales)) {
        Some((1, scales)) => scales.get(0),
        Some((count, _)) => return Err(format!("tensor {name} has {count} scales, expected 1")),
        None => return Err(format!("tensor {name} has no scale")),
    };
    let zero = quantisation.zero_point().and_then(|z| z.iter().next());
    let zero = zero.unwrap_or(0) as f32;
    match tensor.type_() {
        TensorType::UINT8 => Ok(bytes
            .iter()
            .map(|&q| scale * (f32::from(q) - zero))
            .collect()),
        TensorType::INT8 => {
            let signed = bytes.iter().map(|&q| scale * (f32::from(q as i8) - zero));
            Ok(signed.collect())
        }
        TensorType::INT32 => {
            let words = bytes.chunks_exact(4);
            let signed = words.map(|w| i32::from_le_bytes([w[0], w[1], w[2], w[3]]));
            Ok(signed.map(|q| scale * (q as f32 - zero)).collect())
        }
        other => Err(format!("tensor {name} has type {other:?}")),
    }
}
