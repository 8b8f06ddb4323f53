//! Training targets of one batch: class probabilities, boxes and the cells of a feature map that learn them.
//!
//! Those of several objects follow from the network's own predictions: [`objects`].

use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use burn::prelude::*;

use crate::data_loader::{Augmented, SampleRequest};
use crate::samples::{Sample, TrainingSet};
use crate::teacher::TeacherOutput;
use crate::truth::{ImageClass, Truth};

pub(crate) mod objects;

/// Targets of one batch, as the losses take them.
pub(crate) struct Targets {
    /// `[batch, classes]`, class probabilities.
    pub(crate) classes: Tensor<2>,
    /// `[batch, 4]`, corners in `x_min, x_max, y_min, y_max` order; zeros for an example without a box.
    pub(crate) boxes: Tensor<2>,
    /// `[batch]`: 1 for an example with a box, else 0.
    pub(crate) has_box: Tensor<1>,
    /// `[batch, channels]`: the teacher's penultimate features.
    pub(crate) teacher_features: Option<Tensor<2>>,
    /// Class index and box of each example, for the metrics.
    pub(crate) examples: Vec<(Option<usize>, Option<NormBox>)>,
    /// What each example shows, for a head for several objects.
    pub(crate) truths: Vec<Truth>,
}

impl Targets {
    /// Targets of the views in a batch. `smoothing` is the label smoothing: this much of the class probability is
    /// spread evenly over all classes. A negative (no class) gets a uniform class target; a picture whose class is unknown
    /// gets zeros, which cost nothing.
    pub(crate) fn new(
        batch: &[SampleRequest],
        data: &TrainingSet,
        classes: usize,
        smoothing: f32,
        device: &Device,
    ) -> Self {
        let mut probabilities = Vec::with_capacity(batch.len() * classes);
        let mut boxes = Vec::with_capacity(batch.len() * 4);
        let mut has_box = Vec::with_capacity(batch.len());
        let mut examples = Vec::with_capacity(batch.len());
        let sample = |request: &SampleRequest| -> &Sample { &data.samples[request.sample] };
        let class_of = |request: &SampleRequest| match &request.truth {
            Some(truth) => truth.image_class,
            None => {
                let class = sample(request).image_class;
                class.map_or(ImageClass::Negative, ImageClass::Is)
            }
        };
        let target = |class: ImageClass, index: usize| {
            let (even, is_class) = match class {
                ImageClass::Is(class) => (smoothing, class.index() == index),
                ImageClass::Negative => (1.0, false),
                ImageClass::Unknown => return 0.0,
            };
            even / classes as f32 + f32::from(u8::from(is_class)) * (1.0 - smoothing)
        };
        for (request, next) in batch.iter().zip(batch.iter().cycle().skip(1)) {
            let (class, other) = (class_of(request), class_of(next));
            let ratio = request.mixup_ratio;
            let mixed = |index| (1.0 - ratio) * target(class, index) + ratio * target(other, index);
            probabilities.extend((0..classes).map(mixed));
            let visible = match &request.truth {
                Some(truth) => truth.primary_box(),
                None => visible_box(request, data),
            };
            boxes.extend(visible.map_or([0.0; 4], |visible| visible.corners()));
            has_box.push(f32::from(u8::from(visible.is_some())));
            let class = match class {
                ImageClass::Is(class) => Some(ClassId::index(class)),
                ImageClass::Negative | ImageClass::Unknown => None,
            };
            examples.push((class, visible));
        }
        let rows = batch.len();
        let tensor =
            |values, width| Tensor::<2>::from_data(TensorData::new(values, [rows, width]), device);
        Self {
            classes: tensor(probabilities, classes),
            boxes: tensor(boxes, 4),
            has_box: Tensor::from_data(TensorData::new(has_box, [rows]), device),
            teacher_features: None,
            examples,
            truths: batch.iter().filter_map(|r| r.truth.clone()).collect(),
        }
    }

    /// Adds a teacher's output: `weight` of the class target is the teacher's scores, and its features become the
    /// target of feature distillation.
    pub(crate) fn blend_teacher(mut self, teacher: TeacherOutput, weight: f32) -> Self {
        let scores = Tensor::from_inner(teacher.scores);
        self.classes = self.classes * (1.0 - weight) + scores * weight;
        self.teacher_features = Some(Tensor::from_inner(teacher.features));
        self
    }

