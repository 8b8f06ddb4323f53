//! What backgrounds are made of: walls, cloths, boards, lights.
//!
//! In goes a roll of the rng, out comes a [`Pattern`]: a colour for every place. A place is measured in
//! shorter sides of the picture from its top left corner, so that a pattern looks the same at any size.

use super::colour::{Colour, Palette};
use super::dice::{Rng, cosine, sine};
use super::noise::{fraction, hills, noise_at, rough, step};

/// A colour for every place.
pub(super) type Pattern = Box<dyn Fn(f32, f32) -> Colour>;

/// A kind of pattern: rolls the rng for one of it.
type Kind = fn(&mut Rng) -> Pattern;

/// A pattern of any kind, a table with a wall behind it among them.
pub(super) fn any(rng: &mut Rng) -> Pattern {
    if rng.chance(0.2) {
        table_and_wall(rng)
    } else {
        surface(rng)
    }
}

/// A pattern that fills all it is given.
fn surface(rng: &mut Rng) -> Pattern {
    let kinds: [Kind; 11] = [
        gradient, gradient, glow, stripes, checks, dots, bokeh, wood, tiles, plaster, clouds,
    ];
    kinds[rng.below(kinds.len() as u32) as usize](rng)
}

/// How far along a direction a place is.
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

    /// The place, turned so that the first number runs along the direction.
    fn turned(&self, u: f32, v: f32) -> (f32, f32) {
        (
            u * self.cosine + v * self.sine,
            v * self.cosine - u * self.sine,
        )
    }
}

fn gradient(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let axis = Axis::new(rng.unit());
    let (start, length) = (rng.between(-0.6, 0.2), rng.between(0.8, 1.8));
    Box::new(move |u, v| {
        let along = axis.turned(u - 0.5, v - 0.5).0;
        let share = ((along - start) / length).clamp(0.0, 1.0);
        palette.base.mix(palette.second, share)
    })
}

fn glow(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let (x, y) = (rng.between(0.1, 1.2), rng.between(0.1, 0.9));
    let reach = rng.between(0.5, 1.3);
    Box::new(move |u, v| {
        let (across, down) = (u - x, v - y);
        let distance = (across * across + down * down).sqrt() / reach;
        let share = step(distance, 0.5, 0.5);
        palette.base.mix(palette.second, share)
    })
}

fn stripes(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let axis = Axis::new(rng.unit());
    let period = rng.between(0.06, 0.4);
    let share = rng.between(0.25, 0.75);
    let softness = if rng.chance(0.3) { 0.2 } else { 0.015 };
    let thin = rng.chance(0.4);
    Box::new(move |u, v| {
        let phase = fraction(axis.turned(u, v).0 / period);
        let band = step(phase, 0.02, softness) - step(phase, share, softness);
        let colour = palette.second.mix(palette.base, band.clamp(0.0, 1.0));
        let line = step(0.04, (phase - share - 0.1).abs(), 0.01);
        if thin {
            colour.mix(palette.accent, line)
        } else {
            colour
        }
    })
}

