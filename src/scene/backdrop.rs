//! Backdrops: a pattern with plain shapes on it, lit from one side, as a camera would see it.
//!
//! The shapes are plain so that a model learns that color and roundness alone are not a snack.

use image::RgbImage;

use super::rng::{Rng, cosine, fractal_noise, fraction, noise_at, sine, smooth_step, value_noise};

/// Draws a backdrop.
pub(super) fn draw(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let pattern = random_pattern(rng);
    let lighting = Lighting::new(rng);
    let unit = 1.0 / width.min(height) as f32;
    let mut image = RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = ((x as f32 + 0.5) * unit, (y as f32 + 0.5) * unit);
        pattern(u, v).times(lighting.at(u, v)).to_pixel()
    });
    let palette = Palette::new(rng);
    let shapes = if rng.chance(0.45) {
        0
    } else {
        1 + rng.below(6)
    };
    for _ in 0..shapes {
        Shape::new(rng, &palette, width as f32 * unit, height as f32 * unit).draw(&mut image);
    }
    image
}

/// Brightness that increases towards one side.
struct Lighting {
    across: f32,
    down: f32,
}

impl Lighting {
    fn new(rng: &mut Rng) -> Self {
        let (turn, strength) = (rng.unit(), rng.range(0.0, 0.35));
        Self {
            across: cosine(turn) * strength,
            down: sine(turn) * strength,
        }
    }

    fn at(&self, u: f32, v: f32) -> f32 {
        1.0 + self.across * (u - 0.6) + self.down * (v - 0.5)
    }
}

/// A plain shape.
struct Shape {
    kind: ShapeKind,
    x: f32,
    y: f32,
    /// Half the length.
    reach: f32,
    /// Width in parts of the length.
    slimness: f32,
    cosine: f32,
    sine: f32,
    color: Color,
    opacity: f32,
    /// Width of the blurred edge, in parts of the length.
    softness: f32,
}

#[derive(Clone, Copy)]
enum ShapeKind {
    Ellipse,
    Ring,
    Rectangle,
    Triangle,
}

impl Shape {
    fn new(rng: &mut Rng, palette: &Palette, width: f32, height: f32) -> Self {
        let kinds = [
            ShapeKind::Ellipse,
            ShapeKind::Ring,
            ShapeKind::Rectangle,
            ShapeKind::Triangle,
        ];
        let turn = rng.unit();
        let slim = rng.chance(0.25);
        Self {
            kind: kinds[rng.below(4) as usize],
            x: rng.range(0.0, width),
            y: rng.range(0.0, height),
            reach: rng.range(0.04, 0.28),
            slimness: if slim {
                rng.range(0.05, 0.2)
            } else {
                rng.range(0.5, 1.0)
            },
            cosine: cosine(turn),
            sine: sine(turn),
            color: palette.random(rng),
            opacity: rng.range(0.4, 1.0),
            softness: if rng.chance(0.3) { 0.3 } else { 0.0 },
        }
    }

    fn draw(&self, image: &mut RgbImage) {
        let scale = image.width().min(image.height()) as f32;
        let reach = self.reach * (1.5 + self.softness) + 2.0 / scale;
        let span = |centre: f32, size: u32| {
            let first = ((centre - reach) * scale).floor().clamp(0.0, size as f32) as u32;
            let end = ((centre + reach) * scale).ceil().clamp(0.0, size as f32) as u32;
            first..end
        };
        let edge = self.softness.max(1.0 / (scale * self.reach));
        for y in span(self.y, image.height()) {
            for x in span(self.x, image.width()) {
                let (u, v) = ((x as f32 + 0.5) / scale, (y as f32 + 0.5) / scale);
                let inside = 0.5 - self.distance(u - self.x, v - self.y) / edge;
                let share = inside.clamp(0.0, 1.0) * self.opacity;
                if share > 0.0 {
                    let pixel = image.get_pixel_mut(x, y);
                    let below = Color(pixel.0.map(|channel| f32::from(channel) / 255.0));
                    *pixel = below.mix(self.color, share).to_pixel();
                }
            }
        }
    }

