//! The graph of a `.tflite` file.

use std::rc::Rc;

use super::error::{NetworkFault, ReadFault};
use super::graph::{
    ActivationScale, Binary, Convolution, Graph, Node, Op, Padding, PostProcess, Tensor, Unary,
    Value,
};
use crate::formats::tflite::{Operator, TfliteFile, builtin, options};
use crate::formats::{FormatError, KernelLayout, flexbuffer};

/// The custom operator that decodes boxes and suppresses all but the best.
const POST_PROCESS: &str = "TFLite_Detection_PostProcess";

pub(super) fn read(bytes: &[u8]) -> Result<Graph, ReadFault> {
    let file = TfliteFile::read(bytes)?;
    let mut reader = Reader {
        places: vec![None; file.tensor_count()],
        graph: Graph::default(),
        file,
    };
    reader.inputs()?;
    for number in 0..reader.file.operators.len() {
        reader.add(reader.file.operators[number])?;
    }
    let outputs = reader.file.outputs.clone();
    for tensor in outputs {
        let value = reader.value(tensor)?;
        reader.graph.outputs.push(value);
    }
    Ok(reader.graph)
}

struct Reader<'a> {
    file: TfliteFile<'a>,
    graph: Graph,
    /// What makes each tensor, as far as it is known.
    places: Vec<Option<Value>>,
}

impl Reader<'_> {
    fn inputs(&mut self) -> Result<(), ReadFault> {
        for tensor in self.file.inputs.clone() {
            let shape = self.file.shape(tensor)?.into_iter().map(Some).collect();
            let node = self.node(tensor, "input".to_owned(), Op::Input(shape), vec![])?;
            self.set(tensor, node)?;
        }
        Ok(())
    }

    fn set(&mut self, tensor: usize, node: usize) -> Result<(), FormatError> {
        let place = self.places.get_mut(tensor);
        let place = place.ok_or_else(|| format!("tensor {tensor} is missing"))?;
        *place = Some(Value::of(node));
        Ok(())
    }

    /// A new node, named after the tensor that it makes.
    fn node(
        &mut self,
        tensor: usize,
        operator: String,
        op: Op,
        inputs: Vec<Value>,
    ) -> Result<usize, FormatError> {
        self.graph.nodes.push(Node {
            name: self.file.name(tensor)?.to_owned(),
            operator,
            op,
            inputs,
            scale: activation_scale(&self.file, tensor)?,
        });
        Ok(self.graph.nodes.len() - 1)
    }

    /// What makes a tensor: an operator before, or the file.
    fn value(&mut self, tensor: usize) -> Result<Value, ReadFault> {
        if let Some(value) = self.places.get(tensor).copied().flatten() {
            return Ok(value);
        }
        let Some(values) = self.file.values(tensor)? else {
            let name = self.file.name(tensor)?;
            let message = format!("tensor {name:?} is read before it is made");
            return Err(ReadFault::Broken(message));
        };
        let shape = self.file.shape(tensor)?;
        let constant = Op::Constant(Rc::new(Tensor { shape, values }));
        let node = self.node(tensor, "constant".to_owned(), constant, vec![])?;
        self.set(tensor, node)?;
        Ok(Value::of(node))
    }

    fn add(&mut self, operator: Operator) -> Result<(), ReadFault> {
        let code = self.file.builtin_code(operator)?;
        let name = match code {
            builtin::CUSTOM => self.file.custom_code(operator)?.to_owned(),
            code => operator_name(code),
        };
        let output = operator.output()?;
        let mut inputs = Vec::new();
        for tensor in operator.inputs()?.into_iter().flatten() {
            inputs.push(self.value(tensor)?);
        }
        let place = Place {
            operator: &name,
            node: self.file.name(output)?,
        };
        let op = op(operator, code, &place)?;
        if op == Op::Reshape && inputs.len() < 2 {
            inputs.push(self.new_shape(operator, output)?);
        }
        let activation = activation(operator, code, &place)?;
        let node = self.node(output, name.clone(), op, inputs)?;
        match activation {
            None => self.set(output, node)?,
            Some(unary) => {
                // Integers are stored after the activation only.
                self.graph.nodes[node].scale = None;
                let inputs = vec![Value::of(node)];
                let node = self.node(output, name, Op::Unary(unary), inputs)?;
                self.set(output, node)?;
            }
        }
        // Other operators with several outputs are not computed.
        for (number, &tensor) in operator.outputs()?.iter().enumerate().skip(1) {
            let value = Value {
                node: self.graph.nodes.len() - 1,
                output: number,
            };
            let place = self.places.get_mut(tensor);
            *place.ok_or_else(|| FormatError::from(format!("tensor {tensor} is missing")))? =
                Some(value);
        }
        Ok(())
    }

    /// The shape of a `RESHAPE` that has it as an option.
    fn new_shape(&mut self, operator: Operator, output: usize) -> Result<Value, ReadFault> {
        let table = operator.options()?;
        let sides = match &table {
            Some(table) => table.elements::<4>(options::RESHAPE_SHAPE)?,
            None => None,
        };
        let values: Vec<f32> = match sides {
            Some(sides) => {
                let sides = sides.iter();
                sides.map(|side| i32::from_le_bytes(*side) as f32).collect()
            }
            None => {
                let shape = self.file.shape(output)?;
                shape.iter().map(|&side| side as f32).collect()
            }
        };
        let constant = Op::Constant(Rc::new(Tensor {
            shape: vec![values.len()],
            values,
        }));
        let node = self.node(output, "constant".to_owned(), constant, vec![])?;
        self.graph.nodes[node].scale = None;
        Ok(Value::of(node))
    }
}

