//! Reads the file of `--predictions` that the evaluation of another model wrote.

use std::collections::HashMap;
use std::path::Path;

use boxcam::dataset::AnnotatedPicture;
use boxcam::detect::Detection;
use boxcam::evaluate::{Predictions, RecordedPrediction};
use boxcam::geometry::{BoxError, NormBox};
use boxcam::label::Labels;
use boxcam::text::{self, TextError};
use serde::Deserialize;
use thiserror::Error;

use super::prediction_files::LINE_SCHEMA;

/// The predictions of another model, as they stand in its file.
#[derive(Debug)]
pub(super) struct RecordedFile {
    file: String,
    /// Each with its number in the file, from 1.
    lines: Vec<(usize, Line)>,
}

/// A line of the file.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    schema: u32,
    picture: String,
    width: u32,
    height: u32,
    #[serde(flatten)]
    primary: Labeled,
    objects: Option<Vec<Labeled>>,
    model: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Labeled {
    class: String,
    confidence: f32,
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

/// The file can't be compared with.
#[derive(Debug, Error)]
pub(crate) enum RecordedError {
    #[error("predictions {file}: {source}")]
    Read { file: String, source: TextError },
    #[error("predictions {file}: has no line; write it with `boxcam evaluate --predictions`")]
    Empty { file: String },
    #[error("predictions {file}, line {line}: {kind}")]
    Line {
        file: String,
        /// From 1.
        line: usize,
        kind: LineError,
    },
    #[error(
        "predictions {file}: has no line for the picture {picture}; write it again with the same `--pictures`"
    )]
    MissingPicture { file: String, picture: String },
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    #[error("{0}; write the file with `boxcam evaluate --predictions`")]
    Json(serde_json::Error),
    #[error("has schema {found}, this boxcam reads {LINE_SCHEMA}; write it with this version")]
    Schema { found: u32 },
    #[error("is of model {found}, the first line of {first}; give the predictions of one model")]
    Model { found: String, first: String },
    #[error("has the picture {picture}, as line {first} has; remove one of them")]
    Repeated { picture: String, first: usize },
    #[error(
        "the picture {picture} is not among those that are evaluated; give the same `--pictures`"
    )]
    OtherPicture { picture: String },
    #[error(
        "the picture {picture} has {found:?} pixels here, {expected:?} in the file; give the same `--pictures`"
    )]
    OtherSize {
        picture: String,
        expected: [u32; 2],
        found: [u32; 2],
    },
    #[error("the class \"{class}\" is not one of this model's; compare models of the same classes")]
    UnknownClass { class: String },
    #[error(
        "has neither `detections` nor `objects` nor a `class` with its box; write the file with `boxcam evaluate --predictions`"
    )]
    NoDetections,
    #[error("a box has a coordinate that is not finite; correct the line")]
    NotFinite,
    #[error(transparent)]
    Box(#[from] BoxError),
}

/// Names a picture wherever its data set is: its folder and its file name.
pub(super) type PictureKey = (String, String);

