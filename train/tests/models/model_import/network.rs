//! A small SSD with random weights, and what it computes, written as plainly as possible.

use fastrand::Rng;

/// Side of the input in pixels.
pub(crate) const SIDE: usize = 32;

/// Anchors of the two feature maps of 4 x 4 and 2 x 2 cells: three and six a cell.
pub(crate) const ANCHORS: usize = 3 * 16 + 6 * 4;

#[derive(Debug, Clone)]
pub(crate) struct Ssd {
    /// In order of execution. Value 0 is the image, value `n` the output of layer `n - 1`.
    pub(crate) layers: Vec<Layer>,
    /// Values of box codes and scores, and anchors a cell, of each feature map.
    pub(crate) heads: Vec<(usize, usize, usize)>,
    /// Scores of an anchor.
    pub(crate) columns: usize,
    /// Positions of x, y, width and height among the codes.
    pub(crate) order: [usize; 4],
    /// Of x, y, width and height.
    pub(crate) scales: [f32; 4],
    /// Centre and sides: x, y, width, height.
    pub(crate) anchors: Vec<[f32; 4]>,
    /// Of the channel values: factor and offset of each channel.
    pub(crate) scaling: ([f32; 3], [f32; 3]),
}

#[derive(Debug, Clone)]
pub(crate) enum Layer {
    Conv(usize, Conv),
    /// Sum of two values.
    Add(usize, usize),
    /// Product of a map and one factor a channel.
    Gate(usize, usize),
    HardSwish(usize),
    HardSigmoid(usize),
    /// Mean of each channel.
    Mean(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// `[out][in][row][column]`; `in` is 1 for a depthwise convolution.
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) inputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) is_depthwise: bool,
    pub(crate) activation: Activation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Relu,
    Relu6,
}

/// Channels last.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) values: Vec<f32>,
}

impl Conv {
    pub(crate) fn out(&self) -> usize {
        self.bias.len()
    }
}

/// Scores and boxes of all anchors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    /// Sigmoids of all columns.
    pub(crate) scores: Vec<Vec<f32>>,
    /// x_min, x_max, y_min, y_max.
    pub(crate) boxes: Vec<[f32; 4]>,
}

struct Builder {
    random: Rng,
    layers: Vec<Layer>,
    /// Channels of every value.
    channels: Vec<usize>,
}

impl Builder {
    fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            layers: Vec::new(),
            channels: vec![3],
        }
    }

    fn push(&mut self, layer: Layer, channels: usize) -> usize {
        self.layers.push(layer);
        self.channels.push(channels);
        self.layers.len()
    }

    /// A convolution; depthwise if `out` is 0.
    fn conv(
        &mut self,
        input: usize,
        out: usize,
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> usize {
        let inputs = self.channels[input];
        let is_depthwise = out == 0;
        let (out, inner) = if is_depthwise {
            (inputs, 1)
        } else {
            (out, inputs)
        };
        let count = inner * kernel * kernel;
        let gain = 3.0 / (count as f32).sqrt();
        let random = &mut self.random;
        let conv = Conv {
            weights: (0..out * count)
                .map(|_| (random.f32() - 0.45) * gain)
                .collect(),
            bias: (0..out).map(|_| random.f32() - 0.4).collect(),
            inputs,
            kernel,
            stride,
            is_depthwise,
            activation,
        };
        self.push(Layer::Conv(input, conv), out)
    }

    /// Heads on two maps: a convolution each on the first, a depthwise one before on the second.
    fn finish(mut self, maps: [usize; 2], columns: usize) -> Ssd {
        let mut heads = Vec::new();
        for (map, anchors) in maps.into_iter().zip([3, 6]) {
            let mut head = |per_anchor| {
                let before = match anchors {
                    3 => map,
                    _ => self.conv(map, 0, 3, 1, Activation::Relu6),
                };
                self.conv(before, anchors * per_anchor, 1, 1, Activation::None)
            };
            heads.push((head(4), head(columns), anchors));
        }
        Ssd {
            layers: self.layers,
            heads,
            columns,
            order: [1, 0, 3, 2],
            scales: [10.0, 10.0, 5.0, 5.0],
            anchors: anchors(),
            scaling: ([1.0 / 128.0; 3], [-1.0; 3]),
        }
    }
}

/// The anchors of TensorFlow's generator for two maps.
fn anchors() -> Vec<[f32; 4]> {
    let mut anchors = Vec::new();
    let first = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)];
    let second = [
        (0.95, 1.0),
        (0.95, 2.0),
        (0.95, 0.5),
        (0.95, 3.0),
        (0.95, 1.0 / 3.0),
        (0.95f32.sqrt(), 1.0f32),
    ];
    for (side, shapes) in [(4, &first[..]), (2, &second[..])] {
        for cell in 0..side * side {
            let middle = |at: usize| (at as f32 + 0.5) / side as f32;
            let (x, y) = (middle(cell % side), middle(cell / side));
            anchors.extend(
                shapes
                    .iter()
                    .map(|(scale, ratio)| [x, y, scale * ratio.sqrt(), scale / ratio.sqrt()]),
            );
        }
    }
    anchors
}

