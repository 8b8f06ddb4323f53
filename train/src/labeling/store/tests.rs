//! The store on real folders: what is imported, what is written, and what `data convert` reads of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use boxcam::geometry::{NormBox, iou};
use image::{Rgb, RgbImage};

use super::*;
use crate::dataset::label_file::FILE_NAME;
use crate::dataset::{self, DatasetFormat};
use crate::labeling::{OpenError, StartOptions, open};

const SIZE: (u32, u32) = (160, 120);

fn folder(pictures: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("created");
    for name in pictures {
        let shade = name.len() as u8;
        save(
            &folder.path().join(name),
            &RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([shade; 3])),
        );
    }
    folder
}

fn save(path: &Path, image: &RgbImage) {
    fs::create_dir_all(path.parent().expect("has one")).expect("created");
    image.save(path).expect("written");
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("has one")).expect("created");
    fs::write(path, text).expect("written");
}

fn opened(folder: &tempfile::TempDir) -> Store {
    open(folder.path(), &StartOptions::default())
        .expect("opened")
        .0
}

fn with_classes(folder: &tempfile::TempDir, classes: &[&str]) -> Store {
    let options = StartOptions {
        classes: classes.iter().map(|&name| name.to_owned()).collect(),
        ..StartOptions::default()
    };
    open(folder.path(), &options).expect("opened").0
}

fn boxes(boxes: &[(&str, [f64; 4])], exhaustive: Option<bool>) -> PictureLabels {
    let labeled = boxes.iter().map(|(class, bounds)| LabelBox {
        class: (*class).to_owned(),
        bounds: *bounds,
    });
    PictureLabels::Boxes {
        boxes: labeled.collect(),
        exhaustive,
    }
}

#[track_caller]
fn change(store: &mut Store, index: usize, labels: PictureLabels) -> PictureState {
    let revision = store.state(index).expect("readable").revision;
    store
        .set(index, Change { revision, labels })
        .expect("stored")
}

fn labels_of(store: &mut Store, name: &str) -> PictureLabels {
    let index = store
        .pictures
        .iter()
        .position(|picture| picture.name == name);
    store.state(index.expect(name)).expect("readable").labels
}

/// All files of a folder but those that the store writes.
fn other_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("listed").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(other_files(&path));
        } else if !name.contains("boxcam-labels") {
            found.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
    found
}

#[test]
fn labels_are_on_disk_at_once_and_read_as_they_were_drawn() {
    let folder = folder(&["b/2.png", "a.png", "b/1.png", "1.png", "e.png"]);
    let mut store = with_classes(&folder, &["mug", "cup"]);
    assert!(!store.file().exists(), "nothing is written before a change");
    let drawn = boxes(
        &[
            ("mug", [10.0, 20.0, 30.0, 40.0]),
            ("cup", [0.0, 0.0, 160.0, 120.0]),
        ],
        Some(true),
    );
    let name = store.pictures[0].name.clone();
    assert_eq!(name, "1.png");
    change(&mut store, 0, drawn.clone());
    let nothing = store
        .pictures
        .iter()
        .position(|picture| picture.name == "e.png");
    change(&mut store, nothing.expect("there"), PictureLabels::Nothing);
    // The program ends in whatever way.
    drop(store);
    let (format, read) = dataset::read(folder.path()).expect("read");
    assert_eq!(format, DatasetFormat::Coco);
    assert!(
        read.issues.is_empty() && read.notes.is_empty(),
        "{:?}",
        read.issues
    );
    assert_eq!(read.classes, ["mug", "cup"]);
    let [first, second] = &read.pictures[..] else {
        panic!("{:?}", read.pictures);
    };
    // Not b/1.png.
    assert_eq!(first.path, folder.path().join("1.png"));
    assert_eq!(
        (first.exhaustive, second.exhaustive),
        (Some(true), Some(true))
    );
    assert!(second.boxes.is_empty());
    let expected = NormBox::new(0.0625, 0.25, 1.0 / 6.0, 0.5).expect("valid");
    assert_eq!(first.boxes[0].class, "mug");
    assert!(iou(&first.boxes[0].bounding_box, &expected) > 0.9999);
    let mut again = opened(&folder);
    assert_eq!(labels_of(&mut again, "1.png"), drawn);
    assert_eq!(labels_of(&mut again, "e.png"), PictureLabels::Nothing);
    assert_eq!(labels_of(&mut again, "a.png"), PictureLabels::Unlabeled);
    assert_eq!(again.labeled(), 2);
}

#[test]
fn a_change_of_older_labels_is_refused_also_after_a_restart() {
    let folder = folder(&["a.png"]);
    let mut store = with_classes(&folder, &["mug"]);
    let old = store.state(0).expect("readable").revision;
    let mine = boxes(&[("mug", [1.0, 2.0, 30.0, 40.0])], None);
    let theirs = boxes(&[("mug", [5.0, 5.0, 50.0, 50.0])], None);
    change(&mut store, 0, mine.clone());
    let text = fs::read(store.file()).expect("written");
    drop(store);
    let mut store = opened(&folder);
    let stale = |labels| Change {
        revision: old.clone(),
        labels,
    };
    match store.set(0, stale(theirs)) {
        Err(StoreError::Conflict { current }) => assert_eq!(current.labels, mine),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(store.file()).expect("there"), text);
    // The same request again, whose answer was lost.
    let again = store.set(0, stale(mine.clone())).expect("nothing to do");
    assert_eq!((again.labels, store.version()), (mine, 0));
}

