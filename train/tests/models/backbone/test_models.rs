//! Small random models, and their outputs.

use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, Training};
use boxcam::frame::{Frame, Origin};
use boxcam::label::Labels;
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam::scene::random_scene;
use boxcam_train::heads::{BoxHead, ClassHead, FcosHead};
use boxcam_train::layer::{ConvWeights, Layer};
use boxcam_train::network::fine_layer;
use boxcam_train::onnx::{self, GraphBuilder, INPUT};
use boxcam_train::quantize::calibrate::{ActivationStats, Calibration};
use boxcam_train::quantize::{self, WeightScales};
use boxcam_train::weights::{self, BackboneWeights};
use burn::prelude::Device;
use fastrand::Rng;
use tract_onnx::pb;
use tract_onnx::prelude::*;

pub(crate) fn card(side: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: "test".to_owned(),
        labels: Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("valid"),
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.5,
        objects: None,
        training: Training {
            credits: "nobody".to_owned(),
            ..Training::default()
        },
        origin: None,
        figures: [("mean_iou".to_owned(), 0.5)].into(),
        golden: Vec::new(),
    }
}

/// A convolution with random weights that keeps the magnitude of its input; depthwise if `inner` is 0.
pub(crate) fn conv(
    random: &mut Rng,
    [inner, out]: [usize; 2],
    kernel: usize,
    stride: usize,
) -> ConvWeights {
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

/// A stem, then blocks of expansion, depthwise and linear projection: two residual, the last with stride 2.
pub(crate) fn residual_backbone(side: usize) -> BackboneWeights {
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
    BackboneWeights {
        side,
        layers,
        heads: None,
    }
}

/// A float model with untrained heads on a backbone.
pub(crate) fn model(backbone: &BackboneWeights) -> pb::ModelProto {
    let card = card(backbone.side as u32);
    let device = Device::flex();
    device.seed(1);
    let channels = backbone.layers.last().expect("layers").conv.shape[0];
    let stride: usize = backbone
        .layers
        .iter()
        .map(|layer| layer.conv.stride)
        .product();
    let mut graph = GraphBuilder::new(&card.name, &card.input);
    let maps = graph.backbone(INPUT, &backbone.layers);
    let fine = fine_layer(&backbone.layers).expect("a stride-2 layer");
    let map = maps.last().expect("layers");
    let class = ClassHead::new(channels, card.labels.len(), 0.0, &device);
    let scores = class.export(&mut graph, map);
    let side = backbone.side / stride;
    let fine_channels = backbone.layers[fine].conv.shape[0];
    let bounding_box = BoxHead::Fcos(FcosHead::new(channels, fine_channels, 32, &device));
    let boxes = bounding_box.export(&mut graph, [&maps[fine], map], side);
    graph.finish(&scores, &boxes.corners, &card)
}

pub(crate) fn inputs(card: &ModelCard, count: u64) -> Vec<InputTensor> {
    let scenes = (1..=count).map(|seed| random_scene(seed, 320, 240).image);
    let frames = scenes.map(|image| Frame::new(0, Origin::Live, image));
    frames
        .map(|frame| preprocess(&frame, card).expect("preprocessed"))
        .collect()
}

pub(crate) fn int8(float: &pb::ModelProto, inputs: &[InputTensor]) -> pb::ModelProto {
    let observations = ActivationStats::collect(float, inputs).expect("runs");
    let ranges = observations.ranges(Calibration::LeastError);
    quantize::quantize(float, &ranges, WeightScales::Max).expect("can be quantised")
}

pub(crate) fn write_and_read(model: &pb::ModelProto) -> BackboneWeights {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("model.onnx");
    onnx::write(&file, model).expect("written");
    weights::read(&file).expect("read back")
}

/// Scores and corners from tract's own float operators.
pub(crate) fn run_in_floats(model: &pb::ModelProto, input: &InputTensor) -> [Vec<f32>; 2] {
    let outputs = all_outputs_in_floats(model, input);
    outputs.try_into().expect("two outputs")
}

/// All outputs from tract's own float operators.
pub(crate) fn all_outputs_in_floats(model: &pb::ModelProto, input: &InputTensor) -> Vec<Vec<f32>> {
    let plan = onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(input.shape()).into()))
        .and_then(|model| model.into_optimized()?.into_runnable())
        .expect("runnable");
    let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).expect("a tensor");
    let outputs = plan.run(tvec!(tensor.into())).expect("runs");
    let values = outputs.iter().map(|output| {
        let view = output.to_plain_array_view::<f32>();
        view.expect("floats").iter().copied().collect()
    });
    values.collect()
}

pub(crate) fn structure(backbone: &BackboneWeights) -> Vec<(bool, Option<usize>, usize, usize)> {
    let layers = backbone.layers.iter();
    let structure =
        layers.map(|layer| (layer.relu6, layer.add, layer.conv.stride, layer.conv.groups));
    structure.collect()
}
