//! The end of an SSD: from the logits and box codes of several feature maps, as bytes, to the scores and boxes of those
//! rows that have a score worth a look.
//!
//! A byte has one of 256 scores, which are computed when the network is loaded. So a minimum score is a minimum byte for
//! each map, and nearly all rows are left out by comparing bytes. The box of a row is decoded only if a score of it
//! remains. Scores and boxes are equal to those of the float operators that this replaces: each value is computed by the
//! same operations in the same order.

use super::float_ops::sigmoid;
use super::graph::{BoxDecode, FeatureMap, MapId, SsdHead};
use super::tensor::{MapLayout, Quantized};

/// Numbers of a box code.
pub const CODE_LENGTH: usize = 4;

/// Bytes that are compared at once.
const BLOCK: usize = 16;

/// A class of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Index of the score: `row * classes + class`.
    pub index: u32,
    /// `0..=1`
    pub score: f32,
}

/// The scores of one image that are at least a minimum, with the boxes of their rows.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    min_score: f32,
    classes: usize,
    /// In the order of their indices. Room for all is reserved.
    scores: Vec<Candidate>,
    /// Of all rows; only those of a candidate's row are computed.
    boxes: Vec<[f32; 4]>,
}

impl Candidates {
    /// Room for all scores and boxes; the minimum is 0, so that there is a candidate for each score.
    pub(super) fn new(rows: usize, classes: usize) -> Self {
        Self {
            min_score: 0.0,
            classes,
            scores: Vec::with_capacity(rows * classes),
            boxes: vec![[0.0; 4]; rows],
        }
    }

    /// Leaves out lower scores from the next run on.
    pub fn set_min_score(&mut self, score: f32) {
        self.min_score = score;
    }

    #[must_use]
    pub fn min_score(&self) -> f32 {
        self.min_score
    }

    /// In the order of their indices.
    #[must_use]
    pub fn scores(&self) -> &[Candidate] {
        &self.scores
    }

    /// `x_min, x_max, y_min, y_max` of each row; meaningful for the rows of candidates only.
    #[must_use]
    pub fn boxes(&self) -> &[[f32; 4]] {
        &self.boxes
    }

    /// All scores, `[rows, classes]`, with 0 for those that were left out.
    #[must_use]
    pub fn dense_scores(&self) -> Vec<f32> {
        let mut dense = vec![0.0; self.boxes.len() * self.classes];
        for candidate in &self.scores {
            dense[candidate.index as usize] = candidate.score;
        }
        dense
    }

    /// All boxes, `[rows, 4]`, with 0 for those of rows without a candidate.
    #[must_use]
    pub fn dense_boxes(&self) -> Vec<f32> {
        let mut dense = vec![[0.0; 4]; self.boxes.len()];
        for candidate in &self.scores {
            let row = candidate.index as usize / self.classes;
            dense[row] = self.boxes[row];
        }
        dense.into_flattened()
    }
}

/// An [`SsdHead`] with the score of each byte.
#[derive(Debug)]
pub struct PreparedSsdHead {
    maps: Vec<PreparedMaps>,
    classes: usize,
    decode: BoxDecode,
}

/// The logits and box codes of a feature map.
#[derive(Debug)]
struct PreparedMaps {
    logits: MapId,
    /// Of each byte, in the order of their values.
    scores: Box<[f32; 256]>,
    codes: MapId,
    /// Of the box codes.
    zero_point: i32,
    /// Of the box codes.
    scale: f32,
}

impl PreparedMaps {
    /// The least byte whose score is at least `min_score`; `None` if there is none. A greater byte may have a lower score
    /// only by an error of the exponential function.
    fn least(&self, min_score: f32) -> Option<Quantized> {
        let position = self.scores.iter().position(|&score| score >= min_score)?;
        Some((position as i32 + i32::from(Quantized::MIN)) as Quantized)
    }

    fn score(&self, logit: Quantized) -> f32 {
        self.scores[(i32::from(logit) - i32::from(Quantized::MIN)) as usize]
    }

    fn code(&self, byte: Quantized) -> f32 {
        (i32::from(byte) - self.zero_point) as f32 * self.scale
    }
}

impl PreparedSsdHead {
    /// `map` returns scale and zero point of a feature map.
    pub(super) fn new(head: &SsdHead, map: impl Fn(MapId) -> FeatureMap) -> Self {
        let maps = head.maps.iter().map(|&[logits, codes]| {
            let (of_logits, of_codes) = (map(logits), map(codes));
            let zero_point = i32::from(of_logits.zero_point);
            let score = |position: usize| {
                let byte = position as i32 + i32::from(Quantized::MIN);
                sigmoid((byte - zero_point) as f32 * of_logits.scale)
            };
            PreparedMaps {
                logits,
                scores: Box::new(std::array::from_fn(score)),
                codes,
                zero_point: i32::from(of_codes.zero_point),
                scale: of_codes.scale,
            }
        });
        Self {
            maps: maps.collect(),
            classes: head.classes,
            decode: head.decode.clone(),
        }
    }

