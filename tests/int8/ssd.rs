//! Networks with the head of an SSD, which runs as a whole and computes only the rows that have a score worth a look.

use std::collections::BTreeSet;
use std::path::Path;

use boxcam::card::{InputSpec, ModelCard, OBJECT_BOXES_OUTPUT, ObjectSettings, Resize};
use boxcam::detect::tract::EngineOptions;
use boxcam::detect::{CellOutputs, Detection, Detector, Nms, Prediction};
use boxcam::golden;
use boxcam::label::Labels;
use prost::Message;
use tract_onnx::pb;

use crate::model_builder::{ActivationType, ModelBuilder, SsdMap};
use crate::{
    SIDE, allocations, greatest_difference, inputs, int8_outputs, load, mean_difference, operators,
    predictions, spread, tiny_model, tract_outputs,
};

const SETTINGS: ObjectSettings = ObjectSettings {
    nms_iou: 0.6,
    most: 100,
    ..tiny_model::OBJECTS
};

/// Feature maps of 13, 7, 4, 2 and 1 pixels a side. Three layers have pads at the end only, as TensorFlow's "SAME" places
/// them for even sizes.
fn ssd(classes: i64, seed: u64) -> pb::ModelProto {
    let mut builder = ModelBuilder::new(SIDE, ActivationType::Signed, seed);
    let image = builder.quantized("image", 1.0 / 128.0, -1.0);
    let at_end = [0, 0, 1, 1];
    let mut map = relu6(&mut builder, "stem", &image, [3, 24], [3, 2], at_end);
    let mut maps = vec![(map.clone(), 24, 13)];
    for (side, channels, pads) in [
        (7, 40, [1; 4]),
        (4, 20, [1; 4]),
        (2, 28, at_end),
        (1, 24, at_end),
    ] {
        let before = maps.last().expect("not empty").1;
        let deep = format!("deep.{side}");
        map = relu6(&mut builder, &deep, &map, [before, 0], [3, 2], pads);
        let wide = format!("wide.{side}");
        map = relu6(
            &mut builder,
            &wide,
            &map,
            [before, channels],
            [1, 1],
            [0; 4],
        );
        maps.push((map.clone(), channels, side));
    }
    let maps: Vec<SsdMap<'_>> = maps
        .iter()
        .map(|(name, channels, side)| SsdMap {
            name,
            channels: *channels,
            side: *side,
            anchors: if *side == 13 { 3 } else { 2 },
        })
        .collect();
    builder.ssd_head(&maps, classes);
    let mut model = builder.model();
    let labels = (0..classes).map(|class| format!("class {class}"));
    let card = ModelCard {
        labels: Labels::new(labels.collect()).expect("valid"),
        input: InputSpec::mobilenet(SIDE),
        objects: Some(SETTINGS),
        ..tiny_model::card()
    };
    tiny_model::set_card(&mut model, &card);
    model
}

fn relu6(
    builder: &mut ModelBuilder,
    name: &str,
    input: &str,
    channels: [i64; 2],
    kernel: [i64; 2],
    pads: [i64; 4],
) -> String {
    let conv = builder.padded_conv(name, input, channels, kernel, pads);
    let relu = builder.clip(&format!("{name}.relu6"), &conv, [0.0, 6.0]);
    builder.quantized(&relu, 6.0 / 255.0, 0.0)
}

/// The prediction of all scores and boxes.
fn of_all_cells(outputs: &[Vec<f32>], settings: ObjectSettings, classes: usize) -> Prediction {
    let [scores, boxes] = outputs else {
        panic!("two outputs");
    };
    let nms = &mut Nms::new(settings, boxes.len() / 4, classes);
    Prediction::of_objects(CellOutputs { scores, boxes }, nms).expect("valid")
}

#[test]
fn an_ssd_head_gives_what_the_float_operators_give() {
    for (classes, seed) in [(20, 1), (5, 2), (80, 3)] {
        let model = ssd(classes, seed);
        let mut detector = load(&model.encode_to_vec(), EngineOptions::default());
        let inputs = inputs(detector.card(), 3);
        let expected = tract_outputs(&model, &inputs);
        let found = int8_outputs(&model, &inputs);
        for (found, expected) in found.iter().zip(&expected) {
            // A value near the middle between two steps is rounded to either.
            let difference = greatest_difference(found, expected);
            let mean = mean_difference(found, expected);
            assert!(
                difference <= 0.1 && mean <= 0.004,
                "{difference}, mean {mean}"
            );
        }
        assert!(spread(&expected) > 0.2, "the same outputs for all images");
        let operators = operators(&mut detector, &inputs[0]);
        assert_eq!(
            operators.last().map(String::as_str),
            Some("ssd head"),
            "{operators:?}"
        );
        let kinds: BTreeSet<&str> = operators.iter().map(String::as_str).collect();
        let expected = [
            "quantize input",
            "conv2d int8",
            "depthwise int8 + pointwise int8",
            "ssd head",
        ];
        assert_eq!(kinds, expected.into(), "all is in one network");
        for (prediction, outputs) in predictions(&mut detector, &inputs).iter().zip(&found) {
            // Of the same bytes, all values are equal to the bit.
            assert_eq!(
                *prediction,
                of_all_cells(outputs, SETTINGS, classes as usize)
            );
            assert!(
                prediction
                    .objects(0.1)
                    .is_some_and(|objects| objects.len() > 5)
            );
        }
    }
}

