//! Writes an [`Ssd`] as a `.tflite` file.

use half::f16;

use super::flatbuffer::{FlexNumber, Table, flex_map};
use super::integers::Integers;
use super::network::{ANCHORS, Activation, Conv, Layer, SIDE, Ssd};

// Values of BuiltinOperator.
const ADD: i32 = 0;
const CONCATENATION: i32 = 2;
const CONV_2D: i32 = 3;
const DEPTHWISE_CONV_2D: i32 = 4;
const DEQUANTIZE: i32 = 6;
const LOGISTIC: i32 = 14;
const MUL: i32 = 18;
const RESHAPE: i32 = 22;
const CUSTOM: i32 = 32;
const MEAN: i32 = 40;
const HARD_SWISH: i32 = 117;

// Values of TensorType.
const FLOAT32: i8 = 0;
const FLOAT16: i8 = 1;
const INT32: i8 = 2;
const UINT8: i8 = 3;
const INT8: i8 = 9;

/// How a file is written.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Weights in half precision, each with a `DEQUANTIZE`.
    pub(crate) is_half: bool,
    /// The scores pass a `LOGISTIC`.
    pub(crate) has_sigmoid: bool,
    /// `TFLite_Detection_PostProcess` with this number of classes at the end.
    pub(crate) post_process: Option<i32>,
    /// An operator that no SSD has, between image and heads.
    pub(crate) unknown: Option<i32>,
    /// 8-bit integers instead of floats.
    pub(crate) integers: Option<Integers>,
    /// Anchors that the post-processing has, instead of the network's: y, x, height, width.
    pub(crate) anchors: Option<Vec<[f32; 4]>>,
}

impl Form {
    pub(crate) fn raw() -> Self {
        Self {
            is_half: false,
            has_sigmoid: false,
            post_process: None,
            unknown: None,
            integers: None,
            anchors: None,
        }
    }

    pub(crate) fn post_processed(classes: i32) -> Self {
        Self {
            has_sigmoid: true,
            post_process: Some(classes),
            ..Self::raw()
        }
    }
}

#[derive(Default)]
struct File {
    tensors: Vec<Table>,
    buffers: Vec<Table>,
    operators: Vec<Table>,
    /// Operators by their number, and names of custom ones.
    codes: Vec<i32>,
}

impl File {
    fn tensor(&mut self, name: &str, shape: &[usize], kind: i8, data: &[u8]) -> i32 {
        let shape: Vec<i32> = shape.iter().map(|&side| side as i32).collect();
        let buffer = match data {
            // Buffer 0 is that of all computed tensors.
            [] => 0,
            data => {
                self.buffers.push(Table::new().bytes(0, data));
                self.buffers.len() - 1
            }
        };
        let table = Table::new()
            .i32s(0, &shape)
            .i8(1, kind)
            .i32(2, buffer as i32)
            .text(3, name);
        self.tensors.push(table);
        self.tensors.len() as i32 - 1
    }

    /// A tensor of integers, 8-bit ones if `kind` says so; the scales belong to the entries of `dimension`.
    fn quantized(
        &mut self,
        name: &str,
        shape: &[usize],
        (kind, values): (i8, &[i32]),
        (scales, zero_point, dimension): (&[f32], i64, i32),
    ) -> i32 {
        let bytes: Vec<u8> = match kind {
            INT32 => values.iter().flat_map(|q| q.to_le_bytes()).collect(),
            _ => values.iter().map(|q| *q as u8).collect(),
        };
        let tensor = self.tensor(name, shape, kind, &bytes);
        let quantization = Table::new()
            .f32s(2, scales)
            .i64s(3, &vec![zero_point; scales.len()])
            .i32(6, dimension);
        let table = std::mem::take(&mut self.tensors[tensor as usize]);
        self.tensors[tensor as usize] = table.table(4, quantization);
        tensor
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> i32 {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, shape, FLOAT32, &bytes)
    }

