//! Scenes: cut-outs of annotated objects on background photographs without any object.
//!
//! They give exact boxes, several objects in a picture and small ones. Cut-outs are masks of boxes of the training images,
//! listed in `cutouts.csv`; one whose image is not among them, or whose class is not learned, is left out, so that nothing
//! of a validation image is trained on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxcam::dataset::Dataset;
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use boxcam::picture::{self, PictureError};
use boxcam::walk::{self, WalkError};
use fastrand::Rng;
use image::RgbImage;
use image::imageops::flip_horizontal;
use image::math::Rect;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::checkpoint::file_hash;
use crate::samples::Object;
use crate::truth::{Composition, ImageClass};
use paste::{CutoutPixels, Placement, opaque_part, open_mask};

pub(crate) mod paste;

/// The list of cut-outs in their folder.
const LIST: &str = "cutouts.csv";

/// The masks in that folder.
const MASKS: &str = "masks";

/// Most cut-outs of a scene.
const MOST: usize = 4;

/// Smallest and largest box of a cut-out in a scene, as a share of the scene's area.
const AREA: [f32; 2] = [0.02, 0.3];

/// Most that a cut-out is enlarged by.
const LARGEST_SCALE: f32 = 2.5;

/// Largest share of a box that another may cover.
const COVERED: f32 = 0.25;

/// Places that are tried for a cut-out before it is left out.
const TRIES: usize = 20;

/// A cut-out's brightness is multiplied by 1 +- this.
const BRIGHTNESS: f32 = 0.2;

/// Backgrounds and cut-outs on the disk.
#[derive(Debug, Clone)]
pub struct SceneSource {
    backgrounds: Vec<Background>,
    cutouts: Vec<Cutout>,
}

#[derive(Debug, Clone)]
struct Background {
    path: PathBuf,
    /// In pixels.
    size: (u32, u32),
}

#[derive(Debug, Clone)]
struct Cutout {
    picture: PathBuf,
    mask: PathBuf,
    /// The part of the picture that the mask covers, in pixels.
    crop: Rect,
    class: ClassId,
    /// The object within the crop, as shares of its sides.
    object: NormBox,
}

/// A scene: everything but the pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    background: usize,
    flipped: bool,
    pasted: Vec<Pasted>,
}

#[derive(Debug, Clone, PartialEq)]
struct Pasted {
    cutout: usize,
    /// Of the crop, which may reach beyond the scene; the object does not.
    place: Placement,
    object: Object,
}

/// The size of a cut-out in a picture, as shares of the picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    /// Width and height of the object's box.
    pub(crate) object: [f32; 2],
    /// Width and height of the whole crop.
    crop: [f32; 2],
    /// From the crop's upper left corner to that of the object's box.
    offset: [f32; 2],
}

impl Extent {
    /// Left, top, right and bottom edge of the crop if the object's upper left corner is here.
    pub(crate) fn crop_at(&self, [left, top]: [f32; 2]) -> [f32; 4] {
        let corner = [left - self.offset[0], top - self.offset[1]];
        [
            corner[0],
            corner[1],
            corner[0] + self.crop[0],
            corner[1] + self.crop[1],
        ]
    }
}

/// Backgrounds or cut-outs that cannot be used.
#[derive(Debug, Error)]
pub enum SceneError {
    #[error("backgrounds {}: no picture is there; give a folder with photographs", folder.display())]
    NoBackground { folder: PathBuf },
    #[error("backgrounds: {0}")]
    List(#[from] WalkError),
    #[error("cut-outs {}: cannot be read ({source}); give a folder with cutouts.csv and masks/", file.display())]
    ReadList { file: PathBuf, source: csv::Error },
    #[error("cut-outs {}, line {line}: {message}; correct or remove the line", file.display())]
    Line {
        file: PathBuf,
        /// From 1.
        line: u64,
        message: String,
    },
    #[error(
        "cut-outs {}: none is of a training image with a class that is learned; give the data set that they were cut from",
        file.display()
    )]
    NoCutout { file: PathBuf },
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// A line of the list; other columns are ignored.
#[derive(Debug, Deserialize)]
struct Row {
    mask: String,
    image_id: String,
    folder: String,
    class_name: String,
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl SceneSource {
    /// Lists the photographs in the folder `backgrounds` and its subfolders, and the cut-outs of the training images.
    ///
    /// # Errors
    /// [`SceneError`]; an unreadable background is left out.
    pub fn read(
        backgrounds: &Path,
        cutouts: Option<&Path>,
        train: &Dataset,
        labels: &Labels,
    ) -> Result<Self, SceneError> {
        let cutouts = cutouts.map(|folder| read_cutouts(folder, train, labels));
        Ok(Self {
            backgrounds: list_backgrounds(backgrounds)?,
            cutouts: cutouts.transpose()?.unwrap_or_default(),
        })
    }

    /// Number of backgrounds and of cut-outs.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.backgrounds.len(), self.cutouts.len())
    }

