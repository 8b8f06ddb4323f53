//! Merges the detections of all views of a frame: non-maximum suppression that knows which boxes are cut.
//!
//! A box that an edge of its crop cuts is a part of an object. It loses against a box of another view that covers it, also
//! if that has a lower score, down to half of its own. What covers what is measured by the intersection over the smaller area (IoS), as in SAHI (Akyon,
//! Altinuc and Temizel, "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection", ICIP 2022).

use super::View;
use crate::card::MAX_OBJECTS;
use crate::detect::Detection;
use crate::geometry::iou;

/// Two boxes of a class from different views are one object from this IoU on: a small object's box is less exact in the whole
/// frame than in a crop.
const SAME_IOU: f32 = 0.45;

/// Or if they share this much of the smaller one.
const SAME_IOS: f32 = 0.8;

/// A cut box is a part of a box of another view if they share this much of the smaller one.
const CUT_IOS: f32 = 0.5;

/// And if that box has this share of the cut one's score.
const CUT_SCORE_SHARE: f32 = 0.5;

/// What was detected in a view.
#[derive(Debug, Clone, Copy)]
pub struct ViewDetections<'a> {
    pub view: View,
    /// With boxes in units of the view's sides.
    pub detections: &'a [Detection],
}

/// A detection with its box in the frame.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    detection: Detection,
    /// Index of its view.
    view: usize,
    is_cut: bool,
}

/// The objects of a frame with a score of at least `least`, the highest score first, at most [`MAX_OBJECTS`]. The detections
/// of one view have passed NMS already, so only those of different views are compared. A box that goes from edge to edge of
/// its crop is left out: a crop of the middle of an object, or of a plain area, often gives one.
#[must_use]
pub fn merge(views: &[ViewDetections<'_>], least: f32) -> Vec<Detection> {
    let mut candidates = candidates(views, least);
    // Whole boxes come first, so that cut ones never suppress them. The sort is stable: of equal scores the first view wins.
    candidates.sort_by(|a, b| {
        let by_score = b.detection.confidence.total_cmp(&a.detection.confidence);
        a.is_cut.cmp(&b.is_cut).then(by_score)
    });
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !kept.iter().any(|other| candidate.is_part_of(other)) {
            kept.push(candidate);
        }
    }
    let mut objects: Vec<Detection> = kept.iter().map(|kept| kept.detection).collect();
    objects.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    objects.truncate(MAX_OBJECTS);
    objects
}

