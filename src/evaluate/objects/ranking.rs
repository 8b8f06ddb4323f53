//! The detections of a class, ranked and matched with ground-truth boxes, and what follows from that for any sample of the
//! pictures.

use super::super::average_precision::{RECALLS, recall};
use super::{ClassBox, ClassObjects, SizeRange, mean};

/// IoU thresholds of AP: 0.5, 0.55, ... 0.95.
const THRESHOLDS: usize = 10;

/// What became of a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Match {
    Hit,
    Miss,
    /// It is not of the measured sizes.
    Ignored,
}

/// The detections of every class, for metrics of samples of the pictures.
#[derive(Debug)]
pub(in crate::evaluate) struct ObjectRanking(pub(super) Vec<ClassRanking>);

impl ObjectRanking {
    /// AP50 and AP; `weight` is how often the picture at a position of the predictions counts. 0 without ground-truth boxes.
    pub(in crate::evaluate) fn average_precision(
        &self,
        weight: impl Fn(usize) -> usize,
    ) -> (f64, f64) {
        let classes = self.0.iter().map(|class| class.metrics(&weight));
        let classes: Vec<_> = classes.collect();
        (
            mean(&classes, |class| class.ap50).unwrap_or_default(),
            mean(&classes, |class| class.ap).unwrap_or_default(),
        )
    }
}

/// The detections and the ground-truth boxes of one class. Pictures are given by their position among the predictions.
#[derive(Debug)]
pub(super) struct ClassRanking {
    /// A picture and the number of its ground-truth boxes.
    pub(super) boxes: Vec<(usize, usize)>,
    /// The highest score first: the picture, and what became of the detection at each IoU threshold.
    pub(super) detections: Vec<(usize, [Match; THRESHOLDS])>,
}

impl ClassRanking {
    /// `None` without ground-truth boxes; `weight` is how often a picture counts.
    pub(super) fn metrics(&self, weight: impl Fn(usize) -> usize) -> Option<ClassObjects> {
        let boxes = self.boxes.iter();
        let boxes = boxes.map(|(picture, boxes)| weight(*picture) * boxes).sum();
        if boxes == 0 {
            return None;
        }
        let curves = self.curves(boxes, weight);
        let average = |of: &dyn Fn(&Curve) -> f64| {
            let sum: f64 = curves.iter().map(of).sum();
            sum / THRESHOLDS as f64
        };
        Some(ClassObjects {
            ap50: curves[0].average_precision(),
            ap: average(&Curve::average_precision),
            recall: average(&|curve| curve.hits as f64 / boxes as f64),
            boxes,
        })
    }

    /// At each IoU threshold.
    fn curves(&self, boxes: usize, weight: impl Fn(usize) -> usize) -> [Curve; THRESHOLDS] {
        let mut curves = [const { Curve::new() }; THRESHOLDS];
        let mut visited = 0;
        for (picture, matches) in &self.detections {
            let times = weight(*picture);
            visited += times;
            if times == 0 || *matches == [Match::Miss; THRESHOLDS] {
                continue;
            }
            for (curve, found) in curves.iter_mut().zip(matches) {
                match found {
                    Match::Hit => curve.add_hits(times, visited, boxes),
                    Match::Ignored => curve.ignored += times,
                    Match::Miss => {}
                }
            }
        }
        curves.map(Curve::interpolated)
    }

    /// Precision at each recall, at an IoU threshold; `None` without ground-truth boxes.
    pub(super) fn precisions(&self, threshold: usize) -> Option<Vec<f64>> {
        let boxes = self.boxes.iter().map(|(_, boxes)| boxes).sum();
        let curve = |boxes| self.curves(boxes, |_| 1)[threshold].precisions().collect();
        (boxes > 0).then(|| curve(boxes))
    }
}

/// Precision over recall at one IoU threshold.
struct Curve {
    hits: usize,
    ignored: usize,
    /// Recall and precision after each hit: in between, precision only falls.
    points: Vec<(f64, f64)>,
}

impl Curve {
    const fn new() -> Self {
        Self {
            hits: 0,
            ignored: 0,
            points: Vec::new(),
        }
    }

    /// `visited`: number of detections so far, with these.
    fn add_hits(&mut self, times: usize, visited: usize, boxes: usize) {
        self.hits += times;
        let precision = self.hits as f64 / (visited - self.ignored) as f64;
        self.points
            .push((self.hits as f64 / boxes as f64, precision));
    }

    /// With the highest precision at each recall or above.
    fn interpolated(mut self) -> Self {
        let mut best = 0.0_f64;
        for (_, precision) in self.points.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        self
    }

    /// Of an interpolated curve, the precision at each of the recalls; 0 beyond the highest one.
    fn precisions(&self) -> impl Iterator<Item = f64> {
        let at = |wanted: f64| {
            let first = self.points.partition_point(|(recall, _)| *recall < wanted);
            let found = self.points.get(first);
            found.map_or(0.0, |(_, precision)| *precision)
        };
        (0..RECALLS).map(move |step| at(recall(step)))
    }

    /// Of an interpolated curve.
    fn average_precision(&self) -> f64 {
        self.precisions().sum::<f64>() / RECALLS as f64
    }
}

/// A ground-truth box of the class that is measured.
pub(super) struct Truth<'a> {
    pub(super) found: &'a ClassBox,
    /// It is not of the measured sizes.
    pub(super) is_ignored: bool,
}

/// The IoU threshold of a step, as numpy's `linspace` rounds it.
pub(super) fn threshold(step: usize) -> f64 {
    match step {
        9 => 0.95,
        _ => step as f64 * ((0.95 - 0.5) / 9.0) + 0.5,
    }
}

/// What becomes of each detection at each threshold. The truths that are not ignored are first.
pub(super) fn matches(
    truths: &[Truth<'_>],
    detections: &[&(f64, ClassBox)],
    is_in: SizeRange<'_>,
) -> Vec<[Match; THRESHOLDS]> {
    let mut all = vec![[Match::Miss; THRESHOLDS]; detections.len()];
    for step in 0..THRESHOLDS {
        let mut is_taken = vec![false; truths.len()];
        for ((_, found), matches) in detections.iter().zip(&mut all) {
            let best = best_truth(truths, &is_taken, found, threshold(step));
            matches[step] = match best {
                Some(best) => {
                    is_taken[best] = true;
                    if truths[best].is_ignored {
                        Match::Ignored
                    } else {
                        Match::Hit
                    }
                }
                None if is_in(found) => Match::Miss,
                None => Match::Ignored,
            };
        }
    }
    all
}

/// The free truth with the highest IoU, the last of equal ones; an ignored one only if no other is good enough.
fn best_truth(
    truths: &[Truth<'_>],
    is_taken: &[bool],
    found: &ClassBox,
    threshold: f64,
) -> Option<usize> {
    let mut least = threshold.min(1.0 - 1e-10);
    let mut best: Option<usize> = None;
    for (index, truth) in truths.iter().enumerate() {
        if is_taken[index] {
            continue;
        }
        if truth.is_ignored && best.is_some_and(|best| !truths[best].is_ignored) {
            break;
        }
        let iou = found.pixels.iou(&truth.found.pixels);
        if iou >= least {
            (least, best) = (iou, Some(index));
        }
    }
    best
}