#[test]
fn a_minimum_score_does_not_change_the_objects_above_it() {
    let mut detector = load(&ssd(20, 4).encode_to_vec(), EngineOptions::default());
    let inputs = inputs(detector.card(), 3);
    let all = predictions(&mut detector, &inputs);
    let objects = |prediction: &Prediction| prediction.objects(0.0).map(<[_]>::to_vec);
    // Some objects of the first image are above it, some below.
    for rank in [10, 50] {
        let min_score = objects(&all[0]).expect("has objects")[rank].confidence;
        detector.set_min_object_score(min_score);
        // A copy keeps the minimum.
        for (found, all) in predictions(&mut detector.clone(), &inputs).iter().zip(&all) {
            assert_eq!(found.objects(min_score), all.objects(min_score));
            let weak = |found: &&Detection| found.confidence < min_score;
            assert_eq!(objects(found).iter().flatten().filter(weak).count(), 0);
        }
        let count = |prediction: &Prediction| objects(prediction).map_or(0, |all| all.len());
        let first = detector.predict(&inputs[0]).expect("runs");
        assert!(count(&first) > rank && count(&first) < count(&all[0]));
    }
    detector.set_min_object_score(0.0);
    assert_eq!(predictions(&mut detector, &inputs), all);
}

#[test]
fn an_ssd_allocates_nothing_per_frame() {
    let mut detector = load(&ssd(80, 5).encode_to_vec(), EngineOptions::default());
    let inputs = inputs(detector.card(), 3);
    for input in &inputs {
        let (allocations, prediction) = allocations::during(|| detector.predict(input));
        let prediction = prediction.expect("runs");
        assert!(
            prediction
                .objects(0.0)
                .is_some_and(|objects| objects.len() > 5)
        );
        assert_eq!(prediction.scores().len(), 80);
        assert_eq!(allocations, 0);
    }
}

/// Boxes that are clipped to the picture, which the head does not do: tract computes the scores and the boxes.
#[test]
fn another_decoding_runs_in_tract() {
    let mut model = ssd(20, 6);
    let mut as_a_whole = load(&model.encode_to_vec(), EngineOptions::default());
    let graph = model.graph.as_mut().expect("has a graph");
    let last = graph
        .node
        .iter_mut()
        .find(|node| node.name == OBJECT_BOXES_OUTPUT);
    let last = last.expect("the last node");
    last.op_type = "Clip".to_owned();
    last.input
        .extend(["stem.relu6.min", "stem.relu6.max"].map(str::to_owned));
    let mut clipped = load(&model.encode_to_vec(), EngineOptions::default());
    let inputs = inputs(clipped.card(), 2);
    let operators = operators(&mut clipped, &inputs[0]);
    assert!(
        operators.iter().any(|operator| operator == "Int8"),
        "{operators:?}"
    );
    assert!(
        !operators.iter().any(|operator| operator == "ssd head"),
        "{operators:?}"
    );
    let pairs = predictions(&mut clipped, &inputs).into_iter();
    for (clipped, whole) in pairs.zip(predictions(&mut as_a_whole, &inputs)) {
        let first = |prediction: &Prediction| {
            let found = prediction.objects(0.3).and_then(<[_]>::first).copied();
            found.expect("an object")
        };
        let (clipped, whole) = (first(&clipped), first(&whole));
        assert!((clipped.confidence - whole.confidence).abs() < 1e-3);
    }
}

/// The detector that ships, from the picture to the candidates in one network.
#[test]
fn the_shipped_detector_runs_as_a_whole() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/coco.onnx");
    let bytes = std::fs::read(file).expect("the shipped detector");
    let mut detector = load(&bytes, EngineOptions::default());
    assert_eq!(detector.card().labels.len(), 80);
    assert_eq!(detector.card().input.resize, Resize::Bilinear);
    let inputs = inputs(detector.card(), 2);
    let operators = operators(&mut detector, &inputs[0]);
    assert_eq!(
        operators.last().map(String::as_str),
        Some("ssd head"),
        "{operators:?}"
    );
    let is_float = |operator: &String| operator.contains("f32") || operator == "Int8";
    assert!(!operators.iter().any(is_float), "{operators:?}");
    for input in &inputs {
        let (allocations, prediction) = allocations::during(|| detector.predict(input));
        assert!(prediction.is_ok());
        assert_eq!(allocations, 0);
    }
    let model = pb::ModelProto::decode(bytes.as_slice()).expect("a model");
    let settings = detector.card().objects.expect("finds objects");
    let outputs = int8_outputs(&model, &inputs);
    for (found, outputs) in predictions(&mut detector, &inputs).iter().zip(&outputs) {
        assert_eq!(*found, of_all_cells(outputs, settings, 80));
    }
}

/// The golden examples of the card were computed on another machine, possibly on another architecture.
#[test]
fn the_shipped_detector_reproduces_its_golden_examples() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/coco.onnx");
    let bytes = std::fs::read(file).expect("the shipped detector");
    let agreement = golden::check(&mut load(&bytes, EngineOptions::default())).expect("agrees");
    assert!(agreement.examples >= 1);
    // The integers are equal; the exponentials after the heads may differ in the last bit.
    assert!(agreement.difference < 1e-5, "{agreement:?}");
}
