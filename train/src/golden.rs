//! Golden examples for a model's card: drawn scenes with what the engine says of them.
//!
//! Scenes, not training pictures: those belong to somebody, and a card travels wherever its model goes.

use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::golden::{GoldenError, record};
use boxcam::scene::random_scene;
use prost::Message;
use thiserror::Error;
use tract_onnx::pb;

use crate::onnx::card;
use crate::onnx::set_card;

/// Scenes in a card: a few kilobytes each.
const SCENES: u64 = 4;

/// Width and height of a scene; the model's own preprocessing makes of it what it needs.
const SIDE: u32 = 80;

/// A model that can't be asked for examples.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The engine can't run it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It can't answer.
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

/// Puts golden examples into a model's card, in place of those that are there; `name` is what errors call it.
///
/// # Errors
/// [`RecordError`] when the engine can't run the model.
pub fn add_golden(model: &mut pb::ModelProto, name: &str) -> Result<(), RecordError> {
    let mut detector = TractDetector::from_bytes(name, &model.encode_to_vec())?;
    let scenes = (1..=SCENES).map(|seed| random_scene(seed, SIDE, SIDE).image);
    let golden = record(&mut detector, scenes)?;
    let mut card = card(model).map_err(|source| ModelError::Card {
        model: name.to_owned(),
        source,
    })?;
    card.golden = golden;
    set_card(model, &card);
    Ok(())
}
