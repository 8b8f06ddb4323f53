//! boxcam-train: makes the models that boxcam runs.
//!
//! Pictures and a CSV of boxes go in, one ONNX file that carries its own labels and preprocessing comes
//! out. The modules stand here in that order.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`dataset`] | anybody's data set: six formats, splits without leaks, a look at it |
//! | [`recipe`] | every choice of a training that is not the data |
//! | [`layer`] | one layer's weights as plain numbers |
//! | [`weights`] | the ImageNet weights that training starts from |
//! | [`view`] | crops, mirror images and other colours of a picture, with its box moved along |
//! | [`background`] | parts of annotated pictures in which nothing is |
//! | [`examples`] | what is learnt: pictures, made-up scenes, rows |
//! | [`conv`] | convolutions channels last, differentiable |
//! | [`network`] | the convolutions in a row |
//! | [`heads`] | class head and box heads |
//! | [`model`] | trunk and heads together |
//! | [`features`] | what the frozen part says of every picture, computed once |
//! | [`loss`] | losses |
//! | [`adamw`] | the optimizer, and the mean of the weights over time |
//! | [`feed`] | batches, made ready while the one before is learnt |
//! | [`fit`] | the training loop |
//! | [`checkpoint`] | a training put away and taken up again |
//! | [`onnx`] | ONNX files |
//! | [`average`] | the mean of several trainings |
//! | [`temper`] | confidences that mean what they say |
//! | [`quantize`] | float model to int8 model, or a refusal |
//! | [`golden`] | examples in the card, by which an engine proves itself |
//! | [`draw`] | sheets of pictures, bar charts, SVG to pixels |
//! | [`plot`] | histories of trainings, as curves and a report |
//! | [`summary`] | the layers of a model, as a table and a picture |
//! | [`storage`] | files that can't be half-written |
//!
//! Everything about pictures, boxes, cards and figures is boxcam's own: what is evaluated here is the
//! detector that runs on the device.

/// Writes one line to standard error.
#[macro_export]
macro_rules! message {
    ($($message:tt)*) => { ::boxcam::diagnostics::write_line(format_args!($($message)*)) };
}

pub mod adamw;
pub mod average;
pub mod background;
pub mod checkpoint;
pub mod conv;
pub mod dataset;
pub mod draw;
pub mod examples;
pub mod features;
pub mod feed;
pub mod fit;
pub mod golden;
pub mod heads;
mod kernels;
pub mod layer;
pub mod loss;
pub mod model;
pub mod network;
pub mod onnx;
pub mod plot;
pub mod quantize;
pub mod recipe;
pub mod storage;
pub mod summary;
mod targets;
pub mod teacher;
pub mod temper;
pub mod view;
pub mod weights;
