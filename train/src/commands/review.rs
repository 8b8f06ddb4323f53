//! What a new model does well and badly on the validation images: the end of `fit`.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use anyhow::Result;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::geometry::iou;
use boxcam_train::review::{Review, ReviewedImage};
use prost::Message;

use super::model_file::Int8Model;
use super::{PreparedData, predictions};

/// Compares the model with the validation split.
pub(super) fn review(int8: &Int8Model, data: &PreparedData) -> Result<Review> {
    let detector = TractDetector::from_bytes(&int8.card.name, &int8.model.encode_to_vec())?;
    let (train, val) = (data.split("train")?, data.split("val")?);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for picture in &train.pictures {
        *counts.entry(&picture.folder).or_default() += 1;
    }
    let predicted = predictions(&detector, &val, "review     ")?;
    let labels = &detector.card().labels;
    let images = predicted.iter().map(|(picture, prediction)| {
        let (class, confidence) = prediction.top();
        ReviewedImage {
            id: picture
                .path
                .file_stem()
                .and_then(OsStr::to_str)
                .unwrap_or_default(),
            class: &picture.folder,
            found: labels.name(class).unwrap_or_default(),
            confidence,
            largest_box: picture.largest_box().map(|row| {
                let truth = &row.bounding_box;
                [truth.area(), iou(truth, prediction.bounding_box())]
            }),
        }
    });
    let images: Vec<ReviewedImage<'_>> = images.collect();
    Ok(Review::new(&images, &counts, int8.card.threshold))
}
