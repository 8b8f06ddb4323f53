//! Runs a detector over a dataset on several threads.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

use super::Evaluation;
use super::sliding_window::sliding_window;
use crate::dataset::{AnnotatedPicture, Dataset};
use crate::detect::{DetectError, Detector, Prediction};
use crate::frame::{Frame, Origin};
use crate::picture::PictureError;
use crate::preprocess::{PreprocessError, preprocess};

/// Predicts the pictures of a dataset. The result does not depend on the number of threads.
pub struct Evaluator<'a, D> {
    detector: &'a D,
    threads: usize,
    on_picture: &'a (dyn Fn() + Sync),
}

/// Pictures in the order of the dataset, each with what a detector predicted for it.
pub struct Predictions<'d, T = Prediction> {
    pub pictures: Vec<(&'d AnnotatedPicture, T)>,
    /// Width and height of each picture, in pixels.
    pub sizes: Vec<[u32; 2]>,
    pub skipped: Vec<SkippedPicture>,
}

/// A picture without a prediction.
#[derive(Debug, Error)]
pub enum SkippedPicture {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("picture {}: {source}", path.display())]
    Preprocess {
        path: PathBuf,
        source: PreprocessError,
    },
}

/// The prediction, a failure of the detector, or why the picture was skipped.
type Outcome<T> = Result<Result<T, DetectError>, SkippedPicture>;

/// A picture's width and height in pixels, and what was predicted for it.
type WithSize<T> = ([u32; 2], T);

impl<'a, D: Detector + Clone> Evaluator<'a, D> {
    /// `on_picture` is called after each picture, from any of the threads.
    pub fn new(detector: &'a D, threads: usize, on_picture: &'a (dyn Fn() + Sync)) -> Self {
        Self {
            detector,
            threads: threads.max(1),
            on_picture,
        }
    }

    /// Predicts every picture.
    ///
    /// # Errors
    /// The first failure of the detector.
    pub fn predict<'d>(&self, dataset: &'d Dataset) -> Result<Predictions<'d>, DetectError> {
        self.each(dataset, |picture, detector| {
            let frame = picture.frame()?;
            let prediction = predict_frame(&picture.path, &frame, detector)?;
            Ok(prediction.map(|prediction| (frame.image.dimensions().into(), prediction)))
        })
    }

    /// Predicts a clip of every picture: the frames of a window that slides over it.
    ///
    /// # Errors
    /// The first failure of the detector.
    pub fn predict_clips<'d>(
        &self,
        dataset: &'d Dataset,
    ) -> Result<Predictions<'d, Vec<Prediction>>, DetectError> {
        self.each(dataset, |picture, detector| {
            let mut clip = Vec::new();
            let whole = picture.frame()?;
            for image in sliding_window(&whole.image) {
                let frame = Frame::new(0, Origin::Live, image);
                match predict_frame(&picture.path, &frame, detector)? {
                    Ok(prediction) => clip.push(prediction),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok((whole.image.dimensions().into(), clip)))
        })
    }

    /// Predicts every picture and compares the predictions with the ground truth.
    ///
    /// # Errors
    /// The first failure of the detector.
    pub fn evaluate(
        &self,
        dataset: &Dataset,
    ) -> Result<(Evaluation, Vec<SkippedPicture>), DetectError> {
        let predictions = self.predict(dataset)?;
        let labels = self.detector.card().labels.clone();
        Ok((Evaluation::of(&predictions, labels), predictions.skipped))
    }

    fn each<'d, T: Send>(
        &self,
        dataset: &'d Dataset,
        predict: impl Fn(&AnnotatedPicture, &mut D) -> Outcome<WithSize<T>> + Sync,
    ) -> Result<Predictions<'d, T>, DetectError> {
        let next = AtomicUsize::new(0);
        let work = |mut detector: D| {
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(picture) = dataset.pictures.get(index) else {
                    return outcomes;
                };
                outcomes.push((index, predict(picture, &mut detector)));
                (self.on_picture)();
            }
        };
        let mut outcomes: Vec<_> = std::thread::scope(|scope| {
            let start = |_| {
                let (detector, work) = (self.detector.clone(), &work);
                scope.spawn(move || work(detector))
            };
            let threads: Vec<_> = (0..self.threads).map(start).collect();
            let join = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            join.flat_map(|outcomes| outcomes.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        // A sum of floats depends on the order of its terms.
        outcomes.sort_unstable_by_key(|(index, _)| *index);
        let mut predictions = Predictions {
            pictures: Vec::new(),
            sizes: Vec::new(),
            skipped: Vec::new(),
        };
        for (index, outcome) in outcomes {
            match outcome {
                Ok(prediction) => {
                    let (size, prediction) = prediction?;
                    let picture = &dataset.pictures[index];
                    predictions.pictures.push((picture, prediction));
                    predictions.sizes.push(size);
                }
                Err(skipped) => predictions.skipped.push(skipped),
            }
        }
        Ok(predictions)
    }
}

/// Runs the detector on the frame of the picture `path`.
pub(super) fn predict_frame<D: Detector>(
    path: &Path,
    frame: &Frame,
    detector: &mut D,
) -> Outcome<Prediction> {
    let input = preprocess(frame, detector.card());
    let input = input.map_err(|source| SkippedPicture::Preprocess {
        path: path.to_owned(),
        source,
    })?;
    Ok(detector.predict(&input))
}
