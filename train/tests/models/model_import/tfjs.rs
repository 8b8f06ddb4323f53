//! Writes an [`Ssd`] as a `model.json` with one shard, with the image's scaling and the decoding of boxes in the graph.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::network::{ANCHORS, Activation, Conv, Layer, SIDE, Ssd};

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// The first column of the scores is left out.
    pub(crate) drops_background: bool,
    /// The boxes are decoded in the graph.
    pub(crate) decodes: bool,
    /// Batch norms instead of biases: where 0 and 1, as an operator of their own or as product and sum.
    pub(crate) norms: bool,
}

#[derive(Default)]
struct File {
    nodes: Vec<Value>,
    manifest: Vec<Value>,
    bytes: Vec<u8>,
}

impl File {
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: &Value) -> String {
        let node = json!({ "op": op, "name": name, "input": inputs, "attr": attributes });
        self.nodes.push(node);
        name.to_owned()
    }

    fn plain(&mut self, op: &str, name: &str, inputs: &[&str]) -> String {
        self.node(op, name, inputs, &json!({}))
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.manifest
            .push(json!({ "name": name, "shape": shape, "dtype": "float32" }));
        self.bytes
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.plain("Const", name, &[])
    }

    fn integers(&mut self, name: &str, shape: &[usize], values: &[i32]) -> String {
        self.manifest
            .push(json!({ "name": name, "shape": shape, "dtype": "int32" }));
        self.bytes
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.plain("Const", name, &[])
    }

    fn scalar(&mut self, name: &str, value: f32) -> String {
        self.floats(name, &[], &[value])
    }
}

/// Writes `model.json` and its shard to a folder.
pub(crate) fn write(folder: &Path, ssd: &Ssd, form: Form) -> PathBuf {
    let mut file = File::default();
    let mut values = vec![image(&mut file, ssd)];
    for (number, layer) in ssd.layers.iter().enumerate() {
        let name = format!("layer{number}");
        let value = match layer {
            Layer::Conv(input, conv) => convolution(&mut file, conv, &values[*input], &name, form),
            Layer::Add(a, b) => file.plain("AddV2", &name, &[&values[*a], &values[*b]]),
            other => panic!("{other:?} is not written"),
        };
        values.push(value);
    }
    let axis = file.integers("axis", &[], &[1]);
    let mut join = |kind: &str, width: i32, value: &dyn Fn(&(usize, usize, usize)) -> usize| {
        let mut parts = Vec::new();
        for (number, head) in ssd.heads.iter().enumerate() {
            // As TensorFlow writes it: the batch size of a map, packed with constants.
            let part = format!("{kind}{number}");
            let map = &values[value(head)];
            let shape = file.plain("Shape", &format!("{part}/sides"), &[map]);
            let zero = file.integers(&format!("{part}/0"), &[1], &[0]);
            let one = file.integers(&format!("{part}/1"), &[1], &[1]);
            let mask = json!({ "shrink_axis_mask": { "i": "1" } });
            let batch = file.node(
                "StridedSlice",
                &format!("{part}/batch"),
                &[&shape, &zero, &one, &one],
                &mask,
            );
            let open = file.integers(&format!("{part}/open"), &[], &[-1]);
            let width = file.integers(&format!("{part}/width"), &[], &[width]);
            let pack = json!({ "axis": { "i": "0" }, "N": { "i": "3" } });
            let shape = file.node(
                "Pack",
                &format!("{part}/shape"),
                &[&batch, &open, &width],
                &pack,
            );
            parts.push(file.plain("Reshape", &part, &[map, &shape]));
        }
        parts.push(axis.clone());
        let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        file.plain("ConcatV2", kind, &inputs)
    };
    let boxes = join("boxes", 4, &|head| head.0);
    let scores = join("scores", ssd.columns as i32, &|head| head.1);
    let scores = file.plain("Sigmoid", "probabilities", &[&scores]);
    if form.drops_background {
        let begin = file.integers("begin", &[3], &[0, 0, 1]);
        let size = file.integers("size", &[3], &[-1, -1, -1]);
        file.plain("Slice", "classes", &[&scores, &begin, &size]);
    }
    if form.decodes {
        decoding(&mut file, ssd, &boxes);
    }
    let model = json!({
        "modelTopology": { "node": file.nodes },
        "weightsManifest": [{ "paths": ["shard1"], "weights": file.manifest }],
    });
    std::fs::write(folder.join("shard1"), &file.bytes).expect("written");
    let path = folder.join("model.json");
    std::fs::write(&path, model.to_string()).expect("written");
    path
}

/// The image: bytes of any size, resized, then scaled by a product and a difference.
fn image(file: &mut File, ssd: &Ssd) -> String {
    let sides = json!({ "shape": { "shape": { "dim": [{ "size": "-1" }, { "size": "-1" }, { "size": "-1" }, { "size": "3" }] } } });
    let image = file.node("Placeholder", "image_tensor", &[], &sides);
    let floats = file.plain("Cast", "floats", &[&image]);
    let size = file.integers("size_of_input", &[2], &[SIDE as i32; 2]);
    let resized = file.plain("ResizeBilinear", "resized", &[&floats, &size]);
    let (factor, offset) = ssd.scaling;
    let factor = file.scalar("factor", factor[0]);
    let minus = file.floats("minus", &[3], &offset.map(|offset| -offset));
    let scaled = file.plain("Mul", "scaled", &[&factor, &resized]);
    file.plain("Sub", "shifted", &[&scaled, &minus])
}

