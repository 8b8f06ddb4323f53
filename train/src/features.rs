//! Features: what the frozen part of the trunk says of every kept view of every picture, computed once.
//!
//! In go pictures and a frozen trunk, out come [`Features`] kept in half precision. Reading and preprocessing
//! pictures goes on beside the computing. A picture that can't be read is named and left out.

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

/// Views that go through the trunk at a time.
const BATCH: usize = 16;

/// The features of pictures, view by view.
#[derive(Debug)]
pub struct Features {
    /// Height, width, channels.
    shape: [usize; 3],
    values: Vec<f16>,
    /// For each picture the index of its first view, or none where it can't be read.
    first_view: Vec<Option<usize>>,
    views: Vec<usize>,
}

/// A picture that gives no features.
#[derive(Debug, Error)]
pub enum FeatureError {
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
        pictures: &[TrainingImage],
        card: &ModelCard,
        trunk: &Backbone,
        device: &Device,
        mut seen: impl FnMut(Option<FeatureError>),
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

    fn take(&mut self, waiting: &mut Vec<InputTensor>, trunk: &Backbone, device: &Device) {
        let values: Vec<f32> = waiting.iter().flat_map(InputTensor::to_f32).collect();
        let shape = waiting.first().map_or([1, 0, 0, 3], InputTensor::shape);
        let data = TensorData::new(values, [waiting.len(), shape[1], shape[2], shape[3]]);
        let output = trunk.forward(Tensor::from_data(data, device));
        let [_, height, width, channels] = output.dims();
        self.shape = [height, width, channels];
        // All at once: a vector that doubles would for a while take twice what is needed.
        let views: usize = self.views.iter().sum();
        let missing = (views * height * width * channels).saturating_sub(self.values.len());
        self.values.reserve_exact(missing);
        self.values
            .extend(to_vec(output).into_iter().map(f16::from_f32));
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

    /// Height, width and channels of a view's features.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Puts the features of a view behind other numbers; nothing of a picture that could not be read.
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

/// The card with its picture channels last, as the network takes it in training.
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
