//! A split of annotated pictures: a folder of pictures and the CSV of their true boxes, put together.
//!
//! In go `SPLIT/FOLDER/IMAGE_ID.jpg` and the CSV, out comes every picture with its rows (some have none)
//! and beside them all that is wrong: rows that are no boxes, rows whose picture is missing. Evaluation
//! and training read their data here and nowhere else. What can't be used is named and passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;
use walkdir::WalkDir;

use crate::annotations::{Annotation, Annotations, AnnotationsError, RowError};
use crate::detect::{DetectError, Detector, Prediction};
use crate::evaluate::{Evaluation, pan};
use crate::frame::{Frame, Origin};
use crate::picture::{self, PictureError};
use crate::preprocess::{PreprocessError, preprocess};

/// The pictures of a split with their true boxes.
#[derive(Debug, Default)]
pub struct Split {
    /// All pictures, in the order of their paths.
    pub pictures: Vec<AnnotatedPicture>,
    /// What was passed over.
    pub faults: Vec<SplitFault>,
}

/// A picture and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedPicture {
    /// Its file.
    pub path: PathBuf,
    /// Name of the folder that it lies in: the class of the picture as a whole.
    pub folder: String,
    /// Its true boxes; may be empty.
    pub rows: Vec<Annotation>,
}

/// Pictures with what a detector told of them.
pub type Told<'s, T> = Vec<(&'s AnnotatedPicture, T)>;

/// What came of a picture: the detector's word, its failure, or a fault of the picture.
type Answer<T> = Result<Result<T, DetectError>, SplitFault>;

/// Something in a split that can't be used; the rest of the split can.
#[derive(Debug, Error)]
pub enum SplitFault {
    /// A row of the CSV is no box.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A row's picture is not there.
    #[error("annotations {file}, line {line}: its picture {} is missing; add it or remove the row", picture.display())]
    MissingPicture {
        /// The CSV.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Where the picture should be.
        picture: PathBuf,
    },
    /// A picture can't be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A picture can't be preprocessed.
    #[error("picture {}: {source}", path.display())]
    Preprocess {
        /// The picture.
        path: PathBuf,
        /// What is wrong.
        source: PreprocessError,
    },
}

