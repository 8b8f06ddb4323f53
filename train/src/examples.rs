//! What is learnt: pictures with their views, and examples with what is true of them.
//!
//! In goes a [`Dataset`] and a [`Recipe`], out come [`Examples`]: every picture once (files, made-up scenes,
//! backgrounds drawn and cut out) and every example that is drawn from them. Pictures are opened one view at a time, by
//! [`Picture::render`]; nothing is kept of them here.

use boxcam::dataset::{AnnotatedPicture, Dataset};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use boxcam::picture::PictureError;
use boxcam::scene;
use fastrand::Rng;
use image::RgbImage;

use crate::background::{Area, empty_part, may_lack_a_box};
use crate::recipe::{Recipe, SamplePer};
use crate::view::View;

/// Pixels of a made-up scene; the network sees fewer.
const SCENE_SIZE: (u32, u32) = (320, 240);

/// Pictures and the examples drawn from them.
#[derive(Debug, Clone)]
pub struct Examples {
    /// Every picture once.
    pub pictures: Vec<Picture>,
    /// What is learnt of them.
    pub examples: Vec<Example>,
}

/// A picture and the views of it.
#[derive(Debug, Clone)]
pub struct Picture {
    source: Source,
    /// The first shows the picture as it is.
    pub views: Vec<View>,
}

#[derive(Debug, Clone)]
enum Source {
    File(AnnotatedPicture),
    Scene { seed: u64 },
    Background { seed: u64 },
    EmptyPart { of: AnnotatedPicture, area: Area },
}

/// One thing to learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Index of the picture.
    pub picture: usize,
    /// The class, or none where there is nothing to find.
    pub class: Option<ClassId>,
    /// The box, where it is known.
    pub bounding_box: Option<NormBox>,
}

impl Examples {
    /// What a recipe learns from a split. Rows and folders whose name is no label are left out.
    #[must_use]
    pub fn new(split: &Dataset, labels: &Labels, recipe: &Recipe, seed: u64) -> Self {
        let mut all = Self {
            pictures: Vec::new(),
            examples: Vec::new(),
        };
        let random = &mut Rng::with_seed(seed);
        for picture in &split.pictures {
            all.add_file(picture, labels, recipe, random);
        }
        for _ in 0..recipe.synthetic_images {
            all.add_scene(random.u64(..), labels, recipe, random);
        }
        for _ in 0..recipe.synthetic_negatives {
            let source = Source::Background {
                seed: random.u64(..),
            };
            all.add(source, None, None, recipe, random);
        }
        all.add_empty_parts(split, recipe, random);
        all
    }

    fn add_file(
        &mut self,
        picture: &AnnotatedPicture,
        labels: &Labels,
        recipe: &Recipe,
        random: &mut Rng,
    ) {
        let largest = picture.largest_box().map(|row| row.bounding_box);
        let views = View::several(recipe, largest.as_ref(), random);
        let index = self.pictures.len();
        let example = |class: &str, bounding_box| {
            let class = Some(labels.find(class)?);
            Some(Example {
                picture: index,
                class,
                bounding_box,
            })
        };
        let mut examples: Vec<Example> = match recipe.sample_per {
            SamplePer::Image => Vec::from_iter(example(&picture.folder, largest)),
            SamplePer::Box => {
                let rows = picture.annotations.iter();
                rows.filter_map(|row| example(&row.class_name, Some(row.bounding_box)))
                    .collect()
            }
        };
        if !examples.is_empty() {
            let source = Source::File(picture.clone());
            self.pictures.push(Picture { source, views });
            self.examples.append(&mut examples);
        }
    }

    /// The largest part without a box of pictures drawn by chance. A faulty row may be that of any picture, and a
    /// picture that can't be read is named when it is learnt from: both are passed over.
    fn add_empty_parts(&mut self, split: &Dataset, recipe: &Recipe, random: &mut Rng) {
        if recipe.negative_crops == 0 || may_lack_a_box(split) {
            return;
        }
        let boxed = |picture: &&AnnotatedPicture| !picture.annotations.is_empty();
        let mut pictures: Vec<&AnnotatedPicture> = split.pictures.iter().filter(boxed).collect();
        random.shuffle(&mut pictures);
        let parts = pictures.into_iter().filter_map(|of| {
            let area = empty_part(of, &of.frame().ok()?.image)?;
            let of = of.clone();
            Some(Source::EmptyPart { of, area })
        });
        for source in parts.take(empty_parts(split.pictures.len(), recipe)) {
            self.add(source, None, None, recipe, random);
        }
    }

    fn add_scene(&mut self, seed: u64, labels: &Labels, recipe: &Recipe, random: &mut Rng) {
        let truth = scene::random_scene(seed, SCENE_SIZE.0, SCENE_SIZE.1).truth;
        let found = truth.first().and_then(|truth| {
            let class = labels.find(&truth.label)?;
            Some((class, truth.bounding_box))
        });
        // A model of other classes has no use for a snack.
        if let Some((class, truth)) = found {
            self.add(
                Source::Scene { seed },
                Some(class),
                Some(truth),
                recipe,
                random,
            );
        }
    }

