//! The feed: batches made ready by a thread of their own while the one before is learnt.
//!
//! In goes a plan (which view of which picture, batch by batch), out come [`Loaded`] batches in that order. A
//! batch is made of pictures, read, seen through their view and preprocessed as on the device, or of features
//! that were computed before. A picture that can't be read is named and left out of its batch. Nothing is
//! drawn by chance here: the same plan gives the same batches.

use std::sync::mpsc::sync_channel;

use boxcam::card::ModelCard;
use boxcam::preprocess::preprocess;
use burn::prelude::*;

use crate::examples::Picture;
use crate::features::{FeatureError, Features};
use crate::view::View;

/// Batches that wait ready.
const AHEAD: usize = 3;

/// One view of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What the taker knows it by.
    pub example: usize,
    /// Index of the picture.
    pub picture: usize,
    /// Which view.
    pub look: Look,
    /// How much of the next view of the batch, or of the first one where this is the last, is mixed into it, `0..1`.
    pub share_of_next: f32,
}

impl Wanted {
    /// A view with nothing mixed in.
    #[must_use]
    pub fn alone(example: usize, picture: usize, look: Look) -> Self {
        Self {
            example,
            picture,
            look,
            share_of_next: 0.0,
        }
    }
}

/// Which view of a picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// One of its kept views.
    Kept(usize),
    /// A new one.
    New(View),
}

/// Where batches come from.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// The pictures.
    pub pictures: &'a [Picture],
    /// What they are preprocessed for; its picture is channels last.
    pub card: &'a ModelCard,
    /// Their features, where part of the trunk is frozen.
    pub features: Option<&'a Features>,
}

/// A batch.
#[derive(Debug)]
pub struct Loaded {
    /// What could be read, in the order wanted.
    pub shown: Vec<Wanted>,
    /// What could not.
    pub faults: Vec<FeatureError>,
    values: Vec<f32>,
    shape: [usize; 3],
}

impl Loaded {
    fn mix(&mut self) {
        let size: usize = self.shape.iter().product();
        let first = self.values.iter().take(size).copied().collect::<Vec<f32>>();
        for (index, wanted) in self.shown.iter().enumerate() {
            let share = wanted.share_of_next;
            if share == 0.0 {
                continue;
            }
            let (own, next) = self.values[index * size..].split_at_mut(size);
            let next = if next.is_empty() { &first } else { &*next };
            for (own, next) in own.iter_mut().zip(next) {
                *own += share * (next - *own);
            }
        }
    }

    /// The batch on a device: `[shown, height, width, channels]`.
    #[must_use]
    pub fn tensor(self, device: &Device) -> Tensor<4> {
        let [height, width, channels] = self.shape;
        let shape = [self.shown.len(), height, width, channels];
        Tensor::from_data(TensorData::new(self.values, shape), device)
    }
}

impl Feed<'_> {
    /// Makes the batches of a plan and hands them over one after the other, until `take` says no.
    pub fn batches(&self, plan: Vec<Vec<Wanted>>, mut take: impl FnMut(Loaded) -> bool) {
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                for batch in plan {
                    if send.send(self.load(batch)).is_err() {
                        return;
                    }
                }
            });
            for loaded in receive {
                if !take(loaded) {
                    return;
                }
            }
        });
    }

    fn load(&self, batch: Vec<Wanted>) -> Loaded {
        let input = &self.card.input;
        let mut loaded = Loaded {
            shown: Vec::with_capacity(batch.len()),
            faults: Vec::new(),
            values: Vec::new(),
            shape: match self.features {
                Some(features) => features.shape(),
                None => [input.height as usize, input.width as usize, 3],
            },
        };
        for wanted in batch {
            let before = loaded.values.len();
            match self.append(&wanted, &mut loaded.values) {
                Ok(()) if loaded.values.len() > before => loaded.shown.push(wanted),
                // Its features are missing because it could not be read; that was said then.
                Ok(()) => {}
                Err(fault) => loaded.faults.push(fault),
            }
        }
        loaded.mix();
        loaded
    }

    fn append(&self, wanted: &Wanted, to: &mut Vec<f32>) -> Result<(), FeatureError> {
        let picture = &self.pictures[wanted.picture];
        let view = match (&wanted.look, self.features) {
            (Look::Kept(view), Some(features)) => {
                features.append(wanted.picture, *view, to);
                return Ok(());
            }
            (Look::Kept(view), None) => &picture.views[*view],
            (Look::New(view), _) => view,
        };
        to.extend(preprocess(&picture.show(view)?, self.card)?.to_f32());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_next_view_is_mixed_in_and_the_last_one_takes_of_the_first() {
        let wanted = |share_of_next| Wanted {
            share_of_next,
            ..Wanted::alone(0, 0, Look::Kept(0))
        };
        let mut loaded = Loaded {
            shown: vec![wanted(0.25), wanted(0.0), wanted(0.5)],
            faults: Vec::new(),
            values: vec![0.0, 4.0, 8.0, 8.0, 1.0, -1.0],
            shape: [1, 2, 1],
        };
        loaded.mix();
        assert_eq!(loaded.values, [2.0, 5.0, 8.0, 8.0, 0.5, 1.5]);
    }
}