impl RecordedFile {
    /// # Errors
    /// [`RecordedError`] if the file can't be read or has a line that is invalid.
    pub(super) fn read(path: &Path) -> Result<Self, RecordedError> {
        let file = path.display().to_string();
        let text = text::read(path);
        let text = text.map_err(|source| RecordedError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(file, &text)
    }

    fn parse(file: String, text: &str) -> Result<Self, RecordedError> {
        let numbered = (1..).zip(text.lines());
        let written = numbered.filter(|(_, text)| !text.trim().is_empty());
        let mut lines: Vec<(usize, Line)> = Vec::new();
        for (number, text) in written {
            let first = lines.first().map(|(_, line)| line.model.as_str());
            match Line::parse(text, first) {
                Ok(line) => lines.push((number, line)),
                Err(kind) => {
                    let line = number;
                    return Err(RecordedError::Line { file, line, kind });
                }
            }
        }
        if lines.is_empty() {
            return Err(RecordedError::Empty { file });
        }
        Ok(Self { file, lines })
    }

    /// First digits of the hash of the model's file.
    pub(super) fn model(&self) -> &str {
        self.lines.first().map_or("", |(_, line)| &line.model)
    }

    /// The recorded predictions for the same pictures, in the same order.
    ///
    /// # Errors
    /// [`RecordedError`] if the file has other pictures, or classes that are not among `labels`.
    pub(super) fn predictions<'d, T>(
        &self,
        same: &Predictions<'d, T>,
        labels: &Labels,
    ) -> Result<Predictions<'d, RecordedPrediction>, RecordedError> {
        let sizes = same.pictures.iter().zip(&same.sizes);
        let sizes = sizes.map(|((picture, _), size)| (key(&picture.path), *size));
        let sizes: HashMap<PictureKey, [u32; 2]> = sizes.collect();
        let mut recorded = HashMap::new();
        for (number, line) in &self.lines {
            let prediction = line
                .check_picture(&sizes, &recorded)
                .and_then(|()| line.prediction(labels));
            let prediction = prediction.map_err(|kind| RecordedError::Line {
                file: self.file.clone(),
                line: *number,
                kind,
            })?;
            recorded.insert(key(Path::new(&line.picture)), (*number, prediction));
        }
        let mut take = |picture: &'d AnnotatedPicture| {
            let found = recorded.remove(&key(&picture.path));
            let found = found.map(|(_, prediction)| (picture, prediction));
            found.ok_or_else(|| RecordedError::MissingPicture {
                file: self.file.clone(),
                picture: picture.path.display().to_string(),
            })
        };
        let pictures = same.pictures.iter().map(|(picture, _)| take(picture));
        Ok(Predictions {
            pictures: pictures.collect::<Result<_, _>>()?,
            sizes: same.sizes.clone(),
            skipped: Vec::new(),
        })
    }
}

