//! Randomness and angles that come out the same on every machine.
//!
//! In goes a seed, out come numbers. `fastrand`'s own draws of `usize`, and with them `shuffle` and
//! `choice`, depend on the width of a pointer, so only whole 32-bit words are taken from it. Sums,
//! products, quotients and square roots of `f32` are exactly defined by IEEE 754 and the same everywhere; the
//! system's sine is not, so [`sine`] is a polynomial.

/// A seeded stream of random draws.
pub(super) struct Rng(fastrand::Rng);

impl Rng {
    /// The stream of a seed; `purpose` keeps the streams of one seed apart.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let spread = seed.wrapping_add(purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self(fastrand::Rng::with_seed(spread))
    }

    /// 32 random bits.
    pub(super) fn word(&mut self) -> u32 {
        self.0.u32(..)
    }

    /// A number in `0..1`, in steps of 2^-24, so that the conversion is exact.
    pub(super) fn unit(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 16_777_216.0
    }

    /// A number between two others.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `0..count`.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(count)) >> 32) as u32
    }

    /// True with that probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}

/// The sine of an angle in turns, to about 4e-6.
pub(super) fn sine(turns: f32) -> f32 {
    let part = turns - (turns + 0.5).floor();
    // The sine is mirrored about a quarter turn, so a quarter is all that the polynomial must fit.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sine_is_a_sine() {
        for step in -2000..2000 {
            let turns = step as f32 / 777.0;
            let expected = (f64::from(turns) * std::f64::consts::TAU).sin() as f32;
            assert!((sine(turns) - expected).abs() < 1e-5, "{turns}");
        }
        assert!((cosine(0.0) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut rng = Rng::new(3, 1);
        let mut seen = [false; 7];
        for _ in 0..500 {
            seen[rng.below(7) as usize] = true;
            let number = rng.between(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&number));
        }
        assert_eq!(seen, [true; 7]);
    }
}
