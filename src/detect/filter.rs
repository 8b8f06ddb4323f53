//! Leaves out detections by class and size, before anything else sees them.

use super::{Detection, Prediction};
use crate::class_selection::{ClassSelection, UnknownClass};
use crate::geometry::NormBox;
use crate::label::aliases::Aliases;
use crate::label::{ClassId, Labels};

/// What counts as a detection; by default, everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectionFilter {
    pub classes: ClassSelection,
    /// The least area of a box, as a share of the picture, `0..=1`.
    pub min_area: f32,
}

/// A filter for the classes of one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelFilter {
    /// Whether each class counts; `None` if all do.
    classes: Option<Vec<bool>>,
    min_area: f32,
}

impl DetectionFilter {
    /// The filter with aliases replaced by the classes that they stand for.
    #[must_use]
    pub fn without_aliases(self, labels: &Labels, aliases: &Aliases) -> Self {
        Self {
            classes: self.classes.without_aliases(labels, aliases),
            ..self
        }
    }

    /// Checks that a model has all selected classes.
    ///
    /// # Errors
    /// [`UnknownClass`] of the first that it does not have.
    pub fn check(&self, labels: &Labels) -> Result<(), UnknownClass> {
        self.classes.check(labels)
    }

    /// The filter for a model with these labels. Selected classes that it does not have are never detected.
    #[must_use]
    pub fn of_model(&self, labels: &Labels) -> ModelFilter {
        ModelFilter {
            classes: self.classes.mask(labels),
            min_area: self.min_area,
        }
    }
}

impl ModelFilter {
    /// Whether no detection is left out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.classes.is_none() && self.min_area <= 0.0
    }

    /// Leaves out of a prediction what does not count. The scores of such classes become 0, which is no detection at any
    /// threshold above 0, so that another class of the image may be the top; all become 0 if the image's box is too
    /// small.
    pub fn apply(&self, prediction: &mut Prediction) {
        if self.is_open() {
            return;
        }
        if let Some(objects) = &mut prediction.objects {
            objects.retain(|object| self.passes(object));
        }
        if !prediction.has_image_heads {
            prediction.take_primary_from_objects();
            return;
        }
        let is_large = self.is_large(&prediction.primary.bounding_box);
        for (index, score) in prediction.primary.scores.iter_mut().enumerate() {
            if !is_large || !self.selects(ClassId::new(index)) {
                *score = 0.0;
            }
        }
    }

    fn passes(&self, detection: &Detection) -> bool {
        self.selects(detection.class) && self.is_large(&detection.bounding_box)
    }

    fn selects(&self, class: ClassId) -> bool {
        let classes = self.classes.as_ref();
        classes.is_none_or(|classes| classes.get(class.index()).copied().unwrap_or(false))
    }

    fn is_large(&self, bounding_box: &NormBox) -> bool {
        bounding_box.area() >= self.min_area
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings};
    use crate::detect::{CellOutputs, Nms, Thresholds};

    const THRESHOLDS: Thresholds = Thresholds {
        primary: 0.3,
        objects: 0.3,
        nms_iou: 0.5,
    };

    /// A large apple, a small apple and a large cup.
    const CELLS: CellOutputs<'_> = CellOutputs {
        scores: &[0.9, 0.1, 0.8, 0.0, 0.2, 0.7],
        boxes: &[0.0, 0.5, 0.0, 0.5, 0.8, 0.9, 0.8, 0.9, 0.5, 1.0, 0.0, 0.5],
    };

    fn nms() -> Nms {
        let settings = ObjectSettings {
            threshold: 0.3,
            nms_iou: 0.5,
            most: 10,
            decode: ObjectDecode::InGraph,
        };
        Nms::new(settings, 3, 2)
    }

    fn filter(classes: &str, min_area: f32) -> ModelFilter {
        let labels = Labels::new(vec!["apple".to_owned(), "cup".to_owned()]).expect("valid");
        let classes = match classes {
            "" => ClassSelection::default(),
            names => names.parse().expect("valid"),
        };
        DetectionFilter { classes, min_area }.of_model(&labels)
    }

    /// Class and score of the primary detection and of the others.
    fn filtered(mut prediction: Prediction, filter: &ModelFilter) -> Vec<(usize, f32)> {
        filter.apply(&mut prediction);
        let found = prediction.detections(&THRESHOLDS);
        let fields = |found: &Detection| (found.class.index(), found.confidence);
        found.iter().map(fields).collect()
    }

    #[test]
    fn objects_are_left_out_by_class_and_area() {
        let of = |classes, min_area| {
            let prediction = Prediction::of_objects(CELLS, &mut nms()).expect("valid");
            filtered(prediction, &filter(classes, min_area))
        };
        assert_eq!(of("", 0.0), [(0, 0.9), (0, 0.8), (1, 0.7)]);
        assert_eq!(of("apple", 0.0), [(0, 0.9), (0, 0.8)]);
        assert_eq!(of("cup", 0.0), [(1, 0.7)]);
        assert_eq!(of("", 0.2), [(0, 0.9), (1, 0.7)]);
        assert_eq!(of("", 0.3), []);
        assert_eq!(of("pear", 0.0), []);
    }

    #[test]
    fn the_class_of_the_image_is_the_best_that_is_selected() {
        let of = |classes, min_area| {
            let image = Prediction::new(vec![0.6, 0.35], [0.0, 0.5, 0.0, 0.5]).expect("valid");
            filtered(image, &filter(classes, min_area))
        };
        assert_eq!(of("", 0.0), [(0, 0.6)]);
        assert_eq!(of("cup", 0.0), [(1, 0.35)]);
        assert_eq!(of("pear", 0.0), []);
        assert_eq!(of("", 0.25), [(0, 0.6)]);
        assert_eq!(of("", 0.26), []);
    }

    #[test]
    fn what_is_left_of_both_heads_is_one_list() {
        let of = |classes| {
            let image = Prediction::new(vec![0.95, 0.35], [0.0, 0.5, 0.0, 0.5]).expect("valid");
            let both = image.with_objects(CELLS, &mut nms()).expect("valid");
            filtered(both, &filter(classes, 0.0))
        };
        // The first object is the primary detection.
        assert_eq!(of(""), [(0, 0.95), (0, 0.8), (1, 0.7)]);
        assert_eq!(of("cup"), [(1, 0.35), (1, 0.7)]);
    }

    #[test]
    fn a_class_that_is_left_out_is_not_detected_at_the_lowest_threshold() {
        let mut image = Prediction::new(vec![0.6, 0.3], [0.0, 0.5, 0.0, 0.5]).expect("valid");
        filter("pear", 0.0).apply(&mut image);
        assert_eq!(image.detection(f32::MIN_POSITIVE), None);
    }
}
