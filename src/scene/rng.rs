//! Random numbers, noise and angles that are the same on every machine.
//!
//! `fastrand`'s draws of `usize`, and with them `shuffle` and `choice`, depend on the width of a pointer, so only 32-bit
//! numbers are taken from it. Sums, products, quotients and square roots of `f32` are exactly defined by IEEE 754; the
//! system's sine is not, so [`sine`] is a polynomial.

/// A seeded random number generator.
pub(super) struct Rng(fastrand::Rng);

impl Rng {
    /// Generators with the same seed and another `stream` are independent.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let spread = seed.wrapping_add(stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self(fastrand::Rng::with_seed(spread))
    }

    /// 32 random bits.
    pub(super) fn bits(&mut self) -> u32 {
        self.0.u32(..)
    }

    /// A number in `0..1`, in steps of 2^-24, so that the conversion is exact.
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// A number in `low..high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An integer in `0..count`.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(count)) >> 32) as u32
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}

/// The sine of an angle in turns, to about 4e-6.
pub(super) fn sine(turns: f32) -> f32 {
    let part = turns - (turns + 0.5).floor();
    // The sine is symmetric about a quarter turn, so the polynomial has to fit only a quarter.
    let folded = if part > 0.25 {
        0.5 - part
    } else if part < -0.25 {
        -0.5 - part
    } else {
        part
    };
    let x = folded * std::f32::consts::TAU;
    let square = x * x;
    let tail = 1.0 / 120.0 - square * (1.0 / 5040.0 - square * (1.0 / 362_880.0));
    x * (1.0 - square * (1.0 / 6.0 - square * tail))
}

/// The cosine of an angle in turns.
pub(super) fn cosine(turns: f32) -> f32 {
    sine(turns + 0.25)
}

/// White noise: a hash of a position, uniform in `0..1`.
pub(super) fn noise_at(x: i32, y: i32, seed: u32) -> f32 {
    let mut bits = seed
        ^ (x as u32).wrapping_mul(0x85EB_CA6B)
        ^ (y as u32).wrapping_mul(0xC2B2_AE35).rotate_left(13);
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x7FEB_352D);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x846C_A68B);
    bits ^= bits >> 16;
    (bits >> 8) as f32 / 16_777_216.0
}

/// Linear interpolation from `a` to `b`.
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// 0 below the edge and 1 above, smooth over `softness` on each side.
pub(super) fn smooth_step(value: f32, edge: f32, softness: f32) -> f32 {
    let t = ((value - edge) / (2.0 * softness) + 0.5).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The fractional part; never negative.
pub(super) fn fraction(value: f32) -> f32 {
    value - value.floor()
}

/// Value noise in `0..1`, with about one maximum a unit.
pub(super) fn value_noise(u: f32, v: f32, seed: u32) -> f32 {
    let (left, top) = (u.floor(), v.floor());
    let (x, y) = (left as i32, top as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (ease(u - left), ease(v - top));
    let row = |y: i32| mix(noise_at(x, y, seed), noise_at(x + 1, y, seed), across);
    mix(row(y), row(y + 1), down)
}

/// Fractal noise in `0..1`: a sum of octaves of [`value_noise`].
pub(super) fn fractal_noise(u: f32, v: f32, seed: u32, octaves: i32) -> f32 {
    let (mut sum, mut total, mut scale, mut weight) = (0.0, 0.0, 1.0, 1.0);
    for octave in 0..octaves {
        let seed = seed.wrapping_add(octave as u32 * 7919);
        sum += weight * value_noise(u * scale, v * scale, seed);
        total += weight;
        scale *= 2.0;
        weight *= 0.5;
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sine_is_accurate() {
        for step in -2000..2000 {
            let turns = step as f32 / 777.0;
            let expected = (f64::from(turns) * std::f64::consts::TAU).sin() as f32;
            assert!((sine(turns) - expected).abs() < 1e-5, "{turns}");
        }
        assert!((cosine(0.0) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn random_numbers_fill_their_range() {
        let mut rng = Rng::new(3, 1);
        let mut seen = [false; 7];
        for _ in 0..500 {
            seen[rng.below(7) as usize] = true;
            let number = rng.range(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&number));
        }
        assert_eq!(seen, [true; 7]);
    }

    #[test]
    fn value_noise_is_smooth_and_fills_its_range() {
        let samples: Vec<f32> = (0..10_000)
            .map(|i| value_noise(i as f32 / 100.0, 0.3, 5))
            .collect();
        assert!(
            samples
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() < 0.03)
        );
        let highest = samples.iter().copied().fold(0.0, f32::max);
        let lowest = samples.iter().copied().fold(1.0, f32::min);
        assert!((0.0..0.2).contains(&lowest) && (0.8..1.0).contains(&highest));
    }
}