impl Ssd {
    /// Depthwise and pointwise convolutions in turn.
    pub(crate) fn v1(columns: usize) -> Self {
        let mut b = Builder::new(1);
        let mut last = b.conv(0, 8, 3, 2, Activation::Relu6);
        for (out, stride) in [(8, 1), (12, 2), (16, 2)] {
            last = b.conv(last, 0, 3, stride, Activation::Relu6);
            last = b.conv(last, out, 1, 1, Activation::Relu6);
        }
        let first = last;
        let narrow = b.conv(last, 8, 1, 1, Activation::Relu6);
        let second = b.conv(narrow, 12, 3, 2, Activation::Relu6);
        b.finish([first, second], columns)
    }

    /// Inverted bottlenecks, one residual; the first map is inside a bottleneck.
    pub(crate) fn v2(columns: usize) -> Self {
        let mut b = Builder::new(2);
        let mut last = b.conv(0, 8, 3, 2, Activation::Relu6);
        last = b.conv(last, 0, 3, 2, Activation::Relu6);
        last = b.conv(last, 6, 1, 1, Activation::None);
        let before = last;
        last = b.conv(last, 12, 1, 1, Activation::Relu6);
        last = b.conv(last, 0, 3, 1, Activation::Relu6);
        last = b.conv(last, 6, 1, 1, Activation::None);
        last = b.push(Layer::Add(last, before), 6);
        last = b.conv(last, 12, 1, 1, Activation::Relu6);
        last = b.conv(last, 0, 3, 2, Activation::Relu6);
        last = b.conv(last, 8, 1, 1, Activation::None);
        let first = b.conv(last, 16, 1, 1, Activation::Relu6);
        last = b.conv(first, 0, 3, 2, Activation::Relu6);
        let second = b.conv(last, 8, 1, 1, Activation::None);
        b.finish([first, second], columns)
    }

    /// Bottlenecks with hard-swish and squeeze-and-excite.
    pub(crate) fn v3(columns: usize) -> Self {
        let mut b = Builder::new(3);
        let mut last = b.conv(0, 8, 3, 2, Activation::None);
        last = b.push(Layer::HardSwish(last), 8);
        last = b.conv(last, 0, 3, 2, Activation::Relu);
        let mean = b.push(Layer::Mean(last), 8);
        let narrow = b.conv(mean, 4, 1, 1, Activation::Relu);
        let gate = b.conv(narrow, 8, 1, 1, Activation::None);
        let gate = b.push(Layer::HardSigmoid(gate), 8);
        last = b.push(Layer::Gate(last, gate), 8);
        last = b.conv(last, 6, 1, 1, Activation::None);
        last = b.conv(last, 12, 5, 2, Activation::None);
        let first = b.push(Layer::HardSwish(last), 12);
        let second = b.conv(first, 0, 3, 2, Activation::Relu6);
        b.finish([first, second], columns)
    }

    /// All values for an image of `SIDE` x `SIDE` RGB pixels.
    pub(crate) fn values(&self, pixels: &[u8]) -> Vec<Map> {
        let (factor, offset) = self.scaling;
        let scaled = pixels.iter().enumerate();
        let image = Map {
            side: SIDE,
            channels: 3,
            values: scaled
                .map(|(i, &v)| f32::from(v) * factor[i % 3] + offset[i % 3])
                .collect(),
        };
        let mut values = vec![image];
        for layer in &self.layers {
            let next = layer.compute(&values);
            values.push(next);
        }
        values
    }

    /// What the network gives for an image of `SIDE` x `SIDE` RGB pixels.
    pub(crate) fn rows(&self, pixels: &[u8]) -> Rows {
        let values = self.values(pixels);
        let mut rows = Rows {
            scores: Vec::new(),
            boxes: Vec::new(),
        };
        for &(boxes, scores, _) in &self.heads {
            for codes in values[boxes].values.chunks_exact(4) {
                rows.boxes.push(self.decode(codes, rows.boxes.len()));
            }
            let scores = values[scores].values.chunks_exact(self.columns);
            let sigmoid = |x: &f32| 1.0 / (1.0 + (-x).exp());
            rows.scores
                .extend(scores.map(|row| row.iter().map(sigmoid).collect()));
        }
        rows
    }

