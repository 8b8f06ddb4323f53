//! All that is told of a model beside its [`Figures`](super::Figures).

use serde::Serialize;

use super::{Calibration, ClassFigures, Intervals, IouHistogram, Precisions, Records, SizeFigures};

/// What needs more than sums: computed from [`Records`], and the same for any number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// Average precision at an IoU of 0.5, mean over the classes with rows.
    pub ap50: f64,
    /// Average precision over the IoUs 0.5, 0.55, ... 0.95, mean over the classes with rows.
    pub ap: f64,
    /// Where the figures probably lie.
    pub intervals: Intervals,
    /// Whether confidences are what they say.
    pub calibration: Calibration,
    /// How well boxes fit.
    pub iou_histogram: IouHistogram,
    /// Small things and large ones by themselves.
    pub per_size: Vec<SizeFigures>,
    /// Each class by itself.
    pub per_class: Vec<ClassFigures>,
    /// Precision over recall, for a drawing.
    #[serde(skip)]
    pub precisions: Precisions,
}

impl Details {
    /// Over all pictures.
    #[must_use]
    pub fn of(records: &Records) -> Self {
        let precisions = Precisions::of(records);
        let mean = precisions.mean();
        Self {
            ap50: mean.at_half,
            ap: mean.mean,
            intervals: Intervals::of(records),
            calibration: Calibration::of(records),
            iou_histogram: IouHistogram::of(records),
            per_size: SizeFigures::of(records),
            per_class: ClassFigures::of(records, &precisions),
            precisions,
        }
    }
}
