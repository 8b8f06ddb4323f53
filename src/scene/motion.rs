//! A scene in motion, for the demo.
//!
//! In goes a frame's number, out comes the [`Scene`] at that moment: a snack glides over a background, then
//! the background is empty for a little while, then comes the next snack over the next one. All 20
//! take their turn before any comes again. Any number can be asked for, in any order.

use image::RgbImage;

use super::dice::{Rng, sine};
use super::emoji::{SNACKS, emoji};
use super::sprite::{Pose, Shadow, Sprite};
use super::{Purpose, Scene, backdrop_of, true_box};

/// A scene in motion.
#[derive(Debug)]
pub struct MovingScene {
    seed: u64,
    width: u32,
    height: u32,
    /// The last backdrop drawn, with the act that it is for: frames mostly come in order.
    backdrop: Option<(u64, RgbImage)>,
}

impl MovingScene {
    /// Frames from one snack's entrance to the next one's.
    pub const SCENE_FRAMES: u64 = 30;
    /// Frames at the end of an act in which there is only background.
    pub const EMPTY_FRAMES: u64 = 5;

    /// A moving scene of `width` x `height` pixels, at least [`LEAST_SIDE`](super::LEAST_SIDE) each way.
    #[must_use]
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        Self {
            seed,
            width,
            height,
            backdrop: None,
        }
    }

    /// The act that frame `number` is of: a new act has another backdrop and another snack.
    #[must_use]
    pub const fn scene_of(number: u64) -> u64 {
        number / Self::SCENE_FRAMES
    }

    /// The scene at frame `number`, from 0: the same for the same number, whatever was asked before.
    pub fn frame(&mut self, number: u64) -> Scene {
        let (act, moment) = (Self::scene_of(number), number % Self::SCENE_FRAMES);
        let mut image = self.backdrop(act).clone();
        let shown = Self::SCENE_FRAMES - Self::EMPTY_FRAMES;
        if moment >= shown {
            let truth = Vec::new();
            return Scene { image, truth };
        }
        let snack = snack_of_act(self.seed, act);
        let path = Path::new(&mut Purpose::Path.rng(act_seed(self.seed, act)));
        let moment = moment as f32 / (shown - 1) as f32;
        let (sprite, place) = path.sprite_at(moment, snack, &image);
        sprite.put(&mut image, place.0, place.1);
        let truth = vec![true_box(snack, sprite.visible(), place, &image)];
        Scene { image, truth }
    }

    fn backdrop(&mut self, act: u64) -> &RgbImage {
        let fresh = self.backdrop.take().filter(|(of_act, _)| *of_act == act);
        let (_, image) = self.backdrop.insert(fresh.unwrap_or_else(|| {
            let seed = act_seed(self.seed, act);
            (
                act,
                backdrop_of(Purpose::Stage, seed, self.width, self.height),
            )
        }));
        image
    }
}

fn act_seed(seed: u64, act: u64) -> u64 {
    seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(act)
}

/// Which snack plays in an act.
fn snack_of_act(seed: u64, act: u64) -> usize {
    let count = SNACKS.len() as u64;
    let (round, turn) = (act / count, (act % count) as usize);
    let mut order = shuffled(seed, round);
    // A round may not start with the snack that ended the last one. The swap never touches the last place.
    let before = round
        .checked_sub(1)
        .map(|r| shuffled(seed, r)[SNACKS.len() - 1]);
    if before == Some(order[0]) {
        order.swap(0, 1);
    }
    order[turn]
}

fn shuffled(seed: u64, round: u64) -> [usize; SNACKS.len()] {
    let mut rng = Purpose::Order.rng(act_seed(seed, round));
    let mut order = std::array::from_fn(|index| index);
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last as u32 + 1) as usize);
    }
    order
}

/// The way of one snack over the picture; all lengths in `0..=1`.
struct Path {
    /// From where to where, in shares of the room that the snack has.
    from: (f32, f32),
    to: (f32, f32),
    /// How far the way bends off the straight line.
    bend: f32,
    /// Longer visible side, in shorter sides of the picture, in the middle of the way.
    size: f32,
    /// Growth from start to end.
    growth: f32,
    /// Rotation in turns, and how far it sways to each side.
    turn: f32,
    sway: f32,
    mirrored: bool,
    shadow: Shadow,
}

