//! Golden examples for a model's card: pictures with the engine's predictions, by default synthetic scenes.
//!
//! The licence of a picture applies to every copy of the model, so training pictures are no examples by default.

use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::golden::{GoldenError, record};
use boxcam::scene::random_scene;
use image::RgbImage;
use prost::Message;
use thiserror::Error;
use tract_onnx::pb;

use crate::onnx::card;
use crate::onnx::set_card;

/// Scenes in a card; each takes a few kilobytes.
const SCENES: u64 = 4;

/// Width and height of a scene in pixels; the model's preprocessing resizes it.
const SIDE: u32 = 80;

/// Why golden examples can't be recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

/// Replaces the golden examples in a model's card by scenes; errors call the model `name`.
///
/// # Errors
/// [`RecordError`] when the engine can't run the model.
pub fn add_golden(model: &mut pb::ModelProto, name: &str) -> Result<(), RecordError> {
    let scenes = (1..=SCENES).map(|seed| random_scene(seed, SIDE, SIDE).image);
    add_golden_pictures(model, name, scenes)
}

/// Replaces the golden examples in a model's card by these pictures, of at most 512 x 512 pixels; errors call the model `name`.
///
/// # Errors
/// [`RecordError`] when a picture is too large or the engine can't run the model.
pub fn add_golden_pictures(
    model: &mut pb::ModelProto,
    name: &str,
    pictures: impl IntoIterator<Item = RgbImage>,
) -> Result<(), RecordError> {
    let mut detector = TractDetector::from_bytes(name, &model.encode_to_vec())?;
    let golden = record(&mut detector, pictures)?;
    let mut card = card(model).map_err(|source| ModelError::Card {
        model: name.to_owned(),
        source,
    })?;
    card.golden = golden;
    set_card(model, &card);
    Ok(())
}
