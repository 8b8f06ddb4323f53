//! Looks at parts of a frame, so that objects are found that are too small for the network in the whole frame.
//!
//! A network sees a frame at its input size: a person of 100 pixels in a frame of 1920 x 1080 pixels has a height of 28 at
//! 300 x 300. [`plan`] decides which square crops of a frame are looked at, [`merge`] makes one list of the detections of all
//! of them. Both are pure functions; [`RegionDetector`] runs a model with them. Slicing and merging follow SAHI (Akyon,
//! Altinuc and Temizel, "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection", ICIP 2022).
//!
//! `docs/regions.md` has the use and the figures.

use std::num::NonZeroU32;
use std::time::Duration;

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::card::InputSpec;
use crate::geometry::NormBox;

mod budget;
mod detector;
mod merge;
mod plan;
mod tiles;

pub use budget::{Budget, FrameTiming};
pub use detector::{Hints, Looked, RegionDetector, RegionsError};
pub use merge::{ViewDetections, merge};
pub use plan::{Cursor, Plan, Request, plan};
pub use tiles::{Tiling, tiles};

/// Most inferences for one frame.
pub const MAX_INFERENCES: usize = 12;

/// Default of the most inferences per second of frames that follow each other.
pub const DEFAULT_REGION_RATE: NonZeroU32 = NonZeroU32::new(60).expect("not 0");

/// From this side on, the geometric mean of width and height as a share of the input's, a network sees an object well.
pub const WELL_SEEN_SIDE: f32 = 0.25;

/// A box touches an edge of a crop if it comes as close as this, as a share of the crop's side.
const EDGE: f32 = 0.02;

/// A box is in a view if this share of its area is.
const INSIDE_SHARE: f32 = 0.95;

/// The size of a frame and that of the network's input, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub frame: Size,
    pub input: Size,
}

/// What the network sees in one inference: the whole frame, or a crop of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    pixels: Rectangle,
    /// `pixels` as shares of the frame's sides.
    area: NormBox,
}

/// Something that a tracker follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Where it is expected.
    pub bounding_box: NormBox,
    /// Its smoothed score, `0..=1`.
    pub confidence: f32,
    /// Time since a view that shows it well, whether or not it was detected there.
    pub unobserved: Duration,
}

/// A part of the frame in which something moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MovedArea {
    pub bounding_box: NormBox,
}

/// Which parts of a frame were looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    views: Vec<View>,
}

impl Sizes {
    #[must_use]
    pub fn new((width, height): (u32, u32), input: &InputSpec) -> Self {
        Self {
            frame: Size::new(width, height),
            input: Size::new(input.width, input.height),
        }
    }

    /// The longer side of the input.
    fn input_side(&self) -> u32 {
        self.input.width.max(self.input.height)
    }

    /// Whether the frame has pixels that the network does not see in the whole frame.
    fn is_reduced(&self) -> bool {
        self.frame.width > self.input.width || self.frame.height > self.input.height
    }
}

impl View {
    /// The whole frame.
    #[must_use]
    pub fn whole(frame: Size) -> Self {
        Self {
            pixels: Rectangle::new(Point::zero(), frame),
            area: NormBox::WHOLE,
        }
    }

    /// A crop of the frame. `pixels` is inside the frame.
    #[must_use]
    pub fn crop(pixels: Rectangle, frame: Size) -> Self {
        Self {
            pixels,
            area: NormBox::from_pixels(&pixels, frame.width, frame.height),
        }
    }

    #[must_use]
    pub const fn pixels(&self) -> Rectangle {
        self.pixels
    }

    /// As shares of the frame's sides.
    #[must_use]
    pub const fn area(&self) -> NormBox {
        self.area
    }

    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.area == NormBox::WHOLE
    }

    /// Whether the view's edge may cut off a part of the object whose box, in units of the view's sides, is given: the box
    /// touches an edge that is not an edge of the frame.
    #[must_use]
    pub fn cuts(&self, found: &NormBox) -> bool {
        let near_start = |edge: f32, start: f32| edge > 0.0 && start <= EDGE;
        let near_end = |edge: f32, end: f32| edge < 1.0 && end >= 1.0 - EDGE;
        near_start(self.area.x_min(), found.x_min())
            || near_end(self.area.x_max(), found.x_max())
            || near_start(self.area.y_min(), found.y_min())
            || near_end(self.area.y_max(), found.y_max())
    }

    /// Whether a box in units of the view's sides goes from one edge to the opposite one, of which at least one is not an edge
    /// of the frame: it does not tell where an object ends.
    #[must_use]
    pub fn is_spanned_by(&self, found: &NormBox) -> bool {
        let spans = |start: f32, end: f32| start <= EDGE && end >= 1.0 - EDGE;
        let is_inner = |start: f32, end: f32| start > 0.0 || end < 1.0;
        is_inner(self.area.x_min(), self.area.x_max()) && spans(found.x_min(), found.x_max())
            || is_inner(self.area.y_min(), self.area.y_max()) && spans(found.y_min(), found.y_max())
    }

    /// Whether a box of the frame is in this view.
    #[must_use]
    pub fn contains(&self, bounding_box: &NormBox) -> bool {
        let inside = self.area.intersection_area(bounding_box);
        inside >= INSIDE_SHARE * bounding_box.area()
    }

    /// Whether the network can see an object at a box of the frame in this view.
    #[must_use]
    pub fn shows_well(&self, bounding_box: &NormBox) -> bool {
        let share = bounding_box.area() / self.area.area().max(f32::MIN_POSITIVE);
        self.contains(bounding_box) && share.sqrt() >= WELL_SEEN_SIDE
    }
}

