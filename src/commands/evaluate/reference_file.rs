//! Reads the detections of another model that the agreement is measured with: the lines of `--predictions`, or lines with a
//! `picture` and its `detections`, each with `class`, `score` and a box that may extend beyond the picture.

use std::collections::HashMap;
use std::path::Path;

use boxcam::detect::Detection;
use boxcam::evaluate::Predictions;
use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use boxcam::text;
use serde::Deserialize;

use super::recorded_file::{LineError, PictureKey, RecordedError, key};

/// The detections of another model, as they stand in its file.
#[derive(Debug)]
pub(super) struct ReferenceFile {
    file: String,
    /// By picture.
    lines: HashMap<PictureKey, Line>,
}

#[derive(Debug)]
struct Line {
    /// In the file, from 1.
    number: usize,
    detections: Vec<Labeled>,
}

/// A line of either form.
#[derive(Debug, Deserialize)]
struct AnyLine {
    picture: String,
    detections: Option<Vec<Labeled>>,
    /// `null` in a line of `--predictions` if the model has no object outputs.
    objects: Option<Vec<Labeled>>,
    #[serde(flatten)]
    primary: Option<Labeled>,
}

#[derive(Debug, Clone, Deserialize)]
struct Labeled {
    class: String,
    #[serde(alias = "score")]
    confidence: f32,
    x_min: f32,
    x_max: f32,
    y_min: f32,
    y_max: f32,
}

impl ReferenceFile {
    /// # Errors
    /// [`RecordedError`] if the file can't be read or has a line that is invalid.
    pub(super) fn read(path: &Path) -> Result<Self, RecordedError> {
        let file = path.display().to_string();
        match text::read(path) {
            Ok(text) => Self::parse(file, &text),
            Err(source) => Err(RecordedError::Read { file, source }),
        }
    }

    fn parse(file: String, text: &str) -> Result<Self, RecordedError> {
        let mut lines: HashMap<PictureKey, Line> = HashMap::new();
        let numbered = (1..).zip(text.lines());
        for (number, text) in numbered.filter(|(_, text)| !text.trim().is_empty()) {
            let fault = |kind| RecordedError::Line {
                file: file.clone(),
                line: number,
                kind,
            };
            let line: AnyLine =
                serde_json::from_str(text).map_err(|error| fault(LineError::Json(error)))?;
            let key = key(Path::new(&line.picture));
            if let Some(Line { number: first, .. }) = lines.get(&key) {
                let (picture, first) = (line.picture, *first);
                return Err(fault(LineError::Repeated { picture, first }));
            }
            let objects = line.detections.or(line.objects);
            let detections = match (objects, line.primary) {
                (Some(objects), _) => objects,
                (None, Some(primary)) => vec![primary],
                (None, None) => return Err(fault(LineError::NoDetections)),
            };
            lines.insert(key, Line { number, detections });
        }
        match lines.is_empty() {
            true => Err(RecordedError::Empty { file }),
            false => Ok(Self { file, lines }),
        }
    }

    /// The detections in each of these pictures, the highest score first. `find`: the class with a name.
    ///
    /// # Errors
    /// [`RecordedError`] if a picture has no line, a class is unknown or a box is not finite.
    pub(super) fn detections<T>(
        &self,
        predictions: &Predictions<'_, T>,
        find: impl Fn(&str) -> Option<ClassId>,
    ) -> Result<Vec<Vec<Detection>>, RecordedError> {
        let pictures = predictions.pictures.iter();
        let found = pictures.map(|(picture, _)| {
            let line = self.lines.get(&key(&picture.path));
            let line = line.ok_or_else(|| RecordedError::MissingPicture {
                file: self.file.clone(),
                picture: picture.path.display().to_string(),
            })?;
            let detections = line.detections.iter().map(|found| found.detection(&find));
            let detections: Result<Vec<Detection>, LineError> = detections.collect();
            let mut detections = detections.map_err(|kind| RecordedError::Line {
                file: self.file.clone(),
                line: line.number,
                kind,
            })?;
            detections.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
            Ok(detections)
        });
        found.collect()
    }
}

