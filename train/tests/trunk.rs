//! Trunks with residual blocks: from file to file and from float to int8 they stay what they are, and as int8 they
//! run in whole numbers from the picture to the answer.

use std::path::{Path, PathBuf};

use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, Training};
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::label::Labels;
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam::scene::random_scene;
use boxcam_train::golden::add_golden;
use boxcam_train::heads::{BoxHead, ClassHead, FineBox};
use boxcam_train::layer::{ConvWeights, Layer};
use boxcam_train::model::Model;
use boxcam_train::network::fine_layer;
use boxcam_train::onnx::{GraphBuilder, INPUT};
use boxcam_train::quantise::WeightScales;
use boxcam_train::quantise::calibrate::{Calibration, Observations};
use boxcam_train::quantise::choose::{Pictures, Wanted, choose};
use boxcam_train::quantise::errors::stored_errors;
use boxcam_train::recipe::{BoxHeadKind, Recipe};
use boxcam_train::weights::{self, TrunkWeights, WeightsError};
use boxcam_train::{onnx, quantise};
use burn::prelude::Device;
use fastrand::Rng;
use prost::Message;
use tract_onnx::pb;
use tract_onnx::prelude::*;

fn card(side: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: "made up".to_owned(),
        labels: Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("sound"),
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.5,
        training: Training {
            credits: "nobody".to_owned(),
            ..Training::default()
        },
        figures: [("mean_iou".to_owned(), 0.5)].into(),
        golden: Vec::new(),
    }
}

/// A convolution of random weights that keeps the size of the numbers.
fn conv(random: &mut Rng, [inner, out]: [usize; 2], kernel: usize, stride: usize) -> ConvWeights {
    let groups = if inner == 0 { out } else { 1 };
    let shape = [out, inner.max(1), kernel, kernel];
    let inputs = inner.max(1) * kernel * kernel;
    let gain = 3.0 / (inputs as f32).sqrt();
    let count = out * inputs;
    ConvWeights {
        shape,
        weights: (0..count).map(|_| (random.f32() - 0.5) * gain).collect(),
        bias: (0..out).map(|_| random.f32() - 0.3).collect(),
        stride,
        groups,
    }
}

/// A stem, then blocks of expansion, depthwise and linear projection, two of them residual, the last one halving.
fn made_up(side: usize) -> TrunkWeights {
    let random = &mut Rng::with_seed(7);
    let mut layers = Vec::new();
    let mut push = |conv, relu6, add| layers.push(Layer { conv, relu6, add });
    push(conv(random, [3, 16], 3, 2), true, None);
    push(conv(random, [0, 16], 3, 1), true, None);
    push(conv(random, [16, 8], 1, 1), false, None);
    for end in [2, 5] {
        push(conv(random, [8, 40], 1, 1), true, None);
        push(conv(random, [0, 40], 3, 1), true, None);
        push(conv(random, [40, 8], 1, 1), false, Some(end));
    }
    push(conv(random, [8, 40], 1, 1), true, None);
    push(conv(random, [0, 40], 3, 2), true, None);
    push(conv(random, [40, 12], 1, 1), false, None);
    push(conv(random, [12, 48], 1, 1), true, None);
    TrunkWeights {
        side,
        layers,
        heads: None,
    }
}

/// A whole float model on a trunk, with heads that have learnt nothing; the box head is that of two maps.
fn model(trunk: &TrunkWeights) -> pb::ModelProto {
    let card = card(trunk.side as u32);
    let device = Device::flex();
    device.seed(1);
    let channels = trunk.layers.last().expect("has layers").conv.shape[0];
    let stride: usize = trunk.layers.iter().map(|layer| layer.conv.stride).product();
    let mut graph = GraphBuilder::new(&card.name, &card.input);
    let maps = graph.trunk(INPUT, &trunk.layers);
    let fine = fine_layer(&trunk.layers).expect("it halves");
    let map = maps.last().expect("has layers");
    let class = ClassHead::new(channels, card.labels.len(), 0.0, &device);
    let scores = class.export(&mut graph, map);
    let side = trunk.side / stride;
    let fine_channels = trunk.layers[fine].conv.shape[0];
    let bounding_box = BoxHead::Fine(FineBox::new(channels, fine_channels, 32, &device));
    let corners = bounding_box.export(&mut graph, [&maps[fine], map], side);
    graph.finish(&scores, &corners, &card)
}

fn inputs(card: &ModelCard, count: u64) -> Vec<InputTensor> {
    let scenes = (1..=count).map(|seed| random_scene(seed, 320, 240).image);
    let frames = scenes.map(|image| Frame::new(0, Origin::Live, image));
    frames
        .map(|frame| preprocess(&frame, card).expect("has pixels"))
        .collect()
}

