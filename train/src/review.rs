//! What a model does well and badly on the validation images, in plain words, and which images to take next: what `fit` prints at
//! its end, and the training report shows.
//!
//! The sentences have counts, not shares: a validation split is often small.

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::evaluate::CORRECT_IOU;
use serde::{Deserialize, Serialize};

/// The file in the folder of a run.
pub const REVIEW_FILE: &str = "review.json";

/// Least share of correct images of a class that is recognized well.
const WELL: f64 = 0.9;

/// Fewer validation images of a class say little.
const MIN_IMAGES: usize = 5;

/// Fewer training images of a class are few.
const FEW_TRAINING_IMAGES: usize = 50;

/// Names or sentences of one kind.
const MOST: usize = 5;

/// Images with an error that are named.
const MOST_WRONG: usize = 12;

/// Sizes of objects: a name, how to take images with them, and the largest share of the image that they cover.
const SIZES: [(&str, &str, f32); 3] = [
    (
        "small objects (below 5% of the image)",
        "from farther away",
        0.05,
    ),
    (
        "objects of 5% to 30% of the image",
        "from a medium distance",
        0.3,
    ),
    ("large objects (above 30% of the image)", "from nearby", 1.0),
];

/// A validation image and what the model says about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReviewedImage<'a> {
    /// Name of the image file without its ending.
    pub id: &'a str,
    /// The class of its folder.
    pub class: &'a str,
    /// The class with the highest score, and that score.
    pub found: &'a str,
    pub confidence: f32,
    /// Area of the largest box as a share of the image, and its IoU with the predicted one; `None` without a box.
    pub largest_box: Option<[f32; 2]>,
}

/// Sentences without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Review {
    pub works: Vec<String>,
    pub fails: Vec<String>,
    /// Images to take.
    pub next: Vec<String>,
    /// The validation images with the worst errors, the most confident error first.
    #[serde(default)]
    pub wrong: Vec<WrongImage>,
}

/// A validation image with an error, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongImage {
    /// Name of the image file without its ending, which is its ID in the data set.
    pub id: String,
    pub error: String,
}

/// The images of one class.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    images: usize,
    correct: usize,
    /// Correct, but below the threshold.
    unsure: usize,
}

