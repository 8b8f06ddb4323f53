//! Files that may have annotations in a format that is not read.
//!
//! Without this check, pictures whose annotations are not recognized would be trained on without boxes.

use std::path::Path;

use boxcam::text;
use serde_json::Value;

use super::files::{Files, has_extension, name_of};
use super::import_error::ImportError;
use super::{json, voc, yolo};

/// Extensions of files that usually have annotations, in lower case.
const EXTENSIONS: [&str; 26] = [
    "json",
    "jsonl",
    "ndjson",
    "xml",
    "csv",
    "tsv",
    "yaml",
    "yml",
    "xlsx",
    "xls",
    "ods",
    "parquet",
    "arrow",
    "feather",
    "record",
    "tfrecord",
    "tfrecords",
    "mat",
    "pkl",
    "pickle",
    "npy",
    "npz",
    "h5",
    "hdf5",
    "db",
    "sqlite",
];

/// Beginnings of the names of texts without annotations, in lower case.
const HARMLESS: [&str; 12] = [
    "readme",
    "license",
    "licence",
    "copying",
    "copyright",
    "credits",
    "attribution",
    "authors",
    "citation",
    "changelog",
    "notice",
    "requirements",
];

/// What a key in the beginning of a JSON file tells about the program that wrote it.
const JSON_TOOLS: [(&str, &str); 8] = [
    (
        "_via_img_metadata",
        "is a project of the VGG Image Annotator",
    ),
    ("regions", "is JSON of the VGG Image Annotator"),
    ("completed_by", "is Label Studio's own JSON"),
    ("rectanglelabels", "is Label Studio's own JSON"),
    ("coordinates", "is JSON of Create ML"),
    ("frame_attributes", "is JSON of BDD100K"),
    ("classTitle", "is JSON of Supervisely"),
    ("dm_format_version", "is JSON of Datumaro"),
];

/// The error about the first file that may have annotations.
pub(super) fn annotations(path: &Path, files: &Files) -> Option<ImportError> {
    let mut like = files.paths.iter().filter(|file| is_annotation_like(file));
    let file = like.next()?;
    Some(ImportError::Unrecognized {
        path: path.to_owned(),
        file: file.clone(),
        reason: reason(file),
        more: like.count(),
    })
}

fn is_annotation_like(path: &Path) -> bool {
    let name = name_of(path).to_lowercase();
    if has_extension(path, "txt") {
        return !HARMLESS.iter().any(|start| name.starts_with(start)) && yolo::has_label(path);
    }
    EXTENSIONS
        .iter()
        .any(|extension| has_extension(path, extension))
}

/// Why a file is not recognized, as part of a message that starts with its name.
fn reason(path: &Path) -> String {
    if let Err(error) = text::read(path)
        && ["json", "csv", "txt", "yaml"]
            .iter()
            .any(|extension| has_extension(path, extension))
    {
        return error.to_string();
    }
    if has_extension(path, "json") {
        return of_json(path);
    }
    if has_extension(path, "xml") && !voc::is_annotation(path) {
        return match element(path) {
            Some(element) => {
                format!("has the root element <{element}>, not Pascal VOC's <annotation>")
            }
            None => "is no XML with <annotation>".to_owned(),
        };
    }
    if has_extension(path, "csv") || has_extension(path, "tsv") {
        let start = text::start(path);
        let columns: String = start
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        return format!(
            "has the columns \"{columns}\", neither those of Open Images nor those of annotations-train.csv"
        );
    }
    if has_extension(path, "txt") {
        return "has lines of numbers, as YOLO's labels have, but there is no data.yaml or classes.txt with the names"
            .to_owned();
    }
    if has_extension(path, "yaml") || has_extension(path, "yml") {
        return "has no names of classes, as YOLO's data.yaml has".to_owned();
    }
    "may have annotations".to_owned()
}

fn of_json(path: &Path) -> String {
    let start = text::start(path);
    let has = |key: &str| start.contains(&format!("\"{key}\""));
    if let Some((_, tool)) = JSON_TOOLS.iter().find(|(key, _)| has(key)) {
        return (*tool).to_owned();
    }
    let text = text::read(path).unwrap_or_default();
    match json::parse::<Value>(&text) {
        Err(error) => format!("is no valid JSON ({error})"),
        Ok(Value::Object(all)) => {
            let keys: Vec<&str> = all.keys().map(String::as_str).take(8).collect();
            format!(
                "is JSON with the keys \"{}\", neither COCO's (images, annotations, categories) nor LabelMe's (shapes)",
                keys.join("\", \"")
            )
        }
        Ok(_) => "is JSON without COCO's images, annotations and categories".to_owned(),
    }
}

/// The name of the root element.
fn element(path: &Path) -> Option<String> {
    let start = text::start(path);
    let mut elements = start.split('<').skip(1);
    let root = elements.find(|element| !element.starts_with(['?', '!']))?;
    let name = root.split(|letter: char| letter.is_whitespace() || "/>".contains(letter));
    name.map(str::to_owned).next()
}
