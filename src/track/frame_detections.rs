//! The detections of a frame as the multi-object tracker takes them: strong ones, which may begin a track, and weak ones.

use std::cmp::Ordering;
use std::ops::Range;

use super::association::SAME_OBJECT_IOU;
use crate::detect::{Detection, Prediction, Thresholds};
use crate::geometry::iou;

/// The threshold of weak detections as a share of that of objects (the lower threshold of ByteTrack: Zhang et al.,
/// "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022).
const WEAK_SHARE: f32 = 0.5;

/// The primary detection is no object of its own if it shares more than this with an object's box, as a share of the
/// smaller of the two: then it lies over objects that were found one by one.
const MAX_SHARED_AREA: f32 = 0.3;

#[derive(Debug, Clone)]
pub(super) struct FrameDetections {
    /// Strong ones, then weak ones; of each, the highest score first.
    pub(super) detections: Vec<Detection>,
    pub(super) strong_count: usize,
    /// For each of [`Prediction::detections`] its index in `detections`; `None` for a primary detection over several objects.
    pub(super) listed: Vec<Option<usize>>,
    pub(super) class_count: usize,
    /// The lowest score of a strong detection.
    pub(super) threshold: f32,
}

impl FrameDetections {
    pub(super) fn new(prediction: &Prediction, thresholds: &Thresholds) -> Self {
        let weak = prediction.objects(thresholds.objects * WEAK_SHARE);
        let object = |detection: &Detection| Found {
            detection: *detection,
            is_strong: detection.confidence >= thresholds.objects,
        };
        let mut found: Vec<_> = weak.unwrap_or_default().iter().map(object).collect();
        let primary = prediction.detection(thresholds.primary);
        let others = others(primary.as_ref(), &found, thresholds);
        let primary = primary.map(|primary| add_primary(&primary, &mut found, thresholds));
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|&a, &b| found[a].compare(&found[b]));
        let position = |index: usize| order.iter().position(|&other| other == index);
        let listed = primary.into_iter().chain(others.into_iter().map(Some));
        Self {
            listed: listed.map(|index| position(index?)).collect(),
            strong_count: found.iter().filter(|found| found.is_strong).count(),
            detections: order.iter().map(|&index| found[index].detection).collect(),
            class_count: prediction.scores().len(),
            threshold: thresholds.primary.min(thresholds.objects),
        }
    }

    pub(super) fn strong(&self) -> Range<usize> {
        0..self.strong_count
    }

    pub(super) fn weak(&self) -> Range<usize> {
        self.strong_count..self.detections.len()
    }
}

/// A detection before all are sorted.
struct Found {
    detection: Detection,
    is_strong: bool,
}

impl Found {
    /// Strong ones first, then by score.
    fn compare(&self, other: &Self) -> Ordering {
        let by_strength = other.is_strong.cmp(&self.is_strong);
        let (confidence, others) = (self.detection.confidence, other.detection.confidence);
        by_strength.then(others.total_cmp(&confidence))
    }
}

/// The indices of those that [`Prediction::others`] lists.
fn others(primary: Option<&Detection>, found: &[Found], thresholds: &Thresholds) -> Vec<usize> {
    let is_primary = |found: &Found| {
        let object = &found.detection;
        primary.is_some_and(|primary| object.is_same_object(primary, thresholds.nms_iou))
    };
    let is_listed = |index: &usize| found[*index].is_strong && !is_primary(&found[*index]);
    (0..found.len()).filter(is_listed).collect()
}

/// Adds the primary detection to the objects. Returns the index of what it is; `None` if it lies over objects, and is none of
/// them.
fn add_primary(
    primary: &Detection,
    found: &mut Vec<Found>,
    thresholds: &Thresholds,
) -> Option<usize> {
    let is_same = |found: &Found| found.detection.is_same_object(primary, thresholds.nms_iou);
    if let Some(index) = nearest(primary, found, is_same) {
        let object = &mut found[index];
        object.is_strong = true;
        object.detection.confidence = object.detection.confidence.max(primary.confidence);
        return Some(index);
    }
    // The object heads know the class of one of several objects better than the image's.
    let is_other_name = |found: &Found| {
        found.is_strong
            && iou(&found.detection.bounding_box, &primary.bounding_box) >= SAME_OBJECT_IOU
    };
    if let Some(index) = nearest(primary, found, is_other_name) {
        return Some(index);
    }
    let lies_over = |found: &Found| {
        let (a, b) = (&found.detection.bounding_box, &primary.bounding_box);
        a.intersection_area(b) > MAX_SHARED_AREA * a.area().min(b.area())
    };
    if found
        .iter()
        .any(|found| found.is_strong && lies_over(found))
    {
        return None;
    }
    found.push(Found {
        detection: *primary,
        is_strong: true,
    });
    Some(found.len() - 1)
}

