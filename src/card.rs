//! The model card: labels, preprocessing, threshold and metrics, stored in the model file.
//!
//! It is JSON under the key [`METADATA_KEY`] in the `metadata_props` of the ONNX file, validated when it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::label::Labels;

/// Key of the card in the ONNX file's `metadata_props`.
pub const METADATA_KEY: &str = "boxcam.card";

/// The schema version that is written, and the newest that can be read.
pub const CARD_SCHEMA: u32 = 1;

/// Name of the ONNX output with one score per class: `[1, classes]`, softmax.
pub const CLASS_OUTPUT: &str = "class_prediction";

/// Name of the ONNX output with the box: `[1, 4]` in the order of [`BoxOrder`].
pub const BOX_OUTPUT: &str = "bbox_prediction";

/// Name of the ONNX output with the scores of every cell: `[1, cells, classes]`, sigmoid.
pub const OBJECT_SCORES_OUTPUT: &str = "object_scores";

/// Name of the ONNX output with the box of every cell: `[1, cells, 4]` in the order of [`BoxOrder`].
pub const OBJECT_BOXES_OUTPUT: &str = "object_boxes";

/// Maximum number of objects in a picture, the greatest [`ObjectSettings::most`].
pub const MAX_OBJECTS: usize = 100;

/// Maximum side of a model's input in pixels; a larger value is an error in the card.
const MAX_INPUT_SIDE: u32 = 4096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub schema: u32,
    pub name: String,
    /// In the order of the scores.
    pub labels: Labels,
    pub input: InputSpec,
    pub box_order: BoxOrder,
    /// Confidence from which a prediction is a detection, `0..=1`.
    pub threshold: f32,
    /// How objects are selected; `None` if the model has no object outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectSettings>,
    pub training: Training,
    /// Where an imported network comes from; `None` if it was trained by `boxcam-train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ModelOrigin>,
    /// Metrics on the validation pictures, named as by `boxcam evaluate --json`.
    pub figures: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenExample>,
}

/// A picture with the prediction of the training program, which every other engine must reproduce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenExample {
    /// A PNG in Base64.
    pub picture: String,
    /// In the order of the labels.
    pub scores: Vec<f32>,
    /// In the order of the card's `box_order`.
    pub corners: [f32; 4],
    /// The objects with the highest scores; `None` if the model has no object outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<GoldenObject>>,
}

/// An object in a golden example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenObject {
    /// Index of the label.
    pub class: usize,
    pub score: f32,
    /// In the order of the card's `box_order`.
    pub corners: [f32; 4],
}

/// How the objects of a picture are selected from the predictions of all cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ObjectSettings {
    /// Score from which an object is a detection, `0..=1`.
    pub threshold: f32,
    /// Of two boxes of a class with at least this IoU, above 0 and up to 1, only the one with the higher score is an
    /// object (non-maximum suppression).
    pub nms_iou: f32,
    /// Maximum number of objects in a picture, from 1 to [`MAX_OBJECTS`].
    pub most: usize,
    #[serde(default, skip_serializing_if = "ObjectDecode::is_default")]
    pub decode: ObjectDecode,
}

/// What turns the outputs of the object heads into scores and corners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectDecode {
    /// The graph itself: its outputs are scores and corners.
    #[default]
    InGraph,
}

impl ObjectDecode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Preprocessing: a picture is resized to `width` x `height` without keeping its aspect ratio, and each 8-bit channel value
/// `v` becomes `(v - zero_point) * scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    pub layout: TensorLayout,
    pub channels: Channels,
    pub zero_point: f32,
    /// Finite and above 0.
    pub scale: f32,
    #[serde(default, skip_serializing_if = "Resize::is_default")]
    pub resize: Resize,
}

/// How a picture is resized to the input size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// A triangle filter as wide as the pixels of the smaller side: every pixel of the picture counts.
    #[default]
    Antialiased,
    /// TensorFlow 1's bilinear interpolation: output pixel `i` is the picture at `i * picture side / input side`, between the
    /// two nearest pixels along each side. A large picture is sampled, not averaged.
    Bilinear,
}

impl Resize {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Order of the dimensions of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// `[1, 3, height, width]`
    Nchw,
    /// `[1, height, width, 3]`
    Nhwc,
}

/// Order of the color channels of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    Rgb,
}

/// Meaning of the four values of the box output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoxOrder {
    /// Corners as shares of the picture's width and height, `0..=1`.
    #[serde(rename = "x_min,x_max,y_min,y_max")]
    Corners,
}

