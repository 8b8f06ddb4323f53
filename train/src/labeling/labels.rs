//! The labels of one picture, and the boxes in them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Parts of a pixel that are kept: boxes of other programs need not lie on whole pixels.
const PIXEL_PARTS: f64 = 100.0;

/// The shortest side of a box in pixels.
const MIN_SIDE: f64 = 1.0;

/// The longest name of a class in bytes.
const MAX_NAME: usize = 200;

/// What is known about a picture.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum PictureLabels {
    /// Nobody has decided anything.
    #[default]
    Unlabeled,
    /// A person has seen that there is none of the objects.
    Nothing,
    Boxes {
        /// At least one; the order is that in which they were drawn.
        boxes: Vec<LabelBox>,
        /// Whether every object has a box, if a person has said so.
        exhaustive: Option<bool>,
    },
}

/// A box of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelBox {
    pub class: String,
    /// Left, top, width and height in pixels of the upright picture.
    #[serde(rename = "box")]
    pub bounds: [f64; 4],
}

/// Labels that cannot be stored.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LabelError {
    #[error("there is no box; draw one, or mark the picture as \"nothing here\"")]
    NoBoxes,
    #[error("class \"{name}\": is not in the list of classes; add it there first")]
    UnknownClass { name: String },
    #[error(
        "box {bounds:?} is not inside of the picture of {width} x {height} pixels, or smaller than {MIN_SIDE} pixel"
    )]
    OutsidePicture {
        bounds: [f64; 4],
        width: u32,
        height: u32,
    },
    #[error(
        "the name of a class needs a letter or digit, and at most {MAX_NAME} bytes without control characters"
    )]
    InvalidName,
    /// `data convert` makes a folder of each class, and some file systems ignore the case.
    #[error("class \"{name}\": differs only in its case from \"{existing}\"; use that one")]
    OtherCase { name: String, existing: String },
}

impl PictureLabels {
    /// The labels with boxes that are clamped to the picture and rounded to hundredths of a pixel.
    ///
    /// # Errors
    /// [`LabelError`] if there is no box, a class is not in `classes`, or a box is not in the picture.
    pub fn checked(self, classes: &[String], size: (u32, u32)) -> Result<Self, LabelError> {
        let Self::Boxes { boxes, exhaustive } = self else {
            return Ok(self);
        };
        if boxes.is_empty() {
            return Err(LabelError::NoBoxes);
        }
        let checked = boxes.into_iter().map(|labeled| {
            if !classes.contains(&labeled.class) {
                return Err(LabelError::UnknownClass {
                    name: labeled.class,
                });
            }
            let bounds = checked_bounds(labeled.bounds, size)?;
            Ok(LabelBox { bounds, ..labeled })
        });
        let boxes = checked.collect::<Result<_, _>>()?;
        Ok(Self::Boxes { boxes, exhaustive })
    }

    /// The number of boxes.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Boxes { boxes, .. } => boxes.len(),
            Self::Unlabeled | Self::Nothing => 0,
        }
    }

    /// A hash of the labels: a change names the one that it is based on.
    #[must_use]
    pub fn revision(&self) -> String {
        // Numbers and texts can always be written.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let hash = Sha256::digest(text);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn checked_bounds(bounds: [f64; 4], (width, height): (u32, u32)) -> Result<[f64; 4], LabelError> {
    let [left, top, box_width, box_height] = bounds;
    let outside = LabelError::OutsidePicture {
        bounds,
        width,
        height,
    };
    let axis = |start: f64, length: f64, side: u32| {
        if !(start.is_finite() && length.is_finite()) {
            return None;
        }
        let end = (start + length).min(f64::from(side));
        let start = start.max(0.0);
        let is_near = start + length <= f64::from(side) + MIN_SIDE;
        let length = end - start;
        (length >= MIN_SIDE && is_near).then_some((start, length))
    };
    let (Some((left, box_width)), Some((top, box_height))) =
        (axis(left, box_width, width), axis(top, box_height, height))
    else {
        return Err(outside);
    };
    Ok([left, top, box_width, box_height].map(rounded))
}

/// Rounded to hundredths of a pixel.
pub(super) fn rounded(value: f64) -> f64 {
    (value * PIXEL_PARTS).round() / PIXEL_PARTS
}