    fn integers(&mut self, name: &str, values: &[i32]) -> i32 {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, &[values.len()], INT32, &bytes)
    }

    /// A value of the network.
    fn value(&mut self, name: &str, shape: &[usize], form: &Form, value: usize) -> i32 {
        match &form.integers {
            None => self.computed(name, shape),
            Some(integers) => {
                let kind = if integers.is_unsigned { UINT8 } else { INT8 };
                let (scale, zero_point) = integers.values[value];
                self.quantized(name, shape, (kind, &[]), (&[scale], zero_point, 0))
            }
        }
    }

    /// A tensor that an operator computes.
    fn computed(&mut self, name: &str, shape: &[usize]) -> i32 {
        self.tensor(name, shape, FLOAT32, &[])
    }

    fn operator(&mut self, code: i32, inputs: &[i32], outputs: &[i32], options: Option<Table>) {
        let known = self.codes.iter().position(|known| *known == code);
        let index = known.unwrap_or_else(|| {
            self.codes.push(code);
            self.codes.len() - 1
        });
        let mut table = Table::new()
            .i32(0, index as i32)
            .i32s(1, inputs)
            .i32s(2, outputs);
        if let Some(options) = options {
            // The value of BuiltinOptions for the operator's options.
            let kind = match code {
                CONV_2D => 1,
                DEPTHWISE_CONV_2D => 2,
                CONCATENATION => 10,
                ADD => 11,
                MUL => 21,
                MEAN => 27,
                _ => 0,
            };
            table = table.i8(3, kind).table(4, options);
        }
        self.operators.push(table);
    }

    fn finish(self, inputs: &[i32], outputs: &[i32]) -> Vec<u8> {
        let codes = self.codes.iter().map(|&code| {
            let table = Table::new().i8(0, code.min(127) as i8).i32(3, code);
            match code {
                CUSTOM => table.text(1, "TFLite_Detection_PostProcess"),
                _ => table,
            }
        });
        let graph = Table::new()
            .tables(0, self.tensors)
            .i32s(1, inputs)
            .i32s(2, outputs)
            .tables(3, self.operators);
        Table::new()
            .i32(0, 3)
            .tables(1, codes.collect())
            .tables(2, vec![graph])
            .tables(4, self.buffers)
            .file(b"TFL3")
    }
}

/// The bytes of a file.
pub(crate) fn write(ssd: &Ssd, form: &Form) -> Vec<u8> {
    let mut file = File::default();
    file.buffers.push(Table::new());
    let (channels, sides) = (ssd.channels(), ssd.sides());
    let shape = |value: usize| [1, sides[value], sides[value], channels[value]];
    let image = file.value("image", &[1, SIDE, SIDE, 3], form, 0);
    let mut values = vec![image];
    for (number, layer) in ssd.layers.iter().enumerate() {
        let name = format!("layer{number}");
        let out = shape(number + 1);
        let value = match layer {
            Layer::Conv(input, conv) => {
                let input = (*input, values[*input]);
                write_conv(&mut file, conv, input, number, out, form)
            }
            Layer::Add(a, b) | Layer::Gate(a, b) => {
                let code = if matches!(layer, Layer::Add(..)) {
                    ADD
                } else {
                    MUL
                };
                let output = file.value(&name, &out, form, number + 1);
                file.operator(
                    code,
                    &[values[*a], values[*b]],
                    &[output],
                    Some(Table::new()),
                );
                output
            }
            Layer::HardSwish(input) => {
                let output = file.computed(&name, &out);
                file.operator(HARD_SWISH, &[values[*input]], &[output], None);
                output
            }
            Layer::HardSigmoid(input) => {
                // relu6(x + 3) / 6
                let three = file.floats("three", &[], &[3.0]);
                let sixth = file.floats("sixth", &[], &[1.0 / 6.0]);
                let sum = file.computed(&format!("{name}/sum"), &out);
                let relu6 = Table::new().i8(0, 3);
                file.operator(ADD, &[values[*input], three], &[sum], Some(relu6));
                let output = file.computed(&name, &out);
                file.operator(MUL, &[sum, sixth], &[output], Some(Table::new()));
                output
            }
            Layer::Mean(input) => {
                let axes = file.integers("axes", &[1, 2]);
                let output = file.computed(&name, &out);
                let keeps_sides = Table::new().i8(0, 1);
                file.operator(MEAN, &[values[*input], axes], &[output], Some(keeps_sides));
                output
            }
        };
        values.push(value);
        if let Some(code) = form.unknown.filter(|_| number == 0) {
            let output = file.computed("unknown", &out);
            file.operator(code, &[value], &[output], None);
            values[number + 1] = output;
        }
    }
    let outputs = write_heads(&mut file, ssd, form, &values);
    file.finish(&[image], &outputs)
}