    /// Approximate distance of a position from the edge, in half lengths; negative inside.
    fn distance(&self, u: f32, v: f32) -> f32 {
        let x = (u * self.cosine + v * self.sine) / self.reach;
        let y = (v * self.cosine - u * self.sine) / self.reach;
        let slim = self.slimness;
        match self.kind {
            ShapeKind::Ellipse => ((x * x + y * y / (slim * slim)).sqrt() - 1.0) * slim,
            ShapeKind::Ring => ((x * x + y * y).sqrt() - 0.8).abs() - 0.2 * slim,
            ShapeKind::Rectangle => (x.abs() - 1.0).max(y.abs() - slim),
            ShapeKind::Triangle => (-y - 0.5).max(0.866 * x.abs() + 0.5 * y - 0.5),
        }
    }
}

/// Adds what a camera adds: exposure, white balance and noise.
pub(super) fn add_camera_effects(rng: &mut Rng, image: &mut RgbImage) {
    let exposure = rng.range(0.8, 1.15);
    let white_balance = rng.range(-0.06, 0.06);
    let gains = [
        exposure * (1.0 + white_balance),
        exposure,
        exposure * (1.0 - white_balance),
    ];
    let grain = if rng.chance(0.5) {
        rng.range(2.0, 16.0)
    } else {
        0.0
    };
    let seed = rng.bits();
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let speck = (noise_at(x as i32, y as i32, seed) - 0.5) * grain;
        for (channel, gain) in pixel.0.iter_mut().zip(gains) {
            *channel = (f32::from(*channel) * gain + speck + 0.5) as u8;
        }
    }
}

/// A color for every position, in shorter sides of the picture from its top left corner: a pattern is independent of the
/// size of the picture.
type Pattern = Box<dyn Fn(f32, f32) -> Color>;

/// Makes a random pattern of one kind.
type PatternKind = fn(&mut Rng) -> Pattern;

/// A pattern of any kind, or a table with a wall behind it.
fn random_pattern(rng: &mut Rng) -> Pattern {
    if rng.chance(0.2) {
        table_and_wall(rng)
    } else {
        surface(rng)
    }
}

fn surface(rng: &mut Rng) -> Pattern {
    let kinds: [PatternKind; 11] = [
        gradient, gradient, glow, stripes, checks, dots, bokeh, wood, tiles, plaster, clouds,
    ];
    kinds[rng.below(kinds.len() as u32) as usize](rng)
}

/// A direction.
struct Axis {
    cosine: f32,
    sine: f32,
}

impl Axis {
    fn new(turn: f32) -> Self {
        Self {
            cosine: cosine(turn),
            sine: sine(turn),
        }
    }

    /// Coordinates along the direction and across it.
    fn rotate(&self, u: f32, v: f32) -> (f32, f32) {
        (
            u * self.cosine + v * self.sine,
            v * self.cosine - u * self.sine,
        )
    }
}

fn gradient(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let axis = Axis::new(rng.unit());
    let (start, length) = (rng.range(-0.6, 0.2), rng.range(0.8, 1.8));
    Box::new(move |u, v| {
        let along = axis.rotate(u - 0.5, v - 0.5).0;
        let share = ((along - start) / length).clamp(0.0, 1.0);
        palette.base.mix(palette.second, share)
    })
}

fn glow(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let (x, y) = (rng.range(0.1, 1.2), rng.range(0.1, 0.9));
    let reach = rng.range(0.5, 1.3);
    Box::new(move |u, v| {
        let (across, down) = (u - x, v - y);
        let distance = (across * across + down * down).sqrt() / reach;
        let share = smooth_step(distance, 0.5, 0.5);
        palette.base.mix(palette.second, share)
    })
}

fn stripes(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let axis = Axis::new(rng.unit());
    let period = rng.range(0.06, 0.4);
    let share = rng.range(0.25, 0.75);
    let softness = if rng.chance(0.3) { 0.2 } else { 0.015 };
    let thin = rng.chance(0.4);
    Box::new(move |u, v| {
        let phase = fraction(axis.rotate(u, v).0 / period);
        let band = smooth_step(phase, 0.02, softness) - smooth_step(phase, share, softness);
        let color = palette.second.mix(palette.base, band.clamp(0.0, 1.0));
        let line = smooth_step(0.04, (phase - share - 0.1).abs(), 0.01);
        if thin {
            color.mix(palette.accent, line)
        } else {
            color
        }
    })
}

