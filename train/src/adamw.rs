//! AdamW (Loshchilov & Hutter 2019) over all parameters of a module, and the exponential moving average (EMA) of its
//! weights.
//!
//! All state is plain vectors in the order in which the module is visited, so that a checkpoint restores it bit for bit
//! ([`crate::checkpoint`]).

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use rayon::prelude::*;

use crate::network::to_vec;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Smallest part of a parameter that a thread updates by itself.
const MIN_CHUNK: usize = 1 << 14;

/// Value and optimizer state of one parameter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParameterState {
    pub value: Vec<f32>,
    /// Moving average of the gradients.
    pub first_moment: Vec<f32>,
    /// Moving average of their squares.
    pub second_moment: Vec<f32>,
    /// Moving average of the values.
    pub ema: Vec<f32>,
}

/// The optimizer of one module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdamW {
    /// All parameters in visiting order; running statistics too.
    pub parameters: Vec<ParameterState>,
    /// Steps done.
    pub steps: u64,
}

/// Settings of one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub learning_rate: f64,
    /// Decoupled weight decay, of weights only, not of biases.
    pub weight_decay: f32,
    /// 1 - EMA decay: how far the average moves towards the weights; 1 disables the EMA.
    pub ema_update: f32,
    /// Largest L2 norm of all gradients of this module together; longer ones are scaled down. Backbone and heads are two
    /// modules: the large gradients of heads that start untrained must not shrink the steps of the backbone.
    pub clip_norm: f32,
}

impl AdamW {
    #[must_use]
    pub fn new<M: Module>(module: &M) -> Self {
        let state = |value: Vec<f32>| ParameterState {
            first_moment: vec![0.0; value.len()],
            second_moment: vec![0.0; value.len()],
            ema: value.clone(),
            value,
        };
        Self {
            parameters: values(module).into_iter().map(state).collect(),
            steps: 0,
        }
    }

    /// Updates the module. A parameter without a gradient, such as a running statistic, keeps the module's value.
    #[must_use]
    pub fn step<M: Module>(&mut self, module: M, gradients: GradientsParams, step: Step) -> M {
        self.steps += 1;
        // Mapping the module makes burn write its pending running statistics into the parameters.
        let module = with_values(module, std::iter::empty());
        let mut found = Gradients {
            source: gradients,
            parameters: Vec::new(),
        };
        module.visit(&mut found);
        let norm = found.norm();
        let scale = if norm > step.clip_norm {
            step.clip_norm / norm
        } else {
            1.0
        };
        // Warm-up of the EMA: the initial weights must not dominate it.
        let ema_update = step.ema_update.max(1.0 / (self.steps as f32 + 1.0));
        let step = Step { ema_update, ..step };
        for (parameter, found) in self.parameters.iter_mut().zip(found.parameters) {
            match found {
                Found::Gradient { values, decays } => {
                    let weight_decay = if decays { step.weight_decay } else { 0.0 };
                    let step = Step {
                        weight_decay,
                        ..step
                    };
                    parameter.step(&values, scale, self.steps, step);
                }
                Found::Value(value) => {
                    parameter.ema.clone_from(&value);
                    parameter.value = value;
                }
            }
        }
        self.load_weights(module)
    }

    /// The module with the EMA of the weights.
    #[must_use]
    pub fn load_ema<M: Module>(&self, module: M) -> M {
        let values = self.parameters.iter().map(|state| state.ema.as_slice());
        with_values(module, values)
    }

    /// The module with the weights of the last step.
    #[must_use]
    pub fn load_weights<M: Module>(&self, module: M) -> M {
        let values = self.parameters.iter().map(|state| state.value.as_slice());
        with_values(module, values)
    }
}

impl ParameterState {
    fn step(&mut self, gradient: &[f32], scale: f32, steps: u64, step: Step) {
        let correction_1 = 1.0 - f64::from(BETA_1).powf(steps as f64);
        let correction_2 = 1.0 - f64::from(BETA_2).powf(steps as f64);
        let rate = (step.learning_rate / correction_1) as f32;
        let correction_2 = (1.0 / correction_2) as f32;
        let shrink = 1.0 - step.learning_rate as f32 * step.weight_decay;
        let elements = (
            &mut self.value,
            &mut self.first_moment,
            &mut self.second_moment,
            &mut self.ema,
            gradient,
        );
        elements.into_par_iter().with_min_len(MIN_CHUNK).for_each(
            |(value, first, second, ema, gradient)| {
                let gradient = gradient * scale;
                *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
                *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
                *value =
                    *value * shrink - rate * *first / ((*second * correction_2).sqrt() + EPSILON);
                *ema += step.ema_update * (*value - *ema);
            },
        );
    }
}

/// What a step finds of one parameter.
enum Found {
    Gradient {
        values: Vec<f32>,
        decays: bool,
    },
    /// No gradient: the parameter's own value.
    Value(Vec<f32>),
}

struct Gradients {
    source: GradientsParams,
    parameters: Vec<Found>,
}

impl Gradients {
    fn norm(&self) -> f32 {
        let squares = self.parameters.iter().map(|found| match found {
            Found::Gradient { values, .. } => values.iter().map(|v| f64::from(v * v)).sum(),
            Found::Value(_) => 0.0,
        });
        squares.sum::<f64>().sqrt() as f32
    }
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.parameters
            .push(match self.source.remove::<D>(param.id) {
                Some(gradient) => Found::Gradient {
                    values: to_vec(gradient),
                    decays: D > 1,
                },
                None => Found::Value(to_vec(param.val())),
            });
    }
}