/// The index of the object with the highest IoU among those that are possible; the first of equal ones.
fn nearest(
    primary: &Detection,
    found: &[Found],
    is_possible: impl Fn(&Found) -> bool,
) -> Option<usize> {
    let overlap = |index: usize| iou(&found[index].detection.bounding_box, &primary.bounding_box);
    let possible = (0..found.len()).filter(|&index| is_possible(&found[index]));
    possible.reduce(|best, index| {
        if overlap(index) > overlap(best) {
            index
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::ObjectSettings;
    use crate::detect::{CellOutputs, Nms};

    const THRESHOLDS: Thresholds = Thresholds {
        primary: 0.5,
        objects: 0.4,
        nms_iou: 0.5,
    };

    const LEFT: [f32; 4] = [0.1, 0.4, 0.4, 0.7];
    /// IoU with `LEFT`: 0.5; of its area, two thirds.
    const NEAR_LEFT: [f32; 4] = [0.2, 0.5, 0.4, 0.7];
    /// IoU with `LEFT`: 0.82.
    const NEARLY_LEFT: [f32; 4] = [0.13, 0.4, 0.4, 0.7];
    const RIGHT: [f32; 4] = [0.6, 0.9, 0.4, 0.7];
    const BOTH: [f32; 4] = [0.1, 0.9, 0.4, 0.7];

    /// Class, score and corners.
    type Seen = (usize, f32, [f32; 4]);

    /// The detections of objects with the classes 0 and 1 and of image heads, as class and score; how many are strong;
    /// where the listed ones are.
    fn detections(
        objects: &[Seen],
        primary: Option<Seen>,
    ) -> (Vec<(usize, f32)>, usize, Vec<Option<usize>>) {
        let mut scores = vec![0.0; objects.len() * 2];
        let mut boxes = Vec::new();
        for (row, (class, score, corners)) in scores.chunks_exact_mut(2).zip(objects) {
            row[*class] = *score;
            boxes.extend(corners);
        }
        let (cells, settings) = (
            CellOutputs {
                scores: &scores,
                boxes: &boxes,
            },
            ObjectSettings {
                threshold: THRESHOLDS.objects,
                nms_iou: THRESHOLDS.nms_iou,
                most: 10,
            },
        );
        let nms = &mut Nms::new(settings, objects.len(), 2);
        let prediction = match primary {
            None => Prediction::of_objects(cells, nms),
            Some((class, score, corners)) => {
                let mut scores = [0.1; 2];
                scores[class] = score;
                let image = Prediction::new(scores.to_vec(), corners).expect("valid");
                image.with_objects(cells, nms)
            }
        };
        let prediction = prediction.expect("valid outputs");
        let frame = FrameDetections::new(&prediction, &THRESHOLDS);
        assert_eq!(frame.listed.len(), prediction.detections(&THRESHOLDS).len());
        let fields = |found: &Detection| (found.class.index(), found.confidence);
        let found = frame.detections.iter().map(fields).collect();
        (found, frame.strong_count, frame.listed)
    }

    #[test]
    fn weak_detections_follow_strong_ones_and_are_not_listed() {
        let objects = [(0, 0.3, LEFT), (1, 0.6, RIGHT), (0, 0.19, BOTH)];
        let expected = (vec![(1, 0.6), (0, 0.3)], 1, vec![Some(0)]);
        assert_eq!(detections(&objects, None), expected);
        assert_eq!(detections(&objects, Some((0, 0.2, LEFT))), expected);
        assert_eq!(detections(&[], Some((0, 0.2, LEFT))), (vec![], 0, vec![]));
    }

    #[test]
    fn the_primary_detection_stands_for_the_object_of_its_class() {
        let objects = [(1, 0.8, LEFT), (0, 0.6, NEARLY_LEFT), (0, 0.5, RIGHT)];
        let (found, strong, listed) = detections(&objects, Some((0, 0.9, LEFT)));
        assert_eq!((found, strong), (vec![(0, 0.9), (1, 0.8), (0, 0.5)], 3));
        assert_eq!(listed, [Some(0), Some(1), Some(2)]);
        // It makes a weak one strong.
        let objects = [(1, 0.8, RIGHT), (0, 0.3, LEFT)];
        let (found, strong, listed) = detections(&objects, Some((0, 0.7, NEARLY_LEFT)));
        assert_eq!((found, strong), (vec![(1, 0.8), (0, 0.7)], 2));
        assert_eq!(listed, [Some(1), Some(0)]);
    }

    #[test]
    fn a_primary_detection_of_another_class_is_the_object_at_its_place() {
        let objects = [(0, 0.6, LEFT), (0, 0.5, RIGHT)];
        let (found, strong, listed) = detections(&objects, Some((1, 0.9, NEARLY_LEFT)));
        assert_eq!((found, strong), (vec![(0, 0.6), (0, 0.5)], 2));
        assert_eq!(listed, [Some(0), Some(0), Some(1)]);
        // A weak object there does not count more than it.
        let (found, strong, _) = detections(&[(0, 0.3, LEFT)], Some((1, 0.9, NEARLY_LEFT)));
        assert_eq!((found, strong), (vec![(1, 0.9), (0, 0.3)], 1));
    }

    #[test]
    fn a_primary_detection_over_objects_is_none_of_them() {
        let objects = [(0, 0.6, LEFT), (1, 0.5, RIGHT)];
        for primary in [(0, 0.9, BOTH), (1, 0.9, NEAR_LEFT)] {
            let (found, _, listed) = detections(&objects, Some(primary));
            assert_eq!(found, [(0, 0.6), (1, 0.5)]);
            assert_eq!(listed, [None, Some(0), Some(1)]);
        }
    }

    #[test]
    fn a_primary_detection_elsewhere_is_an_object_of_its_own() {
        let (found, strong, listed) = detections(&[(0, 0.6, LEFT)], Some((0, 0.9, RIGHT)));
        assert_eq!((found, strong), (vec![(0, 0.9), (0, 0.6)], 2));
        assert_eq!(listed, [Some(0), Some(1)]);
        let alone = detections(&[], Some((0, 0.9, RIGHT)));
        assert_eq!(alone, (vec![(0, 0.9)], 1, vec![Some(0)]));
    }
}
