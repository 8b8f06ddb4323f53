//! Decides which crops of a frame are looked at.
//!
//! Of the inferences that a frame may take, the first is for the whole frame, the others for crops: close-ups of targets that
//! the whole frame does not show well and of areas in which something moved, and tiles in turn. If there is one inference
//! only, it is for the whole frame and for a crop by turns.

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::{MovedArea, Sizes, Target, Tiling, View, tiles};
use crate::geometry::NormBox;

/// Side of a close-up, in longer sides of its object: the context that a network needs.
const CLOSE_UP: f32 = 1.8;

/// A close-up has at least this share of the input's side: enlarging a picture further shows nothing new.
const MIN_CLOSE_UP: f32 = 0.5;

/// Side of the tiles that are looked at in turn, in sides of the network's input.
const TILE_INPUTS: f32 = 1.6;

/// A close-up is at most this share of the frame: a larger one shows little more than the whole frame.
const MAX_CLOSE_UP: f32 = 0.5;

/// As in SAHI's defaults.
const TILE_OVERLAP: f64 = 0.2;

/// Most of these tiles in a frame; they are larger in a frame that would need more.
const MAX_TILES: usize = 60;

/// A target is weak if its score is less than this above the threshold.
const WEAK_MARGIN: f32 = 0.15;

/// What is known before a frame is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub sizes: Sizes,
    /// What the tracker follows.
    pub targets: &'a [Target],
    pub moved: &'a [MovedArea],
    /// The score from which on something is an object, `0..=1`.
    pub threshold: f32,
    /// Most inferences for this frame; at least one is planned.
    pub inferences: usize,
    /// Whether the whole frame must be looked at.
    pub needs_whole: bool,
}

/// What is looked at in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Not empty; the whole frame, if it is among them, is the first.
    pub views: Vec<View>,
}

/// What comes next, from frame to frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Index of the next tile.
    tile: usize,
    /// Whether the last frame was looked at as a whole.
    was_whole: bool,
    /// Whether the last single crop was a close-up.
    was_close_up: bool,
    /// Tiles of a frame, and how many were looked at since something moved.
    tiles: usize,
    looked_at: usize,
}

impl Cursor {
    /// Whether all tiles were looked at since something moved.
    #[must_use]
    pub const fn has_looked_everywhere(&self) -> bool {
        self.looked_at >= self.tiles
    }
}

/// What to look at in the next frame.
#[must_use]
pub fn plan(request: &Request<'_>, cursor: &mut Cursor) -> Plan {
    let sizes = &request.sizes;
    let tiles = live_tiles(sizes);
    let close_ups = close_ups(request);
    let has_crops = !(tiles.is_empty() && close_ups.is_empty());
    let is_single = request.inferences < 2;
    let whole = !has_crops || !is_single || request.needs_whole || !cursor.was_whole;
    let free = request.inferences.max(1) - usize::from(whole);
    cursor.was_whole = whole;
    let close_count = share_of_close_ups(free, close_ups.len(), tiles.len(), cursor);
    let mut views: Vec<View> = whole
        .then(|| View::whole(sizes.frame))
        .into_iter()
        .collect();
    views.extend(&close_ups[..close_count]);
    let tile_count = (free - close_count).min(tiles.len());
    let next = (0..tile_count).map(|index| tiles[(cursor.tile + index) % tiles.len()]);
    views.extend(next.map(|tile| View::crop(tile, sizes.frame)));
    if !request.moved.is_empty() {
        cursor.looked_at = 0;
    }
    cursor.tiles = tiles.len();
    cursor.looked_at = cursor.looked_at.saturating_add(tile_count);
    if !tiles.is_empty() {
        cursor.tile = (cursor.tile + tile_count) % tiles.len();
    }
    Plan { views }
}

/// How many of `free` crops are close-ups. At least one is a tile, so that what is new is found, too; a single one is both by
/// turns.
fn share_of_close_ups(free: usize, close_ups: usize, tiles: usize, cursor: &mut Cursor) -> usize {
    if tiles == 0 {
        return free.min(close_ups);
    }
    if free == 1 && close_ups > 0 {
        cursor.was_close_up = !cursor.was_close_up;
        return usize::from(cursor.was_close_up);
    }
    free.saturating_sub(1).min(close_ups)
}