    /// Fills the candidates. `map` returns layout and bytes of a feature map.
    pub(super) fn run<'a>(
        &self,
        map: impl Fn(MapId) -> (&'a MapLayout, &'a [Quantized]),
        candidates: &mut Candidates,
    ) {
        candidates.scores.clear();
        let mut first_row = 0;
        for maps in &self.maps {
            let (layout, logits) = map(maps.logits);
            let rows_per_pixel = layout.size.channels / self.classes;
            if let Some(least) = maps.least(candidates.min_score) {
                let (code_layout, codes) = map(maps.codes);
                let logits = pixels(layout, logits);
                let pixels = logits.zip(pixels(code_layout, codes)).enumerate();
                for (pixel, (logits, codes)) in pixels {
                    let row = first_row + pixel * rows_per_pixel;
                    self.pixel(maps, least, row, [logits, codes], candidates);
                }
            }
            first_row += rows_per_pixel * layout.size.height * layout.size.width;
        }
    }

    /// Adds the candidates of a pixel, whose first row is `row`.
    fn pixel(
        &self,
        maps: &PreparedMaps,
        least: Quantized,
        row: usize,
        [logits, codes]: [&[Quantized]; 2],
        candidates: &mut Candidates,
    ) {
        let rows = logits.chunks_exact(self.classes).zip(codes.as_chunks().0);
        for (row, (logits, codes)) in (row..).zip(rows) {
            if !has_at_least(logits, least) {
                continue;
            }
            let before = candidates.scores.len();
            for (class, &logit) in logits.iter().enumerate() {
                let score = maps.score(logit);
                if logit >= least && score >= candidates.min_score {
                    let index = (row * self.classes + class) as u32;
                    candidates.scores.push(Candidate { index, score });
                }
            }
            if candidates.scores.len() > before {
                candidates.boxes[row] = self.decode.corners(row, codes.map(|byte| maps.code(byte)));
            }
        }
    }
}

impl BoxDecode {
    /// The corners of a row's box, `x_min, x_max, y_min, y_max`.
    fn corners(&self, row: usize, codes: [f32; CODE_LENGTH]) -> [f32; 4] {
        let axis = |axis: usize| {
            let centre = codes[axis] * self.offset_factors[row][axis] + self.centres[row][axis];
            let log_factor = codes[2 + axis] * self.log_factors[row][axis];
            let half = log_factor.exp() * self.half_sizes[row][axis];
            [centre - half, centre + half]
        };
        let ([x_min, x_max], [y_min, y_max]) = (axis(0), axis(1));
        [x_min, x_max, y_min, y_max]
    }
}

/// The channels of each pixel, without padding.
fn pixels<'a>(
    layout: &'a MapLayout,
    map: &'a [Quantized],
) -> impl Iterator<Item = &'a [Quantized]> {
    (0..layout.size.height).flat_map(move |y| {
        let row = &map[layout.row_start(y)..][..layout.row_bytes()];
        let pixels = row.chunks_exact(layout.pixel_stride);
        pixels.map(|pixel| &pixel[..layout.size.channels])
    })
}

/// Whether one of the bytes is at least `least`. Without branches, so that the compiler vectorizes it.
fn has_at_least(bytes: &[Quantized], least: Quantized) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut highest = [Quantized::MIN; BLOCK];
    for block in blocks {
        for (highest, byte) in highest.iter_mut().zip(block) {
            *highest = (*highest).max(*byte);
        }
    }
    let all = highest.iter().chain(rest);
    all.fold(Quantized::MIN, |highest, byte| highest.max(*byte)) >= least
}

#[cfg(test)]
mod tests {
    use super::super::tensor::{MapSize, Padding, encode};
    use super::*;

    const CLASSES: usize = 20;

    fn map(side: usize, channels: usize, scale: f32, zero_point: i8) -> FeatureMap {
        FeatureMap {
            size: MapSize {
                height: side,
                width: side,
                channels,
            },
            scale,
            zero_point: encode(zero_point),
        }
    }

    /// Two maps of 3 x 3 and 1 x 1 pixels with 2 and 3 rows in each; logits are maps 0 and 2.
    fn maps() -> [FeatureMap; 4] {
        [
            map(3, 2 * CLASSES, 0.06, 90),
            map(3, 2 * CODE_LENGTH, 0.05, 3),
            map(1, 3 * CLASSES, 0.11, -20),
            map(1, 3 * CODE_LENGTH, 0.08, -7),
        ]
    }

    const ROWS: usize = 3 * 3 * 2 + 3;

    fn head() -> SsdHead {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut pairs = || (0..ROWS).map(|_| [rng.f32(), rng.f32()]).collect();
        SsdHead {
            maps: vec![[MapId(0), MapId(1)], [MapId(2), MapId(3)]],
            classes: CLASSES,
            decode: BoxDecode {
                offset_factors: pairs(),
                centres: pairs(),
                log_factors: pairs(),
                half_sizes: pairs(),
            },
        }
    }

