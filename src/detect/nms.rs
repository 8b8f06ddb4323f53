//! Non-maximum suppression (NMS): from the predictions of all cells to objects.
//!
//! A cell predicts a score for each class and one box. The candidates are visited in the order of their scores, equal ones
//! in the order of cell and class. A candidate is an object unless its IoU with an object of its class that was found
//! before is at least [`ObjectSettings::nms_iou`]. So the objects above a threshold do not depend on the candidates below it,
//! and an engine may leave those out ([`ObjectOutputs::Candidates`]).
//! [`Nms`] allocates its buffers when it is made, and nothing for a picture.

use smallvec::SmallVec;

use super::int8::ssd_head::{Candidate, Candidates};
use super::{DetectError, Detection, Scores};
use crate::card::{MAX_OBJECTS, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT, ObjectSettings};
use crate::geometry::{NormBox, iou};
use crate::label::ClassId;

/// The objects of a picture, stored inline; the highest score first.
pub(super) type Objects = SmallVec<[Detection; INLINE_OBJECTS]>;

/// At least [`MAX_OBJECTS`], and a length of which `SmallVec` has arrays.
const INLINE_OBJECTS: usize = 128;

const _: () = assert!(INLINE_OBJECTS >= MAX_OBJECTS);

/// Candidates with a lower score are ignored: too few of them are right to matter.
pub(super) const MIN_SCORE: f32 = 0.005;

/// Only so many candidates are visited, those with the highest scores.
const MAX_CANDIDATES: usize = 1000;

/// Rounding may leave a score of a sigmoid outside of `0..=1` by this much.
const SCORE_TOLERANCE: f32 = 1e-3;

/// Selects objects, with buffers that are reused.
#[derive(Debug, Clone)]
pub struct Nms {
    settings: ObjectSettings,
    classes: usize,
    /// Candidates with a lower score are ignored.
    min_score: f32,
    /// In the order in which they are visited. No two have the same index.
    candidates: Vec<Candidate>,
}

/// The predictions of all cells: the values of the two object outputs.
#[derive(Debug, Clone, Copy)]
pub struct CellOutputs<'a> {
    /// `[cells, classes]`, `0..=1`.
    pub scores: &'a [f32],
    /// `[cells, 4]` in the order `x_min, x_max, y_min, y_max`, as shares of the picture.
    pub boxes: &'a [f32],
}

/// The outputs of object heads.
#[derive(Debug, Clone, Copy)]
pub enum ObjectOutputs<'a> {
    /// Of all cells.
    Cells(CellOutputs<'a>),
    /// Those scores that are at least a minimum, and the boxes of their cells.
    Candidates(&'a Candidates),
}

impl<'a> From<CellOutputs<'a>> for ObjectOutputs<'a> {
    fn from(cells: CellOutputs<'a>) -> Self {
        Self::Cells(cells)
    }
}

impl<'a> ObjectOutputs<'a> {
    /// Corners of each cell; those without a candidate may have any.
    fn boxes(self) -> &'a [[f32; 4]] {
        match self {
            Self::Cells(cells) => cells.boxes.as_chunks().0,
            Self::Candidates(candidates) => candidates.boxes(),
        }
    }
}

/// What stands for the image's heads in a model without them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strongest {
    /// The highest score of each class over all candidates whose box has an area; 0 without one.
    pub(super) scores: Scores,
    /// The box of the candidate with the highest of these scores, the first of equal ones.
    pub(super) corners: [f32; 4],
}

impl Nms {
    /// For pictures with up to `cells` cells.
    #[must_use]
    pub fn new(settings: ObjectSettings, cells: usize, classes: usize) -> Self {
        Self {
            settings,
            classes: classes.max(1),
            min_score: MIN_SCORE,
            candidates: Vec::with_capacity(cells * classes),
        }
    }

    /// Ignores candidates with a lower score. The objects with at least this score do not change.
    pub fn set_min_score(&mut self, score: f32) {
        self.min_score = score.max(MIN_SCORE);
    }

    #[must_use]
    pub const fn min_score(&self) -> f32 {
        self.min_score
    }