/// The tiles of frames that follow each other, in turn.
fn live_tiles(sizes: &Sizes) -> Vec<Rectangle> {
    let tiling = Tiling {
        min_side: (sizes.input_side() as f32 * TILE_INPUTS) as u32,
        most: MAX_TILES,
        overlap: TILE_OVERLAP,
    };
    tiles(sizes, &tiling)
}

/// Close-ups of weak targets, the longest unobserved first, then of moved areas. None is of what an earlier one shows well.
fn close_ups(request: &Request<'_>) -> Vec<View> {
    let sizes = &request.sizes;
    if !sizes.is_reduced() {
        return Vec::new();
    }
    let whole = View::whole(sizes.frame);
    let is_weak = |target: &&Target| {
        target.confidence < request.threshold + WEAK_MARGIN
            || !whole.shows_well(&target.bounding_box)
    };
    let mut weak: Vec<&Target> = request.targets.iter().filter(is_weak).collect();
    weak.sort_by_key(|target| std::cmp::Reverse(target.unobserved));
    let targets = weak.iter().map(|target| target.bounding_box);
    let moved = request.moved.iter().map(|moved| moved.bounding_box);
    let mut views: Vec<View> = Vec::new();
    for bounding_box in targets.chain(moved) {
        add_close_up(&bounding_box, sizes, &mut views);
    }
    views
}

/// Adds a close-up of a box, unless another one shows it well or it would be nearly the whole frame.
pub(super) fn add_close_up(bounding_box: &NormBox, sizes: &Sizes, views: &mut Vec<View>) {
    let close_up = close_up(bounding_box, sizes);
    let is_shown = |view: &View| view.shows_well(bounding_box);
    if close_up.area().area() <= MAX_CLOSE_UP && !views.iter().any(is_shown) {
        views.push(close_up);
    }
}

/// The side of the square around a box of the frame, in pixels.
pub(super) fn close_up_side(bounding_box: &NormBox, sizes: &Sizes) -> u32 {
    let (width, height) = (sizes.frame.width as f32, sizes.frame.height as f32);
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let object = ((x_max - x_min) * width).max((y_max - y_min) * height);
    let least = sizes.input_side() as f32 * MIN_CLOSE_UP;
    (object * CLOSE_UP).max(least).ceil() as u32
}

