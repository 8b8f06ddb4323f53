//! `boxcam-train model import`: a foreign detector to a model of boxcam.

use std::path::{Path, PathBuf};

use anyhow::Result;
use boxcam::card::{ModelOrigin, Resize};
use boxcam_train::golden::add_golden;
use boxcam_train::import::{
    Background, CodeOrder, ImportOptions, Imported, LabelList, ModelImportError, Scaling,
    anchors_from_file, import as import_model,
};
use boxcam_train::message;
use boxcam_train::quantize::{self, Range, WeightScales};
use clap::{Args, ValueEnum};
use tract_onnx::pb::ModelProto;

use super::fraction;
use super::model_file::write_model;

/// The built-in list of labels.
const COCO: &str = "coco";

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The detector: a .tflite file or the model.json of a TensorFlow.js graph model, with its shards beside it
    model: PathBuf,
    /// File to write the model to: in floats, of which `model quantize` makes an int8 model; int8 if the file has integers
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Class names in the order of the outputs, one a line ("???" for an output without one), or with their numbers, or a
    /// label map; "coco" for COCO's 80 classes
    #[arg(long, value_name = "FILE|coco")]
    labels: PathBuf,
    /// Name of the model in its card; by default that of the file
    #[arg(long)]
    name: Option<String>,
    /// The score output that is the background: its number, or "none"; "auto" goes by the file and the number of labels
    #[arg(long, value_name = "NUMBER|none|auto", default_value = "auto", value_parser = background)]
    background: Background,
    /// What the network makes of channel values 0 to 255: a range, or MEAN,DEVIATION, or three means and three deviations;
    /// by default what the file says, else -1..1
    #[arg(long, value_name = "RANGE|NUMBERS", allow_hyphen_values = true, value_parser = scaling)]
    scaling: Option<Scaling>,
    /// Order of the color channels that the network was trained with
    #[arg(long, value_enum, default_value_t = ChannelOrder::Rgb)]
    channels: ChannelOrder,
    /// Side of the input in pixels, if the file leaves it open
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    input_size: Option<u32>,
    /// Anchors, one line "y,x,height,width" each, of a file that has none; by default those of TensorFlow's generator
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// Order of the four box codes, of a file that does not decode them
    #[arg(long, value_enum, default_value_t = BoxCodes::Yxhw)]
    box_codes: BoxCodes,
    /// What the box codes of centre and size are divided by, of a file that does not decode them
    #[arg(long, value_name = "CENTRE,SIZE", default_value = "10,5", value_parser = code_scales)]
    box_scales: [f32; 4],
    /// Score from which an object is a detection
    #[arg(long, default_value_t = 0.5, value_parser = fraction)]
    threshold: f32,
    /// How pictures are resized to the input; by default as the file does it, else as TensorFlow 1, without antialiasing
    #[arg(long, value_enum)]
    resize: Option<ResizeChoice>,
    /// Write floats even if the file has integers, whose scales are kept by default
    #[arg(long)]
    float: bool,
    /// Where the model comes from, for its card: a file or package with its version
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Licence of the model, for its card: an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "NOASSERTION")]
    licence: String,
    /// Address of the model, for its card
    #[arg(long, value_name = "URL", default_value = "")]
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChannelOrder {
    Rgb,
    Bgr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResizeChoice {
    /// A mean of all pixels that become one
    Antialiased,
    /// Between the two nearest pixels, as TensorFlow 1 does it
    Bilinear,
}

/// Order of box codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BoxCodes {
    /// y, x, height, width: TensorFlow's
    Yxhw,
    /// x, y, width, height
    Xywh,
}

pub(super) fn import(arguments: &ImportArguments) -> Result<()> {
    let options = options(arguments)?;
    let imported = import_model(&arguments.model, &options)?;
    for note in &imported.notes {
        message!("{note}");
    }
    let mut model = match imported.ranges.is_empty() || arguments.float {
        true => imported.model,
        false => with_own_scales(&imported)?,
    };
    add_golden(&mut model, &arguments.output.display().to_string())?;
    write_model(&arguments.output, &model)
}

/// The int8 model with the ranges of a file of integers.
fn with_own_scales(imported: &Imported) -> Result<ModelProto> {
    let ranges = imported.ranges.iter();
    let ranges = ranges.map(|(name, &[min, max])| (name.clone(), Range { min, max }));
    // TFLite's converter makes the largest weight of a channel 127.
    let model = quantize::quantize(&imported.model, &ranges.collect(), WeightScales::Max)?;
    message!("the scales of its integers are kept");
    Ok(model)
}

