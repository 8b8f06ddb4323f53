//! Calibrates the confidence of an int8 model and chooses its thresholds: the last step of `fit`.
//!
//! Everything is measured on the int8 model's own outputs, on the development part of the training pictures. Validation
//! pictures are not used.

use std::path::{Path, PathBuf};

use anyhow::Result;
use boxcam::dataset::{AnnotatedPicture, Dataset};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::frame::{Frame, Origin};
use boxcam::label::Labels;
use boxcam::picture::{self, is_image_path};
use boxcam::preprocess::preprocess;
use boxcam::walk::{self, WalkError};
use boxcam_train::confidence::{ConfidenceReport, FittedTemperature, Negatives, Threshold};
use boxcam_train::message;
use boxcam_train::negative_crops::{may_lack_a_box, negative_crop};
use boxcam_train::temperature::{cross_entropy, fit_factor, scale_logits};
use boxcam_train::thresholds::ScoredDetections;
use image::RgbImage;
use image::imageops::crop_imm;
use prost::Message;
use thiserror::Error;

use super::eval::Confidence;
use super::model_file::Int8Model;
use super::{predictions, progress};

/// Thresholds that the user has given.
#[derive(Debug, Clone, Copy)]
pub(super) struct GivenThresholds {
    pub(super) image: Option<f32>,
    pub(super) objects: Option<f32>,
}

/// What a model is calibrated on.
pub(super) struct CalibrationPictures {
    /// Number of training pictures.
    pub(super) train: usize,
    /// `None`: there is no development part, so nothing is calibrated.
    pub(super) development: Option<Dataset>,
    /// Pictures that show none of the objects. Empty: parts of the development pictures that no box touches are taken.
    pub(super) negatives: Vec<PathBuf>,
}

/// A folder of negatives that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum NegativesError {
    #[error("negatives {}: no picture is there; give a folder with photographs that show none of the objects", folder.display())]
    Empty { folder: PathBuf },
    #[error("negatives: {0}")]
    List(#[from] WalkError),
}

/// All pictures in a folder of negatives, sorted.
pub(super) fn list_negatives(folder: &Path) -> Result<Vec<PathBuf>, NegativesError> {
    let files = walk::files(folder, usize::MAX, is_image_path);
    let mut files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    files.sort();
    match files.is_empty() {
        true => Err(NegativesError::Empty {
            folder: folder.to_owned(),
        }),
        false => Ok(files),
    }
}

/// Sets the temperature and the thresholds of a model.
pub(super) fn calibrate(
    int8: &mut Int8Model,
    pictures: &CalibrationPictures,
    given: GivenThresholds,
) -> Result<ConfidenceReport> {
    let mut measured = None;
    if let Some(development) = &pictures.development {
        let (fitted, calibrated) = fit_temperature(int8, development)?;
        let scored = detections(calibrated, development, &pictures.negatives)?;
        measured = Some((fitted, scored));
    }
    let threshold = |of: fn(&Scored) -> &ScoredDetections, given: Option<f32>, default: f32| {
        let chosen = measured
            .as_ref()
            .and_then(|(_, scored)| of(scored).choose());
        match (given, chosen) {
            (Some(given), _) => Threshold::Given(given),
            (None, Some(chosen)) => Threshold::Chosen(chosen),
            (None, None) => Threshold::Default(default),
        }
    };
    let card = &mut int8.card;
    let image = threshold(|scored| &scored.image, given.image, card.threshold);
    card.threshold = image.value();
    let objects = card.objects.as_mut().map(|settings| {
        let objects = threshold(|scored| &scored.objects, given.objects, settings.threshold);
        settings.threshold = objects.value();
        objects
    });
    let report = ConfidenceReport {
        train: pictures.train,
        development: pictures
            .development
            .as_ref()
            .map_or(0, |d| d.pictures.len()),
        temperature: measured.map(|(fitted, _)| fitted),
        negatives: match pictures.negatives.is_empty() {
            true => Negatives::Crops,
            false => Negatives::Given,
        },
        threshold: image,
        objects,
    };
    card.training.calibration = report.sentences().join(". ");
    Ok(report)
}

/// A detector, and what it predicts on the development part.
struct Calibrated<'d> {
    detector: TractDetector,
    predicted: Vec<(&'d AnnotatedPicture, Prediction)>,
}