/// A split of which nothing can be used.
#[derive(Debug, Error)]
pub enum SplitError {
    /// The CSV can't be read.
    #[error(transparent)]
    Annotations(#[from] AnnotationsError),
    /// The folder can't be listed.
    #[error("folder {}: can't be listed ({source}); check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// There is no picture in the folders of the folder.
    #[error("folder {}: has no pictures; they are looked for as FOLDER/CLASS/IMAGE_ID.jpg", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

impl Split {
    /// Lists the pictures one folder below `folder` and joins them with the rows of the CSV.
    ///
    /// # Errors
    /// [`SplitError`] when there is nothing to join; single faults are entries of [`Split::faults`].
    pub fn read(folder: &Path, annotations: &Path) -> Result<Self, SplitError> {
        let Annotations { rows, faults } = Annotations::read(annotations)?;
        let mut pictures = list(folder)?;
        let mut split = Self {
            faults: faults.into_iter().map(SplitFault::from).collect(),
            ..Self::default()
        };
        for row in rows {
            let path = row.picture(folder);
            match pictures.get_mut(&path) {
                Some(picture) => picture.rows.push(row),
                None => split.faults.push(SplitFault::MissingPicture {
                    file: annotations.display().to_string(),
                    line: row.line,
                    picture: path,
                }),
            }
        }
        split.pictures = pictures.into_values().collect();
        Ok(split)
    }

    /// Lists the pictures one folder below `folder`, of which nothing is known but that folder.
    ///
    /// # Errors
    /// [`SplitError`] when there are none.
    pub fn without_rows(folder: &Path) -> Result<Self, SplitError> {
        Ok(Self {
            pictures: list(folder)?.into_values().collect(),
            faults: Vec::new(),
        })
    }

    /// Lets a detector predict every picture, on `threads` threads, and sums up what it said.
    ///
    /// Pictures that can't be read are given back and don't count. `seen` is called after each picture.
    /// The result does not depend on the number of threads.
    ///
    /// # Errors
    /// The first failure of the detector itself.
    pub fn evaluate<D: Detector + Clone>(
        &self,
        detector: &D,
        threads: usize,
        seen: &(dyn Fn() + Sync),
    ) -> Result<(Evaluation, Vec<SplitFault>), DetectError> {
        let (predictions, faults) = self.predict(detector, threads, seen)?;
        let mut evaluation = Evaluation::new(detector.card().labels.clone());
        for (picture, prediction) in predictions {
            evaluation.add(&picture.folder, &picture.rows, &prediction);
        }
        Ok((evaluation, faults))
    }

    /// What a detector says of every picture, in the order of the pictures; otherwise as
    /// [`Split::evaluate`].
    ///
    /// # Errors
    /// The first failure of the detector itself.
    pub fn predict<D: Detector + Clone>(
        &self,
        detector: &D,
        threads: usize,
        seen: &(dyn Fn() + Sync),
    ) -> Result<(Told<'_, Prediction>, Vec<SplitFault>), DetectError> {
        let answers = self.each(detector, threads, seen, AnnotatedPicture::predict);
        self.sorted_out(answers)
    }

    /// What a detector says of every frame of a slow [`pan`] over each picture; otherwise as
    /// [`Split::predict`].
    ///
    /// # Errors
    /// The first failure of the detector itself.
    pub fn predict_pans<D: Detector + Clone>(
        &self,
        detector: &D,
        threads: usize,
        seen: &(dyn Fn() + Sync),
    ) -> Result<(Told<'_, Vec<Prediction>>, Vec<SplitFault>), DetectError> {
        let answers = self.each(detector, threads, seen, AnnotatedPicture::predict_pan);
        self.sorted_out(answers)
    }

    /// What `look` gives for every picture, in their order: a sum of floats depends on its order.
    fn each<D: Detector + Clone, T: Send>(
        &self,
        detector: &D,
        threads: usize,
        seen: &(dyn Fn() + Sync),
        look: fn(&AnnotatedPicture, &mut D) -> T,
    ) -> BTreeMap<usize, T> {
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                let (mut detector, next, answers) = (detector.clone(), &next, &answers);
                scope.spawn(move || {
                    while let Some((index, picture)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        self.pictures.get(index).map(|picture| (index, picture))
                    } {
                        let answer = look(picture, &mut detector);
                        // A poisoned lock means that another thread panicked; the scope ends with it.
                        if let Ok(mut all) = answers.lock() {
                            all.insert(index, answer);
                        }
                        seen();
                    }
                });
            }
        });
        answers.into_inner().unwrap_or_default()
    }

    fn sorted_out<T>(
        &self,
        answers: BTreeMap<usize, Answer<T>>,
    ) -> Result<(Told<'_, T>, Vec<SplitFault>), DetectError> {
        let (mut told, mut faults) = (Vec::new(), Vec::new());
        for (index, answer) in answers {
            match answer {
                Ok(said) => told.push((&self.pictures[index], said?)),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((told, faults))
    }
}

impl AnnotatedPicture {
    /// The picture as a frame.
    ///
    /// # Errors
    /// [`PictureError`] when the file is no picture.
    pub fn frame(&self) -> Result<Frame, PictureError> {
        let origin = Origin::Picture(self.path.clone());
        Ok(Frame::new(0, origin, picture::open(&self.path)?))
    }

    /// The true box that covers most of the picture; the first of equals.
    #[must_use]
    pub fn largest(&self) -> Option<&Annotation> {
        let area = |row: &Annotation| row.bounding_box.area();
        self.rows
            .iter()
            .reduce(|best, row| if area(row) > area(best) { row } else { best })
    }

    fn predict<D: Detector>(&self, detector: &mut D) -> Answer<Prediction> {
        self.predict_frame(&self.frame()?, detector)
    }

    fn predict_pan<D: Detector>(&self, detector: &mut D) -> Answer<Vec<Prediction>> {
        let mut said = Vec::new();
        for image in pan(&self.frame()?.image) {
            let frame = Frame::new(0, Origin::Live, image);
            match self.predict_frame(&frame, detector)? {
                Ok(prediction) => said.push(prediction),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(said))
    }

    fn predict_frame<D: Detector>(&self, frame: &Frame, detector: &mut D) -> Answer<Prediction> {
        let input =
            preprocess(frame, detector.card()).map_err(|source| SplitFault::Preprocess {
                path: self.path.clone(),
                source,
            })?;
        Ok(detector.predict(&input))
    }
}

fn list(folder: &Path) -> Result<BTreeMap<PathBuf, AnnotatedPicture>, SplitError> {
    let mut pictures = BTreeMap::new();
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(2)
        .follow_links(true)
    {
        let entry = entry.map_err(|error| SplitError::Folder {
            path: folder.to_owned(),
            source: error.into(),
        })?;
        if entry.depth() < 2 || !picture::is_image_path(entry.path()) {
            continue;
        }
        let parent = entry.path().parent().and_then(Path::file_name);
        let picture = AnnotatedPicture {
            path: entry.path().to_owned(),
            folder: parent.unwrap_or_default().to_string_lossy().into_owned(),
            rows: Vec::new(),
        };
        pictures.insert(picture.path.clone(), picture);
    }
    if pictures.is_empty() {
        let path = folder.to_owned();
        return Err(SplitError::Empty { path });
    }
    Ok(pictures)
}
