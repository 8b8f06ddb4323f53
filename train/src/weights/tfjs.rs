//! The trunk of a detector in the form of TensorFlow.js: `model.json` with its shards beside it.
//!
//! Read are MobileNet v2 trunks as TensorFlow's object detection API names them (`FeatureExtractor/MobilenetV2/`),
//! from graph models frozen for inference: what a batch norm multiplies is part of a dense kernel already, and a number
//! a channel beside a depthwise one. Such a trunk has learnt to find things, on COCO, where that of a classifier
//! has only learnt to name them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{BackboneWeights, Fault};
use crate::layer::{ConvWeights, Layer};

const TRUNK: &str = "FeatureExtractor/MobilenetV2/";
/// What the detectors of the object detection API are made for.
const SIDE: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model_topology: Topology,
    weights_manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    node: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    op: String,
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    attr: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    strides: Option<Strides>,
}

#[derive(Deserialize)]
struct Strides {
    list: Steps,
}

#[derive(Deserialize)]
struct Steps {
    /// Of batch, height, width and channels, as text.
    i: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<serde_json::Value>,
}

/// One constant of the model.
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The layers of the trunk in `json`, the shards being in `folder`.
pub(super) fn trunk(json: &[u8], folder: &Path) -> Result<BackboneWeights, Fault> {
    let model: Model =
        serde_json::from_slice(json).map_err(|error| Fault::Broken(error.to_string()))?;
    let tensors = tensors(&model.weights_manifest, folder)?;
    let file = File {
        tensors,
        nodes: model.model_topology.node,
    };
    Ok(file.trunk()?)
}

fn tensors(groups: &[Group], folder: &Path) -> Result<BTreeMap<String, Tensor>, Fault> {
    let mut all = BTreeMap::new();
    for group in groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            let shard = folder.join(path);
            let more = std::fs::read(&shard)
                .map_err(|error| Fault::Broken(format!("its part {}: {error}", shard.display())))?;
            bytes.extend(more);
        }
        let mut rest = bytes.as_slice();
        for entry in &group.weights {
            let (tensor, after) = take(entry, rest)?;
            rest = after;
            all.insert(entry.name.clone(), tensor);
        }
        if !rest.is_empty() {
            let message = format!("its parts have {} bytes too many", rest.len());
            return Err(Fault::Broken(message));
        }
    }
    Ok(all)
}

/// The tensor at the beginning of `bytes`, and what is behind it. Whole numbers are read over: no weight is one.
fn take<'a>(entry: &Entry, bytes: &'a [u8]) -> Result<(Tensor, &'a [u8]), Fault> {
    let name = &entry.name;
    if entry.quantization.is_some() || !["float32", "int32"].contains(&entry.dtype.as_str()) {
        let message = format!("{name} is {} and quantised, or no float32", entry.dtype);
        return Err(Fault::NotMobileNet(message));
    }
    let mut sides = entry.shape.iter();
    let size = sides.try_fold(4usize, |size, &side| size.checked_mul(side));
    let (own, rest) = size
        .and_then(|size| bytes.split_at_checked(size))
        .ok_or_else(|| Fault::Broken(format!("its parts end within {name}")))?;
    let values = match entry.dtype.as_str() {
        "float32" => own
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        _ => Vec::new(),
    };
    let shape = entry.shape.clone();
    Ok((Tensor { shape, values }, rest))
}

struct File {
    tensors: BTreeMap<String, Tensor>,
    nodes: Vec<Node>,
}

impl File {
    fn trunk(&self) -> Result<BackboneWeights, String> {
        let mut layers = vec![self.dense("Conv", true)?];
        let mut block = "expanded_conv".to_owned();
        for number in 1.. {
            let before = layers.len() - 1;
            if self.has(&format!("{block}/expand")) {
                layers.push(self.dense(&format!("{block}/expand"), true)?);
            }
            layers.push(self.depthwise(&format!("{block}/depthwise"))?);
            let mut project = self.dense(&format!("{block}/project"), false)?;
            // Sandler et al. 2018: where a block changes neither size nor channels, its input is added to its output.
            let same = layers.last().is_some_and(|layer| layer.conv.stride == 1)
                && layers[before].conv.shape[0] == project.conv.shape[0];
            project.add = same.then_some(before);
            layers.push(project);
            block = format!("expanded_conv_{number}");
            if !self.has(&format!("{block}/project")) {
                break;
            }
        }
        layers.push(self.dense("Conv_1", true)?);
        Ok(BackboneWeights {
            side: SIDE,
            layers,
            heads: None,
        })
    }

