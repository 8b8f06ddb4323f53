//! The figures of small things and large ones by themselves: a mean over all hides that small ones are not found.

use serde::Serialize;

use super::by_class::of_some;
use super::record::Records;
use super::{Mean, RIGHT_IOU};

/// Upper ends of the sizes, as shares of a picture's area; beyond the last one comes the whole picture.
const ENDS: [f32; 5] = [0.05, 0.15, 0.3, 0.6, 1.0];

/// Pictures whose largest true box has an area of `from` up to below `to`, in shares of the picture; the whole picture
/// is among the last ones. What is a mean over nothing is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizeFigures {
    /// Least area.
    pub from: f32,
    /// The area that is too large.
    pub to: f32,
    /// Pictures.
    pub pictures: usize,
    /// Share of those whose top class is that of their folder.
    pub picture_accuracy: Option<f64>,
    /// Mean IoU of the predicted box with the largest true one.
    pub mean_iou: Option<f64>,
    /// Share of those with an IoU of at least 0.5.
    pub iou_over_half: Option<f64>,
}

impl SizeFigures {
    /// Of every size, the smallest first.
    #[must_use]
    pub fn of(records: &Records) -> Vec<Self> {
        let starts = [0.0].into_iter().chain(ENDS);
        let sizes = starts.zip(ENDS).enumerate();
        let size = |(index, (from, to))| {
            let [mut right, mut overlap, mut over_half] = [Mean::default(); 3];
            for picture in records.pictures() {
                if let Some(largest) = picture.largest
                    && size_of(largest.area) == index
                {
                    right.add_hit(picture.is_right());
                    overlap.add(f64::from(largest.iou));
                    over_half.add_hit(largest.iou >= RIGHT_IOU);
                }
            }
            Self {
                from,
                to,
                pictures: overlap.count(),
                picture_accuracy: of_some(&right),
                mean_iou: of_some(&overlap),
                iou_over_half: of_some(&over_half),
            }
        };
        sizes.map(size).collect()
    }
}

/// Which of the sizes an area is of.
fn size_of(area: f32) -> usize {
    let end = ENDS.iter().position(|&end| area < end);
    end.unwrap_or(ENDS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::super::record::{LargestBox, Record, records, seen};
    use super::*;

    #[test]
    fn each_picture_counts_where_its_largest_box_belongs() {
        let of_size = |area, iou, top| Record {
            largest: Some(LargestBox { area, iou }),
            ..seen(top, 0.9, &[(0, iou)])
        };
        let nothing = seen(0, 0.9, &[]);
        let sizes = SizeFigures::of(&records(vec![
            of_size(0.01, 0.2, 0),
            of_size(0.05, 0.4, 0),
            of_size(0.149, 0.6, 1),
            of_size(1.0, 0.9, 0),
            nothing,
        ]));
        let told = sizes.iter().map(|size| (size.from, size.to, size.pictures));
        let expected = [
            (0.0, 0.05, 1),
            (0.05, 0.15, 2),
            (0.15, 0.3, 0),
            (0.3, 0.6, 0),
            (0.6, 1.0, 1),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let second = &sizes[1];
        assert!((second.mean_iou.expect("two") - 0.5).abs() < 1e-6);
        assert_eq!(second.iou_over_half, Some(0.5));
        assert_eq!(second.picture_accuracy, Some(0.5));
        assert_eq!(sizes[2].mean_iou, None);
    }
}
