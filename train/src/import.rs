//! Foreign detectors to models of boxcam: networks of the SSD family as TensorFlow.js or TFLite files.
//!
//! A graph is read by its operators and their wiring; names matter only in messages. The steps:
//!
//! | module | what it does |
//! | --- | --- |
//! | `tfjs`, `tflite` | a file to a graph of typed operators |
//! | `evaluate` | constants, and what the file's own operators make of chosen values |
//! | `heads` | the convolutions that give scores and box codes |
//! | `decoding` | how codes become boxes: order, scales, anchors; which scores are classes |
//! | `anchors` | anchors of a file that has none, and a check of those of one that has |
//! | `image` | how the file scales the pixels |
//! | `network` | the layers between image and heads, with batch norms folded |
//! | `labels` | which output belongs to which name |
//! | `write` | the ONNX file |

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::card::{
    BoxOrder, CARD_SCHEMA, Channels, InputSpec, ModelCard, ModelOrigin, ObjectDecode,
    ObjectSettings, Resize, TensorLayout, Training,
};
use tract_onnx::pb;

mod anchors;
mod decoding;
mod error;
mod evaluate;
mod graph;
mod heads;
mod image;
mod labels;
mod network;
mod tfjs;
mod tflite;
mod write;

use anchors::{Anchor, MapSize};
use decoding::{Assumed, SCALES};
use evaluate::{Known, MAX_VALUES};
use graph::Graph;
use network::{Network, Stem};

pub use decoding::CodeOrder;
pub use error::{LabelsFault, ModelImportError, NetworkFault};
pub use image::Scaling;
pub use labels::{Background, LabelList};

use crate::formats;

/// TensorFlow's IoU of non-maximum suppression, for a file that has none.
const NMS_IOU: f32 = 0.6;

/// Objects a picture: TensorFlow's `max_total_detections`.
const MOST: usize = 100;

/// What a file leaves open, and what the card says about the model.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    pub name: String,
    pub labels: LabelList,
    /// What messages call the labels: a file or a built-in list.
    pub labels_name: String,
    pub background: Background,
    /// Instead of what the file says, or of -1 to 1 where it says nothing.
    pub scaling: Option<Scaling>,
    /// The network wants blue, green, red.
    pub is_bgr: bool,
    /// Side of the square input in pixels, of a file that leaves it open.
    pub input_size: Option<usize>,
    /// Of a file that leaves the decoding to its caller.
    pub code_order: CodeOrder,
    /// Of x, y, width and height, of a file that leaves the decoding to its caller.
    pub code_scales: [f32; 4],
    /// Of a file that has none: y, x, height, width each.
    pub anchors: Option<Vec<[f32; 4]>>,
    /// Score from which an object is a detection.
    pub threshold: f32,
    /// Instead of what the file says, or of TensorFlow 1's where it says nothing.
    pub resize: Option<Resize>,
    pub origin: Option<ModelOrigin>,
}

impl ImportOptions {
    /// The defaults, with these labels.
    #[must_use]
    pub fn new(name: &str, labels: LabelList) -> Self {
        Self {
            name: name.to_owned(),
            labels,
            labels_name: "labels".to_owned(),
            background: Background::Auto,
            scaling: None,
            is_bgr: false,
            input_size: None,
            code_order: CodeOrder::Y_FIRST,
            code_scales: SCALES,
            anchors: None,
            threshold: 0.5,
            resize: None,
            origin: None,
        }
    }
}

/// An imported model, and what was found in its file.
#[derive(Debug)]
pub struct Imported {
    /// In floats.
    pub model: pb::ModelProto,
    /// Of a file of integers: least and greatest value of its activations, by their name in the model.
    pub ranges: BTreeMap<String, [f32; 2]>,
    /// Lines for the user: what was found, what was assumed.
    pub notes: Vec<String>,
}