fn options(arguments: &ImportArguments) -> Result<ImportOptions, ModelImportError> {
    let labels = match arguments.labels == Path::new(COCO) {
        true => LabelList::coco(),
        false => LabelList::read(&arguments.labels)?,
    };
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| name_of(&arguments.model));
    let anchors = arguments.anchors.as_deref().map(anchors_from_file);
    Ok(ImportOptions {
        labels_name: arguments.labels.display().to_string(),
        background: arguments.background,
        scaling: arguments.scaling,
        is_bgr: arguments.channels == ChannelOrder::Bgr,
        input_size: arguments.input_size.map(|side| side as usize),
        code_order: match arguments.box_codes {
            BoxCodes::Yxhw => CodeOrder::Y_FIRST,
            BoxCodes::Xywh => CodeOrder::X_FIRST,
        },
        code_scales: arguments.box_scales,
        anchors: anchors.transpose()?,
        threshold: arguments.threshold,
        resize: arguments.resize.map(|choice| match choice {
            ResizeChoice::Antialiased => Resize::Antialiased,
            ResizeChoice::Bilinear => Resize::Bilinear,
        }),
        origin: Some(ModelOrigin {
            source: arguments.source.clone().unwrap_or_else(|| name.clone()),
            licence: arguments.licence.clone(),
            url: arguments.url.clone(),
        }),
        ..ImportOptions::new(&name, labels)
    })
}

/// The name of a model file, or of the folder of a `model.json`.
fn name_of(model: &Path) -> String {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    let folder = model.parent().and_then(Path::file_name);
    match folder {
        Some(folder) if stem == "model" => folder.to_string_lossy().into_owned(),
        _ => stem.into_owned(),
    }
}

fn background(text: &str) -> Result<Background, &'static str> {
    match text {
        "auto" => Ok(Background::Auto),
        "none" => Ok(Background::None),
        number => match number.parse() {
            Ok(number) => Ok(Background::Column(number)),
            Err(_) => Err("expected the number of an output, none or auto"),
        },
    }
}

fn scaling(text: &str) -> Result<Scaling, &'static str> {
    match text {
        "-1..1" => return Ok(Scaling::SIGNED),
        "0..1" => return Ok(Scaling::UNIT),
        "0..255" => return Ok(Scaling::BYTES),
        _ => {}
    }
    let (mean, deviation) = match numbers(text)[..] {
        [mean, deviation] => ([mean; 3], [deviation; 3]),
        [a, b, c, d, e, f] => ([a, b, c], [d, e, f]),
        _ => return Err("expected -1..1, 0..1, 0..255, MEAN,DEVIATION or three of each"),
    };
    match deviation.iter().all(|deviation| *deviation > 0.0) {
        true => Ok(Scaling::normalized(mean, deviation)),
        false => Err("expected deviations above 0"),
    }
}

fn code_scales(text: &str) -> Result<[f32; 4], &'static str> {
    match numbers(text)[..] {
        [centre, size] if centre > 0.0 && size > 0.0 => Ok([centre, centre, size, size]),
        _ => Err("expected two numbers above 0"),
    }
}

/// Finite numbers with commas between them; empty if one is not.
fn numbers(text: &str) -> Vec<f32> {
    let number = |text: &str| text.trim().parse().ok().filter(|n: &f32| n.is_finite());
    let numbers: Option<Vec<f32>> = text.split(',').map(number).collect();
    numbers.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalings_are_ranges_or_means_and_deviations() {
        assert_eq!(scaling("0..1"), Ok(Scaling::UNIT));
        let signed = scaling("127.5,127.5").expect("two numbers");
        for channel in 0..3 {
            assert!((signed.factor[channel] - Scaling::SIGNED.factor[channel]).abs() < 1e-7);
            assert!((signed.offset[channel] + 1.0).abs() < 1e-6);
        }
        let three = scaling("1,2,3,1,2,4").expect("six numbers");
        assert_eq!(three.offset, [-1.0, -1.0, -0.75]);
        for text in ["", "1", "0..2", "1,0", "1,x", "1,nan", "1,2,3"] {
            assert!(scaling(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_model_json_is_named_after_its_folder() {
        assert_eq!(name_of(Path::new("a/coco-ssd/model.json")), "coco-ssd");
        assert_eq!(name_of(Path::new("a/ssd.tflite")), "ssd");
        assert_eq!(name_of(Path::new("model.json")), "model");
    }

    #[test]
    fn numbers_and_words_say_where_the_background_is() {
        assert_eq!(background("auto"), Ok(Background::Auto));
        assert_eq!(background("none"), Ok(Background::None));
        assert_eq!(background("0"), Ok(Background::Column(0)));
        assert!(background("-1").is_err());
        assert_eq!(code_scales("10,5"), Ok([10.0, 10.0, 5.0, 5.0]));
        assert!(code_scales("10,0").is_err() && code_scales("10").is_err());
    }
}
