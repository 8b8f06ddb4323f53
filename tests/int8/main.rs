//! Quantized models in fused integer layers: the shipped model and random ones, compared with tract's own float
//! operators and between kernels.

#[path = "../common/tiny_model.rs"]
#[allow(dead_code)]
mod tiny_model;

mod allocations;
mod model_builder;
mod ssd;

use std::path::Path;
use std::sync::Arc;

use boxcam::card::{InputSpec, ModelCard};
use boxcam::detect::int8::fuse::{FuseInt8, framework};
use boxcam::detect::int8::kernels::Kernels;
use boxcam::detect::tract::{EngineOptions, TractDetector};
use boxcam::detect::{Detector, Prediction};
use boxcam::frame::{Frame, Origin};
use boxcam::golden;
use boxcam::preprocess::{InputTensor, preprocess};
use image::{Rgb, RgbImage};
use model_builder::{ActivationType, ModelBuilder};
use prost::Message;
use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::optim::TypedPass as _;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Input size of the random models: an odd one gives maps of odd size with padding on all sides.
const SIDE: u32 = 27;

fn shipped() -> Vec<u8> {
    model_file("snacks.onnx")
}

fn model_file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::read(folder.join(name)).expect("a model that ships")
}

fn frames(count: u64) -> impl Iterator<Item = Frame> {
    (0..count).map(|seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (a, b) = (rng.u32(1..60), rng.u32(1..60));
        let image = RgbImage::from_fn(320, 240, |x, y| {
            let noise = rng.u32(0..40);
            let stripe = if (x / a + y / b) % 2 == 0 { 200 } else { 30 };
            Rgb([
                (stripe + noise) as u8,
                (x * 255 / 320) as u8,
                ((y + noise) % 256) as u8,
            ])
        });
        Frame::new(seed, Origin::Live, image)
    })
}

fn inputs(card: &ModelCard, count: u64) -> Vec<InputTensor> {
    let inputs = frames(count).map(|frame| preprocess(&frame, card).expect("has pixels"));
    inputs.collect()
}

fn load(bytes: &[u8], options: EngineOptions) -> TractDetector {
    TractDetector::from_bytes_with("test", bytes, options).expect("loads")
}

fn predictions(detector: &mut TractDetector, inputs: &[InputTensor]) -> Vec<Prediction> {
    let predictions = inputs
        .iter()
        .map(|input| detector.predict(input).expect("runs"));
    predictions.collect()
}

#[test]
fn all_kernels_and_thread_counts_give_the_same_bits() {
    // The same network for a ninth of the pixels: the larger one takes minutes on an emulated processor.
    let bytes = model_file("snacks-small.onnx");
    let mut first = load(&bytes, EngineOptions::default());
    assert_eq!(first.kernels(), Some(Kernels::best().name));
    let inputs = inputs(first.card(), 2);
    let expected = predictions(&mut first, &inputs);
    assert_ne!(
        expected[0], expected[1],
        "different images give different predictions"
    );
    let single_threaded = Kernels::all().into_iter().map(|kernels| (kernels, 1));
    let multithreaded = [2, 3, 4, 7].map(|threads| (Kernels::best(), threads));
    for (kernels, threads) in single_threaded.chain(multithreaded) {
        let mut detector = load(&bytes, EngineOptions { threads, kernels });
        let found = predictions(&mut detector, &inputs);
        assert_eq!(found, expected, "{} with {threads} threads", kernels.name);
    }
}

/// The golden examples of the card were computed on another machine, possibly on another architecture.
#[test]
fn the_shipped_model_reproduces_its_golden_examples() {
    let mut detector = load(&shipped(), EngineOptions::default());
    let agreement = golden::check(&mut detector).expect("agrees");
    assert!(agreement.examples >= 4);
    // The integers are equal; the exponentials after the heads may differ in the last bit.
    assert!(agreement.difference < 1e-6, "{agreement:?}");
}

#[test]
fn the_shipped_model_allocates_nothing_per_frame() {
    let mut detector = load(&shipped(), EngineOptions::default());
    let inputs = inputs(detector.card(), 2);
    let _ = predictions(&mut detector, &inputs);
    for input in &inputs {
        let (allocations, prediction) = allocations::during(|| detector.predict(input));
        assert!(prediction.is_ok());
        assert_eq!(allocations, 0);
    }
    let (count, _) = allocations::during(|| vec![1u8; 100]);
    assert_eq!(count, 1, "allocations are counted");
}

