//! The detections of a frame as the multi-object tracker takes them: strong ones, which may begin a track, and weak ones.

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
        let mut objects = weak.unwrap_or_default().to_vec();
        let primary = prediction.detection(thresholds.primary);
        let place = primary.and_then(|primary| Place::of(&primary, &objects, thresholds));
        let mut is_strong: Vec<bool> = objects
            .iter()
            .map(|object| object.confidence >= thresholds.objects)
            .collect();
        let is_listed_again =
            |object: &Detection| primary.is_some_and(|p| object.is_same_object(&p, thresholds.nms_iou));
        let others = (0..objects.len()).filter(|&index| is_strong[index] && !is_listed_again(&objects[index]));
        let others: Vec<usize> = others.collect();
        let mut primary_index = None;
        if let Some((primary, place)) = primary.zip(place) {
            primary_index = Some(match place {
                Place::Object(index) => {
                    is_strong[index] = true;
                    objects[index].confidence = objects[index].confidence.max(primary.confidence);
                    index
                }
                Place::OfAnother(index) => index,
                Place::Own => {
                    objects.push(primary);
                    is_strong.push(true);
                    objects.len() - 1
                }
            });
        }
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by(|&a, &b| {
            let by_strength = is_strong[b].cmp(&is_strong[a]);
            by_strength.then(objects[b].confidence.total_cmp(&objects[a].confidence))
        });
        let position = |index: usize| order.iter().position(|&other| other == index);
        let primary = primary.map(|_| primary_index.and_then(position));
        Self {
            listed: primary.into_iter().chain(others.iter().map(|&index| position(index))).collect(),
            strong_count: is_strong.iter().filter(|is_strong| **is_strong).count(),
            detections: order.iter().map(|&index| objects[index]).collect(),
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

/// What the primary detection is among the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the same as this object, which is strong because of it.
    Object(usize),
    /// It is another name for this object.
    OfAnother(usize),
    Own,
}

impl Place {
    /// `None` if it lies over objects, and is none of them.
    fn of(primary: &Detection, objects: &[Detection], thresholds: &Thresholds) -> Option<Self> {
        let is_same = |object: &Detection| object.is_same_object(primary, thresholds.nms_iou);
        if let Some(index) = nearest(primary, objects, is_same) {
            return Some(Self::Object(index));
        }
        let is_strong = |object: &Detection| object.confidence >= thresholds.objects;
        let is_same_place = |object: &Detection| {
            is_strong(object) && iou(&object.bounding_box, &primary.bounding_box) >= SAME_OBJECT_IOU
        };
        if let Some(index) = nearest(primary, objects, is_same_place) {
            return Some(Self::OfAnother(index));
        }
        let lies_over = |object: &Detection| {
            let (a, b) = (&object.bounding_box, &primary.bounding_box);
            a.intersection_area(b) > MAX_SHARED_AREA * a.area().min(b.area())
        };
        let is_covered = objects.iter().any(|object| is_strong(object) && lies_over(object));
        (!is_covered).then_some(Self::Own)
    }
}

/// The object with the highest IoU among those that are possible; the first of equal ones.
fn nearest(
    primary: &Detection,
    objects: &[Detection],
    is_possible: impl Fn(&Detection) -> bool,
) -> Option<usize> {
    let overlap = |index: usize| iou(&objects[index].bounding_box, &primary.bounding_box);
    let possible = (0..objects.len()).filter(|&index| is_possible(&objects[index]));
    possible.reduce(|best, index| if overlap(index) > overlap(best) { index } else { best })
}
