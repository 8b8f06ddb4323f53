//! Golden examples: pictures in the model card with the predictions that an engine must reproduce.
//!
//! Checking them detects a damaged model file that still loads, and an engine that computes wrongly on some machine,
//! before a camera is opened. The pictures need not show objects of the model's classes.

use std::io::Cursor;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::{ImageError, ImageFormat, ImageReader, RgbImage};
use thiserror::Error;

use crate::card::{GoldenExample, GoldenObject};
use crate::detect::{DetectError, Detection, Detector, Prediction};
use crate::frame::{Frame, Origin};
use crate::preprocess::{PreprocessError, preprocess};

/// Maximum difference of a score or a box coordinate. Engines round differently; a broken one differs more.
pub const TOLERANCE: f32 = 0.03;

/// Objects from this score on are recorded. Weaker ones are too many.
const MIN_OBJECT_SCORE: f32 = 0.05;

/// Maximum side of a golden picture, in pixels.
const MAX_SIDE: u32 = 512;

/// The result of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Number of golden examples in the card; 0 proves nothing.
    pub examples: usize,
    /// The largest difference of a score or a box coordinate.
    pub difference: f32,
}

/// A golden example that can't be reproduced. Examples are numbered from 1.
#[derive(Debug, Error)]
pub enum GoldenError {
    #[error(
        "golden example {example} of its card can't be read ({source}); create the model again with boxcam-train"
    )]
    Picture {
        example: usize,
        source: GoldenPictureError,
    },
    #[error("golden example {example}: {source}")]
    Detect { example: usize, source: DetectError },
    #[error("golden example {example}: {source}")]
    Preprocess {
        example: usize,
        source: PreprocessError,
    },
    #[error(
        "golden example {example}: the prediction differs by {difference:.3} from the one in the card, at most \
         {TOLERANCE} is allowed; the file is damaged or this machine computes wrongly: copy the file again"
    )]
    Differs {
        example: usize,
        /// The largest difference of a score or a box coordinate; infinite if there are other scores or no objects.
        difference: f32,
    },
}

#[derive(Debug, Error)]
pub enum GoldenPictureError {
    #[error(transparent)]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{width} x {height} pixels, at most {MAX_SIDE} x {MAX_SIDE} is allowed")]
    TooLarge { width: u32, height: u32 },
}

/// Creates golden examples from pictures of at most 512 x 512 pixels and the predictions of a detector.
///
/// # Errors
/// [`GoldenError`] if a picture is too large or the detector fails.
pub fn record(
    detector: &mut dyn Detector,
    pictures: impl IntoIterator<Item = RgbImage>,
) -> Result<Vec<GoldenExample>, GoldenError> {
    let numbered = (1..).zip(pictures);
    let examples = numbered.map(|(example, image)| {
        let png = encode(&image).map_err(|source| GoldenError::Picture { example, source })?;
        let prediction = predict(detector, example, image)?;
        Ok(GoldenExample {
            picture: BASE64_STANDARD.encode(png),
            scores: prediction.scores().to_vec(),
            corners: prediction.bounding_box().corners(),
            objects: prediction.objects(MIN_OBJECT_SCORE).map(recorded),
        })
    });
    examples.collect()
}

/// Compares the predictions of a detector with the golden examples in its card.
///
/// # Errors
/// [`GoldenError`] for the first example that is not reproduced.
pub fn check(detector: &mut dyn Detector) -> Result<Agreement, GoldenError> {
    let golden = detector.card().golden.clone();
    let mut agreement = Agreement::default();
    for (example, expected) in (1..).zip(&golden) {
        let image = decode(expected).map_err(|source| GoldenError::Picture { example, source })?;
        let difference = difference(&predict(detector, example, image)?, expected);
        // A NaN in the card must fail too.
        if difference.is_nan() || difference > TOLERANCE {
            return Err(GoldenError::Differs {
                example,
                difference,
            });
        }
        agreement.examples += 1;
        agreement.difference = agreement.difference.max(difference);
    }
    Ok(agreement)
}