impl<'d> Calibrated<'d> {
    fn of(int8: &Int8Model, development: &'d Dataset, what: &str) -> Result<Self> {
        let model = int8.model.encode_to_vec();
        let detector = TractDetector::from_bytes(&int8.card.name, &model)?;
        let predicted = predictions(&detector, development, what)?;
        Ok(Self {
            detector,
            predicted,
        })
    }

    fn confidence(&self) -> Confidence {
        Confidence::of(&self.detector.card().labels, &self.predicted)
    }
}

/// Fits the temperature on the development part and puts it into the model.
fn fit_temperature<'d>(
    int8: &mut Int8Model,
    development: &'d Dataset,
) -> Result<(FittedTemperature, Calibrated<'d>)> {
    let before = Calibrated::of(int8, development, "calibration")?.confidence();
    let factor = fit_factor(&before.images)?;
    scale_logits(&mut int8.model, factor)?;
    let calibrated = Calibrated::of(int8, development, "calibrated ")?;
    let after = calibrated.confidence();
    let fitted = FittedTemperature {
        temperature: 1.0 / factor,
        cross_entropy: [&before, &after].map(|c| cross_entropy(&c.images, 1.0)),
        expected_calibration_error: [&before, &after].map(|c| c.calibration.expected_error),
    };
    Ok((fitted, calibrated))
}

/// What the heads detect.
#[derive(Default)]
struct Scored {
    /// The class of the whole picture: correct if it is that of the folder.
    image: ScoredDetections,
    objects: ScoredDetections,
}

fn detections(
    calibrated: Calibrated<'_>,
    development: &Dataset,
    negatives: &[PathBuf],
) -> Result<Scored> {
    let mut scored = Scored::default();
    for head in [&mut scored.image, &mut scored.objects] {
        head.are_negatives_uncertain = negatives.is_empty();
    }
    let Calibrated {
        mut detector,
        predicted,
    } = calibrated;
    for (picture, prediction) in predicted {
        scored.add(&detector.card().labels, picture, &prediction);
    }
    let bar = progress(
        development.pictures.len().max(negatives.len()),
        "negatives  ",
    );
    let mut add = |image: RgbImage| -> Result<()> {
        let frame = Frame::new(0, Origin::Live, image);
        let prediction = detector.predict(&preprocess(&frame, detector.card())?)?;
        scored.add_negative(&prediction);
        Ok(())
    };
    for path in negatives {
        bar.inc(1);
        match picture::open(path) {
            Ok(image) => add(image)?,
            Err(error) => message!("left out: {error}"),
        }
    }
    if negatives.is_empty() && !may_lack_a_box(development) {
        for picture in &development.pictures {
            bar.inc(1);
            if let Some(crop) = crop_without_box(picture) {
                add(crop)?;
            }
        }
    }
    bar.finish_and_clear();
    Ok(scored)
}

/// The largest part of a picture that no box touches; `None` for one without boxes, which may lack them.
fn crop_without_box(picture: &AnnotatedPicture) -> Option<RgbImage> {
    // An unreadable picture was reported when it was predicted.
    let image = picture.frame().ok()?.image.into_rgb();
    let crop = negative_crop(picture, &image)?;
    Some(crop_imm(&image, crop.x, crop.y, crop.width, crop.height).to_image())
}

impl Scored {
    fn add(&mut self, labels: &Labels, picture: &AnnotatedPicture, prediction: &Prediction) {
        let (class, score) = prediction.top();
        let is_correct = labels.find(&picture.folder) == Some(class);
        self.image.detections.push((score, is_correct));
        self.image.objects += 1;
        // Without a box it is unknown which objects a picture shows, unless it states that it has all its boxes.
        if picture.annotations.is_empty() && picture.exhaustive != Some(true) {
            return;
        }
        if let Some(detections) = prediction.objects(0.0) {
            let rows = picture.annotations.iter();
            let objects =
                rows.filter_map(|row| Some((labels.find(&row.class_name)?, row.bounding_box)));
            self.objects
                .add_picture(detections, &objects.collect::<Vec<_>>());
        }
    }

    fn add_negative(&mut self, prediction: &Prediction) {
        self.image.negatives.push(prediction.top().1);
        if let Some(detections) = prediction.objects(0.0) {
            let highest = detections.first().map_or(0.0, |found| found.confidence);
            self.objects.negatives.push(highest);
        }
    }
}