/// Its folder and its file name.
pub(super) fn key(picture: &Path) -> PictureKey {
    let text = |name: Option<&std::ffi::OsStr>| {
        let name = name.unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let folder = picture.parent().and_then(Path::file_name);
    (text(folder), text(picture.file_name()))
}

impl Line {
    /// `model`: that of the first line, if there is one.
    fn parse(text: &str, model: Option<&str>) -> Result<Self, LineError> {
        let line: Self = serde_json::from_str(text).map_err(LineError::Json)?;
        if line.schema != LINE_SCHEMA {
            let found = line.schema;
            return Err(LineError::Schema { found });
        }
        match model {
            Some(first) if line.model != first => Err(LineError::Model {
                found: line.model,
                first: first.to_owned(),
            }),
            _ => Ok(line),
        }
    }

    /// Whether the line's picture is one of those with these sizes, and has none of the lines before.
    fn check_picture(
        &self,
        sizes: &HashMap<PictureKey, [u32; 2]>,
        before: &HashMap<PictureKey, (usize, RecordedPrediction)>,
    ) -> Result<(), LineError> {
        let key = key(Path::new(&self.picture));
        let picture = self.picture.clone();
        if let Some((first, _)) = before.get(&key) {
            let first = *first;
            return Err(LineError::Repeated { picture, first });
        }
        let expected = [self.width, self.height];
        match sizes.get(&key) {
            None => Err(LineError::OtherPicture { picture }),
            Some(&found) if found != expected => Err(LineError::OtherSize {
                picture,
                expected,
                found,
            }),
            Some(_) => Ok(()),
        }
    }

    fn prediction(&self, labels: &Labels) -> Result<RecordedPrediction, LineError> {
        let detections = |found: &Vec<Labeled>| {
            let found = found.iter().map(|one| one.detection(labels));
            found.collect::<Result<Vec<_>, _>>()
        };
        Ok(RecordedPrediction {
            primary: self.primary.detection(labels)?,
            objects: self.objects.as_ref().map(detections).transpose()?,
        })
    }
}

impl Labeled {
    fn detection(&self, labels: &Labels) -> Result<Detection, LineError> {
        let class = labels.find(&self.class);
        let class = class.ok_or_else(|| LineError::UnknownClass {
            class: self.class.clone(),
        })?;
        Ok(Detection {
            class,
            confidence: self.confidence,
            bounding_box: NormBox::new(self.x_min, self.x_max, self.y_min, self.y_max)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use boxcam::detect::Prediction;

    use super::super::prediction_files;
    use super::*;

    fn labels(names: [&str; 2]) -> Labels {
        Labels::new(names.map(str::to_owned).to_vec()).expect("valid")
    }

    fn pictures(root: &str) -> [AnnotatedPicture; 2] {
        ["a", "b"].map(|name| AnnotatedPicture {
            path: format!("{root}/apple/{name}.jpg").into(),
            folder: "apple".to_owned(),
            annotations: Vec::new(),
            exhaustive: None,
        })
    }

    fn predictions(pictures: &[AnnotatedPicture]) -> Predictions<'_> {
        let found = |picture| {
            let prediction = Prediction::new(vec![0.1, 0.7], [0.1, 0.3, 0.2, 1.0]);
            (picture, prediction.expect("valid"))
        };
        Predictions {
            pictures: pictures.iter().map(found).collect(),
            sizes: vec![[40, 30]; pictures.len()],
            skipped: Vec::new(),
        }
    }

    fn written() -> String {
        let pictures = pictures("there");
        let labels = labels(["apple", "banana"]);
        prediction_files::lines(&predictions(&pictures), &labels, "0badcafe").expect("JSON")
    }

    /// The error of a text compared with predictions for the pictures a and b.
    fn error(text: &str) -> String {
        let pictures = pictures("here/val");
        let labels = labels(["apple", "banana"]);
        let recorded = RecordedFile::parse("other.jsonl".to_owned(), text);
        let matched = recorded.and_then(|recorded| {
            let matched = recorded.predictions(&predictions(&pictures), &labels);
            matched.map(|matched| matched.pictures.len())
        });
        matched.expect_err("is refused").to_string()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let text = written();
        let recorded = RecordedFile::parse("other.jsonl".to_owned(), &text).expect("valid");
        assert_eq!(recorded.model(), "0badcafe");
        // The data set may be elsewhere, and the labels in another order.
        let pictures = pictures("here/val");
        let predictions = predictions(&pictures);
        let labels = labels(["banana", "apple"]);
        let matched = recorded.predictions(&predictions, &labels).expect("same");
        let (picture, found) = &matched.pictures[1];
        assert_eq!(*picture, &pictures[1]);
        assert_eq!(labels.name(found.primary.class), Some("banana"));
        assert_eq!(found.primary.confidence, 0.7);
        let corners = found.primary.bounding_box.corners();
        assert_eq!((corners, &found.objects), ([0.1, 0.3, 0.2, 1.0], &None));
    }

    #[test]
    fn other_pictures_are_refused() {
        let text = written();
        let [a, b] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("two lines");
        };
        let cases = [
            (a.to_owned(), "no line for the picture here/val/apple/b.jpg"),
            (
                format!("{text}{}", b.replace("b.jpg", "c.jpg")),
                "line 3: the picture there/apple/c.jpg is not among",
            ),
            (
                format!("{text}\n{a}"),
                "line 4: has the picture there/apple/a.jpg, as line 1 has",
            ),
            (
                text.replacen("\"width\":40", "\"width\":41", 1),
                "line 1: the picture there/apple/a.jpg has [40, 30] pixels here, [41, 30] in the file",
            ),
        ];
        for (text, expected) in cases {
            let message = error(&text);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn invalid_lines_are_named() {
        let text = written();
        let cases = [
            (String::new(), "other.jsonl: has no line"),
            ("{".to_owned(), "line 1: EOF while parsing"),
            (
                text.replacen("\"schema\":1", "\"schema\":2", 1),
                "line 1: has schema 2, this boxcam reads 1",
            ),
            (
                text.replacen("banana", "kiwi", 1),
                "line 1: the class \"kiwi\" is not one of this model's",
            ),
            (
                text.replacen("\"x_max\":0.3", "\"x_max\":1.3", 1),
                "line 1: x_max is 1.3",
            ),
            (
                format!("{}\n{}", text.trim_end(), text.replace("0badcafe", "1")),
                "line 3: is of model 1, the first line of 0badcafe",
            ),
        ];
        for (text, expected) in cases {
            let message = error(&text);
            assert!(message.contains(expected), "{message}");
        }
    }
}