impl Labeled {
    fn detection(&self, find: impl Fn(&str) -> Option<ClassId>) -> Result<Detection, LineError> {
        let class = find(&self.class).ok_or_else(|| LineError::UnknownClass {
            class: self.class.clone(),
        })?;
        let corners = [self.x_min, self.x_max, self.y_min, self.y_max];
        Ok(Detection {
            class,
            confidence: self.confidence,
            bounding_box: NormBox::from_regression(corners).ok_or(LineError::NotFinite)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use boxcam::dataset::AnnotatedPicture;

    use super::*;

    const FOUND: &str =
        r#"{"class":"banana","score":0.7,"x_min":-0.1,"x_max":0.3,"y_min":0.2,"y_max":1.5}"#;
    const WEAKER: &str =
        r#"{"class":"apple","score":0.2,"x_min":0.5,"x_max":0.7,"y_min":0.2,"y_max":0.4}"#;

    fn line(picture: &str, detections: &[&str]) -> String {
        let detections = detections.join(",");
        format!("{{\"picture\":\"{picture}\",\"detections\":[{detections}]}}\n")
    }

    fn find(name: &str) -> Option<ClassId> {
        let known = ["apple", "banana"];
        known.iter().position(|k| *k == name).map(ClassId::new)
    }

    /// The detections that a text has for the pictures a and b.
    fn detections(text: &str) -> Result<Vec<Vec<Detection>>, RecordedError> {
        let pictures = ["a", "b"].map(|name| AnnotatedPicture {
            path: format!("here/val/apple/{name}.jpg").into(),
            folder: "apple".to_owned(),
            annotations: Vec::new(),
            exhaustive: None,
        });
        let predictions = Predictions {
            pictures: pictures.iter().map(|picture| (picture, ())).collect(),
            sizes: vec![[40, 30]; 2],
            skipped: Vec::new(),
        };
        ReferenceFile::parse("other.jsonl".to_owned(), text)?.detections(&predictions, find)
    }

    #[test]
    fn detections_are_ranked_and_their_boxes_clamped_to_the_picture() {
        let text = line("apple/b.jpg", &[WEAKER, FOUND]) + &line("apple/a.jpg", &[]);
        let found = detections(&text).expect("valid");
        assert!(found[0].is_empty());
        let [first, second] = found[1][..] else {
            panic!("two detections");
        };
        assert_eq!((first.class, first.confidence), (ClassId::new(1), 0.7));
        assert_eq!(first.bounding_box.corners(), [0.0, 0.3, 0.2, 1.0]);
        assert_eq!(second.class, ClassId::new(0));
    }

    #[test]
    fn lines_of_predictions_are_read_too() {
        let fields = r#""class":"apple","confidence":0.9,"x_min":0,"x_max":1,"y_min":0,"y_max":1"#;
        let objects = FOUND.replace("score", "confidence");
        let text = format!(
            "{{\"schema\":1,\"picture\":\"v/apple/a.jpg\",{fields},\"objects\":[{objects}]}}\n\n\
             {{\"schema\":1,\"picture\":\"v/apple/b.jpg\",{fields},\"objects\":null}}"
        );
        let found = detections(&text).expect("valid");
        let scores = |of: &[Detection]| of.iter().map(|found| found.confidence).collect::<Vec<_>>();
        assert_eq!(
            (scores(&found[0]), scores(&found[1])),
            (vec![0.7], vec![0.9])
        );
    }

    #[test]
    fn invalid_lines_are_named() {
        let good = line("apple/a.jpg", &[]);
        let cases = [
            (String::new(), "other.jsonl: has no line"),
            (good.clone(), "no line for the picture here/val/apple/b.jpg"),
            (
                format!("{good}{good}"),
                "line 2: has the picture apple/a.jpg, as line 1 has",
            ),
            (
                format!("{good}{{\"picture\":\"apple/b.jpg\"}}"),
                "line 2: has neither `detections` nor `objects`",
            ),
            (
                good.clone() + &line("apple/b.jpg", &[&FOUND.replace("banana", "kiwi")]),
                "line 2: the class \"kiwi\" is not one of this model's",
            ),
            (
                good.clone() + &line("apple/b.jpg", &[&FOUND.replace("1.5", "1e99")]),
                "line 2: a box has a coordinate that is not finite",
            ),
            (format!("{good}{{"), "line 2: EOF while parsing"),
        ];
        for (text, expected) in cases {
            let message = detections(&text).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
