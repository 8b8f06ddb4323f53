//! TensorFlow.js graph models: `model.json` with its shards in the same folder.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use half::f16;
use serde::Deserialize;
use serde_json::Value;

use super::FormatError;

/// A graph with its weights.
#[derive(Debug)]
pub(crate) struct TfjsModel {
    pub(crate) nodes: Vec<Node>,
    pub(crate) tensors: BTreeMap<String, WeightTensor>,
}

/// An operator of the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) input: Vec<String>,
    #[serde(default)]
    attr: BTreeMap<String, Value>,
}

/// A tensor of the shards. Integers and booleans are given as floats; those beyond 2^24 are rounded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WeightTensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    pub(crate) is_float: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    model_topology: Topology,
    weights_manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    node: Vec<Node>,
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
    quantization: Option<Quantization>,
}

/// How a tensor was compressed: `value = q * scale + min`, or as half-precision floats.
#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    #[serde(default)]
    scale: f32,
    #[serde(default)]
    min: f32,
}

impl Node {
    /// A list of numbers, as TensorFlow writes them: text.
    pub(crate) fn numbers(&self, attribute: &str) -> Option<Vec<i64>> {
        let list = self.attr.get(attribute)?.get("list")?;
        let Some(numbers) = list.get("i").and_then(Value::as_array) else {
            return Some(Vec::new());
        };
        numbers.iter().map(number).collect()
    }

    pub(crate) fn number(&self, attribute: &str) -> Option<i64> {
        number(self.attr.get(attribute)?.get("i")?)
    }

    pub(crate) fn float(&self, attribute: &str) -> Option<f32> {
        Some(self.attr.get(attribute)?.get("f")?.as_f64()? as f32)
    }

