//! A network in few words: a trunk of stages, each of blocks, and a head for each output.
//!
//! The trunk is what all outputs hang on; a head is what one output alone hangs on. A stage is all that puts out maps of
//! one size, a block is what MobileNets are made of: depthwise and pointwise convolution (v1), or expansion, depthwise,
//! projection and perhaps the block's own input added (v2). Equal blocks in a row are one with a count.

use std::collections::BTreeSet;

use super::{Kind, Layer, Summary, Totals};

/// A network in few words.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The trunk, by the size of its maps.
    pub stages: Vec<Stage>,
    /// The heads, in the order of the outputs.
    pub heads: Vec<Head>,
}

/// All blocks of the trunk that put out maps of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Height and width, or whatever follows the channels.
    pub map: Vec<usize>,
    /// Its blocks.
    pub blocks: Vec<Block>,
}

/// A block, or several equal ones in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What it is made of.
    pub text: String,
    /// How many there are.
    pub count: usize,
    /// Sums over all of them.
    pub totals: Totals,
}

/// The layers of one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Name of the output.
    pub output: String,
    /// Shape of the output.
    pub shape: Vec<usize>,
    /// What each of its layers is, those left out that only move numbers.
    pub lines: Vec<String>,
    /// Sums over all its layers.
    pub totals: Totals,
}

impl Outline {
    /// The outline of a model.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let layers = &summary.layers;
        let behind: Vec<BTreeSet<usize>> = summary
            .outputs
            .iter()
            .map(|(_, last)| behind(layers, *last))
            .collect();
        let trunk: BTreeSet<usize> = match behind.split_first() {
            Some((first, others)) if !others.is_empty() => {
                let in_all = |layer: &&usize| others.iter().all(|set| set.contains(layer));
                first.iter().filter(in_all).copied().collect()
            }
            // With one output, all is trunk.
            Some((first, _)) => first.clone(),
            None => BTreeSet::new(),
        };
        let heads = summary.outputs.iter().zip(&behind);
        Self {
            stages: stages(trunk.iter().map(|&index| &layers[index])),
            heads: heads
                .map(|((output, last), behind)| {
                    let own = behind.difference(&trunk).map(|&index| &layers[index]);
                    head(output, &layers[*last].shape, own.collect())
                })
                .collect(),
        }
    }
}

/// A layer and all that it hangs on.
fn behind(layers: &[Layer], last: usize) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![last]);
    while let Some(index) = open.pop() {
        if found.insert(index) {
            open.extend(&layers[index].inputs);
        }
    }
    found
}

fn head(output: &str, shape: &[usize], layers: Vec<&Layer>) -> Head {
    let moves_only = |layer: &Layer| {
        matches!(layer.kind, Kind::Other(_)) && layer.kind != Kind::Other("Softmax".to_owned())
    };
    let shown = layers.iter().filter(|layer| !moves_only(layer));
    Head {
        output: output.to_owned(),
        shape: shape.to_vec(),
        lines: shown.map(|layer| line(layer)).collect(),
        totals: Totals::of(layers),
    }
}

fn line(layer: &Layer) -> String {
    let mut sides: Vec<String> = layer.shape.iter().skip(1).map(usize::to_string).collect();
    // What follows is one number a channel.
    while sides.len() > 1 && sides.last().is_some_and(|side| side == "1") {
        sides.pop();
    }
    let activation = layer
        .activation
        .map_or(String::new(), |activation| format!(", {activation}"));
    format!("{}{activation} → {}", layer.kind, sides.join(" × "))
}

fn stages<'a>(layers: impl Iterator<Item = &'a Layer>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for block in cut(&layers.collect::<Vec<_>>()) {
        let Some(last) = block.last() else { continue };
        let map = last.shape.get(2..).unwrap_or(&[]).to_vec();
        let made = Block {
            text: text(&block),
            count: 1,
            totals: Totals::of(block.iter().copied()),
        };
        match stages.last_mut() {
            Some(stage) if stage.map == map => stage.add(made),
            _ => stages.push(Stage {
                map,
                blocks: vec![made],
            }),
        }
    }
    stages
}

impl Stage {
    fn add(&mut self, block: Block) {
        match self.blocks.last_mut() {
            Some(last) if last.text == block.text => {
                last.count += 1;
                last.totals.weights += block.totals.weights;
                last.totals.biases += block.totals.biases;
                last.totals.multiply_adds += block.totals.multiply_adds;
            }
            _ => self.blocks.push(block),
        }
    }
}

