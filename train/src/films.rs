//! Films: cut-outs of annotated objects that move over a background photograph, cross each other, enter and leave.
//!
//! They measure a tracker: every object of every frame is known, with its track.

use boxcam::label::ClassId;
use boxcam::picture::PictureError;
use fastrand::Rng;
use image::RgbImage;
use image::math::Rect;

use crate::scenes::paste::{CutoutPixels, Layer, Placement, bounds};
use crate::scenes::{SceneSource, random_brightness};

/// Frames per second.
pub const FRAME_RATE: u32 = 15;

/// Number of frames of a film.
pub const FRAMES: u32 = 150;

/// Most objects of a film.
pub const MOST: usize = 4;

/// Smallest and largest box of an object where it is smallest, as a share of the frame's area.
const AREA: [f32; 2] = [0.02, 0.12];

/// Most that an object's area grows or shrinks by while it moves.
const GROWTH: f32 = 1.5;

/// Shortest time that an object takes from one end of its way to the other, in frames.
const SHORTEST: u32 = 60;

/// The ways bend towards a point of the middle, between these shares of width and height, where objects cross.
const MIDDLE: [f32; 2] = [0.3, 0.7];

/// Where ways that end within the frame end, between these shares of width and height.
const INSIDE: [f32; 2] = [0.2, 0.8];

/// A camera's noise: each value of a pixel changes by up to this.
const NOISE: i16 = 3;

/// A film: everything but the pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    background: usize,
    flipped: bool,
    /// Width and height of a frame in pixels.
    size: (u32, u32),
    /// Later ones are in front.
    objects: Vec<MovingObject>,
    /// Of the noise.
    seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct MovingObject {
    cutout: usize,
    class: ClassId,
    flipped: bool,
    brightness: f32,
    /// Share of the frame's area at the start and at the end of its way.
    area: [f32; 2],
    way: Way,
}

/// A quadratic Bézier curve, at a constant rate of its parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    /// First and last frame, from 0.
    frames: [u32; 2],
    /// Start, control point and end of the object's middle, as shares of width and height.
    points: [[f32; 2]; 3],
}

/// An end of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The object is beyond the left, right, upper or lower edge.
    Beyond(usize),
    Inside,
}

/// An object in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmBox {
    /// Number of the object, from 1.
    pub track: usize,
    pub class: ClassId,
    /// Around all of its pixels within the frame, also those behind other objects.
    pub pixels: Rect,
    /// Share of its pixels that can be seen: within the frame and not behind others.
    pub visibility: f32,
}

/// Draws the frames of a film.
#[derive(Debug)]
pub struct FilmRenderer<'a> {
    film: &'a Film,
    source: &'a SceneSource,
    background: RgbImage,
    cutouts: Vec<CutoutPixels>,
}

impl Film {
    /// A random film of so many objects, at most [`MOST`]; fewer without any cut-out.
    pub fn random(source: &SceneSource, objects: usize, random: &mut Rng) -> Self {
        let (background, size) = source.random_background(random);
        let flipped = random.bool();
        let mut film = Self {
            background,
            flipped,
            size,
            objects: Vec::new(),
            seed: random.u64(..),
        };
        for index in 0..objects.min(MOST) {
            let object = film.random_object(source, index, random);
            film.objects.extend(object);
        }
        film
    }

    /// Number of objects.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Width and height of a frame in pixels.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        self.size
    }

    fn random_object(
        &self,
        source: &SceneSource,
        index: usize,
        random: &mut Rng,
    ) -> Option<MovingObject> {
        let (cutout, class) = source.random_cutout(random)?;
        let flipped = random.bool();
        let [smallest, largest] = AREA.map(f32::ln);
        let area = (smallest + (largest - smallest) * random.f32()).exp();
        let grown = area * (1.0 + (GROWTH - 1.0) * random.f32());
        let area = match random.bool() {
            true => [area, grown],
            false => [grown, area],
        };
        let extents = area.map(|area| source.extent(cutout, flipped, area, self.size).object);
        Some(MovingObject {
            cutout,
            class,
            flipped,
            brightness: random_brightness(random),
            area,
            way: Way::random(extents, index, random),
        })
    }
}

