//! Colours of backgrounds, and how they go together.

use super::dice::Rng;

/// Red, green and blue in `0..=1`; arithmetic may leave that range, writing a pixel clamps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colour(pub(super) [f32; 3]);

impl Colour {
    /// A colour by its hue in turns from red, its saturation and its value.
    pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |shift: f32| {
            let sixth = (hue + shift - (hue + shift).floor()) * 6.0;
            let strength = (sixth.min(4.0 - sixth)).clamp(0.0, 1.0);
            value - value * saturation * strength
        };
        Self([channel(5.0 / 6.0), channel(3.0 / 6.0), channel(1.0 / 6.0)])
    }

    /// This colour with a share of another.
    pub(super) fn mix(self, other: Self, share: f32) -> Self {
        let mut mixed = self.0;
        for (channel, target) in mixed.iter_mut().zip(other.0) {
            *channel += (target - *channel) * share;
        }
        Self(mixed)
    }

    /// This colour made darker (below 1) or brighter.
    pub(super) fn times(self, factor: f32) -> Self {
        Self(self.0.map(|channel| channel * factor))
    }

    /// The colour as a pixel.
    pub(super) fn to_pixel(self) -> image::Rgb<u8> {
        // A cast from f32 to u8 saturates, so no clamp is needed.
        image::Rgb(self.0.map(|channel| (channel * 255.0 + 0.5) as u8))
    }
}

/// Three colours that go together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    /// The colour of most of the picture.
    pub(super) base: Colour,
    /// A neighbour of the base.
    pub(super) second: Colour,
    /// A contrast to both.
    pub(super) accent: Colour,
}

impl Palette {
    /// A palette from a roll of the rng: calm or strong, light or dark.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let hue = rng.unit();
        let calm = rng.between(0.05, 0.75);
        let value = rng.between(0.25, 0.97);
        let neighbour = hue + rng.between(-0.12, 0.12);
        let second_value = if value > 0.6 {
            value - rng.between(0.08, 0.35)
        } else {
            value + rng.between(0.08, 0.35)
        };
        let across = hue + rng.between(0.35, 0.65);
        Self {
            base: Colour::hsv(hue, calm, value),
            second: Colour::hsv(neighbour, calm * rng.between(0.6, 1.2), second_value),
            accent: Colour::hsv(across, rng.between(0.2, 0.8), rng.between(0.4, 1.0)),
        }
    }

    /// One of the three.
    pub(super) fn any(&self, rng: &mut Rng) -> Colour {
        [self.base, self.second, self.accent][rng.below(3) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_are_where_they_belong() {
        let cases = [
            (0.0, [255, 0, 0]),
            (1.0 / 6.0, [255, 255, 0]),
            (1.0 / 3.0, [0, 255, 0]),
            (0.5, [0, 255, 255]),
            (2.0 / 3.0, [0, 0, 255]),
            (1.0, [255, 0, 0]),
        ];
        for (hue, expected) in cases {
            assert_eq!(Colour::hsv(hue, 1.0, 1.0).to_pixel().0, expected, "{hue}");
        }
        assert_eq!(Colour::hsv(0.3, 0.0, 0.2).to_pixel().0, [51; 3]);
    }

    #[test]
    fn pixels_are_clamped() {
        assert_eq!(Colour([-1.0, 0.5, 7.0]).to_pixel().0, [0, 128, 255]);
    }
}
