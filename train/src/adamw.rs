//! AdamW (Loshchilov & Hutter 2019) over all numbers of a module, and the mean of its weights over time.
//!
//! In go a module and the gradients of one step, out comes the module one step on. All state is plain lists of
//! numbers in the order in which the module is visited, so that a training can be put away and taken up again
//! with the same result to the bit ([`crate::checkpoint`]).

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use rayon::prelude::*;

use crate::network::numbers;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// What is known of one parameter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slot {
    /// Its value.
    pub value: Vec<f32>,
    /// Mean of its gradients.
    pub mean: Vec<f32>,
    /// Mean of their squares.
    pub square: Vec<f32>,
    /// Mean of its values.
    pub averaged: Vec<f32>,
}

/// The optimizer of one module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdamW {
    /// One for each parameter, in the order in which the module is visited; running statistics too.
    pub slots: Vec<Slot>,
    /// Steps made.
    pub steps: u64,
}

/// How one step is made.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay, of weights, not of biases.
    pub decay: f32,
    /// How far the moving average of the weights moves towards the weights: 1 - EMA decay.
    pub averaging: f32,
    /// Largest L2 norm of the module's gradients; longer ones are scaled down.
    pub clip_norm: f32,
}

impl AdamW {
    /// For a module as it is.
    #[must_use]
    pub fn new<M: Module>(module: &M) -> Self {
        let slot = |value: Vec<f32>| Slot {
            mean: vec![0.0; value.len()],
            square: vec![0.0; value.len()],
            averaged: value.clone(),
            value,
        };
        Self {
            slots: values(module).into_iter().map(slot).collect(),
            steps: 0,
        }
    }

    /// One step. A parameter without a gradient, as running statistics are, stays as the module has it.
    #[must_use]
    pub fn step<M: Module>(&mut self, module: M, gradients: GradientsParams, step: Step) -> M {
        self.steps += 1;
        // Running statistics are told as they were when the module was last mapped.
        let module = with(module, std::iter::empty());
        let mut found = Gradients {
            source: gradients,
            of: Vec::new(),
        };
        module.visit(&mut found);
        let norm = found.norm();
        let scale = if norm > step.clip_norm {
            step.clip_norm / norm
        } else {
            1.0
        };
        // Early averages take in what was before the first steps only a little.
        let averaging = step.averaging.max(1.0 / (self.steps as f32 + 1.0));
        let step = Step { averaging, ..step };
        for (slot, found) in self.slots.iter_mut().zip(found.of) {
            match found {
                Found::Gradient { values, decays } => {
                    let decay = if decays { step.decay } else { 0.0 };
                    slot.step(&values, scale, self.steps, Step { decay, ..step });
                }
                Found::Value(value) => {
                    slot.averaged.clone_from(&value);
                    slot.value = value;
                }
            }
        }
        with(module, self.slots.iter().map(|slot| slot.value.as_slice()))
    }

    /// A module with the mean of the weights.
    #[must_use]
    pub fn averaged<M: Module>(&self, module: M) -> M {
        with(
            module,
            self.slots.iter().map(|slot| slot.averaged.as_slice()),
        )
    }

    /// A module with the weights of the last step.
    #[must_use]
    pub fn current<M: Module>(&self, module: M) -> M {
        with(module, self.slots.iter().map(|slot| slot.value.as_slice()))
    }
}

impl Slot {
    fn step(&mut self, gradient: &[f32], scale: f32, steps: u64, step: Step) {
        let bias_1 = 1.0 - f64::from(BETA_1).powf(steps as f64);
        let bias_2 = 1.0 - f64::from(BETA_2).powf(steps as f64);
        let rate = (step.rate / bias_1) as f32;
        let bias_2 = (1.0 / bias_2) as f32;
        let shrink = 1.0 - step.rate as f32 * step.decay;
        let numbers = (
            &mut self.value,
            &mut self.mean,
            &mut self.square,
            &mut self.averaged,
            gradient,
        );
        numbers.into_par_iter().with_min_len(1 << 14).for_each(
            |(value, mean, square, averaged, gradient)| {
                let gradient = gradient * scale;
                *mean = BETA_1 * *mean + (1.0 - BETA_1) * gradient;
                *square = BETA_2 * *square + (1.0 - BETA_2) * gradient * gradient;
                *value = *value * shrink - rate * *mean / ((*square * bias_2).sqrt() + EPSILON);
                *averaged += step.averaging * (*value - *averaged);
            },
        );
    }
}

/// What a step has of one parameter.
enum Found {
    Gradient { values: Vec<f32>, decays: bool },
    Value(Vec<f32>),
}

struct Gradients {
    source: GradientsParams,
    of: Vec<Found>,
}

impl Gradients {
    fn norm(&self) -> f32 {
        let squares = self.of.iter().map(|found| match found {
            Found::Gradient { values, .. } => values.iter().map(|v| f64::from(v * v)).sum(),
            Found::Value(_) => 0.0,
        });
        squares.sum::<f64>().sqrt() as f32
    }
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.of.push(match self.source.remove::<D>(param.id) {
            Some(gradient) => Found::Gradient {
                values: numbers(gradient),
                decays: D > 1,
            },
            None => Found::Value(numbers(param.val())),
        });
    }
}

/// The values of all parameters of a module.
pub(crate) fn values<M: Module>(module: &M) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(numbers(param.val()));
        }
    }
    let mut values = Values(Vec::new());
    module.visit(&mut values);
    values.0
}

/// A module with other values, in the order in which it is visited.
fn with<'v, M: Module>(module: M, values: impl Iterator<Item = &'v [f32]>) -> M {
    struct With<I>(I);
    impl<'v, I: Iterator<Item = &'v [f32]>> ModuleMapper for With<I> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let Some(values) = self.0.next() else {
                return Param::from_mapped_value(id, tensor, mapper);
            };
            let learns = tensor.is_require_grad();
            let data = TensorData::new(values.to_vec(), tensor.dims());
            let tensor = Tensor::from_data(data, &tensor.device()).set_require_grad(learns);
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    module.map(&mut With(values))
}

#[cfg(test)]
mod tests;
