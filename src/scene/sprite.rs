//! Sprites: a texture turned, scaled, with a shadow and a tight box around what is visible of it.

use image::{Rgb, RgbImage};

use super::rng::{cosine, sine};
use super::texture::{SHADOW_REACH, Texture};

/// Size, rotation and shadow of a texture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Side of the texture before rotation, in pixels; at least 1.
    pub(super) size: f32,
    /// Rotation in turns, clockwise.
    pub(super) turn: f32,
    pub(super) mirrored: bool,
    /// Subpixel position of the center, `0..1`, to the right and down.
    pub(super) offset: (f32, f32),
    pub(super) shadow: Option<Shadow>,
}

/// A soft shadow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shadow {
    /// Offset to the right and down, in sides of the texture.
    pub(super) shift: (f32, f32),
    /// Opacity, `0..=1`.
    pub(super) strength: f32,
}

/// A rectangle in pixels, relative to the position of the sprite; right and bottom are exclusive.
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

/// A texture drawn in a pose.
pub(super) struct Sprite {
    /// The pixels of `texels`.
    canvas: Extent,
    /// Premultiplied RGBA and the opacity of the shadow, row by row, in `0..=1`.
    texels: Vec<[f32; 5]>,
    /// The pixels that the texture covers by at least half.
    visible: Extent,
}

/// Minimum alpha of a visible pixel.
const MIN_VISIBLE_ALPHA: f32 = 0.5;

impl Pose {
    /// The pose with the size at which the longer visible side is `longer` pixels.
    pub(super) fn fitted(self, texture: &Texture, longer: f32) -> Self {
        // The mirror image has the extent of the original rotated the other way.
        let turn = if self.mirrored { -self.turn } else { self.turn };
        let seen = texture.longer_side(cosine(turn), sine(turn));
        Self {
            size: (longer / seen).max(1.0),
            ..self
        }
    }
}

impl Sprite {
    /// A texture upright, without a shadow, `longer` pixels long.
    #[cfg(test)]
    pub(super) fn upright(texture: &Texture, longer: f32) -> Self {
        let pose = Pose {
            size: longer,
            turn: 0.0,
            mirrored: false,
            offset: (0.0, 0.0),
            shadow: None,
        };
        Self::new(texture, &pose.fitted(texture, longer))
    }

    pub(super) fn new(texture: &Texture, pose: &Pose) -> Self {
        let sampler = Sampler::new(texture, pose);
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
                if texel[3] >= MIN_VISIBLE_ALPHA {
                    visible = Some(including(visible, x, y));
                }
                texels.push(texel);
            }
        }
        // A tiny texture may cover no pixel by half; then the pixel of its center counts.
        let visible = visible.unwrap_or_else(|| including(None, 0, 0));
        Self {
            canvas,
            texels,
            visible,
        }
    }

    /// Whether the texture covers this pixel, relative to the position of the sprite, by at least half.
    pub(super) fn covers(&self, x: i32, y: i32) -> bool {
        let Extent {
            left,
            top,
            right,
            bottom,
        } = self.canvas;
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        let index = || ((y - top) * self.canvas.width() + x - left) as usize;
        inside && self.texels[index()][3] >= MIN_VISIBLE_ALPHA
    }

    /// The pixels that the texture covers by at least half, relative to the position of the sprite.
    pub(super) fn covered(&self) -> impl Iterator<Item = (i32, i32)> {
        let rows = self.visible.top..self.visible.bottom;
        let columns = self.visible.left..self.visible.right;
        let pixels = rows.flat_map(move |y| columns.clone().map(move |x| (x, y)));
        pixels.filter(|(x, y)| self.covers(*x, *y))
    }

    /// The tight rectangle around the visible pixels.
    pub(super) fn visible(&self) -> Extent {
        self.visible
    }

    /// Draws the sprite at a position of a picture; parts outside the picture are clipped.
    pub(super) fn draw(&self, image: &mut RgbImage, x: i32, y: i32) {
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
    for (channel, color) in pixel.0.iter_mut().zip(texel) {
        let mixed = color * 255.0 + f32::from(*channel) * behind;
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

/// Samples a texture for the pixels of a sprite.
struct Sampler<'a> {
    texture: &'a Texture,
    pose: &'a Pose,
    cosine: f32,
    sine: f32,
    /// Samples a pixel in each direction, so that a reduced texture is antialiased.
    samples: i32,
}

impl<'a> Sampler<'a> {
    fn new(texture: &'a Texture, pose: &'a Pose) -> Self {
        Self {
            texture,
            pose,
            cosine: cosine(pose.turn),
            sine: sine(pose.turn),
            samples: (texture.side() as f32 / pose.size).ceil().clamp(1.0, 8.0) as i32,
        }
    }

    /// Pixels from the center to the edge of the texture and its shadow after rotation.
    fn reach(&self) -> i32 {
        let half_square = 0.5 * (self.cosine.abs() + self.sine.abs());
        let shadow = self.pose.shadow.map_or(0.0, |Shadow { shift, .. }| {
            SHADOW_REACH * 1.5 + shift.0.abs().max(shift.1.abs())
        });
        ((half_square + shadow) * self.pose.size).ceil() as i32 + 1
    }

    fn texel(&self, x: i32, y: i32) -> [f32; 5] {
        let mut sum = [0.0; 4];
        for down in 0..self.samples {
            for across in 0..self.samples {
                let position = |pixel: i32, step: i32| {
                    pixel as f32 + (step as f32 + 0.5) / self.samples as f32
                };
                let (u, v) = self.to_texture(position(x, across), position(y, down));
                let sample = self.texture.at(u, v).unwrap_or_default();
                for (total, channel) in sum.iter_mut().zip(sample) {
                    *total += channel;
                }
            }
        }
        let share = 1.0 / (self.samples * self.samples) as f32;
        let [red, green, blue, alpha] = sum.map(|total| total * share);
        let shadow = if alpha < 1.0 { self.shadow(x, y) } else { 0.0 };
        [red, green, blue, alpha, shadow]
    }

    fn shadow(&self, x: i32, y: i32) -> f32 {
        let Some(shadow) = self.pose.shadow else {
            return 0.0;
        };
        let moved = |pixel: i32, shift: f32| pixel as f32 + 0.5 - shift * self.pose.size;
        let (u, v) = self.to_texture(moved(x, shadow.shift.0), moved(y, shadow.shift.1));
        shadow.strength * self.texture.shadow_at(u, v)
    }

    /// From pixels around the center to a position of the texture, `0..1` each way.
    fn to_texture(&self, x: f32, y: f32) -> (f32, f32) {
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
        Sprite::new(emoji(snack), pose).draw(&mut image, 80, 80);
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
    fn a_quarter_turn_rotates_the_picture() {
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
    fn a_shadow_darkens_only_the_background() {
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
    fn tiny_sizes_and_positions_outside_are_accepted() {
        let mut image = RgbImage::new(8, 8);
        for size in [1.0, 2.0, 20.0] {
            let sprite = Sprite::new(emoji(2), &Pose { size, ..PLAIN });
            assert!(sprite.visible().width() >= 1);
            for position in [-500, -3, 4, 9, 500] {
                sprite.draw(&mut image, position, position);
            }
        }
    }
}