/// The name of a new class, without white space at its ends; `None` if `classes` has it already.
///
/// # Errors
/// [`LabelError`] if it is not valid.
pub fn new_class(name: &str, classes: &[String]) -> Result<Option<String>, LabelError> {
    let name = name.trim();
    let is_valid = name.len() <= MAX_NAME
        && name.chars().any(char::is_alphanumeric)
        && !name.contains(char::is_control);
    if !is_valid {
        return Err(LabelError::InvalidName);
    }
    let same = |known: &&String| known.to_lowercase() == name.to_lowercase();
    match classes.iter().find(same) {
        None => Ok(Some(name.to_owned())),
        Some(known) if known == name => Ok(None),
        Some(known) => Err(LabelError::OtherCase {
            name: name.to_owned(),
            existing: known.clone(),
        }),
    }
}

/// A path below a folder as the name of a picture, with `/`; `None` if it is not valid Unicode.
pub(super) fn picture_name(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?;
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(class: &str, bounds: [f64; 4]) -> PictureLabels {
        let class = class.to_owned();
        PictureLabels::Boxes {
            boxes: vec![LabelBox { class, bounds }],
            exhaustive: None,
        }
    }

    #[test]
    fn boxes_are_clamped_and_what_is_outside_is_refused() {
        let classes = ["mug".to_owned()];
        let checked = |bounds| one("mug", bounds).checked(&classes, (100, 50));
        for (bounds, expected) in [
            ([10.0, 5.0, 20.0, 30.0], [10.0, 5.0, 20.0, 30.0]),
            ([-0.4, 0.0, 100.9, 50.0], [0.0, 0.0, 100.0, 50.0]),
            ([1.2345, 1.0, 2.0, 2.0], [1.23, 1.0, 2.0, 2.0]),
        ] {
            assert_eq!(checked(bounds), Ok(one("mug", expected)), "{bounds:?}");
        }
        for bounds in [
            [0.0, 0.0, 0.5, 10.0],
            [99.5, 0.0, 10.0, 10.0],
            [0.0, 0.0, 150.0, 10.0],
            [0.0, 60.0, 10.0, 10.0],
            [10.0, 10.0, -5.0, 5.0],
            [f64::NAN, 0.0, 5.0, 5.0],
            [0.0, 0.0, f64::INFINITY, 5.0],
        ] {
            let refused = checked(bounds).expect_err("refused");
            assert!(
                matches!(refused, LabelError::OutsidePicture { .. }),
                "{refused}"
            );
        }
        let unknown = one("cup", [0.0, 0.0, 9.0, 9.0]).checked(&classes, (100, 50));
        assert!(matches!(unknown, Err(LabelError::UnknownClass { .. })));
        let none = PictureLabels::Boxes {
            boxes: Vec::new(),
            exhaustive: Some(true),
        };
        assert_eq!(none.checked(&classes, (9, 9)), Err(LabelError::NoBoxes));
    }

    #[test]
    fn names_of_classes_are_trimmed_and_kept_apart() {
        let classes = ["Mug".to_owned()];
        assert_eq!(new_class(" cup ", &classes), Ok(Some("cup".to_owned())));
        assert_eq!(new_class("Mug", &classes), Ok(None));
        assert!(matches!(
            new_class("mug", &classes),
            Err(LabelError::OtherCase { .. })
        ));
        for invalid in ["", "  ", "..", "a\nb", &"x".repeat(201)] {
            assert_eq!(
                new_class(invalid, &classes),
                Err(LabelError::InvalidName),
                "{invalid}"
            );
        }
    }

    #[test]
    fn the_revision_is_that_of_the_content() {
        let first = one("mug", [0.0, 0.0, 9.0, 9.0]);
        assert_eq!(first.revision(), first.clone().revision());
        let others = [
            PictureLabels::Unlabeled,
            PictureLabels::Nothing,
            one("cup", [0.0, 0.0, 9.0, 9.0]),
            one("mug", [0.0, 0.0, 9.0, 9.5]),
        ];
        for other in others {
            assert_ne!(first.revision(), other.revision());
        }
    }
}
