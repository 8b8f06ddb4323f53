//! Training samples: images with their augmentations, and the samples drawn from them.
//!
//! Images are opened one at a time, when they are needed; none is kept in memory.

use boxcam::dataset::{AnnotatedPicture, Dataset};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use boxcam::picture::PictureError;
use boxcam::scene;
use fastrand::Rng;
use image::RgbImage;
use image::imageops::crop_imm;
use image::math::Rect;

use crate::augmentation::Augmentation;
use crate::negative_crops::{may_lack_a_box, negative_crop};
use crate::recipe::{Recipe, SamplePer};

/// Width and height of a synthetic image in pixels; the network's input is smaller.
const SYNTHETIC_SIZE: (u32, u32) = (320, 240);

/// The images and samples of a training.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// Every image once.
    pub images: Vec<TrainingImage>,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub struct TrainingImage {
    source: Source,
    /// The cached augmentations, the image itself first.
    pub augmentations: Vec<Augmentation>,
}

#[derive(Debug, Clone)]
enum Source {
    File(AnnotatedPicture),
    SyntheticImage { seed: u64 },
    SyntheticNegative { seed: u64 },
    NegativeCrop { of: AnnotatedPicture, crop: Rect },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Index of the image.
    pub image: usize,
    /// Class of the image as a whole; `None`: a negative.
    pub image_class: Option<ClassId>,
    /// All boxes of the image; of a sample per box, its own.
    pub objects: Vec<Object>,
    /// Whether every object of the image has a box.
    pub exhaustive: bool,
}

/// An annotated object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// `None`: none of the classes that are learned.
    pub class: Option<ClassId>,
    pub bounding_box: NormBox,
}

impl Sample {
    /// The box that a head of one box learns, see [`primary_box`]; `None` for a negative, or if no box is annotated.
    #[must_use]
    pub fn primary_box(&self) -> Option<NormBox> {
        primary_box(&self.objects, self.image_class)
    }

    /// The boxes of which an augmentation must show one, see [`wanted_boxes`].
    #[must_use]
    pub fn wanted_boxes(&self, recipe: &Recipe) -> Vec<NormBox> {
        let boxes: Vec<NormBox> = match recipe.objects {
            Some(_) => self.objects.iter().map(|o| o.bounding_box).collect(),
            None => Vec::from_iter(self.primary_box()),
        };
        wanted_boxes(boxes, self.image_class.is_some())
    }
}

/// The box of an image of that class: the largest box of the class, or if it has none, the largest of all; the first of equals.
#[must_use]
pub fn primary_box(objects: &[Object], class: Option<ClassId>) -> Option<NormBox> {
    let largest = |is_wanted: &dyn Fn(&Object) -> bool| {
        let objects = objects.iter().filter(|object| is_wanted(object));
        let boxes = objects.map(|object| object.bounding_box);
        boxes.reduce(|best, next| {
            if next.area() > best.area() {
                next
            } else {
                best
            }
        })
    };
    let of_class = |object: &Object| class.is_some() && object.class == class;
    largest(&of_class).or_else(|| largest(&|_| true))
}

/// The boxes of which an augmentation must show one. An image that has a class but no box shows the object at an unknown
/// place, so that the whole image takes the place of the box: its crops are as large as `min_visible` asks for.
#[must_use]
pub fn wanted_boxes(boxes: Vec<NormBox>, has_class: bool) -> Vec<NormBox> {
    match boxes.is_empty() && has_class {
        true => vec![NormBox::WHOLE],
        false => boxes,
    }
}

impl TrainingSet {
    /// The samples that a recipe takes from a split. Rows and folders whose name is no label are left out.
    #[must_use]
    pub fn new(split: &Dataset, labels: &Labels, recipe: &Recipe, seed: u64) -> Self {
        let mut set = Self {
            images: Vec::new(),
            samples: Vec::new(),
        };
        let random = &mut Rng::with_seed(seed);
        for picture in &split.pictures {
            set.add_file(picture, labels, recipe, random);
        }
        for _ in 0..recipe.synthetic_images {
            set.add_synthetic_image(random.u64(..), labels, recipe, random);
        }
        for _ in 0..recipe.synthetic_negatives {
            let source = Source::SyntheticNegative {
                seed: random.u64(..),
            };
            set.add(source, None, recipe, random);
        }
        set.add_negative_crops(split, recipe, random);
        set
    }