/// How a model was trained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Name of a recipe of `boxcam-train`.
    pub recipe: String,
    pub data: String,
    /// Authors and licence of the data.
    pub credits: String,
    /// Number of training pictures.
    pub pictures: usize,
    pub epochs: usize,
    pub seed: u64,
    /// How the confidence was calibrated and the thresholds were chosen, in words; empty if they were not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub calibration: String,
}

/// Where a network that was imported from another program's file comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelOrigin {
    /// The file or package, with its version.
    pub source: String,
    /// SPDX expression, such as `Apache-2.0`.
    pub licence: String,
    /// Empty if it has no address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// Metadata without a usable card.
#[derive(Debug, Error)]
pub enum CardError {
    #[error(
        "it has no model card (metadata \"{METADATA_KEY}\"); create the model with boxcam-train"
    )]
    Missing,
    #[error("its model card is invalid ({source}); create the model again with boxcam-train")]
    Json { source: serde_json::Error },
    #[error(
        "its model card has schema {found}, this program reads up to {CARD_SCHEMA}; update boxcam"
    )]
    Schema { found: u32 },
    #[error(
        "its model card has {field} = {found}, expected {expected}; create the model again with boxcam-train"
    )]
    Value {
        field: &'static str,
        found: String,
        expected: &'static str,
    },
}

impl InputSpec {
    /// The input of the pretrained MobileNets: RGB, `(value - 128) / 128`.
    ///
    /// Both constants are powers of two, so quantizing this input to 8 bits restores the pixel values exactly.
    #[must_use]
    pub const fn mobilenet(side: u32) -> Self {
        Self {
            width: side,
            height: side,
            layout: TensorLayout::Nchw,
            channels: Channels::Rgb,
            zero_point: 128.0,
            scale: 1.0 / 128.0,
            resize: Resize::Antialiased,
        }
    }

    /// Shape of the tensor, with a batch size of 1.
    #[must_use]
    pub const fn shape(&self) -> [usize; 4] {
        let (width, height) = (self.width as usize, self.height as usize);
        match self.layout {
            TensorLayout::Nchw => [1, 3, height, width],
            TensorLayout::Nhwc => [1, height, width, 3],
        }
    }

    /// The network's input for a channel value.
    #[must_use]
    pub fn normalized(&self, value: u8) -> f32 {
        (f32::from(value) - self.zero_point) * self.scale
    }
}

