//! What a picture of a batch shows: its class and its objects, after composition and augmentation.

use boxcam::geometry::NormBox;
use boxcam::label::ClassId;

use crate::augmentation::Augmentation;
use crate::samples::{Object, Sample, primary_box};

/// The class of a picture as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageClass {
    Is(ClassId),
    /// A negative: it shows no class.
    Negative,
    /// It shows several, and none is that of the whole.
    Unknown,
}

/// The objects of a picture before its augmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    pub image_class: ImageClass,
    pub objects: Vec<Object>,
    /// Classes of which the picture may show objects without a box.
    pub incomplete: Vec<ClassId>,
}

/// What a picture of a batch shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub image_class: ImageClass,
    /// The objects that are to be found; each has a class.
    pub objects: Vec<Object>,
    /// Objects that are hardly visible, or of no learned class: where they are, no cell learns that they are absent.
    pub ignored: Vec<Object>,
    /// Classes of which the picture may show objects without a box.
    pub incomplete: Vec<ClassId>,
}

impl Composition {
    /// The image of a sample.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let image_class = sample.image_class;
        let mut incomplete = Vec::new();
        if !sample.exhaustive {
            let of_objects = sample.objects.iter().filter_map(|object| object.class);
            incomplete.extend(image_class.into_iter().chain(of_objects));
            incomplete.sort();
            incomplete.dedup();
        }
        Self {
            image_class: image_class.map_or(ImageClass::Negative, ImageClass::Is),
            objects: sample.objects.clone(),
            incomplete,
        }
    }

    /// What an augmentation of the picture shows. An object is to be found if at least `min_visible` of its box is
    /// visible.
    #[must_use]
    pub fn augmented(&self, augmentation: &Augmentation, min_visible: f32) -> Truth {
        let mut truth = Truth {
            image_class: self.image_class,
            objects: Vec::new(),
            ignored: Vec::new(),
            incomplete: self.incomplete.clone(),
        };
        for object in &self.objects {
            let Some(bounding_box) = augmentation.apply_to_box(&object.bounding_box) else {
                continue;
            };
            let share = augmentation.visible_share(&object.bounding_box);
            // A flip may round the whole box to slightly less.
            let is_visible = share >= min_visible - 1e-4;
            let to = match object.class.is_some() && is_visible {
                true => &mut truth.objects,
                false => &mut truth.ignored,
            };
            to.push(Object {
                bounding_box,
                ..*object
            });
        }
        truth
    }
}

impl Truth {
    /// The box of the picture as a whole, see [`samples::primary_box`](crate::samples::primary_box); none if the picture has
    /// no class.
    #[must_use]
    pub fn primary_box(&self) -> Option<NormBox> {
        match self.image_class {
            ImageClass::Is(class) => primary_box(&self.objects, Some(class)),
            ImageClass::Negative | ImageClass::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use boxcam::label::Labels;
    use fastrand::Rng;

    use super::*;
    use crate::recipe::AugmentationSettings;

    fn labels() -> Labels {
        Labels::new(["apple", "banana", "cake"].map(str::to_owned).to_vec()).expect("valid labels")
    }

    fn object(class: &str, [x_min, x_max, y_min, y_max]: [f32; 4]) -> Object {
        Object {
            class: labels().find(class),
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("a valid box"),
        }
    }

    fn sample(exhaustive: bool) -> Sample {
        Sample {
            image: 0,
            image_class: labels().find("cake"),
            objects: vec![
                object("apple", [0.0, 0.2, 0.0, 0.2]),
                object("cake", [0.4, 0.9, 0.4, 0.9]),
                object("pear", [0.6, 0.7, 0.1, 0.2]),
            ],
            exhaustive,
        }
    }

    #[test]
    fn without_augmentation_everything_is_visible() {
        let truth = Composition::of(&sample(false)).augmented(&Augmentation::NONE, 0.6);
        assert_eq!(truth.objects, sample(false).objects[..2]);
        assert_eq!(truth.ignored, sample(false).objects[2..]);
        let classes = ["apple", "cake"].map(|class| labels().find(class).expect("known"));
        assert_eq!(truth.incomplete, classes);
        let own = sample(false).objects[1].bounding_box;
        assert_eq!(truth.primary_box(), Some(own));
        let mut larger = truth.clone();
        larger.objects[0].bounding_box = NormBox::WHOLE;
        assert_eq!(larger.primary_box(), Some(own), "of the picture's class");
        assert!(Composition::of(&sample(true)).incomplete.is_empty());
    }

    #[test]
    fn a_negative_has_no_box_and_a_picture_of_several_has_no_primary_one() {
        let negative = Sample {
            image_class: None,
            objects: Vec::new(),
            ..sample(true)
        };
        let composition = Composition::of(&negative);
        assert_eq!(composition.image_class, ImageClass::Negative);
        let several = Composition {
            image_class: ImageClass::Unknown,
            ..Composition::of(&sample(true))
        };
        let truth = several.augmented(&Augmentation::NONE, 0.6);
        assert_eq!((truth.objects.len(), truth.primary_box()), (2, None));
    }

    /// Every object is found, ignored or outside, by the share of it that the crop shows.
    #[test]
    fn an_object_is_to_be_found_from_the_least_visible_share_on() {
        let settings = AugmentationSettings {
            crop_area: [0.2, 0.6],
            crop_max_aspect: 1.5,
            ..AugmentationSettings::NONE
        };
        let random = &mut Rng::with_seed(2);
        let (mut found, mut ignored) = (0, 0);
        for _ in 0..300 {
            let augmentation = Augmentation::random(&settings, &[], random);
            let truth = Composition::of(&sample(true)).augmented(&augmentation, 0.6);
            for object in &sample(true).objects[..2] {
                let share = augmentation.visible_share(&object.bounding_box);
                let seen = augmentation.apply_to_box(&object.bounding_box);
                let is_in = |objects: &[Object]| {
                    let mut same = objects.iter().filter(|other| other.class == object.class);
                    same.any(|other| Some(other.bounding_box) == seen)
                };
                let expected = (share >= 0.6, share > 0.0 && share < 0.6);
                assert_eq!((is_in(&truth.objects), is_in(&truth.ignored)), expected);
                found += usize::from(expected.0);
                ignored += usize::from(expected.1);
            }
        }
        assert!(found > 50 && ignored > 50, "{found} {ignored}");
    }
}
