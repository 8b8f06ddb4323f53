//! Readers of the files of other frameworks: TensorFlow.js graph models and TFLite files.
//!
//! They check offsets and sizes, and give plain tables and tensors. What a graph means is the matter of
//! [`crate::weights`], which reads a backbone to train from, and of [`crate::import`], which reads a whole detector.

use thiserror::Error;

pub(crate) mod flatbuffer;
pub(crate) mod flexbuffer;
pub(crate) mod tfjs;
pub(crate) mod tflite;

/// What is wrong with the content of a file; the caller adds its name.
#[derive(Debug, Error)]
pub(crate) enum FormatError {
    /// Truncated, or not of the format.
    #[error("{0}")]
    Broken(String),
    /// Complete, but with something that can't be read.
    #[error("{0}")]
    Unsupported(String),
}

impl From<String> for FormatError {
    fn from(message: String) -> Self {
        Self::Unsupported(message)
    }
}

impl From<&str> for FormatError {
    fn from(message: &str) -> Self {
        Self::Unsupported(message.to_owned())
    }
}

/// Whether the bytes are those of a `.tflite` file. Bytes 4 to 8 of a FlatBuffers file are its identifier.
pub(crate) fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

/// Whether the bytes may be those of a `model.json` file.
pub(crate) fn is_tfjs(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// Order of the dimensions of a convolution's kernel in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KernelLayout {
    /// `[height, width, in, out]`: TensorFlow's.
    HeightWidthInOut,
    /// `[out, height, width, in]`: TFLite's.
    OutHeightWidthIn,
    /// `[height, width, channels, 1]` or `[1, height, width, channels]`, of a depthwise convolution.
    Depthwise,
}

impl KernelLayout {
    /// A kernel as `[out, in / groups, height, width]`; `None` if its shape is not one of this layout.
    pub(crate) fn to_onnx(self, shape: &[usize], values: &[f32]) -> Option<([usize; 4], Vec<f32>)> {
        let &[a, b, c, d] = shape else {
            return None;
        };
        // Sides of the kernel, and the distances of neighbours in each direction.
        let ([out, inside, height, width], [step_out, step_inside, step_pixel]) = match self {
            Self::HeightWidthInOut => ([d, c, a, b], [1, d, c.checked_mul(d)?]),
            Self::OutHeightWidthIn => {
                let step_out = b.checked_mul(c)?.checked_mul(d)?;
                ([a, d, b, c], [step_out, 1, d])
            }
            Self::Depthwise if d == 1 => ([c, 1, a, b], [1, 0, c]),
            Self::Depthwise if a == 1 => ([d, 1, b, c], [1, 0, d]),
            Self::Depthwise => return None,
        };
        let sides = [out, inside, height, width];
        let mut sizes = sides.iter();
        let count = sizes.try_fold(1usize, |count, &side| count.checked_mul(side));
        if count != Some(values.len()) {
            return None;
        }
        let mut kernel = Vec::with_capacity(values.len());
        for o in 0..out {
            for i in 0..inside {
                let first = o * step_out + i * step_inside;
                kernel.extend((0..height * width).map(|pixel| values[first + pixel * step_pixel]));
            }
        }
        Some((sides, kernel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_all_layouts_become_those_of_onnx() {
        // Value = 1000 * out + 100 * in + 10 * row + column.
        let value =
            |o: usize, i: usize, y: usize, x: usize| (1000 * o + 100 * i + 10 * y + x) as f32;
        let mut hwio = Vec::new();
        let mut ohwi = Vec::new();
        let mut expected = Vec::new();
        for n in 0..2 * 3 * 2 * 4 {
            let (y, x, i, o) = (n / 24, n / 8 % 3, n / 4 % 2, n % 4);
            hwio.push(value(o, i, y, x));
            let (o, y, x, i) = (n / 12, n / 6 % 2, n / 2 % 3, n % 2);
            ohwi.push(value(o, i, y, x));
            let (o, i, y, x) = (n / 12, n / 6 % 2, n / 3 % 2, n % 3);
            expected.push(value(o, i, y, x));
        }
        let expected = Some(([4, 2, 2, 3], expected));
        assert_eq!(
            KernelLayout::HeightWidthInOut.to_onnx(&[2, 3, 2, 4], &hwio),
            expected
        );
        assert_eq!(
            KernelLayout::OutHeightWidthIn.to_onnx(&[4, 2, 3, 2], &ohwi),
            expected
        );
        let channels = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0];
        let expected = Some(([2, 1, 1, 3], vec![0.0, 10.0, 20.0, 1.0, 11.0, 21.0]));
        assert_eq!(
            KernelLayout::Depthwise.to_onnx(&[1, 3, 2, 1], &channels),
            expected
        );
        assert_eq!(
            KernelLayout::Depthwise.to_onnx(&[1, 1, 3, 2], &channels),
            expected
        );
        assert_eq!(
            KernelLayout::Depthwise.to_onnx(&[2, 1, 3, 2], &channels),
            None
        );
        assert_eq!(
            KernelLayout::OutHeightWidthIn.to_onnx(&[9, 1, 3, 2], &channels),
            None
        );
    }
}