#[test]
fn what_cannot_be_written_is_not_accepted() {
    let folder = folder(&["a.png"]);
    let mut store = with_classes(&folder, &["mug"]);
    change(
        &mut store,
        0,
        boxes(&[("mug", [1.0, 2.0, 30.0, 40.0])], None),
    );
    let state = store.state(0).expect("readable");
    write(
        &folder,
        FILE_NAME,
        "{\"boxcam_labels\": 1, \"images\": \"edited by hand\"}",
    );
    let revision = state.revision.clone();
    let refused = store.set(
        0,
        Change {
            revision,
            labels: PictureLabels::Nothing,
        },
    );
    assert!(
        matches!(refused, Err(StoreError::ChangedFile { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        store.add_class("cup"),
        Err(StoreError::ChangedFile { .. })
    ));
    assert_eq!(store.state(0).expect("readable"), state);
    assert_eq!(store.classes(), ["mug"]);
    let kept = fs::read_to_string(folder.path().join(FILE_NAME)).expect("there");
    assert!(kept.contains("by hand"));
    drop(store);
    let damaged = open(folder.path(), &StartOptions::default()).expect_err("damaged");
    assert!(matches!(damaged, OpenError::LabelFile { .. }), "{damaged}");
}

#[test]
fn labels_without_their_picture_are_kept() {
    let folder = folder(&["a.png", "b.png", "c.png", "d.png"]);
    let mut store = with_classes(&folder, &["mug"]);
    let drawn = boxes(&[("mug", [16.0, 12.0, 32.0, 24.0])], Some(false));
    for index in 0..4 {
        change(&mut store, index, drawn.clone());
    }
    drop(store);
    let at = |name: &str| folder.path().join(name);
    fs::rename(at("a.png"), at("a.away")).expect("renamed");
    // Half the size, and another shape.
    save(&at("b.png"), &RgbImage::new(80, 60));
    save(&at("c.png"), &RgbImage::new(100, 100));
    let (mut store, messages) = open(folder.path(), &StartOptions::default()).expect("opened");
    let text = messages.join("\n");
    assert!(
        text.contains("a.png: is not in the folder") && text.contains("c.png: "),
        "{text}"
    );
    let half = boxes(&[("mug", [8.0, 6.0, 16.0, 12.0])], Some(false));
    assert_eq!(labels_of(&mut store, "b.png"), half);
    assert_eq!(labels_of(&mut store, "c.png"), PictureLabels::Unlabeled);
    let last = store.len() - 1;
    change(&mut store, last, PictureLabels::Nothing);
    drop(store);
    fs::rename(at("a.away"), at("a.png")).expect("renamed");
    save(&at("c.png"), &RgbImage::new(SIZE.0, SIZE.1));
    let mut store = opened(&folder);
    for name in ["a.png", "c.png"] {
        assert_eq!(labels_of(&mut store, name), drawn, "{name}");
    }
}

#[test]
fn annotations_of_every_format_are_imported_and_stay_as_they_are() {
    let voc = "<annotation><size><width>160</width><height>120</height></size><object><name>mug</name><bndbox>\
               <xmin>17</xmin><ymin>13</ymin><xmax>48</xmax><ymax>36</ymax></bndbox></object></annotation>";
    let coco = r#"{"images": [{"id": 7, "file_name": "a.png", "width": 160, "height": 120}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [16, 12, 32, 24]}],
        "categories": [{"id": 3, "name": "mug"}]}"#;
    let labelme = r#"{"imagePath": "a.png", "imageWidth": 160, "imageHeight": 120, "shapes": [
        {"label": "mug", "shape_type": "rectangle", "points": [[16, 12], [48, 36]]}]}"#;
    let yolo: &[(&str, &str)] = &[
        ("labels/a.txt", "0 0.2 0.2 0.2 0.2"),
        ("classes.txt", "mug\n"),
    ];
    let csv =
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,/m/1,1,0.1,0.3,0.1,0.3\n";
    let open_images: &[(&str, &str)] = &[
        ("boxes.csv", csv),
        ("class-descriptions-boxable.csv", "/m/1,mug\n"),
    ];
    let chapter =
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\na,0.1,0.3,0.1,0.3,mug,cups\n";
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Files<'_>); 6] = [
        ("voc", "a.png", &[("a.xml", voc)]),
        ("coco", "a.png", &[("instances.json", coco)]),
        ("labelme", "a.png", &[("a.json", labelme)]),
        ("yolo", "images/a.png", yolo),
        ("open-images", "a.png", open_images),
        (
            "chapter",
            "val/cups/a.png",
            &[("annotations-val.csv", chapter)],
        ),
    ];
    for (format, picture, files) in cases {
        let folder = folder(&[picture]);
        for (name, text) in files {
            write(&folder, name, text);
        }
        let before = other_files(folder.path());
        let expected = boxes(&[("mug", [16.0, 12.0, 32.0, 24.0])], None);
        let mut store = opened(&folder);
        assert_eq!(labels_of(&mut store, picture), expected, "{format}");
        let more = boxes(
            &[
                ("mug", [16.0, 12.0, 32.0, 24.0]),
                ("mug", [80.0, 60.0, 40.0, 30.0]),
            ],
            Some(true),
        );
        change(&mut store, 0, more.clone());
        drop(store);
        assert_eq!(other_files(folder.path()), before, "{format}");
        // Without an option, the labels are read, and a note names the annotations that are not.
        let (found, read) = dataset::read(folder.path()).expect(format);
        assert_eq!(
            (found, read.pictures.len()),
            (DatasetFormat::Coco, 1),
            "{format}"
        );
        assert_eq!(read.pictures[0].boxes.len(), 2, "{format}");
        let note = read.notes.join(" ");
        assert!(note.contains(FILE_NAME) && note.contains(format), "{note}");
        if format == "chapter" {
            let picture = &read.pictures[0];
            assert_eq!(picture.folder.as_deref(), Some("cups"));
            assert_eq!(picture.split, Some(SplitName::Val));
        }
        assert_eq!(labels_of(&mut opened(&folder), picture), more, "{format}");
    }
}

