//! Training curves: reads the `history.csv` files of runs and draws them as SVG or as an HTML report.
//!
//! A history with an invalid row is refused with its line number; columns without a metric appear in the table unchanged.

pub mod curves;
pub mod history;
pub mod training_report;

/// A panel of the plot: a metric on training and validation data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub title: &'static str,
    pub description: &'static str,
    /// Column of `history.csv` with the value on training samples.
    pub training: &'static str,
    /// Column of `history.csv` with the value on the validation split.
    pub validation: &'static str,
}

/// All metrics, in the order of their panels. A panel is drawn if the history has one of its columns.
pub const METRICS: [Metric; 8] = [
    Metric {
        title: "loss",
        description: "what training minimizes: class loss, box loss and penalties",
        training: "loss",
        validation: "val_loss",
    },
    Metric {
        title: "class loss",
        description: "cross-entropy of the class",
        training: "class_loss",
        validation: "val_class_loss",
    },
    Metric {
        title: "box loss",
        description: "as defined by the recipe",
        training: "box_loss",
        validation: "val_box_loss",
    },
    Metric {
        title: "object loss",
        description: "of the scores and boxes of several objects",
        training: "object_loss",
        validation: "val_object_loss",
    },
    Metric {
        title: "box MSE",
        description: "mean squared error of the normalized corners",
        training: "box_mse",
        validation: "val_box_mse",
    },
    Metric {
        title: "class accuracy",
        description: "fraction with the correct top class",
        training: "class_accuracy",
        validation: "val_class_accuracy",
    },
    Metric {
        title: "mean IoU",
        description: "overlap of the predicted box with the ground truth",
        training: "mean_iou",
        validation: "val_mean_iou",
    },
    Metric {
        title: "objects, AP50",
        description: "average precision of several detections in an image, at an IoU of 0.5",
        training: "objects_ap50",
        validation: "val_objects_ap50",
    },
];