/// An operator, for messages.
struct Place<'a> {
    operator: &'a str,
    node: &'a str,
}

impl Place<'_> {
    fn fault(&self, found: impl Into<String>, expected: &'static str) -> ReadFault {
        ReadFault::Network(NetworkFault::Operator {
            operator: self.operator.to_owned(),
            node: self.node.to_owned(),
            found: found.into(),
            expected,
        })
    }
}

fn op(operator: Operator, code: i32, place: &Place) -> Result<Op, ReadFault> {
    Ok(match code {
        builtin::CONV_2D => Op::Conv(convolution(operator, false, place)?),
        builtin::DEPTHWISE_CONV_2D => Op::Conv(convolution(operator, true, place)?),
        builtin::ADD => Op::Binary(Binary::Add),
        builtin::SUB => Op::Binary(Binary::Subtract),
        builtin::MUL => Op::Binary(Binary::Multiply),
        builtin::DIV => Op::Binary(Binary::Divide),
        builtin::MAXIMUM => Op::Binary(Binary::Maximum),
        builtin::MINIMUM => Op::Binary(Binary::Minimum),
        builtin::RELU => Op::Unary(Unary::Relu),
        builtin::RELU6 => Op::Unary(Unary::Relu6),
        builtin::LOGISTIC => Op::Unary(Unary::Sigmoid),
        builtin::HARD_SWISH => Op::Unary(Unary::HardSwish),
        builtin::EXP => Op::Unary(Unary::Exponential),
        builtin::SOFTMAX => Op::Softmax,
        builtin::QUANTIZE | builtin::DEQUANTIZE | builtin::CAST => Op::Identity,
        builtin::RESHAPE => Op::Reshape,
        builtin::SQUEEZE => Op::Squeeze {
            axes: squeezed_axes(operator)?,
        },
        builtin::EXPAND_DIMS => Op::ExpandDims,
        builtin::TRANSPOSE => Op::Transpose,
        builtin::SLICE => Op::Slice,
        builtin::PAD => Op::Pad,
        builtin::MEAN => Op::Mean {
            keeps_sides: option(operator, options::REDUCER_KEEPS_SIDES)? != 0,
        },
        builtin::AVERAGE_POOL_2D => {
            let side = |field| -> Result<usize, ReadFault> {
                Ok(usize::try_from(number(operator, field)?).unwrap_or(0))
            };
            Op::AveragePool {
                height: side(options::POOL_FILTER_HEIGHT)?,
                width: side(options::POOL_FILTER_WIDTH)?,
            }
        }
        builtin::CONCATENATION => Op::Concat {
            axis: i64::from(number(operator, options::CONCATENATION_AXIS)?),
        },
        builtin::CUSTOM if place.operator == POST_PROCESS => {
            Op::PostProcess(post_process(operator, place)?)
        }
        _ => Op::Other,
    })
}

/// An 8-bit option of an operator, 0 by default.
fn option(operator: Operator, field: usize) -> Result<i8, FormatError> {
    let table = operator.options()?;
    table.map_or(Ok(0), |table| table.i8(field))
}

/// A 32-bit option of an operator, 0 by default.
fn number(operator: Operator, field: usize) -> Result<i32, FormatError> {
    let table = operator.options()?;
    table.map_or(Ok(0), |table| table.i32(field))
}

fn squeezed_axes(operator: Operator) -> Result<Vec<i64>, FormatError> {
    let Some(table) = operator.options()? else {
        return Ok(Vec::new());
    };
    let axes = table.elements::<4>(options::SQUEEZE_DIMENSIONS)?;
    let axis = |bytes: &[u8; 4]| i64::from(i32::from_le_bytes(*bytes));
    Ok(axes.unwrap_or_default().iter().map(axis).collect())
}

