//! The backbone of a detector in TensorFlow.js form: `model.json` with its shards in the same folder.
//!
//! Supported are MobileNet v2 backbones of TensorFlow's object detection API (`FeatureExtractor/MobilenetV2/`) in graph
//! models frozen for inference. There the factor of a batch norm is folded into a `Conv2D` kernel, but separate from a
//! depthwise kernel.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{BackboneWeights, ParseError};
use crate::layer::{ConvWeights, Layer};

const BACKBONE: &str = "FeatureExtractor/MobilenetV2/";

/// Input size of the detectors of the object detection API, in pixels.
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
    list: StrideList,
}

#[derive(Deserialize)]
struct StrideList {
    /// Strides of batch, height, width and channels, as text.
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

struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Reads `model.json`, whose shards are in `folder`.
pub(super) fn read(json: &[u8], folder: &Path) -> Result<BackboneWeights, ParseError> {
    let model: Model =
        serde_json::from_slice(json).map_err(|error| ParseError::Broken(error.to_string()))?;
    let tensors = tensors(&model.weights_manifest, folder)?;
    let file = File {
        tensors,
        nodes: model.model_topology.node,
    };
    file.backbone()
}

fn tensors(groups: &[Group], folder: &Path) -> Result<BTreeMap<String, Tensor>, ParseError> {
    let mut all = BTreeMap::new();
    for group in groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            let shard = folder.join(path);
            let more = std::fs::read(&shard).map_err(|error| {
                ParseError::Broken(format!("its shard {}: {error}", shard.display()))
            })?;
            bytes.extend(more);
        }
        let mut rest = bytes.as_slice();
        for entry in &group.weights {
            let (tensor, after) = split_tensor(entry, rest)?;
            rest = after;
            all.insert(entry.name.clone(), tensor);
        }
        if !rest.is_empty() {
            let message = format!("its shards have {} bytes too many", rest.len());
            return Err(ParseError::Broken(message));
        }
    }
    Ok(all)
}