/// A chessboard, or gingham.
fn checks(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let turn = if rng.chance(0.5) {
        0.0
    } else {
        rng.range(-0.12, 0.12)
    };
    let axis = Axis::new(turn);
    let period = rng.range(0.1, 0.35);
    let cloth = rng.chance(0.5);
    Box::new(move |u, v| {
        let (x, y) = axis.rotate(u, v);
        let band = |w: f32| {
            let phase = fraction(w / period);
            smooth_step(phase, 0.02, 0.02) - smooth_step(phase, 0.52, 0.02)
        };
        let (across, down) = (band(x), band(y));
        let share = if cloth {
            (across + down) / 2.0
        } else {
            across + down - 2.0 * across * down
        };
        palette.base.mix(palette.second, share)
    })
}

fn dots(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let axis = Axis::new(rng.range(-0.1, 0.1));
    let period = rng.range(0.08, 0.3);
    let radius = rng.range(0.15, 0.38);
    let ink = if rng.chance(0.5) {
        palette.accent
    } else {
        palette.second
    };
    Box::new(move |u, v| {
        let (x, y) = axis.rotate(u / period, v / period);
        // Every other row is shifted by half a period.
        let x = x + 0.5 * (fraction(y.floor() * 0.5) * 2.0);
        let (across, down) = (fraction(x) - 0.5, fraction(y) - 0.5);
        let distance = (across * across + down * down).sqrt();
        palette.base.mix(ink, smooth_step(radius, distance, 0.03))
    })
}

/// Lights that are out of focus.
fn bokeh(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let ground = palette.base.times(0.6);
    let count = 8 + rng.below(14);
    let lights: Vec<_> = (0..count)
        .map(|_| Bokeh {
            x: rng.range(-0.1, 1.9),
            y: rng.range(-0.1, 1.1),
            radius: rng.range(0.04, 0.22),
            strength: rng.range(0.15, 0.6),
            color: palette.random(rng),
        })
        .collect();
    Box::new(move |u, v| {
        lights.iter().fold(ground, |below, light| {
            let (across, down) = (u - light.x, v - light.y);
            let square = across * across + down * down;
            if square > light.radius * light.radius * 1.5 {
                return below;
            }
            let distance = square.sqrt() / light.radius;
            // Such a disc is a little brighter towards its edge.
            let disc = smooth_step(1.0, distance, 0.12) * (0.8 + 0.2 * distance * distance);
            below.mix(light.color, light.strength * disc)
        })
    })
}

struct Bokeh {
    x: f32,
    y: f32,
    radius: f32,
    strength: f32,
    color: Color,
}

/// Boards, each with its own shade and grain.
fn wood(rng: &mut Rng) -> Pattern {
    let tone = Color::hsv(
        rng.range(0.055, 0.11),
        rng.range(0.25, 0.65),
        rng.range(0.4, 0.92),
    );
    let seed = rng.bits();
    let axis = Axis::new([0.0, 0.25, 0.02, 0.23][rng.below(4) as usize]);
    let board = rng.range(0.12, 0.4);
    let stretch = rng.range(5.0, 10.0);
    Box::new(move |u, v| {
        let (along, across) = axis.rotate(u, v);
        let number = (across / board).floor();
        let shade = 0.85 + 0.3 * noise_at(number as i32, 17, seed);
        // Neighbouring boards have unrelated grain.
        let far = number * 31.7;
        let bend = value_noise(along * 1.3 + far, across * 2.0, seed) * 0.12;
        let rings = fractal_noise(along * 0.9 + far, (across + bend) * stretch * 3.0, seed, 3);
        let fibre = value_noise(along * 4.0 + far, across * 130.0, seed ^ 5);
        let seam = smooth_step((fraction(across / board) - 0.5).abs(), 0.485, 0.008);
        let grain = 0.72 + 0.4 * rings + 0.1 * (fibre - 0.5);
        tone.times(shade * grain * (1.0 - 0.6 * seam))
    })
}

