use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, ModuleOptimizer};

use super::*;

#[derive(Module, Debug)]
struct Small {
    dense: Linear,
    norm: BatchNorm,
}

/// With numbers that no other test can reseed.
fn small(device: &Device) -> Small {
    let module = Small {
        dense: LinearConfig::new(6, 4).init(device),
        norm: BatchNormConfig::new(4).init(device),
    };
    let ramp = |list: Vec<f32>| {
        (0..list.len())
            .map(|i| (i * 5 % 7) as f32 / 7.0 - 0.4)
            .collect()
    };
    let mut values: Vec<Vec<f32>> = values(&module);
    // Weights and bias of the dense layer; the batch norm begins as it does.
    values[..2]
        .iter_mut()
        .for_each(|list| *list = ramp(std::mem::take(list)));
    with(module, values.iter().map(Vec::as_slice))
}

fn gradients(module: &Small, device: &Device) -> GradientsParams {
    let input: Vec<f32> = (0..48).map(|i| (i * 7 % 11) as f32 / 11.0).collect();
    let input = Tensor::<2>::from_data(TensorData::new(input, [8, 6]), device);
    let dense = module.dense.forward(input).reshape([8, 4, 1, 1]);
    // The norm alone takes a bias off again: its gradient would be rounding and nothing else.
    let output = module.norm.forward(dense.clone()) + dense;
    // Small enough that no gradient is cut.
    let loss = (output.clone() * output).powi_scalar(2).sum() / 1e4;
    GradientsParams::from_grads(loss.backward(), module)
}

#[test]
fn steps_are_those_of_burns_own_adamw() {
    let device = Device::flex().autodiff();
    // Not clones of one: they would share their running statistics.
    let [mut ours, mut burns] = [small(&device), small(&device)];
    let mut adamw = AdamW::new(&ours);
    let mut other: ModuleOptimizer = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(0.0)
        .init();
    for _ in 0..5 {
        let step = Step {
            rate: 0.01,
            decay: 0.0,
            averaging: 1.0,
            clip_norm: 5.0,
        };
        let found = gradients(&ours, &device);
        ours = adamw.step(ours, found, step);
        let found = gradients(&burns, &device);
        burns = other.step(0.01, burns, found);
    }
    let pairs = values(&ours)
        .concat()
        .into_iter()
        .zip(values(&burns).concat());
    for (a, b) in pairs {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_mean_of_the_weights_lags_behind_and_statistics_do_not() {
    let device = Device::flex().autodiff();
    let mut module = small(&device);
    let before = values(&module);
    let mut adamw = AdamW::new(&module);
    for _ in 0..200 {
        let found = gradients(&module, &device);
        let step = Step {
            rate: 0.01,
            decay: 0.0,
            averaging: 0.01,
            clip_norm: 5.0,
        };
        module = adamw.step(module, found, step);
    }
    let after = values(&module);
    let mean = values(&adamw.averaged(module.clone()));
    for ((before, mean), after) in before[0].iter().zip(&mean[0]).zip(&after[0]) {
        let (low, high) = (before.min(*after), before.max(*after));
        assert!(
            (low - 0.05..=high + 0.05).contains(mean),
            "{before} {mean} {after}"
        );
    }
    assert_ne!(mean[0], after[0]);
    // Of the batch norm: gamma and beta learn, the running statistics are kept as they are.
    let statistics = adamw
        .slots
        .iter()
        .filter(|slot| slot.mean.iter().all(|m| *m == 0.0));
    assert!(
        statistics
            .filter(|slot| slot.averaged == slot.value)
            .count()
            >= 2
    );
}
