//! Small networks whose maps share their places.

use fastrand::Rng;

use super::super::arithmetic::{Target, stored};
use super::super::graph::{Graph, Layer, Operation};
use super::super::layer::{DenseLayer, DepthwiseLayer, Sums};
use super::super::map::{Border, MapSize, Window};
use super::*;

const SIDE: usize = 19;

fn sums(dice: &mut Rng, channels: usize) -> Sums {
    Sums {
        bias: (0..channels).map(|_| dice.i32(-999..999)).collect(),
        multipliers: (0..channels).map(|_| dice.f32() * 0.01).collect(),
        target: Target::new(-9, -128, 127),
    }
}

fn value(graph: &mut Graph, side: usize, channels: usize) -> ValueId {
    graph.add_value(MapValue {
        size: MapSize {
            height: side,
            width: side,
            channels,
        },
        scale: 0.1,
        zero_point: stored(-9),
    })
}

fn add(graph: &mut Graph, operation: Operation) {
    let name = graph.layers.len().to_string();
    graph.layers.push(Layer { name, operation });
}

fn dense(graph: &mut Graph, dice: &mut Rng, from: ValueId, window: Window, to: ValueId) {
    let (inner, out) = (
        graph.value(from).size.channels,
        graph.value(to).size.channels,
    );
    let products = window.kernel[0] * window.kernel[1] * inner;
    let layer = DenseLayer {
        window,
        in_channels: inner,
        weights: (0..out * products).map(|_| dice.i8(-127..=127)).collect(),
        sums: sums(dice, out),
    };
    add(graph, Operation::Dense(from, layer, to));
}

/// The first convolution, and so many residual blocks behind it: maps that live long beside ones that don't.
fn residual(seed: u64, blocks: usize) -> Graph {
    let mut dice = Rng::with_seed(seed);
    let mut graph = Graph {
        entry: Some(Entry::of_pixels(|pixel| (pixel ^ 0x80) as i8)),
        ..Graph::default()
    };
    let around = Border {
        top: 1,
        bottom: 1,
        left: 1,
        right: 1,
    };
    let window = Window {
        kernel: [3, 3],
        stride: 1,
        border: around,
    };
    let image = value(&mut graph, SIDE, 3);
    let mut map = value(&mut graph, SIDE, 12);
    dense(&mut graph, &mut dice, image, window, map);
    for _ in 0..blocks {
        let [wide, deep, sum] = [30, 30, 12].map(|channels| value(&mut graph, SIDE, channels));
        let narrow = value(&mut graph, SIDE, 12);
        dense(&mut graph, &mut dice, map, Window::POINT, wide);
        let depthwise = DepthwiseLayer {
            window,
            weights: (0..9 * 30).map(|_| dice.i8(-127..=127)).collect(),
            sums: sums(&mut dice, 30),
        };
        add(&mut graph, Operation::Depthwise(wide, depthwise, deep));
        dense(&mut graph, &mut dice, deep, Window::POINT, narrow);
        add(
            &mut graph,
            Operation::Add([map, narrow], Target::new(-9, -128, 127), sum),
        );
        map = sum;
    }
    let mean = value(&mut graph, 1, 12);
    add(
        &mut graph,
        Operation::Pool(map, Target::new(-9, -128, 127), mean),
    );
    for from in [map, mean] {
        let MapSize {
            height,
            width,
            channels,
        } = graph.value(from).size;
        let floats = graph.add_floats(height * width * channels);
        add(&mut graph, Operation::Dequantise(from, floats));
        graph.outputs.push(floats);
    }
    graph
}

fn outputs(network: &Network, memory: &mut Memory, pixels: &[u8]) -> Vec<f32> {
    network.run(Input::Pixels(pixels), memory);
    [0, 1]
        .map(|number| network.output(memory, number).to_vec())
        .concat()
}

#[test]
fn what_was_in_the_memory_before_does_not_matter() {
    for (seed, blocks) in [(1, 0), (2, 1), (3, 4)] {
        let mut dice = Rng::with_seed(seed);
        let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| dice.u8(..)).collect();
        let other: Vec<u8> = pixels.iter().map(|pixel| 255 - pixel).collect();
        let network = Network::new(residual(seed, blocks), Kernels::best(), 1).expect("no threads");
        let mut clean = network.memory();
        let expected = outputs(&network, &mut clean, &pixels);
        assert!(
            expected.iter().any(|&float| float != expected[0]),
            "something is computed"
        );
        let mut used = network.memory();
        used.stored
            .iter_mut()
            .for_each(|byte| *byte = stored(dice.i8(..)));
        assert_ne!(outputs(&network, &mut used, &other), expected);
        assert_eq!(outputs(&network, &mut used, &pixels), expected);
    }
}

#[test]
fn an_enlarged_map_has_each_pixel_four_times() {
    let mut graph = residual(4, 1);
    let Some(Operation::Pool(map, ..)) = graph.layers.iter().rev().nth(2).map(|l| &l.operation)
    else {
        panic!("a pool and two outputs come last");
    };
    let map = *map;
    let large = value(&mut graph, 2 * SIDE, 12);
    add(&mut graph, Operation::Enlarge(map, 2, large));
    let floats = graph.add_floats(4 * SIDE * SIDE * 12);
    add(&mut graph, Operation::Dequantise(large, floats));
    graph.outputs[1] = floats;
    let network = Network::new(graph, Kernels::best(), 1).expect("no threads");
    let mut dice = Rng::with_seed(4);
    let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| dice.u8(..)).collect();
    let mut memory = network.memory();
    network.run(Input::Pixels(&pixels), &mut memory);
    let [small, large] = [0, 1].map(|number| network.output(&memory, number));
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
fn maps_that_are_not_needed_together_share_their_place() {
    let bytes = |blocks| {
        let network = Network::new(residual(5, blocks), Kernels::best(), 1).expect("no threads");
        network.bytes
    };
    assert_eq!(
        bytes(2),
        bytes(9),
        "a deeper network needs no more memory at once"
    );
}

#[test]
#[should_panic(expected = "the network takes bytes of a picture")]
fn another_kind_of_input_is_refused() {
    let network = Network::new(residual(6, 0), Kernels::best(), 1).expect("no threads");
    network.run(
        Input::Floats(&[0.0; 3 * SIDE * SIDE]),
        &mut network.memory(),
    );
}