/// Reads a `.tflite` or `model.json` file; the shards of the latter must be in its folder.
///
/// # Errors
/// [`ModelImportError`], which names the file.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ModelImportError> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => import_bytes(&file, &bytes, path.with_file_name("").as_path(), options),
        Err(source) => Err(ModelImportError::Read { file, source }),
    }
}

/// Reads anchors from a file: one line "y,x,height,width" each, as shares of the picture.
///
/// # Errors
/// [`ModelImportError::Anchors`] with the path and the first line that is none.
pub fn anchors_from_file(path: &Path) -> Result<Vec<[f32; 4]>, ModelImportError> {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) => return Err(ModelImportError::Read { file, source }),
    };
    let row = |(line, text): (usize, &str)| {
        let numbers = text.split(',').map(|number| number.trim().parse::<f32>());
        let numbers = numbers.collect::<Result<Vec<f32>, _>>().unwrap_or_default();
        let row = <[f32; 4]>::try_from(numbers).ok();
        let row = row.filter(|row| row.iter().all(|number| number.is_finite()));
        row.ok_or_else(|| ModelImportError::Anchors {
            file: file.clone(),
            line,
            text: text.to_owned(),
        })
    };
    (1..).zip(text.trim_end().lines()).map(row).collect()
}

fn import_bytes(
    file: &str,
    bytes: &[u8],
    folder: &Path,
    options: &ImportOptions,
) -> Result<Imported, ModelImportError> {
    let graph = if formats::is_tflite(bytes) {
        tflite::read(bytes)
    } else if formats::is_tfjs(bytes) {
        tfjs::read(bytes, folder)
    } else {
        let file = file.to_owned();
        return Err(ModelImportError::UnknownFormat { file });
    };
    let found = graph.and_then(|graph| Found::in_graph(&graph, options).map_err(Into::into));
    let found = found.map_err(|fault| fault.in_file(file.to_owned()))?;
    found.finish(options)
}

/// What a file holds.
struct Found {
    network: Network,
    decoding: decoding::Decoding,
    /// Score outputs an anchor.
    columns: usize,
    given_on: decoding::Columns,
    scaling: Scaling,
    resize: Resize,
    /// Height and width in pixels.
    size: [usize; 2],
    nms_iou: f32,
    notes: Vec<String>,
}

impl Found {
    fn in_graph(graph: &Graph, options: &ImportOptions) -> Result<Self, NetworkFault> {
        let known = Known::constants(graph);
        let heads = heads::find(graph, &known)?;
        let image = network::first_input(graph, &known, &heads)?;
        let traced = image::trace(graph, &known, image)?;
        let square = |side| [side, side];
        let size = traced.size.or(options.input_size.map(square));
        let size = size.ok_or(NetworkFault::NoInputSize)?;
        if size.iter().any(|side| !(1..=4096).contains(side)) {
            return Err(NetworkFault::NoInputSize);
        }
        let network = network::lower(graph, &known, &heads, Stem { image, size })?;
        let maps = map_sizes(&network, &heads);
        let values = maps.iter().fold(0usize, |values, map| {
            values.saturating_add(map.count().saturating_mul(heads.columns.max(4)))
        });
        if values > MAX_VALUES {
            return Err(NetworkFault::TooLarge { values });
        }
        let assumed = Assumed {
            order: options.code_order,
            scales: options.code_scales,
            anchors: options.anchors.as_ref().map(|anchors| {
                let anchors = anchors.iter();
                anchors
                    .map(|&[y, x, height, width]| Anchor {
                        x,
                        y,
                        width,
                        height,
                    })
                    .collect()
            }),
        };
        let decoding = decoding::boxes(graph, &known, &heads, &maps, &assumed)?;
        anchors::check(&decoding.anchors, &maps, size)?;
        let given_on = decoding::columns(graph, &known, &heads, decoding.anchors.len())?;
        let scaling = options
            .scaling
            .or(traced.scaling)
            .unwrap_or(Scaling::SIGNED);
        let mut notes = vec![description(&network, &maps, size, heads.columns)];
        if options.scaling.is_none() && traced.scaling.is_none() {
            notes.push("it does not say how pixels are scaled: -1 to 1 is assumed".to_owned());
        }
        let of_file = heads
            .post_process
            .as_ref()
            .and_then(|node| node.options.nms_iou);
        Ok(Self {
            network,
            decoding,
            columns: heads.columns,
            given_on,
            scaling,
            resize: options.resize.unwrap_or(traced.resize),
            size,
            nms_iou: of_file
                .filter(|iou| *iou > 0.0 && *iou <= 1.0)
                .unwrap_or(NMS_IOU),
            notes,
        })
    }

