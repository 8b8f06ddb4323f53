//! A rehearsal: steps on made-up numbers, to know how long the real ones will take.

use std::time::{Duration, Instant};

use boxcam::geometry::NormBox;
use burn::prelude::*;
use burn::tensor::Distribution;

use super::{Fit, Progress};
use crate::targets::Targets;

impl Fit<'_> {
    /// Makes so many whole steps (forward, backward, update) on noise of `[batch, side, side, channels]`,
    /// what the part that learns takes in, and gives back how long each took. What was learnt before is
    /// spoilt.
    #[must_use]
    pub fn rehearse(&mut self, shape: [usize; 4], classes: usize, steps: usize) -> Vec<Duration> {
        let batch = shape[0];
        let noise = Distribution::Uniform(-1.0, 1.0);
        let input = Tensor::random(shape, noise, &self.device);
        let truth = Targets {
            classes: Tensor::ones([batch, classes], &self.device) / classes as f32,
            boxes: Tensor::from_data(
                TensorData::new(NormBox::WHOLE.corners().repeat(batch), [batch, 4]),
                &self.device,
            ),
            has_box: Tensor::ones([batch], &self.device),
            teacher_features: None,
            examples: vec![(None, Some(NormBox::WHOLE)); batch],
        };
        let mut progress = Progress::default();
        let mut step = |_| {
            let start = Instant::now();
            // Progress reads the losses back, so that a device that works ahead has to be done.
            self.learn_batch(0.5, input.clone(), &truth, &mut progress);
            start.elapsed()
        };
        (0..steps).map(&mut step).collect()
    }
}
