//! One snack, turned, sized and ready to be put on a picture, with the box of what can be seen of it.
//!
//! In goes an emoji and a [`Pose`], out comes a [`Sprite`]. A sprite knows its own extent but not where it
//! will go; it never draws outside the picture that it is put on.

use image::{Rgb, RgbImage};

use super::dice::{cosine, sine};
use super::emoji::{Emoji, SIDE};
use super::shadow;

/// How a snack is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Pixels on a side of the unturned emoji; at least 1.
    pub(super) size: f32,
    /// Rotation in turns, clockwise.
    pub(super) turn: f32,
    /// Left and right swapped.
    pub(super) mirrored: bool,
    /// The part of a pixel, `0..1`, by which the centre lies right of and below a pixel's corner.
    pub(super) offset: (f32, f32),
    /// The shadow, if it throws one.
    pub(super) shadow: Option<Shadow>,
}

/// A soft shadow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shadow {
    /// Way to the right and down, in sides of the emoji.
    pub(super) shift: (f32, f32),
    /// How dark it is, `0..=1`.
    pub(super) strength: f32,
}

/// A rectangle of whole pixels, relative to the pixel that the sprite is put on. Right and bottom are
/// the first pixels that are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Extent {
    pub(super) fn width(&self) -> i32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> i32 {
        self.bottom - self.top
    }
}

/// A snack in its pose.
pub(super) struct Sprite {
    /// All pixels that may be drawn on.
    canvas: Extent,
    /// Red, green and blue times alpha, alpha, and the shadow's strength; row by row; all in `0..=1`.
    texels: Vec<[f32; 5]>,
    /// The pixels at least half covered by the snack.
    visible: Extent,
}

/// Coverage from which on a pixel counts as the snack's.
const VISIBLE: f32 = 0.5;

impl Pose {
    /// The pose at the size at which the longer visible side of the emoji is `longer` pixels.
    pub(super) fn fitted(self, emoji: &Emoji, longer: f32) -> Self {
        // The mirror image turned one way is as long as the original turned the other way.
        let turn = if self.mirrored { -self.turn } else { self.turn };
        let seen = emoji.longer_side(cosine(turn), sine(turn));
        Self {
            size: (longer / seen).max(1.0),
            ..self
        }
    }
}

impl Sprite {
    /// Draws an emoji in a pose.
    pub(super) fn new(emoji: &Emoji, pose: &Pose) -> Self {
        let sampler = Sampler::new(emoji, pose);
        let reach = sampler.reach();
        let canvas = Extent {
            left: -reach,
            top: -reach,
            right: reach + 1,
            bottom: reach + 1,
        };
        let mut texels = Vec::with_capacity((canvas.width() * canvas.height()) as usize);
        let mut visible: Option<Extent> = None;
        for y in canvas.top..canvas.bottom {
            for x in canvas.left..canvas.right {
                let texel = sampler.texel(x, y);
                if texel[3] >= VISIBLE {
                    visible = Some(including(visible, x, y));
                }
                texels.push(texel);
            }
        }
        // A snack of about a pixel may cover no pixel by half; its centre is then where it is.
        let visible = visible.unwrap_or_else(|| including(None, 0, 0));
        Self {
            canvas,
            texels,
            visible,
        }
    }

    /// The tight rectangle around the pixels that the snack covers by half or more.
    pub(super) fn visible(&self) -> Extent {
        self.visible
    }

    /// Puts the sprite on a picture with its origin on that pixel; what is outside is cut off.
    pub(super) fn put(&self, image: &mut RgbImage, x: i32, y: i32) {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let rows = self.texels.chunks_exact(self.canvas.width() as usize);
        for (row, texels) in (self.canvas.top + y..).zip(rows) {
            for (column, texel) in (self.canvas.left + x..).zip(texels) {
                let inside = (0..height).contains(&row) && (0..width).contains(&column);
                if inside && (texel[3] > 0.0 || texel[4] > 0.0) {
                    blend(image.get_pixel_mut(column as u32, row as u32), texel);
                }
            }
        }
    }
}

fn blend(pixel: &mut Rgb<u8>, texel: &[f32; 5]) {
    let behind = (1.0 - texel[4]) * (1.0 - texel[3]);
    for (channel, colour) in pixel.0.iter_mut().zip(texel) {
        let mixed = colour * 255.0 + f32::from(*channel) * behind;
        *channel = (mixed + 0.5) as u8;
    }
}

fn including(extent: Option<Extent>, x: i32, y: i32) -> Extent {
    let pixel = Extent {
        left: x,
        top: y,
        right: x + 1,
        bottom: y + 1,
    };
    extent.map_or(pixel, |e| Extent {
        left: e.left.min(pixel.left),
        top: e.top.min(pixel.top),
        right: e.right.max(pixel.right),
        bottom: e.bottom.max(pixel.bottom),
    })
}

/// Looks an emoji up for the pixels of a turned and sized copy.
struct Sampler<'a> {
    emoji: &'a Emoji,
    pose: &'a Pose,
    cosine: f32,
    sine: f32,
    /// Places looked up on each side of a pixel, so that a smaller copy averages all that it covers.
    places: i32,
}

impl<'a> Sampler<'a> {
    fn new(emoji: &'a Emoji, pose: &'a Pose) -> Self {
        Self {
            emoji,
            pose,
            cosine: cosine(pose.turn),
            sine: sine(pose.turn),
            places: (SIDE as f32 / pose.size).ceil().clamp(1.0, 8.0) as i32,
        }
    }

