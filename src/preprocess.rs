//! Frame to input tensor.
//!
//! Training, evaluation and the device all use [`preprocess`], so a model gets the same input on the board as in training.
//! The picture is stretched to the input size (its aspect ratio is not kept), so a normalised box is the same in the
//! picture and in the tensor.

use image::RgbImage;
use thiserror::Error;

use crate::card::{InputSpec, ModelCard, Resize, TensorLayout};
use crate::frame::Frame;
use crate::resize::{ResizeError, Resizer};

mod bilinear;

/// The input of a network, made by [`preprocess`].
///
/// The pixels are 8-bit RGB, row by row, `height * width * 3` values, as an int8 network needs them;
/// [`InputTensor::to_f32`] returns the scaled values for a float network.
#[derive(Debug, Clone, PartialEq)]
pub struct InputTensor {
    spec: InputSpec,
    pixels: Vec<u8>,
}

/// A frame that can't be converted to a tensor.
#[derive(Debug, Error)]
pub enum PreprocessError {
    #[error("the frame is {width} x {height} pixels; a frame needs at least one pixel")]
    Empty { width: u32, height: u32 },
    #[error("a frame of {width} x {height} pixels could not be resized: {source}")]
    Resize {
        width: u32,
        height: u32,
        source: ResizeError,
    },
}

/// Stretches a frame to the input size of the model.
///
/// The filter is the one of the card, in integer arithmetic, so the result is the same on every machine.
///
/// # Errors
/// [`PreprocessError`] if the frame has no pixels.
pub fn preprocess(frame: &Frame, card: &ModelCard) -> Result<InputTensor, PreprocessError> {
    let (width, height) = frame.image.dimensions();
    if width == 0 || height == 0 {
        return Err(PreprocessError::Empty { width, height });
    }
    let spec = card.input.clone();
    let pixels = if (width, height) == (spec.width, spec.height) {
        frame.image.as_raw().clone()
    } else {
        match spec.resize {
            Resize::Antialiased => antialiased(&frame.image, &spec)?,
            Resize::Bilinear => bilinear::resize(
                frame.image.as_raw(),
                [width, height],
                [spec.width, spec.height],
            ),
        }
    };
    Ok(InputTensor { spec, pixels })
}

/// [`Resize::Antialiased`]
fn antialiased(image: &RgbImage, spec: &InputSpec) -> Result<Vec<u8>, PreprocessError> {
    let mut resized = RgbImage::new(spec.width, spec.height);
    let (width, height) = image.dimensions();
    Resizer::default()
        .resize(image, &mut resized)
        .map_err(|source| PreprocessError::Resize {
            width,
            height,
            source,
        })?;
    Ok(resized.into_raw())
}

impl InputTensor {
    /// A tensor of the value that scales to 0, to test a model with.
    pub(crate) fn zeros(card: &ModelCard) -> Self {
        let spec = card.input.clone();
        let value = spec.zero_point.clamp(0.0, 255.0) as u8;
        let pixels = vec![value; spec.shape().iter().product()];
        Self { spec, pixels }
    }

    /// The model's description of its input.
    #[must_use]
    pub fn spec(&self) -> &InputSpec {
        &self.spec
    }

    /// RGB, 8 bit, row by row: `height * width * 3` values.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The shape in the layout of the model.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        self.spec.shape()
    }

    /// The scaled values, in the layout and shape of the model.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let fed: [f32; 256] = std::array::from_fn(|value| self.spec.normalized(value as u8));
        let lookup = |value: &u8| fed[usize::from(*value)];
        match self.spec.layout {
            TensorLayout::Nhwc => self.pixels.iter().map(lookup).collect(),
            TensorLayout::Nchw => (0..3)
                .flat_map(|channel| self.pixels[channel..].iter().step_by(3).map(lookup))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::card::test_card;
    use crate::frame::Origin;

    fn frame(image: RgbImage) -> Frame {
        Frame::new(0, Origin::Live, image)
    }

    #[test]
    fn any_size_is_stretched_to_the_input() {
        let card = test_card(8);
        for (width, height) in [(8, 8), (640, 480), (1, 1), (3, 500), (9, 7)] {
            let grey = RgbImage::from_pixel(width, height, Rgb([10, 20, 30]));
            let tensor = preprocess(&frame(grey), &card).expect("has pixels");
            assert_eq!(
                tensor.pixels(),
                [10, 20, 30].repeat(64),
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn the_picture_is_neither_mirrored_nor_turned() {
        let quarters = RgbImage::from_fn(100, 50, |x, y| {
            Rgb([
                if x < 50 { 0 } else { 200 },
                if y < 25 { 0 } else { 100 },
                7,
            ])
        });
        let tensor = preprocess(&frame(quarters), &test_card(2)).expect("has pixels");
        let pixel = |i: usize| &tensor.pixels()[3 * i..3 * i + 3];
        assert!(pixel(0)[0] < 30 && pixel(1)[0] > 170 && pixel(2)[0] < 30);
        assert!(pixel(0)[1] < 15 && pixel(1)[1] < 15 && pixel(2)[1] > 85);
        assert_eq!(pixel(3)[2], 7);
    }

    #[test]
    fn both_layouts_hold_the_same_scaled_numbers() {
        let picture = RgbImage::from_fn(2, 2, |x, y| Rgb([x as u8, y as u8 + 100, 255]));
        let mut card = test_card(2);
        let planar = preprocess(&frame(picture.clone()), &card).expect("has pixels");
        assert_eq!(planar.shape(), [1, 3, 2, 2]);
        let scaled = |v: f32| (v - 128.0) / 128.0;
        let red = [0.0, 1.0, 0.0, 1.0].map(scaled);
        let green = [100.0, 100.0, 101.0, 101.0].map(scaled);
        let blue = [255.0; 4].map(scaled);
        assert_eq!(planar.to_f32(), [red, green, blue].concat());
        card.input.layout = TensorLayout::Nhwc;
        let interleaved = preprocess(&frame(picture), &card).expect("has pixels");
        assert_eq!(interleaved.shape(), [1, 2, 2, 3]);
        assert_eq!(
            interleaved.to_f32()[..4],
            [red[0], green[0], blue[0], red[1]]
        );
    }

    #[test]
    fn the_card_says_how_to_resize() {
        let stripes = RgbImage::from_fn(4, 4, |x, _| Rgb([x as u8 % 2 * 200; 3]));
        let mut card = test_card(2);
        let averaged = preprocess(&frame(stripes.clone()), &card).expect("has pixels");
        assert!(averaged.pixels().iter().all(|v| (50..=150).contains(v)));
        card.input.resize = Resize::Bilinear;
        let sampled = preprocess(&frame(stripes), &card).expect("has pixels");
        assert_eq!(sampled.pixels(), [0; 12]);
    }

    #[test]
    fn a_frame_without_pixels_is_refused() {
        let error = preprocess(&frame(RgbImage::new(0, 5)), &test_card(2)).expect_err("refused");
        assert!(matches!(
            error,
            PreprocessError::Empty {
                width: 0,
                height: 5
            }
        ));
    }
}
