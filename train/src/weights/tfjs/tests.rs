use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::weights::{self, WeightsError};

/// A detector of two convolutions around one block, all of two channels; every tensor counts on from 0.
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
        detector.dense("Conv", [3, 3, 3, 2], 2);
        let block = "FeatureExtractor/MobilenetV2/expanded_conv/depthwise";
        let kernel = format!("{block}/depthwise_weights");
        detector.constant(&kernel, &[3, 3, 2, 1], "float32");
        detector.node("DepthwiseConv2dNative", &kernel, 1);
        detector.constant(&format!("{block}/BatchNorm/batchnorm/mul"), &[2], "float32");
        detector.constant(&format!("{block}/BatchNorm/batchnorm/sub"), &[2], "float32");
        detector.dense("expanded_conv/project", [1, 1, 2, 2], 1);
        detector.dense("Conv_1", shape, 1);
        detector
    }

    fn dense(&mut self, layer: &str, shape: [usize; 4], stride: usize) {
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

    /// In two shards, the first of which ends within a number.
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

fn refusal(detector: &Detector, folder: &TempDir) -> WeightsError {
    weights::read(&detector.write(folder)).expect_err("refused")
}

#[test]
fn kernels_are_turned_and_what_a_norm_multiplies_is_folded_in() {
    let folder = TempDir::new().expect("a folder");
    let trunk = weights::read(&Detector::new().write(&folder)).expect("a trunk");
    let [first, depthwise, project, last] = trunk.layers.as_slice() else {
        panic!("{} layers", trunk.layers.len());
    };
    assert_eq!(first.conv.shape, [2, 3, 3, 3]);
    assert_eq!(first.conv.stride, 2);
    // The first output's weights for red are every sixth of the file, its next ones for green.
    assert_eq!(first.conv.weights[..3], [0.0, 6.0, 12.0]);
    assert_eq!(first.conv.weights[9..11], [2.0, 8.0]);
    assert_eq!(first.conv.bias, [0.0, 1.0]);
    assert_eq!(depthwise.conv.groups, 2);
    // The norm's factors are 0 and 1.
    assert_eq!(depthwise.conv.weights[..9], [0.0; 9]);
    assert_eq!(depthwise.conv.weights[9..12], [1.0, 3.0, 5.0]);
    assert_eq!(project.conv.weights, [0.0, 2.0, 1.0, 3.0]);
    assert_eq!((project.relu6, project.add), (false, Some(0)));
    assert_eq!((last.relu6, last.add), (true, None));
}

#[test]
fn a_file_without_its_shards_or_cut_short_is_broken() {
    let folder = TempDir::new().expect("a folder");
    let mut detector = Detector::new();
    detector.bytes.truncate(300);
    let error = refusal(&detector, &folder);
    assert!(
        error.to_string().contains("its parts end within"),
        "{error}"
    );
    let file = Detector::new().write(&folder);
    fs::remove_file(folder.path().join("shard2")).expect("removed");
    let error = weights::read(&file).expect_err("refused");
    assert!(error.to_string().contains("shard2"), "{error}");
}

#[test]
fn another_network_and_quantised_weights_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let mut detector = Detector::new();
    detector.manifest[1]["quantization"] = json!({ "scale": 1.0, "min": 0.0, "dtype": "uint8" });
    let error = refusal(&detector, &folder);
    assert!(
        matches!(error, WeightsError::NotMobileNet { .. }),
        "{error}"
    );
    for shape in [[1, 1, 3, 4], [5, 5, 2, 4], [0, 0, 2, 4]] {
        let error = refusal(&Detector::with_last(shape), &folder);
        assert!(
            error.to_string().contains("its convolution 3 of shape"),
            "{error}"
        );
    }
    let mut detector = Detector::new();
    detector.manifest[2]["shape"] = json!([1u64 << 40, 1u64 << 40]);
    let error = refusal(&detector, &folder);
    assert!(matches!(error, WeightsError::Broken { .. }), "{error}");
    let mut detector = Detector::new();
    detector.manifest[1]["name"] = json!("StatefulPartitionedCall/dense");
    let error = refusal(&detector, &folder);
    assert!(error.to_string().contains("it has no"), "{error}");
}
