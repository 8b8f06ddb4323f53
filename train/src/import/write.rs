//! Writes a network with SSD heads as boxcam's model: outputs `object_scores` and `object_boxes`.

use std::collections::BTreeMap;

use boxcam::card::{InputSpec, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT};
use tract_onnx::pb;

use super::anchors::Anchor;
use super::decoding::{CodeOrder, Decoding, SCALES};
use super::graph::{Binary, Unary};
use super::image::Scaling;
use super::network::{LayerOp, Network, NetworkLayer};
use crate::layer::ConvWeights;
use crate::onnx::{BACKBONE_PREFIX, GraphBuilder, INPUT, OBJECT_PREFIX, RELU6_SUFFIX};

/// Folds the scaling of the image into the convolutions that read it, for an image scaled as `spec` says.
///
/// Pixels that a convolution's padding adds are 0 before and after: exact if 0 stands for the same channel value.
pub(super) fn fold_image(network: &mut Network, scaling: &Scaling, is_bgr: bool, spec: &InputSpec) {
    // v = u / scale + zero_point, so factor * v + offset = gain * u + shift.
    let gain = scaling.factor.map(|factor| factor / spec.scale);
    let shift: [f32; 3] = std::array::from_fn(|channel| {
        scaling.factor[channel].mul_add(spec.zero_point, scaling.offset[channel])
    });
    for layer in &mut network.layers {
        let LayerOp::Conv { weights: conv, .. } = &mut layer.op else {
            continue;
        };
        if layer.inputs != [0] {
            continue;
        }
        let pixels = conv.shape[2] * conv.shape[3];
        let kernels = conv.weights.chunks_exact_mut(3 * pixels);
        for (kernel, bias) in kernels.zip(&mut conv.bias) {
            let mut moved = 0.0;
            for (channel, weights) in kernel.chunks_exact_mut(pixels).enumerate() {
                // In double precision: thousands of weights are summed.
                moved +=
                    weights.iter().map(|&w| f64::from(w)).sum::<f64>() * f64::from(shift[channel]);
                weights
                    .iter_mut()
                    .for_each(|weight| *weight *= gain[channel]);
            }
            *bias = (f64::from(*bias) + moved) as f32;
            if is_bgr {
                let (first, rest) = kernel.split_at_mut(pixels);
                first.swap_with_slice(&mut rest[pixels..]);
            }
        }
    }
}

/// Cuts the score convolutions down to the kept columns, and brings the codes of the box convolutions into the order x, y,
/// width, height with TensorFlow's scales.
pub(super) fn arrange_heads(
    network: &mut Network,
    columns: usize,
    kept: &[usize],
    decoding: &Decoding,
) {
    let CodeOrder(order) = decoding.order;
    let codes: Vec<(usize, f32)> = (0..4)
        .map(|axis| (order[axis], SCALES[axis] / decoding.scales[axis]))
        .collect();
    let scores: Vec<(usize, f32)> = kept.iter().map(|&column| (column, 1.0)).collect();
    for map in network.maps.clone() {
        for (layer, width, rows) in [(map.boxes, 4, &codes), (map.scores, columns, &scores)] {
            let layer = &mut network.layers[layer];
            if let LayerOp::Conv { weights, .. } = &mut layer.op {
                select(weights, width, rows);
                layer.shape[0] = weights.shape[0];
                // A range that all rows fit in.
                let most = rows
                    .iter()
                    .fold(0.0f32, |most, (_, factor)| most.max(*factor));
                if let Some(scale) = &mut layer.scale {
                    scale.scale *= most;
                }
            }
        }
    }
}

