//! Golden examples: pictures in the model's card with what the trainer's engine said of them.
//!
//! In goes a detector, out comes how far it is from what its card promises, or a [`GoldenError`]. So a model
//! file that was damaged but still loads, and an engine that computes something else on some board, are found
//! before a camera is. Nothing here knows what is in the pictures: they need not be of the model's classes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{ImageFormat, RgbImage};
use thiserror::Error;

use crate::card::GoldenExample;
use crate::detect::{DetectError, Detector, Prediction};
use crate::frame::{Frame, Origin};
use crate::preprocess::{PreprocessError, preprocess};

/// By how much a score or a corner may differ, in shares of 1: engines round differently, a broken one is
/// further off.
pub const TOLERANCE: f32 = 0.03;

/// Longest side of a golden picture, in pixels.
const MAX_SIDE: u32 = 512;

/// How far a detector is from its card.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Golden examples in the card; 0 proves nothing.
    pub examples: usize,
    /// The largest difference of any score or corner.
    pub difference: f32,
}

/// A detector that does not do what its card promises.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// The picture of an example can't be read.
    #[error("golden example {example} of its card can't be read ({message}); make the model again")]
    Picture {
        /// Number of the example, from 1.
        example: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The detector could not answer.
    #[error("golden example {example}: {source}")]
    Detect {
        /// Number of the example, from 1.
        example: usize,
        /// Why not.
        source: DetectError,
    },
    /// The picture can't be given to the model.
    #[error("golden example {example}: {source}")]
    Preprocess {
        /// Number of the example, from 1.
        example: usize,
        /// Why not.
        source: PreprocessError,
    },
    /// The answer is another.
    #[error(
        "golden example {example}: the answer is {difference:.3} off what the card promises, at most \
         {TOLERANCE} is allowed; the file is damaged or this machine computes wrongly: copy the file again"
    )]
    Differs {
        /// Number of the example, from 1.
        example: usize,
        /// The largest difference of a score or a corner; infinite where there are more or fewer of them.
        difference: f32,
    },
}

/// Makes examples of pictures, at most 512 pixels wide and high, with what the detector says of them.
///
/// # Errors
/// [`GoldenError`] when the detector can't answer or a picture is too large.
pub fn record(
    detector: &mut dyn Detector,
    pictures: impl IntoIterator<Item = RgbImage>,
) -> Result<Vec<GoldenExample>, GoldenError> {
    let numbered = (1..).zip(pictures);
    let examples = numbered.map(|(example, image)| {
        let mut png = std::io::Cursor::new(Vec::new());
        check_size(image.width(), image.height())
            .and_then(|()| Ok(image.write_to(&mut png, ImageFormat::Png)?))
            .map_err(|error| unreadable(example, &error))?;
        let prediction = predict(detector, example, image)?;
        Ok(GoldenExample {
            picture: BASE64_STANDARD.encode(png.into_inner()),
            scores: prediction.scores().to_vec(),
            corners: prediction.bounding_box().corners(),
        })
    });
    examples.collect()
}

/// Holds a detector against the examples in its card.
///
/// # Errors
/// [`GoldenError`] for the first example that it fails.
pub fn check(detector: &mut dyn Detector) -> Result<Agreement, GoldenError> {
    let golden = detector.card().golden.clone();
    let mut agreement = Agreement::default();
    for (example, promised) in (1..).zip(&golden) {
        let image = picture(promised).map_err(|error| unreadable(example, &error))?;
        let difference = distance(&predict(detector, example, image)?, promised);
        // A NaN in the card agrees with nothing.
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

type AnyError = Box<dyn std::error::Error>;

fn picture(example: &GoldenExample) -> Result<RgbImage, AnyError> {
    let png = BASE64_STANDARD.decode(&example.picture)?;
    let reader = || image::ImageReader::with_format(std::io::Cursor::new(&png), ImageFormat::Png);
    let (width, height) = reader().into_dimensions()?;
    check_size(width, height)?;
    Ok(reader().decode()?.into_rgb8())
}

fn check_size(width: u32, height: u32) -> Result<(), AnyError> {
    if width.max(height) > MAX_SIDE {
        return Err(format!("{width} x {height} pixels, at most {MAX_SIDE} a side").into());
    }
    Ok(())
}

fn unreadable(example: usize, error: &AnyError) -> GoldenError {
    GoldenError::Picture {
        example,
        message: error.to_string(),
    }
}

/// The largest difference of a score or a corner.
fn distance(said: &Prediction, promised: &GoldenExample) -> f32 {
    if said.scores().len() != promised.scores.len() {
        return f32::INFINITY;
    }
    let scores = said.scores().iter().zip(&promised.scores);
    let corners = said.bounding_box().corners();
    let corners = corners.iter().zip(&promised.corners);
    let differences = scores.chain(corners).map(|(a, b)| (a - b).abs());
    // Not `f32::max`, which would pass over a NaN.
    let greater = |a: &f32, b: &f32| a.total_cmp(b);
    differences.max_by(greater).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::card::{ModelCard, test_card};
    use crate::preprocess::InputTensor;

    /// Scores the brightness of a picture.
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
    fn who_recorded_agrees_with_itself() {
        let agreement = check(&mut with_examples()).expect("agrees");
        assert_eq!((agreement.examples, agreement.difference), (2, 0.0));
        let without = check(&mut Brightness(test_card(4), 1.0)).expect("nothing to fail");
        assert_eq!(without.examples, 0);
    }

    #[test]
    fn another_answer_is_refused_with_its_distance() {
        let mut nearly = with_examples();
        nearly.1 = 0.99;
        assert!(check(&mut nearly).expect("near enough").difference > 0.0);
        let mut off = with_examples();
        off.1 = 0.9;
        let error = check(&mut off).expect_err("too far off");
        assert!(
            matches!(error, GoldenError::Differs { example: 2, difference } if difference > 0.07),
            "{error}"
        );
    }

    #[test]
    fn broken_examples_are_named() {
        type Breaking = fn(&mut GoldenExample);
        let cases: [(&str, Breaking); 4] = [
            ("can't be read", |e| e.picture.truncate(21)),
            ("can't be read", |e| e.picture = "???".to_owned()),
            ("inf off", |e| e.scores.truncate(1)),
            ("NaN off", |e| e.corners[2] = f32::NAN),
        ];
        for (expected, break_it) in cases {
            let mut detector = with_examples();
            break_it(&mut detector.0.golden[1]);
            let said = check(&mut detector).expect_err(expected).to_string();
            assert!(said.starts_with("golden example 2"), "{said}");
            assert!(said.contains(expected), "{said}");
        }
        let large = [RgbImage::new(600, 2)];
        assert!(record(&mut Brightness(test_card(4), 1.0), large).is_err());
    }
}
