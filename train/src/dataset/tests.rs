//! Every format, written small, read back; and every way in which a person's files are broken.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use boxcam::scene::{Scene, random_scene};
use image::ImageFormat;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

mod broken;

use broken::said;

/// Width and height of the pictures here.
const SIZE: (u32, u32) = (160, 120);

fn scene(seed: u64) -> Scene {
    random_scene(seed, SIZE.0, SIZE.1)
}

fn put(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("below root")).expect("made");
    fs::write(path, bytes).expect("written");
}

fn put_picture(root: &Path, name: &str, seed: u64) {
    let mut bytes = Cursor::new(Vec::new());
    scene(seed)
        .image
        .write_to(&mut bytes, ImageFormat::Jpeg)
        .expect("encoded");
    put(root, name, bytes.into_inner());
}

/// The true box of a scene in pixels: left, right, top, bottom.
fn pixels(seed: u64) -> [f64; 4] {
    let [x_min, x_max, y_min, y_max] = scene(seed).truth[0].bounding_box.corners().map(f64::from);
    let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
    [x_min * width, x_max * width, y_min * height, y_max * height]
}

/// A COCO file of scenes 1 and 2.
fn coco() -> Value {
    let annotation = |seed: u64| {
        let [left, right, top, bottom] = pixels(seed);
        let class = SNACKS_BY_ID
            .iter()
            .position(|name| *name == scene(seed).truth[0].label);
        json!({ "id": seed + 100, "image_id": seed, "category_id": class, "iscrowd": 0,
            "segmentation": [[1, 2, 3, 4]], "bbox": [left, top, right - left, bottom - top] })
    };
    let image = |seed: u64| json!({ "id": seed, "file_name": format!("{seed}.jpg"), "width": SIZE.0, "height": SIZE.1 });
    let category =
        |(id, name): (usize, &&str)| json!({ "id": id, "name": name, "supercategory": "food" });
    json!({
        "info": {},
        "images": [image(1), image(2)],
        "annotations": [annotation(1), annotation(2)],
        "categories": SNACKS_BY_ID.iter().enumerate().map(category).collect::<Vec<_>>(),
    })
}

const SNACKS_BY_ID: [&str; 20] = boxcam::scene::SNACKS;

fn class_id(seed: u64) -> usize {
    let label = &scene(seed).truth[0].label;
    SNACKS_BY_ID
        .iter()
        .position(|name| name == label)
        .expect("a snack")
}

fn voc(seed: u64) -> String {
    let [left, right, top, bottom] = pixels(seed);
    format!(
        "<annotation>\n<filename>{seed}.jpg</filename>\n<size><width>{}</width><height>{}</height></size>\n\
         <object>\n<name>{}</name>\n<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{right}</xmax>\
         <ymax>{bottom}</ymax></bndbox>\n</object>\n</annotation>\n",
        SIZE.0,
        SIZE.1,
        scene(seed).truth[0].label,
        left + 1.0,
        top + 1.0
    )
}

fn yolo(seed: u64) -> String {
    let [x_min, x_max, y_min, y_max] = scene(seed).truth[0].bounding_box.corners();
    let (x, y) = ((x_min + x_max) / 2.0, (y_min + y_max) / 2.0);
    format!(
        "{} {x} {y} {} {}\n",
        class_id(seed),
        x_max - x_min,
        y_max - y_min
    )
}

const OPEN_IMAGES: &str = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded\n";

fn open_images(seed: u64) -> String {
    let [x_min, x_max, y_min, y_max] = scene(seed).truth[0].bounding_box.corners();
    format!(
        "{seed},xclick,/m/{},1,{x_min},{x_max},{y_min},{y_max},0\n",
        class_id(seed)
    )
}

fn chapter(seed: u64) -> String {
    let [x_min, x_max, y_min, y_max] = scene(seed).truth[0].bounding_box.corners();
    let label = &scene(seed).truth[0].label;
    format!("{seed},{x_min},{x_max},{y_min},{y_max},{label},{label}\n")
}

const CHAPTER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

/// Scenes 1 (train) and 2 (val) in a format, each with its box.
fn written(format: Format) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (seed, part) in [(1, Part::Train), (2, Part::Val)] {
        let label = &scene(seed).truth[0].label;
        let (picture, file, text) = match format {
            Format::Chapter => {
                let csv = format!("{CHAPTER}{}", chapter(seed));
                (
                    format!("{part}/{label}/{seed}.jpg"),
                    format!("annotations-{part}.csv"),
                    csv,
                )
            }
            Format::Coco => {
                let mut all = coco();
                for list in ["images", "annotations"] {
                    let list = all[list].as_array_mut().expect("a list");
                    list.retain(|one| one["id"] == seed || one["id"] == seed + 100);
                }
                let file = format!("annotations/instances_{part}2017.json");
                (format!("{part}2017/{seed}.jpg"), file, all.to_string())
            }
            Format::Voc => {
                put(
                    root,
                    &format!("ImageSets/Main/{part}.txt"),
                    format!("{seed}\n"),
                );
                (
                    format!("JPEGImages/{seed}.jpg"),
                    format!("Annotations/{seed}.xml"),
                    voc(seed),
                )
            }
            Format::Yolo => {
                put(
                    root,
                    "data.yaml",
                    format!("train: images/train\nnames: {SNACKS_BY_ID:?}\n"),
                );
                (
                    format!("images/{part}/{seed}.jpg"),
                    format!("labels/{part}/{seed}.txt"),
                    yolo(seed),
                )
            }
            Format::OpenImages => {
                let names = SNACKS_BY_ID
                    .iter()
                    .enumerate()
                    .map(|(id, name)| format!("/m/{id},{name}\n"));
                put(
                    root,
                    "class-descriptions-boxable.csv",
                    names.collect::<String>(),
                );
                let file = format!("oidv6-{part}-annotations-bbox.csv");
                (
                    format!("{part}/{seed}.jpg"),
                    file,
                    format!("{OPEN_IMAGES}{}", open_images(seed)),
                )
            }
            Format::Folders => (
                format!("{part}/{label}/{seed}.jpg"),
                "README.txt".to_owned(),
                String::new(),
            ),
        };
        put_picture(root, &picture, seed);
        put(root, &file, text);
    }
    folder
}

