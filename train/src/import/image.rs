//! What a network makes of the pixels before its first convolution.

use boxcam::card::Resize;

use super::error::NetworkFault;
use super::evaluate::Known;
use super::graph::{ActivationScale, Binary, Graph, Node, Op, Tensor, Value};

/// The input of the first convolution: `factor * v + offset` of each 8-bit channel value `v`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// Of red, green and blue, or of blue, green and red: the network's order.
    pub factor: [f32; 3],
    pub offset: [f32; 3],
}

impl Scaling {
    /// -1 to 1: `v * 2 / 255 - 1`, that of TensorFlow's MobileNets.
    pub const SIGNED: Self = Self {
        factor: [2.0 / 255.0; 3],
        offset: [-1.0; 3],
    };

    /// 0 to 1.
    pub const UNIT: Self = Self {
        factor: [1.0 / 255.0; 3],
        offset: [0.0; 3],
    };

    /// 0 to 255.
    pub const BYTES: Self = Self {
        factor: [1.0; 3],
        offset: [0.0; 3],
    };

    /// `(v - mean) / deviation`
    #[must_use]
    pub fn normalized(mean: [f32; 3], deviation: [f32; 3]) -> Self {
        Self {
            factor: deviation.map(|deviation| 1.0 / deviation),
            offset: std::array::from_fn(|channel| -mean[channel] / deviation[channel]),
        }
    }

    fn map(&mut self, change: impl Fn(usize, f32, f32) -> (f32, f32)) {
        for channel in 0..3 {
            let (factor, offset) = change(channel, self.factor[channel], self.offset[channel]);
            (self.factor[channel], self.offset[channel]) = (factor, offset);
        }
    }
}

/// The image as a network wants it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    /// In pixels, `[height, width]`; `None` where the file leaves it open.
    pub(super) size: Option<[usize; 2]>,
    /// What the file's own operators and integers say; `None` of a file that leaves it to its caller.
    pub(super) scaling: Option<Scaling>,
    /// That of TensorFlow 1 if the file does not resize images.
    pub(super) resize: Resize,
}

/// The way from the image to the first convolution, whose input is `value`.
///
/// # Errors
/// [`NetworkFault::Operator`] for an operator on the way that is no arithmetic with constants.
pub(super) fn trace(graph: &Graph, known: &Known, value: Value) -> Result<Image, NetworkFault> {
    let mut steps = Vec::new();
    let mut at = value;
    let source = loop {
        let node = graph.node(at);
        match &node.op {
            Op::Binary(binary) => {
                let [a, b] = node.inputs[..] else {
                    return Err(NetworkFault::at(node, "other operands", "two"));
                };
                let (constant, is_first, next) = match (known.get(a), known.get(b)) {
                    (_, Some(constant)) => (constant, false, a),
                    (Some(constant), None) => (constant, true, b),
                    (None, None) => {
                        return Err(NetworkFault::at(
                            node,
                            "two computed operands",
                            "a constant",
                        ));
                    }
                };
                let Some(values) = channels(constant) else {
                    let found = format!("a constant of shape {:?}", constant.shape);
                    return Err(NetworkFault::at(
                        node,
                        found,
                        "one number, or one a channel",
                    ));
                };
                if matches!(binary, Binary::Maximum | Binary::Minimum)
                    || (is_first && *binary == Binary::Divide)
                {
                    return Err(NetworkFault::at(node, "the image", "a sum or a product"));
                }
                steps.push((*binary, values, is_first));
                at = next;
            }
            Op::Identity | Op::Reshape if node.scale.is_none() || node.op == Op::Identity => {
                at = node
                    .inputs
                    .first()
                    .copied()
                    .ok_or_else(|| NetworkFault::at(node, "no operand", "the image"))?;
            }
            _ => break at,
        }
    };
    let (size, input) = origin(graph, known, source)?;
    let is_integer = input.is_some();
    let mut scaling = input.unwrap_or(Scaling::BYTES);
    let is_untouched = steps.is_empty();
    for (binary, values, is_first) in steps.into_iter().rev() {
        scaling.map(|channel, factor, offset| {
            let by = values[channel];
            match (binary, is_first) {
                (Binary::Add, _) => (factor, offset + by),
                (Binary::Subtract, false) => (factor, offset - by),
                (Binary::Subtract, true) => (-factor, by - offset),
                (Binary::Multiply, _) => (factor * by, offset * by),
                _ => (factor / by, offset / by),
            }
        });
    }
    // A plain float input may be scaled in any way.
    let is_known = is_integer || !is_untouched || !matches!(graph.node(source).op, Op::Input(_));
    Ok(Image {
        size,
        scaling: is_known.then_some(scaling),
        resize: resize(graph),
    })
}

