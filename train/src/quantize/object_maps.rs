//! The outputs of an SSD's heads: the scores and box codes of each feature map, which are concatenated.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb;

use super::Range;
use super::calibrate::Ranges;

/// Logits below it are clipped: their scores are below 0.0025, which is less than any score that is used.
const LOWEST_LOGIT: f32 = -6.0;

/// Logits up to it are represented, even if calibration had none: a score of 0.99.
const HIGHEST_LOGIT: f32 = 4.6;

/// Outputs of the heads' convolutions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ObjectMaps {
    /// The logits of the scores.
    pub(super) scores: BTreeSet<String>,
    /// The codes of the boxes.
    pub(super) boxes: BTreeSet<String>,
}

impl ObjectMaps {
    /// Those of a graph: convolutions whose outputs reach a `Concat` only through `Transpose` and `Reshape`. Where the `Concat`
    /// is read by a `Sigmoid`, they are scores. None of a model without such heads.
    pub(super) fn of(graph: &pb::GraphProto) -> Self {
        let outputs = graph.node.iter();
        let writers: BTreeMap<&str, &pb::NodeProto> = outputs
            .filter_map(|node| Some((node.output.first()?.as_str(), node)))
            .collect();
        let mut maps = Self::default();
        for concat in graph.node.iter().filter(|node| node.op_type == "Concat") {
            let sources = concat.input.iter().map(|input| source(&writers, input));
            let Some(sources) = sources.collect::<Option<BTreeSet<String>>>() else {
                continue;
            };
            let mut readers = graph.node.iter();
            let output = concat.output.first();
            let is_score =
                readers.any(|node| node.op_type == "Sigmoid" && node.input.first() == output);
            match is_score {
                true => maps.scores.extend(sources),
                false => maps.boxes.extend(sources),
            }
        }
        maps
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &String> {
        self.scores.iter().chain(&self.boxes)
    }

    /// Gives all maps of scores one range, so that one threshold serves them all. `full`: minimum and maximum of a tensor.
    pub(super) fn set_score_ranges(
        &self,
        ranges: &mut Ranges,
        full: impl Fn(&String) -> Option<Range>,
    ) {
        let highest = self.scores.iter().filter_map(full).map(|full| full.max);
        let range = Range {
            min: LOWEST_LOGIT,
            max: highest.fold(HIGHEST_LOGIT, f32::max),
        };
        ranges.extend(self.scores.iter().map(|name| (name.clone(), range)));
    }
}

/// The convolution's output that a tensor has the values of.
fn source(writers: &BTreeMap<&str, &pb::NodeProto>, name: &str) -> Option<String> {
    let writer = writers.get(name)?;
    match writer.op_type.as_str() {
        "Conv" => Some(name.to_owned()),
        "Transpose" | "Reshape" => source(writers, writer.input.first()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::node;

    fn two_maps() -> pb::GraphProto {
        let mut graph = pb::GraphProto::default();
        for head in ["scores", "boxes"] {
            let mut rows = Vec::new();
            for map in 0..2 {
                let name = format!("{head}.{map}");
                let (last, row) = (format!("{name}.last"), format!("{name}.rows"));
                graph.node.extend([
                    node("Conv", &name, &["image", "weights", "bias"], vec![]),
                    node("Transpose", &last, &[&name], vec![]),
                    node("Reshape", &row, &[&last, "shape"], vec![]),
                ]);
                rows.push(row);
            }
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            graph.node.push(node("Concat", head, &rows, vec![]));
        }
        graph.node.push(node("Sigmoid", "end", &["scores"], vec![]));
        // Of halves of boxes, not of maps.
        let halves = [
            node("Exp", "half", &["boxes"], vec![]),
            node("Concat", "corners", &["half", "half"], vec![]),
        ];
        graph.node.extend(halves);
        graph
    }

    #[test]
    fn scores_and_boxes_are_told_apart() {
        let maps = ObjectMaps::of(&two_maps());
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&maps.scores), ["scores.0", "scores.1"]);
        assert_eq!(names(&maps.boxes), ["boxes.0", "boxes.1"]);
    }

    #[test]
    fn all_scores_have_one_range_without_low_logits() {
        let maps = ObjectMaps::of(&two_maps());
        let of = |highest: f32| {
            let mut ranges = Ranges::new();
            let full = |name: &String| {
                let is_first = name == "scores.0";
                let max = if is_first { highest } else { 0.5 };
                Some(Range { min: -30.0, max })
            };
            maps.set_score_ranges(&mut ranges, full);
            assert_eq!(ranges["scores.0"], ranges["scores.1"]);
            assert_eq!(ranges.len(), 2);
            ranges["scores.0"]
        };
        assert_eq!((of(1.0).min, of(1.0).max), (-6.0, 4.6));
        assert_eq!(of(7.0).max, 7.0);
    }
}
