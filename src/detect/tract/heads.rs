//! The heads of a model: which of the four outputs a graph has, and their shapes.

use tract_onnx::pb;

use super::ModelError;
use crate::card::{BOX_OUTPUT, CLASS_OUTPUT, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT};

/// A value for each output of the heads that a model has: at least one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Heads<T> {
    /// Of [`CLASS_OUTPUT`] and [`BOX_OUTPUT`].
    pub(super) image: Option<[T; 2]>,
    /// Of [`OBJECT_SCORES_OUTPUT`] and [`OBJECT_BOXES_OUTPUT`].
    pub(super) objects: Option<[T; 2]>,
}

const IMAGE: [&str; 2] = [CLASS_OUTPUT, BOX_OUTPUT];
const OBJECTS: [&str; 2] = [OBJECT_SCORES_OUTPUT, OBJECT_BOXES_OUTPUT];

impl<T> Heads<T> {
    pub(super) fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Heads<U> {
        Heads {
            image: self.image.map(|pair| pair.map(&mut convert)),
            objects: self.objects.map(|pair| pair.map(&mut convert)),
        }
    }

    pub(super) fn as_ref(&self) -> Heads<&T> {
        Heads {
            image: self.image.as_ref().map(<[T; 2]>::each_ref),
            objects: self.objects.as_ref().map(<[T; 2]>::each_ref),
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let pairs = [&self.image, &self.objects];
        pairs.into_iter().flatten().flatten()
    }
}

impl Heads<usize> {
    /// The indices of the outputs in a graph's.
    ///
    /// # Errors
    /// [`ModelError`] if there is no pair, one output of a pair is missing, or the card does not fit.
    pub(super) fn find(
        name: &str,
        graph: &pb::GraphProto,
        card: &ModelCard,
    ) -> Result<Self, ModelError> {
        let pair = |names: [&'static str; 2]| match names.map(|output| position(graph, output)) {
            [Some(first), Some(second)] => Ok(Some([first, second])),
            [None, None] => Ok(None),
            [found, _] => {
                let missing = names[usize::from(found.is_some())];
                Err(missing_output(name, graph, missing))
            }
        };
        let heads = Self {
            image: pair(IMAGE)?,
            objects: pair(OBJECTS)?,
        };
        if heads.objects.is_some() && card.objects.is_none() {
            let model = name.to_owned();
            return Err(ModelError::NoObjectSettings { model });
        }
        if heads.objects.is_none() && card.objects.is_some() {
            return Err(missing_output(name, graph, OBJECT_SCORES_OUTPUT));
        }
        if heads.image.is_none() && heads.objects.is_none() {
            return Err(missing_output(name, graph, CLASS_OUTPUT));
        }
        Ok(heads)
    }
}

impl Heads<Vec<usize>> {
    /// Compares the shapes of the outputs with the card. Returns the number of cells of the object outputs.
    ///
    /// # Errors
    /// [`ModelError::Output`]
    pub(super) fn check(&self, name: &str, card: &ModelCard) -> Result<usize, ModelError> {
        let classes = card.labels.len();
        let require = |output, actual: &Vec<usize>, expected: &[usize], text: String| {
            if actual[..] == *expected {
                return Ok(());
            }
            Err(ModelError::Output {
                model: name.to_owned(),
                output,
                expected: text,
                actual: actual.clone(),
            })
        };
        if let Some([class, corners]) = &self.image {
            let expected = [1, classes];
            require(CLASS_OUTPUT, class, &expected, format!("{expected:?}"))?;
            require(BOX_OUTPUT, corners, &[1, 4], "[1, 4]".to_owned())?;
        }
        let Some([scores, boxes]) = &self.objects else {
            return Ok(0);
        };
        // A map without cells is no head.
        let cells = scores.get(1).copied().unwrap_or_default().max(1);
        let text = format!("[1, cells, {classes}]");
        require(OBJECT_SCORES_OUTPUT, scores, &[1, cells, classes], text)?;
        let expected = [1, cells, 4];
        require(
            OBJECT_BOXES_OUTPUT,
            boxes,
            &expected,
            format!("{expected:?}"),
        )?;
        Ok(cells)
    }
}

fn position(graph: &pb::GraphProto, output: &str) -> Option<usize> {
    graph.output.iter().position(|found| found.name == output)
}

fn missing_output(name: &str, graph: &pb::GraphProto, output: &'static str) -> ModelError {
    let names = graph.output.iter().map(|output| output.name.as_str());
    ModelError::MissingOutput {
        model: name.to_owned(),
        output,
        found: names.collect::<Vec<_>>().join(", "),
    }
}