/// One number for each channel of an image.
fn channels(tensor: &Tensor) -> Option<[f32; 3]> {
    match tensor.values[..] {
        [one] => Some([one; 3]),
        [a, b, c] if tensor.shape.last() == Some(&3) => Some([a, b, c]),
        _ => None,
    }
}

/// Size of the image that a value is made of, and the scaling of its integers.
fn origin(
    graph: &Graph,
    known: &Known,
    source: Value,
) -> Result<(Option<[usize; 2]>, Option<Scaling>), NetworkFault> {
    let node = graph.node(source);
    if let Op::Input(shape) = &node.op {
        let size = match shape[..] {
            [_, Some(height), Some(width), _] => Some([height, width]),
            _ => None,
        };
        return Ok((size, node.scale.map(of_integers)));
    }
    // The loop over a batch in which TensorFlow 1 resizes images: its operators are not followed one by one.
    let mut open = vec![source];
    let mut seen = vec![false; graph.nodes.len()];
    let mut has_input = false;
    while let Some(value) = open.pop() {
        if std::mem::replace(&mut seen[value.node], true) {
            continue;
        }
        let node = graph.node(value);
        match &node.op {
            Op::Input(_) => has_input = true,
            Op::Conv(_) => return Err(NetworkFault::at(node, "a convolution", "the image")),
            _ => {}
        }
        open.extend(&node.inputs);
    }
    match has_input {
        true => Ok((resized_to(graph, known), None)),
        false => Err(NetworkFault::at(
            node,
            "no image",
            "one that depends on the input",
        )),
    }
}

/// The size that the file resizes images to, if there is one only. The operator is inside the loop, whose end does not lead
/// back to it.
fn resized_to(graph: &Graph, known: &Known) -> Option<[usize; 2]> {
    let resize = |node: &Node| {
        let is_resize = matches!(node.op, Op::ResizeImage { .. });
        let target = is_resize.then(|| node.inputs.get(1))??;
        match known.get(*target)?.values[..] {
            [height, width] => Some([height as usize, width as usize]),
            _ => None,
        }
    };
    let mut sizes: Vec<_> = graph.nodes.iter().filter_map(resize).collect();
    sizes.dedup();
    match sizes[..] {
        [size] => Some(size),
        _ => None,
    }
}

fn resize(graph: &Graph) -> Resize {
    let has_half_pixels = |node: &Node| {
        let half = Op::ResizeImage {
            has_half_pixels: true,
        };
        node.op == half
    };
    match graph.nodes.iter().any(has_half_pixels) {
        true => Resize::Antialiased,
        false => Resize::Bilinear,
    }
}

/// The scaling of an input of 8-bit integers.
fn of_integers(scale: ActivationScale) -> Scaling {
    let ActivationScale {
        scale,
        zero_point,
        is_unsigned,
    } = scale;
    // A signed integer is the pixel's value less 128.
    let zero = zero_point as f32 + if is_unsigned { 0.0 } else { 128.0 };
    Scaling {
        factor: [scale; 3],
        offset: [-scale * zero; 3],
    }
}