    fn layouts() -> [MapLayout; 4] {
        let padding = Padding {
            top: 1,
            bottom: 0,
            left: 2,
            right: 1,
        };
        maps().map(|map| MapLayout::new(map.size, padding))
    }

    fn run(seed: u64, min_score: f32) -> (Vec<Vec<Quantized>>, Candidates) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let layouts = layouts();
        let bytes = layouts.each_ref().map(|layout| {
            let bytes = (0..layout.bytes()).map(|_| encode(rng.i8(..)));
            bytes.collect::<Vec<Quantized>>()
        });
        let head = PreparedSsdHead::new(&head(), |id| maps()[id.0]);
        let mut candidates = Candidates::new(ROWS, CLASSES);
        candidates.set_min_score(min_score);
        let capacity = candidates.scores.capacity();
        for _ in 0..2 {
            head.run(|id| (&layouts[id.0], &bytes[id.0]), &mut candidates);
        }
        assert_eq!(
            candidates.scores.capacity(),
            capacity,
            "nothing is allocated"
        );
        (bytes.to_vec(), candidates)
    }

    /// Index, score and box of every class of every row, by the definition.
    fn expected(bytes: &[Vec<Quantized>]) -> Vec<(u32, f32, [f32; 4])> {
        let (maps, layouts, head) = (maps(), layouts(), head());
        let real = |map: usize, y: usize, x: usize, channel: usize| {
            let at = layouts[map].row_start(y) + x * layouts[map].pixel_stride + channel;
            let steps = i32::from(bytes[map][at]) - i32::from(maps[map].zero_point);
            steps as f32 * maps[map].scale
        };
        let mut all = Vec::new();
        let mut row = 0;
        for [logits, codes] in [[0, 1], [2, 3]] {
            let MapSize {
                height,
                width,
                channels,
            } = maps[logits].size;
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                for anchor in 0..channels / CLASSES {
                    let code = |at: usize| real(codes, y, x, anchor * CODE_LENGTH + at);
                    let corners = head.decode.corners(row, std::array::from_fn(code));
                    for class in 0..CLASSES {
                        let logit = real(logits, y, x, anchor * CLASSES + class);
                        let score = 1.0 / (1.0 + (-logit).exp());
                        all.push(((row * CLASSES + class) as u32, score, corners));
                    }
                    row += 1;
                }
            }
        }
        all
    }

    #[test]
    fn the_candidates_are_the_scores_of_at_least_the_minimum() {
        for (seed, min_score) in [(1, 0.0), (2, 0.005), (3, 0.5), (4, 0.97), (5, 1.5)] {
            let (bytes, candidates) = run(seed, min_score);
            let mut expected = expected(&bytes);
            assert_eq!(expected.len(), ROWS * CLASSES);
            expected.retain(|(_, score, _)| *score >= min_score);
            let found = candidates.scores().iter().map(|candidate| {
                let row = candidate.index as usize / CLASSES;
                (candidate.index, candidate.score, candidates.boxes()[row])
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{min_score}");
            assert_eq!(expected.is_empty(), min_score > 1.0);
            let dense = candidates.dense_scores();
            assert_eq!(dense.len(), ROWS * CLASSES);
            let remaining = dense.iter().filter(|score| **score > 0.0).count();
            assert_eq!(remaining, expected.len());
            let boxes = candidates.dense_boxes();
            for (index, _, corners) in &expected {
                let row = *index as usize / CLASSES;
                assert_eq!(boxes[row * 4..][..4], *corners);
            }
        }
    }

    #[test]
    fn every_byte_is_compared_like_its_score() {
        for (scale, zero_point) in [(0.02, 0), (0.1, 127), (0.07, -128), (1e-4, 5), (30.0, -1)] {
            let info = map(1, CLASSES, scale, zero_point);
            let head = SsdHead {
                maps: vec![[MapId(0), MapId(0)]],
                ..head()
            };
            let maps = &PreparedSsdHead::new(&head, |_| info).maps[0];
            for min_score in [0.0, 0.005, 0.02, 0.25, 0.5, 0.500_001, 0.9, 1.0, 1.1] {
                let least = maps.least(min_score);
                for q in i8::MIN..=i8::MAX {
                    let logit = f32::from(i16::from(q) - i16::from(zero_point)) * scale;
                    let score = 1.0 / (1.0 + (-logit).exp());
                    assert_eq!(maps.score(encode(q)), score);
                    let passes = least.is_some_and(|least| encode(q) >= least);
                    assert_eq!(
                        passes,
                        score >= min_score,
                        "{q} at {scale}: {score}, {min_score}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_byte_is_found_at_every_position() {
        for length in [1, 15, 16, 17, 80, 91] {
            let low = vec![encode(-5); length];
            assert!(!has_at_least(&low, encode(-4)));
            assert!(has_at_least(&low, encode(-5)));
            for position in 0..length {
                let mut bytes = low.clone();
                bytes[position] = encode(9);
                assert!(has_at_least(&bytes, encode(9)) && !has_at_least(&bytes, encode(10)));
            }
        }
    }
}
