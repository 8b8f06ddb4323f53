//! Quantised models through the fused integer layers: the one that ships and made up ones, against tract's own float
//! operators and against each other.

#[path = "../common/tiny_model.rs"]
#[allow(dead_code)]
mod tiny_model;

mod allocations;
mod qdq;

use std::path::Path;

use boxcam::card::{InputSpec, ModelCard};
use boxcam::detect::int8::kernels::Kernels;
use boxcam::detect::tract::{EngineOptions, TractDetector};
use boxcam::detect::{Detector, Prediction};
use boxcam::frame::{Frame, Origin};
use boxcam::golden;
use boxcam::preprocess::{InputTensor, preprocess};
use image::{Rgb, RgbImage};
use prost::Message;
use qdq::{Builder, Bytes};
use tract_onnx::pb;
use tract_onnx::prelude::*;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Side of the made up models' input: odd maps and borders on all sides come of it.
const SIDE: u32 = 27;

fn shipped() -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/snacks.onnx");
    std::fs::read(file).expect("the model that ships")
}

/// Pictures with edges, slopes and noise, each another.
fn pictures(count: u64) -> impl Iterator<Item = Frame> {
    (0..count).map(|seed| {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (a, b) = (dice.u32(1..60), dice.u32(1..60));
        let image = RgbImage::from_fn(320, 240, |x, y| {
            let noise = dice.u32(0..40);
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
    let inputs = pictures(count).map(|frame| preprocess(&frame, card).expect("has pixels"));
    inputs.collect()
}

fn load(bytes: &[u8], options: EngineOptions) -> TractDetector {
    TractDetector::from_bytes_with("test", bytes, options).expect("loads")
}

fn answers(detector: &mut TractDetector, inputs: &[InputTensor]) -> Vec<Prediction> {
    let answers = inputs
        .iter()
        .map(|input| detector.predict(input).expect("runs"));
    answers.collect()
}

#[test]
fn all_kernels_and_any_number_of_threads_give_the_same_to_the_last_bit() {
    let bytes = shipped();
    let mut first = load(&bytes, EngineOptions::default());
    assert_eq!(first.kernels(), Some(Kernels::best().name));
    let inputs = inputs(first.card(), 2);
    let expected = answers(&mut first, &inputs);
    assert_ne!(
        expected[0], expected[1],
        "pictures differ, and so must what is said of them"
    );
    // The portable loops take minutes for this model on an emulated 32-bit processor, and are compared layer by layer
    // there in the tests of the kernels.
    let is_quick =
        |kernels: &&Kernels| cfg!(not(target_arch = "arm")) || kernels.name != "portable";
    let one_by_one = Kernels::all()
        .into_iter()
        .filter(is_quick)
        .map(|kernels| (kernels, 1));
    let shared = [2, 3, 4, 7].map(|threads| (Kernels::best(), threads));
    for (kernels, threads) in one_by_one.chain(shared) {
        let mut detector = load(&bytes, EngineOptions { threads, kernels });
        let found = answers(&mut detector, &inputs);
        assert_eq!(found, expected, "{} with {threads} threads", kernels.name);
    }
}

/// What the card promises was computed by another machine, maybe of another kind.
#[test]
fn the_shipped_model_computes_what_its_card_promises() {
    let mut detector = load(&shipped(), EngineOptions::default());
    let agreement = golden::check(&mut detector).expect("agrees");
    assert!(agreement.examples >= 4);
    // Whole numbers are the same; the exponentials behind the heads may differ in their last bit.
    assert!(agreement.difference < 1e-6, "{agreement:?}");
}

#[test]
fn the_shipped_model_allocates_nothing_once_it_runs() {
    let mut detector = load(&shipped(), EngineOptions::default());
    let inputs = inputs(detector.card(), 2);
    let _ = answers(&mut detector, &inputs);
    for input in &inputs {
        let (allocations, prediction) = allocations::during(|| detector.predict(input));
        assert!(prediction.is_ok());
        assert_eq!(allocations, 0);
    }
    let (counted, _) = allocations::during(|| vec![1u8; 100]);
    assert_eq!(counted, 1, "the count counts");
}

/// What tract's own operators make of a model.
fn in_floats(model: &pb::ModelProto, inputs: &[InputTensor]) -> Vec<[Vec<f32>; 2]> {
    let plan = onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(inputs[0].shape()).into()))
        .and_then(|model| model.into_optimized()?.into_runnable())
        .expect("tract runs it");
    let run = |input: &InputTensor| {
        let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).expect("a tensor");
        let outputs = plan.run(tvec!(tensor.into())).expect("runs");
        [0, 1].map(|output| {
            let floats = outputs[output]
                .to_plain_array_view::<f32>()
                .expect("floats");
            floats.iter().copied().collect()
        })
    };
    inputs.iter().map(run).collect()
}

/// Layers that the fused network has, one operator each; what else the plan has.
fn operators(detector: &mut TractDetector, input: &InputTensor) -> Vec<String> {
    let layers = detector.layer_times(input, 1).expect("runs");
    layers.into_iter().map(|layer| layer.operator).collect()
}

/// Holds a made up model against tract's own operators; its detector comes back.
fn agrees(mut model: pb::ModelProto, most: f32) -> TractDetector {
    let card = ModelCard {
        input: InputSpec::mobilenet(SIDE),
        ..tiny_model::card()
    };
    tiny_model::set_card(&mut model, &card);
    let inputs = inputs(&card, 4);
    let mut detector = load(&model.encode_to_vec(), EngineOptions::default());
    let expected = in_floats(&model, &inputs);
    for (found, [scores, corners]) in answers(&mut detector, &inputs).iter().zip(&expected) {
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
                (found - expected).abs() <= most,
                "{found_all:?}, expected {expected_all:?}"
            );
        }
    }
    let numbers = |[scores, corners]: &[Vec<f32>; 2]| [scores.as_slice(), corners].concat();
    let first = numbers(&expected[0]);
    let differ = expected.iter().flat_map(|other| {
        let pairs = first.iter().copied().zip(numbers(other));
        pairs.map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
    });
    let spread = differ.fold(0.0, f32::max);
    assert!(
        spread > most,
        "answers that are all alike would agree whatever is computed"
    );
    detector
}

