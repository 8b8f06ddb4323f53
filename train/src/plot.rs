//! How trainings went: histories read from CSV, drawn as curves, told in a report.
//!
//! In go the `history.csv` files that `train` writes, of one run or of several that continue each other; out come
//! the text of an SVG with a panel for each measure, and an HTML page that needs nothing but itself. A history with a
//! broken row is refused, with its line; a column that is not known here goes into the table as it stands.

pub mod curves;
pub mod history;
pub mod report;

/// What is plotted: one panel, of training and of validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Name for people.
    pub title: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Column of the training examples.
    pub training: &'static str,
    /// Column of the validation rows.
    pub validation: &'static str,
    /// Whether more of it is better.
    pub rises: bool,
}

/// All panels, in their order. One is drawn where a history has one of its columns.
pub const MEASURES: [Measure; 6] = [
    Measure {
        title: "loss",
        about: "what training makes small: class loss, box loss and penalties together",
        training: "loss",
        validation: "val_loss",
        rises: false,
    },
    Measure {
        title: "class loss",
        about: "cross-entropy of the class",
        training: "class_loss",
        validation: "val_class_loss",
        rises: false,
    },
    Measure {
        title: "box loss",
        about: "what the recipe says a wrong box costs",
        training: "box_loss",
        validation: "val_box_loss",
        rises: false,
    },
    Measure {
        title: "box MSE",
        about: "mean squared error of the corners, as shares of the picture",
        training: "box_mse",
        validation: "val_box_mse",
        rises: false,
    },
    Measure {
        title: "class accuracy",
        about: "share with the right top class",
        training: "class_accuracy",
        validation: "val_class_accuracy",
        rises: true,
    },
    Measure {
        title: "mean IoU",
        about: "overlap of the predicted box with the true one",
        training: "mean_iou",
        validation: "val_mean_iou",
        rises: true,
    },
];