/// The values of all parameters of a module, in visiting order.
pub(crate) fn values<M: Module>(module: &M) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(to_vec(param.val()));
        }
    }
    let mut values = Values(Vec::new());
    module.visit(&mut values);
    values.0
}

/// The module with other values, in visiting order; parameters beyond the end of `values` keep theirs.
fn with_values<'v, M: Module>(module: M, values: impl Iterator<Item = &'v [f32]>) -> M {
    struct WithValues<I>(I);
    impl<'v, I: Iterator<Item = &'v [f32]>> ModuleMapper for WithValues<I> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let Some(values) = self.0.next() else {
                return Param::from_mapped_value(id, tensor, mapper);
            };
            let requires_grad = tensor.is_require_grad();
            let data = TensorData::new(values.to_vec(), tensor.dims());
            let tensor = Tensor::from_data(data, &tensor.device()).set_require_grad(requires_grad);
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    module.map(&mut WithValues(values))
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::optim::{AdamWConfig, ModuleOptimizer};

    use super::*;

    #[derive(Module, Debug)]
    struct Small {
        dense: Linear,
        norm: BatchNorm,
    }

    /// With weights that do not depend on the global random generator.
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
        // Weights and bias of the dense layer; the batch norm keeps its initial values.
        values[..2]
            .iter_mut()
            .for_each(|list| *list = ramp(std::mem::take(list)));
        with_values(module, values.iter().map(Vec::as_slice))
    }

    fn gradients(module: &Small, device: &Device) -> GradientsParams {
        let input: Vec<f32> = (0..48).map(|i| (i * 7 % 11) as f32 / 11.0).collect();
        let input = Tensor::<2>::from_data(TensorData::new(input, [8, 6]), device);
        let dense = module.dense.forward(input).reshape([8, 4, 1, 1]);
        // A batch norm cancels the bias before it, whose gradient would be rounding error only; hence the sum.
        let output = module.norm.forward(dense.clone()) + dense;
        // Small enough that no gradient is clipped.
        let loss = (output.clone() * output).powi_scalar(2).sum() / 1e4;
        GradientsParams::from_grads(loss.backward(), module)
    }

    #[test]
    fn steps_equal_burns_adamw() {
        let device = Device::flex().autodiff();
        // Two instances: clones would share their running statistics.
        let [mut ours, mut burns] = [small(&device), small(&device)];
        let mut adamw = AdamW::new(&ours);
        let mut other: ModuleOptimizer = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(0.0)
            .init();
        for _ in 0..5 {
            let step = Step {
                learning_rate: 0.01,
                weight_decay: 0.0,
                ema_update: 1.0,
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
    fn gradients_are_scaled_down_to_the_clip_norm_together() {
        let device = Device::flex().autodiff();
        let moments = |clip_norm: f32| -> Vec<f32> {
            let module = small(&device);
            let mut adamw = AdamW::new(&module);
            let found = gradients(&module, &device);
            let step = Step {
                learning_rate: 0.01,
                weight_decay: 0.0,
                ema_update: 1.0,
                clip_norm,
            };
            let _ = adamw.step(module, found, step);
            // After one step, these are a tenth of the gradients.
            let state = adamw.parameters.iter();
            state.flat_map(|p| p.first_moment.clone()).collect()
        };
        let norm = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt() * 10.0;
        let whole = moments(f32::MAX);
        let length = norm(&whole);
        assert!(length > 0.0);
        assert_eq!(moments(2.0 * length), whole, "short gradients stay");
        let clipped = moments(length / 4.0);
        assert!((norm(&clipped) / length - 0.25).abs() < 1e-4);
        for (clipped, whole) in clipped.iter().zip(&whole) {
            assert!(
                (clipped - whole / 4.0).abs() <= 1e-6 * length,
                "the direction stays"
            );
        }
    }

    #[test]
    fn the_ema_lags_behind_the_weights_but_not_behind_running_statistics() {
        let device = Device::flex().autodiff();
        let mut module = small(&device);
        let before = values(&module);
        let mut adamw = AdamW::new(&module);
        for _ in 0..200 {
            let found = gradients(&module, &device);
            let step = Step {
                learning_rate: 0.01,
                weight_decay: 0.0,
                ema_update: 0.01,
                clip_norm: 5.0,
            };
            module = adamw.step(module, found, step);
        }
        let after = values(&module);
        let mean = values(&adamw.load_ema(module.clone()));
        for ((before, mean), after) in before[0].iter().zip(&mean[0]).zip(&after[0]) {
            let (low, high) = (before.min(*after), before.max(*after));
            assert!(
                (low - 0.05..=high + 0.05).contains(mean),
                "{before} {mean} {after}"
            );
        }
        assert_ne!(mean[0], after[0]);
        // Gamma and beta of the batch norm learn, its running statistics are copied.
        let statistics = adamw
            .parameters
            .iter()
            .filter(|state| state.first_moment.iter().all(|m| *m == 0.0));
        assert!(statistics.filter(|state| state.ema == state.value).count() >= 2);
    }
}
