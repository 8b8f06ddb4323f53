//! The path of a snack across the picture.

use image::RgbImage;

use super::rng::{Rng, sine};
use super::sprite::{Pose, Shadow, Sprite};
use super::texture::Texture;

/// From outside of one side to outside of the other; lengths and times in `0..=1` unless stated otherwise.
pub(super) struct Path {
    /// When it starts, and how long it takes, in crossing times of the scene.
    start: f32,
    duration: f32,
    leftwards: bool,
    /// Its height at the start and at the end, in parts of the space that the snack leaves free.
    from: f32,
    to: f32,
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
    /// Paths of several snacks, alternately from the left and from the right at neighbouring heights, so that they cross.
    pub(super) fn crossing(rng: &mut Rng, count: usize) -> Vec<Self> {
        let first_is_leftwards = rng.chance(0.5);
        let mut lane = rng.range(0.3, 0.7);
        let mut paths = Vec::with_capacity(count);
        for index in 0..count {
            let leftwards = first_is_leftwards ^ (index % 2 == 1);
            paths.push(Self::new(rng, index, count, leftwards, lane));
            let step = rng.range(0.2, 0.4);
            lane += if lane > 0.5 { -step } else { step };
        }
        paths
    }

    fn new(rng: &mut Rng, index: usize, count: usize, leftwards: bool, lane: f32) -> Self {
        let size = match count {
            1 => rng.range(0.42, 0.72),
            2 => rng.range(0.36, 0.56),
            _ => rng.range(0.34, 0.5),
        };
        // The last one starts late enough to be alone with those that are left, and early enough to meet them.
        let start = match index {
            0 => 0.0,
            _ => (index as f32 + rng.range(-0.4, 0.4)) * 0.25 / (count - 1) as f32,
        };
        Self {
            start,
            duration: rng.range(0.75, 1.0) * (1.0 - start),
            leftwards,
            from: lane,
            to: (lane + rng.range(-0.2, 0.2)).clamp(0.0, 1.0),
            bend: rng.range(-0.15, 0.15),
            size,
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

    /// Its longer visible side in the middle of the path, in shorter sides of the picture.
    pub(super) const fn size(&self) -> f32 {
        self.size
    }

    /// The sprite and its position at a time `0..=1` of the scene; `None` before it starts and after it has arrived.
    pub(super) fn sprite_at(
        &self,
        moment: f32,
        texture: &Texture,
        image: &RgbImage,
    ) -> Option<(Sprite, (i32, i32))> {
        let way = (moment - self.start) / self.duration;
        if !(0.0..=1.0).contains(&way) {
            return None;
        }
        let (width, height) = (image.width() as f32, image.height() as f32);
        let longer = self.size * (1.0 + self.growth * (way - 0.5)) * width.min(height);
        let across = if self.leftwards { 1.0 - way } else { way };
        // Most of the shadow is outside, too, at both ends.
        let margin = longer * 0.6;
        let x = across * (width + 2.0 * margin) - margin;
        let bend = self.bend * sine(way / 2.0);
        let lane = (self.from + (self.to - self.from) * way + bend).clamp(0.0, 1.0);
        let y = longer / 2.0 + lane * (height - longer);
        let pose = Pose {
            size: longer,
            turn: self.turn + self.sway * sine(way * 1.5),
            mirrored: self.mirrored,
            offset: (x - x.floor(), y - y.floor()),
            shadow: Some(self.shadow),
        };
        let sprite = Sprite::new(texture, &pose.fitted(texture, longer));
        let visible = sprite.visible();
        // The visible part of a texture may be off its center.
        let last = (image.height() as i32 - visible.bottom).max(-visible.top);
        let y = (y.floor() as i32).clamp(-visible.top, last);
        Some((sprite, (x.floor() as i32, y)))
    }
}