fn tiles(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.bits();
    let (width, height) = (rng.range(0.15, 0.5), rng.range(0.12, 0.3));
    let bond = if rng.chance(0.6) { 0.5 } else { 0.0 };
    let joint = rng.range(0.006, 0.014);
    let grout = palette.base.mix(Color([0.8; 3]), 0.7);
    let unevenness = rng.range(0.02, 0.2);
    Box::new(move |u, v| {
        let row = (v / height).floor();
        let x = u / width + bond * row;
        let shade = 1.0 + unevenness * (noise_at(x.floor() as i32, row as i32, seed) - 0.5);
        let to_edge = |phase: f32, size: f32| (0.5 - (phase - 0.5).abs()) * size;
        let edge = to_edge(fraction(x), width).min(to_edge(fraction(v / height), height));
        let glaze = 1.0 + 0.06 * (0.5 - fraction(v / height));
        grout.mix(
            palette.base.times(shade * glaze),
            smooth_step(edge, joint, 0.003),
        )
    })
}

/// A rough wall.
fn plaster(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.bits();
    let (scale, depth) = (rng.range(6.0, 40.0), rng.range(0.06, 0.25));
    Box::new(move |u, v| {
        let roughness = fractal_noise(u * scale, v * scale, seed, 3) - 0.5;
        let stain = value_noise(u * 2.0, v * 2.0, seed ^ 9);
        palette
            .base
            .mix(palette.second, stain * 0.35)
            .times(1.0 + depth * 2.0 * roughness)
    })
}

fn clouds(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.bits();
    let scale = rng.range(1.5, 5.0);
    let veined = rng.chance(0.4);
    Box::new(move |u, v| {
        let height = fractal_noise(u * scale, v * scale, seed, 4);
        if veined {
            // Veins, as in marble, where the noise is near its mean.
            let vein = smooth_step(0.05, (height - 0.5).abs(), 0.05);
            palette.base.mix(palette.second, 0.3 * height + 0.6 * vein)
        } else {
            palette
                .base
                .mix(palette.second, smooth_step(height, 0.5, 0.3))
        }
    })
}

/// A surface in front of another.
fn table_and_wall(rng: &mut Rng) -> Pattern {
    let wall = surface(rng);
    let table = if rng.chance(0.5) {
        wood(rng)
    } else {
        surface(rng)
    };
    let horizon = rng.range(0.3, 0.75);
    let slope = rng.range(-0.05, 0.05);
    Box::new(move |u, v| {
        let edge = horizon + slope * u;
        if v < edge {
            // The wall gets darker towards the table.
            wall(u, v).times(1.0 - 0.3 * smooth_step(v, edge, 0.12))
        } else {
            // The pattern of the table is compressed towards the wall.
            let depth = (v - edge) / (1.0 - horizon + 0.2);
            table(u, edge + depth * (0.6 + 0.4 * depth))
        }
    })
}

/// Red, green and blue in `0..=1`; values outside are clamped when a pixel is written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Color([f32; 3]);

impl Color {
    /// From hue in turns from red, saturation and value.
    fn hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |shift: f32| {
            let sixth = (hue + shift - (hue + shift).floor()) * 6.0;
            let strength = (sixth.min(4.0 - sixth)).clamp(0.0, 1.0);
            value - value * saturation * strength
        };
        Self([channel(5.0 / 6.0), channel(3.0 / 6.0), channel(1.0 / 6.0)])
    }

    /// Linear interpolation to another color.
    fn mix(self, other: Self, t: f32) -> Self {
        let mut mixed = self.0;
        for (channel, target) in mixed.iter_mut().zip(other.0) {
            *channel += (target - *channel) * t;
        }
        Self(mixed)
    }

    /// Darker for a factor below 1, brighter above.
    fn times(self, factor: f32) -> Self {
        Self(self.0.map(|channel| channel * factor))
    }

    fn to_pixel(self) -> image::Rgb<u8> {
        // A cast from f32 to u8 saturates.
        image::Rgb(self.0.map(|channel| (channel * 255.0 + 0.5) as u8))
    }
}

/// Three matching colors.
#[derive(Debug, Clone, Copy)]
struct Palette {
    /// The color of most of the picture.
    base: Color,
    /// Similar to the base.
    second: Color,
    /// In contrast to both.
    accent: Color,
}