    fn decode(&self, codes: &[f32], anchor: usize) -> [f32; 4] {
        let [x, y, width, height] = self.anchors[anchor];
        let code = |axis: usize| codes[self.order[axis]] / self.scales[axis];
        let (x, y) = (x + code(0) * width, y + code(1) * height);
        let (width, height) = (width * code(2).exp(), height * code(3).exp());
        [
            x - width / 2.0,
            x + width / 2.0,
            y - height / 2.0,
            y + height / 2.0,
        ]
    }

    /// Makes the weights of the first layer smaller, for an image of larger numbers.
    pub(crate) fn weaken_first_layer(&mut self, factor: f32) {
        if let Some(Layer::Conv(_, conv)) = self.layers.first_mut() {
            conv.weights.iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    /// Channels of every value.
    pub(crate) fn channels(&self) -> Vec<usize> {
        let mut channels = vec![3];
        for layer in &self.layers {
            channels.push(match layer {
                Layer::Conv(_, conv) => conv.out(),
                Layer::Add(a, _)
                | Layer::Gate(a, _)
                | Layer::HardSwish(a)
                | Layer::HardSigmoid(a)
                | Layer::Mean(a) => channels[*a],
            });
        }
        channels
    }

    /// Sides of every value.
    pub(crate) fn sides(&self) -> Vec<usize> {
        let mut sides = vec![SIDE];
        for layer in &self.layers {
            sides.push(match layer {
                Layer::Conv(input, conv) => sides[*input].div_ceil(conv.stride),
                Layer::Mean(_) => 1,
                Layer::Add(a, _)
                | Layer::Gate(a, _)
                | Layer::HardSwish(a)
                | Layer::HardSigmoid(a) => sides[*a],
            });
        }
        sides
    }
}

impl Layer {
    fn compute(&self, values: &[Map]) -> Map {
        let each = |map: &Map, f: &dyn Fn(f32) -> f32| Map {
            values: map.values.iter().map(|x| f(*x)).collect(),
            ..map.clone()
        };
        match self {
            Self::Conv(input, conv) => conv.compute(&values[*input]),
            Self::Add(a, b) => {
                let (a, b) = (&values[*a], &values[*b]);
                let sums = a.values.iter().zip(&b.values).map(|(a, b)| a + b);
                Map {
                    values: sums.collect(),
                    ..a.clone()
                }
            }
            Self::Gate(map, gate) => {
                let (map, gate) = (&values[*map], &values[*gate]);
                let values = map.values.iter().enumerate();
                Map {
                    values: values
                        .map(|(i, x)| x * gate.values[i % map.channels])
                        .collect(),
                    ..map.clone()
                }
            }
            Self::HardSwish(map) => each(&values[*map], &|x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
            Self::HardSigmoid(map) => each(&values[*map], &|x| (x + 3.0).clamp(0.0, 6.0) / 6.0),
            Self::Mean(map) => {
                let map = &values[*map];
                let cells = map.side * map.side;
                let mean = |channel: usize| {
                    let of_channel = map.values.iter().skip(channel).step_by(map.channels);
                    of_channel.sum::<f32>() / cells as f32
                };
                Map {
                    side: 1,
                    channels: map.channels,
                    values: (0..map.channels).map(mean).collect(),
                }
            }
        }
    }
}

impl Conv {
    /// With TensorFlow's SAME padding.
    fn compute(&self, map: &Map) -> Map {
        let side = map.side.div_ceil(self.stride);
        let padding = ((side - 1) * self.stride + self.kernel).saturating_sub(map.side) / 2;
        let inner = if self.is_depthwise { 1 } else { self.inputs };
        let mut values = Vec::new();
        for (row, column, out) in (0..side * side)
            .flat_map(|cell| (0..self.out()).map(move |out| (cell / side, cell % side, out)))
        {
            let mut sum = self.bias[out];
            for (down, along, channel) in (0..self.kernel * self.kernel)
                .flat_map(|k| (0..inner).map(move |c| (k / self.kernel, k % self.kernel, c)))
            {
                let y = (row * self.stride + down).checked_sub(padding);
                let x = (column * self.stride + along).checked_sub(padding);
                let (Some(y @ 0..), Some(x @ 0..)) = (y, x) else {
                    continue;
                };
                if y >= map.side || x >= map.side {
                    continue;
                }
                let read = if self.is_depthwise { out } else { channel };
                let weight = self.weights
                    [((out * inner + channel) * self.kernel + down) * self.kernel + along];
                sum += weight * map.values[(y * map.side + x) * map.channels + read];
            }
            values.push(match self.activation {
                Activation::None => sum,
                Activation::Relu => sum.max(0.0),
                Activation::Relu6 => sum.clamp(0.0, 6.0),
            });
        }
        Map {
            side,
            channels: self.out(),
            values,
        }
    }
}
