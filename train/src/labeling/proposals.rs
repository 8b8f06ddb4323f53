//! Boxes that a model proposes. They are never stored unless a person accepts them.

use std::path::Path;

use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::detect::{DetectError, Detection, Detector, Thresholds};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::{NormBox, iou};
use boxcam::model_choice::ModelChoice;
use boxcam::picture::{self, PictureError};
use boxcam::preprocess::{PreprocessError, preprocess};
use boxcam::spelling;
use image::RgbImage;
use parking_lot::Mutex;
use serde::Serialize;
use thiserror::Error;

use super::start::in_pixels;

/// From this IoU on, boxes of two classes are the same object: proposals have no class.
const SAME_OBJECT: f32 = 0.6;

/// The most proposals of a picture.
const MAX_PROPOSALS: usize = 50;

/// The models that are part of the program.
const BUILT_IN: [(&str, &[u8]); 2] = [
    ("coco", include_bytes!("../../../models/coco.onnx")),
    (
        "snacks",
        include_bytes!("../../../models/snacks-objects.onnx"),
    ),
];

/// A model whose boxes are proposed.
pub struct ProposalModel {
    detector: Mutex<TractDetector>,
    thresholds: Thresholds,
    name: String,
}

/// A box without a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// Left, top, width and height in pixels of the upright picture.
    #[serde(rename = "box")]
    pub bounds: [f64; 4],
    /// In `0..=1`.
    pub score: f32,
}

/// An object that a model finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundObject {
    pub class: String,
    /// In `0..=1`.
    pub score: f32,
    /// Left, top, width and height in pixels of the upright picture.
    #[serde(rename = "box")]
    pub bounds: [f64; 4],
}

/// What a model finds in a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundObjects {
    /// The name of the model.
    pub model: String,
    /// Of the upright picture in pixels.
    pub width: u32,
    pub height: u32,
    /// The one with the highest score first.
    pub objects: Vec<FoundObject>,
}

/// Why there are no proposals.
#[derive(Debug, Error)]
pub enum ProposalError {
    #[error(
        "model \"{name}\": there is none of this name{}; there are coco and snacks, a file is given with its path, as \
         ./{name}, and \"none\" turns the proposals off", spelling::suggestion(*nearest)
    )]
    UnknownModel {
        name: String,
        /// The name that is spelt most alike, if one is.
        nearest: Option<&'static str>,
    },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    #[error(transparent)]
    Detect(#[from] DetectError),
}

impl ProposalModel {
    /// Loads a model. `threshold` is the lowest score of a proposal, by default that of the model.
    ///
    /// # Errors
    /// [`ProposalError`] if there is no such model or it is not valid.
    pub fn load(choice: &ModelChoice, threshold: Option<f32>) -> Result<Self, ProposalError> {
        let detector = match choice {
            ModelChoice::File(file) => TractDetector::from_file(file)?,
            ModelChoice::Name(name) => {
                let built_in = BUILT_IN.iter().find(|(known, _)| known == name);
                let (name, bytes) = built_in.ok_or_else(|| ProposalError::UnknownModel {
                    name: name.clone(),
                    nearest: spelling::nearest(name, BUILT_IN.map(|(known, _)| known)),
                })?;
                TractDetector::from_bytes(name, bytes)?
            }
        };
        let thresholds = Thresholds::new(detector.card(), threshold);
        let name = detector.card().name.clone();
        Ok(Self {
            detector: Mutex::new(detector),
            thresholds,
            name,
        })
    }

    /// The name in the model's card.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The detections in an image, the one with the highest score first.
    fn detections(&self, path: &Path, image: RgbImage) -> Result<Vec<Detection>, ProposalError> {
        let frame = Frame::new(0, Origin::Picture(path.into()), image);
        let mut detector = self.detector.lock();
        let input = preprocess(&frame, detector.card())?;
        let mut detections = detector.predict(&input)?.detections(&self.thresholds);
        detections.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        Ok(detections)
    }

    /// The objects in a picture, from the bytes of its file, the one with the highest score first. `path` is for messages.
    ///
    /// # Errors
    /// [`ProposalError`] if the picture can't be read or the model can't be run.
    pub fn find(&self, path: &Path, bytes: &[u8]) -> Result<FoundObjects, ProposalError> {
        let image = picture::decode(path, bytes)?;
        let (width, height) = image.dimensions();
        let detections = self.detections(path, image)?;
        let detector = self.detector.lock();
        let labels = &detector.card().labels;
        let objects = detections.into_iter().map(|detection| FoundObject {
            class: labels.name(detection.class).unwrap_or_default().to_owned(),
            score: detection.confidence,
            bounds: in_pixels(detection.bounding_box.corners(), (width, height)),
        });
        Ok(FoundObjects {
            model: self.name.clone(),
            width,
            height,
            objects: objects.collect(),
        })
    }

    /// The boxes in a picture file, the one with the highest score first.
    ///
    /// # Errors
    /// [`ProposalError`] if the picture can't be read or the model can't be run.
    pub fn propose(&self, path: &Path) -> Result<Vec<Proposal>, ProposalError> {
        let image = picture::open(path)?;
        let size = image.dimensions();
        let detections = self.detections(path, image)?;
        let mut kept: Vec<(NormBox, f32)> = Vec::new();
        for detection in detections {
            let bounding_box = detection.bounding_box;
            if kept
                .iter()
                .all(|(other, _)| iou(other, &bounding_box) < SAME_OBJECT)
            {
                kept.push((bounding_box, detection.confidence));
            }
        }
        let in_picture = kept.into_iter().map(|(bounding_box, score)| {
            let bounds = in_whole_pixels(in_pixels(bounding_box.corners(), size));
            Proposal { bounds, score }
        });
        let large =
            in_picture.filter(|proposal| proposal.bounds[2] >= 1.0 && proposal.bounds[3] >= 1.0);
        Ok(large.take(MAX_PROPOSALS).collect())
    }
}

fn in_whole_pixels([left, top, width, height]: [f64; 4]) -> [f64; 4] {
    let (right, bottom) = ((left + width).round(), (top + height).round());
    let (left, top) = (left.round(), top.round());
    [left, top, right - left, bottom - top]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_of_the_program_propose_boxes_inside_of_the_picture() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/photo.png");
        let (width, height) = picture::open(&path).expect("a picture").dimensions();
        for (name, _) in BUILT_IN {
            let choice = ModelChoice::Name(name.to_owned());
            let model = ProposalModel::load(&choice, Some(0.1)).expect("valid");
            let proposals = model.propose(&path).expect("run");
            assert!(!proposals.is_empty(), "{name}");
            for Proposal { bounds, score } in &proposals {
                let [left, top, box_width, box_height] = *bounds;
                assert!(left >= 0.0 && top >= 0.0 && (0.1..=1.0).contains(score));
                assert!(left + box_width <= width.into() && top + box_height <= height.into());
                assert!(bounds.iter().all(|side| side.fract() == 0.0), "{bounds:?}");
            }
            assert!(proposals.is_sorted_by(|a, b| a.score >= b.score));
        }
    }

    #[test]
    fn an_unknown_model_is_an_error_that_names_the_known_ones() {
        let error = ProposalModel::load(&ModelChoice::Name("cocoo".to_owned()), None);
        let message = error.err().expect("unknown").to_string();
        for part in ["\"cocoo\"", "coco and snacks", "none"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