fn convolution(file: &mut File, conv: &Conv, input: &str, name: &str, form: Form) -> String {
    let (inner, kernel) = (if conv.is_depthwise { 1 } else { conv.inputs }, conv.kernel);
    let out = conv.out();
    // A norm whose factor is 2: the kernel has half of the weights.
    let share = if form.norms { 0.5 } else { 1.0 };
    let mut weights = Vec::new();
    for pixel in 0..kernel * kernel {
        for channel in 0..inner {
            let at = |out: usize| conv.weights[(out * inner + channel) * kernel * kernel + pixel];
            weights.extend((0..out).map(|out| at(out) * share));
        }
    }
    let shape = if conv.is_depthwise {
        [kernel, kernel, out, 1]
    } else {
        [kernel, kernel, inner, out]
    };
    let weights = file.floats(&format!("{name}/weights"), &shape, &weights);
    let stride = conv.stride.to_string();
    let attributes = json!({
        "strides": { "list": { "i": ["1", stride, stride, "1"] } },
        "padding": { "s": "U0FNRQ==" },
        "data_format": { "s": "TkhXQw==" },
    });
    let op = if conv.is_depthwise {
        "DepthwiseConv2dNative"
    } else {
        "Conv2D"
    };
    let mut last = file.node(op, &format!("{name}/conv"), &[input, &weights], &attributes);
    let bias = file.floats(&format!("{name}/bias"), &[out], &conv.bias);
    last = match (form.norms, conv.is_depthwise) {
        (false, _) => file.plain("BiasAdd", &format!("{name}/sum"), &[&last, &bias]),
        (true, false) => {
            let factor = file.scalar(&format!("{name}/factor"), 2.0);
            last = file.plain("Mul", &format!("{name}/product"), &[&last, &factor]);
            file.plain("Add", &format!("{name}/sum"), &[&bias, &last])
        }
        (true, true) => {
            // (x - mean) * gamma / sqrt(variance + 0.25) + beta, which is 2 x + bias.
            let gamma = file.floats(&format!("{name}/gamma"), &[out], &vec![3.0; out]);
            let mean = file.floats(&format!("{name}/mean"), &[out], &vec![0.5; out]);
            let variance = file.floats(&format!("{name}/variance"), &[out], &vec![2.0; out]);
            let beta: Vec<f32> = conv.bias.iter().map(|bias| bias + 1.0).collect();
            let beta = file.floats(&format!("{name}/beta"), &[out], &beta);
            let epsilon = json!({ "epsilon": { "f": 0.25 } });
            let inputs = [&last, &gamma, &beta, &mean, &variance].map(String::as_str);
            file.node(
                "FusedBatchNormV3",
                &format!("{name}/norm"),
                &inputs,
                &epsilon,
            )
        }
    };
    match conv.activation {
        Activation::None => last,
        Activation::Relu => file.plain("Relu", name, &[&last]),
        Activation::Relu6 => file.plain("Relu6", name, &[&last]),
    }
}

/// Boxes of codes by anchors that are corners; y comes first in both.
fn decoding(file: &mut File, ssd: &Ssd, boxes: &str) {
    let corners = ssd.anchors.iter().flat_map(|&[x, y, width, height]| {
        [
            y - height / 2.0,
            x - width / 2.0,
            y + height / 2.0,
            x + width / 2.0,
        ]
    });
    let corners: Vec<f32> = corners.collect();
    let anchors = file.floats("anchors", &[ANCHORS, 4], &corners);
    let rows = file.integers("rows", &[2], &[-1, 4]);
    let order = file.integers("order", &[2], &[1, 0]);
    let half = file.scalar("half", 0.5);
    let codes = file.plain("Reshape", "codes", &[boxes, &rows]);
    let columns = json!({ "axis": { "i": "0" }, "num": { "i": "4" } });
    let mut unpacked = |name: &str, of: &str| {
        let turned = file.plain("Transpose", &format!("{name}/turned"), &[of, &order]);
        file.node("Unpack", name, &[&turned], &columns)
    };
    let (codes, anchors) = (unpacked("unpacked", &codes), unpacked("anchor", &anchors));
    let mut ends = Vec::new();
    // x, then y.
    for (axis, [min, max]) in [[1, 3], [0, 2]].into_iter().enumerate() {
        let name = |what: &str| format!("axis{axis}/{what}");
        let at = |of: &str, column: usize| format!("{of}:{column}");
        let min = at(&anchors, min);
        let side = file.plain("Sub", &name("side"), &[&at(&anchors, max), &min]);
        let half_side = file.plain("Mul", &name("half_side"), &[&side, &half]);
        let middle = file.plain("Add", &name("middle"), &[&min, &half_side]);
        let scale = file.scalar(&name("scale"), ssd.scales[axis]);
        let code = at(&codes, ssd.order[axis]);
        let shift = file.plain("RealDiv", &name("shift"), &[&code, &scale]);
        let shift = file.plain("Mul", &name("moved"), &[&shift, &side]);
        let centre = file.plain("Add", &name("centre"), &[&shift, &middle]);
        let scale = file.scalar(&name("size_scale"), 1.0 / ssd.scales[2 + axis]);
        let size = file.plain(
            "Mul",
            &name("log"),
            &[&at(&codes, ssd.order[2 + axis]), &scale],
        );
        let size = file.plain("Exp", &name("factor"), &[&size]);
        let size = file.plain("Mul", &name("size"), &[&size, &half_side]);
        ends.push([
            file.plain("Sub", &name("min"), &[&centre, &size]),
            file.plain("Add", &name("max"), &[&centre, &size]),
        ]);
    }
    let [x, y] = [&ends[0], &ends[1]];
    let inputs = [&y[0], &x[0], &y[1], &x[1]].map(String::as_str);
    let axis = json!({ "axis": { "i": "0" } });
    let packed = file.node("Pack", "packed", &inputs, &axis);
    file.plain("Transpose", "decoded", &[&packed, &order]);
}
