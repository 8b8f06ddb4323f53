//! `boxcam-train sanity`: what a model says of one picture, all of it.
//!
//! The chapter's check before a training: a class head that was taken over must still know the picture, a box head that
//! has not learnt yet puts out noise.

use std::path::PathBuf;

use anyhow::{Context, Result};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::frame::{Frame, Origin};
use boxcam::label::ClassId;
use boxcam::picture;
use boxcam::preprocess::preprocess;
use boxcam_train::draw::bars::bars;
use boxcam_train::draw::palette::Palette;
use boxcam_train::draw::svg;

use super::output::write;

/// Classes that are printed.
const TOP: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model file, float or int8
    model: PathBuf,
    /// The picture
    picture: PathBuf,
    /// Draw the scores of all classes into this PNG
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut detector = TractDetector::from_file(&arguments.model)?;
    let image = picture::open(&arguments.picture)?;
    let frame = Frame::new(0, Origin::Picture(arguments.picture.clone()), image);
    let name = arguments.picture.display().to_string();
    let input = preprocess(&frame, detector.card()).with_context(|| format!("picture {name}"))?;
    let prediction = detector.predict(&input)?;
    let labels = detector.card().labels.clone();
    let named: Vec<(&str, f32)> = labels
        .iter()
        .zip(prediction.scores().iter().copied())
        .collect();
    print_top(&named);
    println!("{}", box_in_words(&prediction));
    let sum: f32 = prediction.scores().iter().sum();
    println!("sum of all scores: {sum:.4}");
    let Some(output) = &arguments.output else {
        return Ok(());
    };
    let (top, score) = prediction.top();
    let about = format!(
        "{}: {} with {score:.3}",
        detector.card().name,
        label(&named, top)
    );
    let file_name = arguments.picture.file_name().unwrap_or_default();
    let title = file_name.to_string_lossy();
    let chart = bars(&title, &about, &named, Palette::LIGHT);
    write(output, &svg::to_png(&chart, 1.5)?)?;
    Ok(())
}

fn label<'a>(named: &[(&'a str, f32)], class: ClassId) -> &'a str {
    named.get(class.index()).map_or("?", |(name, _)| name)
}

fn print_top(named: &[(&str, f32)]) {
    let mut ranked = named.to_vec();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(TOP);
    let width = ranked.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (name, score) in ranked {
        println!("{name:<width$}  {score:.4}");
    }
}

/// The four numbers as they came; of those that are no box, also the nearest box.
fn box_in_words(prediction: &Prediction) -> String {
    let words = |corners: [f32; 4]| corners.map(|corner| format!("{corner:.4}")).join(", ");
    let (raw, sound) = (prediction.corners(), prediction.bounding_box().corners());
    let said = format!("box (x_min, x_max, y_min, y_max): {}", words(raw));
    if raw == sound {
        said
    } else {
        format!(
            "{said}; no box within the picture, taken as {}",
            words(sound)
        )
    }
}