fn int8(float: &pb::ModelProto, inputs: &[InputTensor]) -> pb::ModelProto {
    let observations = Observations::of(float, inputs).expect("runs");
    let ranges = observations.ranges(Calibration::LeastError);
    quantise::quantise(float, &ranges, WeightScales::Greatest).expect("can be quantised")
}

fn written(model: &pb::ModelProto) -> TrunkWeights {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.onnx");
    onnx::write(&file, model).expect("written");
    weights::read(&file).expect("read back")
}

fn flags(trunk: &TrunkWeights) -> Vec<(bool, Option<usize>, usize, usize)> {
    let layers = trunk.layers.iter();
    let flags = layers.map(|layer| (layer.relu6, layer.add, layer.conv.stride, layer.conv.groups));
    flags.collect()
}

/// Greatest difference between two trunks' weights, as a share of their channel's greatest.
fn difference(a: &TrunkWeights, b: &TrunkWeights) -> f32 {
    let mut greatest = 0.0f32;
    for (a, b) in a.layers.iter().zip(&b.layers) {
        assert_eq!(a.conv.shape, b.conv.shape);
        let each = a.conv.weights.len() / a.conv.shape[0];
        let channels = a.conv.weights.chunks(each).zip(b.conv.weights.chunks(each));
        for (a, b) in channels {
            let top = a.iter().fold(f32::MIN_POSITIVE, |top, w| top.max(w.abs()));
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs() / top);
            greatest = off.fold(greatest, f32::max);
        }
    }
    greatest
}

#[test]
fn a_float_model_gives_its_trunk_back() {
    let trunk = made_up(64);
    let found = written(&model(&trunk));
    assert_eq!((found.side, found.layers), (trunk.side, trunk.layers));
}

#[test]
fn a_training_of_the_same_classes_goes_on_with_the_heads() {
    let float = model(&made_up(64));
    let given = written(&float);
    let device = Device::flex();
    device.seed(99);
    let goes_on = |labels: &Labels, hidden| {
        let recipe = Recipe {
            box_head: BoxHeadKind::Fine { hidden },
            ..Recipe::small()
        };
        let made = Model::new(&given, labels, &recipe, &device);
        let card = ModelCard {
            labels: labels.clone(),
            ..card(64)
        };
        made.export(&made.net, &card)
    };
    let same = card(64).labels;
    let others = Labels::new(vec!["pear".to_owned(), "plum".to_owned()]).expect("sound");
    for input in inputs(&card(64), 3) {
        let [scores, corners] = in_floats(&float, &input);
        let taken = in_floats(&goes_on(&same, 32), &input);
        assert_eq!(taken, [scores.clone(), corners.clone()]);
        let fresh = in_floats(&goes_on(&others, 32), &input);
        assert!(fresh[0] != scores && fresh[1] != corners, "{fresh:?}");
        // A box head of another shape starts anew, the class head does not.
        let half = in_floats(&goes_on(&same, 16), &input);
        assert!(half[0] == scores && half[1] != corners, "{half:?}");
    }
}

#[test]
fn an_int8_model_gives_its_trunk_back_to_half_a_step() {
    let trunk = made_up(64);
    let float = model(&trunk);
    let found = written(&int8(&float, &inputs(&card(64), 4)));
    assert_eq!(flags(&found), flags(&trunk));
    let off = difference(&trunk, &found);
    assert!(off <= 0.51 / 127.0, "{off}");
}

#[test]
fn a_trunk_in_half_precision_is_half_as_large_and_nearly_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let trunk = made_up(64);
    let float = model(&trunk);
    let source = folder.path().join("float.onnx");
    let half = folder.path().join("trunk.onnx");
    onnx::write(&source, &float).expect("written");
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_boxcam-train"))
        .arg("trunk")
        .args([&source, Path::new("--output"), &half])
        .status();
    assert!(done.expect("starts").success());
    let found = weights::read(&half).expect("read back");
    assert_eq!(found.side, 64);
    assert_eq!(flags(&found), flags(&trunk));
    // 11 bits of significand.
    let off = difference(&trunk, &found);
    assert!(off > 0.0 && off <= 1.0 / 2048.0, "{off}");
    let card = quantise::card(&onnx::read(&half).expect("sound")).expect("has one");
    assert_eq!(card.training.credits, "nobody");
    assert!(card.figures.is_empty() && card.golden.is_empty());
    let twice = weights::half_precision(&found, &card).expect("fits");
    assert_eq!(written(&twice), found, "what is rounded stays as it is");
    let numbers: usize = trunk
        .layers
        .iter()
        .map(|layer| layer.conv.weights.len() + layer.conv.bias.len())
        .sum();
    let size = std::fs::metadata(&half).expect("there").len() as usize;
    assert!(
        size < 2 * numbers + 8_000,
        "{size} bytes, {numbers} numbers"
    );
}

