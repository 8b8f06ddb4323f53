use std::path::Path;

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT, InputSpec};

use super::*;
use crate::layer::ConvWeights;
use crate::onnx;
use crate::onnx::GraphBuilder;

fn shipped() -> Summary {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/snacks.onnx");
    let model = onnx::read(&path).expect("ships with the repository");
    Summary::of("snacks", &model).expect("of our own making")
}

/// MobileNet v2 as table 2 of its paper has it: expansion, channels, repeats, stride.
const VERSION_2: [(u64, u64, u64, u64); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// That network on pictures of 288 x 288, with the heads after `heads.rs`, counted by hand.
fn by_hand() -> Totals {
    let mut sum = Totals::default();
    let mut layer = |weights: u64, biases: u64, places: u64| {
        sum.weights += weights;
        sum.biases += biases;
        sum.multiply_adds += weights * places;
    };
    let mut side: u64 = 144;
    layer(27 * 32, 32, side * side);
    let mut channels: u64 = 32;
    for (expansion, out, repeats, stride) in VERSION_2 {
        for repeat in 0..repeats {
            let wide = channels * expansion;
            if expansion > 1 {
                layer(channels * wide, wide, side * side);
            }
            side /= if repeat == 0 { stride } else { 1 };
            layer(9 * wide, wide, side * side);
            layer(wide * out, out, side * side);
            channels = out;
        }
    }
    let (last, fine) = (9 * 9, 18 * 18);
    layer(320 * 1280, 1280, last);
    layer(1280 * 20, 20, 1);
    layer(1280 * 128, 128, last);
    layer(576 * 128, 128, fine);
    for _ in 0..2 {
        layer(9 * 128, 128, fine);
        layer(128 * 128, 128, fine);
    }
    layer(9 * 128, 128, fine);
    layer(128 * 5, 5, fine);
    // Nine proposals: the sums of their cells' weights and of their four corners, what overlap each may expect, and
    // which cells make the best. Then, three times, the mean of the cells' four corners, and the sum of their weights.
    sum.multiply_adds += 9 * (1 + 4 + 1 + 1) * fine + 3 * (4 + 1) * fine;
    sum
}

#[test]
fn the_model_that_ships_has_the_sums_counted_by_hand() {
    let summary = shipped();
    assert_eq!(summary.totals(), by_hand());
    let giga = summary.totals().multiply_adds as f64 / 1e9;
    assert!((0.53..0.57).contains(&giga), "{giga}");
    assert_eq!(summary.input, [1, 3, 288, 288]);
    assert!(summary.is_int8);
    let names: Vec<&str> = summary
        .outputs
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, [CLASS_OUTPUT, BOX_OUTPUT]);
    for (name, last) in &summary.outputs {
        let expected = if name == CLASS_OUTPUT {
            [1, 20]
        } else {
            [1, 4]
        };
        assert_eq!(summary.layers[*last].shape, expected);
    }
}