impl Coverage {
    #[must_use]
    pub const fn new(views: Vec<View>) -> Self {
        Self { views }
    }

    /// Whether an object at a box of the frame would have been seen.
    #[must_use]
    pub fn shows_well(&self, bounding_box: &NormBox) -> bool {
        self.views.iter().any(|view| view.shows_well(bounding_box))
    }

    /// One for each inference.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.views
    }

    #[must_use]
    pub fn into_views(self) -> Vec<View> {
        self.views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const SIZES: Sizes = Sizes {
        frame: Size::new(1920, 1080),
        input: Size::new(300, 300),
    };

    pub(super) fn boxed([left, top, right, bottom]: [i32; 4]) -> NormBox {
        let size = Size::new((right - left) as u32, (bottom - top) as u32);
        let pixels = Rectangle::new(Point::new(left, top), size);
        NormBox::from_pixels(&pixels, SIZES.frame.width, SIZES.frame.height)
    }

    fn crop(left: i32, top: i32, side: u32) -> View {
        let pixels = Rectangle::new(Point::new(left, top), Size::new(side, side));
        View::crop(pixels, SIZES.frame)
    }

    #[test]
    fn only_edges_inside_the_frame_cut() {
        let at = |corners: [f32; 4]| NormBox::from_regression(corners).expect("finite");
        let [left, right] = [at([0.0, 0.4, 0.3, 0.6]), at([0.5, 0.99, 0.3, 0.6])];
        let [top, bottom] = [at([0.3, 0.6, 0.01, 0.4]), at([0.3, 0.6, 0.5, 1.0])];
        let middle = at([0.1, 0.9, 0.1, 0.9]);
        let cut = |view: View| [left, right, top, bottom, middle].map(|found| view.cuts(&found));
        assert_eq!(cut(View::whole(SIZES.frame)), [false; 5]);
        assert_eq!(cut(crop(600, 300, 400)), [true, true, true, true, false]);
        assert_eq!(cut(crop(0, 0, 400)), [false, true, false, true, false]);
        let corner = cut(crop(1520, 680, 400));
        assert_eq!(corner, [true, false, true, false, false]);
    }

    #[test]
    fn a_box_from_edge_to_edge_spans_a_crop_but_not_a_frame() {
        let at = |corners: [f32; 4]| NormBox::from_regression(corners).expect("finite");
        let [wide, high] = [at([0.01, 1.0, 0.3, 0.6]), at([0.3, 0.6, 0.0, 0.99])];
        let inside = at([0.0, 0.9, 0.1, 1.0]);
        let spans = |view: View| [wide, high, inside].map(|found| view.is_spanned_by(&found));
        assert_eq!(spans(View::whole(SIZES.frame)), [false; 3]);
        assert_eq!(spans(crop(600, 300, 400)), [true, true, false]);
        assert_eq!(spans(crop(0, 0, 400)), [true, true, false]);
        // As high as the frame: an object can be as high as that.
        assert_eq!(spans(crop(400, 0, 1080)), [true, false, false]);
    }

    #[test]
    fn a_small_object_is_seen_in_a_crop_that_contains_it() {
        let small = boxed([700, 400, 760, 500]);
        let of = |views: &[View]| Coverage::new(views.to_vec()).shows_well(&small);
        let whole = View::whole(SIZES.frame);
        assert!(!of(&[]) && !of(&[whole]) && !of(&[whole, crop(0, 0, 400)]));
        assert!(of(&[whole, crop(600, 300, 250)]));
        assert!(!of(&[crop(740, 300, 250)]), "it is cut");
        let large = boxed([100, 100, 900, 900]);
        assert!(Coverage::new(vec![whole]).shows_well(&large));
    }
}