    fn add_file(
        &mut self,
        picture: &AnnotatedPicture,
        labels: &Labels,
        recipe: &Recipe,
        random: &mut Rng,
    ) {
        let image = self.images.len();
        let of_recipe = recipe.objects.is_none_or(|objects| objects.exhaustive);
        let exhaustive = picture.exhaustive.unwrap_or(of_recipe);
        let objects: Vec<Object> = picture
            .annotations
            .iter()
            .map(|row| Object {
                class: labels.find(&row.class_name),
                bounding_box: row.bounding_box,
            })
            .collect();
        let of_image = Sample {
            image,
            image_class: labels.find(&picture.folder),
            objects,
            exhaustive,
        };
        let wanted = of_image.wanted_boxes(recipe);
        let augmentations = Augmentation::cached(recipe, &wanted, random);
        let mut samples: Vec<Sample> = match recipe.sample_per {
            SamplePer::Image => vec![of_image],
            SamplePer::Box => {
                let objects = of_image.objects.iter();
                let sample = |object: &Object| Sample {
                    image,
                    image_class: object.class,
                    objects: vec![*object],
                    exhaustive,
                };
                objects.map(sample).collect()
            }
        };
        samples.retain(|sample| sample.image_class.is_some());
        if !samples.is_empty() {
            let source = Source::File(picture.clone());
            self.images.push(TrainingImage {
                source,
                augmentations,
            });
            self.samples.append(&mut samples);
        }
    }

    /// Negative crops of randomly chosen images. None if a row is faulty, which may be a box of any image; unreadable
    /// images are left out here and reported when they are trained on.
    fn add_negative_crops(&mut self, split: &Dataset, recipe: &Recipe, random: &mut Rng) {
        if recipe.negative_crops == 0 || may_lack_a_box(split) {
            return;
        }
        let has_box = |picture: &&AnnotatedPicture| !picture.annotations.is_empty();
        let mut pictures: Vec<&AnnotatedPicture> = split.pictures.iter().filter(has_box).collect();
        random.shuffle(&mut pictures);
        let crops = pictures.into_iter().filter_map(|of| {
            let crop = negative_crop(of, &of.frame().ok()?.image)?;
            let of = of.clone();
            Some(Source::NegativeCrop { of, crop })
        });
        for source in crops.take(max_negative_crops(split.pictures.len(), recipe)) {
            self.add(source, None, recipe, random);
        }
    }

    fn add_synthetic_image(
        &mut self,
        seed: u64,
        labels: &Labels,
        recipe: &Recipe,
        random: &mut Rng,
    ) {
        let (width, height) = SYNTHETIC_SIZE;
        let truth = scene::random_scene(seed, width, height).truth;
        let truth = truth.first().and_then(|truth| {
            Some(Object {
                class: Some(labels.find(&truth.label)?),
                bounding_box: truth.bounding_box,
            })
        });
        // Only images of the data's classes are of use.
        if truth.is_some() {
            self.add(Source::SyntheticImage { seed }, truth, recipe, random);
        }
    }

    /// Adds an image with one object, or a negative.
    fn add(&mut self, source: Source, object: Option<Object>, recipe: &Recipe, random: &mut Rng) {
        let sample = Sample {
            image: self.images.len(),
            image_class: object.and_then(|object| object.class),
            objects: Vec::from_iter(object),
            exhaustive: true,
        };
        let augmentations = Augmentation::cached(recipe, &sample.wanted_boxes(recipe), random);
        self.samples.push(sample);
        self.images.push(TrainingImage {
            source,
            augmentations,
        });
    }
}

/// Most negative crops that a recipe takes from so many images: one for every four.
#[must_use]
pub fn max_negative_crops(images: usize, recipe: &Recipe) -> usize {
    recipe.negative_crops.min(images.div_ceil(4))
}