    /// The objects of a picture, at most [`ObjectSettings::most`], the highest score first. Boxes are clamped to the picture;
    /// one without area is no object.
    ///
    /// # Errors
    /// [`DetectError`] if a value is not finite or a score is not in `0..=1`.
    pub(super) fn objects(&mut self, outputs: ObjectOutputs<'_>) -> Result<Objects, DetectError> {
        self.collect(outputs)?;
        let boxes = outputs.boxes();
        let mut objects = Objects::new();
        for candidate in &self.candidates {
            if objects.len() == self.settings.most {
                break;
            }
            let (cell, class) = self.cell_and_class(candidate);
            let corners = boxes.get(cell);
            let Some(bounding_box) = corners.and_then(|c| NormBox::from_regression(*c)) else {
                continue;
            };
            let found = Detection {
                class: ClassId::new(class),
                confidence: candidate.score.min(1.0),
                bounding_box,
            };
            let is_same = |object: &Detection| found.is_same_object(object, self.settings.nms_iou);
            if bounding_box.area() > 0.0 && !objects.iter().any(is_same) {
                objects.push(found);
            }
        }
        Ok(objects)
    }

    fn cell_and_class(&self, candidate: &Candidate) -> (usize, usize) {
        let index = candidate.index as usize;
        (index / self.classes, index % self.classes)
    }

    /// Fills the candidates, sorted.
    fn collect(&mut self, outputs: ObjectOutputs<'_>) -> Result<(), DetectError> {
        let min_score = self.min_score;
        let candidates = &mut self.candidates;
        candidates.clear();
        match outputs {
            ObjectOutputs::Cells(cells) => {
                check_scores(cells.scores)?;
                check_boxes(cells.boxes)?;
                let all = (0..).zip(cells.scores);
                let possible = all.filter(|(_, score)| **score >= min_score);
                candidates.extend(possible.map(|(index, &score)| Candidate { index, score }));
            }
            ObjectOutputs::Candidates(found) => {
                let possible = found.scores().iter().copied();
                candidates.extend(possible.filter(|candidate| candidate.score >= min_score));
            }
        }
        // The index makes the order total, so the unstable algorithms, which do not allocate, are deterministic.
        let order = |a: &Candidate, b: &Candidate| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then(a.index.cmp(&b.index))
        };
        if candidates.len() > MAX_CANDIDATES {
            candidates.select_nth_unstable_by(MAX_CANDIDATES, order);
            candidates.truncate(MAX_CANDIDATES);
        }
        candidates.sort_unstable_by(order);
        if let ObjectOutputs::Candidates(found) = outputs {
            for candidate in &self.candidates {
                let (cell, _) = self.cell_and_class(candidate);
                check_boxes(found.boxes().get(cell).map_or(&[], |corners| corners))?;
            }
        }
        Ok(())
    }

    /// What stands for the image's heads, after [`Self::objects`] of the same outputs.
    pub(super) fn strongest(&self, outputs: ObjectOutputs<'_>) -> Strongest {
        let mut scores = Scores::from_elem(0.0, self.classes);
        let mut best = None;
        for candidate in &self.candidates {
            let (cell, class) = self.cell_and_class(candidate);
            let Some(corners) = outputs.boxes().get(cell) else {
                continue;
            };
            if NormBox::from_regression(*corners).is_some_and(|found| found.area() > 0.0) {
                scores[class] = scores[class].max(candidate.score.min(1.0));
                best = best.or(Some(*corners));
            }
        }
        Strongest {
            scores,
            corners: best.unwrap_or_default(),
        }
    }
}

impl Detection {
    /// Whether another detection is of the same object: it has the same class, and the IoU is at least `nms_iou` or the
    /// boxes are equal.
    #[must_use]
    pub fn is_same_object(&self, other: &Self, nms_iou: f32) -> bool {
        self.class == other.class
            && (self.bounding_box == other.bounding_box
                || iou(&self.bounding_box, &other.bounding_box) >= nms_iou)
    }
}

