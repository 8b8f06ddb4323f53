//! `boxcam evaluate`: the figures of a model on annotated pictures.

use boxcam::warn;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use boxcam::options::EvaluateOptions;
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::evaluate::{Curve, CurvePoint, Details, Evaluation, Figures, Records};
use boxcam::sink::picture::save;
use boxcam::split::{Split, SplitFault, Told};
use serde::Serialize;

use super::{json, print};
use super::{Completion, Failure, model};
use document::Contents;
use progress::Progress;
use speed::Speed;

mod charts;
mod document;
mod gallery;
mod markup;
mod progress;
mod speed;
mod table;

/// What programs get.
#[derive(Serialize)]
struct Measured<'a> {
    model: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
    /// Pictures with nothing in them, by kind.
    nothing: BTreeMap<&'a str, usize>,
    curve: &'a [CurvePoint],
    #[serde(flatten)]
    details: &'a Details,
    speed: &'a Speed,
}

pub(super) fn evaluate(config: &EvaluateOptions) -> Result<Completion, Failure> {
    let detector = model::load(config.model.as_deref())?;
    let split = Split::read(&config.pictures, &config.annotations)?;
    let nothing = config.nothing.as_deref().map(Split::without_rows);
    let nothing = nothing.transpose()?.unwrap_or_default();
    name_faults(&split.faults);
    let looks = 1 + usize::from(config.pan);
    let progress = Progress::new(split.pictures.len() + looks * nothing.pictures.len());
    let threads = config.threads.or_else(|| available_parallelism().ok());
    let look = Look {
        threads: threads.map_or(1, NonZeroUsize::get),
        progress: &progress,
        detector: &detector,
    };
    let (mut seen, mut faults) = look.at_annotated(&split)?;
    faults.extend(look.at_nothing(&nothing, config.pan, &mut seen.curve)?);
    progress.clear();
    name_faults(&faults);
    tell(config, &detector, &split, &seen)?;
    Ok(Completion::of((split.faults.len() + faults.len()) as u64))
}

/// Writes the files that are asked for and prints the rest.
fn tell(
    config: &EvaluateOptions,
    detector: &TractDetector,
    split: &Split,
    seen: &Seen<'_>,
) -> Result<(), Failure> {
    let model = detector.model_hash();
    let figures = &seen.figures;
    let details = &Details::of(&seen.records);
    let points = seen.curve.points();
    if let Some(file) = &config.curve {
        super::curve::write(file, &points)?;
    }
    let timed = config.json || config.report.is_some();
    let speed = timed.then(|| Speed::of(detector, split)).transpose()?;
    if let (Some(file), Some(speed)) = (&config.report, &speed) {
        let judged = seen.told.iter().zip(seen.records.pictures());
        let judged: Vec<_> = judged
            .map(|((picture, prediction), record)| (*picture, prediction, record))
            .collect();
        let page = document::html(&Contents {
            model,
            card: detector.card(),
            figures,
            details,
            speed,
            judged: &judged,
            curve: config.nothing.is_some().then_some(points.as_slice()),
        });
        save(file.path(), page.as_bytes())?;
    }
    match &speed {
        Some(speed) if config.json => print(&json(&Measured {
            model,
            figures,
            nothing: seen.curve.nothing().collect(),
            curve: &points,
            details,
            speed,
        })?),
        _ => {
            let mut text = table::of(model, figures, details);
            if config.nothing.is_some() {
                text += &format!("\n{}", super::curve::table(&points));
            }
            print(&text)
        }
    }
}

/// A model that looks at pictures.
struct Look<'a> {
    threads: usize,
    progress: &'a Progress,
    detector: &'a TractDetector,
}

/// What it said of annotated pictures; `told` and `records` have the same pictures in the same order.
struct Seen<'s> {
    told: Told<'s, Prediction>,
    records: Records,
    figures: Figures,
    curve: Curve,
}

impl Look<'_> {
    fn at_annotated<'s>(&self, split: &'s Split) -> Result<(Seen<'s>, Vec<SplitFault>), Failure> {
        let step = || self.progress.step();
        let (told, faults) = split.predict(self.detector, self.threads, &step)?;
        let labels = &self.detector.card().labels;
        let mut evaluation = Evaluation::new(labels.clone());
        let mut records = Records::new(labels.clone());
        let mut curve = Curve::new(labels.clone());
        for (picture, prediction) in &told {
            evaluation.add(&picture.folder, &picture.rows, prediction);
            records.add(&picture.folder, &picture.rows, prediction);
            curve.add(&picture.folder, &picture.rows, prediction);
        }
        let seen = Seen {
            told,
            records,
            figures: evaluation.figures(),
            curve,
        };
        Ok((seen, faults))
    }

    fn at_nothing(
        &self,
        split: &Split,
        pan: bool,
        curve: &mut Curve,
    ) -> Result<Vec<SplitFault>, Failure> {
        let seen = || self.progress.step();
        let (told, faults) = split.predict(self.detector, self.threads, &seen)?;
        for (picture, prediction) in told {
            curve.add_nothing(&picture.folder, &prediction);
        }
        if pan {
            // Its faults are those of the first look.
            let (told, _) = split.predict_pans(self.detector, self.threads, &seen)?;
            for (picture, film) in told {
                curve.add_film(&picture.folder, film);
            }
        }
        Ok(faults)
    }
}

fn name_faults(faults: &[SplitFault]) {
    for fault in faults {
        warn!("{fault}");
    }
}
