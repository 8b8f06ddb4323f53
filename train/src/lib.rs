//! boxcam-train: trains the models that boxcam runs.
//!
//! Input: images and a CSV file of boxes. Output: one ONNX file that carries its labels and preprocessing. The modules in
//! the order of the data flow:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`dataset`] | data sets in seven formats, splits without duplicates across them, inspection |
//! | [`labeling`] | a web page to draw boxes |
//! | [`recipe`] | every setting of a training that is not the data |
//! | [`negative_crops`] | parts of annotated images without an object |
//! | [`augmentation`] | random crops, flips, colors and erased rectangles, with the box moved along |
//! | [`samples`] | training samples: images, synthetic images, negatives |
//! | [`mosaic`] | four images in one picture |
//! | [`scenes`] | cut-outs of objects on background photographs |
//! | [`films`] | cut-outs that move over a background photograph |
//! | [`truth`] | what a picture of a batch shows after all that |
//! | [`layer`] | weights of one layer as plain numbers |
//! | [`weights`] | starting weights |
//! | [`import`] | foreign detectors to models of boxcam |
//! | [`conv`] | differentiable convolutions, channels last |
//! | [`network`] | the backbone |
//! | [`heads`] | class head and box heads |
//! | [`model`] | backbone and heads together |
//! | [`features`] | cached features of the frozen part of the backbone |
//! | [`teacher`] | knowledge distillation |
//! | [`loss`] | losses |
//! | [`adamw`] | the optimizer, and the moving average of the weights |
//! | [`plan`] | which pictures an epoch has |
//! | [`data_loader`] | batches, prepared in the background |
//! | [`trainer`] | the training loop |
//! | [`checkpoint`] | saving and restoring a training |
//! | [`fit_progress`] | how far a `fit` is, for other programs |
//! | [`onnx`] | ONNX files |
//! | [`average`] | the mean of several models |
//! | [`temperature`] | calibration of the confidence |
//! | [`thresholds`] | choice of the thresholds |
//! | [`confidence`] | what was calibrated and chosen, in words |
//! | [`review`] | what a model gets wrong, in words, and which images to take next |
//! | [`quantize`] | float model to int8 model |
//! | [`golden`] | golden examples in the card, by which a board checks its engine |
//! | [`draw`] | sheets of images, bar charts, SVG to pixels |
//! | [`plot`] | histories of trainings, as curves and a report |
//! | [`summary`] | the layers of a model, as a table |
//! | [`storage`] | files that are written whole or not at all |
//!
//! Images, boxes, cards and metrics are those of the crate boxcam: models are evaluated by the detector that runs on the
//! device.

/// Writes one line to standard error.
#[macro_export]
macro_rules! message {
    ($($message:tt)*) => { ::boxcam::diagnostics::write_line(format_args!($($message)*)) };
}

pub mod adamw;
pub mod augmentation;
pub mod average;
pub mod checkpoint;
pub mod confidence;
pub mod conv;
pub mod data_loader;
pub mod dataset;
pub mod draw;
pub mod features;
pub mod films;
pub mod fit_progress;
mod formats;
pub mod golden;
pub mod heads;
pub mod import;
pub mod labeling;
pub mod layer;
pub mod loss;
pub mod model;
pub mod mosaic;
pub mod negative_crops;
pub mod network;
pub mod onnx;
pub mod plan;
pub mod plot;
pub mod quantize;
pub mod recipe;
pub mod review;
pub mod samples;
pub mod scenes;
pub mod storage;
pub mod summary;
mod targets;
pub mod teacher;
pub mod temperature;
pub mod thresholds;
pub mod trainer;
pub mod truth;
pub mod weights;
