//! Features: what the frozen part of the trunk says of every view of every picture, computed once.
//!
//! In go pictures and a frozen trunk, out come [`Features`] kept in 8 bits (steps of 6/255: the last
//! activation is a `relu6`, and the network will run in 8 bits anyway). Reading and preprocessing pictures
//! goes on beside the computing. A picture that can't be read is named and left out.

use std::sync::mpsc::sync_channel;

use boxcam::card::ModelCard;
use boxcam::picture::PictureError;
use boxcam::preprocess::{InputTensor, PreprocessError, preprocess};
use burn::prelude::*;
use thiserror::Error;

use crate::examples::Picture;
use crate::network::{ConvStack, numbers};

/// Views that go through the trunk at a time.
const BATCH: usize = 16;

/// The step of a stored feature.
const STEP: f32 = 6.0 / 255.0;

/// The features of pictures, view by view.
#[derive(Debug)]
pub struct Features {
    shape: [usize; 3],
    values: Vec<u8>,
    /// For each picture the index of its first view, or none where it can't be read.
    first_view: Vec<Option<usize>>,
    views: Vec<usize>,
}

/// A picture that gives no features.
#[derive(Debug, Error)]
pub enum FeatureFault {
    /// It can't be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// It can't be preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl Features {
    /// Computes the features of all views. `seen` is called after each picture with the fault that it
    /// has, if any.
    pub fn compute(
        pictures: &[Picture],
        card: &ModelCard,
        trunk: &ConvStack,
        device: &Device,
        mut seen: impl FnMut(Option<FeatureFault>),
    ) -> Self {
        let mut features = Self {
            shape: [0; 3],
            values: Vec::new(),
            first_view: Vec::with_capacity(pictures.len()),
            views: pictures.iter().map(|picture| picture.views.len()).collect(),
        };
        let mut waiting: Vec<InputTensor> = Vec::new();
        let mut count = 0;
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(BATCH);
            scope.spawn(move || {
                for picture in pictures {
                    // The receiver is gone only when this whole computation is.
                    if send.send(tensors(picture, card)).is_err() {
                        return;
                    }
                }
            });
            for tensors in receive {
                let fault = match tensors {
                    Ok(tensors) => {
                        features.first_view.push(Some(count));
                        count += tensors.len();
                        waiting.extend(tensors);
                        None
                    }
                    Err(fault) => {
                        features.first_view.push(None);
                        Some(fault)
                    }
                };
                if waiting.len() >= BATCH {
                    features.take(&mut waiting, trunk, device);
                }
                seen(fault);
            }
        });
        if !waiting.is_empty() {
            features.take(&mut waiting, trunk, device);
        }
        features
    }

    fn take(&mut self, waiting: &mut Vec<InputTensor>, trunk: &ConvStack, device: &Device) {
        let output = trunk.forward(batch(waiting, device));
        let [_, channels, height, width] = output.dims();
        self.shape = [channels, height, width];
        // All at once: a vector that doubles would for a while take twice what is needed.
        let views: usize = self.views.iter().sum();
        let missing = (views * channels * height * width).saturating_sub(self.values.len());
        self.values.reserve_exact(missing);
        let stored = |v: f32| (v / STEP).round() as u8;
        self.values.extend(numbers(output).into_iter().map(stored));
        waiting.clear();
    }

    /// Whether the picture could be read.
    #[must_use]
    pub fn has(&self, picture: usize) -> bool {
        self.first_view[picture].is_some()
    }

    /// How many views there are of a picture.
    #[must_use]
    pub fn views(&self, picture: usize) -> usize {
        self.views[picture]
    }

    /// A batch of the features of `(picture, view)` pairs: `[pairs, channels, height, width]`.
    #[must_use]
    pub fn batch(&self, wanted: &[(usize, usize)], device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        let mut values = Vec::with_capacity(wanted.len() * size);
        for &(picture, view) in wanted {
            let first = self.first_view[picture].unwrap_or_default();
            let stored = &self.values[(first + view) * size..][..size];
            values.extend(stored.iter().map(|&q| f32::from(q) * STEP));
        }
        let data = TensorData::new(values, [wanted.len(), channels, height, width]);
        Tensor::from_data(data, device)
    }
}

fn tensors(picture: &Picture, card: &ModelCard) -> Result<Vec<InputTensor>, FeatureFault> {
    let frames = picture.render()?;
    let tensors = frames.iter().map(|frame| preprocess(frame, card));
    Ok(tensors.collect::<Result<_, _>>()?)
}

/// Input tensors of one card as one batch on a device.
#[must_use]
pub fn batch(inputs: &[InputTensor], device: &Device) -> Tensor<4> {
    let [_, channels, height, width] = inputs.first().map_or([1, 3, 0, 0], InputTensor::shape);
    let values: Vec<f32> = inputs.iter().flat_map(InputTensor::to_f32).collect();
    let data = TensorData::new(values, [inputs.len(), channels, height, width]);
    Tensor::from_data(data, device)
}