impl Path {
    fn new(rng: &mut Rng) -> Self {
        let leftwards = rng.chance(0.5);
        let (near, far) = (rng.between(0.0, 0.25), rng.between(0.75, 1.0));
        let (start, end) = if leftwards { (far, near) } else { (near, far) };
        Self {
            from: (start, rng.unit()),
            to: (end, rng.unit()),
            bend: rng.between(-0.3, 0.3),
            size: rng.between(0.42, 0.72),
            growth: rng.between(-0.2, 0.2),
            turn: rng.between(-0.03, 0.03),
            sway: rng.between(0.005, 0.03),
            mirrored: rng.chance(0.5),
            shadow: Shadow {
                shift: (rng.between(-0.05, 0.05), rng.between(0.04, 0.09)),
                strength: rng.between(0.25, 0.45),
            },
        }
    }

    /// The snack at a moment `0..=1` of its way and the pixel to put it on.
    fn sprite_at(&self, moment: f32, snack: usize, image: &RgbImage) -> (Sprite, (i32, i32)) {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let longer = self.size * (1.0 + self.growth * (moment - 0.5)) * width.min(height);
        let ease = moment * moment * (3.0 - 2.0 * moment);
        let bend = self.bend * sine(moment / 2.0);
        let along = |from: f32, to: f32| from + (to - from) * ease;
        let share_x = along(self.from.0, self.to.0);
        let share_y = (along(self.from.1, self.to.1) + bend).clamp(0.0, 1.0);
        let centre = |share: f32, size: f32| longer / 2.0 + share * (size - longer);
        let (x, y) = (centre(share_x, width), centre(share_y, height));
        let pose = Pose {
            size: longer,
            turn: self.turn + self.sway * sine(moment * 1.5),
            mirrored: self.mirrored,
            offset: (x - x.floor(), y - y.floor()),
            shadow: Some(self.shadow),
        };
        let emoji = emoji(snack);
        let sprite = Sprite::new(emoji, &pose.fitted(emoji, longer));
        let visible = sprite.visible();
        // What can be seen of an emoji need not lie about its centre.
        let inside = |place: f32, first: i32, end: i32, size: u32| {
            let last = (size as i32 - end).max(-first);
            (place as i32).clamp(-first, last)
        };
        let x = inside(x, visible.left, visible.right, image.width());
        let y = inside(y, visible.top, visible.bottom, image.height());
        (sprite, (x, y))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::geometry::iou;

    #[test]
    fn all_snacks_take_their_turn_and_none_twice_in_a_row() {
        for seed in 0..30 {
            let acts: Vec<usize> = (0..100).map(|act| snack_of_act(seed, act)).collect();
            for round in acts.chunks(20) {
                assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 20);
            }
            assert!(acts.windows(2).all(|pair| pair[0] != pair[1]));
            assert_ne!(acts[..20], acts[20..40]);
        }
    }

    #[test]
    fn an_act_ends_with_empty_frames() {
        let mut scene = MovingScene::new(4, 96, 72);
        for number in 0..2 * MovingScene::SCENE_FRAMES {
            let pause = number % MovingScene::SCENE_FRAMES
                >= MovingScene::SCENE_FRAMES - MovingScene::EMPTY_FRAMES;
            assert_eq!(scene.frame(number).truth.is_empty(), pause, "{number}");
        }
    }

    #[test]
    fn a_snack_glides_and_stays_inside() {
        let mut scene = MovingScene::new(9, 160, 120);
        for act in 0..20 {
            let boxes: Vec<_> = (0..MovingScene::SCENE_FRAMES - MovingScene::EMPTY_FRAMES)
                .map(|moment| scene.frame(act * MovingScene::SCENE_FRAMES + moment).truth)
                .map(|truth| truth[0].bounding_box)
                .collect();
            for pair in boxes.windows(2) {
                assert!(iou(&pair[0], &pair[1]) > 0.6, "act {act}: {pair:?}");
            }
            let (first, last) = (boxes[0], boxes[boxes.len() - 1]);
            assert!((first.x_min() - last.x_min()).abs() > 0.05, "act {act}");
        }
    }

    #[test]
    fn frames_can_be_asked_for_in_any_order() {
        let (mut forwards, mut jumping) =
            (MovingScene::new(1, 64, 48), MovingScene::new(1, 64, 48));
        let frames: Vec<Scene> = (0..70).map(|number| forwards.frame(number)).collect();
        for number in [69, 3, 31, 0, 29, 30, 3] {
            assert_eq!(jumping.frame(number), frames[number as usize]);
        }
    }
}