/// Output channels of a convolution by anchor: of each anchor's `width` channels those of `rows`, in this order and with a
/// factor.
fn select(conv: &mut ConvWeights, width: usize, rows: &[(usize, f32)]) {
    let per_channel = conv.weights.len() / conv.shape[0];
    let anchors = conv.shape[0] / width;
    let mut weights = Vec::with_capacity(anchors * rows.len() * per_channel);
    let mut bias = Vec::with_capacity(anchors * rows.len());
    for anchor in 0..anchors {
        for &(row, factor) in rows {
            let channel = anchor * width + row;
            let kernel = &conv.weights[channel * per_channel..(channel + 1) * per_channel];
            weights.extend(kernel.iter().map(|weight| weight * factor));
            bias.push(conv.bias[channel] * factor);
        }
    }
    conv.shape[0] = anchors * rows.len();
    if conv.groups > 1 {
        conv.groups = conv.shape[0];
    }
    (conv.weights, conv.bias) = (weights, bias);
}

/// The model with its card, and the ranges of its activations as far as the network has scales for integers.
pub(super) fn model(
    network: &Network,
    anchors: &[Anchor],
    card: &ModelCard,
) -> (pb::ModelProto, BTreeMap<String, [f32; 2]>) {
    let mut graph = GraphBuilder::new(&card.name, &card.input);
    let mut outputs: Vec<String> = Vec::with_capacity(network.layers.len());
    let mut number = 0;
    for (index, layer) in network.layers.iter().enumerate() {
        let head = network.maps.iter().enumerate().find_map(|(map, heads)| {
            let kind = [(heads.scores, "scores"), (heads.boxes, "boxes")];
            let (_, kind) = kind.into_iter().find(|(layer, _)| *layer == index)?;
            Some(format!("{OBJECT_PREFIX}{kind}.{map}"))
        });
        let name = head.unwrap_or_else(|| format!("{BACKBONE_PREFIX}{number}"));
        if matches!(layer.op, LayerOp::Conv { .. }) && name.starts_with(BACKBONE_PREFIX) {
            number += 1;
        }
        let output = write_layer(&mut graph, layer, &name, index, &outputs);
        outputs.push(output);
    }
    let ranges = network.layers.iter().zip(&outputs);
    let ranges = ranges.filter_map(|(layer, name)| Some((name.clone(), layer.scale?.range())));
    let ranges = ranges.collect();
    let classes = card.labels.len();
    let logits = rows(&mut graph, network, &outputs, "scores", classes, |map| {
        map.scores
    });
    let scores = graph.sigmoid(&format!("{OBJECT_PREFIX}probabilities"), &logits);
    let codes = rows(&mut graph, network, &outputs, "boxes", 4, |map| map.boxes);
    let corners = corners(&mut graph, &codes, anchors);
    let count = anchors.len();
    let model = graph.finish_with(
        &[
            (OBJECT_SCORES_OUTPUT, &scores, vec![1, count, classes]),
            (OBJECT_BOXES_OUTPUT, &corners, vec![1, count, 4]),
        ],
        card,
    );
    (model, ranges)
}

fn write_layer(
    graph: &mut GraphBuilder,
    layer: &NetworkLayer,
    name: &str,
    index: usize,
    outputs: &[String],
) -> String {
    let input = |number: usize| outputs[layer.inputs[number]].as_str();
    // The layers between convolutions are numbered on their own.
    let own = |what: &str| format!("{what}.{index}");
    match &layer.op {
        LayerOp::Image => INPUT.to_owned(),
        LayerOp::Conv { weights, pads } => graph.conv_padded(name, input(0), weights, *pads),
        LayerOp::Unary(unary) => {
            let before = input(0);
            match unary {
                Unary::Relu6 => graph.relu6(&format!("{before}{RELU6_SUFFIX}"), before),
                Unary::Relu => graph.relu(&format!("{before}.relu"), before),
                Unary::Sigmoid => graph.sigmoid(&own("sigmoid"), before),
                _ => {
                    let gate = graph.hard_sigmoid(&own("hard_sigmoid"), before);
                    graph.binary("Mul", &own("hard_swish"), before, &gate)
                }
            }
        }
        LayerOp::Binary(binary) => {
            let name = own(&operator(*binary).to_lowercase());
            graph.binary(operator(*binary), &name, input(0), input(1))
        }
        LayerOp::Constant {
            binary,
            values,
            is_first,
        } => {
            let dims: &[usize] = if values.len() == 1 {
                &[]
            } else {
                &[1, values.len(), 1, 1]
            };
            let constant = graph.floats(&own("constant"), dims, values);
            let name = own(&operator(*binary).to_lowercase());
            match is_first {
                true => graph.binary(operator(*binary), &name, &constant, input(0)),
                false => graph.binary(operator(*binary), &name, input(0), &constant),
            }
        }
        LayerOp::Pool => graph.node_of("GlobalAveragePool", &own("pool"), &[input(0)]),
    }
}