/// The activation that is part of an operator.
fn activation(operator: Operator, code: i32, place: &Place) -> Result<Option<Unary>, ReadFault> {
    let field = match code {
        builtin::CONV_2D => options::CONV_ACTIVATION,
        builtin::DEPTHWISE_CONV_2D => options::DEPTHWISE_ACTIVATION,
        builtin::ADD | builtin::MUL | builtin::SUB | builtin::DIV => options::ADD_ACTIVATION,
        builtin::CONCATENATION => options::CONCATENATION_ACTIVATION,
        builtin::AVERAGE_POOL_2D => options::POOL_ACTIVATION,
        _ => return Ok(None),
    };
    match option(operator, field)? {
        options::NO_ACTIVATION => Ok(None),
        options::RELU => Ok(Some(Unary::Relu)),
        options::RELU6 => Ok(Some(Unary::Relu6)),
        other => Err(place.fault(format!("activation {other}"), "none, RELU or RELU6")),
    }
}

fn convolution(
    operator: Operator,
    is_depthwise: bool,
    place: &Place,
) -> Result<Convolution, ReadFault> {
    let dilation_fields = match is_depthwise {
        true => [options::DEPTHWISE_DILATION_H, options::DEPTHWISE_DILATION_W],
        false => [options::CONV_DILATION_H, options::CONV_DILATION_W],
    };
    let side = |field, what: &str| -> Result<usize, ReadFault> {
        let side = number(operator, field)?;
        let wrong = || place.fault(format!("{what} {side}"), "a number above 0");
        usize::try_from(side)
            .ok()
            .filter(|side| *side > 0)
            .ok_or_else(wrong)
    };
    // A field that is left out is 1 for a dilation.
    let dilation = |field| -> Result<usize, ReadFault> {
        match number(operator, field)? {
            0 => Ok(1),
            _ => side(field, "dilation"),
        }
    };
    Ok(Convolution {
        is_depthwise,
        layout: match is_depthwise {
            true => KernelLayout::Depthwise,
            false => KernelLayout::OutHeightWidthIn,
        },
        strides: [
            side(options::CONV_STRIDE_H, "stride")?,
            side(options::CONV_STRIDE_W, "stride")?,
        ],
        dilations: [dilation(dilation_fields[0])?, dilation(dilation_fields[1])?],
        padding: match option(operator, options::CONV_PADDING)? {
            options::SAME => Padding::Same,
            _ => Padding::Valid,
        },
    })
}

fn post_process(operator: Operator, place: &Place) -> Result<PostProcess, ReadFault> {
    let entries = flexbuffer::numbers(operator.custom_options()?);
    let entries = entries.ok_or_else(|| place.fault("unreadable options", "a FlexBuffer map"))?;
    let scale = |name: &str| -> Result<f32, ReadFault> {
        let scale = entries.get(name).map(|&scale| scale as f32);
        let scale = scale.filter(|scale| scale.is_finite() && *scale > 0.0);
        scale.ok_or_else(|| place.fault(format!("no {name}"), "a scale above 0"))
    };
    let classes = entries
        .get("num_classes")
        .filter(|classes| **classes >= 1.0);
    Ok(PostProcess {
        classes: *classes.ok_or_else(|| place.fault("no num_classes", "1 or more"))? as usize,
        scales: [
            scale("y_scale")?,
            scale("x_scale")?,
            scale("h_scale")?,
            scale("w_scale")?,
        ],
        nms_iou: entries.get("nms_iou_threshold").map(|&iou| iou as f32),
    })
}

fn activation_scale(
    file: &TfliteFile,
    tensor: usize,
) -> Result<Option<ActivationScale>, FormatError> {
    if !file.is_8_bit(tensor)? {
        return Ok(None);
    }
    let scales = file.scales(tensor)?;
    Ok(scales.and_then(|scales| {
        let (&[scale], &[zero_point]) = (&scales.scales[..], &scales.zero_points[..]) else {
            return None;
        };
        // A scale that is no number, or a zero point outside, is none.
        let is_sound = scale.is_finite() && scale > 0.0 && zero_point.abs() <= 255;
        is_sound.then_some(ActivationScale {
            scale,
            zero_point,
            is_unsigned: file.is_unsigned(tensor).unwrap_or(false),
        })
    }))
}

/// The name of an operator in the enumeration `BuiltinOperator`, or its number.
fn operator_name(code: i32) -> String {
    let name = builtin::NAMES.iter().find(|(known, _)| *known == code);
    name.map_or_else(|| format!("number {code}"), |(_, name)| (*name).to_owned())
}