    /// [`assign_targets`] for each example of the batch, on a square map of `cells` cells: two tensors
    /// `[batch, cells]`, zeros for an example without a box.
    pub(crate) fn cells(&self, cells: usize) -> (Tensor<2>, Tensor<2>) {
        let side = cells.isqrt();
        let (mut box_weights, mut locations) = (Vec::new(), Vec::new());
        for (_, bounding_box) in &self.examples {
            let (box_weight, location) = match bounding_box {
                Some(bounding_box) => assign_targets(bounding_box, side),
                None => (vec![0.0; cells], vec![0.0; cells]),
            };
            box_weights.extend(box_weight);
            locations.extend(location);
        }
        let tensor = |values| {
            let data = TensorData::new(values, [self.examples.len(), cells]);
            Tensor::from_data(data, &self.has_box.device())
        };
        (tensor(box_weights), tensor(locations))
    }
}

/// The box of a sample as its augmentation shows it.
fn visible_box(request: &SampleRequest, data: &TrainingSet) -> Option<NormBox> {
    let augmentation = match &request.augmented {
        Augmented::Cached(index) => &data.images[request.image].augmentations[*index],
        Augmented::New(augmentation) => augmentation,
        // These have a truth.
        Augmented::Mosaic(..) | Augmented::Scene(..) => return None,
    };
    let primary = data.samples[request.sample].primary_box()?;
    augmentation.apply_to_box(&primary)
}

/// Assigns the cells of a `side * side` map to a ground-truth box: `(box_weight, location_target)`, each summing to 1.
///
/// `box_weight` is spread evenly over the cells whose centre lies in the box, `location_target` over those in its
/// central half. If the box holds no centre, the nearest cell gets all of it.
fn assign_targets(bounding_box: &NormBox, side: usize) -> (Vec<f32>, Vec<f32>) {
    let centre = |cell: usize| (cell as f32 + 0.5) / side as f32;
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let (x, y) = (f32::midpoint(x_min, x_max), f32::midpoint(y_min, y_max));
    let (half_width, half_height) = ((x_max - x_min) / 2.0, (y_max - y_min) / 2.0);
    let within = |scale: f32| -> Vec<f32> {
        let cells = (0..side * side).map(|cell| {
            let in_x = (centre(cell % side) - x).abs() <= half_width * scale;
            let in_y = (centre(cell / side) - y).abs() <= half_height * scale;
            f32::from(u8::from(in_x && in_y))
        });
        let cells: Vec<f32> = cells.collect();
        let count: f32 = cells.iter().sum();
        if count > 0.0 {
            return cells.into_iter().map(|cell| cell / count).collect();
        }
        let nearest = |at: f32| ((at * side as f32) as usize).min(side.saturating_sub(1));
        let mut one_hot = vec![0.0; side * side];
        one_hot[nearest(y) * side + nearest(x)] = 1.0;
        one_hot
    };
    (within(1.0), within(0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_inside_the_box_and_in_its_central_half_are_assigned() {
        let bounding_box = NormBox::new(0.0, 1.0, 0.0, 0.5).expect("valid box");
        let (box_weight, location_target) = assign_targets(&bounding_box, 4);
        let eighth = [0.125; 4];
        assert_eq!(box_weight, [eighth, eighth, [0.0; 4], [0.0; 4]].concat());
        let quarter = [0.0, 0.25, 0.25, 0.0];
        assert_eq!(
            location_target,
            [quarter, quarter, [0.0; 4], [0.0; 4]].concat()
        );
    }

    #[test]
    fn a_box_without_a_cell_centre_is_assigned_to_the_nearest_cell() {
        let bounding_box = NormBox::new(0.9, 1.0, 0.95, 1.0).expect("valid box");
        let (box_weight, location_target) = assign_targets(&bounding_box, 4);
        assert_eq!(box_weight, location_target);
        assert_eq!(box_weight[15], 1.0);
        assert_eq!(box_weight.iter().sum::<f32>(), 1.0);
    }
}