/// A block of MobileNet v2: expand, depthwise, project, and the sum with what went in.
fn residual(builder: &mut Builder, name: &str, input: &str, channels: i64) -> String {
    let mut step = |part: &str, input: &str, channels: [i64; 2], kernel: i64, has_relu: bool| {
        let name = format!("{name}.{part}");
        let conv = builder.conv(&name, input, channels, [kernel, 1]);
        match has_relu {
            true => {
                let relu = builder.clip(&format!("{name}.relu6"), &conv, [0.0, 6.0]);
                // A range beyond 6, so that the cut is not done by rounding.
                builder.stored(&relu, 7.0 / 255.0, 0.0)
            }
            false => builder.stored(&conv, 0.05, -6.0),
        }
    };
    let wide = step("expand", input, [channels, channels * 3], 1, true);
    let deep = step("depthwise", &wide, [channels * 3, 0], 3, true);
    let narrow = step("project", &deep, [channels * 3, channels], 1, false);
    let sum = builder.node("Add", &[input, &narrow], &format!("{name}.sum"), vec![]);
    builder.stored(&sum, 0.06, -7.0)
}

/// The first convolution and two residual blocks.
fn made_up(bytes: Bytes, seed: u64) -> (Builder, String) {
    let mut builder = Builder::new(SIDE, bytes, seed);
    let image = builder.stored("image", 1.0 / 128.0, -1.0);
    let stem = builder.conv("stem", &image, [3, 24], [3, 2]);
    let stem = builder.clip("stem.relu6", &stem, [0.0, 6.0]);
    let mut map = builder.stored(&stem, 6.0 / 255.0, 0.0);
    for block in ["one", "two"] {
        map = residual(&mut builder, block, &map, 24);
    }
    (builder, map)
}

#[test]
fn residual_blocks_run_in_whole_numbers() {
    for (bytes, seed) in [(Bytes::Signed, 1), (Bytes::Unsigned, 2), (Bytes::Signed, 3)] {
        let (builder, map) = made_up(bytes, seed);
        let mut detector = agrees(builder.finish(&map, 24), 0.03);
        let input = &inputs(detector.card(), 1)[0];
        let operators = operators(&mut detector, input);
        for wanted in [
            "picture to int8",
            "convolution int8",
            "pointwise int8",
            "add int8",
            "mean int8",
        ] {
            assert!(
                operators.iter().any(|operator| operator == wanted),
                "{wanted}: {operators:?}"
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
            "nothing is left for tract"
        );
    }
}

#[test]
fn what_is_not_known_stays_with_tract_and_runs() {
    let (mut builder, map) = made_up(Bytes::Signed, 4);
    // Nobody has taught the fused layers this one; what follows it is fused again.
    let swish = builder.node("HardSwish", &[&map], "swish", vec![]);
    let stored = builder.stored(&swish, 0.03, -1.0);
    let after = builder.conv("after", &stored, [24, 40], [1, 1]);
    let after = builder.stored(&after, 0.05, -6.0);
    let mut detector = agrees(builder.finish(&after, 40), 0.03);
    let input = &inputs(detector.card(), 1)[0];
    let operators = operators(&mut detector, input);
    let fused = operators
        .iter()
        .filter(|operator| *operator == "Int8")
        .count();
    assert_eq!(
        fused, 2,
        "one before and one behind the unknown: {operators:?}"
    );
    assert!(
        !operators
            .iter()
            .any(|o| o.contains("Conv") || o.contains("MatMul")),
        "{operators:?}"
    );
}

#[test]
fn a_window_that_no_kernel_knows_goes_the_portable_way() {
    let mut builder = Builder::new(SIDE, Bytes::Signed, 5);
    let image = builder.stored("image", 1.0 / 128.0, -1.0);
    let stem = builder.conv("stem", &image, [3, 20], [5, 2]);
    let stem = builder.node("Relu", &[&stem], "stem.relu", vec![]);
    let stem = builder.stored(&stem, 6.0 / 255.0, 0.0);
    let wide = builder.conv("wide", &stem, [20, 0], [5, 1]);
    let wide = builder.stored(&wide, 0.05, -6.0);
    let both = builder.conv("both", &wide, [20, 20], [3, 1]);
    let both = builder.stored(&both, 0.05, -6.0);
    let mut detector = agrees(builder.finish(&both, 20), 0.03);
    let input = &inputs(detector.card(), 1)[0];
    assert!(
        operators(&mut detector, input)
            .iter()
            .any(|operator| operator == "depthwise int8")
    );
}