    /// Hash of all backgrounds and masks, and of where the cut-outs are in their pictures.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: String| hash.update(text + "\n");
        for background in &self.backgrounds {
            // An unreadable file is left out of the training.
            add(file_hash(&background.path).unwrap_or_default());
        }
        for cutout in &self.cutouts {
            add(file_hash(&cutout.mask).unwrap_or_default());
            add(file_hash(&cutout.picture).unwrap_or_default());
            add(format!("{:?} {:?}", cutout.crop, cutout.class));
        }
        format!("{:x}", hash.finalize())
    }

    /// A random scene of one to four cut-outs, or with the probability `empty`, or without any cut-outs, of none.
    pub fn random(&self, empty: f32, random: &mut Rng) -> Scene {
        let background = random.usize(0..self.backgrounds.len());
        let flipped = random.bool();
        let size = self.backgrounds[background].size;
        let mut pasted: Vec<Pasted> = Vec::new();
        let is_empty = random.f32() < empty || self.cutouts.is_empty();
        let count = if is_empty { 0 } else { random.usize(1..=MOST) };
        for _ in 0..count {
            let cutout = random.usize(0..self.cutouts.len());
            let placed = (0..TRIES).find_map(|_| {
                let placed = self.place(cutout, size, random)?;
                let is_free = |other: &Pasted| {
                    let (a, b) = (placed.object.bounding_box, other.object.bounding_box);
                    a.intersection_area(&b) <= COVERED * a.area().min(b.area())
                };
                pasted.iter().all(is_free).then_some(placed)
            });
            pasted.extend(placed);
        }
        Scene {
            background,
            flipped,
            pasted,
        }
    }

    /// A cut-out at a random place in a scene of `width` x `height` pixels.
    fn place(
        &self,
        cutout: usize,
        (width, height): (u32, u32),
        random: &mut Rng,
    ) -> Option<Pasted> {
        let flipped = random.bool();
        let [smallest, largest] = AREA.map(f32::ln);
        let area = (smallest + (largest - smallest) * random.f32()).exp();
        let extent = self.extent(cutout, flipped, area, (width, height));
        let [object_width, object_height] = extent.object;
        let left = random.f32() * (1.0 - object_width).max(0.0);
        let top = random.f32() * (1.0 - object_height).max(0.0);
        Some(Pasted {
            cutout,
            place: Placement {
                crop: extent.crop_at([left, top]),
                flipped,
                brightness: random_brightness(random),
            },
            object: Object {
                class: Some(self.cutouts[cutout].class),
                bounding_box: NormBox::from_regression([
                    left,
                    left + object_width,
                    top,
                    top + object_height,
                ])?,
            },
        })
    }

    /// The size of a cut-out in a picture of `width` x `height` pixels, of which its object's box covers the share `area`, or
    /// less where it would not fit or would be enlarged too much.
    pub(crate) fn extent(
        &self,
        cutout: usize,
        flipped: bool,
        area: f32,
        (width, height): (u32, u32),
    ) -> Extent {
        let source = &self.cutouts[cutout];
        let [mut x_min, mut x_max, y_min, y_max] = source.object.corners();
        if flipped {
            (x_min, x_max) = (1.0 - x_max, 1.0 - x_min);
        }
        // In pixels of the picture that it was cut from.
        let crop = [source.crop.width, source.crop.height].map(|side| side as f32);
        let object = [(x_max - x_min) * crop[0], (y_max - y_min) * crop[1]];
        let scene = [width, height].map(|side| side as f32);
        let scale = (area * scene[0] * scene[1] / (object[0] * object[1])).sqrt();
        let fits = (scene[0] / object[0]).min(scene[1] / object[1]);
        let scale = scale.min(fits).min(LARGEST_SCALE);
        let share = |axis: usize, pixels: f32| scale * pixels / scene[axis];
        let crop = [share(0, crop[0]), share(1, crop[1])];
        Extent {
            object: [share(0, object[0]), share(1, object[1])],
            crop,
            offset: [x_min * crop[0], y_min * crop[1]],
        }
    }

    /// The picture of a scene.
    ///
    /// # Errors
    /// [`PictureError`] if one of its files cannot be read.
    pub fn compose(&self, scene: &Scene) -> Result<RgbImage, PictureError> {
        Ok(self.compose_exactly(scene)?.0)
    }

    /// The picture of a scene, and its objects with the boxes around the pixels that were pasted. Those of
    /// [`Scene::composition`] are known without the pixels, and may differ by rounding.
    ///
    /// # Errors
    /// [`PictureError`] if one of its files cannot be read.
    pub fn compose_exactly(&self, scene: &Scene) -> Result<(RgbImage, Vec<Object>), PictureError> {
        let mut picture = self.open_background(scene.background, scene.flipped)?;
        let size = picture.dimensions();
        let mut objects = Vec::new();
        for pasted in &scene.pasted {
            let cutout = self.open_cutout(pasted.cutout)?;
            let layer = cutout.placed(&pasted.place, size);
            layer.blend(&mut picture);
            let pixels = paste::bounds(layer.object_pixels(size));
            let exact = pixels.and_then(|pixels| paste::as_shares(pixels, size));
            objects.extend(exact.map(|bounding_box| Object {
                bounding_box,
                ..pasted.object
            }));
        }
        Ok((picture, objects))
    }

    /// A random background and its width and height in pixels.
    pub(crate) fn random_background(&self, random: &mut Rng) -> (usize, (u32, u32)) {
        let background = random.usize(0..self.backgrounds.len());
        (background, self.backgrounds[background].size)
    }

    /// A random cut-out and its class; `None` without any.
    pub(crate) fn random_cutout(&self, random: &mut Rng) -> Option<(usize, ClassId)> {
        let index = (!self.cutouts.is_empty()).then(|| random.usize(0..self.cutouts.len()))?;
        Some((index, self.cutouts[index].class))
    }

    pub(crate) fn open_background(
        &self,
        background: usize,
        flipped: bool,
    ) -> Result<RgbImage, PictureError> {
        let picture = picture::open(&self.backgrounds[background].path)?;
        Ok(match flipped {
            true => flip_horizontal(&picture),
            false => picture,
        })
    }

    pub(crate) fn open_cutout(&self, cutout: usize) -> Result<CutoutPixels, PictureError> {
        let Cutout {
            picture,
            mask,
            crop,
            ..
        } = &self.cutouts[cutout];
        CutoutPixels::open(picture, *crop, mask)
    }
}

