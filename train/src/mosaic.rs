//! Mosaics: four images side by side in one picture (Bochkovskiy et al. 2020), each shrunk without regard to its shape.
//!
//! The network sees each object beside others, and small.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::RgbImage;
use image::imageops::{replace, thumbnail};

use crate::samples::{Object, Sample};
use crate::truth::{Composition, ImageClass};

/// Width and height of a mosaic in pixels; the network's input is about as large.
const SIDE: u32 = 384;

/// Where the borders between the images may be, as shares of the side.
const CROSS: [f32; 2] = [0.35, 0.65];

/// First and last coordinate.
type Span = (f32, f32);

/// Four images in one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Mosaic {
    /// Indices of the samples: upper left, upper right, lower left, lower right.
    pub samples: [usize; 4],
    /// Where the vertical and the horizontal border are, in pixels.
    cross: [u32; 2],
}

impl Mosaic {
    /// `first` and three others of `count` samples.
    pub fn random(first: usize, count: usize, random: &mut Rng) -> Self {
        let mut samples = [first; 4];
        samples[1..].fill_with(|| random.usize(0..count));
        random.shuffle(&mut samples);
        let [low, high] = CROSS;
        let border = |at: f32| ((low + (high - low) * at) * SIDE as f32).round() as u32;
        Self {
            samples,
            cross: [border(random.f32()), border(random.f32())],
        }
    }

    /// The place of an image, as shares of the side.
    fn place(&self, part: usize) -> (Span, Span) {
        let [x, y] = self.cross.map(|border| border as f32 / SIDE as f32);
        let span = |is_second: bool, border: f32| match is_second {
            false => (0.0, border),
            true => (border, 1.0),
        };
        (span(part % 2 == 1, x), span(part / 2 == 1, y))
    }

    /// What the mosaic shows. It has no class as a whole.
    #[must_use]
    pub fn composition(&self, samples: &[Sample]) -> Composition {
        let mut whole = Composition {
            image_class: ImageClass::Unknown,
            objects: Vec::new(),
            incomplete: Vec::new(),
        };
        for (part, sample) in self.samples.iter().enumerate() {
            let (x, y) = self.place(part);
            let own = Composition::of(&samples[*sample]);
            let objects = own.objects.iter().filter_map(|object| {
                Some(Object {
                    bounding_box: moved(&object.bounding_box, x, y)?,
                    ..*object
                })
            });
            whole.objects.extend(objects);
            whole.incomplete.extend(own.incomplete);
        }
        whole.incomplete.sort();
        whole.incomplete.dedup();
        whole
    }

    /// The picture, from the images in the order of the samples.
    #[must_use]
    pub fn compose(&self, images: &[RgbImage; 4]) -> RgbImage {
        let mut picture = RgbImage::new(SIDE, SIDE);
        let [x, y] = self.cross;
        for (part, image) in images.iter().enumerate() {
            let (left, width) = [(0, x), (x, SIDE - x)][part % 2];
            let (top, height) = [(0, y), (y, SIDE - y)][part / 2];
            let small = thumbnail(image, width, height);
            replace(&mut picture, &small, i64::from(left), i64::from(top));
        }
        picture
    }
}

/// A box of an image at its place; `None` if it has no extent there.
fn moved(of: &NormBox, x: Span, y: Span) -> Option<NormBox> {
    let [x_min, x_max, y_min, y_max] = of.corners();
    let at = |value: f32, (low, high): Span| low + (high - low) * value;
    NormBox::from_regression([at(x_min, x), at(x_max, x), at(y_min, y), at(y_max, y)])
}

#[cfg(test)]
mod tests {
    use boxcam::label::Labels;
    use image::Rgb;

    use super::*;

    /// An image with a white square at its box, and its sample.
    fn image(class: &str, corners: [f32; 4], size: (u32, u32)) -> (RgbImage, Sample) {
        let labels = Labels::new(["a", "b", "c", "d"].map(str::to_owned).to_vec());
        let class = labels.expect("valid labels").find(class);
        let [x_min, x_max, y_min, y_max] = corners;
        let bounding_box = NormBox::new(x_min, x_max, y_min, y_max).expect("a valid box");
        let image = RgbImage::from_fn(size.0, size.1, |x, y| {
            let (x, y) = (x as f32 / size.0 as f32, y as f32 / size.1 as f32);
            let inside = (x_min..x_max).contains(&x) && (y_min..y_max).contains(&y);
            Rgb([if inside { 255 } else { 0 }; 3])
        });
        let sample = Sample {
            image: 0,
            image_class: class,
            objects: vec![Object {
                class,
                bounding_box,
            }],
            exhaustive: class != labels_of_a(),
        };
        (image, sample)
    }

    fn labels_of_a() -> Option<boxcam::label::ClassId> {
        let labels = Labels::new(vec!["a".to_owned()]).expect("valid labels");
        labels.find("a")
    }

    #[test]
    fn boxes_move_with_the_pixels_of_their_image() {
        let (images, samples): (Vec<RgbImage>, Vec<Sample>) = [
            image("a", [0.25, 0.75, 0.25, 0.75], (400, 300)),
            image("b", [0.0, 0.5, 0.5, 1.0], (300, 300)),
            image("c", [0.5, 1.0, 0.0, 1.0], (256, 512)),
            image("d", [0.25, 1.0, 0.5, 0.75], (640, 480)),
        ]
        .into_iter()
        .unzip();
        let random = &mut Rng::with_seed(4);
        for _ in 0..20 {
            let mosaic = Mosaic::random(2, 4, random);
            assert!(mosaic.samples.contains(&2));
            let [x, y] = mosaic.cross;
            assert!((134..=250).contains(&x) && (134..=250).contains(&y));
            let parts = mosaic.samples.map(|sample| images[sample].clone());
            let picture = mosaic.compose(&parts);
            let composition = mosaic.composition(&samples);
            assert_eq!(composition.image_class, ImageClass::Unknown);
            // Only the first sample says that it is incomplete.
            let of_a = usize::from(mosaic.samples.contains(&0));
            assert_eq!(composition.incomplete.len(), of_a);
            assert_eq!(composition.objects.len(), 4);
            for (x, y, pixel) in picture.enumerate_pixels() {
                let at = |v: u32| (v as f32 + 0.5) / SIDE as f32;
                let (x, y) = (at(x), at(y));
                let edge = 1.5 / SIDE as f32;
                let holds = |object: &Object, margin: f32| {
                    let [x_min, x_max, y_min, y_max] = object.bounding_box.corners();
                    (x_min - margin..x_max + margin).contains(&x)
                        && (y_min - margin..y_max + margin).contains(&y)
                };
                let objects = &composition.objects;
                if objects.iter().any(|object| holds(object, -edge)) {
                    assert!(pixel.0[0] > 200, "{x} {y}");
                } else if !objects.iter().any(|object| holds(object, edge)) {
                    assert!(pixel.0[0] < 50, "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_mosaic() {
        let draw = |seed| Mosaic::random(3, 50, &mut Rng::with_seed(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