    fn add(
        &mut self,
        source: Source,
        class: Option<ClassId>,
        bounding_box: Option<NormBox>,
        recipe: &Recipe,
        random: &mut Rng,
    ) {
        let views = View::several(recipe, bounding_box.as_ref(), random);
        self.examples.push(Example {
            picture: self.pictures.len(),
            class,
            bounding_box,
        });
        self.pictures.push(Picture { source, views });
    }
}

/// How many parts without a box are learnt from at most: never more than one for four pictures.
#[must_use]
pub fn empty_parts(pictures: usize, recipe: &Recipe) -> usize {
    recipe.negative_crops.min(pictures.div_ceil(4))
}

impl Picture {
    /// Each file of a split as it is, for validation.
    #[must_use]
    pub fn plain(split: &Dataset) -> Vec<Self> {
        let plain = |picture: &AnnotatedPicture| Self {
            source: Source::File(picture.clone()),
            views: vec![View::PLAIN],
        };
        split.pictures.iter().map(plain).collect()
    }

    /// All kept views of the picture, as frames.
    ///
    /// # Errors
    /// [`PictureError`] when its file can't be read.
    pub fn render(&self) -> Result<Vec<Frame>, PictureError> {
        let image = self.image()?;
        let frame = |view: &View| Frame::new(0, Origin::Live, view.of(&image));
        Ok(self.views.iter().map(frame).collect())
    }

    /// One view of the picture, as a frame.
    ///
    /// # Errors
    /// [`PictureError`] when its file can't be read.
    pub fn show(&self, view: &View) -> Result<Frame, PictureError> {
        Ok(Frame::new(0, Origin::Live, view.of(&self.image()?)))
    }

    fn image(&self) -> Result<RgbImage, PictureError> {
        let (width, height) = SCENE_SIZE;
        Ok(match &self.source {
            Source::File(picture) => picture.frame()?.image,
            Source::EmptyPart { of, area } => area.of(&of.frame()?.image),
            Source::Scene { seed } => scene::random_scene(*seed, width, height).image,
            Source::Background { seed } => scene::background(*seed, width, height),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use boxcam::label::Labels;

    use super::*;

    /// Two pictures: an apple with two boxes, a cake without any.
    fn split() -> (tempfile::TempDir, Dataset) {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["apple/a.png", "cake/b.png"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
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
        Labels::new(vec!["apple".to_owned(), "cake".to_owned()]).expect("sound")
    }

    #[test]
    fn by_rows_each_row_is_an_example_and_a_picture_without_rows_is_none() {
        let (_folder, split) = split();
        let found = Examples::new(
            &split,
            &labels(),
            &Recipe::named("baseline").expect("built in"),
            1,
        );
        assert_eq!((found.pictures.len(), found.examples.len()), (1, 2));
        assert_eq!(found.examples[0].class, labels().find("cake"));
        assert_eq!(found.pictures[0].views, [View::PLAIN]);
    }

    #[test]
    fn a_part_without_a_box_shows_nothing_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("apple")).expect("made");
        // White where the box is, black elsewhere.
        let painted = RgbImage::from_fn(400, 200, |x, _| {
            image::Rgb([if x < 160 { 255 } else { 0 }; 3])
        });
        painted
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
            Examples::new(&split, &labels(), &recipe, 1)
        };
        let found = find("a,0,0.4,0,1,apple,apple\n");
        let [apple, nothing] = found.examples.as_slice() else {
            panic!("{found:?}");
        };
        assert!(apple.class.is_some() && nothing.class.is_none() && nothing.bounding_box.is_none());
        let part = &found.pictures[nothing.picture].render().expect("readable")[0].image;
        assert_eq!(part.dimensions(), (240, 200));
        assert!(part.pixels().all(|pixel| pixel.0 == [0; 3]));
        // A row that is no box might be one in this very picture.
        let faulty = "a,0,0.4,0,1,apple,apple\na,0.9,0.5,0,1,apple,apple\n";
        assert_eq!(find(faulty).examples.len(), 1);
    }

    #[test]
    fn by_pictures_the_largest_box_counts_and_a_picture_without_rows_has_a_class() {
        let (_folder, split) = split();
        let recipe = Recipe {
            synthetic_images: 3,
            synthetic_negatives: 2,
            ..Recipe::named("full").expect("built in")
        };
        let found = Examples::new(&split, &labels(), &recipe, 1);
        let files = &found.examples[..2];
        assert_eq!(files[0].class, labels().find("apple"));
        let largest = files[0].bounding_box.expect("known");
        assert_eq!(largest.corners(), [0.2, 0.9, 0.1, 0.8]);
        assert_eq!(files[1].bounding_box, None);
        let nothing = found.examples.iter().filter(|e| e.class.is_none());
        assert_eq!(nothing.count(), 2);
        for picture in &found.pictures {
            assert_eq!(
                picture.render().expect("readable").len(),
                recipe.cached_augmentations
            );
        }
    }
}
