//! What a picture is called in a file of COCO.

use std::collections::HashSet;

use serde::Serialize;

use super::Predictions;
use crate::dataset::AnnotatedPicture;

/// The name of a picture's file without its extension: a number if all are numbers, as COCO's own pictures are named. With the
/// folder in front if two are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum ImageId {
    Number(u64),
    Name(String),
}

impl ImageId {
    /// Of each picture, in their order.
    #[must_use]
    pub fn of<T>(predictions: &Predictions<'_, T>) -> Vec<Self> {
        let pictures = predictions.pictures.iter().map(|(picture, _)| *picture);
        Self::of_pictures(pictures)
    }

    fn of_pictures<'a>(pictures: impl Iterator<Item = &'a AnnotatedPicture> + Clone) -> Vec<Self> {
        let stem = |picture: &AnnotatedPicture| {
            let stem = picture.path.file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        };
        let numbers: Option<Vec<Self>> = pictures.clone().map(|p| number(&stem(p))).collect();
        if let Some(numbers) = numbers.filter(|numbers| are_different(numbers)) {
            return numbers;
        }
        let names: Vec<Self> = pictures.clone().map(|p| Self::Name(stem(p))).collect();
        if are_different(&names) {
            return names;
        }
        let name = |picture: &AnnotatedPicture| format!("{}/{}", picture.folder, stem(picture));
        pictures.map(|picture| Self::Name(name(picture))).collect()
    }
}

fn number(name: &str) -> Option<ImageId> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let number = name.parse().ok().filter(|_| is_number);
    number.map(ImageId::Number)
}

fn are_different(ids: &[ImageId]) -> bool {
    let mut seen = HashSet::new();
    ids.iter().all(|id| seen.insert(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_named_by_number_by_name_or_with_their_folder() {
        let ids = |paths: &[&str]| {
            let picture = |path: &&str| AnnotatedPicture {
                path: path.into(),
                folder: path.split('/').next().unwrap_or_default().to_owned(),
                annotations: Vec::new(),
                exhaustive: None,
            };
            let pictures: Vec<AnnotatedPicture> = paths.iter().map(picture).collect();
            let ids = ImageId::of_pictures(pictures.iter());
            serde_json::to_string(&ids).expect("JSON")
        };
        assert_eq!(ids(&["a/000000000139.jpg", "b/285.png"]), "[139,285]");
        assert_eq!(ids(&["a/139.jpg", "b/+285.png"]), r#"["139","+285"]"#);
        assert_eq!(ids(&["a/1.jpg", "b/01.jpg"]), r#"["1","01"]"#);
        assert_eq!(ids(&["a/x.jpg", "b/x.jpg"]), r#"["a/x","b/x"]"#);
        assert_eq!(ids(&[]), "[]");
    }
}