#[test]
fn the_table_has_a_line_for_each_layer_and_the_sums() {
    let summary = shipped();
    let text = table(&summary);
    assert!(
        text.contains("multiply-adds: 0.544") && text.contains("this file holds int8"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 4 + summary.layers.len() + 3, "{text}");
}

fn convolution(shape: [usize; 4], stride: usize, groups: usize) -> ConvWeights {
    ConvWeights {
        shape,
        stride,
        groups,
        weights: vec![0.5; shape.iter().product()],
        bias: vec![0.0; shape[0]],
    }
}

fn graph() -> GraphBuilder {
    GraphBuilder::new("tiny", &InputSpec::mobilenet(8))
}

/// A model of that graph, whose one output is `last`.
fn model(graph: GraphBuilder, last: &str) -> pb::ModelProto {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/snacks.onnx");
    let shipped = onnx::read(&path).expect("ships with the repository");
    let card = onnx::card(&shipped).expect("has one");
    graph.finish(last, last, &card)
}

#[test]
fn a_residual_block_is_a_sum_and_shares_its_input() {
    let mut graph = graph();
    let stem = graph.conv_relu6("stem", onnx::INPUT, &convolution([4, 3, 3, 3], 2, 1));
    let wide = graph.conv_relu6("wide", &stem, &convolution([8, 4, 1, 1], 1, 1));
    let around = graph.conv_relu6("around", &wide, &convolution([8, 1, 3, 3], 1, 8));
    let narrow = graph.conv("narrow", &around, &convolution([4, 8, 1, 1], 1, 1));
    let sum = graph.binary("Add", "sum", &narrow, &stem);
    let summary = Summary::of("tiny", &model(graph, &sum)).expect("sound");
    let kinds: Vec<String> = summary
        .layers
        .iter()
        .map(|layer| layer.kind.to_string())
        .collect();
    let expected = [
        "conv 3×3 /2",
        "conv 1×1",
        "depthwise conv 3×3",
        "conv 1×1",
        "residual add",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(summary.layers[4].inputs, [0, 3]);
    assert_eq!(summary.layers[4].shape, [1, 4, 4, 4]);
    let weights = 4 * 27 + 32 + 72 + 32;
    assert_eq!(summary.totals().weights, weights);
    assert_eq!(summary.totals().multiply_adds, weights * 16);
}

/// MobileNet v2 1.0/224 without its classifier.
fn version_2() -> pb::ModelProto {
    let mut graph = GraphBuilder::new("version 2", &InputSpec::mobilenet(224));
    let mut x = graph.conv_relu6("stem", onnx::INPUT, &convolution([32, 3, 3, 3], 2, 1));
    let mut channels = 32;
    for (expansion, out, repeats, stride) in
        VERSION_2.map(|(a, b, c, d)| (a as usize, b as usize, c, d as usize))
    {
        for repeat in 0..repeats {
            let name = |part: &str| format!("{out}.{repeat}.{part}");
            let (before, wide) = (x.clone(), channels * expansion);
            if expansion > 1 {
                let expand = convolution([wide, channels, 1, 1], 1, 1);
                x = graph.conv_relu6(&name("expand"), &x, &expand);
            }
            let stride = if repeat == 0 { stride } else { 1 };
            let around = convolution([wide, 1, 3, 3], stride, wide);
            x = graph.conv_relu6(&name("around"), &x, &around);
            let project = convolution([out, wide, 1, 1], 1, 1);
            x = graph.conv(&name("project"), &x, &project);
            if repeat > 0 {
                x = graph.binary("Add", &name("sum"), &x, &before);
            }
            channels = out;
        }
    }
    let last = graph.conv_relu6("last", &x, &convolution([1280, 320, 1, 1], 1, 1));
    model(graph, &last)
}

#[test]
fn version_2_has_the_published_multiply_adds() {
    let summary = Summary::of("version 2", &version_2()).expect("sound");
    // 300 million in the paper, of which the classifier has 1280 x 1001.
    let millions = (summary.totals().multiply_adds + 1280 * 1001) as f64 / 1e6;
    assert!((299.5..302.5).contains(&millions), "{millions}");
}

#[test]
fn a_graph_without_inferable_shapes_is_refused() {
    let refused = |graph: GraphBuilder, last: &str| {
        let error = Summary::of("tiny", &model(graph, last)).expect_err("no shapes");
        let message = error.to_string();
        assert!(message.starts_with("model tiny: "), "{message}");
        message
    };
    let mut unknown = graph();
    let last = unknown.binary("NoSuchOperator", "odd", onnx::INPUT, onnx::INPUT);
    let message = refused(unknown, &last);
    assert!(message.contains("odd"), "{message}");

    let mut mismatch = graph();
    let last = mismatch.conv("wrong", onnx::INPUT, &convolution([4, 5, 1, 1], 1, 1));
    refused(mismatch, &last);

    let mut dangling = graph();
    let last = dangling.relu("late", "nowhere");
    refused(dangling, &last);

    let none = Summary::of("tiny", &pb::ModelProto::default());
    assert!(matches!(none, Err(SummaryError::NoGraph { .. })));
}
