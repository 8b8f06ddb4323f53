//! Reads a small data set of every format, and data sets with every kind of invalid file.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use boxcam::scene::{Scene, random_scene};
use image::ImageFormat;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// Width and height of the pictures in pixels.
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

/// The ground-truth box of a scene in pixels: left, right, top, bottom.
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

/// A LabelMe file of a scene.
fn labelme(seed: u64) -> Value {
    let [left, right, top, bottom] = pixels(seed);
    json!({
        "version": "5.5.0",
        "flags": {},
        "shapes": [{ "label": scene(seed).truth[0].label, "points": [[left, top], [right, bottom]], "group_id": null,
            "shape_type": "rectangle", "flags": {} }],
        "imagePath": format!("..\\images\\{seed}.jpg"),
        "imageData": "/9j/4AAQ",
        "imageHeight": SIZE.1,
        "imageWidth": SIZE.0,
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

/// A data set with scene 1 in train and scene 2 in val, each with its box.
fn written(format: DatasetFormat) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (seed, split) in [(1, SplitName::Train), (2, SplitName::Val)] {
        let label = &scene(seed).truth[0].label;
        let (picture, file, text) = match format {
            DatasetFormat::Chapter => {
                let csv = format!("{CHAPTER}{}", chapter(seed));
                (
                    format!("{split}/{label}/{seed}.jpg"),
                    format!("annotations-{split}.csv"),
                    csv,
                )
            }
            DatasetFormat::Coco => {
                let mut all = coco();
                for list in ["images", "annotations"] {
                    let list = all[list].as_array_mut().expect("a list");
                    list.retain(|one| one["id"] == seed || one["id"] == seed + 100);
                }
                let file = format!("annotations/instances_{split}2017.json");
                (format!("{split}2017/{seed}.jpg"), file, all.to_string())
            }
            DatasetFormat::LabelMe => (
                format!("{split}/{seed}.jpg"),
                format!("{split}/{seed}.json"),
                labelme(seed).to_string(),
            ),
            DatasetFormat::Voc => {
                put(
                    root,
                    &format!("ImageSets/Main/{split}.txt"),
                    format!("{seed}\n"),
                );
                (
                    format!("JPEGImages/{seed}.jpg"),
                    format!("Annotations/{seed}.xml"),
                    voc(seed),
                )
            }
            DatasetFormat::Yolo => {
                put(
                    root,
                    "data.yaml",
                    format!("train: images/train\nnames: {SNACKS_BY_ID:?}\n"),
                );
                (
                    format!("images/{split}/{seed}.jpg"),
                    format!("labels/{split}/{seed}.txt"),
                    yolo(seed),
                )
            }
            DatasetFormat::OpenImages => {
                let names = SNACKS_BY_ID
                    .iter()
                    .enumerate()
                    .map(|(id, name)| format!("/m/{id},{name}\n"));
                put(
                    root,
                    "class-descriptions-boxable.csv",
                    names.collect::<String>(),
                );
                let file = format!("oidv6-{split}-annotations-bbox.csv");
                (
                    format!("{split}/{seed}.jpg"),
                    file,
                    format!("{OPEN_IMAGES}{}", open_images(seed)),
                )
            }
            DatasetFormat::Folders => (
                format!("{split}/{label}/{seed}.jpg"),
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
fn every_format_is_detected_and_read_alike() {
    for format in DatasetFormat::ALL {
        let folder = written(format);
        let (found, dataset) = read(folder.path()).expect("readable");
        assert_eq!(found, format);
        assert!(
            dataset.issues.is_empty(),
            "{format:?}: {:?}",
            dataset.issues
        );
        assert_eq!(dataset.pictures.len(), 2, "{format:?}");
        for (seed, split) in [(1, SplitName::Train), (2, SplitName::Val)] {
            let name = format!("{seed}.jpg");
            let mut pictures = dataset.pictures.iter();
            let picture = pictures
                .find(|picture| picture.path.ends_with(&name))
                .expect("there");
            let truth = &scene(seed).truth[0];
            assert_eq!(picture.split, Some(split), "{format:?}");
            assert_eq!(picture.class(), Some(truth.label.as_str()), "{format:?}");
            let corners = picture
                .boxes
                .iter()
                .flat_map(|row| row.bounding_box.corners());
            let pairs: Vec<(f32, f32)> = corners.zip(truth.bounding_box.corners()).collect();
            assert_eq!(
                pairs.len(),
                if format == DatasetFormat::Folders {
                    0
                } else {
                    4
                }
            );
            assert!(
                pairs.iter().all(|(a, b)| (a - b).abs() < 1e-5),
                "{format:?}: {pairs:?}"
            );
        }
    }
}

#[test]
fn coco_crowds_are_skipped_and_scaled_pictures_are_read() {
    let folder = written(DatasetFormat::Coco);
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
    let labeled = dataset
        .pictures
        .iter()
        .find_map(LabeledPicture::largest_box)
        .expect("a box");
    let truth = scene(1).truth[0].bounding_box;
    assert!(boxcam::geometry::iou(&labeled.bounding_box, &truth) > 0.999);
}

#[test]
fn an_unreadable_picture_is_an_issue_if_its_size_is_needed() {
    for (format, picture) in [
        (DatasetFormat::Coco, "train2017/1.jpg"),
        (DatasetFormat::Voc, "JPEGImages/1.jpg"),
    ] {
        let message = message_for(format, picture, "no picture");
        assert!(
            message.contains("1.jpg: is not a JPEG, PNG, WebP or BMP file"),
            "{message}"
        );
    }
}

#[test]
fn folders_without_a_data_set_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let refused = |path: &Path| read(path).expect_err("refused").to_string();
    assert!(refused(&root.join("nowhere")).contains("is not a folder"));
    assert!(refused(root).contains("has no format that boxcam-train knows"));
    put_picture(root, "alone.jpg", 1);
    assert!(
        refused(root).contains("has no format that boxcam-train knows"),
        "a picture without a class"
    );
    put_picture(root, "cup/a.jpg", 1);
    assert_eq!(detect(root).expect("detected").0, DatasetFormat::Folders);
    put(root, "cup/a.xml", voc(1));
    put(root, "classes.txt", "cup\n");
    put(root, "cup/b.txt", "0 0.5 0.5 0.2 0.2\n");
    let message = refused(root);
    assert!(
        message.contains("(voc, yolo); choose one with --format"),
        "{message}"
    );
    assert_eq!(
        read_as(DatasetFormat::Folders, root)
            .expect("readable")
            .pictures
            .len(),
        1
    );
}

#[test]
fn pictures_of_formats_that_are_not_read_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    put(root, "cup/b.heic", "HEIC");
    put(root, "cup/c.heic", "HEIC");
    let message = read(root).expect_err("nothing to read").to_string();
    assert!(
        message.contains("has no pictures that boxcam reads; 2 HEIC files are not read"),
        "{message}"
    );
    put_picture(root, "cup/a.jpg", 1);
    let (format, dataset) = read(root).expect("readable");
    assert_eq!(
        (format, dataset.pictures.len()),
        (DatasetFormat::Folders, 1)
    );
    let issues: Vec<String> = dataset.issues.iter().map(ToString::to_string).collect();
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert!(
        issues[0].starts_with("2 HEIC files are not read"),
        "{issues:?}"
    );
}

#[test]
fn a_data_set_in_a_subfolder_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = written(DatasetFormat::Voc);
    let below = folder.path().join("VOCdevkit/VOC2012");
    fs::create_dir_all(below.parent().expect("has one")).expect("made");
    fs::rename(inner.path(), &below).expect("moved");
    assert_eq!(
        detect(folder.path()).expect("detected"),
        (DatasetFormat::Voc, below)
    );
}

#[test]
fn the_largest_box_names_a_picture_without_a_folder() {
    let folder = written(DatasetFormat::Yolo);
    put(
        folder.path(),
        "labels/train/1.txt",
        "3 0.5 0.5 0.2 0.2\n4 0.5 0.5 0.4 0.4\n5 0.5 0.5 0.4 0.4\n",
    );
    let (_, dataset) = read(folder.path()).expect("readable");
    let picture = dataset
        .pictures
        .iter()
        .find(|picture| picture.split == Some(SplitName::Train));
    assert_eq!(
        picture.and_then(LabeledPicture::class),
        Some(SNACKS_BY_ID[4])
    );
}

/// The message about a data set with one file replaced: its error, or its only issue.
fn message_for(format: DatasetFormat, file: &str, text: &str) -> String {
    let folder = written(format);
    put(folder.path(), file, text);
    match read(folder.path()) {
        Err(error) => error.to_string(),
        Ok((_, dataset)) => {
            assert_eq!(dataset.issues.len(), 1, "{text}: {:?}", dataset.issues);
            dataset.issues[0].to_string()
        }
    }
}

fn check(format: DatasetFormat, file: &str, cases: &[(String, &[&str])]) {
    for (text, expected) in cases {
        let message = message_for(format, file, text);
        for part in *expected {
            assert!(message.contains(part), "expected \"{part}\" in: {message}");
        }
    }
}

#[test]
fn errors_in_coco_are_located() {
    let file = "annotations/instances_train2017.json";
    let of = |list: &str, key: &str, value: Value| {
        let mut all = coco();
        for list in ["images", "annotations"] {
            all[list].as_array_mut().expect("a list").truncate(1);
        }
        all["annotations"][0]["segmentation"] = json!([]);
        all[list][0][key] = value;
        all.to_string()
    };
    let whole = coco().to_string();
    let location = "annotations[0] (id 101)";
    check(
        DatasetFormat::Coco,
        file,
        &[
            (
                whole[..whole.len() / 2].to_owned(),
                &["train2017.json, line 1", "not valid COCO JSON", "EOF"],
            ),
            (
                whole.replace("\"categories\"", "\"kinds\""),
                &["line 1", "missing field `categories`"],
            ),
            (
                of("annotations", "category_id", json!(99)),
                &[location, "class 99 has no name"],
            ),
            (
                of("annotations", "image_id", json!(7)),
                &[location, "image 7 is not in \"images\""],
            ),
            (
                of("annotations", "bbox", json!([1, 2, 3])),
                &[location, "has 3 fields, expected 4"],
            ),
            (
                of("annotations", "bbox", json!([1, "two", 3, 4])),
                &[location, "bbox is \"two\"", "a number"],
            ),
            (
                of("annotations", "bbox", json!([9, 9, 0, 4])),
                &[location, "begins and ends at 9 in x"],
            ),
            (
                of("annotations", "bbox", json!([100, 9, 80, 4])),
                &[location, "from 100 to 180 in x"],
            ),
            (
                of("annotations", "bbox", Value::Null),
                &[location, "has no bbox"],
            ),
            (
                of("images", "file_name", json!("gone.jpg")),
                &["images[0] (id 1)", "gone.jpg is missing"],
            ),
            (
                of("images", "file_name", Value::Null),
                &["images[0] (id 1)", "has no file_name"],
            ),
            (
                of("images", "height", json!(77)),
                &[
                    "images[0] (id 1)",
                    "give 160 x 77 pixels for",
                    "but it has 160 x 120",
                ],
            ),
        ],
    );
}

#[test]
fn errors_in_voc_are_located() {
    let whole = voc(1);
    let [_, right, ..] = pixels(1);
    let name = &scene(1).truth[0].label;
    check(
        DatasetFormat::Voc,
        "Annotations/1.xml",
        &[
            (
                whole[..whole.len() / 2].to_owned(),
                &["1.xml, line", "not valid XML"],
            ),
            (
                whole.replace("<width>160", "<width>77"),
                &["1.xml", "give 77 x 120 pixels for", "but it has 160 x 120"],
            ),
            (
                whole.replace("<ymax>", "<ymax>NaN"),
                &["1.xml, line 4", "ymax is \"NaN"],
            ),
            (
                whole.replace(&format!("<name>{name}</name>"), ""),
                &["1.xml, line 4", "has no <name>"],
            ),
            (
                whole.replace("bndbox>", "box>"),
                &["1.xml, line 4", "has no <bndbox>"],
            ),
            (
                whole.replace("ymax>", "ymx>"),
                &["1.xml, line 4", "has no ymax"],
            ),
            (
                whole.replace(&format!("<xmax>{right}"), "<xmax>170"),
                &["1.xml, line 4", "to 170 in x, the picture from 0 to 160"],
            ),
        ],
    );
    let folder = written(DatasetFormat::Voc);
    fs::remove_file(folder.path().join("JPEGImages/1.jpg")).expect("there");
    let (_, dataset) = read(folder.path()).expect("readable");
    assert!(dataset.issues[0].to_string().contains("1.jpg is missing"));
}

#[test]
fn errors_in_yolo_are_located() {
    let file = "labels/train/1.txt";
    let sound = yolo(1);
    let after = |line: &str| format!("{sound}{line}\n");
    check(
        DatasetFormat::Yolo,
        file,
        &[
            (
                after("3 0.5 0.5 0.2"),
                &["labels/train/1.txt, line 2", "has 4 fields, expected 5"],
            ),
            (
                after("3 0.1 0.1 0.2 0.1 0.2 0.2 0.1"),
                &["line 2", "has 8 fields", "at least 3 points"],
            ),
            (
                after("20 0.5 0.5 0.2 0.2"),
                &["line 2", "class 20 has no name", "20 names, counted from 0"],
            ),
            (
                after("cup 0.5 0.5 0.2 0.2"),
                &["line 2", "class cup has no name"],
            ),
            (
                after("3 0.5 half 0.2 0.2"),
                &["line 2", "y is \"half\", expected a number"],
            ),
            (
                after("3 0.9 0.5 0.4 0.2"),
                &["line 2", "in x, the picture from 0 to 1"],
            ),
            (
                after("3 80 60 20 20"),
                &["line 2", "in x, the picture from 0 to 1"],
            ),
            (
                after("3 0.5 0.5 0.0 0.2"),
                &["line 2", "begins and ends at 0.5 in x"],
            ),
            (after("3 NaN 0.5 0.4 0.2"), &["line 2", "expected a number"]),
        ],
    );
    check(
        DatasetFormat::Yolo,
        "data.yaml",
        &[
            (
                "names: [a,\n b\nnc: 2".to_owned(),
                &["data.yaml, line", "not valid YAML with class names"],
            ),
            (
                "nc: 2\nnames: 7".to_owned(),
                &["data.yaml, line 2", "expected names: [first, second]"],
            ),
        ],
    );
    let message = message_for(
        DatasetFormat::Yolo,
        "labels/val/9.txt",
        "0 0.5 0.5 0.1 0.1\n",
    );
    assert!(
        message.contains("labels/val/9.txt") && message.contains("images/val/9.jpg is missing"),
        "{message}"
    );
    let folder = written(DatasetFormat::Yolo);
    fs::remove_file(folder.path().join("data.yaml")).expect("there");
    let error = read(folder.path()).expect_err("no names").to_string();
    assert!(
        error.contains("no names for its classes; add data.yaml"),
        "{error}"
    );
    put(folder.path(), "classes.txt", SNACKS_BY_ID.join("\n"));
    assert_eq!(read(folder.path()).expect("readable").1.classes.len(), 20);
}

#[test]
fn errors_in_open_images_are_located() {
    let file = "oidv6-train-annotations-bbox.csv";
    let csv = |row: &str| format!("{OPEN_IMAGES}{}{row}\n", open_images(1));
    let location = "oidv6-train-annotations-bbox.csv, line 3";
    check(
        DatasetFormat::OpenImages,
        file,
        &[
            (
                csv("1,x,/m/1,1,0.2,0.2,0.1,0.2,0"),
                &[location, "begins and ends at 0.2 in x"],
            ),
            (
                csv("1,x,/m/1,1,0.8,1.2,0.1,0.2,0"),
                &[location, "in x, the picture from 0 to 1"],
            ),
            (
                csv("1,x,/m/1,1,left,0.2,0.1,0.2,0"),
                &[location, "XMin is \"left\", expected a number"],
            ),
            (
                csv("1,x,,1,0.1,0.2,0.1,0.2,0"),
                &[location, "has no LabelName"],
            ),
            (csv("1,x,/m/1"), &[location, "has 3 fields"]),
            (
                csv("7,x,/m/1,1,0.1,0.2,0.1,0.2,0\n8,x,/m/1,1,0.1,0.2,0.1,0.2,0"),
                &[location, "7.jpg is missing", "1 more rows"],
            ),
            (
                csv("").replace("YMax", "Bottom"),
                &["bbox.csv, line 1", "has no column \"YMax\""],
            ),
        ],
    );
}

#[test]
fn errors_in_a_prepared_data_set_are_located() {
    let csv = |row: &str| format!("{CHAPTER}{}{row}\n", chapter(1));
    let location = "annotations-train.csv, line 3";
    check(
        DatasetFormat::Chapter,
        "annotations-train.csv",
        &[
            (
                csv(&format!(
                    "1,0.1,1.2,0.1,0.2,cake,{}",
                    scene(1).truth[0].label
                )),
                &[location, "x_max is 1.2"],
            ),
            (
                csv("gone,0.1,0.2,0.1,0.2,cake,cake"),
                &[location, "gone.jpg is missing"],
            ),
            (
                csv("").replace("x_min", "left"),
                &["annotations-train.csv", "no column \"x_min\""],
            ),
        ],
    );
}
