use burn::prelude::*;
use fastrand::Rng;

use super::GlobalBoxHead;
use crate::network::to_vec;

const SHAPE: [usize; 4] = [3, 3, 3, 8];

fn map(values: &[f32], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), SHAPE), device)
}

/// What a trunk would learn from the chapter's head is the slope of the loss, batch norm included.
#[test]
fn the_chapters_head_gives_its_map_the_slope_of_the_loss() {
    let device = Device::flex().autodiff();
    device.seed(1);
    let head = GlobalBoxHead::new(SHAPE[3], &device);
    let random = &mut Rng::with_seed(3);
    let values: Vec<f32> = (0..SHAPE.iter().product()).map(|_| random.f32()).collect();
    let loss = |map: Tensor<4>| {
        let corners = head.forward(map);
        (corners.clone() * corners).sum()
    };
    let input = map(&values, &device).require_grad();
    let gradients = loss(input.clone()).backward();
    let found = to_vec(input.grad(&gradients).expect("has a gradient"));
    let step = 1e-2;
    for place in (0..values.len()).step_by(13) {
        let at = |by: f32| {
            let mut moved = values.clone();
            moved[place] += by;
            to_vec(loss(map(&moved, &device)))[0]
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        // A step may cross the bend of the ReLU.
        let allowed = 0.1 * slope.abs().max(0.05);
        let found = found[place];
        assert!((found - slope).abs() < allowed, "{place}: {found} {slope}");
    }
}