    pub(crate) fn flag(&self, attribute: &str) -> bool {
        let flag = self.attr.get(attribute).and_then(|value| value.get("b"));
        flag.and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn text(&self, attribute: &str) -> Option<String> {
        text(self.attr.get(attribute)?.get("s")?)
    }

    pub(crate) fn texts(&self, attribute: &str) -> Option<Vec<String>> {
        let list = self.attr.get(attribute)?.get("list")?.get("s")?;
        list.as_array()?.iter().map(text).collect()
    }

    /// The sides of a shape; `None` where they are left open.
    pub(crate) fn shape(&self, attribute: &str) -> Option<Vec<Option<usize>>> {
        let dims = self.attr.get(attribute)?.get("shape")?.get("dim")?;
        let side = |dim: &Value| usize::try_from(number(dim.get("size")?)?).ok();
        Some(dims.as_array()?.iter().map(side).collect())
    }
}

/// A 64-bit number is text in the JSON form of protocol buffers; some writers leave the quotes out.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// Bytes are a list of numbers or Base64.
fn text(value: &Value) -> Option<String> {
    let bytes = match value {
        Value::Array(bytes) => {
            let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
            bytes.iter().map(byte).collect::<Option<Vec<u8>>>()?
        }
        Value::String(text) => BASE64_STANDARD.decode(text).ok()?,
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

/// Reads `model.json`, whose shards are in `folder`.
pub(crate) fn read(json: &[u8], folder: &Path) -> Result<TfjsModel, FormatError> {
    let file: File =
        serde_json::from_slice(json).map_err(|error| FormatError::Broken(error.to_string()))?;
    Ok(TfjsModel {
        nodes: file.model_topology.node,
        tensors: tensors(&file.weights_manifest, folder)?,
    })
}

fn tensors(groups: &[Group], folder: &Path) -> Result<BTreeMap<String, WeightTensor>, FormatError> {
    let mut all = BTreeMap::new();
    for group in groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            bytes.extend(shard(path, folder)?);
        }
        let mut rest = bytes.as_slice();
        for entry in &group.weights {
            let (tensor, after) = split_tensor(entry, rest)?;
            rest = after;
            all.insert(entry.name.clone(), tensor);
        }
        if !rest.is_empty() {
            let message = format!("its shards have {} bytes too many", rest.len());
            return Err(FormatError::Broken(message));
        }
    }
    Ok(all)
}

/// The bytes of a shard, which must be in the folder of the `model.json` or below.
fn shard(path: &str, folder: &Path) -> Result<Vec<u8>, FormatError> {
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(path).components().all(is_inside) {
        let message = format!("its shard {path} is not in its folder");
        return Err(FormatError::Unsupported(message));
    }
    let file = folder.join(path);
    std::fs::read(&file)
        .map_err(|error| FormatError::Broken(format!("its shard {}: {error}", file.display())))
}

/// The tensor at the start of `bytes`, and the bytes behind it.
fn split_tensor<'a>(
    entry: &Entry,
    bytes: &'a [u8],
) -> Result<(WeightTensor, &'a [u8]), FormatError> {
    let name = &entry.name;
    let stored = entry
        .quantization
        .as_ref()
        .map_or(&entry.dtype, |q| &q.dtype);
    let unsupported = || {
        FormatError::Unsupported(format!(
            "{name} is of type {stored}, expected float32, float16, int32, bool, uint8 or uint16"
        ))
    };
    let width = match stored.as_str() {
        "float32" | "int32" => 4,
        "float16" | "uint16" => 2,
        "uint8" | "bool" => 1,
        _ => return Err(unsupported()),
    };
    let mut sides = entry.shape.iter();
    let size = sides.try_fold(width, |size: usize, &side| size.checked_mul(side));
    let (values, rest) = size
        .and_then(|size| bytes.split_at_checked(size))
        .ok_or_else(|| FormatError::Broken(format!("its shards end within {name}")))?;
    let mut values: Vec<f32> = match stored.as_str() {
        "float32" => {
            let floats = values.as_chunks().0.iter();
            floats.map(|b| f32::from_le_bytes(*b)).collect()
        }
        "int32" => {
            let integers = values.as_chunks().0.iter();
            integers.map(|b| i32::from_le_bytes(*b) as f32).collect()
        }
        "float16" => {
            let floats = values.as_chunks().0.iter();
            floats.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
        "uint16" => {
            let integers = values.as_chunks().0.iter();
            integers
                .map(|b| f32::from(u16::from_le_bytes(*b)))
                .collect()
        }
        _ => values.iter().map(|&q| f32::from(q)).collect(),
    };
    if let Some(quantization) = entry.quantization.as_ref().filter(|q| q.dtype != "float16") {
        let dequantized = |q: &mut f32| *q = *q * quantization.scale + quantization.min;
        values.iter_mut().for_each(dequantized);
    }
    let tensor = WeightTensor {
        shape: entry.shape.clone(),
        values,
        is_float: entry.dtype == "float32",
    };
    Ok((tensor, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> Entry {
        serde_json::from_str(json).expect("an entry")
    }

    #[test]
    fn compressed_weights_are_restored() {
        let bytes = entry(
            r#"{"name": "w", "shape": [2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}}"#,
        );
        let (tensor, rest) = split_tensor(&bytes, &[0, 6, 9]).expect("reads");
        assert_eq!((tensor.values, rest), (vec![-1.0, 2.0], &[9][..]));
        let half = entry(
            r#"{"name": "w", "shape": [1], "dtype": "float32", "quantization": {"dtype": "float16"}}"#,
        );
        let one = f16::from_f32(1.5).to_le_bytes();
        assert_eq!(split_tensor(&half, &one).expect("reads").0.values, [1.5]);
    }

    #[test]
    fn attributes_are_read_in_both_spellings() {
        let node: Node = serde_json::from_str(
            r#"{"name": "n", "op": "Conv2D", "attr": {"padding": {"s": [83, 65, 77, 69]}, "data_format": {"s": "TkhXQw=="},
            "strides": {"list": {"i": ["1", 2]}}, "N": {"i": "6"}, "fused_ops": {"list": {"s": ["UmVsdTY="]}},
            "shape": {"shape": {"dim": [{"size": "-1"}, {"size": "300"}]}}}}"#,
        )
        .expect("a node");
        assert_eq!(node.text("padding").as_deref(), Some("SAME"));
        assert_eq!(node.text("data_format").as_deref(), Some("NHWC"));
        assert_eq!(node.numbers("strides"), Some(vec![1, 2]));
        assert_eq!(node.number("N"), Some(6));
        assert_eq!(node.texts("fused_ops"), Some(vec!["Relu6".to_owned()]));
        assert_eq!(node.shape("shape"), Some(vec![None, Some(300)]));
        assert_eq!(node.text("missing"), None);
    }

    #[test]
    fn shards_outside_the_folder_are_refused() {
        for path in ["../secret", "/etc/hostname"] {
            let error = shard(path, Path::new(".")).expect_err("refused");
            assert!(matches!(error, FormatError::Unsupported(_)), "{error}");
        }
    }
}