fn predict(
    detector: &mut dyn Detector,
    example: usize,
    image: RgbImage,
) -> Result<Prediction, GoldenError> {
    let origin = Origin::Picture("golden example".into());
    let input = preprocess(&Frame::new(0, origin, image), detector.card())
        .map_err(|source| GoldenError::Preprocess { example, source })?;
    detector
        .predict(&input)
        .map_err(|source| GoldenError::Detect { example, source })
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, GoldenPictureError> {
    check_size(image.dimensions())?;
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

fn decode(example: &GoldenExample) -> Result<RgbImage, GoldenPictureError> {
    let png = BASE64_STANDARD.decode(&example.picture)?;
    let reader = || ImageReader::with_format(Cursor::new(&png), ImageFormat::Png);
    check_size(reader().into_dimensions()?)?;
    Ok(reader().decode()?.into_rgb8())
}

fn check_size((width, height): (u32, u32)) -> Result<(), GoldenPictureError> {
    if width.max(height) > MAX_SIDE {
        return Err(GoldenPictureError::TooLarge { width, height });
    }
    Ok(())
}

fn recorded(objects: &[Detection]) -> Vec<GoldenObject> {
    let record = |object: &Detection| GoldenObject {
        class: object.class.index(),
        score: object.confidence,
        corners: object.bounding_box.corners(),
    };
    objects.iter().map(record).collect()
}

/// The largest difference of a score or a box coordinate.
fn difference(prediction: &Prediction, expected: &GoldenExample) -> f32 {
    if prediction.scores().len() != expected.scores.len() {
        return f32::INFINITY;
    }
    let scores = prediction.scores().iter().zip(&expected.scores);
    let corners = prediction.bounding_box().corners();
    let corners = corners.iter().zip(&expected.corners);
    let differences = scores.chain(corners).map(|(a, b)| (a - b).abs());
    let differences = differences.chain(object_difference(prediction, expected));
    // `f32::max` would ignore a NaN.
    let larger = |a: &f32, b: &f32| a.total_cmp(b);
    differences.max_by(larger).unwrap_or_default()
}

/// The largest difference of an object from the nearest one in the other list; `None` if the card has no objects.
///
/// Rounding may move a score over the threshold, or change the order of two nearly equal scores. So the lists need not have
/// the same length and order.
fn object_difference(prediction: &Prediction, expected: &GoldenExample) -> Option<f32> {
    let expected = expected.objects.as_ref()?;
    let Some(all) = prediction.objects(0.0) else {
        return Some(f32::INFINITY);
    };
    let all = recorded(all);
    let strong = all
        .iter()
        .filter(|object| object.score > MIN_OBJECT_SCORE + TOLERANCE);
    let missing = expected.iter().map(|object| nearest(object, &all));
    let added = strong.map(|object| nearest(object, expected));
    let larger = |a: &f32, b: &f32| a.total_cmp(b);
    missing.chain(added).max_by(larger)
}

/// The difference of an object from the nearest one of its class; infinite without one.
fn nearest(object: &GoldenObject, others: &[GoldenObject]) -> f32 {
    let larger = |a: &f32, b: &f32| a.total_cmp(b);
    let difference = |other: &GoldenObject| {
        let corners = object.corners.iter().zip(&other.corners);
        let corners = corners.map(|(a, b)| (a - b).abs());
        let all = corners.chain([(object.score - other.score).abs()]);
        all.max_by(larger).unwrap_or_default()
    };
    let same_class = others.iter().filter(|other| other.class == object.class);
    let nearest = same_class.map(difference).min_by(larger);
    nearest.unwrap_or(f32::INFINITY)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::card::{ModelCard, ObjectDecode, ObjectSettings, test_card};
    use crate::detect::{CellOutputs, Nms};
    use crate::preprocess::InputTensor;

    /// Its first score is the brightness of the picture.
    struct Brightness(ModelCard, f32);

    impl Detector for Brightness {
        fn card(&self) -> &ModelCard {
            &self.0
        }

        fn model_hash(&self) -> &str {
            "0badcafe"
        }

        fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError> {
            let score = f32::from(input.pixels()[0]) / 255.0 * self.1;
            Prediction::new(vec![score, 1.0 - score], [0.0, score, 0.0, 1.0])
        }
    }

    fn with_examples() -> Brightness {
        let mut detector = Brightness(test_card(4), 1.0);
        let pictures = [51, 204].map(|value| RgbImage::from_pixel(6, 5, Rgb([value; 3])));
        let golden = record(&mut detector, pictures).expect("recorded");
        detector.0.golden = golden;
        detector
    }

    #[test]
    fn the_detector_that_recorded_the_examples_passes() {
        let agreement = check(&mut with_examples()).expect("agrees");
        assert_eq!((agreement.examples, agreement.difference), (2, 0.0));
        let without = check(&mut Brightness(test_card(4), 1.0)).expect("no example fails");
        assert_eq!(without.examples, 0);
    }

    #[test]
    fn a_different_prediction_is_refused_with_its_difference() {
        let mut nearly = with_examples();
        nearly.1 = 0.99;
        assert!(check(&mut nearly).expect("within the tolerance").difference > 0.0);
        let mut off = with_examples();
        off.1 = 0.9;
        let error = check(&mut off).expect_err("beyond the tolerance");
        assert!(
            matches!(error, GoldenError::Differs { example: 2, difference } if difference > 0.07),
            "{error}"
        );
    }

    /// Its objects are two bananas; the brightness of the picture times a factor is the score of one.
    struct Bananas(ModelCard, f32);

    impl Detector for Bananas {
        fn card(&self) -> &ModelCard {
            &self.0
        }

        fn model_hash(&self) -> &str {
            "0badcafe"
        }

        fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError> {
            let score = f32::from(input.pixels()[0]) / 255.0 * self.1;
            let settings = self.0.objects.expect("has objects");
            let cells = CellOutputs {
                scores: &[0.0, score, 0.0, 0.6],
                boxes: &[0.0, 0.4, 0.0, 0.4, 0.5, 1.0, 0.5, 1.0],
            };
            Prediction::of_objects(cells, &mut Nms::new(settings, 2, 2))
        }
    }

    fn with_objects() -> Bananas {
        let objects = Some(ObjectSettings {
            threshold: 0.4,
            nms_iou: 0.5,
            most: 10,
            decode: ObjectDecode::InGraph,
        });
        let card = ModelCard {
            objects,
            ..test_card(4)
        };
        let mut detector = Bananas(card, 1.0);
        let pictures = [12, 153].map(|value| RgbImage::from_pixel(6, 5, Rgb([value; 3])));
        detector.0.golden = record(&mut detector, pictures).expect("recorded");
        detector
    }

    #[test]
    fn objects_are_recorded_and_checked() {
        let mut same = with_objects();
        let counts = same
            .0
            .golden
            .iter()
            .map(|example| example.objects.as_ref().map(Vec::len).expect("has objects"));
        // The dark picture's first banana has a score of 0.047.
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2]);
        assert_eq!(check(&mut same).expect("agrees").difference, 0.0);
        // 0.6 becomes 0.606, so the order of the two bananas changes.
        let mut nearly = with_objects();
        nearly.1 = 1.01;
        assert!(check(&mut nearly).expect("within the tolerance").difference < 0.01);
        type Change = fn(&mut Vec<GoldenObject>);
        let cases: [(&str, Change); 5] = [
            ("differs by 0.050", |objects| objects[0].corners[2] += 0.05),
            ("differs by 0.050", |objects| objects[1].score += 0.05),
            ("differs by inf", |objects| objects[0].class = 0),
            ("differs by 0.600", |objects| objects.truncate(1)),
            ("differs by NaN", |objects| objects[0].score = f32::NAN),
        ];
        for (expected, change) in cases {
            let mut detector = with_objects();
            change(detector.0.golden[1].objects.as_mut().expect("some"));
            let error = check(&mut detector).expect_err(expected).to_string();
            assert!(error.starts_with("golden example 2"), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn invalid_examples_are_named() {
        type Change = fn(&mut GoldenExample);
        let cases: [(&str, Change); 4] = [
            ("can't be read", |e| e.picture.truncate(21)),
            ("can't be read", |e| e.picture = "???".to_owned()),
            ("differs by inf", |e| e.scores.truncate(1)),
            ("differs by NaN", |e| e.corners[2] = f32::NAN),
        ];
        for (expected, change) in cases {
            let mut detector = with_examples();
            change(&mut detector.0.golden[1]);
            let error = check(&mut detector).expect_err(expected).to_string();
            assert!(error.starts_with("golden example 2"), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        let large = [RgbImage::new(600, 2)];
        assert!(record(&mut Brightness(test_card(4), 1.0), large).is_err());
    }
}