#[test]
fn every_format_is_told_and_read_alike() {
    for format in Format::ALL {
        let folder = written(format);
        let (found, dataset) = read(folder.path()).expect("readable");
        assert_eq!(found, format);
        assert!(
            dataset.faults.is_empty(),
            "{format:?}: {:?}",
            dataset.faults
        );
        assert_eq!(dataset.pictures.len(), 2, "{format:?}");
        for (seed, part) in [(1, Part::Train), (2, Part::Val)] {
            let name = format!("{seed}.jpg");
            let mut pictures = dataset.pictures.iter();
            let picture = pictures
                .find(|picture| picture.path.ends_with(&name))
                .expect("there");
            let truth = &scene(seed).truth[0];
            assert_eq!(picture.part, Some(part), "{format:?}");
            assert_eq!(picture.class(), Some(truth.label.as_str()), "{format:?}");
            let corners = picture
                .rows
                .iter()
                .flat_map(|row| row.bounding_box.corners());
            let pairs: Vec<(f32, f32)> = corners.zip(truth.bounding_box.corners()).collect();
            assert_eq!(pairs.len(), if format == Format::Folders { 0 } else { 4 });
            assert!(
                pairs.iter().all(|(a, b)| (a - b).abs() < 1e-5),
                "{format:?}: {pairs:?}"
            );
        }
    }
}

#[test]
fn coco_crowds_and_scaled_pictures_go_by_their_rules() {
    let folder = written(Format::Coco);
    let mut all = coco();
    all["annotations"][1]["iscrowd"] = json!(1);
    for key in ["width", "height"] {
        all["images"][0][key] = json!(all["images"][0][key].as_u64().expect("a number") * 2);
    }
    let bbox = all["annotations"][0]["bbox"]
        .as_array_mut()
        .expect("a list");
    for number in bbox {
        *number = json!(number.as_f64().expect("a number") * 2.0);
    }
    put(
        folder.path(),
        "annotations/instances_train2017.json",
        all.to_string(),
    );
    fs::remove_file(folder.path().join("annotations/instances_val2017.json")).expect("there");
    let (_, dataset) = read(folder.path()).expect("readable");
    assert!(dataset.notes[0].contains("1 crowds"), "{:?}", dataset.notes);
    let row = dataset
        .pictures
        .iter()
        .find_map(Picture::largest)
        .expect("a row");
    let truth = scene(1).truth[0].bounding_box;
    assert!(boxcam::geometry::iou(&row.bounding_box, &truth) > 0.999);
}

#[test]
fn a_picture_that_is_none_is_a_fault_where_its_size_is_needed() {
    for (format, picture) in [
        (Format::Coco, "train2017/1.jpg"),
        (Format::Voc, "JPEGImages/1.jpg"),
    ] {
        let said = said(format, picture, "no picture");
        assert!(
            said.contains("1.jpg: is no picture that boxcam reads"),
            "{said}"
        );
    }
}

#[test]
fn folders_that_are_no_data_set_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let refused = |path: &Path| read(path).expect_err("refused").to_string();
    assert!(refused(&root.join("nowhere")).contains("is no folder"));
    assert!(refused(root).contains("is in no layout"));
    put_picture(root, "alone.jpg", 1);
    assert!(
        refused(root).contains("is in no layout"),
        "a picture without a class"
    );
    put_picture(root, "cup/a.jpg", 1);
    assert_eq!(detect(root).expect("told").0, Format::Folders);
    put(root, "cup/a.xml", voc(1));
    put(root, "classes.txt", "cup\n");
    let said = refused(root);
    assert!(
        said.contains("(voc, yolo); say which with --format"),
        "{said}"
    );
    assert_eq!(
        read_as(Format::Folders, root)
            .expect("readable")
            .pictures
            .len(),
        1
    );
}

#[test]
fn a_data_set_in_a_folder_of_its_own_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = written(Format::Voc);
    let below = folder.path().join("VOCdevkit/VOC2012");
    fs::create_dir_all(below.parent().expect("has one")).expect("made");
    fs::rename(inner.path(), &below).expect("moved");
    assert_eq!(detect(folder.path()).expect("told"), (Format::Voc, below));
}

#[test]
fn the_largest_box_names_a_picture_without_a_folder() {
    let folder = written(Format::Yolo);
    put(
        folder.path(),
        "labels/train/1.txt",
        "3 0.5 0.5 0.2 0.2\n4 0.5 0.5 0.4 0.4\n5 0.5 0.5 0.4 0.4\n",
    );
    let (_, dataset) = read(folder.path()).expect("readable");
    let picture = dataset
        .pictures
        .iter()
        .find(|picture| picture.part == Some(Part::Train));
    assert_eq!(picture.and_then(Picture::class), Some(SNACKS_BY_ID[4]));
}