impl Way {
    /// `extents`: width and height of the object at the start and the end, as shares of the frame. The first object of a film
    /// enters and leaves; others may be there at the start or at the end of the film.
    fn random(extents: [[f32; 2]; 2], index: usize, random: &mut Rng) -> Self {
        let side = random.usize(0..4);
        let other_side = (side + random.usize(1..4)) % 4;
        let ends = match (index, random.usize(0..3)) {
            (0, _) | (_, 0) => [End::Beyond(side), End::Beyond(other_side)],
            (_, 1) => [End::Inside, End::Beyond(side)],
            _ => [End::Beyond(side), End::Inside],
        };
        let last = FRAMES - 1;
        let start = match ends[0] {
            End::Inside => 0,
            End::Beyond(_) => random.u32(0..last / 3),
        };
        let end = match ends[1] {
            End::Inside => last,
            End::Beyond(_) => random.u32(start + SHORTEST..=last),
        };
        let [first, second] = [0, 1].map(|at| ends[at].point(extents[at], random));
        Self {
            frames: [start, end],
            points: [first, between(MIDDLE, random), second],
        }
    }

    /// How far the object is on its way in a frame, `0..=1`; `None` before and after.
    fn progress(&self, frame: u32) -> Option<f32> {
        let [first, last] = self.frames;
        let is_on_way = (first..=last).contains(&frame);
        is_on_way.then(|| (frame - first) as f32 / (last - first).max(1) as f32)
    }

    /// The object's middle.
    fn middle(&self, progress: f32) -> [f32; 2] {
        let back = 1.0 - progress;
        let weights = [back * back, 2.0 * back * progress, progress * progress];
        [0, 1].map(|axis| {
            let points = self.points.iter().zip(weights);
            points.map(|(point, weight)| weight * point[axis]).sum()
        })
    }
}

impl End {
    /// The middle of an object with this width and height.
    fn point(self, [width, height]: [f32; 2], random: &mut Rng) -> [f32; 2] {
        let [x, y] = between(INSIDE, random);
        match self {
            Self::Inside => [x, y],
            Self::Beyond(0) => [-width / 2.0, y],
            Self::Beyond(1) => [1.0 + width / 2.0, y],
            Self::Beyond(2) => [x, -height / 2.0],
            Self::Beyond(_) => [x, 1.0 + height / 2.0],
        }
    }
}

fn between([low, high]: [f32; 2], random: &mut Rng) -> [f32; 2] {
    [(); 2].map(|()| low + (high - low) * random.f32())
}

impl<'a> FilmRenderer<'a> {
    /// # Errors
    /// [`PictureError`] if one of the film's files cannot be read.
    pub fn new(source: &'a SceneSource, film: &'a Film) -> Result<Self, PictureError> {
        let cutouts = film.objects.iter();
        let cutouts = cutouts.map(|object| source.open_cutout(object.cutout));
        Ok(Self {
            film,
            source,
            background: source.open_background(film.background, film.flipped)?,
            cutouts: cutouts.collect::<Result<_, _>>()?,
        })
    }

    /// A frame, numbered from 0, and the objects in it, in the order of their numbers.
    #[must_use]
    pub fn frame(&self, number: u32) -> (RgbImage, Vec<FilmBox>) {
        let mut picture = self.background.clone();
        let size = picture.dimensions();
        let mut layers = Vec::new();
        for (index, (object, cutout)) in self.film.objects.iter().zip(&self.cutouts).enumerate() {
            if let Some(place) = self.place(object, number) {
                let layer = cutout.placed(&place, size);
                layer.blend(&mut picture);
                layers.push((index, object.class, layer));
            }
        }
        let boxes = boxes(&layers, size);
        let seed = self.film.seed.wrapping_add(u64::from(number));
        add_noise(&mut picture, &mut Rng::with_seed(seed));
        (picture, boxes)
    }

    fn place(&self, object: &MovingObject, frame: u32) -> Option<Placement> {
        let progress = object.way.progress(frame)?;
        let [start, end] = object.area;
        let area = start + (end - start) * progress;
        let size = self.film.size;
        let extent = self
            .source
            .extent(object.cutout, object.flipped, area, size);
        let [x, y] = object.way.middle(progress);
        let [width, height] = extent.object;
        Some(Placement {
            crop: extent.crop_at([x - width / 2.0, y - height / 2.0]),
            flipped: object.flipped,
            brightness: object.brightness,
        })
    }
}

