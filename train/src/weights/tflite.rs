//! The backbone of a quantized `.tflite` file (schema version 3).

use std::collections::BTreeMap;

use super::BackboneWeights;
use crate::formats::flatbuffer::Table;
use crate::formats::tflite::{Operator, TfliteFile, builtin, options};
use crate::formats::{FormatError, KernelLayout};
use crate::layer::{ConvWeights, Layer};

/// The layers before the pooling that begins the file's classifier.
pub(super) fn read(bytes: &[u8]) -> Result<BackboneWeights, FormatError> {
    let file = TfliteFile::read(bytes)?;
    let first = file.operators.first().ok_or("it has no operators")?;
    let input = first.input(0)?;
    let mut layers = Layers::new(input);
    for operator in &file.operators {
        match file.builtin_code(*operator)? {
            code @ (builtin::CONV_2D | builtin::DEPTHWISE_CONV_2D) => {
                let is_depthwise = code == builtin::DEPTHWISE_CONV_2D;
                layers.push(operator, layer(&file, operator, is_depthwise)?)?;
            }
            builtin::ADD => layers.add(operator)?,
            // The classifier, which begins with pooling.
            _ => break,
        }
    }
    let layers = layers.layers;
    if layers.len() < 3 {
        return Err(format!("it begins with {} convolutions", layers.len()).into());
    }
    let shape = file.shape(input)?;
    let &[_, side, _, _] = shape.as_slice() else {
        return Err(format!("its input has shape {shape:?}").into());
    };
    Ok(BackboneWeights {
        heads: None,
        side,
        layers,
    })
}

fn layer(file: &TfliteFile, operator: &Operator, is_depthwise: bool) -> Result<Layer, FormatError> {
    let table = operator.options()?;
    let table = table.ok_or("a convolution has no options")?;
    let activation = match is_depthwise {
        true => options::DEPTHWISE_ACTIVATION,
        false => options::CONV_ACTIVATION,
    };
    let relu6 = match table.i8(activation)? {
        options::RELU6 => true,
        options::NO_ACTIVATION => false,
        other => return Err(format!("a convolution has activation {other}").into()),
    };
    let conv = convolution(file, operator, &table, is_depthwise)?;
    Ok(Layer {
        conv,
        relu6,
        add: None,
    })
}

fn convolution(
    file: &TfliteFile,
    operator: &Operator,
    table: &Table,
    is_depthwise: bool,
) -> Result<ConvWeights, FormatError> {
    let kernel = operator.input(1)?;
    let layout = match is_depthwise {
        true => KernelLayout::Depthwise,
        false => KernelLayout::OutHeightWidthIn,
    };
    let dims = file.shape(kernel)?;
    let converted = layout.to_onnx(&dims, &constant(file, kernel)?);
    let (shape, weights) = converted.ok_or_else(|| format!("a kernel has shape {dims:?}"))?;
    let [channels, _, height, width] = shape;
    if table.i8(options::CONV_PADDING)? != options::SAME && (height, width) != (1, 1) {
        return Err("a convolution has no padding".into());
    }
    let bias = constant(file, operator.input(2)?)?;
    if bias.len() != channels {
        return Err(format!("{} biases for {channels} channels", bias.len()).into());
    }
    Ok(ConvWeights {
        shape,
        weights,
        bias,
        stride: usize::try_from(table.i32(options::CONV_STRIDE_W)?).unwrap_or(0),
        groups: if is_depthwise { channels } else { 1 },
    })
}

fn constant(file: &TfliteFile, tensor: usize) -> Result<Vec<f32>, FormatError> {
    let values = file.values(tensor)?;
    match values {
        Some(values) => Ok(values),
        None => Err(format!("tensor {} has no data", file.name(tensor)?).into()),
    }
}

/// Layers read so far.
struct Layers {
    layers: Vec<Layer>,
    /// Index of the layer that makes a tensor, by the tensor.
    producers: BTreeMap<usize, usize>,
    /// The tensor that the next layer must read.
    last: usize,
}

impl Layers {
    fn new(input: usize) -> Self {
        Self {
            layers: Vec::new(),
            producers: BTreeMap::new(),
            last: input,
        }
    }

    fn push(&mut self, operator: &Operator, layer: Layer) -> Result<(), FormatError> {
        if operator.input(0)? != self.last {
            let number = self.layers.len();
            let message =
                format!("convolution {number} does not read the output of the one before");
            return Err(message.into());
        }
        self.layers.push(layer);
        self.set_output(operator)
    }

    /// A residual addition of the last layer's output and an earlier one's.
    fn add(&mut self, operator: &Operator) -> Result<(), FormatError> {
        let table = operator.options()?;
        let activation = match table {
            Some(table) => table.i8(options::ADD_ACTIVATION)?,
            None => options::NO_ACTIVATION,
        };
        if activation != options::NO_ACTIVATION {
            return Err("an addition has an activation".into());
        }
        let other = match [operator.input(0)?, operator.input(1)?] {
            [a, b] if a == self.last => b,
            [a, b] if b == self.last => a,
            _ => return Err("an addition does not read the layer before it".into()),
        };
        let earlier = *self
            .producers
            .get(&other)
            .ok_or("an addition reads a tensor that no convolution makes")?;
        let last = self.layers.last_mut().ok_or("it begins with an addition")?;
        if last.add.replace(earlier).is_some() {
            return Err("an addition follows an addition".into());
        }
        // From here on the layer's output is the sum.
        self.producers.remove(&self.last);
        self.set_output(operator)
    }

    fn set_output(&mut self, operator: &Operator) -> Result<(), FormatError> {
        self.last = operator.output()?;
        self.producers.insert(self.last, self.layers.len() - 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_beyond_the_end_are_an_error() {
        for bytes in [
            &b""[..],
            b"\x20\0\0\0TFL3",
            b"\x04\0\0\0\xff\xff\xff\x7f",
            &[0xff; 64],
        ] {
            let error = read(bytes).expect_err("broken");
            assert!(matches!(error, FormatError::Broken(_)), "{error}");
        }
    }
}