/// The tensor at the start of `bytes`, and the bytes behind it. The values of an int32 tensor are skipped: it holds no weights.
fn split_tensor<'a>(entry: &Entry, bytes: &'a [u8]) -> Result<(Tensor, &'a [u8]), ParseError> {
    let name = &entry.name;
    if entry.quantization.is_some() || !["float32", "int32"].contains(&entry.dtype.as_str()) {
        let message = format!(
            "{name} is quantized or of type {}, expected float32",
            entry.dtype
        );
        return Err(ParseError::Unsupported(message));
    }
    let mut sides = entry.shape.iter();
    let size = sides.try_fold(4usize, |size, &side| size.checked_mul(side));
    let (values, rest) = size
        .and_then(|size| bytes.split_at_checked(size))
        .ok_or_else(|| ParseError::Broken(format!("its shards end within {name}")))?;
    let values = match entry.dtype.as_str() {
        "float32" => {
            let floats = values.as_chunks().0.iter();
            floats.map(|b| f32::from_le_bytes(*b)).collect()
        }
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
    fn backbone(&self) -> Result<BackboneWeights, ParseError> {
        let mut layers = vec![self.conv2d("Conv", true)?];
        let mut block = "expanded_conv".to_owned();
        for number in 1.. {
            let before = layers.len() - 1;
            if self.has(&format!("{block}/expand")) {
                layers.push(self.conv2d(&format!("{block}/expand"), true)?);
            }
            layers.push(self.depthwise(&format!("{block}/depthwise"))?);
            let mut project = self.conv2d(&format!("{block}/project"), false)?;
            // Sandler et al. 2018: a block that keeps size and channels adds its input to its output.
            let same = layers.last().is_some_and(|layer| layer.conv.stride == 1)
                && layers[before].conv.shape[0] == project.conv.shape[0];
            project.add = same.then_some(before);
            layers.push(project);
            block = format!("expanded_conv_{number}");
            if !self.has(&format!("{block}/project")) {
                break;
            }
        }
        layers.push(self.conv2d("Conv_1", true)?);
        Ok(BackboneWeights {
            side: SIDE,
            layers,
            heads: None,
        })
    }

    fn has(&self, layer: &str) -> bool {
        self.tensors.contains_key(&kernel(layer))
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, ParseError> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| format!("it has no tensor {name}").into())
    }

    /// The values of a tensor with one value per channel.
    fn channels(&self, name: &str, channels: usize) -> Result<&[f32], ParseError> {
        let values = &self.tensor(name)?.values;
        match values.len() == channels {
            true => Ok(values),
            false => {
                Err(format!("{name} has {} values for {channels} channels", values.len()).into())
            }
        }
    }

    fn conv2d(&self, layer: &str, relu6: bool) -> Result<Layer, ParseError> {
        let kernel = kernel(layer);
        let tensor = self.tensor(&kernel)?;
        let &[height, width, inputs, channels] = tensor.shape.as_slice() else {
            return Err(format!("{kernel} has shape {:?}", tensor.shape).into());
        };
        let weights = to_onnx_layout(&tensor.values, inputs, channels);
        let bias = format!("{BACKBONE}{layer}/BatchNorm/batchnorm/sub");
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

    fn depthwise(&self, layer: &str) -> Result<Layer, ParseError> {
        let kernel = format!("{BACKBONE}{layer}/depthwise_weights");
        let tensor = self.tensor(&kernel)?;
        let &[height @ 3, width @ 3, channels, 1] = tensor.shape.as_slice() else {
            return Err(format!("{kernel} has shape {:?}", tensor.shape).into());
        };
        let norm = format!("{BACKBONE}{layer}/BatchNorm/batchnorm");
        let factors = self.channels(&format!("{norm}/mul"), channels)?;
        let mut weights = to_onnx_layout(&tensor.values, 1, channels);
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

    /// The stride of the convolution with this kernel.
    fn stride(&self, kernel: &str, op: &str) -> Result<usize, ParseError> {
        let node = self
            .nodes
            .iter()
            .find(|node| node.op == op && node.input.iter().any(|input| input == kernel));
        let strides = node.and_then(|node| node.attr.strides.as_ref());
        let stride = strides.and_then(|strides| strides.list.i.get(1)?.parse().ok());
        stride.ok_or_else(|| format!("no {op} with strides reads {kernel}").into())
    }
}

fn kernel(layer: &str) -> String {
    format!("{BACKBONE}{layer}/Conv2D/merged_input")
}

/// From TensorFlow's `[height, width, in, out]` to `[out, in, height, width]`.
fn to_onnx_layout(values: &[f32], inputs: usize, channels: usize) -> Vec<f32> {
    let pixels = values.len() / (inputs * channels).max(1);
    let index = |out, inside, pixel| (pixel * inputs + inside) * channels + out;
    let outs = 0..channels;
    outs.flat_map(|out| {
        (0..inputs).flat_map(move |inside| (0..pixels).map(move |pixel| index(out, inside, pixel)))
    })
    .map(|index| values[index])
    .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::weights::{self, WeightsError};

    /// A detector of two convolutions around one block, with two channels each; the values of every tensor are 0, 1, 2, ...
    struct Detector {
        manifest: Vec<Value>,
        nodes: Vec<Value>,
        bytes: Vec<u8>,
    }

    impl Detector {
        fn new() -> Self {
            Self::with_last([1, 1, 2, 4])
        }

        fn with_last(shape: [usize; 4]) -> Self {
            let mut detector = Self {
                manifest: Vec::new(),
                nodes: Vec::new(),
                bytes: Vec::new(),
            };
            detector.constant("Preprocessor/size", &[2], "int32");
            detector.conv2d("Conv", [3, 3, 3, 2], 2);
            let block = "FeatureExtractor/MobilenetV2/expanded_conv/depthwise";
            let kernel = format!("{block}/depthwise_weights");
            detector.constant(&kernel, &[3, 3, 2, 1], "float32");
            detector.node("DepthwiseConv2dNative", &kernel, 1);
            detector.constant(&format!("{block}/BatchNorm/batchnorm/mul"), &[2], "float32");
            detector.constant(&format!("{block}/BatchNorm/batchnorm/sub"), &[2], "float32");
            detector.conv2d("expanded_conv/project", [1, 1, 2, 2], 1);
            detector.conv2d("Conv_1", shape, 1);
            detector
        }

        fn conv2d(&mut self, layer: &str, shape: [usize; 4], stride: usize) {
            let layer = format!("FeatureExtractor/MobilenetV2/{layer}");
            let kernel = format!("{layer}/Conv2D/merged_input");
            self.constant(&kernel, &shape, "float32");
            self.node("Conv2D", &kernel, stride);
            let bias = format!("{layer}/BatchNorm/batchnorm/sub");
            self.constant(&bias, &shape[3..], "float32");
        }

        fn constant(&mut self, name: &str, shape: &[usize], dtype: &str) {
            let entry = json!({ "name": name, "shape": shape, "dtype": dtype });
            self.manifest.push(entry);
            let count: usize = shape.iter().product();
            let numbers = (0..count).flat_map(|number| (number as f32).to_le_bytes());
            self.bytes.extend(numbers);
        }

        fn node(&mut self, op: &str, kernel: &str, stride: usize) {
            let step = stride.to_string();
            let strides = json!({ "list": { "i": ["1", step, step, "1"] } });
            let node = json!({ "name": "n", "op": op, "input": ["x", kernel], "attr": { "strides": strides } });
            self.nodes.push(node);
        }

        /// Writes two shards, the first of which ends within a float.
        fn write(&self, folder: &TempDir) -> std::path::PathBuf {
            let (first, second) = self.bytes.split_at(101);
            fs::write(folder.path().join("shard1"), first).expect("written");
            fs::write(folder.path().join("shard2"), second).expect("written");
            let model = json!({
                "modelTopology": { "node": self.nodes },
                "weightsManifest": [{ "paths": ["shard1", "shard2"], "weights": self.manifest }],
            });
            let file = folder.path().join("model.json");
            fs::write(&file, model.to_string()).expect("written");
            file
        }
    }

    fn read_error(detector: &Detector, folder: &TempDir) -> WeightsError {
        weights::read(&detector.write(folder)).expect_err("refused")
    }

    #[test]
    fn kernels_are_transposed_and_batch_norms_folded() {
        let folder = TempDir::new().expect("a folder");
        let backbone = weights::read(&Detector::new().write(&folder)).expect("readable");
        let [first, depthwise, project, last] = backbone.layers.as_slice() else {
            panic!("{} layers", backbone.layers.len());
        };
        assert_eq!(first.conv.shape, [2, 3, 3, 3]);
        assert_eq!(first.conv.stride, 2);
        // The file's layout is [height, width, in, out]: the weights of output 0 for red are every sixth value.
        assert_eq!(first.conv.weights[..3], [0.0, 6.0, 12.0]);
        assert_eq!(first.conv.weights[9..11], [2.0, 8.0]);
        assert_eq!(first.conv.bias, [0.0, 1.0]);
        assert_eq!(depthwise.conv.groups, 2);
        // The factors of the batch norm are 0 and 1.
        assert_eq!(depthwise.conv.weights[..9], [0.0; 9]);
        assert_eq!(depthwise.conv.weights[9..12], [1.0, 3.0, 5.0]);
        assert_eq!(project.conv.weights, [0.0, 2.0, 1.0, 3.0]);
        assert_eq!((project.relu6, project.add), (false, Some(0)));
        assert_eq!((last.relu6, last.add), (true, None));
    }

    #[test]
    fn truncated_and_missing_shards_are_errors() {
        let folder = TempDir::new().expect("a folder");
        let mut detector = Detector::new();
        detector.bytes.truncate(300);
        let error = read_error(&detector, &folder);
        assert!(
            error.to_string().contains("its shards end within"),
            "{error}"
        );
        let file = Detector::new().write(&folder);
        fs::remove_file(folder.path().join("shard2")).expect("removed");
        let error = weights::read(&file).expect_err("refused");
        assert!(error.to_string().contains("shard2"), "{error}");
    }

    #[test]
    fn other_networks_and_quantised_weights_are_refused() {
        let folder = TempDir::new().expect("a folder");
        let mut detector = Detector::new();
        detector.manifest[1]["quantization"] =
            json!({ "scale": 1.0, "min": 0.0, "dtype": "uint8" });
        let error = read_error(&detector, &folder);
        assert!(matches!(error, WeightsError::Unsupported { .. }), "{error}");
        for shape in [[1, 1, 3, 4], [5, 5, 2, 4], [0, 0, 2, 4]] {
            let error = read_error(&Detector::with_last(shape), &folder);
            assert!(
                error.to_string().contains("its convolution 3 of shape"),
                "{error}"
            );
        }
        let mut detector = Detector::new();
        detector.manifest[2]["shape"] = json!([1u64 << 40, 1u64 << 40]);
        let error = read_error(&detector, &folder);
        assert!(matches!(error, WeightsError::Broken { .. }), "{error}");
        let mut detector = Detector::new();
        detector.manifest[1]["name"] = json!("StatefulPartitionedCall/dense");
        let error = read_error(&detector, &folder);
        assert!(error.to_string().contains("it has no tensor"), "{error}");
    }
}