impl TrainingImage {
    /// The images of a split without augmentation, for validation.
    #[must_use]
    pub fn unaugmented(split: &Dataset) -> Vec<Self> {
        let unaugmented = |picture: &AnnotatedPicture| Self {
            source: Source::File(picture.clone()),
            augmentations: vec![Augmentation::NONE],
        };
        split.pictures.iter().map(unaugmented).collect()
    }

    /// All cached augmentations, as frames.
    ///
    /// # Errors
    /// [`PictureError`] if the image cannot be read.
    pub fn cached(&self) -> Result<Vec<Frame>, PictureError> {
        let image = self.image()?;
        let frame = |a: &Augmentation| Frame::new(0, Origin::Live, a.apply(&image));
        Ok(self.augmentations.iter().map(frame).collect())
    }

    /// One augmentation, as a frame.
    ///
    /// # Errors
    /// [`PictureError`] if the image cannot be read.
    pub fn augmented(&self, augmentation: &Augmentation) -> Result<Frame, PictureError> {
        let image = augmentation.apply(&self.image()?);
        Ok(Frame::new(0, Origin::Live, image))
    }

    /// The image without augmentation.
    ///
    /// # Errors
    /// [`PictureError`] if it cannot be read.
    pub fn image(&self) -> Result<RgbImage, PictureError> {
        let (width, height) = SYNTHETIC_SIZE;
        Ok(match &self.source {
            Source::File(picture) => picture.frame()?.image.into_rgb(),
            Source::NegativeCrop { of, crop } => {
                let image = of.frame()?.image.into_rgb();
                crop_imm(&image, crop.x, crop.y, crop.width, crop.height).to_image()
            }
            Source::SyntheticImage { seed } => scene::random_scene(*seed, width, height).image,
            Source::SyntheticNegative { seed } => scene::background(*seed, width, height),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use boxcam::label::Labels;

    use super::*;

    /// Two images: an apple with two boxes, a cake without any.
    fn split() -> (tempfile::TempDir, Dataset) {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["apple/a.png", "cake/b.png"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent folder")).expect("created");
            RgbImage::new(40, 30).save(path).expect("written");
        }
        let csv = folder.path().join("boxes.csv");
        let rows = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n\
                    a,0.1,0.3,0.1,0.3,cake,apple\n\
                    a,0.2,0.9,0.1,0.8,apple,apple\n";
        fs::write(&csv, rows).expect("written");
        let split = Dataset::read(folder.path(), &csv).expect("readable");
        (folder, split)
    }

    fn labels() -> Labels {
        Labels::new(vec!["apple".to_owned(), "cake".to_owned()]).expect("valid labels")
    }

    #[test]
    fn per_box_each_row_is_a_sample_and_an_image_without_rows_has_none() {
        let (_folder, split) = split();
        let found = TrainingSet::new(
            &split,
            &labels(),
            &Recipe::named("baseline").expect("built in"),
            1,
        );
        assert_eq!((found.images.len(), found.samples.len()), (1, 2));
        assert_eq!(found.samples[0].image_class, labels().find("cake"));
        assert_eq!(found.images[0].augmentations, [Augmentation::NONE]);
    }

    #[test]
    fn a_negative_crop_shows_nothing_of_the_box() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("apple")).expect("created");
        // White where the box is, black elsewhere.
        let drawn = RgbImage::from_fn(400, 200, |x, _| {
            image::Rgb([if x < 160 { 255 } else { 0 }; 3])
        });
        drawn
            .save(folder.path().join("apple/a.png"))
            .expect("written");
        let csv = folder.path().join("boxes.csv");
        let columns = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";
        let find = |rows: &str| {
            fs::write(&csv, format!("{columns}{rows}")).expect("written");
            let split = Dataset::read(folder.path(), &csv).expect("readable");
            let recipe = Recipe {
                synthetic_images: 0,
                synthetic_negatives: 0,
                negative_crops: 5,
                ..Recipe::named("full").expect("built in")
            };
            TrainingSet::new(&split, &labels(), &recipe, 1)
        };
        let found = find("a,0,0.4,0,1,apple,apple\n");
        let [apple, negative] = found.samples.as_slice() else {
            panic!("{found:?}");
        };
        assert!(
            apple.image_class.is_some()
                && negative.image_class.is_none()
                && negative.objects.is_empty()
        );
        let part = &found.images[negative.image].cached().expect("readable")[0].image;
        assert_eq!(part.dimensions(), (240, 200));
        assert!(part.pixels().all(|pixel| pixel.0 == [0; 3]));
        // A faulty row may be a box of this image.
        let faulty = "a,0,0.4,0,1,apple,apple\na,0.9,0.5,0,1,apple,apple\n";
        assert_eq!(find(faulty).samples.len(), 1);
    }

    #[test]
    fn a_head_for_objects_gets_all_boxes_and_the_recipe_says_whether_they_are_all() {
        let (_folder, split) = split();
        let mut recipe = Recipe::named("objects").expect("built in");
        let found = TrainingSet::new(&split, &labels(), &recipe, 1);
        let [apple, cake] = found.samples.as_slice() else {
            panic!("{found:?}");
        };
        let classes: Vec<_> = apple.objects.iter().map(|object| object.class).collect();
        assert_eq!(classes, [labels().find("cake"), labels().find("apple")]);
        assert_eq!(apple.wanted_boxes(&recipe).len(), 2);
        assert!(cake.objects.is_empty() && !apple.exhaustive && !cake.exhaustive);
        if let Some(objects) = &mut recipe.objects {
            objects.exhaustive = true;
        }
        // A class that is not learned is no class, but its box is there.
        let apples = Labels::new(vec!["apple".to_owned()]).expect("valid labels");
        let found = TrainingSet::new(&split, &apples, &recipe, 1);
        let [apple] = found.samples.as_slice() else {
            panic!("{found:?}");
        };
        assert!(apple.exhaustive && apple.objects[0].class.is_none());
        // What the image itself says comes before the recipe.
        let mut split = split;
        split.pictures[0].exhaustive = Some(false);
        let found = TrainingSet::new(&split, &labels(), &recipe, 1);
        let exhaustive: Vec<bool> = found.samples.iter().map(|s| s.exhaustive).collect();
        assert_eq!(exhaustive, [false, true]);
    }

    #[test]
    fn the_box_of_an_image_is_the_largest_of_its_class_even_if_another_class_has_a_larger_one() {
        let object = |class: &str, side: f32| Object {
            class: labels().find(class),
            bounding_box: NormBox::new(0.0, side, 0.0, side).expect("a valid box"),
        };
        let objects = [
            object("cake", 0.9),
            object("apple", 0.2),
            object("apple", 0.4),
            object("pear", 0.95),
        ];
        let side = |objects: &[Object], class: &str| {
            primary_box(objects, labels().find(class)).map(|found| found.corners()[1])
        };
        assert_eq!(side(&objects, "apple"), Some(0.4));
        assert_eq!(side(&objects, "cake"), Some(0.9));
        // Without a box of the class, the largest of all.
        assert_eq!(side(&objects[1..], "cake"), Some(0.95));
        assert_eq!(side(&[], "cake"), None);
    }

    #[test]
    fn per_image_the_largest_box_is_taken_and_an_image_without_rows_has_a_class() {
        let (_folder, split) = split();
        let recipe = Recipe {
            synthetic_images: 3,
            synthetic_negatives: 2,
            ..Recipe::named("full").expect("built in")
        };
        let found = TrainingSet::new(&split, &labels(), &recipe, 1);
        let files = &found.samples[..2];
        assert_eq!(files[0].image_class, labels().find("apple"));
        let primary = files[0].primary_box().expect("known");
        assert_eq!(primary.corners(), [0.2, 0.9, 0.1, 0.8]);
        assert_eq!(files[1].primary_box(), None);
        assert_eq!(files[0].wanted_boxes(&recipe), [primary]);
        assert_eq!(files[1].wanted_boxes(&recipe), [NormBox::WHOLE]);
        let negative = found.samples.last().expect("negatives");
        assert!(negative.wanted_boxes(&recipe).is_empty());
        let negatives = found.samples.iter().filter(|e| e.image_class.is_none());
        assert_eq!(negatives.count(), 2);
        for image in &found.images {
            assert_eq!(
                image.cached().expect("readable").len(),
                recipe.cached_augmentations
            );
        }
    }
}