/// The outputs of tract's own operators.
fn tract_outputs(model: &pb::ModelProto, inputs: &[InputTensor]) -> Vec<Vec<Vec<f32>>> {
    let plan = onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(inputs[0].shape()).into()))
        .and_then(|model| model.into_optimized()?.into_runnable())
        .expect("tract can run it");
    plan_outputs(&plan, inputs)
}

/// The outputs of the integer layers, of which there must be nothing but one network.
fn int8_outputs(model: &pb::ModelProto, inputs: &[InputTensor]) -> Vec<Vec<Vec<f32>>> {
    let mut model = framework()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(inputs[0].shape()).into()))
        .and_then(InferenceModel::into_typed)
        .expect("tract can read it");
    let mut fuse = FuseInt8 {
        pixels: None,
        kernels: Kernels::best(),
        threads: 1,
    };
    assert!(fuse.run_direct(&mut model).expect("fused"));
    let operators: Vec<_> = model.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(operators, ["Source", "Int8"]);
    plan_outputs(&model.into_runnable().expect("runnable"), inputs)
}

fn plan_outputs(plan: &Arc<TypedRunnableModel>, inputs: &[InputTensor]) -> Vec<Vec<Vec<f32>>> {
    let run = |input: &InputTensor| {
        let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).expect("a tensor");
        let outputs = plan.run(tvec!(tensor.into())).expect("runs");
        let values = |output: &TValue| {
            let floats = output.to_plain_array_view::<f32>().expect("floats");
            floats.iter().copied().collect()
        };
        outputs.iter().map(values).collect()
    };
    inputs.iter().map(run).collect()
}

/// The operators of the layers that run.
fn operators(detector: &mut TractDetector, input: &InputTensor) -> Vec<String> {
    let layers = detector.layer_times(input, 1).expect("runs");
    layers.into_iter().map(|layer| layer.operator).collect()
}

/// Asserts that a model's predictions differ from those of tract's own operators by at most `tolerance`, and returns
/// its detector.
fn assert_agrees_with_tract(mut model: pb::ModelProto, tolerance: f32) -> TractDetector {
    let card = ModelCard {
        input: InputSpec::mobilenet(SIDE),
        ..tiny_model::card()
    };
    tiny_model::set_card(&mut model, &card);
    let inputs = inputs(&card, 4);
    let mut detector = load(&model.encode_to_vec(), EngineOptions::default());
    let expected = tract_outputs(&model, &inputs);
    for (found, outputs) in predictions(&mut detector, &inputs).iter().zip(&expected) {
        let [scores, corners] = outputs.as_slice() else {
            panic!("two outputs");
        };
        let boxed = Prediction::new(
            scores.clone(),
            [corners[0], corners[1], corners[2], corners[3]],
        );
        let boxed = boxed.expect("finite");
        let corners = |prediction: &Prediction| prediction.bounding_box().corners().to_vec();
        let found_all = [found.scores().to_vec(), corners(found)].concat();
        let expected_all = [boxed.scores().to_vec(), corners(&boxed)].concat();
        for (found, expected) in found_all.iter().zip(&expected_all) {
            assert!(
                (found - expected).abs() <= tolerance,
                "{found_all:?}, expected {expected_all:?}"
            );
        }
    }
    assert!(
        spread(&expected) > tolerance,
        "constant outputs would make the comparison meaningless"
    );
    detector
}

/// The greatest difference between the outputs for the first input and those for the others.
fn spread(outputs: &[Vec<Vec<f32>>]) -> f32 {
    let differ = outputs[1..]
        .iter()
        .map(|other| greatest_difference(&outputs[0], other));
    differ.fold(0.0, f32::max)
}

fn mean_difference(one: &[Vec<f32>], other: &[Vec<f32>]) -> f32 {
    let (one, other) = (one.concat(), other.concat());
    let pairs = one.iter().zip(&other);
    pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / one.len() as f32
}

