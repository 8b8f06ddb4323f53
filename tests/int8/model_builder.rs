//! Builds quantized models in the form that exporters write (QDQ): a `QuantizeLinear` and a `DequantizeLinear` around
//! every operator. Weights are random bytes.

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT};
use fastrand::Rng;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use crate::tiny_model;

/// The type of quantized activations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ActivationType {
    Signed,
    Unsigned,
}

/// A feature map that an SSD's head reads.
pub(crate) struct SsdMap<'a> {
    pub(crate) name: &'a str,
    pub(crate) channels: i64,
    pub(crate) side: i64,
    pub(crate) anchors: i64,
}

pub(crate) struct ModelBuilder {
    pub(crate) graph: pb::GraphProto,
    rng: Rng,
    activations: ActivationType,
    /// Factor of the weights of the next convolutions.
    gain: f32,
    /// Scale of each dequantized value; a layer's bias is in units of its input's scale.
    scales: std::collections::BTreeMap<String, f32>,
}

impl ModelBuilder {
    /// A model with a square input and no operators.
    pub(crate) fn new(side: u32, activations: ActivationType, seed: u64) -> Self {
        let side = i64::from(side);
        Self {
            graph: pb::GraphProto {
                name: "test".to_owned(),
                input: vec![tiny_model::tensor("image", &[1, 3, side, side])],
                ..pb::GraphProto::default()
            },
            rng: Rng::with_seed(seed),
            activations,
            gain: 1.0,
            scales: std::collections::BTreeMap::new(),
        }
    }