impl ModelCard {
    /// Reads and validates the card in an ONNX file's metadata.
    ///
    /// # Errors
    /// [`CardError`] if the card is missing, invalid, newer than [`CARD_SCHEMA`] or has a value out of range.
    pub fn from_metadata<'a>(
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CardError> {
        let mut entries = metadata.into_iter();
        let (_, json) = entries
            .find(|(key, _)| *key == METADATA_KEY)
            .ok_or(CardError::Missing)?;
        // The schema first: a newer card may have other fields, and updating boxcam is then the fix.
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

    /// Key and value of an entry of an ONNX file's metadata.
    #[must_use]
    pub fn to_metadata(&self) -> (&'static str, String) {
        let json =
            serde_json::to_string(self).expect("a card has only string keys and plain values");
        (METADATA_KEY, json)
    }

    fn check(&self) -> Result<(), CardError> {
        let invalid = |field, found: &dyn ToString, expected| CardError::Value {
            field,
            found: found.to_string(),
            expected,
        };
        let input = &self.input;
        for (field, side) in [("input.width", input.width), ("input.height", input.height)] {
            if !(1..=MAX_INPUT_SIDE).contains(&side) {
                return Err(invalid(field, &side, "1 to 4096"));
            }
        }
        if !(input.scale.is_finite() && input.scale > 0.0) {
            return Err(invalid("input.scale", &input.scale, "a number above 0"));
        }
        if !input.zero_point.is_finite() {
            return Err(invalid("input.zero_point", &input.zero_point, "a number"));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(invalid("threshold", &self.threshold, "0 to 1"));
        }
        if let Some(objects) = &self.objects {
            let ObjectSettings {
                threshold,
                nms_iou,
                most,
                decode: ObjectDecode::InGraph,
            } = objects;
            if !(0.0..=1.0).contains(threshold) {
                return Err(invalid("objects.threshold", threshold, "0 to 1"));
            }
            if !(*nms_iou > 0.0 && *nms_iou <= 1.0) {
                return Err(invalid("objects.nms_iou", nms_iou, "above 0, up to 1"));
            }
            if !(1..=MAX_OBJECTS).contains(most) {
                return Err(invalid("objects.most", most, "1 to 100"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn test_card(side: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: "test".to_owned(),
        labels: Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("valid"),
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.5,
        objects: None,
        training: Training::default(),
        origin: None,
        figures: BTreeMap::from([("mean_iou".to_owned(), 0.5)]),
        golden: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: ObjectSettings = ObjectSettings {
        threshold: 0.4,
        nms_iou: 0.6,
        most: 20,
        decode: ObjectDecode::InGraph,
    };

    fn read(json: &str) -> Result<ModelCard, CardError> {
        ModelCard::from_metadata([("author", "x"), (METADATA_KEY, json)])
    }

    #[test]
    fn a_card_survives_a_round_trip() {
        let card = test_card(224);
        let (key, json) = card.to_metadata();
        assert_eq!(key, METADATA_KEY);
        assert_eq!(read(&json).expect("reads"), card);
        for added in ["objects", "resize", "origin"] {
            assert!(!json.contains(added), "a card without is as before");
        }
        let card = ModelCard {
            objects: Some(OBJECTS),
            ..card
        };
        let json = card.to_metadata().1;
        assert_eq!(read(&json).expect("reads"), card);
        assert!(!json.contains("decode"), "the default is left out");
    }

    #[test]
    fn an_imported_model_says_its_resize_and_origin() {
        let mut card = test_card(300);
        card.input.resize = Resize::Bilinear;
        card.origin = Some(ModelOrigin {
            source: "detector 1.0".to_owned(),
            licence: "Apache-2.0".to_owned(),
            url: String::new(),
        });
        let json = card.to_metadata().1;
        assert!(json.contains(r#""resize":"bilinear""#), "{json}");
        assert!(!json.contains("url"), "{json}");
        assert_eq!(read(&json).expect("reads"), card);
        let unknown = read(&json.replace("bilinear", "bicubic")).expect_err("refused");
        assert!(unknown.to_string().contains("`bicubic`"), "{unknown}");
    }

    #[test]
    fn an_unknown_decoder_is_named() {
        let card = ModelCard {
            objects: Some(OBJECTS),
            ..test_card(224)
        };
        let json = card.to_metadata().1;
        let with = |decode: &str| {
            json.replace(r#""most":20"#, &format!(r#""most":20,"decode":"{decode}""#))
        };
        assert_eq!(read(&with("in_graph")).expect("reads"), card);
        let error = read(&with("yolox")).expect_err("refused");
        assert!(error.to_string().contains("`yolox`"), "{error}");
    }

    #[test]
    fn missing_newer_and_invalid_cards_give_different_errors() {
        assert!(matches!(
            ModelCard::from_metadata([]),
            Err(CardError::Missing)
        ));
        let newer = read(r#"{"schema": 99, "labels": 5}"#);
        assert!(matches!(newer, Err(CardError::Schema { found: 99 })));
        assert!(matches!(read("{"), Err(CardError::Json { .. })));
        assert!(matches!(
            read(r#"{"schema": 1}"#),
            Err(CardError::Json { .. })
        ));
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Change = fn(&mut ModelCard);
        fn objects(card: &mut ModelCard, change: fn(&mut ObjectSettings)) {
            change(card.objects.insert(OBJECTS));
        }
        let cases: [(&str, Change); 10] = [
            ("input.width", |c| c.input.width = 0),
            ("input.height", |c| c.input.height = 100_000),
            ("input.scale", |c| c.input.scale = 0.0),
            ("threshold", |c| c.threshold = 1.5),
            ("threshold", |c| c.threshold = -0.1),
            ("objects.threshold", |c| objects(c, |o| o.threshold = 1.5)),
            ("objects.nms_iou", |c| objects(c, |o| o.nms_iou = 0.0)),
            ("objects.nms_iou", |c| objects(c, |o| o.nms_iou = 1.1)),
            ("objects.most", |c| objects(c, |o| o.most = 0)),
            ("objects.most", |c| objects(c, |o| o.most = 101)),
        ];
        for (name, change) in cases {
            let mut card = test_card(224);
            change(&mut card);
            let error = read(&card.to_metadata().1).expect_err("refused");
            assert!(
                matches!(error, CardError::Value { field, .. } if field == name),
                "{error}"
            );
        }
    }

    #[test]
    fn labels_are_validated() {
        let json = test_card(224).to_metadata().1.replace("banana", "apple");
        let error = read(&json).expect_err("refused");
        assert!(
            error.to_string().contains("duplicate class name \"apple\""),
            "{error}"
        );
    }
}
