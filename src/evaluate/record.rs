//! What is known and what was said, picture by picture, in the order of the pictures.
//!
//! In go the same things as into an [`Evaluation`](super::Evaluation); out comes a [`Record`] for each picture,
//! from which everything is computed that needs more than sums: calibration, average precision, intervals.
//! Neither pictures nor scores below the top are kept.

use crate::annotations::Annotation;
use crate::detect::Prediction;
use crate::geometry::iou;
use crate::label::{ClassId, Labels};

/// All pictures seen so far.
#[derive(Debug, Clone)]
pub struct Records {
    labels: Labels,
    pictures: Vec<Record>,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The class of its folder; none where the model doesn't know it.
    pub folder: Option<ClassId>,
    /// Its true rows; may be empty.
    pub rows: Vec<RowRecord>,
    /// The class with the highest score.
    pub top: ClassId,
    /// That score.
    pub confidence: f32,
    /// The largest true box, the first of equals; none without a row.
    pub largest: Option<LargestBox>,
}

/// The largest true box of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LargestBox {
    /// Its area, as a share of the picture's.
    pub area: f32,
    /// IoU of the predicted box with it, `0..=1`.
    pub iou: f32,
}

/// One true row of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRecord {
    /// Its class; none where the model doesn't know it.
    pub class: Option<ClassId>,
    /// IoU of the predicted box with its box, `0..=1`.
    pub iou: f32,
}

impl Records {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(labels: Labels) -> Self {
        Self {
            labels,
            pictures: Vec::new(),
        }
    }

    /// One picture: the folder that it lies in, its true rows (none is well), what the model said.
    pub fn add<'a>(
        &mut self,
        folder: &str,
        rows: impl IntoIterator<Item = &'a Annotation>,
        prediction: &Prediction,
    ) {
        let (top, confidence) = prediction.top();
        let mut record = Record {
            folder: self.labels.find(folder),
            rows: Vec::new(),
            top,
            confidence,
            largest: None,
        };
        for row in rows {
            let overlap = iou(&row.bounding_box, prediction.bounding_box());
            let area = row.bounding_box.area();
            if record.largest.is_none_or(|largest| area > largest.area) {
                let iou = overlap;
                record.largest = Some(LargestBox { area, iou });
            }
            record.rows.push(RowRecord {
                class: self.labels.find(&row.class_name),
                iou: overlap,
            });
        }
        self.pictures.push(record);
    }

    /// The classes that the model knows.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The pictures, in the order in which they were added.
    #[must_use]
    pub fn pictures(&self) -> &[Record] {
        &self.pictures
    }
}

impl Record {
    /// IoU of the predicted box with the largest true one; none without a row.
    #[must_use]
    pub fn largest_iou(&self) -> Option<f32> {
        self.largest.map(|largest| largest.iou)
    }

    /// Whether the top class is that of the folder.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.folder == Some(self.top)
    }

    /// Rows whose class is the top class.
    #[must_use]
    pub fn rows_right(&self) -> usize {
        self.rows_of(self.top).count()
    }

    /// Rows of that class.
    pub(super) fn rows_of(&self, class: ClassId) -> impl Iterator<Item = &RowRecord> {
        let is_it = move |row: &&RowRecord| row.class == Some(class);
        self.rows.iter().filter(is_it)
    }

    /// The highest IoU with a row of the top class; none without such a row.
    pub(super) fn best_iou(&self) -> Option<f32> {
        self.rows_of(self.top).map(|row| row.iou).reduce(f32::max)
    }
}

/// Records for the tests beside: a picture of two classes, each row with its class and IoU.
#[cfg(test)]
pub(super) fn seen(top: usize, confidence: f32, rows: &[(usize, f32)]) -> Record {
    let row = |&(class, iou): &(usize, f32)| RowRecord {
        class: Some(ClassId::new(class)),
        iou,
    };
    Record {
        folder: Some(ClassId::new(rows.first().map_or(0, |row| row.0))),
        rows: rows.iter().map(row).collect(),
        top: ClassId::new(top),
        confidence,
        largest: rows.first().map(|row| LargestBox {
            area: 0.5,
            iou: row.1,
        }),
    }
}

#[cfg(test)]
pub(super) fn records(pictures: Vec<Record>) -> Records {
    records_of(2, pictures)
}

#[cfg(test)]
pub(super) fn records_of(classes: usize, pictures: Vec<Record>) -> Records {
    let names = ["apple", "banana", "cake"].map(str::to_owned);
    Records {
        labels: Labels::new(names[..classes].to_vec()).expect("sound"),
        pictures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::NormBox;

    fn row(class_name: &str, side: f32) -> Annotation {
        Annotation {
            line: 2,
            image_id: "a".to_owned(),
            bounding_box: NormBox::new(0.0, side, 0.0, side).expect("sound"),
            class_name: class_name.to_owned(),
            folder: "apple".to_owned(),
        }
    }

    #[test]
    fn a_picture_is_kept_with_each_of_its_rows() {
        let mut all = records(Vec::new());
        let says = Prediction::new(vec![0.25, 0.75], [0.0, 0.5, 0.0, 0.5]).expect("sound");
        let rows = [row("banana", 0.5), row("kiwi", 1.0), row("banana", 0.25)];
        all.add("apple", &rows, &says);
        all.add("banana", [], &says);
        let [first, second] = all.pictures() else {
            panic!("two pictures");
        };
        let (apple, banana) = (ClassId::new(0), ClassId::new(1));
        assert_eq!((first.folder, first.top), (Some(apple), banana));
        let told: Vec<_> = first.rows.iter().map(|row| (row.class, row.iou)).collect();
        let expected = [(Some(banana), 1.0), (None, 0.25), (Some(banana), 0.25)];
        assert_eq!(told, expected);
        assert_eq!(
            (first.largest, first.best_iou()),
            (
                Some(LargestBox {
                    area: 1.0,
                    iou: 0.25
                }),
                Some(1.0)
            )
        );
        assert_eq!((first.rows_right(), first.is_right()), (2, false));
        assert!(second.is_right() && second.largest.is_none());
    }
}
