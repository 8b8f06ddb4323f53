//! Cached features: the frozen part of the backbone runs once over every cached view of every picture.
//!
//! A thread of its own decodes and preprocesses the pictures meanwhile. Features are kept in half precision.

use std::sync::mpsc::sync_channel;

use boxcam::card::{InputSpec, ModelCard, TensorLayout};
use boxcam::picture::PictureError;
use boxcam::preprocess::{InputTensor, PreprocessError, preprocess};
use burn::prelude::*;
use half::f16;
use half::slice::HalfFloatSliceExt;
use thiserror::Error;

use crate::network::{Backbone, to_vec};
use crate::samples::TrainingImage;

/// Views per batch.
const BATCH: usize = 16;

#[derive(Debug)]
pub struct Features {
    /// Height, width, channels.
    shape: [usize; 3],
    values: Vec<f16>,
    /// Index of each picture's first view; `None` for an unreadable picture.
    first_view: Vec<Option<usize>>,
    /// Number of views of each picture.
    views: Vec<usize>,
}

/// Why a picture has no features.
#[derive(Debug, Error)]
pub enum FeatureError {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl Features {
    /// Computes the features of all views and calls `done` after each picture, with the error of an unreadable one.
    pub fn compute(
        pictures: &[TrainingImage],
        card: &ModelCard,
        frozen: &Backbone,
        device: &Device,
        mut done: impl FnMut(Option<FeatureError>),
    ) -> Self {
        let mut features = Self {
            shape: [0; 3],
            values: Vec::new(),
            first_view: Vec::with_capacity(pictures.len()),
            views: pictures
                .iter()
                .map(|picture| picture.augmentations.len())
                .collect(),
        };
        let mut pending: Vec<InputTensor> = Vec::new();
        let mut count = 0;
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(BATCH);
            scope.spawn(move || {
                for picture in pictures {
                    // The receiver is dropped only when this function unwinds.
                    if send.send(tensors(picture, card)).is_err() {
                        return;
                    }
                }
            });
            for tensors in receive {
                let error = match tensors {
                    Ok(tensors) => {
                        features.first_view.push(Some(count));
                        count += tensors.len();
                        pending.extend(tensors);
                        None
                    }
                    Err(error) => {
                        features.first_view.push(None);
                        Some(error)
                    }
                };
                if pending.len() >= BATCH {
                    features.compute_batch(&mut pending, frozen, device);
                }
                done(error);
            }
        });
        if !pending.is_empty() {
            features.compute_batch(&mut pending, frozen, device);
        }
        features
    }

    fn compute_batch(
        &mut self,
        pending: &mut Vec<InputTensor>,
        frozen: &Backbone,
        device: &Device,
    ) {
        let values: Vec<f32> = pending.iter().flat_map(InputTensor::to_f32).collect();
        let shape = pending.first().map_or([1, 0, 0, 3], InputTensor::shape);
        let data = TensorData::new(values, [pending.len(), shape[1], shape[2], shape[3]]);
        let output = frozen.forward(Tensor::from_data(data, device));
        let [_, height, width, channels] = output.dims();
        self.shape = [height, width, channels];
        // Reserve exactly: growing by doubling would need up to twice the memory.
        let views: usize = self.views.iter().sum();
        let missing = (views * height * width * channels).saturating_sub(self.values.len());
        self.values.reserve_exact(missing);
        self.values
            .extend(to_vec(output).into_iter().map(f16::from_f32));
        pending.clear();
    }

    /// Whether the picture has features; an unreadable one has none.
    #[must_use]
    pub fn has(&self, picture: usize) -> bool {
        self.first_view[picture].is_some()
    }

    #[must_use]
    pub fn views(&self, picture: usize) -> usize {
        self.views[picture]
    }

    /// Height, width and channels of one view.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Appends the features of a view to `to`; nothing for an unreadable picture.
    pub fn append(&self, picture: usize, view: usize, to: &mut Vec<f32>) {
        let size = self.shape.iter().product::<usize>();
        if let Some(first) = self.first_view[picture] {
            let stored = &self.values[(first + view) * size..][..size];
            let start = to.len();
            to.resize(start + size, 0.0);
            stored.convert_to_f32_slice(&mut to[start..]);
        }
    }
}

/// The card with a channels-last input, as the network reads it in training.
#[must_use]
pub fn channels_last(card: &ModelCard) -> ModelCard {
    ModelCard {
        input: InputSpec {
            layout: TensorLayout::Nhwc,
            ..card.input.clone()
        },
        ..card.clone()
    }
}

fn tensors(picture: &TrainingImage, card: &ModelCard) -> Result<Vec<InputTensor>, FeatureError> {
    let frames = picture.cached()?;
    let tensors = frames.iter().map(|frame| preprocess(frame, card));
    Ok(tensors.collect::<Result<_, _>>()?)
}