#[test]
fn only_one_program_labels_a_folder_and_foreign_files_are_kept() {
    let folder = folder(&["a.png"]);
    let store = opened(&folder);
    let taken = open(folder.path(), &StartOptions::default()).expect_err("taken");
    assert!(matches!(taken, OpenError::Lock(_)), "{taken}");
    drop(store);
    write(
        &folder,
        FILE_NAME,
        "{\"images\": [], \"annotations\": [], \"categories\": []}",
    );
    let foreign = open(folder.path(), &StartOptions::default()).expect_err("foreign");
    assert!(
        matches!(foreign, OpenError::ForeignFile { .. }),
        "{foreign}"
    );
    let empty = tempfile::tempdir().expect("created");
    let none = open(empty.path(), &StartOptions::default()).expect_err("empty");
    assert!(matches!(none, OpenError::NoPictures { .. }), "{none}");
}

#[test]
fn folders_are_classes_only_on_request() {
    let folder = folder(&["mug/a.png", "cup/b.png"]);
    let store = opened(&folder);
    assert!(store.classes().is_empty());
    drop(store);
    let options = StartOptions {
        format: Some(DatasetFormat::Folders),
        ..StartOptions::default()
    };
    let (mut store, _) = open(folder.path(), &options).expect("opened");
    assert_eq!(store.classes(), ["cup", "mug"]);
    change(&mut store, 0, PictureLabels::Nothing);
    drop(store);
    // The picture without labels keeps its class.
    let (_, read) = dataset::read(folder.path()).expect("read");
    let classes: Vec<_> = read
        .pictures
        .iter()
        .map(|picture| picture.class())
        .collect();
    assert_eq!(classes, [Some("cup"), Some("mug")]);
}

#[test]
fn boxes_are_those_of_the_upright_picture() {
    let folder = tempfile::tempdir().expect("created");
    let rotated = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/rotated.jpg");
    fs::copy(rotated, folder.path().join("a.jpg")).expect("copied");
    let mut store = with_classes(&folder, &["mug"]);
    let state = store.state(0).expect("readable");
    let header = Header::read(&folder.path().join("a.jpg")).expect("readable");
    assert_eq!((state.width, state.height), header.upright());
    assert_ne!(header.upright(), (header.width, header.height));
    let (width, height) = (f64::from(state.width), f64::from(state.height));
    let corner = [0.0, 0.0, (width / 4.0).floor(), (height / 2.0).floor()];
    change(&mut store, 0, boxes(&[("mug", corner)], None));
    drop(store);
    let (_, read) = dataset::read(folder.path()).expect("read");
    let [x_min, x_max, y_min, y_max] = read.pictures[0].boxes[0].bounding_box.corners();
    assert_eq!((x_min, y_min), (0.0, 0.0));
    assert!((f64::from(x_max) - corner[2] / width).abs() < 1e-6);
    assert!((f64::from(y_max) - corner[3] / height).abs() < 1e-6);
}

#[test]
fn a_picture_is_found_by_its_id_in_a_prepared_data_set() {
    let folder = folder(&["a/1.png", "b/1.png", "c/2.png", "d/3.png", "e/3.png"]);
    let mut store = with_classes(&folder, &["mug"]);
    let mug = boxes(&[("mug", [10.0, 10.0, 50.0, 50.0])], None);
    for index in 0..4 {
        change(&mut store, index, mug.clone());
    }
    let ids = ["2", "1", "a-1", "b-1", "3", "none"];
    // Of two pictures with the name 3, only one has a box and was trained on.
    let expected = [Some(2), None, Some(0), Some(1), Some(3), None];
    assert_eq!(store.find_by_ids(&ids), expected);
}