#[test]
fn a_weight_that_half_precision_has_no_place_for_is_named() {
    let mut trunk = made_up(64);
    trunk.layers[3].conv.bias[2] = 70_000.0;
    let error = weights::half_precision(&trunk, &card(64)).expect_err("refused");
    assert!(
        matches!(error, WeightsError::TooLarge { layer: 3, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("layer 3 has the weight 70000"),
        "{error}"
    );
}

/// What tract's own operators make of a model.
fn in_floats(model: &pb::ModelProto, input: &InputTensor) -> [Vec<f32>; 2] {
    let plan = onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(input.shape()).into()))
        .and_then(|model| model.into_optimized()?.into_runnable())
        .expect("tract runs it");
    let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).expect("a tensor");
    let outputs = plan.run(tvec!(tensor.into())).expect("runs");
    [0, 1].map(|output| {
        let view = outputs[output].to_plain_array_view::<f32>();
        view.expect("floats").iter().copied().collect()
    })
}

/// Holds the int8 model on a trunk against tract's floats, and looks that no layer is left to tract; it adds two maps
/// so many times.
fn runs_in_whole_numbers(trunk: &TrunkWeights, float: &pb::ModelProto, sums: usize, most: f32) {
    let inputs = inputs(&card(trunk.side as u32), 3);
    let int8 = int8(float, &inputs);
    let mut detector = TractDetector::from_bytes("int8", &int8.encode_to_vec()).expect("loads");
    for input in &inputs {
        let found = detector.predict(input).expect("runs");
        let [scores, corners] = in_floats(&int8, input);
        let found_all = [
            found.scores().to_vec(),
            found.bounding_box().corners().to_vec(),
        ]
        .concat();
        let expected = [scores, corners].concat();
        for (found, expected) in found_all.iter().zip(&expected) {
            let off = (found - expected.clamp(0.0, 1.0)).abs();
            assert!(off <= most, "{found_all:?}, expected {expected:?}");
        }
    }
    let layers = detector.layer_times(&inputs[0], 1).expect("runs");
    let operators: Vec<&str> = layers.iter().map(|l| l.operator.as_str()).collect();
    assert!(
        !operators.contains(&"Int8"),
        "a part is left to tract: {operators:?}"
    );
    let adds = operators.iter().filter(|o| **o == "add int8");
    assert_eq!(adds.count(), sums, "{operators:?}");
    let pairs = trunk.layers.iter().filter(|layer| layer.conv.groups > 1);
    let fused = operators
        .iter()
        .filter(|o| **o == "depthwise int8 + pointwise int8");
    assert!(fused.count() >= pairs.count(), "{operators:?}");
}

#[test]
fn a_made_up_net_runs_in_whole_numbers() {
    for side in [64, 96] {
        let trunk = made_up(side);
        let residual = trunk.layers.iter().filter(|layer| layer.add.is_some());
        runs_in_whole_numbers(&trunk, &model(&trunk), residual.count() + 1, 0.02);
    }
}

/// Scores and corners of a model as one list.
fn said(model: &pb::ModelProto, input: &InputTensor) -> Vec<f32> {
    in_floats(model, input).concat()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f32::max)
}

#[test]
fn the_float_model_of_an_int8_model_says_nearly_the_same_and_gives_the_same_weights_again() {
    let trunk = made_up(64);
    let float = model(&trunk);
    let inputs = inputs(&card(64), 4);
    let int8 = int8(&float, &inputs);
    let back = quantise::dequantise(&int8).expect("is int8");
    assert_eq!(flags(&written(&back)), flags(&trunk));
    for input in &inputs {
        let off = distance(&said(&back, input), &said(&float, input));
        assert!(off < 0.02, "{off}");
    }
    let ops = |model: &pb::ModelProto| -> Vec<String> {
        let graph = model.graph.as_ref().expect("has one");
        graph.node.iter().map(|node| node.op_type.clone()).collect()
    };
    assert_eq!(ops(&back), ops(&float));
}

