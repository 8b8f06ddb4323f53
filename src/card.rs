//! The model card: all that must travel with a model so that one file is enough.
//!
//! A card is stored as JSON under the key [`METADATA_KEY`] in the ONNX file's own `metadata_props`.
//! In goes that metadata, out comes a [`ModelCard`] whose numbers are known to be usable, or a
//! [`CardError`]. The card never touches the network's weights and does not read files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::label::Labels;

/// Key of the card in the ONNX file's `metadata_props`.
pub const METADATA_KEY: &str = "boxcam.card";

/// The version of the card that this program writes and the newest that it reads.
pub const CARD_SCHEMA: u32 = 1;

/// Name of the ONNX output with one score a class: `[1, classes]`, softmax, sum 1.
pub const CLASS_OUTPUT: &str = "class_prediction";

/// Name of the ONNX output with the box: `[1, 4]` in the order of [`BoxOrder`].
pub const BOX_OUTPUT: &str = "bbox_prediction";

/// Longest side of a model's input in pixels; anything above is a broken card.
const MAX_INPUT_SIDE: u32 = 4096;

/// What a model is, what it must be given and what its answers mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of this structure.
    pub schema: u32,
    /// Name of the model for people.
    pub name: String,
    /// Class names in the order of the scores.
    pub labels: Labels,
    /// What the network must be given.
    pub input: InputSpec,
    /// What the four numbers of the box output are.
    pub box_order: BoxOrder,
    /// Confidence from which a prediction is a detection, in `0..=1`.
    pub threshold: f32,
    /// What the model was trained on and how.
    pub training: Training,
    /// Figures of the model on its validation data, by name (as `boxcam evaluate --json` names them).
    pub figures: BTreeMap<String, f64>,
    /// Pictures with what the trainer's engine said of them, which any other engine must say too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenExample>,
}

/// A picture and what the model says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenExample {
    /// The picture: a PNG in Base64.
    pub picture: String,
    /// One score a class, in the order of the labels.
    pub scores: Vec<f32>,
    /// The box in the order of the card's `box_order`.
    pub corners: [f32; 4],
}

/// How a picture becomes the network's input: stretched to `width` x `height`, each 8-bit channel value
/// `v` fed as `(v - zero_point) * scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Order of the colour channels.
    pub channels: Channels,
    /// The channel value that is fed as 0.
    pub zero_point: f32,
    /// What one step of a channel value is fed as; finite and above 0.
    pub scale: f32,
}

/// Order of the dimensions of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, 3, height, width]`
    Nchw,
    /// `[1, height, width, 3]`
    Nhwc,
}

/// Order of the colour channels of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
}

/// What the four numbers of the box output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoxOrder {
    /// Corners in `0..=1` of the picture: `x_min, x_max, y_min, y_max`.
    #[serde(rename = "x_min,x_max,y_min,y_max")]
    Corners,
}

/// Where a model comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Name of the recipe of `boxcam-train`.
    pub recipe: String,
    /// What the data is.
    pub data: String,
    /// Whom to thank for it, and under which licence it was used.
    pub credits: String,
    /// Training pictures.
    pub pictures: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Seed of every random choice.
    pub seed: u64,
}

/// Metadata that holds no usable card.
#[derive(Debug, Error)]
pub enum CardError {
    /// The metadata has no [`METADATA_KEY`].
    #[error("it has no model card (metadata \"{METADATA_KEY}\"); make the model with boxcam-train")]
    Missing,
    /// The card is no JSON of the right form.
    #[error("its model card can't be read ({source}); make the model again with boxcam-train")]
    Json {
        /// What was wrong and where.
        source: serde_json::Error,
    },
    /// The card is newer than this program.
    #[error(
        "its model card has schema {found}, this program reads up to {CARD_SCHEMA}; update boxcam"
    )]
    Schema {
        /// The card's schema.
        found: u32,
    },
    /// A number of the card makes no sense.
    #[error(
        "its model card says {field} = {found}, expected {expected}; make the model again with boxcam-train"
    )]
    Value {
        /// The field.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl InputSpec {
    /// The input of the MobileNets that boxcam-train starts from: RGB, `(value - 128) / 128`.
    ///
    /// Both numbers are powers of two, so quantising this input to 8 bits gives back the very pixel.
    #[must_use]
    pub const fn mobilenet(side: u32) -> Self {
        Self {
            width: side,
            height: side,
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            zero_point: 128.0,
            scale: 1.0 / 128.0,
        }
    }

    /// The shape of the tensor, a batch of one, in this layout.
    #[must_use]
    pub const fn shape(&self) -> [usize; 4] {
        let (width, height) = (self.width as usize, self.height as usize);
        match self.layout {
            Layout::Nchw => [1, 3, height, width],
            Layout::Nhwc => [1, height, width, 3],
        }
    }

    /// What a channel value is fed to the network as.
    #[must_use]
    pub fn fed(&self, value: u8) -> f32 {
        (f32::from(value) - self.zero_point) * self.scale
    }
}

impl ModelCard {
    /// The card in an ONNX file's metadata.
    ///
    /// # Errors
    /// [`CardError`] when there is none, it is no card, too new, or a number in it is unusable.
    pub fn from_metadata<'a>(
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CardError> {
        let mut entries = metadata.into_iter();
        let (_, json) = entries
            .find(|(key, _)| *key == METADATA_KEY)
            .ok_or(CardError::Missing)?;
        // The schema first: a newer card may well have another form, and "update" is the better advice.
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let json_error = |source| CardError::Json { source };
        let found = serde_json::from_str::<Versioned>(json)
            .map_err(json_error)?
            .schema;
        if found > CARD_SCHEMA {
            return Err(CardError::Schema { found });
        }
        let card: Self = serde_json::from_str(json).map_err(json_error)?;
        card.check()?;
        Ok(card)
    }

    /// The card as an entry of an ONNX file's metadata: key and value.
    #[must_use]
    pub fn to_metadata(&self) -> (&'static str, String) {
        let json =
            serde_json::to_string(self).expect("a card has only string keys and plain values");
        (METADATA_KEY, json)
    }

    fn check(&self) -> Result<(), CardError> {
        let wrong = |field, found: &dyn ToString, expected| CardError::Value {
            field,
            found: found.to_string(),
            expected,
        };
        let input = &self.input;
        for (field, side) in [("input.width", input.width), ("input.height", input.height)] {
            if !(1..=MAX_INPUT_SIDE).contains(&side) {
                return Err(wrong(field, &side, "1 to 4096"));
            }
        }
        if !(input.scale.is_finite() && input.scale > 0.0) {
            return Err(wrong("input.scale", &input.scale, "a number above 0"));
        }
        if !input.zero_point.is_finite() {
            return Err(wrong("input.zero_point", &input.zero_point, "a number"));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(wrong("threshold", &self.threshold, "0 to 1"));
        }
        Ok(())
    }
}

/// A card for the tests of other modules.
#[cfg(test)]
pub(crate) fn test_card(side: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: "test".to_owned(),
        labels: Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("sound"),
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.5,
        training: Training::default(),
        figures: BTreeMap::from([("mean_iou".to_owned(), 0.5)]),
        golden: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