impl Scene {
    /// What the scene shows: every object has a box. It has no class as a whole, or is a negative.
    #[must_use]
    pub fn composition(&self) -> Composition {
        Composition {
            image_class: match self.pasted.is_empty() {
                true => ImageClass::Negative,
                false => ImageClass::Unknown,
            },
            objects: self.pasted.iter().map(|pasted| pasted.object).collect(),
            incomplete: Vec::new(),
        }
    }
}

/// What the colors of a cut-out are multiplied by.
pub(crate) fn random_brightness(random: &mut Rng) -> f32 {
    1.0 + BRIGHTNESS * (2.0 * random.f32() - 1.0)
}

fn list_backgrounds(folder: &Path) -> Result<Vec<Background>, SceneError> {
    let mut backgrounds = Vec::new();
    let found: Result<Vec<PathBuf>, WalkError> =
        walk::files(folder, usize::MAX, picture::is_image_path)
            .into_iter()
            .collect();
    let mut paths = found?;
    paths.sort();
    for path in paths {
        if let Ok(size) = image::image_dimensions(&path) {
            backgrounds.push(Background { path, size });
        }
    }
    match backgrounds.is_empty() {
        true => Err(SceneError::NoBackground {
            folder: folder.to_owned(),
        }),
        false => Ok(backgrounds),
    }
}