impl Palette {
    /// A random palette, muted or saturated, light or dark.
    fn new(rng: &mut Rng) -> Self {
        let hue = rng.unit();
        let saturation = rng.range(0.05, 0.75);
        let value = rng.range(0.25, 0.97);
        let neighbour = hue + rng.range(-0.12, 0.12);
        let second_value = if value > 0.6 {
            value - rng.range(0.08, 0.35)
        } else {
            value + rng.range(0.08, 0.35)
        };
        let across = hue + rng.range(0.35, 0.65);
        Self {
            base: Color::hsv(hue, saturation, value),
            second: Color::hsv(neighbour, saturation * rng.range(0.6, 1.2), second_value),
            accent: Color::hsv(across, rng.range(0.2, 0.8), rng.range(0.4, 1.0)),
        }
    }

    fn random(&self, rng: &mut Rng) -> Color {
        [self.base, self.second, self.accent][rng.below(3) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(image: &RgbImage) -> f32 {
        let values: Vec<f32> = image.as_raw().iter().map(|&v| f32::from(v)).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.iter().map(|v| (v - mean).abs()).sum::<f32>() / values.len() as f32
    }

    #[test]
    fn backdrops_vary_in_brightness_and_contrast() {
        let images: Vec<RgbImage> = (0..200)
            .map(|seed| draw(&mut Rng::new(seed, 0), 48, 32))
            .collect();
        let mean = |image: &RgbImage| {
            let sum: u64 = image.as_raw().iter().map(|&v| u64::from(v)).sum();
            sum / image.as_raw().len() as u64
        };
        assert!(images.iter().any(|image| mean(image) > 190));
        assert!(images.iter().any(|image| mean(image) < 70));
        assert!(images.iter().any(|image| spread(image) > 50.0));
        assert!(images.iter().any(|image| spread(image) < 20.0));
    }

    #[test]
    fn one_pixel_is_enough_for_a_backdrop() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed, 0);
            let mut image = draw(&mut rng, 1, 1);
            add_camera_effects(&mut rng, &mut image);
            assert_eq!(image.dimensions(), (1, 1));
        }
    }

    #[test]
    fn a_shape_covers_its_center_unless_it_is_a_ring() {
        let palette = Palette::new(&mut Rng::new(1, 0));
        for seed in 0..100 {
            let shape = Shape::new(&mut Rng::new(seed, 0), &palette, 1.0, 1.0);
            let inside = shape.distance(0.0, 0.0) < 0.0;
            assert_ne!(inside, matches!(shape.kind, ShapeKind::Ring));
            assert!(shape.distance(1.0, 1.0) > 0.0);
        }
    }

    #[test]
    fn every_pattern_has_finite_and_varying_colors() {
        let kinds: [(&str, PatternKind); 11] = [
            ("gradient", gradient),
            ("glow", glow),
            ("stripes", stripes),
            ("checks", checks),
            ("dots", dots),
            ("bokeh", bokeh),
            ("wood", wood),
            ("tiles", tiles),
            ("plaster", plaster),
            ("clouds", clouds),
            ("table", table_and_wall),
        ];
        for (name, kind) in kinds {
            let pattern = kind(&mut Rng::new(11, 0));
            let mut colors = Vec::new();
            for step in 0..4000 {
                let position = step as f32 / 4000.0;
                let Color(channels) = pattern(position * 1.33, fraction(position * 63.0));
                assert!(channels.iter().all(|c| (-1.0..2.0).contains(c)), "{name}");
                colors.push(Color(channels).to_pixel().0);
            }
            colors.sort_unstable();
            colors.dedup();
            assert!(colors.len() > 4, "{name} is uniform");
        }
    }

    #[test]
    fn hues_are_converted() {
        let cases = [
            (0.0, [255, 0, 0]),
            (1.0 / 6.0, [255, 255, 0]),
            (1.0 / 3.0, [0, 255, 0]),
            (0.5, [0, 255, 255]),
            (2.0 / 3.0, [0, 0, 255]),
            (1.0, [255, 0, 0]),
        ];
        for (hue, expected) in cases {
            assert_eq!(Color::hsv(hue, 1.0, 1.0).to_pixel().0, expected, "{hue}");
        }
        assert_eq!(Color::hsv(0.3, 0.0, 0.2).to_pixel().0, [51; 3]);
    }

    #[test]
    fn pixels_are_clamped() {
        assert_eq!(Color([-1.0, 0.5, 7.0]).to_pixel().0, [0, 128, 255]);
    }
}
