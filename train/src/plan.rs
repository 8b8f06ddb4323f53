//! The plan of an epoch: which samples its batches have, and how each is augmented or composed with others.
//!
//! Everything random about an epoch's pictures is drawn here, from the seed and the epoch's number.

use fastrand::Rng;

use crate::augmentation::Augmentation;
use crate::data_loader::{Augmented, SampleRequest};
use crate::features::Features;
use crate::mosaic::Mosaic;
use crate::recipe::{ObjectTraining, Recipe};
use crate::samples::{TrainingSet, wanted_boxes};
use crate::scenes::SceneSource;
use crate::truth::{Composition, ImageClass, Truth};

/// What an epoch is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct EpochPlan<'a> {
    pub recipe: &'a Recipe,
    pub set: &'a TrainingSet,
    /// Cached features, if part of the backbone is frozen.
    pub features: Option<&'a Features>,
    pub scenes: Option<&'a SceneSource>,
    pub seed: u64,
    /// From 1.
    pub epoch: usize,
}

impl EpochPlan<'_> {
    /// The samples of each batch; an incomplete last batch is dropped.
    pub(crate) fn batches(&self) -> Vec<Vec<SampleRequest>> {
        let requests = self.requests();
        let batches = requests.chunks_exact(self.recipe.batch_size);
        batches.map(<[_]>::to_vec).collect()
    }

    /// All pictures of the epoch in their order.
    #[must_use]
    pub fn requests(&self) -> Vec<SampleRequest> {
        let random = &mut Rng::with_seed(self.seed ^ (self.epoch as u64) << 32);
        match self.recipe.objects {
            Some(objects) => self.of_objects(&objects, random),
            None => self.of_one_box(random),
        }
    }

    /// All readable samples in a random order.
    fn order(&self, random: &mut Rng) -> Vec<usize> {
        let samples = &self.set.samples;
        let readable = |image: usize| self.features.is_none_or(|features| features.has(image));
        let mut order: Vec<usize> = (0..samples.len())
            .filter(|&index| readable(samples[index].image))
            .collect();
        random.shuffle(&mut order);
        order
    }

    fn is_light(&self) -> bool {
        self.epoch + self.recipe.no_aug_epochs > self.recipe.epochs
    }

    /// Another of the cached augmentations in each epoch, all in turn.
    fn cached(&self, image: usize) -> usize {
        (self.epoch + image) % self.set.images[image].augmentations.len()
    }

    fn of_one_box(&self, random: &mut Rng) -> Vec<SampleRequest> {
        let TrainingSet { samples, .. } = self.set;
        let is_light = self.is_light();
        let order = self.order(random);
        let mut request = |sample: usize| {
            let image = samples[sample].image;
            if self.recipe.caches_features() {
                let index = self.cached(image);
                return SampleRequest::new(sample, image, Augmented::Cached(index));
            }
            if is_light {
                let augmentation = Augmentation::light(random);
                return SampleRequest::new(sample, image, Augmented::New(augmentation));
            }
            let wanted = samples[sample].wanted_boxes(self.recipe);
            let augmentation = Augmentation::random(&self.recipe.augmentation, &wanted, random);
            let mixup_ratio = match random.f32() < self.recipe.mixup_prob {
                // Mostly small ratios.
                true => 0.5 * random.f32().powi(2),
                false => 0.0,
            };
            SampleRequest {
                mixup_ratio,
                ..SampleRequest::new(sample, image, Augmented::New(augmentation))
            }
        };
        order.into_iter().map(&mut request).collect()
    }

    fn of_objects(&self, objects: &ObjectTraining, random: &mut Rng) -> Vec<SampleRequest> {
        let order = self.order(random);
        let samples = order.len();
        let mut pictures: Vec<Picture> = order.into_iter().map(Picture::Sample).collect();
        if let Some(scenes) = self.scenes {
            let count = scenes_beside(samples, objects);
            pictures.extend(std::iter::repeat_n(Picture::Scene(scenes), count));
            random.shuffle(&mut pictures);
        }
        let request = |picture| match picture {
            Picture::Sample(sample) => self.of_sample(sample, objects, random),
            Picture::Scene(scenes) => self.of_scene(scenes, objects, random),
        };
        pictures.into_iter().map(request).collect()
    }

    fn of_sample(
        &self,
        sample: usize,
        objects: &ObjectTraining,
        random: &mut Rng,
    ) -> SampleRequest {
        let TrainingSet { images, samples } = self.set;
        let image = samples[sample].image;
        if self.recipe.caches_features() {
            let index = self.cached(image);
            let augmentation = &images[image].augmentations[index];
            let truth = self.truth(&Composition::of(&samples[sample]), augmentation);
            return SampleRequest {
                truth: Some(truth),
                ..SampleRequest::new(sample, image, Augmented::Cached(index))
            };
        }
        let has_mosaics = self.recipe.has_mosaics(self.epoch) && !self.is_light();
        let is_mosaic = has_mosaics && random.f32() < objects.mosaic_prob;
        let mosaic = is_mosaic.then(|| Mosaic::random(sample, samples.len(), random));
        let composition = match &mosaic {
            Some(mosaic) => mosaic.composition(samples),
            None => Composition::of(&samples[sample]),
        };
        let augmentation = self.augmentation(&composition, random);
        let truth = self.truth(&composition, &augmentation);
        let augmented = match mosaic {
            Some(mosaic) => {
                let images = mosaic.samples.map(|sample| samples[sample].image);
                Augmented::Mosaic(mosaic, images, augmentation)
            }
            None => Augmented::New(augmentation),
        };
        SampleRequest {
            truth: Some(truth),
            ..SampleRequest::new(sample, image, augmented)
        }
    }

    fn of_scene(
        &self,
        scenes: &SceneSource,
        objects: &ObjectTraining,
        random: &mut Rng,
    ) -> SampleRequest {
        let scene = scenes.random(objects.empty_scenes, random);
        let composition = scene.composition();
        let augmentation = self.augmentation(&composition, random);
        SampleRequest {
            truth: Some(self.truth(&composition, &augmentation)),
            // No sample and no image of the set is read.
            ..SampleRequest::new(0, 0, Augmented::Scene(scene, augmentation))
        }
    }

    fn augmentation(&self, composition: &Composition, random: &mut Rng) -> Augmentation {
        if self.is_light() {
            return Augmentation::light(random);
        }
        let boxes = composition.objects.iter().map(|object| object.bounding_box);
        let has_class = matches!(composition.image_class, ImageClass::Is(_));
        let wanted = wanted_boxes(boxes.collect(), has_class);
        Augmentation::random(&self.recipe.augmentation, &wanted, random)
    }

    fn truth(&self, composition: &Composition, augmentation: &Augmentation) -> Truth {
        composition.augmented(augmentation, self.recipe.augmentation.min_visible)
    }
}

