//! The demo's moving scene: a snack moves over a backdrop, then only the backdrop is shown for a moment, then the next
//! scene starts with another snack and backdrop. All 20 snacks appear before one repeats. Frames can be requested in any
//! order.

use image::RgbImage;

use super::rng::{Rng, sine};
use super::sprite::{Pose, SNACKS, Shadow, Sprite, emoji};
use super::{Scene, Stream, backdrop_of, ground_truth};

/// A sequence of scenes.
#[derive(Debug)]
pub struct MovingScene {
    seed: u64,
    width: u32,
    height: u32,
    /// The backdrop that was drawn last, with the number of its scene: frames are mostly requested in order.
    backdrop: Option<(u64, RgbImage)>,
}

impl MovingScene {
    /// Frames of a scene.
    pub const SCENE_FRAMES: u64 = 30;
    /// Frames at the end of a scene without a snack.
    pub const EMPTY_FRAMES: u64 = 5;

    /// Frames of `width` x `height` pixels, at least [`MIN_SIDE`](super::MIN_SIDE) each way.
    #[must_use]
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        Self {
            seed,
            width,
            height,
            backdrop: None,
        }
    }

    /// The number of the scene of a frame.
    #[must_use]
    pub const fn scene_of(number: u64) -> u64 {
        number / Self::SCENE_FRAMES
    }

    /// The frame with this number, from 0.
    pub fn frame(&mut self, number: u64) -> Scene {
        let (scene, moment) = (Self::scene_of(number), number % Self::SCENE_FRAMES);
        let mut image = self.backdrop(scene).clone();
        let shown = Self::SCENE_FRAMES - Self::EMPTY_FRAMES;
        if moment >= shown {
            let truth = Vec::new();
            return Scene { image, truth };
        }
        let snack = snack_of_scene(self.seed, scene);
        let path = Path::new(&mut Stream::Path.rng(scene_seed(self.seed, scene)));
        let moment = moment as f32 / (shown - 1) as f32;
        let (sprite, position) = path.sprite_at(moment, snack, &image);
        sprite.draw(&mut image, position.0, position.1);
        let truth = vec![ground_truth(snack, sprite.visible(), position, &image)];
        Scene { image, truth }
    }

    fn backdrop(&mut self, scene: u64) -> &RgbImage {
        let fresh = self
            .backdrop
            .take()
            .filter(|(of_scene, _)| *of_scene == scene);
        let (_, image) = self.backdrop.insert(fresh.unwrap_or_else(|| {
            let seed = scene_seed(self.seed, scene);
            (
                scene,
                backdrop_of(Stream::Stage, seed, self.width, self.height),
            )
        }));
        image
    }
}

fn scene_seed(seed: u64, scene: u64) -> u64 {
    seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(scene)
}

fn snack_of_scene(seed: u64, scene: u64) -> usize {
    let count = SNACKS.len() as u64;
    let (round, turn) = (scene / count, (scene % count) as usize);
    let mut order = shuffled(seed, round);
    // No snack appears twice in a row. The swap does not change the last snack of a round.
    let before = round
        .checked_sub(1)
        .map(|r| shuffled(seed, r)[SNACKS.len() - 1]);
    if before == Some(order[0]) {
        order.swap(0, 1);
    }
    order[turn]
}

fn shuffled(seed: u64, round: u64) -> [usize; SNACKS.len()] {
    let mut rng = Stream::Order.rng(scene_seed(seed, round));
    let mut order = std::array::from_fn(|index| index);
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last as u32 + 1) as usize);
    }
    order
}

/// The path of a snack over the picture; all lengths in `0..=1`.
struct Path {
    /// Start and end, in parts of the space that the snack leaves free.
    from: (f32, f32),
    to: (f32, f32),
    /// Vertical deviation from a straight line.
    bend: f32,
    /// Longer visible side in the middle of the path, in shorter sides of the picture.
    size: f32,
    /// Relative growth from start to end.
    growth: f32,
    /// Rotation and amplitude of its oscillation, in turns.
    turn: f32,
    sway: f32,
    mirrored: bool,
    shadow: Shadow,
}

impl Path {
    fn new(rng: &mut Rng) -> Self {
        let leftwards = rng.chance(0.5);
        let (near, far) = (rng.range(0.0, 0.25), rng.range(0.75, 1.0));
        let (start, end) = if leftwards { (far, near) } else { (near, far) };
        Self {
            from: (start, rng.unit()),
            to: (end, rng.unit()),
            bend: rng.range(-0.3, 0.3),
            size: rng.range(0.42, 0.72),
            growth: rng.range(-0.2, 0.2),
            turn: rng.range(-0.03, 0.03),
            sway: rng.range(0.005, 0.03),
            mirrored: rng.chance(0.5),
            shadow: Shadow {
                shift: (rng.range(-0.05, 0.05), rng.range(0.04, 0.09)),
                strength: rng.range(0.25, 0.45),
            },
        }
    }

    /// The sprite and its position at a time `0..=1`.
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
        // The visible part of an emoji may be off its center.
        let inside = |position: f32, first: i32, end: i32, size: u32| {
            let last = (size as i32 - end).max(-first);
            (position as i32).clamp(-first, last)
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
    fn all_snacks_appear_and_none_twice_in_a_row() {
        for seed in 0..30 {
            let snacks: Vec<usize> = (0..100).map(|scene| snack_of_scene(seed, scene)).collect();
            for round in snacks.chunks(20) {
                assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 20);
            }
            assert!(snacks.windows(2).all(|pair| pair[0] != pair[1]));
            assert_ne!(snacks[..20], snacks[20..40]);
        }
    }

    #[test]
    fn a_scene_ends_with_empty_frames() {
        let mut scene = MovingScene::new(4, 96, 72);
        for number in 0..2 * MovingScene::SCENE_FRAMES {
            let pause = number % MovingScene::SCENE_FRAMES
                >= MovingScene::SCENE_FRAMES - MovingScene::EMPTY_FRAMES;
            assert_eq!(scene.frame(number).truth.is_empty(), pause, "{number}");
        }
    }

    #[test]
    fn a_snack_moves_smoothly_and_stays_inside() {
        let mut scene = MovingScene::new(9, 160, 120);
        for number in 0..20 {
            let boxes: Vec<_> = (0..MovingScene::SCENE_FRAMES - MovingScene::EMPTY_FRAMES)
                .map(|moment| {
                    scene
                        .frame(number * MovingScene::SCENE_FRAMES + moment)
                        .truth
                })
                .map(|truth| truth[0].bounding_box)
                .collect();
            for pair in boxes.windows(2) {
                assert!(iou(&pair[0], &pair[1]) > 0.6, "scene {number}: {pair:?}");
            }
            let (first, last) = (boxes[0], boxes[boxes.len() - 1]);
            assert!(
                (first.x_min() - last.x_min()).abs() > 0.05,
                "scene {number}"
            );
        }
    }

    #[test]
    fn frames_can_be_requested_in_any_order() {
        let (mut forwards, mut jumping) =
            (MovingScene::new(1, 64, 48), MovingScene::new(1, 64, 48));
        let frames: Vec<Scene> = (0..70).map(|number| forwards.frame(number)).collect();
        for number in [69, 3, 31, 0, 29, 30, 3] {
            assert_eq!(jumping.frame(number), frames[number as usize]);
        }
    }
}