/// The operator of ONNX.
fn operator(binary: Binary) -> &'static str {
    match binary {
        Binary::Add => "Add",
        Binary::Subtract => "Sub",
        Binary::Multiply => "Mul",
        Binary::Divide => "Div",
        Binary::Maximum => "Max",
        Binary::Minimum => "Min",
    }
}

/// The outputs of a head on all maps, one row an anchor: `[1, anchors, width]`.
fn rows(
    graph: &mut GraphBuilder,
    network: &Network,
    outputs: &[String],
    kind: &str,
    width: usize,
    layer: impl Fn(&super::network::MapLayers) -> usize,
) -> String {
    let parts: Vec<String> = network
        .maps
        .iter()
        .map(|map| {
            let conv = &outputs[layer(map)];
            let last = graph.transpose(&format!("{conv}.last"), conv, &[0, 2, 3, 1]);
            graph.reshape(&format!("{conv}.rows"), &last, &[1, -1, width as i64])
        })
        .collect();
    graph.concat(&format!("{OBJECT_PREFIX}{kind}"), &parts, 1)
}

/// The corners x_min, x_max, y_min, y_max of box codes x, y, width, height: `[1, anchors, 4]`.
fn corners(graph: &mut GraphBuilder, codes: &str, anchors: &[Anchor]) -> String {
    let name = |what: &str| format!("{OBJECT_PREFIX}{what}");
    let dims = [1, anchors.len(), 2];
    let column =
        |of: &dyn Fn(&Anchor) -> [f32; 2]| anchors.iter().flat_map(of).collect::<Vec<f32>>();
    let [along, down, wide, high] = SCALES;
    let sizes = column(&|a| [a.width / along, a.height / down]);
    let middles = column(&|a| [a.x, a.y]);
    let halves = column(&|a| [a.width / 2.0, a.height / 2.0]);
    debug_assert_eq!(wide, high, "one factor for both sizes");
    let sizes = graph.floats(&name("anchor_sizes"), &dims, &sizes);
    let middles = graph.floats(&name("anchor_centres"), &dims, &middles);
    let halves = graph.floats(&name("anchor_half_sizes"), &dims, &halves);
    let factor = graph.floats(&name("size_scale"), &[], &[1.0 / wide]);
    let offsets = graph.slice_axis(&name("centre_codes"), codes, 2, 0, 2);
    let offsets = graph.binary("Mul", &name("centre_offsets"), &offsets, &sizes);
    let centres = graph.binary("Add", &name("centres"), &offsets, &middles);
    let logs = graph.slice_axis(&name("size_codes"), codes, 2, 2, 4);
    let logs = graph.binary("Mul", &name("log_factors"), &logs, &factor);
    let factors = graph.node_of("Exp", &name("factors"), &[&logs]);
    let halves = graph.binary("Mul", &name("half_sizes"), &factors, &halves);
    let mins = graph.binary("Sub", &name("mins"), &centres, &halves);
    let maxs = graph.binary("Add", &name("maxs"), &centres, &halves);
    let mins = graph.unsqueeze(&name("mins.pairs"), &mins, 3);
    let maxs = graph.unsqueeze(&name("maxs.pairs"), &maxs, 3);
    let pairs = graph.concat(&name("pairs"), &[mins, maxs], 3);
    graph.reshape(&name("corners"), &pairs, &[1, anchors.len() as i64, 4])
}