fn greatest_difference(one: &[Vec<f32>], other: &[Vec<f32>]) -> f32 {
    let (one, other) = (one.concat(), other.concat());
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(&other);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A block of MobileNet v2: expand, depthwise, project, and the sum with the input.
fn residual(builder: &mut ModelBuilder, name: &str, input: &str, channels: i64) -> String {
    let mut step = |part: &str, input: &str, channels: [i64; 2], kernel: i64, has_relu: bool| {
        let name = format!("{name}.{part}");
        let conv = builder.conv(&name, input, channels, [kernel, 1]);
        match has_relu {
            true => {
                let relu = builder.clip(&format!("{name}.relu6"), &conv, [0.0, 6.0]);
                // A range beyond 6, so that the activation clamps and not the saturation of the bytes.
                builder.quantized(&relu, 7.0 / 255.0, 0.0)
            }
            false => builder.quantized(&conv, 0.05, -6.0),
        }
    };
    let wide = step("expand", input, [channels, channels * 3], 1, true);
    let deep = step("depthwise", &wide, [channels * 3, 0], 3, true);
    let narrow = step("project", &deep, [channels * 3, channels], 1, false);
    let sum = builder.node("Add", &[input, &narrow], &format!("{name}.sum"), vec![]);
    builder.quantized(&sum, 0.06, -7.0)
}

/// A convolution and two residual blocks.
fn residual_network(activations: ActivationType, seed: u64) -> (ModelBuilder, String) {
    let mut builder = ModelBuilder::new(SIDE, activations, seed);
    let image = builder.quantized("image", 1.0 / 128.0, -1.0);
    let stem = builder.conv("stem", &image, [3, 24], [3, 2]);
    let stem = builder.clip("stem.relu6", &stem, [0.0, 6.0]);
    let mut map = builder.quantized(&stem, 6.0 / 255.0, 0.0);
    for block in ["one", "two"] {
        map = residual(&mut builder, block, &map, 24);
    }
    (builder, map)
}

#[test]
fn residual_blocks_run_in_integer_arithmetic() {
    for (activations, seed) in [
        (ActivationType::Signed, 1),
        (ActivationType::Unsigned, 2),
        (ActivationType::Signed, 3),
    ] {
        let (builder, map) = residual_network(activations, seed);
        let mut detector = assert_agrees_with_tract(builder.finish(&map, 24), 0.03);
        let input = &inputs(detector.card(), 1)[0];
        let operators = operators(&mut detector, input);
        for expected in [
            "quantize input",
            "conv2d int8",
            "pointwise int8",
            "add int8",
            "mean int8",
        ] {
            assert!(
                operators.iter().any(|operator| operator == expected),
                "{expected}: {operators:?}"
            );
        }
        let is_fused = |operator: &String| operator == "depthwise int8 + pointwise int8";
        assert_eq!(
            operators.iter().filter(|o| is_fused(o)).count(),
            2,
            "{operators:?}"
        );
        assert!(
            !operators.iter().any(|operator| operator == "Int8"),
            "no layer is left to tract"
        );
    }
}

/// A network with a map of 14 x 14 and one of 7 x 7, with heads for objects and possibly for the image.
fn network_with_heads(has_image_heads: bool, seed: u64) -> pb::ModelProto {
    let (mut builder, fine) = residual_network(ActivationType::Signed, seed);
    let coarse = builder.conv("coarse", &fine, [24, 40], [3, 2]);
    let coarse = builder.clip("coarse.relu6", &coarse, [0.0, 6.0]);
    let coarse = builder.quantized(&coarse, 6.0 / 255.0, 0.0);
    if has_image_heads {
        builder.image_heads(&coarse, 40);
    }
    builder.object_heads((&fine, 24), (&coarse, 40), 14);
    let mut model = builder.model();
    let card = ModelCard {
        input: InputSpec::mobilenet(SIDE),
        objects: Some(tiny_model::OBJECTS),
        ..tiny_model::card()
    };
    tiny_model::set_card(&mut model, &card);
    model
}

#[test]
fn object_heads_run_in_integer_arithmetic() {
    for has_image_heads in [true, false] {
        let model = network_with_heads(has_image_heads, 6);
        let mut detector = load(&model.encode_to_vec(), EngineOptions::default());
        let inputs = inputs(detector.card(), 3);
        // The object outputs are the last two.
        let of_objects = |outputs: Vec<Vec<Vec<f32>>>| -> Vec<Vec<Vec<f32>>> {
            let last_two = |outputs: Vec<Vec<f32>>| outputs[outputs.len() - 2..].to_vec();
            outputs.into_iter().map(last_two).collect()
        };
        let expected = of_objects(tract_outputs(&model, &inputs));
        let found = of_objects(int8_outputs(&model, &inputs));
        // A value near the middle between two steps is rounded to either.
        let (greatest, mean) = (0.06, 0.006);
        for (found, expected) in found.iter().zip(&expected) {
            let difference = greatest_difference(found, expected);
            let mean_difference = mean_difference(found, expected);
            assert!(
                difference <= greatest,
                "{difference}, mean {mean_difference}"
            );
            assert!(mean_difference <= mean, "{mean_difference}");
        }
        let highest = expected[0][0].iter().copied().fold(0.0, f32::max);
        let lowest = expected[0][0].iter().copied().fold(1.0, f32::min);
        assert!(
            highest - lowest > 0.2,
            "{lowest} to {highest}: constant outputs"
        );
        let spread = spread(&expected);
        assert!(
            spread > mean * 5.0,
            "{spread}: the same outputs for all images"
        );
        let operators = operators(&mut detector, &inputs[0]);
        assert_eq!(operators[0], "quantize input", "all is in one network");
        for (prediction, outputs) in predictions(&mut detector, &inputs).iter().zip(&found) {
            assert_eq!(prediction.has_image_heads(), has_image_heads);
            let best = prediction.objects(0.0).and_then(<[_]>::first);
            let highest = outputs[0].iter().copied().fold(0.0, f32::max);
            assert_eq!(best.expect("an object").confidence, highest);
        }
    }
}

#[test]
fn a_model_with_four_outputs_allocates_nothing_per_frame() {
    let model = network_with_heads(true, 7);
    let mut detector = load(&model.encode_to_vec(), EngineOptions::default());
    let inputs = inputs(detector.card(), 3);
    let _ = predictions(&mut detector, &inputs);
    for input in &inputs {
        let (allocations, prediction) = allocations::during(|| detector.predict(input));
        let prediction = prediction.expect("runs");
        assert!(
            prediction
                .objects(0.0)
                .is_some_and(|objects| objects.len() > 1)
        );
        assert_eq!(allocations, 0);
    }
}

#[test]
fn an_unsupported_operator_runs_in_tract() {
    let (mut builder, map) = residual_network(ActivationType::Signed, 4);
    // An operator without an integer implementation; the layers after it are fused again.
    let swish = builder.node("HardSwish", &[&map], "swish", vec![]);
    let swish = builder.quantized(&swish, 0.03, -1.0);
    let after = builder.conv("after", &swish, [24, 40], [1, 1]);
    let after = builder.quantized(&after, 0.05, -6.0);
    let mut detector = assert_agrees_with_tract(builder.finish(&after, 40), 0.03);
    let input = &inputs(detector.card(), 1)[0];
    let operators = operators(&mut detector, input);
    let fused = operators
        .iter()
        .filter(|operator| *operator == "Int8")
        .count();
    assert_eq!(
        fused, 2,
        "one before and one after HardSwish: {operators:?}"
    );
    assert!(
        !operators
            .iter()
            .any(|o| o.contains("Conv") || o.contains("MatMul")),
        "{operators:?}"
    );
}

#[test]
fn a_5x5_kernel_runs_in_the_portable_kernels() {
    let mut builder = ModelBuilder::new(SIDE, ActivationType::Signed, 5);
    let image = builder.quantized("image", 1.0 / 128.0, -1.0);
    let stem = builder.conv("stem", &image, [3, 20], [5, 2]);
    let stem = builder.node("Relu", &[&stem], "stem.relu", vec![]);
    let stem = builder.quantized(&stem, 6.0 / 255.0, 0.0);
    let wide = builder.conv("wide", &stem, [20, 0], [5, 1]);
    let wide = builder.quantized(&wide, 0.05, -6.0);
    let both = builder.conv("both", &wide, [20, 20], [3, 1]);
    let both = builder.quantized(&both, 0.05, -6.0);
    let mut detector = assert_agrees_with_tract(builder.finish(&both, 20), 0.03);
    let input = &inputs(detector.card(), 1)[0];
    assert!(
        operators(&mut detector, input)
            .iter()
            .any(|operator| operator == "depthwise int8")
    );
}