impl Review {
    /// `train` has the number of training images of each class.
    #[must_use]
    pub fn new(
        images: &[ReviewedImage<'_>],
        train: &BTreeMap<&str, usize>,
        threshold: f32,
    ) -> Self {
        let mut review = Self::default();
        let mut classes: BTreeMap<&str, Counts> = BTreeMap::new();
        for image in images {
            let counts = classes.entry(image.class).or_default();
            counts.images += 1;
            counts.correct += usize::from(image.found == image.class);
            let is_unsure = image.found == image.class && image.confidence < threshold;
            counts.unsure += usize::from(is_unsure);
        }
        review.add_classes(&classes);
        review.add_confusions(images, &classes);
        review.add_unsure(&classes, threshold);
        review.add_sizes(images);
        review.add_few(&classes, train);
        review.add_wrong(images, threshold);
        if review.fails.is_empty() {
            let nothing = format!("nothing stands out on {} validation images", images.len());
            review.fails.push(nothing);
        }
        if review.next.is_empty() {
            review.next.push(
                "images of the place where the camera will be, in its light and from its distance, also without any object \
                 (fit --negatives FOLDER)"
                    .to_owned(),
            );
        }
        review
    }

    /// That of the run whose history is `history`; `None` if there is none, or if it cannot be read.
    #[must_use]
    pub fn beside(history: &Path) -> Option<Self> {
        let file = history.with_file_name(REVIEW_FILE);
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    /// The headings and their sentences; none that is empty.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, &[String])> {
        let parts = [
            ("What works", self.works.as_slice()),
            ("What does not", &self.fails),
            ("Which images to take next", &self.next),
        ];
        parts
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .collect()
    }

    fn add_classes(&mut self, classes: &BTreeMap<&str, Counts>) {
        let mut well: Vec<(&str, Counts)> = classes.iter().map(|(class, c)| (*class, *c)).collect();
        well.retain(|(_, c)| c.images >= MIN_IMAGES && c.correct as f64 >= WELL * c.images as f64);
        if well.is_empty() {
            return;
        }
        let names = well.iter();
        let names = names.map(|(class, c)| format!("{class} ({} of {})", c.correct, c.images));
        let names: Vec<String> = names.collect();
        self.works
            .push(format!("recognized well: {}", first(&names)));
    }

    fn add_confusions(&mut self, images: &[ReviewedImage<'_>], classes: &BTreeMap<&str, Counts>) {
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for image in images.iter().filter(|image| image.found != image.class) {
            *pairs.entry((image.class, image.found)).or_default() += 1;
        }
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        // The most frequent first; equal ones in the order of their names.
        pairs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((class, found), count) in pairs.into_iter().take(MOST) {
            let of = classes.get(class).map_or(0, |c| c.images);
            self.fails.push(format!(
                "{class} is taken for {found} in {count} of {of} images"
            ));
            let [first, second] = if class < found {
                [class, found]
            } else {
                [found, class]
            };
            let images = format!(
                "{first} and {second} at the same place and in the same light, from the sides from which they look alike"
            );
            // Each may be taken for the other.
            if !self.next.contains(&images) {
                self.next.push(images);
            }
        }
    }

    fn add_unsure(&mut self, classes: &BTreeMap<&str, Counts>, threshold: f32) {
        let often = |c: &Counts| c.images >= MIN_IMAGES && 4 * c.unsure > c.images;
        let unsure = classes.iter().filter(|(_, c)| often(c));
        for (class, c) in unsure.take(MOST) {
            self.fails.push(format!(
                "{class} has the correct class but a confidence below the threshold {threshold:.2} in {} of {} images",
                c.unsure, c.images
            ));
            self.next.push(format!(
                "{class} in the light and at the distance of the camera"
            ));
        }
    }

    fn add_sizes(&mut self, images: &[ReviewedImage<'_>]) {
        let mut smallest = 0.0;
        for (name, how, largest) in SIZES {
            let boxes = images.iter().filter_map(|image| image.largest_box);
            let is_in = |area: f32| area > smallest && area <= largest;
            let overlaps = boxes.filter(|[area, _]| is_in(*area)).map(|[_, iou]| iou);
            let overlaps: Vec<f32> = overlaps.collect();
            smallest = largest;
            if overlaps.len() < MIN_IMAGES {
                continue;
            }
            let correct = overlaps.iter().filter(|iou| **iou >= CORRECT_IOU).count();
            let sentence = format!(
                "the box of {name} is correct in {correct} of {} images",
                overlaps.len()
            );
            if correct as f64 >= WELL * overlaps.len() as f64 {
                self.works.push(sentence);
            } else if 4 * correct < 3 * overlaps.len() {
                self.fails.push(sentence);
                self.next.push(format!("images {how}: {name}"));
            }
        }
    }

    fn add_wrong(&mut self, images: &[ReviewedImage<'_>], threshold: f32) {
        let mut wrong: Vec<(f32, WrongImage)> = images
            .iter()
            .filter_map(|image| {
                let (severity, error) = image.error(threshold)?;
                let id = image.id.to_owned();
                Some((severity, WrongImage { id, error }))
            })
            .collect();
        wrong.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let worst = wrong.into_iter().take(MOST_WRONG);
        self.wrong = worst.map(|(_, image)| image).collect();
    }

    fn add_few(&mut self, classes: &BTreeMap<&str, Counts>, train: &BTreeMap<&str, usize>) {
        let mut few: Vec<(&str, usize)> = train
            .iter()
            .map(|(class, count)| (*class, *count))
            .collect();
        few.retain(|(_, count)| *count < FEW_TRAINING_IMAGES);
        few.sort_by_key(|(_, count)| *count);
        for (class, count) in few.into_iter().take(MOST) {
            self.next.push(format!(
                "{class}: {count} training images are few, {FEW_TRAINING_IMAGES} or more are better"
            ));
        }
        let unknown = train
            .keys()
            .filter(|class| classes.get(*class).is_none_or(|c| c.images < MIN_IMAGES));
        let unknown: Vec<String> = unknown.map(|class| (*class).to_owned()).collect();
        if !unknown.is_empty() {
            self.fails.push(format!(
                "fewer than {MIN_IMAGES} validation images say little about {}",
                first(&unknown)
            ));
        }
    }
}

impl ReviewedImage<'_> {
    /// What is wrong with it, if anything, after how bad that is: another class is worse than a wrong box, and that worse than
    /// a low confidence.
    fn error(&self, threshold: f32) -> Option<(f32, String)> {
        let Self {
            class,
            found,
            confidence,
            ..
        } = *self;
        if found != class {
            let error = format!("{class} is taken for {found}, confidence {confidence:.2}");
            return Some((2.0 + confidence, error));
        }
        match self.largest_box {
            Some([_, iou]) if iou < CORRECT_IOU => {
                let error =
                    format!("the box of {class} overlaps the object by only {iou:.2} (IoU)");
                Some((2.0 - iou, error))
            }
            _ if confidence < threshold => {
                let error = format!(
                    "{class} has a confidence of {confidence:.2}, below the threshold {threshold:.2}"
                );
                Some((1.0 - confidence, error))
            }
            _ => None,
        }
    }
}

/// The first names, and how many more there are.
fn first(names: &[String]) -> String {
    let some = names
        .iter()
        .take(MOST)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(MOST) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image<'a>(
        class: &'a str,
        found: &'a str,
        confidence: f32,
        area: f32,
        iou: f32,
    ) -> ReviewedImage<'a> {
        ReviewedImage {
            id: "1",
            class,
            found,
            confidence,
            largest_box: Some([area, iou]),
        }
    }

    fn train(counts: &[(&'static str, usize)]) -> BTreeMap<&'static str, usize> {
        counts.iter().copied().collect()
    }

    #[test]
    fn confusions_unsure_classes_and_missed_sizes_are_named_with_the_images_to_take() {
        let mut images = vec![image("mug", "mug", 0.9, 0.4, 0.8); 10];
        images.push(image("mug", "cup", 0.9, 0.4, 0.8));
        images.extend(vec![image("cup", "mug", 0.9, 0.4, 0.7); 3]);
        images.extend(vec![image("cup", "cup", 0.9, 0.4, 0.7); 5]);
        images.extend(vec![image("shoe", "shoe", 0.3, 0.02, 0.2); 6]);
        let review = Review::new(
            &images,
            &train(&[("mug", 80), ("cup", 60), ("shoe", 20)]),
            0.55,
        );
        assert_eq!(
            review.works,
            [
                "recognized well: mug (10 of 11), shoe (6 of 6)",
                "the box of large objects (above 30% of the image) is correct in 19 of 19 images",
            ]
        );
        assert_eq!(
            review.fails,
            [
                "cup is taken for mug in 3 of 8 images",
                "mug is taken for cup in 1 of 11 images",
                "shoe has the correct class but a confidence below the threshold 0.55 in 6 of 6 images",
                "the box of small objects (below 5% of the image) is correct in 0 of 6 images",
            ]
        );
        let wrong: Vec<&str> = review.wrong.iter().map(|w| w.error.as_str()).collect();
        assert_eq!(wrong.len(), 10);
        assert_eq!(wrong[0], "mug is taken for cup, confidence 0.90");
        assert_eq!(
            wrong[4],
            "the box of shoe overlaps the object by only 0.20 (IoU)"
        );
        assert!(review.next[0].starts_with("cup and mug at the same place"));
        assert_eq!(
            review.next[2],
            "images from farther away: small objects (below 5% of the image)"
        );
        assert_eq!(
            review.next[3],
            "shoe: 20 training images are few, 50 or more are better"
        );
    }

    #[test]
    fn a_model_without_faults_has_something_to_do_too() {
        let images = vec![image("mug", "mug", 0.9, 0.4, 0.8); 10];
        let review = Review::new(&images, &train(&[("mug", 80)]), 0.5);
        assert_eq!(review.fails, ["nothing stands out on 10 validation images"]);
        assert!(review.next[0].contains("--negatives"));
        assert_eq!(review.parts().len(), 3);
    }

    #[test]
    fn few_validation_images_say_little() {
        let images = vec![image("mug", "mug", 0.9, 0.4, 0.8); 4];
        let review = Review::new(&images, &train(&[("cup", 70), ("mug", 80)]), 0.5);
        assert!(review.works.is_empty());
        assert_eq!(
            review.fails,
            ["fewer than 5 validation images say little about cup, mug"]
        );
    }

    #[test]
    fn it_is_read_beside_the_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("history.csv");
        assert_eq!(Review::beside(&history), None);
        let review = Review::new(&[], &train(&[("mug", 8)]), 0.5);
        let json = serde_json::to_vec(&review).expect("plain text");
        std::fs::write(folder.path().join(REVIEW_FILE), json).expect("written");
        assert_eq!(Review::beside(&history), Some(review));
    }
}
