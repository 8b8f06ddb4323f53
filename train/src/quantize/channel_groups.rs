//! Activations whose channels can be scaled together: what convolutions write and other convolutions read.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb;

use super::{adds_feature_maps, feature_maps};
use crate::onnx::{int_attribute, tensor_floats};

/// Activations with the same channels: one, or the operands and sums of a chain of residual additions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChannelGroup {
    pub(super) tensors: Vec<String>,
    /// The upper bound of a `Clip` from 0; `None` without one.
    pub(super) clipped_at: Option<f32>,
    pub(super) writers: Vec<Writer>,
    pub(super) readers: Vec<Reader>,
}

/// The constants of a convolution that writes one of the activations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Writer {
    pub(super) weights: String,
    pub(super) bias: String,
}

/// A convolution that reads one of the activations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reader {
    /// Index of the activation.
    pub(super) tensor: usize,
    pub(super) weights: String,
    pub(super) groups: usize,
}

/// In the order of the graph. Left out is what anything but convolutions and residual additions reads, and what is clipped
/// other than from 0.
pub(super) fn channel_groups(graph: &pb::GraphProto) -> Vec<ChannelGroup> {
    let wiring = Wiring::new(graph);
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for node in &graph.node {
        let Some(output) = node.output.first() else {
            continue;
        };
        if node.op_type == "Conv" {
            groups.push(vec![wiring.activation(output)]);
        } else if node.op_type == "Add" && adds_feature_maps(node, &wiring.maps) {
            let is_operand = |group: &Vec<&str>| {
                group
                    .iter()
                    .any(|tensor| node.input.iter().any(|input| input == tensor))
            };
            let (operands, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_operand);
            groups = others;
            let mut merged: Vec<&str> = operands.concat();
            merged.push(output);
            groups.push(merged);
        }
    }
    let groups = groups.iter();
    groups.filter_map(|tensors| wiring.group(tensors)).collect()
}

/// Who writes and reads the tensors of a graph.
struct Wiring<'g> {
    graph: &'g pb::GraphProto,
    writers: BTreeMap<&'g str, &'g pb::NodeProto>,
    readers: BTreeMap<&'g str, Vec<&'g pb::NodeProto>>,
    maps: BTreeSet<&'g str>,
}

impl<'g> Wiring<'g> {
    fn new(graph: &'g pb::GraphProto) -> Self {
        let mut wiring = Self {
            graph,
            writers: BTreeMap::new(),
            readers: BTreeMap::new(),
            maps: feature_maps(graph),
        };
        for node in &graph.node {
            let outputs = node.output.iter();
            wiring.writers.extend(outputs.map(|o| (o.as_str(), node)));
            for input in &node.input {
                wiring.readers.entry(input).or_default().push(node);
            }
        }
        wiring
    }