fn read_cutouts(
    folder: &Path,
    train: &Dataset,
    labels: &Labels,
) -> Result<Vec<Cutout>, SceneError> {
    let file = folder.join(LIST);
    let of_train: BTreeMap<(&str, &str), &Path> = train
        .pictures
        .iter()
        .filter_map(|picture| {
            let id = picture.path.file_stem()?.to_str()?;
            Some(((picture.folder.as_str(), id), picture.path.as_path()))
        })
        .collect();
    let unreadable = |source| SceneError::ReadList {
        file: file.clone(),
        source,
    };
    let mut reader = csv::Reader::from_path(&file).map_err(unreadable)?;
    let mut cutouts = Vec::new();
    let header = reader.headers().map_err(unreadable)?.clone();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |message: String| SceneError::Line {
            file: file.clone(),
            line,
            message,
        };
        let row: Row = record
            .deserialize(Some(&header))
            .map_err(|error| wrong(error.to_string()))?;
        let picture = of_train.get(&(row.folder.as_str(), row.image_id.as_str()));
        let (Some(picture), Some(class)) = (picture, labels.find(&row.class_name)) else {
            continue;
        };
        if row.left >= row.right || row.top >= row.bottom {
            return Err(wrong("its crop has no extent".to_owned()));
        }
        let mask = folder.join(MASKS).join(&row.mask);
        // An empty mask shows nothing.
        if let Some(object) = opaque_part(&open_mask(&mask)?) {
            cutouts.push(Cutout {
                picture: (*picture).to_owned(),
                mask,
                crop: Rect {
                    x: row.left,
                    y: row.top,
                    width: row.right - row.left,
                    height: row.bottom - row.top,
                },
                class,
                object,
            });
        }
    }
    match cutouts.is_empty() {
        true => Err(SceneError::NoCutout { file }),
        false => Ok(cutouts),
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Rgb};

    use super::*;

    /// A data set of one red picture with a class `apple`, black backgrounds, and a cut-out of its right half whose mask is
    /// a rectangle.
    struct Files {
        folder: tempfile::TempDir,
        train: Dataset,
    }

    const LINES: &str = "mask,row,image_id,folder,class_name,left,top,right,bottom,mask_box_iou\n\
                         0.png,0,a,apple,apple,40,0,80,60,0.9\n\
                         0.png,1,elsewhere,apple,apple,40,0,80,60,0.9\n\
                         0.png,2,a,apple,pear,40,0,80,60,0.9\n";

    fn files(lines: &str) -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["train/apple", "masks", "shops/one", "shops/two"] {
            std::fs::create_dir_all(at(path)).expect("created");
        }
        let save = |image: RgbImage, path: &str| image.save(at(path)).expect("written");
        save(
            RgbImage::from_pixel(80, 60, Rgb([200, 0, 0])),
            "train/apple/a.png",
        );
        save(RgbImage::new(120, 90), "shops/one/1.png");
        save(RgbImage::new(90, 120), "shops/two/2.png");
        // The object is in the middle half of the mask, both ways.
        let mask = GrayImage::from_fn(20, 30, |x, y| {
            let inside = (5..15).contains(&x) && (10..25).contains(&y);
            image::Luma([if inside { 255 } else { 0 }])
        });
        mask.save(at("masks/0.png")).expect("written");
        std::fs::write(at("cutouts.csv"), lines).expect("written");
        let csv = at("boxes.csv");
        let columns = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";
        std::fs::write(&csv, columns.to_owned() + "a,0,1,0,1,apple,apple\n").expect("written");
        let train = Dataset::read(&at("train"), &csv).expect("readable");
        Files { folder, train }
    }

    fn labels() -> Labels {
        Labels::new(vec!["apple".to_owned()]).expect("valid labels")
    }

    fn read(files: &Files) -> Result<SceneSource, SceneError> {
        let shops = files.folder.path().join("shops");
        SceneSource::read(&shops, Some(files.folder.path()), &files.train, &labels())
    }

    #[test]
    fn only_cutouts_of_training_images_and_learned_classes_are_used() {
        assert_eq!(read(&files(LINES)).expect("readable").counts(), (2, 1));
        let header = LINES.lines().next().expect("a header");
        let none = read(&files(&format!("{header}\n"))).expect_err("none is left");
        assert!(none.to_string().contains("none is of a training image"));
        let wrong = format!("{header}\n0.png,0,a,apple,apple,80,0,40,60,0.9\n");
        let wrong = read(&files(&wrong)).expect_err("no extent").to_string();
        assert!(wrong.contains("line 2: its crop has no extent"), "{wrong}");
        let wrong = format!("{header}\n0.png,0,a,apple,apple,left,0,40,60,0.9\n");
        let wrong = read(&files(&wrong)).expect_err("a word").to_string();
        assert!(wrong.contains("line 2"), "{wrong}");
        let files = files(LINES);
        let nowhere = files.folder.path().join("nowhere");
        let nothing = SceneSource::read(&nowhere, None, &files.train, &labels());
        assert!(matches!(nothing, Err(SceneError::List(_))));
        let empty = files.folder.path().join("empty");
        std::fs::create_dir(&empty).expect("created");
        let nothing = SceneSource::read(&empty, None, &files.train, &labels());
        assert!(matches!(nothing, Err(SceneError::NoBackground { .. })));
    }

    #[test]
    fn the_box_of_a_pasted_object_is_that_of_its_pixels() {
        let files = files(LINES);
        let source = read(&files).expect("readable");
        let random = &mut Rng::with_seed(8);
        let (mut single, mut largest, mut smallest) = (0, 0.0f32, 1.0f32);
        for _ in 0..120 {
            let scene = source.random(0.2, random);
            let composition = scene.composition();
            assert!(scene.pasted.len() <= MOST);
            let (picture, exact) = source.compose_exactly(&scene).expect("readable");
            assert_eq!(exact.len(), composition.objects.len());
            let red: Vec<(u32, u32)> = picture
                .enumerate_pixels()
                .filter(|(_, _, pixel)| pixel.0[0] >= 80)
                .map(|(x, y, _)| (x, y))
                .collect();
            match composition.objects.as_slice() {
                [] => {
                    assert_eq!(composition.image_class, ImageClass::Negative);
                    assert!(red.is_empty());
                }
                [object] => {
                    assert_eq!(composition.image_class, ImageClass::Unknown);
                    single += 1;
                    let area = object.bounding_box.area();
                    (smallest, largest) = (smallest.min(area), largest.max(area));
                    let (width, height) = picture.dimensions();
                    let xs = red.iter().map(|(x, _)| *x);
                    let ys = red.iter().map(|(_, y)| *y);
                    let found = [
                        xs.clone().min().expect("pixels") as f32,
                        xs.max().expect("pixels") as f32 + 1.0,
                        ys.clone().min().expect("pixels") as f32,
                        ys.max().expect("pixels") as f32 + 1.0,
                    ];
                    let in_pixels = |object: &Object| {
                        let sides = [width, width, height, height];
                        let corners = object.bounding_box.corners().into_iter().zip(sides);
                        corners.map(|(corner, side)| corner * side as f32)
                    };
                    for (found, expected) in found.into_iter().zip(in_pixels(object)) {
                        assert!((found - expected).abs() < 2.6, "{found} {expected}");
                    }
                    // Half opaque pixels are darker, so that the bright ones may miss the last.
                    for (found, exact) in found.into_iter().zip(in_pixels(&exact[0])) {
                        assert!((found - exact).abs() < 1.1, "{found} {exact}");
                    }
                }
                _ => {}
            }
        }
        assert!(single > 15, "{single}");
        assert!(smallest < 0.06 && largest > 0.15, "{smallest} {largest}");
    }

    #[test]
    fn without_cutouts_every_scene_is_a_negative_and_seeds_repeat() {
        let files = files(LINES);
        let shops = files.folder.path().join("shops");
        let source = SceneSource::read(&shops, None, &files.train, &labels()).expect("readable");
        let scene = source.random(0.0, &mut Rng::with_seed(1));
        assert_eq!(scene.composition().image_class, ImageClass::Negative);
        let source = read(&files).expect("readable");
        let draw = |seed| source.random(0.0, &mut Rng::with_seed(seed));
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        let hash = source.hash();
        std::fs::write(shops.join("one/1.png"), b"other").expect("written");
        assert_ne!(hash, source.hash());
    }
}