fn candidates(views: &[ViewDetections<'_>], least: f32) -> Vec<Candidate> {
    let of_view = |(index, seen): (usize, &ViewDetections<'_>)| {
        let view = seen.view;
        let in_frame = move |found: &Detection| Candidate {
            detection: Detection {
                bounding_box: found.bounding_box.from_crop_to_frame(&view.area()),
                ..*found
            },
            view: index,
            is_cut: view.cuts(&found.bounding_box),
        };
        let is_object = |found: &&Detection| {
            found.confidence >= least && !view.is_spanned_by(&found.bounding_box)
        };
        let objects = seen.detections.iter().filter(is_object);
        objects.map(in_frame).collect::<Vec<_>>()
    };
    views.iter().enumerate().flat_map(of_view).collect()
}

impl Candidate {
    /// Whether it is the object of a candidate that comes before it, or a part of it.
    fn is_part_of(&self, other: &Self) -> bool {
        if self.view == other.view || self.detection.class != other.detection.class {
            return false;
        }
        let (own, kept) = (&self.detection.bounding_box, &other.detection.bounding_box);
        let is_weak = other.detection.confidence < CUT_SCORE_SHARE * self.detection.confidence;
        if self.is_cut && is_weak {
            return false;
        }
        let least = if self.is_cut { CUT_IOS } else { SAME_IOS };
        own == kept || iou(own, kept) >= SAME_IOU || own.intersection_over_smaller(kept) >= least
    }
}

/// Whether two detections of different views are one object, as far as their boxes overlap.
pub(super) fn is_same(one: &Detection, other: &Detection) -> bool {
    one.class == other.class && iou(&one.bounding_box, &other.bounding_box) >= SAME_IOU
}

#[cfg(test)]
mod tests {
    use embedded_graphics::prelude::{Point, Size};
    use embedded_graphics::primitives::Rectangle;

    use super::super::tests::{SIZES, boxed};
    use super::*;
    use crate::geometry::NormBox;
    use crate::label::ClassId;

    /// Class, score, and box in pixels of the frame: left, top, right, bottom.
    type Seen = (usize, f32, [i32; 4]);

    const LEFT: [i32; 4] = [0, 0, 600, 600];
    const RIGHT: [i32; 4] = [480, 0, 1080, 600];
    const WHOLE: [i32; 4] = [0, 0, 1920, 1080];

    /// What remains of the detections in views, as class, score and pixels.
    fn merged(views: &[([i32; 4], &[Seen])]) -> Vec<Seen> {
        let views: Vec<(View, Vec<Detection>)> = views
            .iter()
            .map(|(view, seen)| (view_at(*view), in_view(*view, seen)))
            .collect();
        let views: Vec<_> = views
            .iter()
            .map(|(view, detections)| ViewDetections {
                view: *view,
                detections,
            })
            .collect();
        let pixels = |found: &Detection| {
            let [x_min, x_max, y_min, y_max] = found.bounding_box.corners();
            let edges = [
                x_min * 1920.0,
                y_min * 1080.0,
                x_max * 1920.0,
                y_max * 1080.0,
            ];
            (
                found.class.index(),
                found.confidence,
                edges.map(|edge| edge.round() as i32),
            )
        };
        merge(&views, 0.1).iter().map(pixels).collect()
    }

    fn view_at([left, top, right, bottom]: [i32; 4]) -> View {
        let size = Size::new((right - left) as u32, (bottom - top) as u32);
        View::crop(Rectangle::new(Point::new(left, top), size), SIZES.frame)
    }

    fn in_view([left, top, right, bottom]: [i32; 4], seen: &[Seen]) -> Vec<Detection> {
        let x = |edge: i32| (edge - left) as f32 / (right - left) as f32;
        let y = |edge: i32| (edge - top) as f32 / (bottom - top) as f32;
        let detection = |&(class, confidence, [l, t, r, b]): &Seen| Detection {
            class: ClassId::new(class),
            confidence,
            bounding_box: NormBox::from_regression([x(l), x(r), y(t), y(b)]).expect("finite"),
        };
        seen.iter().map(detection).collect()
    }

    #[test]
    fn an_object_in_two_tiles_is_one_with_the_better_score() {
        let (first, second) = (
            (0, 0.7, [500, 100, 560, 200]),
            (0, 0.8, [502, 98, 566, 204]),
        );
        assert_eq!(merged(&[(LEFT, &[first]), (RIGHT, &[second])]), [second]);
        let other = (1, 0.6, first.2);
        let found = merged(&[(LEFT, &[other]), (RIGHT, &[second])]);
        assert_eq!(found, [second, other], "another class");
    }

    #[test]
    fn a_cut_box_loses_against_one_that_covers_it() {
        let part = (0, 0.95, [540, 100, 600, 200]);
        let object = (0, 0.5, [540, 100, 700, 200]);
        assert_eq!(merged(&[(LEFT, &[part]), (RIGHT, &[object])]), [object]);
        assert_eq!(merged(&[(RIGHT, &[object]), (LEFT, &[part])]), [object]);
        // Both tiles cut an object that only the whole frame shows.
        let large = (0, 0.5, [300, 100, 900, 500]);
        let parts = [
            (0, 0.9, [300, 100, 600, 500]),
            (0, 0.8, [480, 100, 900, 500]),
        ];
        let views = [(LEFT, &parts[..1]), (RIGHT, &parts[1..]), (WHOLE, &[large])];
        assert_eq!(merged(&views), [large]);
        let doubtful = (0, 0.4, part.2);
        let found = merged(&[(LEFT, &[part]), (WHOLE, &[doubtful])]);
        assert_eq!(found, [part, doubtful]);
    }

    #[test]
    fn a_cut_box_that_nothing_covers_remains() {
        let part = (0, 0.9, [540, 100, 600, 200]);
        let elsewhere = (0, 0.8, [700, 100, 900, 300]);
        let found = merged(&[(LEFT, &[part]), (RIGHT, &[elsewhere])]);
        assert_eq!(found, [part, elsewhere]);
    }

    #[test]
    fn a_box_that_spans_its_crop_is_left_out() {
        let spanning = (0, 0.9, [0, 100, 600, 300]);
        let whole = (0, 0.5, [0, 100, 700, 300]);
        assert_eq!(merged(&[(LEFT, &[spanning])]), []);
        assert_eq!(merged(&[(LEFT, &[spanning]), (WHOLE, &[whole])]), [whole]);
    }

    #[test]
    fn a_part_inside_a_view_is_no_object_of_its_own() {
        let object = (0, 0.8, [100, 100, 300, 400]);
        let part = (0, 0.6, [120, 110, 220, 200]);
        assert_eq!(merged(&[(WHOLE, &[object]), (LEFT, &[part])]), [object]);
        // The network's own NMS has kept both.
        assert_eq!(merged(&[(LEFT, &[object, part])]), [object, part]);
        let beside = (0, 0.6, [280, 110, 420, 300]);
        assert_eq!(
            merged(&[(WHOLE, &[object]), (LEFT, &[beside])]),
            [object, beside]
        );
    }

    #[test]
    fn an_edge_of_the_frame_cuts_nothing() {
        let at_edge = (0, 0.9, [0, 100, 60, 200]);
        let inside = (0, 0.5, [0, 100, 100, 200]);
        assert_eq!(merged(&[(LEFT, &[at_edge]), (WHOLE, &[inside])]), [at_edge]);
    }

    #[test]
    fn low_scores_are_left_out_and_there_are_at_most_the_objects_of_a_prediction() {
        let low = (0, 0.09, [100, 100, 200, 200]);
        assert_eq!(merged(&[(LEFT, &[low])]), []);
        let column = |index: i32| {
            let (x, y) = (index % 20 * 25, index / 20 * 50);
            (
                0,
                0.5 + index as f32 / 1000.0,
                [x + 20, y + 20, x + 40, y + 60],
            )
        };
        let many: Vec<Seen> = (0..200).map(column).collect();
        let found = merged(&[(LEFT, &many)]);
        assert_eq!(found.len(), MAX_OBJECTS);
        assert_eq!(found[0], many[199]);
    }

    #[test]
    fn the_order_of_views_does_not_matter_without_equal_scores() {
        let random = &mut fastrand::Rng::with_seed(6);
        for _ in 0..200 {
            let mut seen = |[left, top, right, bottom]: [i32; 4]| {
                let one = |_| {
                    let (x, y) = (random.i32(left..right - 60), random.i32(top..bottom - 60));
                    let corners = [x, y, x + random.i32(20..60), y + random.i32(20..60)];
                    (random.usize(0..2), 0.1 + 0.9 * random.f32(), corners)
                };
                (0..20).map(one).collect::<Vec<Seen>>()
            };
            let (left, right) = (seen(LEFT), seen(RIGHT));
            let found = merged(&[(LEFT, &left), (RIGHT, &right)]);
            assert_eq!(found, merged(&[(RIGHT, &right), (LEFT, &left)]));
            assert!(found.is_sorted_by(|a, b| a.1 >= b.1));
            assert!(boxed(found[0].2).area() > 0.0);
        }
    }
}
