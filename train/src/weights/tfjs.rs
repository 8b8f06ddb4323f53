//! The backbone of a detector in TensorFlow.js form: `model.json` with its shards in the same folder.
//!
//! Supported are MobileNet v2 backbones of TensorFlow's object detection API (`FeatureExtractor/MobilenetV2/`) in graph
//! models frozen for inference. There the factor of a batch norm is folded into a `Conv2D` kernel, but separate from a
//! depthwise kernel.

use std::path::Path;

use super::BackboneWeights;
use crate::formats::tfjs::{self, TfjsModel, WeightTensor};
use crate::formats::{FormatError, KernelLayout};
use crate::layer::{ConvWeights, Layer};

const BACKBONE: &str = "FeatureExtractor/MobilenetV2/";

/// Input size of the detectors of the object detection API, in pixels.
const SIDE: usize = 300;

/// Reads `model.json`, whose shards are in `folder`.
pub(super) fn read(json: &[u8], folder: &Path) -> Result<BackboneWeights, FormatError> {
    File(tfjs::read(json, folder)?).backbone()
}

struct File(TfjsModel);

impl File {
    fn backbone(&self) -> Result<BackboneWeights, FormatError> {
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
        self.0.tensors.contains_key(&kernel(layer))
    }

    fn tensor(&self, name: &str) -> Result<&WeightTensor, FormatError> {
        let found = self.0.tensors.get(name);
        found.ok_or_else(|| format!("it has no tensor {name}").into())
    }

    /// The values of a tensor with one value per channel.
    fn channels(&self, name: &str, channels: usize) -> Result<&[f32], FormatError> {
        let values = &self.tensor(name)?.values;
        match values.len() == channels {
            true => Ok(values),
            false => {
                Err(format!("{name} has {} values for {channels} channels", values.len()).into())
            }
        }
    }

    fn conv2d(&self, layer: &str, relu6: bool) -> Result<Layer, FormatError> {
        let kernel = kernel(layer);
        let tensor = self.tensor(&kernel)?;
        let converted = KernelLayout::HeightWidthInOut.to_onnx(&tensor.shape, &tensor.values);
        let (shape, weights) =
            converted.ok_or_else(|| format!("{kernel} has shape {:?}", tensor.shape))?;
        let bias = format!("{BACKBONE}{layer}/BatchNorm/batchnorm/sub");
        let conv = ConvWeights {
            shape,
            weights,
            bias: self.channels(&bias, shape[0])?.to_vec(),
            stride: self.stride(&kernel, "Conv2D")?,
            groups: 1,
        };
        Ok(Layer {
            conv,
            relu6,
            add: None,
        })
    }

    fn depthwise(&self, layer: &str) -> Result<Layer, FormatError> {
        let kernel = format!("{BACKBONE}{layer}/depthwise_weights");
        let tensor = self.tensor(&kernel)?;
        let converted = KernelLayout::Depthwise.to_onnx(&tensor.shape, &tensor.values);
        let Some((shape @ [channels, 1, 3, 3], mut weights)) = converted else {
            return Err(format!("{kernel} has shape {:?}", tensor.shape).into());
        };
        let norm = format!("{BACKBONE}{layer}/BatchNorm/batchnorm");
        let factors = self.channels(&format!("{norm}/mul"), channels)?;
        for (channel, factor) in weights.chunks_exact_mut(3 * 3).zip(factors) {
            channel.iter_mut().for_each(|weight| *weight *= factor);
        }
        let conv = ConvWeights {
            shape,
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
    fn stride(&self, kernel: &str, op: &str) -> Result<usize, FormatError> {
        let node = self
            .0
            .nodes
            .iter()
            .find(|node| node.op == op && node.input.iter().any(|input| input == kernel));
        let strides = node.and_then(|node| node.numbers("strides"));
        let stride = strides.and_then(|strides| usize::try_from(*strides.get(1)?).ok());
        stride.ok_or_else(|| format!("no {op} with strides reads {kernel}").into())
    }
}

fn kernel(layer: &str) -> String {
    format!("{BACKBONE}{layer}/Conv2D/merged_input")
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
    fn other_networks_and_types_are_refused() {
        let folder = TempDir::new().expect("a folder");
        let mut detector = Detector::new();
        detector.manifest[1]["dtype"] = json!("complex64");
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
