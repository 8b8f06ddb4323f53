//! `boxcam evaluate`: the figures of a model on annotated pictures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use boxcam::config::EvaluateConfig;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::{Curve, CurvePoint, Evaluation, Figures};
use boxcam::split::{Split, SplitFault};
use serde::Serialize;

use super::output::{json, print};
use super::{Completion, Failure, model};

/// Confusions that are listed for people.
const LISTED: usize = 5;

/// What programs get.
#[derive(Serialize)]
struct Measured<'a> {
    model: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
    /// Pictures with nothing in them, by kind.
    nothing: BTreeMap<&'a str, usize>,
    curve: &'a [CurvePoint],
}

pub(super) fn evaluate(config: &EvaluateConfig) -> Result<Completion, Failure> {
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
    let (figures, mut curve, mut faults) = look.at_annotated(&split)?;
    faults.extend(look.at_nothing(&nothing, config.pan, &mut curve)?);
    progress.clear();
    name_faults(&faults);
    let points = curve.points();
    if let Some(file) = &config.curve {
        super::curve::write(file, &points)?;
    }
    let text = if config.json {
        let measured = Measured {
            model: detector.model_hash(),
            figures: &figures,
            nothing: curve.nothing().collect(),
            curve: &points,
        };
        json(&measured)?
    } else {
        let mut text = table(detector.model_hash(), &figures);
        if config.nothing.is_some() {
            text += &format!("\n{}", super::curve::table(&points));
        }
        text
    };
    print(&text)?;
    Ok(Completion::of((split.faults.len() + faults.len()) as u64))
}

/// A model that looks at pictures.
struct Look<'a> {
    threads: usize,
    progress: &'a Progress,
    detector: &'a TractDetector,
}

impl Look<'_> {
    fn at_annotated(&self, split: &Split) -> Result<(Figures, Curve, Vec<SplitFault>), Failure> {
        let seen = || self.progress.step();
        let (told, faults) = split.predict(self.detector, self.threads, &seen)?;
        let labels = &self.detector.card().labels;
        let mut evaluation = Evaluation::new(labels.clone());
        let mut curve = Curve::new(labels.clone());
        for (picture, prediction) in told {
            evaluation.add(&picture.folder, &picture.rows, &prediction);
            curve.add(&picture.folder, &picture.rows, &prediction);
        }
        Ok((evaluation.figures(), curve, faults))
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
        eprintln!("boxcam: {fault}");
    }
}

/// The figures for people.
fn table(model: &str, figures: &Figures) -> String {
    let counts = [
        ("rows", figures.rows),
        (
            "  of a class unknown to the model",
            figures.unknown_class_rows,
        ),
        ("pictures", figures.pictures),
    ];
    let shares = [
        ("class accuracy, rows", figures.class_accuracy),
        ("class accuracy, pictures", figures.picture_accuracy),
        ("mean IoU, rows", figures.mean_iou),
        (
            "mean IoU, largest box of a picture",
            figures.largest_box_mean_iou,
        ),
        (
            "IoU of at least 0.5 with that box",
            figures.largest_box_iou_over_half,
        ),
        ("mean squared error of a corner", figures.box_mse),
    ];
    let mut text = format!("{:<36}{model:>8}\n", "model");
    for (name, count) in counts {
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    for (name, share) in shares {
        let _ = writeln!(text, "{name:<36}{share:>8.4}");
    }
    for (count, truth, taken_for) in most_confused(figures) {
        let name = format!("{truth} taken for {taken_for}");
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    text
}

/// How often which class was taken for which other, the most frequent first.
fn most_confused(figures: &Figures) -> Vec<(usize, &str, &str)> {
    let labels = &figures.confusion.labels;
    let mut pairs = Vec::new();
    for (truth, row) in labels.iter().zip(&figures.confusion.counts) {
        let cells = labels.iter().zip(row);
        let wrong = cells.filter(|(taken_for, count)| *taken_for != truth && **count > 0);
        pairs.extend(wrong.map(|(other, count)| (*count, truth.as_str(), other.as_str())));
    }
    pairs.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    pairs.truncate(LISTED);
    pairs
}

/// How far it is, on a terminal.
struct Progress {
    done: AtomicUsize,
    total: usize,
    is_shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            done: AtomicUsize::new(0),
            total,
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_shown && (done.is_multiple_of(10) || done == self.total) {
            eprint!("\r{done} of {} pictures", self.total);
        }
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use boxcam::evaluate::Confusion;

    use super::*;

    fn figures() -> Figures {
        Figures {
            rows: 12,
            pictures: 10,
            class_accuracy: 0.75,
            picture_accuracy: 0.8,
            mean_iou: 0.333_33,
            largest_box_mean_iou: 0.4,
            largest_box_iou_over_half: 0.5,
            box_mse: 0.041_25,
            unknown_class_rows: 1,
            confusion: Confusion {
                labels: ["apple", "cake", "pie"].map(str::to_owned).to_vec(),
                counts: vec![vec![4, 1, 0], vec![0, 3, 2], vec![0, 0, 2]],
            },
        }
    }

    #[test]
    fn people_get_a_table() {
        let text = table("0badcafe", &figures());
        let line = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .expect("there")
        };
        assert!(line("model").ends_with(" 0badcafe"));
        assert!(line("mean IoU, rows").ends_with(" 0.3333"));
        assert!(line("rows").ends_with(" 12"));
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert!(last[1].starts_with("cake taken for pie ") && last[1].ends_with(" 2"));
        assert!(last[0].starts_with("apple taken for cake "));
    }

    #[test]
    fn programs_get_one_object() {
        let measured = Measured {
            model: "0badcafe",
            figures: &figures(),
            nothing: BTreeMap::from([("wall", 7)]),
            curve: &[],
        };
        let object = serde_json::to_value(&measured).expect("an object");
        assert_eq!(object["model"], "0badcafe");
        assert_eq!(object["rows"], 12);
        assert_eq!(object["nothing"]["wall"], 7);
        assert_eq!(object["confusion"]["counts"][1][2], 2);
    }
}