/// The square around a box of the frame, moved into the frame.
fn close_up(bounding_box: &NormBox, sizes: &Sizes) -> View {
    let frame = sizes.frame;
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let side = close_up_side(bounding_box, sizes);
    let size = Size::new(side.min(frame.width), side.min(frame.height));
    let start = |min: f32, max: f32, length: u32, side: u32| {
        let center = (min + max) / 2.0 * length as f32;
        let start = (center - side as f32 / 2.0).round();
        start.clamp(0.0, (length - side) as f32) as i32
    };
    let left = start(x_min, x_max, frame.width, size.width);
    let top = start(y_min, y_max, frame.height, size.height);
    View::crop(Rectangle::new(Point::new(left, top), size), frame)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{SIZES, boxed};
    use super::*;

    const REQUEST: Request<'_> = Request {
        sizes: SIZES,
        targets: &[],
        moved: &[],
        threshold: 0.5,
        inferences: 4,
        needs_whole: false,
    };

    fn target(corners: [i32; 4], confidence: f32, unobserved: u64) -> Target {
        Target {
            bounding_box: boxed(corners),
            confidence,
            unobserved: Duration::from_millis(unobserved),
        }
    }

    fn is_tile(view: &View) -> bool {
        live_tiles(&SIZES).contains(&view.pixels())
    }

    #[test]
    fn tiles_come_in_turn_until_all_were_looked_at() {
        let count = live_tiles(&SIZES).len();
        let mut cursor = Cursor::default();
        let mut seen = Vec::new();
        for _ in 0..count {
            let views = plan(&REQUEST, &mut cursor).views;
            assert_eq!(views.len(), 4);
            assert!(views[0].is_whole() && views[1..].iter().all(is_tile));
            seen.extend(views[1..].iter().map(View::pixels));
        }
        let expected = live_tiles(&SIZES).repeat(3);
        assert_eq!(seen, expected);
    }

    #[test]
    fn weak_targets_and_moved_areas_have_close_ups_and_one_tile_remains() {
        let targets = [
            target([100, 100, 140, 180], 0.9, 0),
            target([800, 500, 900, 600], 0.9, 70),
            target([1000, 100, 1800, 900], 0.9, 0),
            target([130, 110, 160, 180], 0.9, 0),
        ];
        let moved = [MovedArea {
            bounding_box: boxed([1500, 800, 1560, 860]),
        }];
        let request = Request {
            targets: &targets,
            moved: &moved,
            inferences: 6,
            ..REQUEST
        };
        let views = plan(&request, &mut Cursor::default()).views;
        assert_eq!(views.len(), 6);
        // The longest unobserved first; one close-up shows the two that are near each other.
        assert!(views[1].contains(&targets[1].bounding_box));
        assert!(views[2].contains(&targets[0].bounding_box));
        assert!(views[2].contains(&targets[3].bounding_box));
        assert!(views[3].contains(&moved[0].bounding_box));
        assert!(views[4..].iter().all(is_tile));
        let few = Request {
            inferences: 3,
            ..request
        };
        let views = plan(&few, &mut Cursor::default()).views;
        assert!(views[1].contains(&targets[1].bounding_box) && is_tile(&views[2]));
    }

    #[test]
    fn a_large_target_is_looked_at_closely_only_if_its_score_is_low() {
        let of = |confidence| {
            let targets = [target([600, 200, 1100, 600], confidence, 0)];
            let request = Request {
                targets: &targets,
                ..REQUEST
            };
            let views = plan(&request, &mut Cursor::default()).views;
            views[1..].iter().filter(|view| !is_tile(view)).count()
        };
        assert_eq!((of(0.9), of(0.6)), (0, 1));
    }

    #[test]
    fn a_single_inference_is_for_the_whole_and_for_crops_by_turns() {
        let targets = [target([100, 100, 140, 180], 0.9, 0)];
        let request = Request {
            targets: &targets,
            inferences: 1,
            ..REQUEST
        };
        let mut cursor = Cursor::default();
        let mut kinds = |request: &Request<'_>| {
            let kind = |_| {
                let views = plan(request, &mut cursor).views;
                assert_eq!(views.len(), 1);
                match (views[0].is_whole(), is_tile(&views[0])) {
                    (true, _) => 'w',
                    (_, true) => 't',
                    _ => 'c',
                }
            };
            (0..8).map(kind).collect::<String>()
        };
        assert_eq!(kinds(&request), "wcwtwcwt");
        let needed = Request {
            needs_whole: true,
            ..request
        };
        assert_eq!(kinds(&needed), "wwwwwwww");
    }

    #[test]
    fn a_frame_of_the_inputs_size_is_looked_at_as_a_whole() {
        let targets = [target([100, 100, 140, 180], 0.4, 0)];
        let request = Request {
            sizes: Sizes {
                frame: Size::new(300, 200),
                ..SIZES
            },
            targets: &targets,
            ..REQUEST
        };
        let mut cursor = Cursor::default();
        for inferences in [0, 1, 12] {
            let request = Request {
                inferences,
                ..request
            };
            let views = plan(&request, &mut cursor).views;
            assert_eq!(views, [View::whole(Size::new(300, 200))]);
        }
    }

    #[test]
    fn close_ups_are_inside_the_frame_and_contain_their_object() {
        let random = &mut fastrand::Rng::with_seed(9);
        for _ in 0..1000 {
            let frame = Size::new(random.u32(1..3000), random.u32(1..3000));
            let sizes = Sizes { frame, ..SIZES };
            let corners = [(); 4].map(|()| random.f32());
            let bounding_box = NormBox::from_regression(corners).expect("finite");
            let view = close_up(&bounding_box, &sizes);
            let Rectangle { top_left, size } = view.pixels();
            assert!(top_left.x >= 0 && top_left.y >= 0);
            assert!(top_left.x as u32 + size.width <= frame.width);
            assert!(top_left.y as u32 + size.height <= frame.height);
            assert!(view.contains(&bounding_box), "{bounding_box:?} {view:?}");
        }
    }
}