/// Values of a kernel in TFLite's order, and its sides.
fn in_order<T: Copy>(conv: &Conv, values: &[T]) -> (Vec<T>, [usize; 4]) {
    let (inner, kernel) = (if conv.is_depthwise { 1 } else { conv.inputs }, conv.kernel);
    let value = |out: usize, channel: usize, pixel: usize| {
        values[(out * inner + channel) * kernel * kernel + pixel]
    };
    let mut ordered = Vec::new();
    if conv.is_depthwise {
        for pixel in 0..kernel * kernel {
            ordered.extend((0..conv.out()).map(|out| value(out, 0, pixel)));
        }
        return (ordered, [1, kernel, kernel, conv.out()]);
    }
    for out in 0..conv.out() {
        for pixel in 0..kernel * kernel {
            ordered.extend((0..inner).map(|channel| value(out, channel, pixel)));
        }
    }
    (ordered, [conv.out(), kernel, kernel, inner])
}

/// The convolution of layer `number`, whose input is value `source` of the network and tensor `input` of the file.
fn write_conv(
    file: &mut File,
    conv: &Conv,
    (source, input): (usize, i32),
    number: usize,
    out: [usize; 4],
    form: &Form,
) -> i32 {
    let name = format!("layer{number}");
    let bias_name = format!("{name}/bias");
    let weights_name = format!("{name}/weights");
    let (weights, bias) = match &form.integers {
        None => {
            let (weights, shape) = in_order(conv, &conv.weights);
            (
                write_weights(file, &weights_name, &shape, &weights, form),
                write_weights(file, &bias_name, &[conv.out()], &conv.bias, form),
            )
        }
        Some(integers) => {
            let layer = integers.layers[number].as_ref().expect("a convolution");
            let (weights, shape) = in_order(conv, &layer.weights);
            let kind = if integers.is_unsigned { UINT8 } else { INT8 };
            let dimension = if conv.is_depthwise { 3 } else { 0 };
            let (input_scale, _) = integers.values[source];
            let bias_scales: Vec<f32> = layer.scales.iter().map(|s| s * input_scale).collect();
            let scales = (&layer.scales[..], layer.zero_point, dimension);
            (
                file.quantized(&weights_name, &shape, (kind, &weights), scales),
                file.quantized(
                    &bias_name,
                    &[conv.out()],
                    (INT32, &layer.bias),
                    (&bias_scales, 0, 0),
                ),
            )
        }
    };
    let output = file.value(&name, &out, form, number + 1);
    let activation = match conv.activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::Relu6 => 3,
    };
    let (code, field) = if conv.is_depthwise {
        (DEPTHWISE_CONV_2D, 4)
    } else {
        (CONV_2D, 3)
    };
    let options = Table::new()
        .i8(0, 0)
        .i32(1, conv.stride as i32)
        .i32(2, conv.stride as i32)
        .i8(field, activation);
    let options = match conv.is_depthwise {
        true => options.i32(3, 1),
        false => options,
    };
    file.operator(code, &[input, weights, bias], &[output], Some(options));
    output
}