    fn finish(mut self, options: &ImportOptions) -> Result<Imported, ModelImportError> {
        let classes = options
            .labels
            .assign(self.columns, &self.given_on, options.background);
        let classes = classes.map_err(|fault| ModelImportError::Labels {
            file: options.labels_name.clone(),
            fault,
        })?;
        let input = input_spec(&self.scaling, self.resize, self.size);
        write::fold_image(&mut self.network, &self.scaling, options.is_bgr, &input);
        write::arrange_heads(
            &mut self.network,
            self.columns,
            &classes.columns,
            &self.decoding,
        );
        let card = ModelCard {
            schema: CARD_SCHEMA,
            name: options.name.clone(),
            labels: classes.labels,
            input,
            box_order: BoxOrder::Corners,
            threshold: options.threshold,
            objects: Some(ObjectSettings {
                threshold: options.threshold,
                nms_iou: self.nms_iou,
                most: MOST,
                decode: ObjectDecode::InGraph,
            }),
            training: Training::default(),
            origin: options.origin.clone(),
            figures: BTreeMap::new(),
            golden: Vec::new(),
        };
        self.notes.push(format!(
            "{} classes of {} score outputs a box, {} anchors",
            card.labels.len(),
            self.columns,
            self.decoding.anchors.len()
        ));
        let (model, ranges) = write::model(&self.network, &self.decoding.anchors, &card);
        Ok(Imported {
            model,
            ranges,
            notes: self.notes,
        })
    }
}

fn map_sizes(network: &Network, heads: &heads::Heads) -> Vec<MapSize> {
    let maps = network.maps.iter().zip(&heads.maps);
    maps.map(|(layers, heads)| {
        let [_, height, width] = network.layers[layers.boxes].shape;
        MapSize {
            width,
            height,
            anchors: heads.anchors,
        }
    })
    .collect()
}

/// The image as boxcam feeds it: with a scale that is a power of two, so that the pixels are int8 inputs exactly, and with
/// 0 for the channel value that the network takes for 0.
fn input_spec(scaling: &Scaling, resize: Resize, [height, width]: [usize; 2]) -> InputSpec {
    let zeros = scaling.factor.iter().zip(&scaling.offset);
    let zero = zeros.map(|(factor, offset)| -offset / factor).sum::<f32>() / 3.0;
    InputSpec {
        width: width as u32,
        height: height as u32,
        layout: TensorLayout::Nchw,
        channels: Channels::Rgb,
        resize,
        // The middle of the pixels' range, 127.5, is rounded up whatever the rounding errors before.
        zero_point: match zero.is_finite() {
            true => (zero + 0.01).round().clamp(0.0, 255.0),
            false => 128.0,
        },
        ..InputSpec::mobilenet(1)
    }
}

fn description(
    network: &Network,
    maps: &[MapSize],
    [height, width]: [usize; 2],
    columns: usize,
) -> String {
    let convolutions = network.layers.iter();
    let convolutions =
        convolutions.filter(|layer| matches!(layer.op, network::LayerOp::Conv { .. }));
    let sides: Vec<String> = maps.iter().map(|map| map.width.to_string()).collect();
    format!(
        "an SSD of {} convolutions for {width} x {height} pixels, {columns} scores a box, maps of {} cells a row",
        convolutions.count(),
        sides.join(", ")
    )
}
