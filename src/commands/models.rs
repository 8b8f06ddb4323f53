//! `boxcam models`: the models that `--model` finds by name.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use boxcam::card::ModelCard;
use boxcam::detect::Detector as _;
use boxcam::detect::tract::{EngineOptions, TractDetector};
use boxcam::options::ModelsOptions;
use serde::Serialize;

use super::model::catalog::{Catalog, ModelSource, NamedModel};
use super::{Completion, Failure, json, model, print};

#[derive(Serialize)]
struct ModelList {
    models: Vec<ListedModel>,
}

#[derive(Serialize)]
struct ListedModel {
    name: String,
    place: &'static str,
    /// `None` if it is built in.
    file: Option<String>,
    /// Whether it is used if no model is given.
    is_default: bool,
    /// Whether a model that comes before has the same name, so that only its file leads to it.
    is_hidden: bool,
    #[serde(flatten)]
    content: Content,
}

/// What a model file says about itself, or why it can't be used.
#[derive(Serialize)]
#[serde(untagged)]
enum Content {
    Valid(Box<Properties>),
    Invalid { error: String },
}

#[derive(Serialize)]
struct Properties {
    /// The first 8 hex digits of the file's SHA-256.
    model: String,
    classes: Vec<String>,
    /// Whether it finds several objects in a picture; otherwise, one.
    finds_objects: bool,
    /// Width and height of its input in pixels.
    input: [u32; 2],
    bytes: usize,
    /// For one picture; `None` if a shape in the file is not fixed.
    multiply_adds: Option<u64>,
    licence: String,
}

pub(super) fn models(options: &ModelsOptions) -> Result<Completion, Failure> {
    let list = list(&Catalog::of_program());
    match options.json {
        true => print(&json(&list)?)?,
        false => print(&table(&list.models))?,
    }
    Ok(Completion::Complete)
}

fn list(catalog: &Catalog) -> ModelList {
    let default = catalog.default_model();
    let mut names = BTreeSet::new();
    let listed = |named: NamedModel| ListedModel {
        is_default: Some(&named.source) == default.as_ref(),
        is_hidden: !names.insert(named.name.clone()),
        content: Content::of(&named.source),
        place: named.place.name(),
        file: match &named.source {
            ModelSource::File(file) => Some(file.display().to_string()),
            ModelSource::BuiltIn(_) => None,
        },
        name: named.name,
    };
    ModelList {
        models: catalog.models().into_iter().map(listed).collect(),
    }
}

impl Content {
    fn of(source: &ModelSource) -> Self {
        match model::load_source(source, EngineOptions::default()) {
            Ok(detector) => Self::Valid(Box::new(Properties::of(&detector))),
            Err(error) => Self::Invalid {
                error: error.to_string(),
            },
        }
    }
}

impl Properties {
    fn of(detector: &TractDetector) -> Self {
        let card = detector.card();
        Self {
            model: detector.model_hash().to_owned(),
            classes: card.labels.iter().map(str::to_owned).collect(),
            finds_objects: card.objects.is_some(),
            input: [card.input.width, card.input.height],
            bytes: detector.file_bytes(),
            multiply_adds: detector.multiply_adds(),
            licence: licence(card),
        }
    }
}

/// What the card says about the rights to the model and its data.
fn licence(card: &ModelCard) -> String {
    let origin = card.origin.as_ref();
    let stated = origin.map_or(&card.training.credits, |origin| &origin.licence);
    match stated.as_str() {
        "" => "not stated".to_owned(),
        stated => stated.to_owned(),
    }
}

fn table(models: &[ListedModel]) -> String {
    if models.is_empty() {
        return "There are no models. Give one with `--model FILE`.".to_owned();
    }
    let widest = models.iter().map(|model| model.name.chars().count()).max();
    let width = widest.unwrap_or(0).max("name".len());
    let mut text = format!(
        "{:width$}  {:18}  {:>7}  {:9}  {:>7}  {:>13}\n",
        "name", "where", "classes", "finds", "size", "multiply-adds"
    );
    for model in models {
        let columns = match &model.content {
            Content::Valid(properties) => properties.columns(),
            Content::Invalid { .. } => String::new(),
        };
        let row = format!("{:width$}  {:18}  {columns}", model.name, model.place);
        let _ = writeln!(text, "{}", row.trim_end());
        for note in model.notes() {
            let _ = writeln!(text, "{:width$}  {note}", "");
        }
    }
    text
}

impl ListedModel {
    /// The lines below the columns.
    fn notes(&self) -> Vec<String> {
        let file = self.file.iter().cloned();
        let default = self.is_default.then(|| "the default".to_owned());
        let hidden = self.is_hidden.then(|| {
            "hidden by the one of the same name above; `--model` takes its file".to_owned()
        });
        let content = match &self.content {
            Content::Valid(properties) => format!("licence: {}", properties.licence),
            Content::Invalid { error } => error.clone(),
        };
        let notes = file.chain(default).chain(hidden);
        notes.chain([content]).collect()
    }
}

impl Properties {
    fn columns(&self) -> String {
        let finds = if self.finds_objects {
            "objects"
        } else {
            "one thing"
        };
        let megabytes = format!("{:.1} MB", self.bytes as f64 / 1e6);
        let cost = self.multiply_adds.map_or_else(
            || "unknown".to_owned(),
            |count| format!("{:.2} G", count as f64 / 1e9),
        );
        let classes = self.classes.len();
        format!("{classes:>7}  {finds:9}  {megabytes:>7}  {cost:>13}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, content: Content) -> ListedModel {
        ListedModel {
            name: name.to_owned(),
            place: "built in",
            file: None,
            is_default: true,
            is_hidden: false,
            content,
        }
    }

    fn properties() -> Properties {
        Properties {
            model: "0badcafe".to_owned(),
            classes: vec!["person".to_owned(), "cat".to_owned()],
            finds_objects: true,
            input: [300, 300],
            bytes: 4_712_345,
            multiply_adds: Some(750_100_000),
            licence: "Apache-2.0".to_owned(),
        }
    }

    #[test]
    fn each_model_has_a_row_and_its_notes() {
        let valid = listed("coco", Content::Valid(Box::new(properties())));
        let text = table(&[valid]);
        let expected = "\
name  where               classes  finds         size  multiply-adds
coco  built in                  2  objects     4.7 MB         0.75 G
      the default
      licence: Apache-2.0
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_file_that_is_no_model_is_listed_with_its_error() {
        let error = "model x.onnx: it has no model card".to_owned();
        let invalid = ListedModel {
            file: Some("/m/x.onnx".to_owned()),
            is_default: false,
            is_hidden: true,
            ..listed("x", Content::Invalid { error })
        };
        let text = table(&[invalid]);
        for expected in [
            "x     built in\n",
            "/m/x.onnx\n",
            "hidden by",
            "no model card",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_json_has_the_properties_or_the_error() {
        let valid = listed("coco", Content::Valid(Box::new(properties())));
        let value = serde_json::to_value(&valid).expect("JSON");
        assert_eq!(value["classes"], serde_json::json!(["person", "cat"]));
        assert_eq!(
            (&value["bytes"], &value["finds_objects"]),
            (&4_712_345.into(), &true.into())
        );
        assert!(value.get("error").is_none() && value["file"].is_null());
        let error = "broken".to_owned();
        let invalid = listed("x", Content::Invalid { error });
        let value = serde_json::to_value(&invalid).expect("JSON");
        assert_eq!(value["error"], "broken");
        assert!(value.get("classes").is_none());
    }
}
