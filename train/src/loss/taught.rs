//! What the cells of a map are taught of the boxes in a picture.
//!
//! In go the box that the picture is to teach and the boxes beside it, out comes for each cell a box and two shares: how much
//! it is taught that box, and how much its word is to count. Nothing of a network is here.

use boxcam::geometry::NormBox;

use crate::recipe::Beside;

/// What each cell of a map of `side * side` is taught, row by row.
///
/// Inside a box are the cells whose centre lies in it, in its middle those in the half of it around its own centre; of
/// a box that holds no centre, the nearest cell is both. A cell is taught the true box where it is inside that, and otherwise the
/// smallest of the boxes beside it that it is inside of.
#[derive(Debug, Clone, PartialEq)]
pub struct Taught {
    /// The box of each cell, `x_min, x_max, y_min, y_max`.
    pub boxes: Vec<[f32; 4]>,
    /// How much a cell is taught its box: in all 1 for the true one, for those beside as [`Beside::boxes`] says.
    pub inside: Vec<f32>,
    /// How much a cell's word is to count, with a sum of 1: in the true box's middle, and in those of the others as
    /// [`Beside::middles`] says.
    pub middle: Vec<f32>,
}

impl Taught {
    /// Nothing, as where there is no box.
    #[must_use]
    pub fn nothing(side: usize) -> Self {
        let cells = side * side;
        Self {
            boxes: vec![[0.0; 4]; cells],
            inside: vec![0.0; cells],
            middle: vec![0.0; cells],
        }
    }

    /// By a true box and those beside it.
    #[must_use]
    pub fn new(truth: &NormBox, beside: &[NormBox], how: Beside, side: usize) -> Self {
        let mut taught = Self {
            boxes: vec![truth.corners(); side * side],
            inside: shares(truth, 1.0, side),
            middle: shares(truth, 0.5, side),
        };
        let mut beside = beside.to_vec();
        beside.sort_by(|a, b| a.area().total_cmp(&b.area()));
        taught.add_boxes(&beside, how.boxes, side);
        taught.add_middles(truth.area(), &beside, how.middles, side);
        taught
    }

    fn add_boxes(&mut self, beside: &[NormBox], share: f32, side: usize) {
        let share = share / (beside.len() as f32).sqrt();
        for other in beside {
            for (cell, inside) in shares(other, 1.0, side).into_iter().enumerate() {
                if inside > 0.0 && self.inside[cell] == 0.0 {
                    self.boxes[cell] = other.corners();
                    self.inside[cell] = inside * share;
                }
            }
        }
    }

    fn add_middles(&mut self, own: f32, beside: &[NormBox], share: f32, side: usize) {
        let others: f32 = beside.iter().map(NormBox::area).sum();
        if others == 0.0 {
            return;
        }
        let share = share * others / (others + own);
        self.middle
            .iter_mut()
            .for_each(|middle| *middle *= 1.0 - share);
        for other in beside {
            let part = share * other.area() / others;
            for (middle, inside) in self.middle.iter_mut().zip(shares(other, 0.5, side)) {
                *middle += part * inside;
            }
        }
    }
}

/// The cells within that share of a box around its centre, each with the same part of 1; the nearest cell where there is none.
fn shares(truth: &NormBox, within: f32, side: usize) -> Vec<f32> {
    let centre = |cell: usize| (cell as f32 + 0.5) / side as f32;
    let [x_min, x_max, y_min, y_max] = truth.corners();
    let (x, y) = (f32::midpoint(x_min, x_max), f32::midpoint(y_min, y_max));
    let (half_width, half_height) = ((x_max - x_min) / 2.0, (y_max - y_min) / 2.0);
    let cells = (0..side * side).map(|cell| {
        let across = (centre(cell % side) - x).abs() <= half_width * within;
        let down = (centre(cell / side) - y).abs() <= half_height * within;
        f32::from(u8::from(across && down))
    });
    let cells: Vec<f32> = cells.collect();
    let count: f32 = cells.iter().sum();
    if count > 0.0 {
        return cells.into_iter().map(|cell| cell / count).collect();
    }
    let nearest = |at: f32| ((at * side as f32) as usize).min(side.saturating_sub(1));
    let mut one = vec![0.0; side * side];
    one[nearest(y) * side + nearest(x)] = 1.0;
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Beside = Beside {
        boxes: 0.0,
        middles: 0.0,
    };

    fn of(corners: [f32; 4]) -> NormBox {
        let [x_min, x_max, y_min, y_max] = corners;
        NormBox::new(x_min, x_max, y_min, y_max).expect("sound")
    }

    #[test]
    fn cells_inside_a_box_and_in_its_middle_are_taught() {
        let truth = of([0.0, 1.0, 0.0, 0.5]);
        let taught = Taught::new(&truth, &[], ALONE, 4);
        let eighth = [0.125; 4];
        assert_eq!(taught.inside, [eighth, eighth, [0.0; 4], [0.0; 4]].concat());
        let quarter = [0.0, 0.25, 0.25, 0.0];
        assert_eq!(
            taught.middle,
            [quarter, quarter, [0.0; 4], [0.0; 4]].concat()
        );
        assert!(taught.boxes.iter().all(|own| *own == truth.corners()));
    }

    #[test]
    fn a_box_between_centres_teaches_the_nearest_cell() {
        let taught = Taught::new(&of([0.9, 1.0, 0.95, 1.0]), &[], ALONE, 4);
        assert_eq!(taught.inside, taught.middle);
        assert_eq!(taught.inside[15], 1.0);
        assert_eq!(taught.inside.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn cells_outside_of_the_true_box_are_taught_the_smallest_beside_it_that_they_are_in() {
        let truth = of([0.0, 0.5, 0.0, 1.0]);
        let (wide, small) = (of([0.0, 1.0, 0.0, 0.5]), of([0.75, 1.0, 0.0, 0.25]));
        let how = Beside {
            boxes: 1.0,
            middles: 0.5,
        };
        let taught = Taught::new(&truth, &[wide, small], how, 4);
        let own = |cell: usize| taught.boxes[cell];
        // Left half, right end of the first row, and what of the wide one lies in neither.
        assert_eq!((own(0), own(13)), (truth.corners(), truth.corners()));
        assert_eq!((own(3), own(2)), (small.corners(), wide.corners()));
        assert_eq!((own(6), own(7)), (wide.corners(), wide.corners()));
        let half = 1.0 / 2f32.sqrt();
        assert_eq!(taught.inside[0], 0.125);
        assert!((taught.inside[3] - half).abs() < 1e-6);
        assert!((taught.inside[2] - half / 8.0).abs() < 1e-6);
        assert_eq!((taught.inside[10], taught.inside[15]), (0.0, 0.0));
        // Half of what is wanted, by area: 0.5 of the wide one, 0.0625 of the small one, beside 0.5.
        let sum: f32 = taught.middle.iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let small_part = 0.5 * 0.5625 / 1.0625 * 0.0625 / 0.5625;
        assert!((taught.middle[3] - small_part).abs() < 1e-6);
    }

    #[test]
    fn boxes_beside_teach_nothing_unless_they_are_to() {
        let truth = of([0.0, 0.5, 0.0, 1.0]);
        let beside = [of([0.5, 1.0, 0.0, 1.0])];
        let with = Taught::new(&truth, &beside, ALONE, 4);
        let without = Taught::new(&truth, &[], ALONE, 4);
        assert_eq!((with.inside, with.middle), (without.inside, without.middle));
    }
}
