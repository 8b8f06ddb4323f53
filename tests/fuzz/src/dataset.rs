//! Data sets of each format. The parts of an input, separated by [`SEPARATOR`], are the files of a data set whose pictures
//! are there.

use boxcam::picture::encode_jpeg;
use boxcam_train::dataset::{DatasetFormat, ImportError, ImportedDataset, read, read_as};
use image::RgbImage;

use crate::Bounds;
use crate::scratch::Scratch;

/// Between the files of an input.
const SEPARATOR: &[u8] = b"\x1e\n";

static FOLDER: Scratch = Scratch::new();

/// CSV of boxes, in the layout of the textbook chapter.
pub fn chapter(bytes: &[u8]) {
    run(
        "chapter",
        &["annotations-train.csv"],
        &["train/cup/a.jpg", "train/mug/b.jpg"],
        bytes,
    );
}

pub fn coco(bytes: &[u8]) {
    run(
        "coco",
        &["annotations.json"],
        &["images/a.jpg", "images/b.jpg"],
        bytes,
    );
}

pub fn voc(bytes: &[u8]) {
    let files = [
        "Annotations/a.xml",
        "Annotations/b.xml",
        "ImageSets/Main/train.txt",
        "ImageSets/Main/val.txt",
    ];
    run(
        "voc",
        &files,
        &["JPEGImages/a.jpg", "JPEGImages/b.jpg"],
        bytes,
    );
}

pub fn yolo(bytes: &[u8]) {
    let files = ["data.yaml", "labels/a.txt", "classes.txt", "labels/b.txt"];
    run("yolo", &files, &["images/a.jpg", "images/b.jpg"], bytes);
}

pub fn open_images(bytes: &[u8]) {
    let files = ["train-annotations-bbox.csv", "class-descriptions.csv"];
    run(
        "open-images",
        &files,
        &["train/a.jpg", "train/b.jpg"],
        bytes,
    );
}

pub fn labelme(bytes: &[u8]) {
    run("labelme", &["a.json", "b.json"], &["a.jpg", "b.jpg"], bytes);
}

/// Reads the data set in the format that is detected, and as `format`.
fn run(format: &str, files: &[&str], pictures: &[&str], bytes: &[u8]) {
    if !FOLDER.path().join(pictures[0]).exists() {
        let jpeg = encode_jpeg(&RgbImage::new(64, 48), 75).expect("encoded");
        for picture in pictures {
            FOLDER.write(picture, &jpeg);
        }
    }
    let parts = split(bytes, files.len());
    for (at, file) in files.iter().enumerate() {
        match parts.get(at) {
            Some(part) => drop(FOLDER.write(file, part)),
            // It may not be there: that is a case of its own.
            None => drop(std::fs::remove_file(FOLDER.path().join(file))),
        }
    }
    Bounds::TEXT.check(|| {
        check(read(FOLDER.path()).map(|(_, dataset)| dataset));
        let named = DatasetFormat::ALL
            .into_iter()
            .find(|known| known.name() == format);
        if let Some(format) = named {
            check(read_as(format, FOLDER.path()));
        }
    });
}

/// At most `count` parts.
fn split(bytes: &[u8], count: usize) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while parts.len() + 1 < count {
        let found = rest
            .windows(SEPARATOR.len())
            .position(|window| window == SEPARATOR);
        let Some(at) = found else { break };
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

/// Every message can be shown, and every picture is in the folder.
fn check(result: Result<ImportedDataset, ImportError>) {
    match result {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(dataset) => {
            for picture in &dataset.pictures {
                assert!(picture.path.exists(), "{}", picture.path.display());
            }
            for issue in &dataset.issues {
                assert!(!issue.to_string().is_empty());
            }
        }
    }
}
