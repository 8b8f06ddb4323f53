//! The figures of each class by itself.
//!
//! Over rows, as the figures of the whole are: recall is what [`Figures`](super::Figures) calls class accuracy.

use serde::Serialize;

use super::record::Records;
use super::{Mean, Precisions};
use crate::label::ClassId;

/// The figures of one class. What is a mean over nothing is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Its name.
    pub class: String,
    /// True rows of it.
    pub rows: usize,
    /// Share of those whose picture's top class it is.
    pub recall: Option<f64>,
    /// Share of the rows in pictures whose top class it is that are of it; rows of classes unknown to the model
    /// are among them.
    pub precision: Option<f64>,
    /// Mean IoU of the predicted boxes with its rows, whatever class was said.
    pub mean_iou: Option<f64>,
    /// Average precision at an IoU of 0.5.
    pub ap50: Option<f64>,
    /// Average precision, mean over IoUs from 0.5 to 0.95.
    pub ap: Option<f64>,
}

impl ClassFigures {
    /// Of every class that the model knows, in the order of the labels.
    #[must_use]
    pub fn of(records: &Records, precisions: &Precisions) -> Vec<Self> {
        let names = records.labels().iter().enumerate();
        names
            .map(|(index, name)| {
                let class = ClassId::new(index);
                let [mut recall, mut precision, mut overlap] = [Mean::default(); 3];
                for picture in records.pictures() {
                    let is_top = picture.top == class;
                    for row in &picture.rows {
                        let is_of_it = row.class == Some(class);
                        if is_of_it {
                            recall.add_hit(is_top);
                            overlap.add(f64::from(row.iou));
                        }
                        if is_top {
                            precision.add_hit(is_of_it);
                        }
                    }
                }
                Self {
                    class: name.to_owned(),
                    rows: recall.count(),
                    recall: of_some(&recall),
                    precision: of_some(&precision),
                    mean_iou: of_some(&overlap),
                    ap50: precisions.of_class(class).map(|ap| ap.at_half),
                    ap: precisions.of_class(class).map(|ap| ap.mean),
                }
            })
            .collect()
    }
}

/// A mean, or none where it is over nothing.
pub(super) fn of_some(mean: &Mean) -> Option<f64> {
    (mean.count() > 0).then(|| mean.value())
}

#[cfg(test)]
mod tests {
    use super::super::record::{records, seen};
    use super::*;

    #[test]
    fn a_class_is_judged_by_its_own_rows() {
        let all = records(vec![
            seen(0, 0.9, &[(0, 0.8), (1, 0.2)]),
            seen(0, 0.8, &[(0, 0.6)]),
            seen(0, 0.7, &[(1, 0.4)]),
        ]);
        let by_class = ClassFigures::of(&all, &Precisions::of(&all));
        let [apple, banana] = by_class.as_slice() else {
            panic!("two classes");
        };
        assert_eq!((apple.rows, apple.recall), (2, Some(1.0)));
        // Of four rows in pictures that were said to be apples, two are.
        assert_eq!(apple.precision, Some(0.5));
        assert!((apple.mean_iou.expect("some") - 0.7).abs() < 1e-6);
        assert_eq!((banana.rows, banana.recall), (2, Some(0.0)));
        // Nothing was said to be a banana: that is no precision of 0.
        assert_eq!(banana.precision, None);
        assert!((banana.mean_iou.expect("some") - 0.3).abs() < 1e-6);
        assert_eq!(banana.ap50, Some(0.0));
    }
}