/// A chessboard, or the cloth whose threads cross in half tones.
fn checks(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let turn = if rng.chance(0.5) {
        0.0
    } else {
        rng.between(-0.12, 0.12)
    };
    let axis = Axis::new(turn);
    let period = rng.between(0.1, 0.35);
    let cloth = rng.chance(0.5);
    Box::new(move |u, v| {
        let (x, y) = axis.turned(u, v);
        let band = |w: f32| {
            let phase = fraction(w / period);
            step(phase, 0.02, 0.02) - step(phase, 0.52, 0.02)
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
    let axis = Axis::new(rng.between(-0.1, 0.1));
    let period = rng.between(0.08, 0.3);
    let radius = rng.between(0.15, 0.38);
    let ink = if rng.chance(0.5) {
        palette.accent
    } else {
        palette.second
    };
    Box::new(move |u, v| {
        let (x, y) = axis.turned(u / period, v / period);
        // Every other row is shifted by half a dot.
        let x = x + 0.5 * (fraction(y.floor() * 0.5) * 2.0);
        let (across, down) = (fraction(x) - 0.5, fraction(y) - 0.5);
        let distance = (across * across + down * down).sqrt();
        palette.base.mix(ink, step(radius, distance, 0.03))
    })
}

/// Lights out of focus.
fn bokeh(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let ground = palette.base.times(0.6);
    let count = 8 + rng.below(14);
    let lights: Vec<_> = (0..count)
        .map(|_| Light {
            x: rng.between(-0.1, 1.9),
            y: rng.between(-0.1, 1.1),
            radius: rng.between(0.04, 0.22),
            strength: rng.between(0.15, 0.6),
            colour: palette.any(rng),
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
            // A disc of glass is a little brighter towards its rim.
            let disc = step(1.0, distance, 0.12) * (0.8 + 0.2 * distance * distance);
            below.mix(light.colour, light.strength * disc)
        })
    })
}

struct Light {
    x: f32,
    y: f32,
    radius: f32,
    strength: f32,
    colour: Colour,
}

/// Boards side by side, each with its own shade and grain.
fn wood(rng: &mut Rng) -> Pattern {
    let tone = Colour::hsv(
        rng.between(0.055, 0.11),
        rng.between(0.25, 0.65),
        rng.between(0.4, 0.92),
    );
    let seed = rng.word();
    let axis = Axis::new([0.0, 0.25, 0.02, 0.23][rng.below(4) as usize]);
    let board = rng.between(0.12, 0.4);
    let stretch = rng.between(5.0, 10.0);
    Box::new(move |u, v| {
        let (along, across) = axis.turned(u, v);
        let number = (across / board).floor();
        let shade = 0.85 + 0.3 * noise_at(number as i32, 17, seed);
        // Boards are cut at other places of the tree, so their grain doesn't go on.
        let far = number * 31.7;
        let bend = hills(along * 1.3 + far, across * 2.0, seed) * 0.12;
        let rings = rough(along * 0.9 + far, (across + bend) * stretch * 3.0, seed, 3);
        let fibre = hills(along * 4.0 + far, across * 130.0, seed ^ 5);
        let seam = step((fraction(across / board) - 0.5).abs(), 0.485, 0.008);
        let grain = 0.72 + 0.4 * rings + 0.1 * (fibre - 0.5);
        tone.times(shade * grain * (1.0 - 0.6 * seam))
    })
}

fn tiles(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.word();
    let (width, height) = (rng.between(0.15, 0.5), rng.between(0.12, 0.3));
    let bond = if rng.chance(0.6) { 0.5 } else { 0.0 };
    let joint = rng.between(0.006, 0.014);
    let grout = palette.base.mix(Colour([0.8; 3]), 0.7);
    let unevenness = rng.between(0.02, 0.2);
    Box::new(move |u, v| {
        let row = (v / height).floor();
        let x = u / width + bond * row;
        let shade = 1.0 + unevenness * (noise_at(x.floor() as i32, row as i32, seed) - 0.5);
        let to_edge = |phase: f32, size: f32| (0.5 - (phase - 0.5).abs()) * size;
        let edge = to_edge(fraction(x), width).min(to_edge(fraction(v / height), height));
        let glaze = 1.0 + 0.06 * (0.5 - fraction(v / height));
        grout.mix(palette.base.times(shade * glaze), step(edge, joint, 0.003))
    })
}

/// A wall with a rough skin.
fn plaster(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.word();
    let (scale, depth) = (rng.between(6.0, 40.0), rng.between(0.06, 0.25));
    Box::new(move |u, v| {
        let skin = rough(u * scale, v * scale, seed, 3) - 0.5;
        let stain = hills(u * 2.0, v * 2.0, seed ^ 9);
        palette
            .base
            .mix(palette.second, stain * 0.35)
            .times(1.0 + depth * 2.0 * skin)
    })
}

fn clouds(rng: &mut Rng) -> Pattern {
    let palette = Palette::new(rng);
    let seed = rng.word();
    let scale = rng.between(1.5, 5.0);
    let veined = rng.chance(0.4);
    Box::new(move |u, v| {
        let height = rough(u * scale, v * scale, seed, 4);
        if veined {
            // Where the noise passes its middle there is a vein, as in marble.
            let vein = step(0.05, (height - 0.5).abs(), 0.05);
            palette.base.mix(palette.second, 0.3 * height + 0.6 * vein)
        } else {
            palette.base.mix(palette.second, step(height, 0.5, 0.3))
        }
    })
}

/// Something to stand on in front of something.
fn table_and_wall(rng: &mut Rng) -> Pattern {
    let wall = surface(rng);
    let table = if rng.chance(0.5) {
        wood(rng)
    } else {
        surface(rng)
    };
    let horizon = rng.between(0.3, 0.75);
    let slope = rng.between(-0.05, 0.05);
    Box::new(move |u, v| {
        let edge = horizon + slope * u;
        if v < edge {
            // The wall lies in the shade of nothing but its own corner.
            wall(u, v).times(1.0 - 0.3 * step(v, edge, 0.12))
        } else {
            // Rows of the table come closer together towards the wall.
            let depth = (v - edge) / (1.0 - horizon + 0.2);
            table(u, edge + depth * (0.6 + 0.4 * depth))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_finite_colours_that_vary() {
        let kinds: [(&str, Kind); 11] = [
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
            let mut colours = Vec::new();
            for step in 0..4000 {
                let place = step as f32 / 4000.0;
                let Colour(channels) = pattern(place * 1.33, fraction(place * 63.0));
                assert!(channels.iter().all(|c| (-1.0..2.0).contains(c)), "{name}");
                colours.push(Colour(channels).to_pixel().0);
            }
            colours.sort_unstable();
            colours.dedup();
            assert!(colours.len() > 4, "{name} is a blank");
        }
    }
}
