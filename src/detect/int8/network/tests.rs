//! Small networks whose feature maps share memory.

use fastrand::Rng;

use super::super::graph::Epilogue;
use super::super::tensor::{MapSize, OutputQuant, Padding, encode};
use super::*;

const SIDE: usize = 19;

fn epilogue(rng: &mut Rng, channels: usize) -> Epilogue {
    Epilogue {
        bias: (0..channels).map(|_| rng.i32(-999..999)).collect(),
        multipliers: (0..channels).map(|_| rng.f32() * 0.01).collect(),
        output_quant: OutputQuant::new(-9, -128, 127),
    }
}

fn add_map(graph: &mut Graph, side: usize, channels: usize) -> MapId {
    graph.add_map(FeatureMap {
        size: MapSize {
            height: side,
            width: side,
            channels,
        },
        scale: 0.1,
        zero_point: encode(-9),
    })
}

fn add_layer(graph: &mut Graph, operation: Operation) {
    let name = graph.layers.len().to_string();
    graph.layers.push(GraphLayer { name, operation });
}

fn conv2d(graph: &mut Graph, rng: &mut Rng, from: MapId, window: Window, to: MapId) {
    let (inner, out) = (
        graph.feature_map(from).size.channels,
        graph.feature_map(to).size.channels,
    );
    let products = window.kernel[0] * window.kernel[1] * inner;
    let layer = Conv2d {
        window,
        in_channels: inner,
        weights: (0..out * products).map(|_| rng.i8(-127..=127)).collect(),
        epilogue: epilogue(rng, out),
    };
    add_layer(graph, Operation::Conv2d(from, layer, to));
}

/// A convolution followed by residual blocks: maps with long lifetimes beside maps with short ones.
fn residual(seed: u64, blocks: usize) -> Graph {
    let mut rng = Rng::with_seed(seed);
    let mut graph = Graph {
        input: Some(InputQuantizer::from_pixels(|pixel| (pixel ^ 0x80) as i8)),
        ..Graph::default()
    };
    let padding = Padding {
        top: 1,
        bottom: 1,
        left: 1,
        right: 1,
    };
    let window = Window {
        kernel: [3, 3],
        stride: 1,
        padding,
    };
    let image = add_map(&mut graph, SIDE, 3);
    let mut map = add_map(&mut graph, SIDE, 12);
    conv2d(&mut graph, &mut rng, image, window, map);
    for _ in 0..blocks {
        let [wide, deep, sum] = [30, 30, 12].map(|channels| add_map(&mut graph, SIDE, channels));
        let narrow = add_map(&mut graph, SIDE, 12);
        conv2d(&mut graph, &mut rng, map, Window::POINTWISE, wide);
        let depthwise = DepthwiseConv2d {
            window,
            weights: (0..9 * 30).map(|_| rng.i8(-127..=127)).collect(),
            epilogue: epilogue(&mut rng, 30),
        };
        add_layer(
            &mut graph,
            Operation::DepthwiseConv2d(wide, depthwise, deep),
        );
        conv2d(&mut graph, &mut rng, deep, Window::POINTWISE, narrow);
        add_layer(
            &mut graph,
            Operation::Add([map, narrow], OutputQuant::new(-9, -128, 127), sum),
        );
        map = sum;
    }
    let mean = add_map(&mut graph, 1, 12);
    add_layer(
        &mut graph,
        Operation::GlobalAveragePool(map, OutputQuant::new(-9, -128, 127), mean),
    );
    for from in [map, mean] {
        let MapSize {
            height,
            width,
            channels,
        } = graph.feature_map(from).size;
        let floats = graph.add_floats(height * width * channels);
        add_layer(&mut graph, Operation::Dequantize(from, floats));
        graph.outputs.push(GraphOutput::Floats(floats));
    }
    graph
}

fn outputs(network: &Network, workspace: &mut Workspace, pixels: &[u8]) -> Vec<f32> {
    network.run(NetworkInput::Pixels(pixels), workspace);
    [0, 1]
        .map(|number| network.output(workspace, number).dense().into_owned())
        .concat()
}

#[test]
fn a_run_ignores_the_previous_content_of_the_workspace() {
    for (seed, blocks) in [(1, 0), (2, 1), (3, 4)] {
        let mut rng = Rng::with_seed(seed);
        let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| rng.u8(..)).collect();
        let other: Vec<u8> = pixels.iter().map(|pixel| 255 - pixel).collect();
        let network =
            Network::new(residual(seed, blocks), Kernels::best(), 1).expect("one thread starts");
        let mut clean = network.workspace();
        let expected = outputs(&network, &mut clean, &pixels);
        assert!(
            expected.iter().any(|&float| float != expected[0]),
            "the outputs are not constant"
        );
        let mut used = network.workspace();
        used.activations
            .iter_mut()
            .for_each(|byte| *byte = encode(rng.i8(..)));
        assert_ne!(outputs(&network, &mut used, &other), expected);
        assert_eq!(outputs(&network, &mut used, &pixels), expected);
    }
}

#[test]
fn upsampling_by_two_repeats_each_pixel_four_times() {
    let mut graph = residual(4, 1);
    let Some(Operation::GlobalAveragePool(map, ..)) =
        graph.layers.iter().rev().nth(2).map(|l| &l.operation)
    else {
        panic!("a pool and two outputs are the last layers");
    };
    let map = *map;
    let large = add_map(&mut graph, 2 * SIDE, 12);
    add_layer(&mut graph, Operation::UpsampleNearest(map, 2, large));
    let floats = graph.add_floats(4 * SIDE * SIDE * 12);
    add_layer(&mut graph, Operation::Dequantize(large, floats));
    graph.outputs[1] = GraphOutput::Floats(floats);
    let network = Network::new(graph, Kernels::best(), 1).expect("one thread starts");
    let mut rng = Rng::with_seed(4);
    let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| rng.u8(..)).collect();
    let mut workspace = network.workspace();
    network.run(NetworkInput::Pixels(&pixels), &mut workspace);
    let [small, large] =
        [0, 1].map(|number| network.output(&workspace, number).dense().into_owned());
    for (at, &found) in large.iter().enumerate() {
        let (plane, y, x) = (
            at / (4 * SIDE * SIDE),
            at / (2 * SIDE) % (2 * SIDE),
            at % (2 * SIDE),
        );
        assert_eq!(found, small[(plane * SIDE + y / 2) * SIDE + x / 2], "{at}");
    }
}

#[test]
fn maps_with_disjoint_lifetimes_share_memory() {
    let bytes = |blocks| {
        let network =
            Network::new(residual(5, blocks), Kernels::best(), 1).expect("one thread starts");
        network.workspace_bytes
    };
    assert_eq!(bytes(2), bytes(9), "a deeper network needs no more memory");
}

#[test]
#[should_panic(expected = "the network's input is the bytes of an image")]
fn the_wrong_kind_of_input_is_rejected() {
    let network = Network::new(residual(6, 0), Kernels::best(), 1).expect("one thread starts");
    network.run(
        NetworkInput::Floats(&[0.0; 3 * SIDE * SIDE]),
        &mut network.workspace(),
    );
}
