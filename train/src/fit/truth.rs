//! What is true of the views of one batch, as the losses want it.

use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use burn::prelude::*;

use super::TrainingData;
use crate::examples::Example;
use crate::feed::{Look, Wanted};
use crate::loss::{CellTruth, Taught};
use crate::recipe::Beside;
use crate::teacher::Lesson;
use crate::view::View;

/// What is true of one batch.
pub(super) struct Truth {
    /// `[batch, classes]`: how much of each class there is in a view.
    pub(super) classes: Tensor<2>,
    /// `[batch, 4]`, zeros where there is no box.
    pub(super) boxes: Tensor<2>,
    /// `[batch]`: whether there is a box.
    pub(super) known: Tensor<1>,
    /// `[batch, channels]`: what a teacher reads the classes from.
    pub(super) features: Option<Tensor<2>>,
    /// The same for the metrics: class index and box of each example.
    pub(super) plain: Vec<(Option<usize>, Option<NormBox>)>,
    /// Other boxes that each view shows.
    pub(super) beside: Vec<Vec<NormBox>>,
}

/// Least share of a box beside that a view must keep for it to teach anything.
const KEPT: f32 = 0.5;

impl Truth {
    /// The truth of these views. Of the certainty of a class, `smoothing` is spread over all.
    pub(super) fn of(
        shown: &[Wanted],
        data: &TrainingData,
        smoothing: f32,
        device: &Device,
    ) -> Self {
        let count = data.labels.len();
        let mut classes = Vec::with_capacity(shown.len() * count);
        let mut boxes = Vec::with_capacity(shown.len() * 4);
        let mut known = Vec::with_capacity(shown.len());
        let mut beside = Vec::with_capacity(shown.len());
        let mut plain = Vec::with_capacity(shown.len());
        let example = |wanted: &Wanted| -> &Example { &data.examples.examples[wanted.example] };
        let class_of = |wanted: &Wanted| example(wanted).class.map(ClassId::index);
        let target = |class: Option<usize>, index: usize| {
            let even = if class.is_some() { smoothing } else { 1.0 } / count as f32;
            even + f32::from(u8::from(class == Some(index))) * (1.0 - smoothing)
        };
        for (wanted, next) in shown.iter().zip(shown.iter().cycle().skip(1)) {
            let (class, other) = (class_of(wanted), class_of(next));
            let share = wanted.share_of_next;
            let mixed = |index| (1.0 - share) * target(class, index) + share * target(other, index);
            classes.extend((0..count).map(mixed));
            let view = match &wanted.look {
                Look::Kept(view) => &data.examples.pictures[wanted.picture].views[*view],
                Look::New(view) => view,
            };
            let (seen, others) = seen(example(wanted), view);
            beside.push(others);
            boxes.extend(seen.map_or([0.0; 4], |seen| seen.corners()));
            known.push(f32::from(u8::from(seen.is_some())));
            plain.push((class, seen));
        }
        let rows = shown.len();
        let tensor =
            |values, width| Tensor::<2>::from_data(TensorData::new(values, [rows, width]), device);
        Self {
            classes: tensor(classes, count),
            boxes: tensor(boxes, 4),
            known: Tensor::from_data(TensorData::new(known, [rows]), device),
            features: None,
            plain,
            beside,
        }
    }

    /// The same with a teacher's lesson: `share` of the classes is its word, and its features are to be reached.
    pub(super) fn beside(mut self, lesson: Lesson, share: f32) -> Self {
        let said = Tensor::from_inner(lesson.scores);
        self.classes = self.classes * (1.0 - share) + said * share;
        self.features = Some(Tensor::from_inner(lesson.features));
        self
    }

    /// What each cell of maps of so many cells is taught.
    pub(super) fn cells(&self, count: usize, how: Beside) -> CellTruth {
        let side = count.isqrt();
        let (mut boxes, mut inside, mut middle) = (Vec::new(), Vec::new(), Vec::new());
        for ((_, seen), beside) in self.plain.iter().zip(&self.beside) {
            let taught = match seen {
                Some(seen) => Taught::new(seen, beside, how, side),
                None => Taught::nothing(side),
            };
            boxes.extend(taught.boxes.concat());
            inside.extend(taught.inside);
            middle.extend(taught.middle);
        }
        let (rows, device) = (self.plain.len(), self.known.device());
        let shares = |values| Tensor::from_data(TensorData::new(values, [rows, count]), &device);
        CellTruth {
            boxes: Tensor::from_data(TensorData::new(boxes, [rows, count, 4]), &device),
            inside: shares(inside),
            middle: shares(middle),
        }
    }
}

/// The box that a view of an example teaches, and those beside it: of all that it mostly shows the largest as it is seen.
fn seen(example: &Example, view: &View) -> (Option<NormBox>, Vec<NormBox>) {
    let Some(mut largest) = example.bounding_box.and_then(|truth| view.of_box(&truth)) else {
        return (None, Vec::new());
    };
    let beside = example.beside.iter();
    let mut beside: Vec<NormBox> = beside
        .filter_map(|other| view.of_most_of_box(other, KEPT))
        .collect();
    for other in &mut beside {
        if other.area() > largest.area() {
            std::mem::swap(other, &mut largest);
        }
    }
    (Some(largest), beside)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    fn of(corners: [f32; 4]) -> NormBox {
        NormBox::from_regression(corners).expect("numbers")
    }

    fn example(bounding_box: Option<NormBox>, beside: Vec<NormBox>) -> Example {
        Example {
            picture: 0,
            class: None,
            bounding_box,
            beside,
        }
    }

    #[test]
    fn what_a_view_shows_largest_is_what_it_teaches() {
        let (left, right) = (of([0.0, 0.6, 0.0, 0.6]), of([0.6, 1.0, 0.0, 0.8]));
        let both = example(Some(left), vec![right]);
        assert_eq!(seen(&both, &View::PLAIN), (Some(left), vec![right]));
        let random = &mut Rng::with_seed(2);
        let mut cut = 0;
        for _ in 0..200 {
            let view = View::random(Some(&left), random);
            let (largest, beside) = seen(&both, &view);
            let largest = largest.expect("most of the left one is kept");
            assert!(beside.iter().all(|other| other.area() <= largest.area()));
            assert!(largest.area() >= view.of_box(&left).expect("kept").area());
            cut += usize::from(beside.is_empty());
        }
        assert!((1..200).contains(&cut), "{cut} without the right one");
    }

    #[test]
    fn a_picture_without_a_box_teaches_none() {
        let none = example(None, Vec::new());
        assert_eq!(seen(&none, &View::PLAIN), (None, Vec::new()));
    }
}
