//! Why a foreign network can't be imported.

use boxcam::diagnostics::reading_advice;
use boxcam::label::LabelsError;
use thiserror::Error;

use super::evaluate::MAX_VALUES;
use super::graph::Node;
use crate::formats::FormatError;

/// Why a detector can't be imported.
#[derive(Debug, Error)]
pub enum ModelImportError {
    #[error("{file}: can't be read ({source}); {}", reading_advice(source))]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("model {file}: not a complete .tflite or model.json file ({message}); copy it again")]
    Broken { file: String, message: String },
    #[error(
        "model {file}: neither a .tflite file nor a model.json of TensorFlow.js; give one of the two"
    )]
    UnknownFormat { file: String },
    #[error("model {file}: {fault}")]
    Network { file: String, fault: NetworkFault },
    #[error(
        "anchors {file}, line {line}, {text:?}: expected four numbers, y,x,height,width; correct it"
    )]
    Anchors {
        file: String,
        line: usize,
        text: String,
    },
    #[error("labels {file}: can't be read ({source}); {}", reading_advice(source))]
    ReadLabels {
        file: String,
        source: std::io::Error,
    },
    #[error("labels {file}: {fault}")]
    Labels { file: String, fault: LabelsFault },
}

/// What in a network can't be imported.
#[derive(Debug, Error)]
pub enum NetworkFault {
    #[error(
        "operator {operator}, node {node:?}: {found}; expected {expected}, so this network can't be imported"
    )]
    Operator {
        operator: String,
        node: String,
        found: String,
        expected: &'static str,
    },
    /// Something of the file format that is not read.
    #[error("{message}; expected a graph model of an SSD in floats or 8-bit integers")]
    Unsupported { message: String },
    #[error(
        "no heads of an SSD found: expected two concatenations of reshaped convolutions, one of 4 box codes an anchor \
         and one of scores, found {found}; only networks of the SSD family can be imported"
    )]
    NoHeads { found: String },
    #[error(
        "its heads do not fit each other: feature map {map} has {boxes} channels of box codes and {scores} of scores; \
         expected 4 and one a class for each anchor"
    )]
    Heads {
        map: usize,
        boxes: usize,
        scores: usize,
    },
    #[error(
        "its heads give {values} scores, at most {MAX_VALUES} can be imported; give a smaller network"
    )]
    TooLarge { values: usize },
    #[error(
        "its {anchors} anchors are not those of its input of {width} x {height} pixels, whose feature maps {maps} need \
         {needed}; export the model again for this input size"
    )]
    AnchorCount {
        anchors: usize,
        width: usize,
        height: usize,
        maps: String,
        needed: usize,
    },
    #[error(
        "its anchor {anchor} is centred at {x:.3}, {y:.3}, outside its cell of the {map} feature map of its input of \
         {width} x {height} pixels; its anchors are those of another input size or in another order: export the model again"
    )]
    AnchorPlace {
        anchor: usize,
        x: f32,
        y: f32,
        map: String,
        width: usize,
        height: usize,
    },
    #[error(
        "it has no anchors, and its feature maps with {found} anchors a cell are not those that TensorFlow's generator \
         makes, with 3 and then 6 each; give --anchors FILE, one line \"y,x,height,width\" an anchor"
    )]
    NoAnchors { found: String },
    #[error("it does not say how large its input is; give --input-size PIXELS")]
    NoInputSize,
    #[error(
        "its boxes are not decoded as those of an SSD: {message}; expected centres and sizes relative to anchors"
    )]
    Decoding { message: String },
    #[error("it is quantised with {message}, which can't be written as int8")]
    Scales { message: String },
}

/// What is wrong with a list of labels, for a given network.
#[derive(Debug, Error)]
pub enum LabelsFault {
    #[error("line {line}, {text:?}: expected a name, or a number and a name; correct it")]
    Line { line: usize, text: String },
    #[error("the number {number} comes twice; give every class a number of its own")]
    NumberTwice { number: usize },
    #[error(
        "it has {labels} labels, the network {outputs} outputs a box, {background}; give the labels of this network, a \
         line \"???\" for an output without a name"
    )]
    Count {
        labels: usize,
        outputs: usize,
        /// What is known of a background among the outputs.
        background: String,
    },
    #[error(
        "its first label is {first:?}, but output 0 of the network's {outputs} is the background; put a line \"???\" first, \
         or leave the background out"
    )]
    NoBackground { first: String, outputs: usize },
    #[error(
        "the network has no output {column} for the background, it has {outputs}; give another --background"
    )]
    BackgroundColumn { column: usize, outputs: usize },
    #[error(transparent)]
    Names(#[from] LabelsError),
}

impl NetworkFault {
    /// A node that is not as expected.
    pub(super) fn at(node: &Node, found: impl Into<String>, expected: &'static str) -> Self {
        Self::Operator {
            operator: node.operator.clone(),
            node: node.name.clone(),
            found: found.into(),
            expected,
        }
    }
}

/// A fault while a file is read; the caller adds the file.
#[derive(Debug)]
pub(super) enum ReadFault {
    Broken(String),
    Network(NetworkFault),
}

impl From<FormatError> for ReadFault {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Broken(message) => Self::Broken(message),
            FormatError::Unsupported(message) => {
                Self::Network(NetworkFault::Unsupported { message })
            }
        }
    }
}

impl From<NetworkFault> for ReadFault {
    fn from(fault: NetworkFault) -> Self {
        Self::Network(fault)
    }
}

impl ReadFault {
    pub(super) fn in_file(self, file: String) -> ModelImportError {
        match self {
            Self::Broken(message) => ModelImportError::Broken { file, message },
            Self::Network(fault) => ModelImportError::Network { file, fault },
        }
    }
}