    /// Pixels from the centre that hold the emoji and its shadow at this turn.
    fn reach(&self) -> i32 {
        let half_square = 0.5 * (self.cosine.abs() + self.sine.abs());
        let shadow = self.pose.shadow.map_or(0.0, |Shadow { shift, .. }| {
            shadow::REACH * 1.5 + shift.0.abs().max(shift.1.abs())
        });
        ((half_square + shadow) * self.pose.size).ceil() as i32 + 1
    }

    fn texel(&self, x: i32, y: i32) -> [f32; 5] {
        let mut sum = [0.0; 4];
        for down in 0..self.places {
            for across in 0..self.places {
                let place =
                    |pixel: i32, step: i32| pixel as f32 + (step as f32 + 0.5) / self.places as f32;
                let (u, v) = self.unposed(place(x, across), place(y, down));
                let sample = self.emoji.at(u, v).unwrap_or_default();
                for (total, channel) in sum.iter_mut().zip(sample) {
                    *total += channel;
                }
            }
        }
        let share = 1.0 / (self.places * self.places) as f32;
        let [red, green, blue, alpha] = sum.map(|total| total * share);
        let shadow = if alpha < 1.0 { self.shadow(x, y) } else { 0.0 };
        [red, green, blue, alpha, shadow]
    }

    fn shadow(&self, x: i32, y: i32) -> f32 {
        let Some(shadow) = self.pose.shadow else {
            return 0.0;
        };
        let moved = |pixel: i32, shift: f32| pixel as f32 + 0.5 - shift * self.pose.size;
        let (u, v) = self.unposed(moved(x, shadow.shift.0), moved(y, shadow.shift.1));
        shadow.strength * self.emoji.shadow.at(u, v)
    }

    /// From pixels around the centre to the emoji's own square, `0..1` each way.
    fn unposed(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.pose.offset.0, y - self.pose.offset.1);
        let across = (x * self.cosine + y * self.sine) / self.pose.size;
        let down = (y * self.cosine - x * self.sine) / self.pose.size;
        let across = if self.pose.mirrored { -across } else { across };
        (across + 0.5, down + 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::super::emoji::emoji;
    use super::*;

    const PLAIN: Pose = Pose {
        size: 100.0,
        turn: 0.0,
        mirrored: false,
        offset: (0.0, 0.0),
        shadow: None,
    };

    fn on_white(pose: &Pose, snack: usize) -> RgbImage {
        let mut image = RgbImage::from_pixel(160, 160, Rgb([255; 3]));
        Sprite::new(emoji(snack), pose).put(&mut image, 80, 80);
        image
    }

    #[test]
    fn the_visible_extent_is_tight() {
        for snack in 0..20 {
            let pose = Pose {
                turn: 0.05,
                offset: (0.3, 0.7),
                ..PLAIN
            };
            let sprite = Sprite::new(emoji(snack), &pose);
            let covered = |x: i32, y: i32| {
                let row = (y - sprite.canvas.top) * sprite.canvas.width();
                sprite.texels[(row + x - sprite.canvas.left) as usize][3] >= 0.5
            };
            let rows = sprite.canvas.top..sprite.canvas.bottom;
            let columns = sprite.canvas.left..sprite.canvas.right;
            let row_seen = |y: &i32| columns.clone().any(|x| covered(x, *y));
            let column_seen = |x: &i32| rows.clone().any(|y| covered(*x, y));
            let visible = sprite.visible();
            assert_eq!(rows.clone().find(row_seen), Some(visible.top));
            assert_eq!(rows.clone().rfind(row_seen), Some(visible.bottom - 1));
            assert_eq!(columns.clone().find(column_seen), Some(visible.left));
            assert_eq!(columns.clone().rfind(column_seen), Some(visible.right - 1));
        }
    }

    #[test]
    fn a_mirrored_snack_is_the_mirror_image() {
        let mirrored = Pose {
            mirrored: true,
            ..PLAIN
        };
        let flipped = image::imageops::flip_horizontal(&on_white(&mirrored, 1));
        let plain = on_white(&PLAIN, 1);
        assert_ne!(plain, on_white(&mirrored, 1));
        for (a, b) in plain.as_raw().iter().zip(flipped.as_raw()) {
            assert!(a.abs_diff(*b) <= 1);
        }
    }

    #[test]
    fn a_quarter_turn_turns_the_picture() {
        let turned = Pose {
            turn: 0.25,
            ..PLAIN
        };
        let expected = image::imageops::rotate90(&on_white(&PLAIN, 4));
        for (a, b) in on_white(&turned, 4).as_raw().iter().zip(expected.as_raw()) {
            assert!(a.abs_diff(*b) <= 1);
        }
    }

    #[test]
    fn a_shadow_darkens_around_the_snack_and_leaves_it_as_it_is() {
        let shaded = Pose {
            shadow: Some(Shadow {
                shift: (0.1, 0.1),
                strength: 0.5,
            }),
            ..PLAIN
        };
        let (plain, shaded) = (on_white(&PLAIN, 6), on_white(&shaded, 6));
        assert_eq!(plain.get_pixel(80, 36), shaded.get_pixel(80, 36));
        assert!(shaded.get_pixel(120, 120)[0] < plain.get_pixel(120, 120)[0]);
        assert_eq!(shaded.get_pixel(2, 2), &Rgb([255; 3]));
    }

    #[test]
    fn sizes_from_a_pixel_up_and_places_off_the_picture_are_fine() {
        let mut image = RgbImage::new(8, 8);
        for size in [1.0, 2.0, 20.0] {
            let sprite = Sprite::new(emoji(2), &Pose { size, ..PLAIN });
            assert!(sprite.visible().width() >= 1);
            for place in [-500, -3, 4, 9, 500] {
                sprite.put(&mut image, place, place);
            }
        }
    }
}
