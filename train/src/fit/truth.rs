//! What is true of the views of one batch, as the losses want it.

use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use burn::prelude::*;

use super::TrainingData;
use crate::examples::Example;
use crate::feed::{Look, Wanted};
use crate::loss::taught;
use crate::teacher::Lesson;

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
}

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
            let truth = example(wanted).bounding_box;
            let seen = truth.and_then(|truth| view.of_box(&truth));
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
        }
    }

    /// The same with a teacher's lesson: `share` of the classes is its word, and its features are to be reached.
    pub(super) fn beside(mut self, lesson: Lesson, share: f32) -> Self {
        let said = Tensor::from_inner(lesson.scores);
        self.classes = self.classes * (1.0 - share) + said * share;
        self.features = Some(Tensor::from_inner(lesson.features));
        self
    }

    /// How much each cell of a map is taught, see [`taught`].
    pub(super) fn cells(&self, count: usize) -> (Tensor<2>, Tensor<2>) {
        let side = count.isqrt();
        let (mut inside, mut middle) = (Vec::new(), Vec::new());
        for (_, seen) in &self.plain {
            let none = || (vec![0.0; count], vec![0.0; count]);
            let (of_inside, of_middle) = seen.as_ref().map_or_else(none, |seen| taught(seen, side));
            inside.extend(of_inside);
            middle.extend(of_middle);
        }
        let tensor = |values| {
            let data = TensorData::new(values, [self.plain.len(), count]);
            Tensor::from_data(data, &self.known.device())
        };
        (tensor(inside), tensor(middle))
    }
}
