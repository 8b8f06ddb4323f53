//! Frames of 1920 x 1080 pixels with small objects: photographs of shops, on which rectangles of the snack photographs are
//! pasted around what the float network detects there.

use std::fs;
use std::path::{Path, PathBuf};

use boxcam::geometry::NormBox;
use boxcam::picture;
use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use fastrand::Rng;
use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::Deserialize;

pub(crate) const WIDTH: u32 = 1920;
pub(crate) const HEIGHT: u32 = 1080;

/// The longer side of each object of a frame in pixels.
pub(crate) const SIDES: [u32; 4] = [60, 100, 150, 250];

/// The classes that are pasted and evaluated.
pub(crate) const CLASSES: [&str; 5] = ["person", "cup", "apple", "banana", "orange"];

/// What is pasted has at least this score.
const PASTED_SCORE: f32 = 0.5;

/// Part of the object's longer side that is cut out around it.
const MARGIN: f32 = 0.1;

/// Tries to find a free place.
const TRIES: usize = 50;

/// A line of the float network's answers.
#[derive(Deserialize)]
struct Answers {
    picture: String,
    detections: Vec<Answer>,
}

/// Corners as shares of the picture's sides, not clipped to it.
#[derive(Clone, Deserialize)]
struct Answer {
    class: String,
    score: f32,
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

/// An object of a picture that can be pasted.
struct Thing {
    /// Index of the answers.
    picture: usize,
    answer: Answer,
}

/// An object of a frame.
pub(crate) struct SmallObject {
    pub(crate) class: String,
    /// Of [`SIDES`].
    pub(crate) side: u32,
    pub(crate) bounding_box: NormBox,
}

pub(crate) struct Scene {
    pub(crate) image: RgbImage,
    pub(crate) objects: Vec<SmallObject>,
    /// What else the network detects in the pasted rectangles, with a low score, too: neither right nor wrong.
    pub(crate) ignored: Vec<(String, NormBox)>,
}

/// The pictures that scenes are made of.
pub(crate) struct SceneMaker {
    pictures: PathBuf,
    answers: Vec<Answers>,
    things: Vec<Thing>,
    backgrounds: Vec<PathBuf>,
}

impl SceneMaker {
    /// `answers` is a file of JSON lines, `pictures` the folder of their pictures, `backgrounds` a folder of folders.
    pub(crate) fn read(answers: &Path, pictures: &Path, backgrounds: &Path) -> Self {
        let text = fs::read_to_string(answers).expect("readable");
        let parse = |line| serde_json::from_str(line).expect("a line of answers");
        let answers: Vec<Answers> = text.lines().map(parse).collect();
        let mut things = Vec::new();
        for (picture, found) in answers.iter().enumerate() {
            let is_pasted = |answer: &&Answer| {
                answer.score >= PASTED_SCORE && CLASSES.contains(&answer.class.as_str())
            };
            let pasted = found.detections.iter().filter(is_pasted).cloned();
            things.extend(pasted.map(|answer| Thing { picture, answer }));
        }
        Self {
            pictures: pictures.to_owned(),
            answers,
            things,
            backgrounds: pictures_in(backgrounds),
        }
    }

    /// A frame with an object of each of [`SIDES`].
    pub(crate) fn scene(&self, random: &mut Rng) -> Scene {
        let background = &self.backgrounds[random.usize(..self.backgrounds.len())];
        let mut scene = Scene {
            image: filled(&picture::open(background).expect("readable")),
            objects: Vec::new(),
            ignored: Vec::new(),
        };
        let mut taken = Vec::new();
        for side in SIDES {
            for _ in 0..TRIES {
                let thing = &self.things[random.usize(..self.things.len())];
                if self.paste(&mut scene, thing, side, &mut taken, random) {
                    break;
                }
            }
        }
        scene
    }

