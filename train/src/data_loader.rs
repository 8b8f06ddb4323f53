//! The data loader: prepares batches in its own thread while the batch before is trained on.
//!
//! A batch is made of images (decoded, augmented and preprocessed as on the device) or of cached features. Unreadable
//! images are reported and left out. Nothing is random here: the same requests give the same batches.

use std::sync::mpsc::sync_channel;

use boxcam::card::ModelCard;
use boxcam::frame::{Frame, Origin};
use boxcam::picture::PictureError;
use boxcam::preprocess::preprocess;
use burn::prelude::*;

use crate::augmentation::Augmentation;
use crate::features::{FeatureError, Features};
use crate::mosaic::Mosaic;
use crate::samples::TrainingImage;
use crate::scenes::{Scene, SceneSource};
use crate::truth::Truth;

/// Prepared batches that wait.
const PREFETCH: usize = 3;

/// One sample of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRequest {
    /// Index of the sample, for the caller.
    pub sample: usize,
    /// Index of its image.
    pub image: usize,
    pub augmented: Augmented,
    /// Share of the batch's next sample, or for the last of its first one, that is blended in, `0..1`.
    pub mixup_ratio: f32,
    /// What the picture shows, for a head for several objects.
    pub truth: Option<Truth>,
}

impl SampleRequest {
    /// Without mixup and without a truth.
    #[must_use]
    pub fn new(sample: usize, image: usize, augmented: Augmented) -> Self {
        Self {
            sample,
            image,
            augmented,
            mixup_ratio: 0.0,
            truth: None,
        }
    }
}

/// Which augmentation of an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Augmented {
    /// One of its cached ones.
    Cached(usize),
    New(Augmentation),
    /// A mosaic of these images, in its order.
    Mosaic(Mosaic, [usize; 4], Augmentation),
    /// None of the images, but a scene.
    Scene(Scene, Augmentation),
}

#[derive(Debug, Clone, Copy)]
pub struct DataLoader<'a> {
    pub images: &'a [TrainingImage],
    /// The card to preprocess for, channels last.
    pub card: &'a ModelCard,
    /// Cached features, if part of the backbone is frozen.
    pub features: Option<&'a Features>,
    /// What scenes are made of.
    pub scenes: Option<&'a SceneSource>,
}

#[derive(Debug)]
pub struct Batch {
    /// The samples that could be read, in the order of the request.
    pub samples: Vec<SampleRequest>,
    /// Why others could not.
    pub errors: Vec<FeatureError>,
    values: Vec<f32>,
    shape: [usize; 3],
}

impl Batch {
    fn mix(&mut self) {
        let size: usize = self.shape.iter().product();
        let first = self.values.iter().take(size).copied().collect::<Vec<f32>>();
        for (index, request) in self.samples.iter().enumerate() {
            let ratio = request.mixup_ratio;
            if ratio == 0.0 {
                continue;
            }
            let (own, next) = self.values[index * size..].split_at_mut(size);
            let next = if next.is_empty() { &first } else { &*next };
            for (own, next) in own.iter_mut().zip(next) {
                *own += ratio * (next - *own);
            }
        }
    }

    /// The batch on a device: `[samples, height, width, channels]`.
    #[must_use]
    pub fn tensor(self, device: &Device) -> Tensor<4> {
        let [height, width, channels] = self.shape;
        let shape = [self.samples.len(), height, width, channels];
        Tensor::from_data(TensorData::new(self.values, shape), device)
    }
}

impl DataLoader<'_> {
    /// Passes one batch after the other to `take`, until it returns `false`.
    pub fn batches(&self, requests: Vec<Vec<SampleRequest>>, mut take: impl FnMut(Batch) -> bool) {
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(PREFETCH);
            scope.spawn(move || {
                for batch in requests {
                    if send.send(self.load(batch)).is_err() {
                        return;
                    }
                }
            });
            for batch in receive {
                if !take(batch) {
                    return;
                }
            }
        });
    }

    fn load(&self, requests: Vec<SampleRequest>) -> Batch {
        let input = &self.card.input;
        let mut batch = Batch {
            samples: Vec::with_capacity(requests.len()),
            errors: Vec::new(),
            values: Vec::new(),
            shape: match self.features {
                Some(features) => features.shape(),
                None => [input.height as usize, input.width as usize, 3],
            },
        };
        for request in requests {
            let before = batch.values.len();
            match self.append(&request, &mut batch.values) {
                Ok(()) if batch.values.len() > before => batch.samples.push(request),
                // It has no features; that was reported when they were computed.
                Ok(()) => {}
                Err(error) => batch.errors.push(error),
            }
        }
        batch.mix();
        batch
    }

    fn append(&self, request: &SampleRequest, to: &mut Vec<f32>) -> Result<(), FeatureError> {
        if let (Augmented::Cached(index), Some(features)) = (&request.augmented, self.features) {
            features.append(request.image, *index, to);
            return Ok(());
        }
        to.extend(preprocess(&self.frame(request)?, self.card)?.to_f32());
        Ok(())
    }

    /// The picture of a request before it is preprocessed.
    ///
    /// # Errors
    /// [`PictureError`] if one of its files cannot be read.
    pub fn frame(&self, request: &SampleRequest) -> Result<Frame, PictureError> {
        let image = &self.images[request.image];
        let frame = |image| Frame::new(0, Origin::Live, image);
        match &request.augmented {
            Augmented::Cached(index) => image.augmented(&image.augmentations[*index]),
            Augmented::New(augmentation) => image.augmented(augmentation),
            Augmented::Mosaic(mosaic, [a, b, c, d], augmentation) => {
                let part = |image: &usize| self.images[*image].image();
                let picture = mosaic.compose(&[part(a)?, part(b)?, part(c)?, part(d)?]);
                Ok(frame(augmentation.apply(&picture)))
            }
            Augmented::Scene(scene, augmentation) => {
                let scenes = self.scenes.expect("a planned scene has a source");
                Ok(frame(augmentation.apply(&scenes.compose(scene)?)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixup_blends_in_the_next_sample_and_for_the_last_the_first() {
        let request = |mixup_ratio| SampleRequest {
            mixup_ratio,
            ..SampleRequest::new(0, 0, Augmented::Cached(0))
        };
        let mut batch = Batch {
            samples: vec![request(0.25), request(0.0), request(0.5)],
            errors: Vec::new(),
            values: vec![0.0, 4.0, 8.0, 8.0, 1.0, -1.0],
            shape: [1, 2, 1],
        };
        batch.mix();
        assert_eq!(batch.values, [2.0, 5.0, 8.0, 8.0, 0.5, 1.5]);
    }
}