/// The objects with pixels in a frame of this size; later layers are in front.
fn boxes(layers: &[(usize, ClassId, Layer)], size: (u32, u32)) -> Vec<FilmBox> {
    let (width, height) = size;
    let mut in_front = vec![None; width as usize * height as usize];
    let at = |(x, y): (u32, u32)| (y * width + x) as usize;
    for (index, _, layer) in layers {
        let pixels = layer.object_pixels(size);
        pixels.for_each(|pixel| in_front[at(pixel)] = Some(*index));
    }
    let film_box = |(index, class, layer): &(usize, ClassId, Layer)| {
        let is_visible = |pixel: &(u32, u32)| in_front[at(*pixel)] == Some(*index);
        let visible = layer.object_pixels(size).filter(is_visible).count();
        Some(FilmBox {
            track: index + 1,
            class: *class,
            pixels: bounds(layer.object_pixels(size))?,
            visibility: visible as f32 / layer.object_size().max(1) as f32,
        })
    };
    layers.iter().filter_map(film_box).collect()
}

fn add_noise(picture: &mut RgbImage, random: &mut Rng) {
    for value in picture.iter_mut() {
        let noise = random.i16(-NOISE..=NOISE);
        *value = (i16::from(*value) + noise).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb};

    use super::*;

    fn way(seed: u64, index: usize) -> Way {
        Way::random([[0.2, 0.3], [0.4, 0.1]], index, &mut Rng::with_seed(seed))
    }

    #[test]
    fn the_first_object_enters_and_leaves() {
        for seed in 0..200 {
            let way = way(seed, 0);
            let [first, last] = way.frames;
            assert!(last >= first + SHORTEST && last < FRAMES, "{way:?}");
            assert_eq!(
                (way.progress(first), way.progress(last)),
                (Some(0.0), Some(1.0))
            );
            assert_eq!(way.progress(last + 1), None);
            for (progress, [width, height]) in [(0.0, [0.2, 0.3]), (1.0, [0.4, 0.1])] {
                let [x, y] = way.middle(progress);
                let is_beyond = |at: f32, extent: f32| {
                    at <= -extent / 2.0 + 1e-6 || at >= 1.0 + extent / 2.0 - 1e-6
                };
                assert!(is_beyond(x, width) || is_beyond(y, height), "{x} {y}");
            }
            let [x, y] = way.middle(0.5);
            assert!(
                (0.0..1.0).contains(&x) && (0.0..1.0).contains(&y),
                "{x} {y}"
            );
        }
    }

    #[test]
    fn others_may_be_there_at_the_start_or_the_end() {
        let ways = (0..200).map(|seed| way(seed, 1));
        let is_inside = |[x, y]: [f32; 2]| (0.2..=0.8).contains(&x) && (0.2..=0.8).contains(&y);
        let (mut at_start, mut at_end) = (0, 0);
        for way in ways {
            let [start, _, end] = way.points;
            if is_inside(start) {
                at_start += 1;
                assert_eq!(way.frames[0], 0);
            }
            if is_inside(end) {
                at_end += 1;
                assert_eq!(way.frames[1], FRAMES - 1);
            }
        }
        assert!(at_start > 30 && at_end > 30, "{at_start} {at_end}");
    }

    #[test]
    fn boxes_are_cut_at_the_edge_and_visibility_counts_what_is_hidden() {
        let pixels = CutoutPixels::new(
            RgbImage::from_pixel(10, 10, Rgb([200, 0, 0])),
            GrayImage::from_pixel(10, 10, Luma([255])),
        );
        let layer = |index: usize, left: f32| {
            let place = Placement {
                crop: [left, 0.0, left + 0.5, 1.0],
                flipped: false,
                brightness: 1.0,
            };
            (index, ClassId::new(index), pixels.placed(&place, (20, 10)))
        };
        // Half of the first is beyond the edge; half of the rest, and of the second, is behind the third.
        let layers = [
            layer(0, -0.25),
            layer(1, 0.25),
            layer(2, 0.125),
            layer(3, 1.0),
        ];
        let found = boxes(&layers, (20, 10));
        let tracks: Vec<_> = found
            .iter()
            .map(|found| (found.track, found.pixels.x, found.pixels.width))
            .collect();
        assert_eq!(tracks, [(1, 0, 5), (2, 5, 10), (3, 3, 10)]);
        let visible: Vec<f32> = found.iter().map(|found| found.visibility).collect();
        assert_eq!(visible, [0.3, 0.2, 1.0]);
    }

    #[test]
    fn noise_is_small() {
        let mut picture = RgbImage::from_pixel(50, 50, Rgb([1, 128, 254]));
        add_noise(&mut picture, &mut Rng::with_seed(1));
        let mut mean = 0.0;
        for Rgb([low, middle, high]) in picture.pixels() {
            assert!(*low <= 4 && middle.abs_diff(128) <= 3 && *high >= 251);
            mean += f64::from(*middle) / 2500.0;
        }
        assert!((mean - 128.0).abs() < 0.2, "{mean}");
    }
}