    /// Pastes a thing at a random place; returns whether that is free.
    fn paste(
        &self,
        scene: &mut Scene,
        thing: &Thing,
        side: u32,
        taken: &mut Vec<Rectangle>,
        random: &mut Rng,
    ) -> bool {
        let answers = &self.answers[thing.picture];
        let source = picture::open(&self.pictures.join(&answers.picture)).expect("readable");
        let size = source.dimensions();
        let object = thing.answer.pixels(size);
        let longer = object.width().max(object.height());
        let cut = object.grown(MARGIN * longer, size);
        let scale = side as f32 / longer;
        let width = ((cut.width() * scale).round() as u32).max(1);
        let height = ((cut.height() * scale).round() as u32).max(1);
        let (left, top) = (random.u32(..WIDTH - width), random.u32(..HEIGHT - height));
        let place = Rectangle::new(
            Point::new(left as i32, top as i32),
            Size::new(width, height),
        );
        if taken
            .iter()
            .any(|other| !other.intersection(&place).is_zero_sized())
        {
            return false;
        }
        taken.push(place);
        let [x, y] = [cut.left as u32, cut.top as u32];
        let part = imageops::crop_imm(&source, x, y, cut.width() as u32, cut.height() as u32);
        let part = imageops::resize(&part.to_image(), width, height, FilterType::CatmullRom);
        imageops::replace(&mut scene.image, &part, i64::from(left), i64::from(top));
        let in_frame = |edges: &Edges| edges.in_frame(&cut, scale, (left as f32, top as f32));
        for answer in &answers.detections {
            let edges = answer.pixels(size);
            let is_object = std::ptr::eq(answer, &thing.answer) || edges == object;
            if is_object && answer.class == thing.answer.class {
                scene.objects.push(SmallObject {
                    class: answer.class.clone(),
                    side,
                    bounding_box: in_frame(&edges),
                });
            } else if edges.share_in(&cut) >= 0.3 {
                scene.ignored.push((answer.class.clone(), in_frame(&edges)));
            }
        }
        true
    }
}

/// A rectangle in pixels.
#[derive(Clone, Copy, PartialEq)]
struct Edges {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Answer {
    fn pixels(&self, (width, height): (u32, u32)) -> Edges {
        let x = |share: f32| share.clamp(0.0, 1.0) * width as f32;
        let y = |share: f32| share.clamp(0.0, 1.0) * height as f32;
        Edges {
            left: x(self.x_min),
            top: y(self.y_min),
            right: x(self.x_max),
            bottom: y(self.y_max),
        }
    }
}

impl Edges {
    fn width(&self) -> f32 {
        (self.right - self.left).max(1.0)
    }

    fn height(&self) -> f32 {
        (self.bottom - self.top).max(1.0)
    }

    /// With a margin, as far as the picture goes, in whole pixels.
    fn grown(&self, margin: f32, (width, height): (u32, u32)) -> Self {
        Self {
            left: (self.left - margin).max(0.0).floor(),
            top: (self.top - margin).max(0.0).floor(),
            right: (self.right + margin).min(width as f32).ceil(),
            bottom: (self.bottom + margin).min(height as f32).ceil(),
        }
    }

    /// The part of it that is in another rectangle.
    fn share_in(&self, other: &Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0) / (self.width() * self.height())
    }

    /// Where it is in the frame if `cut` is pasted there at a scale.
    fn in_frame(&self, cut: &Self, scale: f32, (left, top): (f32, f32)) -> NormBox {
        let x = |edge: f32| {
            (left + (edge.clamp(cut.left, cut.right) - cut.left) * scale) / WIDTH as f32
        };
        let y =
            |edge: f32| (top + (edge.clamp(cut.top, cut.bottom) - cut.top) * scale) / HEIGHT as f32;
        let corners = [x(self.left), x(self.right), y(self.top), y(self.bottom)];
        NormBox::from_regression(corners).expect("finite")
    }
}

/// The middle of a picture, enlarged to the size of a frame.
fn filled(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scale = f64::max(
        f64::from(WIDTH) / f64::from(width),
        f64::from(HEIGHT) / f64::from(height),
    );
    let side = |length: u32| (f64::from(length) / scale).floor() as u32;
    let (cut_width, cut_height) = (side(WIDTH).min(width), side(HEIGHT).min(height));
    let (left, top) = ((width - cut_width) / 2, (height - cut_height) / 2);
    let middle = imageops::crop_imm(picture, left, top, cut_width, cut_height).to_image();
    imageops::resize(&middle, WIDTH, HEIGHT, FilterType::CatmullRom)
}

/// The pictures of the folders in a folder, sorted by name.
fn pictures_in(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let read = fs::read_dir(folder).expect("readable");
        let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    };
    let folders = entries(folder).into_iter().filter(|path| path.is_dir());
    folders.flat_map(|folder| entries(&folder)).collect()
}