    fn has(&self, layer: &str) -> bool {
        self.tensors.contains_key(&kernel(layer))
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, String> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| format!("it has no {name}"))
    }

    /// The numbers of `name`, one a channel.
    fn channels(&self, name: &str, channels: usize) -> Result<&[f32], String> {
        let values = &self.tensor(name)?.values;
        match values.len() == channels {
            true => Ok(values),
            false => Err(format!("{name} has {} for {channels}", values.len())),
        }
    }

    fn dense(&self, layer: &str, relu6: bool) -> Result<Layer, String> {
        let kernel = kernel(layer);
        let tensor = self.tensor(&kernel)?;
        let &[height, width, inputs, channels] = tensor.shape.as_slice() else {
            return Err(format!("{kernel} has shape {:?}", tensor.shape));
        };
        let weights = turned(&tensor.values, inputs, channels);
        let bias = format!("{TRUNK}{layer}/BatchNorm/batchnorm/sub");
        let conv = ConvWeights {
            shape: [channels, inputs, height, width],
            weights,
            bias: self.channels(&bias, channels)?.to_vec(),
            stride: self.stride(&kernel, "Conv2D")?,
            groups: 1,
        };
        Ok(Layer {
            conv,
            relu6,
            add: None,
        })
    }

    fn depthwise(&self, layer: &str) -> Result<Layer, String> {
        let kernel = format!("{TRUNK}{layer}/depthwise_weights");
        let tensor = self.tensor(&kernel)?;
        let &[height @ 3, width @ 3, channels, 1] = tensor.shape.as_slice() else {
            return Err(format!("{kernel} has shape {:?}", tensor.shape));
        };
        let norm = format!("{TRUNK}{layer}/BatchNorm/batchnorm");
        let factors = self.channels(&format!("{norm}/mul"), channels)?;
        let mut weights = turned(&tensor.values, 1, channels);
        let pixels = height * width;
        for (channel, factor) in weights.chunks_exact_mut(pixels).zip(factors) {
            channel.iter_mut().for_each(|weight| *weight *= factor);
        }
        let conv = ConvWeights {
            shape: [channels, 1, height, width],
            weights,
            bias: self.channels(&format!("{norm}/sub"), channels)?.to_vec(),
            stride: self.stride(&kernel, "DepthwiseConv2dNative")?,
            groups: channels,
        };
        Ok(Layer {
            conv,
            relu6: true,
            add: None,
        })
    }

    /// The step of the convolution with this kernel.
    fn stride(&self, kernel: &str, op: &str) -> Result<usize, String> {
        let node = self
            .nodes
            .iter()
            .find(|node| node.op == op && node.input.iter().any(|input| input == kernel));
        let steps = node.and_then(|node| node.attr.strides.as_ref());
        let step = steps.and_then(|steps| steps.list.i.get(1)?.parse().ok());
        step.ok_or_else(|| format!("no {op} with strides takes in {kernel}"))
    }
}

fn kernel(layer: &str) -> String {
    format!("{TRUNK}{layer}/Conv2D/merged_input")
}

/// From TensorFlow's `[height, width, in, out]` to `[out, in, height, width]`.
fn turned(values: &[f32], inputs: usize, channels: usize) -> Vec<f32> {
    let pixels = values.len() / (inputs * channels).max(1);
    let place = |out, inside, pixel| (pixel * inputs + inside) * channels + out;
    let outs = 0..channels;
    outs.flat_map(|out| {
        (0..inputs).flat_map(move |inside| (0..pixels).map(move |pixel| place(out, inside, pixel)))
    })
    .map(|place| values[place])
    .collect()
}

#[cfg(test)]
mod tests;