/// The layers of a trunk, cut into blocks.
fn cut<'l>(layers: &[&'l Layer]) -> Vec<Vec<&'l Layer>> {
    let mut blocks = Vec::new();
    let mut block: Vec<&'l Layer> = Vec::new();
    for (place, &layer) in layers.iter().enumerate() {
        block.push(layer);
        let has_depthwise = block.iter().any(|layer| layer.kind.is_depthwise());
        let goes_on = match layers.get(place + 1) {
            None => false,
            Some(next) if next.kind == Kind::Sum => true,
            // An expansion waits for its depthwise convolution, and that for its projection.
            Some(next) if layer.kind.is_pointwise() => !has_depthwise && next.kind.is_depthwise(),
            Some(next) => layer.kind.is_depthwise() && next.kind.is_pointwise(),
        };
        if !goes_on {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks
}

/// What a block is made of: `depthwise 3×3 → 1×1 · 64`.
fn text(block: &[&Layer]) -> String {
    let mut parts = Vec::new();
    let mut is_residual = false;
    for layer in block {
        let channels = layer.shape.get(1).copied().unwrap_or(0);
        match &layer.kind {
            Kind::Sum => is_residual = true,
            kind if kind.is_depthwise() => parts.push(kind.to_string()),
            kind if kind.is_pointwise() => parts.push(format!("1×1 · {channels}")),
            kind => parts.push(format!("{kind} · {channels}")),
        }
    }
    let text = parts.join(" → ");
    match (is_residual, text.is_empty()) {
        (false, _) => text,
        (true, false) => format!("{text}, + input"),
        (true, true) => "sum".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: Kind, channels: usize, side: usize, inputs: &[usize]) -> Layer {
        Layer {
            name: String::new(),
            kind,
            activation: None,
            inputs: inputs.to_vec(),
            shape: vec![1, channels, side, side],
            weights: 1,
            biases: 1,
            multiply_adds: 10,
        }
    }

    fn convolution(side: usize, stride: usize, depthwise: bool) -> Kind {
        Kind::Convolution {
            kernel: (side, side),
            stride: (stride, stride),
            depthwise,
        }
    }

    #[test]
    fn the_blocks_of_version_1_and_version_2_are_found() {
        let (stem, pointwise) = (convolution(3, 2, false), convolution(1, 1, false));
        let (depthwise, narrower) = (convolution(3, 1, true), convolution(3, 2, true));
        let layers = vec![
            layer(stem, 8, 16, &[]),
            // Version 1, twice the same.
            layer(depthwise.clone(), 8, 16, &[0]),
            layer(pointwise.clone(), 8, 16, &[1]),
            layer(depthwise.clone(), 8, 16, &[2]),
            layer(pointwise.clone(), 8, 16, &[3]),
            // Version 2, first narrower, then residual.
            layer(pointwise.clone(), 48, 16, &[4]),
            layer(narrower, 48, 8, &[5]),
            layer(pointwise.clone(), 12, 8, &[6]),
            layer(pointwise.clone(), 72, 8, &[7]),
            layer(depthwise, 72, 8, &[8]),
            layer(pointwise.clone(), 12, 8, &[9]),
            layer(Kind::Sum, 12, 8, &[7, 10]),
            // The last of version 2, and two heads.
            layer(pointwise.clone(), 1280, 8, &[11]),
            layer(Kind::Pool, 1280, 1, &[12]),
            layer(pointwise, 4, 8, &[12]),
        ];
        let summary = Summary {
            input: vec![1, 3, 32, 32],
            outputs: vec![("class".to_owned(), 13), ("box".to_owned(), 14)],
            is_int8: false,
            layers,
        };
        let outline = Outline::of(&summary);
        let told: Vec<_> = outline
            .stages
            .iter()
            .map(|stage| {
                let blocks = stage
                    .blocks
                    .iter()
                    .map(|block| (block.count, block.text.as_str()));
                (stage.map[0], blocks.collect::<Vec<_>>())
            })
            .collect();
        let expected = [
            (
                16,
                vec![
                    (1, "convolution 3×3 /2 · 8"),
                    (2, "depthwise 3×3 → 1×1 · 8"),
                ],
            ),
            (
                8,
                vec![
                    (1, "1×1 · 48 → depthwise 3×3 /2 → 1×1 · 12"),
                    (1, "1×1 · 72 → depthwise 3×3 → 1×1 · 12, + input"),
                    (1, "1×1 · 1280"),
                ],
            ),
        ];
        assert_eq!(told, expected);
        assert_eq!(outline.heads[0].lines, ["mean over the map → 1280"]);
        let parts = outline.stages.iter().flat_map(|stage| &stage.blocks);
        let sum: u64 = parts.map(|block| block.totals.multiply_adds).sum();
        let heads: u64 = outline
            .heads
            .iter()
            .map(|head| head.totals.multiply_adds)
            .sum();
        assert_eq!(sum + heads, summary.totals().multiply_adds);
    }
}