#[derive(Clone, Copy)]
enum Picture<'a> {
    Sample(usize),
    Scene(&'a SceneSource),
}

/// Number of scenes beside so many samples, so that they have their share of all pictures.
#[must_use]
pub fn scenes_beside(samples: usize, objects: &ObjectTraining) -> usize {
    let share = f64::from(objects.scenes);
    (samples as f64 * share / (1.0 - share)).round() as usize
}

#[cfg(test)]
mod tests {
    use boxcam::label::Labels;

    use super::*;

    fn set(recipe: &Recipe) -> TrainingSet {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("apple")).expect("created");
        let mut rows = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n".to_owned();
        for id in 0..40 {
            let image = image::RgbImage::new(8, 8);
            let file = folder.path().join(format!("apple/{id}.png"));
            image.save(file).expect("written");
            rows +=
                &format!("{id},0.2,0.5,0.2,0.5,apple,apple\n{id},0.6,0.9,0.5,0.9,apple,apple\n");
        }
        let csv = folder.path().join("boxes.csv");
        std::fs::write(&csv, rows).expect("written");
        let split = boxcam::dataset::Dataset::read(folder.path(), &csv).expect("readable");
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid labels");
        TrainingSet::new(&split, &labels, recipe, 1)
    }

    fn plan(recipe: &Recipe, epoch: usize) -> Vec<SampleRequest> {
        let set = set(recipe);
        let plan = EpochPlan {
            recipe,
            set: &set,
            features: None,
            scenes: None,
            seed: 1,
            epoch,
        };
        plan.batches().concat()
    }

    #[test]
    fn mosaics_are_made_until_the_last_third_and_every_picture_has_its_truth() {
        let recipe = Recipe::named("objects").expect("built in");
        for (epoch, mosaics) in [(1, 8..25), (4, 8..25), (5, 0..1), (6, 0..1)] {
            let requests = plan(&recipe, epoch);
            assert_eq!(requests.len(), 32, "two batches of sixteen");
            let is_mosaic =
                |request: &&SampleRequest| matches!(request.augmented, Augmented::Mosaic(..));
            let count = requests.iter().filter(is_mosaic).count();
            assert!(mosaics.contains(&count), "epoch {epoch}: {count} mosaics");
            for request in &requests {
                let truth = request.truth.as_ref().expect("a truth");
                let is_whole = matches!(truth.image_class, ImageClass::Is(_));
                assert_eq!(is_whole, !is_mosaic(&request));
                assert!(!truth.objects.is_empty());
            }
        }
        assert_eq!(plan(&recipe, 2), plan(&recipe, 2));
        assert_ne!(plan(&recipe, 2), plan(&recipe, 3));
    }

    #[test]
    fn scenes_have_their_share_of_all_pictures() {
        let mut objects = Recipe::named("objects").expect("built in").objects;
        let objects = objects.as_mut().expect("several objects");
        assert_eq!(scenes_beside(700, objects), 100);
        objects.scenes = 0.0;
        assert_eq!(scenes_beside(700, objects), 0);
    }

    #[test]
    fn a_head_of_one_box_gets_no_truth_of_several() {
        let recipe = Recipe::named("full").expect("built in");
        let recipe = Recipe {
            synthetic_images: 0,
            synthetic_negatives: 0,
            negative_crops: 0,
            ..recipe
        };
        assert!(
            plan(&recipe, 1)
                .iter()
                .all(|request| request.truth.is_none())
        );
    }
}
