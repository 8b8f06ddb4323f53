//! The detections of a frame as the multi-object tracker takes them: strong ones, which may begin a track, and weak ones.

use std::ops::Range;

use super::association::SAME_OBJECT_IOU;
use crate::detect::{Detection, Prediction, Thresholds};
use crate::geometry::iou;

/// The threshold of weak detections as a share of that of objects (the lower threshold of ByteTrack: Zhang et al.,
/// "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022).
const WEAK_SHARE: f32 = 0.5;

/// A candidate becomes a track from this much above the threshold on, as in ByteTrack, whose margin of 0.1 costs more true
/// tracks than false ones (docs/tracking.md).
const BEGIN_MARGIN: f32 = 0.07;

#[derive(Debug, Clone)]
pub(super) struct FrameDetections {
    /// Strong ones, then weak ones; of each, the highest score first.
    pub(super) detections: Vec<Detection>,
    pub(super) strong_count: usize,
    /// For each of [`Prediction::detections`] its index in `detections`; `None` for a primary detection that is no object.
    pub(super) listed: Vec<Option<usize>>,
    pub(super) class_count: usize,
    /// The smoothed score from which on a candidate becomes a track.
    pub(super) begin_threshold: f32,
}

/// The score from which on an object may continue a track.
pub(super) fn weak_threshold(thresholds: &Thresholds) -> f32 {
    thresholds.objects * WEAK_SHARE
}

impl FrameDetections {
    pub(super) fn new(prediction: &Prediction, thresholds: &Thresholds) -> Self {
        let primary = prediction.detection(thresholds.primary);
        let Some(objects) = prediction.objects(weak_threshold(thresholds)) else {
            return Self::of_primary(primary, prediction, thresholds);
        };
        let is_strong = |object: &&Detection| object.confidence >= thresholds.objects;
        let strong_count = objects.iter().filter(is_strong).count();
        let is_other = |index: &usize| {
            let is_same = |primary| objects[*index].is_same_object(primary, thresholds.nms_iou);
            !primary.as_ref().is_some_and(is_same)
        };
        let others = (0..strong_count).filter(is_other).map(Some);
        let primary = primary.map(|primary| representative(&primary, objects, thresholds));
        Self {
            detections: objects.to_vec(),
            strong_count,
            listed: primary.into_iter().chain(others).collect(),
            class_count: prediction.scores().len(),
            begin_threshold: begin_threshold(thresholds.objects),
        }
    }

    /// Of a model without object heads.
    fn of_primary(
        primary: Option<Detection>,
        prediction: &Prediction,
        thresholds: &Thresholds,
    ) -> Self {
        let detections: Vec<_> = primary.into_iter().collect();
        Self {
            strong_count: detections.len(),
            listed: (0..detections.len()).map(Some).collect(),
            detections,
            class_count: prediction.scores().len(),
            begin_threshold: begin_threshold(thresholds.primary),
        }
    }

    pub(super) fn strong(&self) -> Range<usize> {
        0..self.strong_count
    }

    pub(super) fn weak(&self) -> Range<usize> {
        self.strong_count..self.detections.len()
    }
}

/// Below 1 for every threshold below 1.
fn begin_threshold(threshold: f32) -> f32 {
    threshold + BEGIN_MARGIN.min((1.0 - threshold) / 2.0)
}

/// The index of the object that the primary detection is: the nearest of its class, else a strong one of another class at
/// its place. `None` if there is none: the box of the image heads may lie over several objects, and on films it is wrong
/// more often than it is an object that the object heads miss (docs/tracking.md).
fn representative(
    primary: &Detection,
    objects: &[Detection],
    thresholds: &Thresholds,
) -> Option<usize> {
    let overlap = |object: &Detection| iou(&object.bounding_box, &primary.bounding_box);
    let nearest = |is_possible: &dyn Fn(&Detection) -> bool| {
        let possible = (0..objects.len()).filter(|&index| is_possible(&objects[index]));
        possible.reduce(|best, index| {
            let is_nearer = overlap(&objects[index]) > overlap(&objects[best]);
            if is_nearer { index } else { best }
        })
    };
    let of_its_class = nearest(&|object| object.is_same_object(primary, thresholds.nms_iou));
    of_its_class.or_else(|| {
        nearest(&|object| {
            object.confidence >= thresholds.objects && overlap(object) >= SAME_OBJECT_IOU
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings};
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
                decode: ObjectDecode::InGraph,
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
        assert_eq!((found, strong), (vec![(1, 0.8), (0, 0.6), (0, 0.5)], 3));
        assert_eq!(listed, [Some(1), Some(0), Some(2)]);
        // Also for a weak one.
        let objects = [(1, 0.8, RIGHT), (0, 0.3, LEFT)];
        let (found, strong, listed) = detections(&objects, Some((0, 0.7, NEARLY_LEFT)));
        assert_eq!((found, strong), (vec![(1, 0.8), (0, 0.3)], 1));
        assert_eq!(listed, [Some(1), Some(0)]);
    }

    #[test]
    fn a_primary_detection_of_another_class_is_the_strong_object_at_its_place() {
        let objects = [(0, 0.6, LEFT), (0, 0.5, RIGHT)];
        let (_, _, listed) = detections(&objects, Some((1, 0.9, NEARLY_LEFT)));
        assert_eq!(listed, [Some(0), Some(0), Some(1)]);
        let (_, _, listed) = detections(&[(0, 0.3, LEFT)], Some((1, 0.9, NEARLY_LEFT)));
        assert_eq!(listed, [None]);
    }

    #[test]
    fn a_primary_detection_over_objects_or_elsewhere_is_none() {
        let objects = [(0, 0.6, LEFT), (1, 0.5, RIGHT)];
        for primary in [(0, 0.9, BOTH), (1, 0.9, NEAR_LEFT)] {
            let (found, _, listed) = detections(&objects, Some(primary));
            assert_eq!(found, [(0, 0.6), (1, 0.5)]);
            assert_eq!(listed, [None, Some(0), Some(1)]);
        }
        assert_eq!(
            detections(&[], Some((0, 0.9, RIGHT))),
            (vec![], 0, vec![None])
        );
    }

    #[test]
    fn without_object_heads_the_primary_detection_is_the_object() {
        let of = |score: f32| {
            let prediction = Prediction::new(vec![0.1, score], LEFT).expect("valid");
            let frame = FrameDetections::new(&prediction, &THRESHOLDS);
            (frame.detections.len(), frame.strong_count, frame.listed)
        };
        assert_eq!(of(0.6), (1, 1, vec![Some(0)]));
        assert_eq!(of(0.4), (0, 0, vec![]));
    }

    #[test]
    fn a_track_can_begin_at_any_threshold() {
        for threshold in [0.0, 0.3, 0.95, 0.999] {
            let begin = begin_threshold(threshold);
            assert!(threshold < begin && begin < 1.0, "{threshold}: {begin}");
        }
    }
}
