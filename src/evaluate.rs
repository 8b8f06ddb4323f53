//! The figures of a model: what it said of pictures whose truth is known.
//!
//! In goes, picture by picture, a [`Prediction`] with the true rows of that picture; out come [`Figures`], which are
//! sums, and from [`Records`] the [`Details`], which need every picture.
//! No threshold is applied: the top class and the one box are judged as they are. Neither pictures nor
//! models are opened here, so training and device share these figures.

use serde::Serialize;

use crate::annotations::Annotation;
use crate::detect::Prediction;
use crate::geometry::{NormBox, iou};
use crate::label::{ClassId, Labels};

mod bootstrap;
mod by_class;
mod by_size;
mod calibration;
mod curve;
mod details;
mod overlaps;
mod pan;
mod precision;
mod record;

pub use bootstrap::{Interval, Intervals};
pub use by_class::ClassFigures;
pub use by_size::SizeFigures;
pub use calibration::{Calibration, CalibrationBin};
pub use curve::{Curve, CurvePoint};
pub use details::Details;
pub use overlaps::IouHistogram;
pub use pan::pan;
pub use precision::{AveragePrecision, Precisions};
pub use record::{LargestBox, Record, Records, RowRecord};

/// A box counts as right from this IoU on.
const RIGHT_IOU: f32 = 0.5;

/// Sums over the pictures seen so far.
#[derive(Debug, Clone)]
pub struct Evaluation {
    labels: Labels,
    rows: Mean,
    row_class: Mean,
    row_iou: Mean,
    row_mse: Mean,
    picture_class: Mean,
    largest_iou: Mean,
    largest_right: Mean,
    confusion: Vec<Vec<usize>>,
    unknown_class_rows: usize,
}

/// The figures of a model on annotated pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// True boxes.
    pub rows: usize,
    /// Pictures, those without a row too.
    pub pictures: usize,
    /// Share of rows whose `class_name` is the top class.
    pub class_accuracy: f64,
    /// Share of pictures whose folder is the top class.
    pub picture_accuracy: f64,
    /// Mean IoU of the one predicted box with each row's box.
    pub mean_iou: f64,
    /// Mean IoU with the largest true box of each picture that has one.
    pub largest_box_mean_iou: f64,
    /// Share of those with an IoU of at least 0.5.
    pub largest_box_iou_over_half: f64,
    /// Mean squared error of a corner coordinate, over rows.
    pub box_mse: f64,
    /// Rows whose class the model doesn't know; they count as wrong.
    pub unknown_class_rows: usize,
    /// Which class was taken for which, over rows.
    pub confusion: Confusion,
}

/// Counts of rows by true and by predicted class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// The classes, in the order of rows and columns.
    pub labels: Vec<String>,
    /// `counts[true class][predicted class]`.
    pub counts: Vec<Vec<usize>>,
}

impl Evaluation {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        let classes = labels.len();
        let none = Mean::default();
        Self {
            labels,
            rows: none,
            row_class: none,
            row_iou: none,
            row_mse: none,
            picture_class: none,
            largest_iou: none,
            largest_right: none,
            confusion: vec![vec![0; classes]; classes],
            unknown_class_rows: 0,
        }
    }

    /// One picture: the folder that it lies in, its true rows (none is well), what the model said.
    pub fn add<'a>(
        &mut self,
        folder: &str,
        rows: impl IntoIterator<Item = &'a Annotation>,
        prediction: &Prediction,
    ) {
        let (top, _) = prediction.top();
        let found = *prediction.bounding_box();
        self.picture_class
            .add_hit(self.labels.find(folder) == Some(top));
        let mut largest: Option<&NormBox> = None;
        for row in rows {
            self.add_row(row, top, &found);
            if largest.is_none_or(|l| row.bounding_box.area() > l.area()) {
                largest = Some(&row.bounding_box);
            }
        }
        if let Some(truth) = largest {
            let overlap = iou(truth, &found);
            self.largest_iou.add(f64::from(overlap));
            self.largest_right.add_hit(overlap >= RIGHT_IOU);
        }
    }

    fn add_row(&mut self, row: &Annotation, top: ClassId, found: &NormBox) {
        let class = self.labels.find(&row.class_name);
        match class {
            Some(class) => self.confusion[class.index()][top.index()] += 1,
            None => self.unknown_class_rows += 1,
        }
        self.rows.add(1.0);
        self.row_class.add_hit(class == Some(top));
        self.row_iou.add(f64::from(iou(&row.bounding_box, found)));
        let pairs = row.bounding_box.corners().into_iter().zip(found.corners());
        let squares = pairs.map(|(a, b)| f64::from(a - b).powi(2));
        self.row_mse.add(squares.sum::<f64>() / 4.0);
    }

    /// The figures of all pictures seen so far; a mean over nothing is 0.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            rows: self.rows.count(),
            pictures: self.picture_class.count(),
            class_accuracy: self.row_class.value(),
            picture_accuracy: self.picture_class.value(),
            mean_iou: self.row_iou.value(),
            largest_box_mean_iou: self.largest_iou.value(),
            largest_box_iou_over_half: self.largest_right.value(),
            box_mse: self.row_mse.value(),
            unknown_class_rows: self.unknown_class_rows,
            confusion: Confusion {
                labels: self.labels.iter().map(str::to_owned).collect(),
                counts: self.confusion.clone(),
            },
        }
    }
}

/// A mean in the making.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    /// Takes in a value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Takes in a 1 for a hit and a 0 for a miss, so that the mean is a share.
    pub fn add_hit(&mut self, hit: bool) {
        self.add(f64::from(u8::from(hit)));
    }

    /// How many values there were.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The mean; 0 of no values at all.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class_name: &str, corners: [f32; 4]) -> Annotation {
        let [x_min, x_max, y_min, y_max] = corners;
        Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("sound"),
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        }
    }

    fn labels() -> Labels {
        Labels::new(vec!["apple".to_owned(), "banana".to_owned()]).expect("sound")
    }

    #[test]
    fn rows_and_pictures_are_counted_apart() {
        let says_apple = Prediction::new(vec![0.9, 0.1], [0.0, 0.5, 0.0, 0.5]).expect("sound");
        let mut evaluation = Evaluation::new(labels());
        let rows = [
            row("apple", [0.0, 0.5, 0.0, 0.5]),
            row("banana", [0.0, 1.0, 0.0, 1.0]),
            row("kiwi", [0.5, 1.0, 0.5, 1.0]),
        ];
        evaluation.add("apple", &rows, &says_apple);
        evaluation.add("banana", [], &says_apple);
        let figures = evaluation.figures();
        assert_eq!((figures.rows, figures.pictures), (3, 2));
        assert!((figures.class_accuracy - 1.0 / 3.0).abs() < 1e-9);
        assert!((figures.picture_accuracy - 0.5).abs() < 1e-9);
        assert!((figures.mean_iou - 1.25 / 3.0).abs() < 1e-9);
        assert!((figures.largest_box_mean_iou - 0.25).abs() < 1e-9);
        assert!(figures.largest_box_iou_over_half.abs() < 1e-9);
        // Squared errors 0, (0.25 + 0.25) / 4 and 1 / 4.
        assert!((figures.box_mse - (0.125 + 0.25) / 3.0).abs() < 1e-9);
        assert_eq!(figures.unknown_class_rows, 1);
        assert_eq!(figures.confusion.counts, [[1, 0], [1, 0]]);
    }

    #[test]
    fn figures_of_nothing_are_zero_and_no_nan() {
        let figures = Evaluation::new(labels()).figures();
        assert_eq!((figures.rows, figures.mean_iou), (0, 0.0));
    }
}