    /// Adds an operator; its output has its name.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        name: &str,
        attribute: Vec<pb::AttributeProto>,
    ) -> String {
        self.graph.node.push(pb::NodeProto {
            name: name.to_owned(),
            op_type: operator.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![name.to_owned()],
            attribute,
            ..pb::NodeProto::default()
        });
        name.to_owned()
    }

    pub(crate) fn constant(&mut self, name: &str, kind: DataType, dims: &[i64], raw: Vec<u8>) {
        self.graph.initializer.push(pb::TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: kind as i32,
            raw_data: raw,
            ..pb::TensorProto::default()
        });
    }

    fn float(&mut self, name: &str, value: f32) {
        self.floats(name, &[], &[value]);
    }

    fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        let raw = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, DataType::Float, dims, raw.collect());
    }

    /// Quantizes a value to bytes, of which the smallest represents `least`, and returns the name of the dequantized
    /// value.
    pub(crate) fn quantized(&mut self, value: &str, scale: f32, least: f32) -> String {
        let offset = (-least / scale).round() as i32;
        let (kind, zero_point) = match self.activations {
            ActivationType::Signed => (DataType::Int8, offset - 128),
            ActivationType::Unsigned => (DataType::Uint8, offset),
        };
        let (scale_name, zero_name) = (format!("{value}.scale"), format!("{value}.zero"));
        self.float(&scale_name, scale);
        self.constant(&zero_name, kind, &[], vec![zero_point as u8]);
        let bytes = format!("{value}.bytes");
        self.node(
            "QuantizeLinear",
            &[value, &scale_name, &zero_name],
            &bytes,
            vec![],
        );
        let name = format!("{value}.real");
        self.node(
            "DequantizeLinear",
            &[&bytes, &scale_name, &zero_name],
            &name,
            vec![],
        );
        self.scales.insert(name.clone(), scale);
        name
    }

    /// Adds random int8 weights, `[out, ...]`, with a scale per output channel or one for all, and returns the name of
    /// the dequantized value and the scale of each channel.
    fn weights(
        &mut self,
        name: &str,
        dims: &[i64],
        is_per_channel: bool,
        gain: f32,
    ) -> (String, Vec<f32>) {
        let out = dims[0] as usize;
        let count: i64 = dims.iter().product();
        let bytes = (0..count).map(|_| self.rng.i8(-127..=127) as u8).collect();
        self.constant(&format!("{name}.bytes"), DataType::Int8, dims, bytes);
        let scale_count = if is_per_channel { out } else { 1 };
        let products = (count as usize / out) as f32;
        let scales: Vec<f32> = (0..scale_count)
            .map(|_| gain * (0.5 + self.rng.f32()) / (90.0 * products.sqrt()))
            .collect();
        let scale_dims: &[i64] = if is_per_channel { &[out as i64] } else { &[] };
        let raw = scales
            .iter()
            .flat_map(|scale| scale.to_le_bytes())
            .collect();
        self.constant(&format!("{name}.scales"), DataType::Float, scale_dims, raw);
        self.constant(
            &format!("{name}.zeros"),
            DataType::Int8,
            scale_dims,
            vec![0; scale_count],
        );
        let inputs = ["bytes", "scales", "zeros"].map(|part| format!("{name}.{part}"));
        let inputs = inputs.each_ref().map(String::as_str);
        let real = format!("{name}.real");
        self.node("DequantizeLinear", &inputs, &real, vec![int("axis", 0)]);
        (
            real,
            if is_per_channel {
                scales
            } else {
                vec![scales[0]; out]
            },
        )
    }

    fn bias(&mut self, name: &str, input: &str, scales: &[f32]) -> String {
        let steps: Vec<f32> = scales
            .iter()
            .map(|scale| scale * self.scales[input])
            .collect();
        let dims = [steps.len() as i64];
        let numbers = steps
            .iter()
            .map(|step| ((self.rng.f32() - 0.5) / step) as i32);
        let raw: Vec<u8> = numbers.flat_map(i32::to_le_bytes).collect();
        self.constant(&format!("{name}.numbers"), DataType::Int32, &dims, raw);
        let raw = steps.iter().flat_map(|step| step.to_le_bytes()).collect();
        self.constant(&format!("{name}.steps"), DataType::Float, &dims, raw);
        let inputs = [format!("{name}.numbers"), format!("{name}.steps")];
        let inputs = inputs.each_ref().map(String::as_str);
        let real = format!("{name}.real");
        self.node("DequantizeLinear", &inputs, &real, vec![int("axis", 0)])
    }

    /// Adds a convolution with `[in, out]` channels and a square kernel of `[size, stride]`; depthwise if `out` is 0.
    pub(crate) fn conv(
        &mut self,
        name: &str,
        input: &str,
        [inner, out]: [i64; 2],
        [kernel, stride]: [i64; 2],
    ) -> String {
        self.padded_conv(name, input, [inner, out], [kernel, stride], [kernel / 2; 4])
    }

    /// [`Self::conv`] with pads at the top, left, bottom and right.
    pub(crate) fn padded_conv(
        &mut self,
        name: &str,
        input: &str,
        [inner, out]: [i64; 2],
        [kernel, stride]: [i64; 2],
        pads: [i64; 4],
    ) -> String {
        let is_depthwise = out == 0;
        let out = if is_depthwise { inner } else { out };
        let dims = [out, if is_depthwise { 1 } else { inner }, kernel, kernel];
        let is_per_channel = self.activations == ActivationType::Signed;
        let weight = format!("{name}.weight");
        let (weights, scales) = self.weights(&weight, &dims, is_per_channel, self.gain);
        let bias = self.bias(&format!("{name}.bias"), input, &scales);
        let attributes = vec![
            ints("kernel_shape", &[kernel; 2]),
            ints("pads", &pads),
            ints("strides", &[stride; 2]),
            int("group", if is_depthwise { inner } else { 1 }),
        ];
        self.node("Conv", &[input, &weights, &bias], name, attributes)
    }

    pub(crate) fn clip(&mut self, name: &str, input: &str, [min, max]: [f32; 2]) -> String {
        self.float(&format!("{name}.min"), min);
        self.float(&format!("{name}.max"), max);
        let inputs = [
            input.to_owned(),
            format!("{name}.min"),
            format!("{name}.max"),
        ];
        self.node("Clip", &inputs.each_ref().map(String::as_str), name, vec![])
    }

    /// Adds the outputs of the image: the mean of a map with `channels` channels, and a fully connected layer for each.
    pub(crate) fn image_heads(&mut self, map: &str, channels: i64) {
        let mean = self.node("GlobalAveragePool", &[map], "mean", vec![]);
        let mean = self.quantized(&mean, 0.03, -1.0);
        let flat = self.node("Flatten", &[&mean], "flat", vec![int("axis", 1)]);
        let scale = self.scales[&mean];
        self.scales.insert(flat.clone(), scale);
        for (name, out) in [("logits", 3), (BOX_OUTPUT, 4)] {
            // Large weights, as means differ little between images.
            let weight = format!("{name}.weight");
            let (weights, scales) = self.weights(&weight, &[out, channels], true, 6.0);
            let bias = self.bias(&format!("{name}.bias"), &flat, &scales);
            self.node(
                "Gemm",
                &[&flat, &weights, &bias],
                name,
                vec![int("transB", 1)],
            );
        }
        self.node("Softmax", &["logits"], CLASS_OUTPUT, vec![int("axis", 1)]);
        self.graph.output.extend([
            tiny_model::tensor(CLASS_OUTPUT, &[1, 3]),
            tiny_model::tensor(BOX_OUTPUT, &[1, 4]),
        ]);
    }

    /// Adds the outputs of the objects, as an FCOS head computes them: the coarse map is upsampled and added to the fine one,
    /// then a tower, and a branch for the classes and one for the boxes. `fine` and `coarse` are a map and its channels; the
    /// fine one has `side` x `side` cells, the coarse one half as many along each side.
    pub(crate) fn object_heads(&mut self, fine: (&str, i64), coarse: (&str, i64), side: i64) {
        let hidden = 32;
        let cells = side * side;
        let coarse = self.conv_relu6("head.coarse", coarse.0, [coarse.1, hidden], 1);
        let coarse = self.upsampled("head.upsampled", &coarse);
        let fine = self.conv_relu6("head.fine", fine.0, [fine.1, hidden], 1);
        let sum = self.node("Add", &[&fine, &coarse], "head.sum", vec![]);
        let mut map = self.quantized(&sum, 12.0 / 255.0, 0.0);
        for block in ["one", "two"] {
            map = self.conv_relu6(&format!("head.{block}.depthwise"), &map, [hidden, 0], 3);
            map = self.conv_relu6(&format!("head.{block}.mix"), &map, [hidden, hidden], 1);
        }
        let class = self.conv_relu6("head.class", &map, [hidden, 0], 3);
        let distances = self.conv_relu6("head.box", &map, [hidden, 0], 3);
        // Large weights, so that the outputs differ between images.
        self.gain = 6.0;
        let logits = self.conv("head.logits", &class, [hidden, 3], [1, 1]);
        let logits = self.reshaped("head.logits.cells", &logits, &[1, 3, cells]);
        let scores = self.node("Sigmoid", &[&logits], "head.sigmoid", vec![]);
        self.transposed(OBJECT_SCORES_OUTPUT, &scores);
        let distances = self.conv("head.distances", &distances, [hidden, 4], [1, 1]);
        let corners = self.corners(&distances, side);
        self.transposed(OBJECT_BOXES_OUTPUT, &corners);
        self.graph.output.extend([
            tiny_model::tensor(OBJECT_SCORES_OUTPUT, &[1, cells, 3]),
            tiny_model::tensor(OBJECT_BOXES_OUTPUT, &[1, cells, 4]),
        ]);
    }

    /// From the output of a layer, `[1, 4, side, side]`, to the corners of the cells' boxes, `[1, 4, cells]`: distances from
    /// the centre of the cell, `softplus(x) / 4`, clipped to the image.
    fn corners(&mut self, distances: &str, side: i64) -> String {
        let cells = side * side;
        let distances = self.reshaped("head.distances.cells", distances, &[1, 4, cells]);
        let distances = self.node("Softplus", &[&distances], "head.softplus", vec![]);
        self.float("head.four", 4.0);
        let distances = self.node("Div", &[&distances, "head.four"], "head.quarter", vec![]);
        self.floats("head.signs", &[1, 4, 1], &[-1.0, 1.0, -1.0, 1.0]);
        let offsets = self.node("Mul", &[&distances, "head.signs"], "head.offsets", vec![]);
        let centre = |cell: i64| (cell as f32 + 0.5) / side as f32;
        let x = |cell: i64| centre(cell % side);
        let y = |cell: i64| centre(cell / side);
        let xs: Vec<f32> = (0..cells).map(x).collect();
        let ys: Vec<f32> = (0..cells).map(y).collect();
        let centres = [&*xs, &*xs, &*ys, &*ys].concat();
        self.floats("head.centres", &[1, 4, cells], &centres);
        let corners = self.node("Add", &[&offsets, "head.centres"], "head.sides", vec![]);
        self.clip("head.corners", &corners, [0.0, 1.0])
    }

    /// Adds the outputs of the objects as an SSD's head computes them, from feature maps with their channels, sides and
    /// anchors.
    pub(crate) fn ssd_head(&mut self, maps: &[SsdMap<'_>], classes: i64) {
        let rows: i64 = maps
            .iter()
            .map(|map| map.side * map.side * map.anchors)
            .sum();
        let gain = std::mem::replace(&mut self.gain, 6.0);
        let mut rows_of = |branch: &str, numbers: i64, (scale, least): (f32, f32)| {
            let of_map = |(number, map): (usize, &SsdMap<'_>)| {
                let name = format!("ssd.{branch}.{number}");
                let channels = [map.channels, map.anchors * numbers];
                self.gain = gain;
                let deep = format!("{name}.depthwise");
                let deep = self.conv_relu6(&deep, map.name, [map.channels, 0], 3);
                self.gain = 6.0;
                let conv = self.conv(&name, &deep, channels, [1, 1]);
                // Each map has its own scale and zero point.
                let scale = scale * (1.0 + number as f32 / 7.0);
                let real = self.quantized(&conv, scale, least);
                let last = format!("{name}.last");
                self.node(
                    "Transpose",
                    &[&real],
                    &last,
                    vec![ints("perm", &[0, 2, 3, 1])],
                );
                self.reshaped(&format!("{name}.rows"), &last, &[1, -1, numbers])
            };
            let all: Vec<String> = maps.iter().enumerate().map(of_map).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let joined = format!("ssd.{branch}");
            self.node("Concat", &all, &joined, vec![int("axis", 1)])
        };
        let logits = rows_of("logits", classes, (0.08, -14.0));
        let codes = rows_of("codes", 4, (0.05, -6.0));
        self.gain = gain;
        let scores = self.node("Sigmoid", &[&logits], "ssd.scores", vec![]);
        self.node("Identity", &[&scores], OBJECT_SCORES_OUTPUT, vec![]);
        self.ssd_boxes(&codes, rows);
        self.graph.output.extend([
            tiny_model::tensor(OBJECT_SCORES_OUTPUT, &[1, rows, classes]),
            tiny_model::tensor(OBJECT_BOXES_OUTPUT, &[1, rows, 4]),
        ]);
    }

    /// From box codes, `[1, rows, 4]`, to corners.
    fn ssd_boxes(&mut self, codes: &str, rows: i64) {
        for (name, axis) in [("zero", 0), ("two", 2), ("four", 4), ("three", 3)] {
            let name = format!("ssd.{name}");
            self.graph
                .initializer
                .push(tiny_model::shape(&name, &[axis]));
        }
        let mut halves = |name: &str, edges: [&str; 2]| {
            let inputs = [codes, edges[0], edges[1], "ssd.two"];
            self.node("Slice", &inputs, name, vec![])
        };
        let offsets = halves("ssd.offset_codes", ["ssd.zero", "ssd.two"]);
        let sizes = halves("ssd.size_codes", ["ssd.two", "ssd.four"]);
        let count = 2 * rows as usize;
        let mut random = |least: f32, range: f32| -> Vec<f32> {
            (0..count).map(|_| least + range * self.rng.f32()).collect()
        };
        let anchors = [
            ("ssd.tenths", random(0.01, 0.04)),
            ("ssd.middles", random(0.1, 0.8)),
            ("ssd.half_anchors", random(0.05, 0.3)),
        ];
        for (name, values) in anchors {
            self.floats(name, &[1, rows, 2], &values);
        }
        self.float("ssd.fifth", 0.2);
        let offsets = self.node("Mul", &[&offsets, "ssd.tenths"], "ssd.offsets", vec![]);
        let centres = self.node("Add", &[&offsets, "ssd.middles"], "ssd.centres", vec![]);
        let logs = self.node("Mul", &[&sizes, "ssd.fifth"], "ssd.logs", vec![]);
        let factors = self.node("Exp", &[&logs], "ssd.factors", vec![]);
        let halves = self.node("Mul", &[&factors, "ssd.half_anchors"], "ssd.halves", vec![]);
        let ends = ["Sub", "Add"].map(|operator| {
            let name = format!("ssd.{operator}");
            let ends = self.node(operator, &[&centres, &halves], &name, vec![]);
            let name = format!("ssd.{operator}.column");
            self.node("Unsqueeze", &[&ends, "ssd.three"], &name, vec![])
        });
        let pairs = self.node(
            "Concat",
            &[&ends[0], &ends[1]],
            "ssd.pairs",
            vec![int("axis", 3)],
        );
        let corners = self.reshaped("ssd.corners", &pairs, &[1, rows, 4]);
        self.node("Identity", &[&corners], OBJECT_BOXES_OUTPUT, vec![]);
    }

    /// A convolution with stride 1, relu6 and quantization.
    pub(crate) fn conv_relu6(
        &mut self,
        name: &str,
        input: &str,
        channels: [i64; 2],
        kernel: i64,
    ) -> String {
        let conv = self.conv(name, input, channels, [kernel, 1]);
        let relu = self.clip(&format!("{name}.relu6"), &conv, [0.0, 6.0]);
        self.quantized(&relu, 6.0 / 255.0, 0.0)
    }

    fn upsampled(&mut self, name: &str, input: &str) -> String {
        self.floats(&format!("{name}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            string("coordinate_transformation_mode", "asymmetric"),
            string("mode", "nearest"),
            string("nearest_mode", "floor"),
        ];
        let scales = format!("{name}.scales");
        let output = self.node("Resize", &[input, "", &scales], name, attributes);
        let scale = self.scales[input];
        self.scales.insert(output.clone(), scale);
        output
    }

    fn reshaped(&mut self, name: &str, input: &str, dims: &[i64]) -> String {
        let shape = format!("{name}.shape");
        self.graph.initializer.push(tiny_model::shape(&shape, dims));
        self.node("Reshape", &[input, &shape], name, vec![])
    }

    /// `[1, values, cells]` to `[1, cells, values]`.
    fn transposed(&mut self, name: &str, input: &str) {
        self.node("Transpose", &[input], name, vec![ints("perm", &[0, 2, 1])]);
    }

    /// The model, with the card of the tiny one.
    pub(crate) fn model(self) -> pb::ModelProto {
        let mut model = tiny_model::model();
        model.graph = Some(self.graph);
        model
    }

    /// The model with the outputs of the image.
    pub(crate) fn finish(mut self, map: &str, channels: i64) -> pb::ModelProto {
        self.image_heads(map, channels);
        self.model()
    }
}

fn string(name: &str, value: &str) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..pb::AttributeProto::default()
    }
}

fn int(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..pb::AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}
