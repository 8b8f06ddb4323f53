//! A picture without a snack: a pattern, a few plain shapes on it, and what light and camera add.
//!
//! In goes a roll of the rng, out comes a picture. Shapes are plain so that a model learns that colour
//! and roundness alone make no snack.

use image::RgbImage;

use super::colour::{Colour, Palette};
use super::dice::{Rng, cosine, sine};
use super::noise::noise_at;
use super::pattern;

/// Draws a pattern with shapes.
pub(super) fn draw(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let pattern = pattern::any(rng);
    let light = Light::new(rng);
    let unit = 1.0 / width.min(height) as f32;
    let mut image = RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = ((x as f32 + 0.5) * unit, (y as f32 + 0.5) * unit);
        pattern(u, v).times(light.at(u, v)).to_pixel()
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

/// Light from one side.
struct Light {
    across: f32,
    down: f32,
}

impl Light {
    fn new(rng: &mut Rng) -> Self {
        let (turn, strength) = (rng.unit(), rng.between(0.0, 0.35));
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
    kind: Kind,
    x: f32,
    y: f32,
    /// Half its length.
    reach: f32,
    /// Half its width as a share of its length.
    slimness: f32,
    cosine: f32,
    sine: f32,
    colour: Colour,
    opacity: f32,
    /// How far its edge is smeared, as a share of its length.
    softness: f32,
}

#[derive(Clone, Copy)]
enum Kind {
    Ellipse,
    Ring,
    Rectangle,
    Triangle,
}

impl Shape {
    fn new(rng: &mut Rng, palette: &Palette, width: f32, height: f32) -> Self {
        let kinds = [Kind::Ellipse, Kind::Ring, Kind::Rectangle, Kind::Triangle];
        let turn = rng.unit();
        let slim = rng.chance(0.25);
        Self {
            kind: kinds[rng.below(4) as usize],
            x: rng.between(0.0, width),
            y: rng.between(0.0, height),
            reach: rng.between(0.04, 0.28),
            slimness: if slim {
                rng.between(0.05, 0.2)
            } else {
                rng.between(0.5, 1.0)
            },
            cosine: cosine(turn),
            sine: sine(turn),
            colour: palette.any(rng),
            opacity: rng.between(0.4, 1.0),
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
                    let below = Colour(pixel.0.map(|channel| f32::from(channel) / 255.0));
                    *pixel = below.mix(self.colour, share).to_pixel();
                }
            }
        }
    }

    /// About how far a place is outside of the shape, in its half lengths; negative inside.
    fn distance(&self, u: f32, v: f32) -> f32 {
        let x = (u * self.cosine + v * self.sine) / self.reach;
        let y = (v * self.cosine - u * self.sine) / self.reach;
        let slim = self.slimness;
        match self.kind {
            Kind::Ellipse => ((x * x + y * y / (slim * slim)).sqrt() - 1.0) * slim,
            Kind::Ring => ((x * x + y * y).sqrt() - 0.8).abs() - 0.2 * slim,
            Kind::Rectangle => (x.abs() - 1.0).max(y.abs() - slim),
            Kind::Triangle => (-y - 0.5).max(0.866 * x.abs() + 0.5 * y - 0.5),
        }
    }
}

/// What a camera adds: a tint, more or less light, grain.
pub(super) fn photograph(rng: &mut Rng, image: &mut RgbImage) {
    let exposure = rng.between(0.8, 1.15);
    let warmth = rng.between(-0.06, 0.06);
    let gains = [
        exposure * (1.0 + warmth),
        exposure,
        exposure * (1.0 - warmth),
    ];
    let grain = if rng.chance(0.5) {
        rng.between(2.0, 16.0)
    } else {
        0.0
    };
    let seed = rng.word();
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let speck = (noise_at(x as i32, y as i32, seed) - 0.5) * grain;
        for (channel, gain) in pixel.0.iter_mut().zip(gains) {
            *channel = (f32::from(*channel) * gain + speck + 0.5) as u8;
        }
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
    fn backdrops_are_bright_dark_plain_and_busy() {
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
    fn a_picture_of_one_pixel_has_a_backdrop() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed, 0);
            let mut image = draw(&mut rng, 1, 1);
            photograph(&mut rng, &mut image);
            assert_eq!(image.dimensions(), (1, 1));
        }
    }

    #[test]
    fn a_shape_covers_its_middle_or_is_a_ring_around_it() {
        let palette = Palette::new(&mut Rng::new(1, 0));
        for seed in 0..100 {
            let shape = Shape::new(&mut Rng::new(seed, 0), &palette, 1.0, 1.0);
            let inside = shape.distance(0.0, 0.0) < 0.0;
            assert_ne!(inside, matches!(shape.kind, Kind::Ring));
            assert!(shape.distance(1.0, 1.0) > 0.0);
        }
    }
}