/// The bias of a layer is off by rounding to weights that are all a little too large: the mean error goes.
#[test]
fn corrected_biases_bring_the_means_back() {
    let float = model(&made_up(64));
    let inputs = inputs(&card(64), 6);
    let observations = Observations::of(&float, &inputs).expect("runs");
    let ranges = observations.ranges(Calibration::Percentile999);
    let int8 = quantise::quantise(&float, &ranges, WeightScales::LeastError).expect("fits");
    let corrected = quantise::correct_biases(&float, int8.clone(), &inputs).expect("runs");
    let graph = |model: &pb::ModelProto| model.graph.clone().expect("has one");
    let (before, after) = (graph(&int8), graph(&corrected));
    assert_eq!(before.node, after.node, "only numbers change");
    let mut moved = 0;
    for (a, b) in before.initializer.iter().zip(&after.initializer) {
        let is_bias = a.name.ends_with(".bias.int32");
        assert!(is_bias || a == b, "{}", a.name);
        moved += usize::from(a != b);
    }
    assert!(moved > 5, "{moved}");
    let mean = |model: &pb::ModelProto| {
        let off = inputs.iter().map(|input| {
            let (found, truth) = (said(model, input), said(&float, input));
            found
                .iter()
                .zip(&truth)
                .map(|(a, b)| a - b)
                .collect::<Vec<_>>()
        });
        let sums = off.fold(vec![0.0f32; 6], |sums, off| {
            sums.iter().zip(&off).map(|(a, b)| a + b).collect()
        });
        sums.iter().map(|sum| sum.abs()).sum::<f32>()
    };
    assert!(
        mean(&corrected) < mean(&int8),
        "{} {}",
        mean(&corrected),
        mean(&int8)
    );
}

#[test]
fn the_best_of_all_trials_is_kept_and_every_stored_value_has_its_error() {
    let float = model(&made_up(64));
    let mut scenes = inputs(&card(64), 16);
    let measuring = scenes.split_off(8);
    let pictures = Pictures {
        calibration: scenes,
        measuring,
    };
    let mut trials = Vec::new();
    let chosen = choose(&float, &pictures, Wanted::default(), |trial| {
        trials.push(*trial);
    });
    let chosen = chosen.expect("runs");
    assert_eq!(trials.len(), 4 + 1 + 1);
    let sums = trials.iter().map(|trial| trial.distance.sum());
    let least = sums.fold(f64::INFINITY, f64::min);
    assert!((chosen.trial.distance.sum() - least).abs() < 1e-12);
    let wanted = Wanted {
        calibration: Some(Calibration::MinMax),
        weight_scales: Some(WeightScales::Greatest),
        correct_biases: Some(true),
    };
    let told = choose(&float, &pictures, wanted, |_| ()).expect("runs");
    assert_eq!(told.trial, trials[0], "what is told is done");

    let errors = stored_errors(&float, &told.model, &pictures.measuring).expect("runs");
    // 13 layers and 2 sums, a pooling, 7 layers of the box and a sum.
    assert_eq!(errors.len(), 24, "{errors:?}");
    for error in &errors {
        assert!(
            error.rounding_db > 25.0 && error.rounding_db < 70.0,
            "{error:?}"
        );
        assert!(
            error.int8_db <= error.rounding_db + 0.5 && error.int8_db > 10.0,
            "{error:?}"
        );
        assert!(error.clipped < 0.05, "{error:?}");
    }
}

#[test]
fn golden_examples_hold_at_any_side() {
    for side in [64, 96] {
        let float = model(&made_up(side));
        let mut int8 = int8(&float, &inputs(&card(side as u32), 4));
        add_golden(&mut int8, "made up").expect("runs");
        let bytes = int8.encode_to_vec();
        let mut detector = TractDetector::from_bytes("made up", &bytes).expect("loads");
        let agreement = boxcam::golden::check(&mut detector).expect("agrees");
        assert_eq!(agreement.examples, 4);
    }
}

fn mobilenet_v2() -> Option<TrunkWeights> {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/weights/mobilenet_v2_1.0_224_quant.tflite");
    if !file.exists() {
        eprintln!("SKIPPED: no ImageNet weights beside the checkout; nothing was read");
        return None;
    }
    Some(weights::read(&file).expect("sound"))
}

#[test]
fn mobilenet_v2_is_read_block_by_block() {
    let Some(trunk) = mobilenet_v2() else { return };
    assert_eq!((trunk.side, trunk.layers.len()), (224, 52));
    assert_eq!(trunk.layers[51].conv.shape, [1280, 320, 1, 1]);
    let linear = trunk.layers.iter().filter(|layer| !layer.relu6);
    assert_eq!(linear.count(), 17, "one a block");
    let adds = trunk.layers.iter().enumerate();
    let adds: Vec<_> = adds
        .filter_map(|(n, layer)| Some((n, layer.add?)))
        .collect();
    assert_eq!(adds.len(), 10);
    // The input of a block is what the projection before it puts out.
    assert!(
        adds.iter().all(|(number, add)| number - add == 3),
        "{adds:?}"
    );
    assert_eq!(adds[0], (8, 5));
}

#[test]
fn mobilenet_v2_runs_in_whole_numbers_at_any_side() {
    let Some(mut trunk) = mobilenet_v2() else {
        return;
    };
    for side in [96, 224, 288] {
        trunk.side = side;
        runs_in_whole_numbers(&trunk, &model(&trunk), 11, 0.02);
    }
}
