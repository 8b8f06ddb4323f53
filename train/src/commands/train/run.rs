//! A training as it goes on: epoch after epoch, each told and kept before the next begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
use boxcam::evaluate::Metrics;
use boxcam_train::checkpoint::Checkpoint;
use boxcam_train::fit::{Epoch, Fit, Progress, TrainingData, ValidationData};
use boxcam_train::recipe::Recipe;
use boxcam_train::{onnx, storage};

use crate::commands::progress;

/// A training as it goes on, and what it leaves in its folder.
pub(super) struct Run<'a> {
    pub(super) folder: &'a Path,
    pub(super) settings: String,
    pub(super) history: Vec<Epoch>,
    pub(super) card: ModelCard,
}

impl Run<'_> {
    fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// From the checkpoint if there is one. One that nobody asked to go on from is not overwritten.
    pub(super) fn begin(&mut self, fit: &mut Fit, resume: bool) -> Result<()> {
        let path = self.checkpoint();
        if !path.exists() {
            return Ok(());
        }
        if !resume {
            bail!(
                "{} is there: say --resume to go on from it, or name another --run",
                path.display()
            );
        }
        let checkpoint = Checkpoint::read(&path, &self.settings)?;
        eprintln!("going on after epoch {}", checkpoint.history.len());
        fit.take_up(checkpoint.state);
        self.history = checkpoint.history;
        Ok(())
    }

    pub(super) fn epochs(
        &mut self,
        fit: &mut Fit,
        recipe: &Recipe,
        data: &TrainingData,
        validation: &ValidationData,
    ) -> Result<()> {
        println!("{HEADER}");
        for epoch in &self.history {
            println!("{}", row(epoch));
        }
        for epoch in self.history.len() + 1..=recipe.schedule.epochs() {
            let steps = data.examples.examples.len() / recipe.batch;
            let bar = progress(steps, &format!("epoch {epoch:2}"));
            let advance = |now: &Progress| {
                bar.inc(1);
                bar.set_message(message(now));
            };
            let done = fit.epoch(epoch, data, advance, |fault| {
                bar.suspend(|| eprintln!("left out: {fault}"));
            });
            bar.finish_and_clear();
            let (figures, class_loss) = fit
                .validate(data.labels, validation)
                .context("training went astray; try fewer epochs or another seed")?;
            let epoch = done.epoch(epoch, &figures, class_loss);
            println!("{}", row(&epoch));
            self.history.push(epoch);
            self.keep(fit, &figures)?;
        }
        eprintln!("written: {}", self.folder.join("float.onnx").display());
        Ok(())
    }

    /// After each epoch: a training that is cut short has still made something. The checkpoint comes last,
    /// so that what it says is done has been written.
    fn keep(&mut self, fit: &Fit, figures: &Metrics) -> Result<()> {
        self.card.training.epochs = self.history.len();
        self.card.figures = BTreeMap::from([
            ("class_accuracy".to_owned(), figures.class_accuracy),
            ("mean_iou".to_owned(), figures.mean_iou),
        ]);
        let file = self.folder.join("float.onnx");
        onnx::write(&file, &fit.model().export(&fit.made(), &self.card))?;
        write_history(&self.folder.join("history.csv"), &self.history)?;
        Checkpoint {
            settings: self.settings.clone(),
            history: self.history.clone(),
            state: fit.state().map(Clone::clone),
        }
        .write(&self.checkpoint())?;
        Ok(())
    }
}

const HEADER: &str = "\
epoch |  loss  class    box  accuracy mean IoU | val: class box MSE accuracy mean IoU
------+---------------------------------------+-------------------------------------";

fn row(e: &Epoch) -> String {
    format!(
        "{:5} | {:5.3}  {:5.3}  {:5.3}    {:6.4}   {:6.4} |     {:6.3}  {:6.4}   {:6.4}   {:6.4}",
        e.epoch,
        e.loss,
        e.class_loss,
        e.box_loss,
        e.class_accuracy,
        e.mean_iou,
        e.val_class_loss,
        e.val_box_mse,
        e.val_class_accuracy,
        e.val_mean_iou,
    )
}

fn message(now: &Progress) -> String {
    format!(
        "loss {:.3} class {:.3} box {:.3} accuracy {:.3} IoU {:.3}",
        now.loss(),
        now.class_loss(),
        now.box_loss(),
        now.class_accuracy(),
        now.mean_iou(),
    )
}

fn write_history(path: &Path, history: &[Epoch]) -> Result<()> {
    let bytes = storage::csv(history)?;
    storage::write_whole(path, &bytes)
        .with_context(|| format!("{}: can't be written", path.display()))
}
