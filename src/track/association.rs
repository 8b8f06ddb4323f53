//! Which detection of a frame is of which object: by the IoU of the detected box with the expected one.

use super::motion::ExpectedBox;
use crate::detect::Detection;
use crate::geometry::{NormBox, iou};
use crate::label::ClassId;

/// From this IoU on, two boxes of different classes are one object that the network names in two ways.
pub(super) const SAME_OBJECT_IOU: f32 = 0.6;

/// A detection is of an object from this IoU of the expanded boxes on.
const MIN_IOU: f32 = 0.25;

/// Both boxes are expanded on each side by so many standard deviations of the expected centre, so that a small, fast object
/// is found (as in Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
/// Buffering the Matching Space", WACV 2023).
const EXPANSION: f32 = 1.0;

/// At most by this share of the sides of the expected box.
const MAX_EXPANSION: f32 = 0.5;

/// Affinity of a detection of another class, as a share of that of the same class.
const OTHER_CLASS_SHARE: f32 = 0.7;

/// What is expected of an object in a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) class: ClassId,
    pub(super) position: ExpectedBox,
    /// Whether a detection of another class may be of this object.
    pub(super) may_change_class: bool,
}

/// For each expected object the index of its detection, or `None`. The pairs with the highest affinity come first, of equal
/// ones the first object and detection. (An optimal assignment is not better: docs/tracking.md.)
pub(super) fn associate(expected: &[Expected], detections: &[Detection]) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    for (object, expected) in expected.iter().enumerate() {
        for (index, detection) in detections.iter().enumerate() {
            let affinity = affinity(expected, detection);
            if affinity > 0.0 {
                pairs.push((affinity, object, index));
            }
        }
    }
    pairs.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut associated = vec![None; expected.len()];
    let mut is_taken = vec![false; detections.len()];
    for (_, object, index) in pairs {
        if associated[object].is_none() && !is_taken[index] {
            associated[object] = Some(index);
            is_taken[index] = true;
        }
    }
    associated
}

/// In `0..=1`; 0 if the detection cannot be of the object.
fn affinity(expected: &Expected, detection: &Detection) -> f32 {
    let ExpectedBox {
        bounding_box,
        deviation: [x, y],
    } = expected.position;
    let found = &detection.bounding_box;
    if detection.class != expected.class {
        let overlap = iou(&bounding_box, found);
        let is_possible = expected.may_change_class && overlap >= SAME_OBJECT_IOU;
        return if is_possible {
            OTHER_CLASS_SHARE * overlap
        } else {
            0.0
        };
    }
    let width = bounding_box.x_max() - bounding_box.x_min();
    let height = bounding_box.y_max() - bounding_box.y_min();
    let margins = [
        (EXPANSION * x).min(MAX_EXPANSION * width),
        (EXPANSION * y).min(MAX_EXPANSION * height),
    ];
    let overlap = iou(&expanded(&bounding_box, margins), &expanded(found, margins));
    if overlap >= MIN_IOU { overlap } else { 0.0 }
}

/// A box with a margin at its left and right, and above and below, as far as it lies in the picture.
fn expanded(bounding_box: &NormBox, [x, y]: [f32; 2]) -> NormBox {
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let corners = [x_min - x, x_max + x, y_min - y, y_max + y];
    NormBox::from_regression(corners).unwrap_or(*bounding_box)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of 0.2 at `x`.
    fn at(x: f32) -> NormBox {
        NormBox::new(x, x + 0.2, 0.4, 0.6).expect("valid")
    }

    fn expected(class: usize, x: f32, deviation: f32) -> Expected {
        Expected {
            class: ClassId::new(class),
            position: ExpectedBox {
                bounding_box: at(x),
                deviation: [deviation; 2],
            },
            may_change_class: true,
        }
    }

    fn detection(class: usize, x: f32) -> Detection {
        Detection {
            class: ClassId::new(class),
            confidence: 0.5,
            bounding_box: at(x),
        }
    }

    #[test]
    fn a_detection_belongs_to_the_object_that_it_overlaps_most() {
        let objects = [expected(0, 0.1, 0.0), expected(0, 0.2, 0.0)];
        let found = [detection(0, 0.18), detection(0, 0.1)];
        assert_eq!(associate(&objects, &found), [Some(1), Some(0)]);
        assert_eq!(associate(&objects, &found[..1]), [None, Some(0)]);
        assert_eq!(associate(&objects, &[detection(0, 0.7)]), [None, None]);
        assert_eq!(associate(&[], &found), []);
    }

    #[test]
    fn an_uncertain_object_is_found_further_away() {
        let far = [detection(0, 0.31)];
        assert_eq!(associate(&[expected(0, 0.1, 0.0)], &far), [None]);
        assert_eq!(associate(&[expected(0, 0.1, 0.08)], &far), [Some(0)]);
        // But not anywhere.
        let farther = [detection(0, 0.5)];
        assert_eq!(associate(&[expected(0, 0.1, 1.0)], &farther), [None]);
    }

    #[test]
    fn another_class_needs_the_same_place_and_comes_second() {
        let object = expected(0, 0.1, 0.1);
        assert_eq!(associate(&[object], &[detection(1, 0.12)]), [Some(0)]);
        assert_eq!(associate(&[object], &[detection(1, 0.18)]), [None]);
        let both = [detection(1, 0.1), detection(0, 0.13)];
        assert_eq!(associate(&[object], &both), [Some(1)]);
        let held = Expected {
            may_change_class: false,
            ..object
        };
        assert_eq!(associate(&[held], &both[..1]), [None]);
    }
}
