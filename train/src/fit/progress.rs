//! What is told of an epoch, while it runs and when it is done.

use boxcam::evaluate::{Mean, Metrics};
use boxcam::geometry::{NormBox, iou};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::Answer;
use crate::network::to_vec;
use crate::targets::Targets;

/// Losses and metrics of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Its share of the class.
    pub class_loss: f64,
    /// Its share of the box.
    pub box_loss: f64,
    /// Share of training examples with the right top class, in the views that were shown.
    pub class_accuracy: f64,
    /// Mean IoU of training examples with a box.
    pub mean_iou: f64,
    /// Mean cross-entropy of validation rows.
    pub val_class_loss: f64,
    /// Mean squared error of the corners, validation rows.
    pub val_box_mse: f64,
    /// Class accuracy of validation rows.
    pub val_class_accuracy: f64,
    /// Mean IoU of validation rows.
    pub val_mean_iou: f64,
}

/// Sums over the examples of an epoch so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Steps done.
    pub steps: usize,
    loss: Mean,
    class_loss: Mean,
    box_loss: Mean,
    right_class: Mean,
    iou: Mean,
}

impl Progress {
    pub(super) fn add(
        &mut self,
        loss: &Tensor<1>,
        class_loss: &Tensor<1>,
        box_loss: &Tensor<1>,
        answer: &Answer,
        truth: &Targets,
    ) {
        let number = |tensor: &Tensor<1>| f64::from(to_vec(tensor.clone().inner())[0]);
        self.steps += 1;
        self.loss.add(number(loss));
        self.class_loss.add(number(class_loss));
        self.box_loss.add(number(box_loss));
        let [_, classes] = answer.logits.dims();
        let logits = to_vec(answer.logits.clone().inner());
        let corners = to_vec(answer.corners.clone().inner());
        for (row, (class, seen)) in truth.examples.iter().enumerate() {
            if let Some(class) = class {
                let logits = &logits[row * classes..][..classes];
                let is_top = logits.iter().all(|&other| other <= logits[*class]);
                self.right_class.add_hit(is_top);
            }
            let found = std::array::from_fn(|corner| corners[row * 4 + corner]);
            if let (Some(seen), Some(found)) = (seen, NormBox::from_regression(found)) {
                self.iou.add(f64::from(iou(seen, &found)));
            }
        }
    }

    /// Mean loss so far.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss.value()
    }

    /// Mean class loss so far.
    #[must_use]
    pub fn class_loss(&self) -> f64 {
        self.class_loss.value()
    }

    /// Mean box loss so far.
    #[must_use]
    pub fn box_loss(&self) -> f64 {
        self.box_loss.value()
    }

    /// Share of right classes so far.
    #[must_use]
    pub fn class_accuracy(&self) -> f64 {
        self.right_class.value()
    }

    /// Mean IoU so far.
    #[must_use]
    pub fn mean_iou(&self) -> f64 {
        self.iou.value()
    }

    /// The epoch with these training figures and the given validation ones.
    #[must_use]
    pub fn epoch(&self, epoch: usize, validation: &Metrics, val_class_loss: f64) -> Epoch {
        Epoch {
            epoch,
            loss: self.loss(),
            class_loss: self.class_loss(),
            box_loss: self.box_loss(),
            class_accuracy: self.class_accuracy(),
            mean_iou: self.mean_iou(),
            val_class_loss,
            val_box_mse: validation.box_mse,
            val_class_accuracy: validation.class_accuracy,
            val_mean_iou: validation.mean_iou,
        }
    }
}