fn check_scores(scores: &[f32]) -> Result<(), DetectError> {
    // Not `all`, which would stop at the first: without branches the loop is vectorized.
    let is_score = |score: f32| (-SCORE_TOLERANCE..=1.0 + SCORE_TOLERANCE).contains(&score);
    let fold = |all: bool, one: bool| all & one;
    if scores.iter().map(|s| is_score(*s)).fold(true, fold) {
        return Ok(());
    }
    let mut invalid = scores.iter().filter(|score| !is_score(**score));
    let value = invalid.next().copied().unwrap_or(f32::NAN);
    let output = OBJECT_SCORES_OUTPUT;
    Err(match value.is_finite() {
        true => DetectError::NoScore { output, value },
        false => DetectError::NotFinite { output, value },
    })
}

fn check_boxes(boxes: &[f32]) -> Result<(), DetectError> {
    let fold = |all: bool, one: bool| all & one;
    if boxes.iter().map(|c| c.is_finite()).fold(true, fold) {
        return Ok(());
    }
    let mut invalid = boxes.iter().filter(|corner| !corner.is_finite());
    let value = invalid.next().copied().unwrap_or(f32::NAN);
    let output = OBJECT_BOXES_OUTPUT;
    Err(DetectError::NotFinite { output, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::ObjectDecode;

    const SETTINGS: ObjectSettings = ObjectSettings {
        threshold: 0.5,
        nms_iou: 0.5,
        most: 10,
        decode: ObjectDecode::InGraph,
    };

    /// A cell: its scores and its box.
    type Cell<const N: usize> = ([f32; N], [f32; 4]);

    /// Class, score and corners of each object.
    fn objects<const N: usize>(
        settings: ObjectSettings,
        cells: &[Cell<N>],
    ) -> Vec<(usize, f32, [f32; 4])> {
        let scores: Vec<f32> = cells.iter().flat_map(|cell| cell.0).collect();
        let boxes: Vec<f32> = cells.iter().flat_map(|cell| cell.1).collect();
        let mut nms = Nms::new(settings, cells.len(), N);
        let outputs = CellOutputs {
            scores: &scores,
            boxes: &boxes,
        };
        let found = nms.objects(outputs.into()).expect("valid");
        let again = nms.objects(outputs.into()).expect("valid");
        assert_eq!(again, found, "a second time");
        let fields = |object: &Detection| {
            let corners = object.bounding_box.corners();
            (object.class.index(), object.confidence, corners)
        };
        found.iter().map(fields).collect()
    }

    const LEFT: [f32; 4] = [0.0, 0.4, 0.0, 1.0];
    /// IoU with `LEFT`: 3/5.
    const LEFT_SHIFTED: [f32; 4] = [0.1, 0.5, 0.0, 1.0];
    /// IoU with `LEFT`: 1/3; with `LEFT_SHIFTED`: 3/5.
    const LEFT_MORE_SHIFTED: [f32; 4] = [0.2, 0.6, 0.0, 1.0];
    const RIGHT: [f32; 4] = [0.6, 1.0, 0.0, 1.0];

    #[test]
    fn a_weaker_box_of_the_class_that_overlaps_is_suppressed() {
        let found = objects(
            SETTINGS,
            &[([0.7], LEFT), ([0.9], LEFT_SHIFTED), ([0.8], RIGHT)],
        );
        assert_eq!(found, [(0, 0.9, LEFT_SHIFTED), (0, 0.8, RIGHT)]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        let cells = [
            ([0.9], LEFT),
            ([0.8], LEFT_SHIFTED),
            ([0.7], LEFT_MORE_SHIFTED),
        ];
        let found = objects(SETTINGS, &cells);
        assert_eq!(found, [(0, 0.9, LEFT), (0, 0.7, LEFT_MORE_SHIFTED)]);
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let found = objects(SETTINGS, &[([0.9, 0.6], LEFT), ([0.5, 0.8], LEFT_SHIFTED)]);
        assert_eq!(found, [(0, 0.9, LEFT), (1, 0.8, LEFT_SHIFTED)]);
    }

    #[test]
    fn of_equal_scores_the_first_cell_and_then_the_first_class_wins() {
        let found = objects(
            SETTINGS,
            &[([0.9], LEFT_SHIFTED), ([0.9], LEFT), ([0.9], RIGHT)],
        );
        assert_eq!(found, [(0, 0.9, LEFT_SHIFTED), (0, 0.9, RIGHT)]);
        let found = objects(SETTINGS, &[([0.4, 0.4], RIGHT), ([0.4, 0.4], LEFT)]);
        let expected = [
            (0, 0.4, RIGHT),
            (1, 0.4, RIGHT),
            (0, 0.4, LEFT),
            (1, 0.4, LEFT),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_overlap_of_exactly_the_limit_is_the_same_object() {
        let half = [0.0, 0.5, 0.0, 1.0];
        let cells = [([0.9], [0.0, 1.0, 0.0, 1.0]), ([0.8], half)];
        assert_eq!(objects(SETTINGS, &cells).len(), 1);
        let nms_iou = 0.500_001;
        let settings = ObjectSettings {
            nms_iou,
            ..SETTINGS
        };
        assert_eq!(objects(settings, &cells).len(), 2);
    }

    #[test]
    fn identical_boxes_are_one_object_at_every_limit() {
        for nms_iou in [0.01, 0.5, 1.0] {
            let settings = ObjectSettings {
                nms_iou,
                ..SETTINGS
            };
            let found = objects(settings, &[([0.5], LEFT), ([0.6], LEFT), ([0.5], LEFT)]);
            assert_eq!(found, [(0, 0.6, LEFT)]);
        }
    }

    #[test]
    fn boxes_without_area_are_no_objects() {
        let point = [0.5, 0.5, 0.5, 0.5];
        let line = [0.2, 0.8, 0.5, 0.5];
        let outside = [1.2, 1.9, 0.2, 0.4];
        let found = objects(
            SETTINGS,
            &[
                ([0.9], point),
                ([0.9], line),
                ([0.9], outside),
                ([0.6], LEFT),
            ],
        );
        assert_eq!(found, [(0, 0.6, LEFT)]);
    }

    #[test]
    fn boxes_are_clamped_and_ordered() {
        let found = objects(SETTINGS, &[([0.9], [0.4, -0.3, 0.0, 1.7])]);
        assert_eq!(found, [(0, 0.9, LEFT)]);
    }

    #[test]
    fn there_are_at_most_most() {
        let cell = |column: usize| {
            let x = column as f32 / 20.0;
            ([0.3 + x / 2.0], [x, x + 0.04, 0.0, 0.5])
        };
        let cells: Vec<Cell<1>> = (0..20).map(cell).collect();
        for most in [1, 3, 10] {
            let found = objects(ObjectSettings { most, ..SETTINGS }, &cells);
            assert_eq!(found.len(), most);
            let last = (0..most).map(|rank| cell(19 - rank).0[0]);
            assert!(found.iter().map(|object| object.1).eq(last));
        }
        let all = objects(
            ObjectSettings {
                most: 100,
                ..SETTINGS
            },
            &cells,
        );
        assert_eq!(all.len(), 20);
    }

    #[test]
    fn scores_far_below_any_threshold_are_ignored() {
        let found = objects(
            SETTINGS,
            &[([0.004], LEFT), ([0.0], RIGHT), ([0.005], RIGHT)],
        );
        assert_eq!(found, [(0, 0.005, RIGHT)]);
        assert!(objects::<1>(SETTINGS, &[]).is_empty());
    }

    /// The best of more candidates than are visited, in the same order as without the limit.
    #[test]
    fn of_many_candidates_the_best_are_visited() {
        let random = &mut fastrand::Rng::with_seed(4);
        let mut any = || {
            let [a, b] = [random.f32() * 0.7, random.f32() * 0.7];
            // Few different scores, so that many are equal.
            let scores = [(); 3].map(|()| 0.05 + random.u32(0..40) as f32 / 50.0);
            (scores, [a, a + 0.3, b, b + 0.3])
        };
        let cells: Vec<Cell<3>> = (0..600).map(|_| any()).collect();
        let found = objects(SETTINGS, &cells);
        assert_eq!(found.len(), 10);
        let mut sorted: Vec<(usize, usize)> = (0..600)
            .flat_map(|cell| [(cell, 0), (cell, 1), (cell, 2)])
            .collect();
        let score = |(cell, class): (usize, usize)| cells[cell].0[class];
        sorted.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let boxed = |cell: usize| NormBox::from_regression(cells[cell].1).expect("finite");
        let mut expected: Vec<(usize, usize)> = Vec::new();
        for (cell, class) in sorted {
            let is_free = |kept: &&(usize, usize)| {
                kept.1 == class && iou(&boxed(kept.0), &boxed(cell)) >= SETTINGS.nms_iou
            };
            if expected.len() < 10 && !expected.iter().any(|kept| is_free(&kept)) {
                expected.push((cell, class));
            }
        }
        let expected = expected
            .iter()
            .map(|&(cell, class)| (class, score((cell, class)), boxed(cell).corners()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn values_that_are_no_scores_or_boxes_are_errors() {
        let error = |scores: [f32; 2], boxes: [f32; 8]| {
            let outputs = CellOutputs {
                scores: &scores,
                boxes: &boxes,
            };
            let found = Nms::new(SETTINGS, 2, 1).objects(outputs.into());
            found.map(|_| ()).map_err(|error| error.to_string())
        };
        let boxes = [0.5; 8];
        assert_eq!(error([0.1, 1.000_1], boxes), Ok(()));
        for (value, expected) in [
            (f32::NAN, "\"object_scores\" holds NaN"),
            (f32::INFINITY, "\"object_scores\" holds inf"),
            (1.5, "\"object_scores\" holds 1.5"),
            (-0.2, "\"object_scores\" holds -0.2"),
        ] {
            let error = error([0.1, value], boxes).expect_err("no score");
            assert!(error.contains(expected), "{error}");
        }
        for value in [f32::NAN, f32::NEG_INFINITY] {
            let mut boxes = boxes;
            boxes[6] = value;
            let error = error([0.1, 0.2], boxes).expect_err("no box");
            assert!(error.contains("\"object_boxes\" holds"), "{error}");
        }
    }

    #[test]
    fn the_strongest_cell_stands_for_the_image() {
        let mut nms = Nms::new(SETTINGS, 4, 3);
        let outputs = CellOutputs {
            scores: &[0.9, 0.9, 0.0, 0.1, 0.7, 0.004, 0.3, 0.2, 0.0, 0.6, 0.7, 0.0],
            boxes: &[[0.5; 4], LEFT_SHIFTED, LEFT, RIGHT].concat(),
        };
        let _ = nms.objects(outputs.into()).expect("valid");
        let strongest = nms.strongest(outputs.into());
        assert_eq!(
            strongest.scores[..],
            [0.6, 0.7, 0.0],
            "a box without area counts nothing, nor does a score far below any threshold"
        );
        assert_eq!(strongest.corners, LEFT_SHIFTED);
    }

    /// The objects of at least a score do not depend on whether weaker candidates are looked at.
    #[test]
    fn a_minimum_score_leaves_the_objects_above_it_as_they_are() {
        let random = &mut fastrand::Rng::with_seed(5);
        let mut any = || {
            let [a, b] = [random.f32() * 0.7, random.f32() * 0.7];
            ([(); 3].map(|()| random.f32()), [a, a + 0.3, b, b + 0.3])
        };
        let cells: Vec<Cell<3>> = (0..200).map(|_| any()).collect();
        let scores: Vec<f32> = cells.iter().flat_map(|cell| cell.0).collect();
        let boxes: Vec<f32> = cells.iter().flat_map(|cell| cell.1).collect();
        let outputs = CellOutputs {
            scores: &scores,
            boxes: &boxes,
        };
        let settings = ObjectSettings {
            most: 100,
            ..SETTINGS
        };
        let mut nms = Nms::new(settings, 200, 3);
        let all = nms.objects(outputs.into()).expect("valid");
        for min_score in [0.0, 0.3, 0.9, 1.0] {
            nms.set_min_score(min_score);
            let found = nms.objects(outputs.into()).expect("valid");
            let strong = |object: &&Detection| object.confidence >= min_score;
            assert!(found.iter().filter(strong).eq(all.iter().filter(strong)));
            assert!(found.iter().all(|object| object.confidence >= min_score));
        }
    }
}
