use burn::tensor::Distribution;

use super::*;
use crate::network::to_vec;

/// Outputs and gradients of one layer: of input, weights, bias.
fn pass(
    convolve: impl Fn(Kind, Tensor<4>, Tensor<2>, Tensor<1>, bool) -> Tensor<4>,
    kind: Kind,
    input: &Tensor<4>,
    weights: &Tensor<2>,
    bias: &Tensor<1>,
    relu6: bool,
) -> [Vec<f32>; 4] {
    let input = input.clone().require_grad();
    let (weights, bias) = (weights.clone().require_grad(), bias.clone().require_grad());
    let output = convolve(kind, input.clone(), weights.clone(), bias.clone(), relu6);
    // Another slope at each output.
    let slopes: Vec<f32> = (0..output.shape().num_elements())
        .map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0)
        .collect();
    let slopes = Tensor::<4>::from_data(TensorData::new(slopes, output.dims()), &output.device());
    let gradients = (output.clone() * slopes).sum().backward();
    let to_input = match kind {
        Kind::Stem => Vec::new(),
        _ => to_vec(input.grad(&gradients).expect("tracked")),
    };
    [
        to_vec(output),
        to_input,
        to_vec(weights.grad(&gradients).expect("tracked")),
        to_vec(bias.grad(&gradients).expect("tracked")),
    ]
}

#[test]
fn kernels_say_what_burn_says_forward_and_backward() {
    let device = Device::flex().autodiff();
    device.seed(3);
    let cases = [
        (Kind::Pointwise, [2, 5, 7, 12], 20),
        (Kind::Pointwise, [3, 40, 37, 24], 96),
        (Kind::Depthwise { stride: 1 }, [2, 7, 9, 19], 19),
        (Kind::Depthwise { stride: 1 }, [1, 1, 1, 32], 32),
        (Kind::Depthwise { stride: 2 }, [2, 8, 10, 48], 48),
        (Kind::Depthwise { stride: 2 }, [2, 9, 7, 8], 8),
        (Kind::Depthwise { stride: 2 }, [1, 1, 2, 5], 5),
        (Kind::Stem, [2, 10, 12, 3], 8),
        (Kind::Stem, [2, 9, 11, 3], 17),
    ];
    for (kind, shape, out) in cases {
        for relu6 in [false, true] {
            let channels = shape[3];
            let weights = match kind {
                Kind::Pointwise => [out, channels],
                Kind::Depthwise { .. } => [9, channels],
                Kind::Stem => [out, 9 * channels],
            };
            // Wide enough that both ends of relu6 are met.
            let wide = Distribution::Normal(0.0, 3.0);
            let input = Tensor::random(shape, wide, &device);
            let weights = Tensor::random(weights, Distribution::Normal(0.0, 1.0), &device);
            let bias = Tensor::random([out], wide, &device);
            let ours = pass(convolve, kind, &input, &weights, &bias, relu6);
            let burns = pass(composed::convolve, kind, &input, &weights, &bias, relu6);
            for (which, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
                assert_eq!(ours.len(), burns.len(), "{kind:?} {shape:?} {which}");
                let greatest = burns.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                for (a, b) in ours.iter().zip(burns) {
                    let off = (a - b).abs() / greatest;
                    assert!(
                        off < 1e-4,
                        "{kind:?} {shape:?} relu6 {relu6} {which}: {a} {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn without_gradients_the_answer_is_the_same() {
    let (learning, plain) = (Device::flex().autodiff(), Device::flex());
    let answer = |device: &Device| {
        let ramp = |count: usize, step: f32| (0..count).map(|i| (i % 13) as f32 * step).collect();
        let of = |shape: [usize; 4], values: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values, shape), device)
        };
        let input = of([1, 4, 4, 6], ramp(96, 0.1));
        let weights = of([1, 1, 9, 6], ramp(54, 0.05)).reshape([9, 6]);
        let bias = Tensor::zeros([6], device);
        to_vec(convolve(
            Kind::Depthwise { stride: 1 },
            input,
            weights,
            bias,
            true,
        ))
    };
    assert_eq!(answer(&learning), answer(&plain));
}

#[test]
fn the_same_batch_gives_the_same_bits_on_any_number_of_threads() {
    let gradients = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads").install(|| {
            let input: Vec<f32> = (0..4 * 31 * 31 * 24)
                .map(|i| (i % 97) as f32 - 48.0)
                .collect();
            let weights: Vec<f32> = (0..24 * 40).map(|i| (i % 31) as f32 * 0.01).collect();
            let slopes: Vec<f32> = (0..4 * 31 * 31 * 40)
                .map(|i| (i % 53) as f32 - 26.0)
                .collect();
            let found = pointwise::backward(&input, &weights, None, &slopes, 40, true);
            (found.weights, found.bias, found.input)
        })
    };
    assert_eq!(gradients(1), gradients(3));
}