    fn readers(&self, tensor: &str) -> &[&'g pb::NodeProto] {
        self.readers.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// The output of the activation function that alone reads a convolution's output, else that output.
    fn activation(&self, output: &'g str) -> &'g str {
        match self.readers(output) {
            [only] if matches!(only.op_type.as_str(), "Clip" | "Relu") => &only.output[0],
            _ => output,
        }
    }

    /// `None` if the channels of these tensors can't be scaled.
    fn group(&self, tensors: &[&str]) -> Option<ChannelGroup> {
        let mut group = ChannelGroup {
            tensors: tensors.iter().map(|&name| name.to_owned()).collect(),
            clipped_at: None,
            writers: Vec::new(),
            readers: Vec::new(),
        };
        for (index, &tensor) in tensors.iter().enumerate() {
            let mut writer = *self.writers.get(tensor)?;
            if let Some(bound) = self.clip_bound(writer)? {
                // The channels of a sum have factors below 1 too, which the bound would have to follow.
                if tensors.len() > 1 {
                    return None;
                }
                group.clipped_at = Some(bound);
            }
            if matches!(writer.op_type.as_str(), "Clip" | "Relu") {
                writer = self.writers.get(writer.input.first()?.as_str())?;
            }
            if writer.op_type == "Conv" {
                let [_, weights, bias] = writer.input.as_slice() else {
                    return None;
                };
                group.writers.push(Writer {
                    weights: self.own_constant(weights)?,
                    bias: self.own_constant(bias)?,
                });
            }
            if self.graph.output.iter().any(|output| output.name == tensor) {
                return None;
            }
            for reader in self.readers(tensor) {
                match reader.op_type.as_str() {
                    "Conv" => group.readers.push(Reader {
                        tensor: index,
                        weights: self.own_constant(reader.input.get(1)?)?,
                        groups: int_attribute(reader, "group").unwrap_or(1) as usize,
                    }),
                    "Add" if adds_feature_maps(reader, &self.maps) => {}
                    _ => return None,
                }
            }
        }
        (!group.readers.is_empty()).then_some(group)
    }

    /// The upper bound of a `Clip`; `None` inside for another operator, and outside if it does not clip from 0.
    fn clip_bound(&self, node: &pb::NodeProto) -> Option<Option<f32>> {
        if node.op_type != "Clip" {
            return Some(None);
        }
        let bound = |operand: usize| {
            let name = node.input.get(operand)?;
            let constant = self.graph.initializer.iter().find(|c| c.name == *name)?;
            tensor_floats(constant)?.first().copied()
        };
        (bound(1)? == 0.0).then(|| bound(2))
    }

    /// The name of a constant that only one node reads.
    fn own_constant(&self, name: &str) -> Option<String> {
        let mut constants = self.graph.initializer.iter();
        let is_constant = constants.any(|constant| constant.name == name);
        (is_constant && self.readers(name).len() == 1).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{int, node, tensor};
    use tract_onnx::pb::tensor_proto::DataType;

    /// A graph of convolutions `name: input -> name`, sums and clips.
    fn graph(nodes: &[(&str, &str, &[&str])]) -> pb::GraphProto {
        let mut graph = pb::GraphProto::default();
        let mut constant = |name: &str, value: f32| {
            let bytes = value.to_le_bytes().to_vec();
            let made = tensor(name, DataType::Float, &[1], bytes);
            graph.initializer.push(made);
        };
        constant("zero", 0.0);
        constant("six", 6.0);
        let mut made = Vec::new();
        for &(operator, name, inputs) in nodes {
            let mut inputs: Vec<String> = inputs.iter().map(|&i| i.to_owned()).collect();
            if operator == "Conv" {
                for part in ["weight", "bias"] {
                    constant(&format!("{name}.{part}"), 1.0);
                    inputs.push(format!("{name}.{part}"));
                }
            }
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            made.push(node(operator, name, &inputs, vec![int("group", 1)]));
        }
        graph.node = made;
        graph
    }

    #[test]
    fn sums_tie_their_operands_and_clips_belong_to_their_convolution() {
        let graph = graph(&[
            ("Conv", "a", &["image"]),
            ("Clip", "a.clip", &["a", "zero", "six"]),
            ("Conv", "b", &["a.clip"]),
            ("Conv", "c", &["b"]),
            ("Add", "sum", &["c", "b"]),
            ("Conv", "d", &["sum"]),
            ("Sigmoid", "end", &["d"]),
        ]);
        let groups = channel_groups(&graph);
        let tensors: Vec<Vec<String>> = groups.iter().map(|g| g.tensors.clone()).collect();
        assert_eq!(tensors, [vec!["a.clip"], vec!["b", "c", "sum"]]);
        assert_eq!(groups[0].clipped_at, Some(6.0));
        let names = |group: &ChannelGroup| {
            let writers = group.writers.iter().map(|writer| writer.weights.clone());
            let readers = group.readers.iter().map(|reader| reader.weights.clone());
            writers.chain(readers).collect::<Vec<_>>()
        };
        assert_eq!(names(&groups[0]), ["a.weight", "b.weight"]);
        assert_eq!(
            names(&groups[1]),
            ["b.weight", "c.weight", "c.weight", "d.weight"]
        );
    }

    #[test]
    fn what_is_read_otherwise_or_clipped_otherwise_is_left_out() {
        let cases: [&[(&str, &str, &[&str])]; 3] = [
            &[
                ("Conv", "a", &["image"]),
                ("Conv", "b", &["a"]),
                ("GlobalAveragePool", "mean", &["a"]),
            ],
            &[
                ("Conv", "a", &["image"]),
                ("Clip", "a.clip", &["a", "six", "six"]),
                ("Conv", "b", &["a.clip"]),
            ],
            &[
                ("Conv", "a", &["image"]),
                ("Clip", "a.clip", &["a", "zero", "six"]),
                ("Conv", "b", &["a.clip"]),
                ("Add", "sum", &["a.clip", "b"]),
                ("Conv", "c", &["sum"]),
            ],
        ];
        for nodes in cases {
            assert_eq!(channel_groups(&graph(nodes)), []);
        }
    }
}