fn write_weights(file: &mut File, name: &str, shape: &[usize], values: &[f32], form: &Form) -> i32 {
    if !form.is_half {
        return file.floats(name, shape, values);
    }
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|v| f16::from_f32(*v).to_le_bytes())
        .collect();
    let half = file.tensor(name, shape, FLOAT16, &bytes);
    let output = file.computed(&format!("{name}_dequantize"), shape);
    file.operator(DEQUANTIZE, &[half], &[output], None);
    output
}

fn write_heads(file: &mut File, ssd: &Ssd, form: &Form, values: &[i32]) -> Vec<i32> {
    let sides = ssd.sides();
    let mut join = |kind: &str, width: usize, value: &dyn Fn(&(usize, usize, usize)) -> usize| {
        let mut parts = Vec::new();
        for (number, head) in ssd.heads.iter().enumerate() {
            let rows = sides[head.0] * sides[head.0] * head.2;
            let new_shape = file.integers(&format!("{kind}{number}/shape"), &[1, -1, width as i32]);
            let shape = [1, rows, width];
            let part = file.value(&format!("{kind}{number}"), &shape, form, value(head));
            file.operator(RESHAPE, &[values[value(head)], new_shape], &[part], None);
            parts.push(part);
        }
        let first = value(&ssd.heads[0]);
        let joined = file.value(kind, &[1, ANCHORS, width], form, first);
        let options = Table::new().i32(0, 1);
        file.operator(CONCATENATION, &parts, &[joined], Some(options));
        joined
    };
    let mut boxes = join("boxes", 4, &|head| head.0);
    let mut scores = join("scores", ssd.columns, &|head| head.1);
    if form.integers.is_some() {
        for (name, tensor, width) in [
            ("float_boxes", &mut boxes, 4),
            ("float_scores", &mut scores, ssd.columns),
        ] {
            let output = file.computed(name, &[1, ANCHORS, width]);
            file.operator(DEQUANTIZE, &[*tensor], &[output], None);
            *tensor = output;
        }
    }
    if form.has_sigmoid {
        let output = file.computed("probabilities", &[1, ANCHORS, ssd.columns]);
        file.operator(LOGISTIC, &[scores], &[output], None);
        scores = output;
    }
    let Some(classes) = form.post_process else {
        return vec![boxes, scores];
    };
    let own = ssd
        .anchors
        .iter()
        .map(|&[x, y, width, height]| [y, x, height, width]);
    let anchors = form.anchors.clone().unwrap_or_else(|| own.collect());
    let anchors = file.floats("anchors", &[anchors.len(), 4], anchors.as_flattened());
    // What the post-processing leaves in the slots that it does not fill is never read.
    let sides: [&[usize]; 4] = [&[1, 10, 4], &[1, 10], &[1, 10], &[1]];
    let outputs: Vec<i32> = sides
        .iter()
        .map(|shape| file.computed("detections", shape))
        .collect();
    file.operator(CUSTOM, &[boxes, scores, anchors], &outputs, None);
    let [x, y, width, height] = ssd.scales;
    let options = flex_map(&[
        ("detections_per_class", FlexNumber::Int(100)),
        ("h_scale", FlexNumber::Float(height)),
        ("max_classes_per_detection", FlexNumber::Int(1)),
        ("max_detections", FlexNumber::Int(10)),
        ("nms_iou_threshold", FlexNumber::Float(0.45)),
        ("nms_score_threshold", FlexNumber::Float(1e-8)),
        ("num_classes", FlexNumber::Int(classes)),
        ("w_scale", FlexNumber::Float(width)),
        ("x_scale", FlexNumber::Float(x)),
        ("y_scale", FlexNumber::Float(y)),
    ]);
    let last = file.operators.pop().expect("the post-processing");
    file.operators.push(last.bytes(5, &options));
    outputs
}
