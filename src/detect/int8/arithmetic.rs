//! The arithmetic that every kernel agrees on to the last bit.
//!
//! A real value `x` is held as a whole number `q` in `-128..=127` with `x = scale * (q - zero_point)` (Jacob et al.
//! 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
//! Products are summed in 32 bits without loss; a sum becomes a `q` by one multiplication in `f32`, rounded to the
//! nearest, halves to even, as ONNX's `QuantizeLinear` rounds. Every step is exact or is rounded as IEEE 754 says, so
//! every processor gives the same `q`.

/// A `q` as it lies in memory: what the processor's products take. x86 multiplies unsigned by signed bytes.
#[cfg(target_arch = "x86_64")]
pub type Stored = u8;
/// A `q` as it lies in memory: what the processor's products take. All but x86 multiply signed bytes.
#[cfg(not(target_arch = "x86_64"))]
pub type Stored = i8;

/// What is stored for a `q` of 0.
pub const OFFSET: i32 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Adding this float to one of at most 2^22 leaves its nearest whole number, halves to even, in the low bits: the
/// step between floats of this size is 1.
const ROUNDER: f32 = 12_582_912.0;

/// The `q` as it is stored.
#[must_use]
pub const fn stored(q: i8) -> Stored {
    (q as i32 + OFFSET) as Stored
}

/// The `q` of a stored value.
#[must_use]
pub const fn unstored(value: Stored) -> i8 {
    (value as i32 - OFFSET) as i8
}

/// What sums become: the zero point and the ends of a layer's output, all as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Stands for a real 0.
    pub zero_point: Stored,
    /// Least value; above the least of all where an activation cuts.
    pub low: Stored,
    /// Greatest value.
    pub high: Stored,
}

impl Target {
    /// Of a zero point and the ends, each a `q`; the ends may stand in any order.
    #[must_use]
    pub fn new(zero_point: i8, low: i8, high: i8) -> Self {
        Self {
            zero_point: stored(zero_point),
            low: stored(low.min(high)),
            high: stored(high.max(low)),
        }
    }

    /// The ends as distances from the zero point, which is what a scaled sum is.
    pub(crate) fn ends(&self) -> (f32, f32) {
        let zero = i32::from(self.zero_point);
        let end = |value: Stored| (i32::from(value) - zero) as f32;
        (end(self.low), end(self.high))
    }

    /// A sum times its channel's multiplier, rounded, moved by the zero point and kept between the ends.
    ///
    /// `multiplier` is the scale of the input times that of the channel's weights over that of the output.
    #[inline]
    #[must_use]
    pub fn requantise(&self, sum: i32, multiplier: f32) -> Stored {
        self.quantise(sum as f32 * multiplier)
    }

    /// A real value in steps of the output's scale, rounded, moved by the zero point and kept between the ends.
    #[inline]
    #[must_use]
    pub fn quantise(&self, scaled: f32) -> Stored {
        let (low, high) = self.ends();
        // The ends are whole numbers, so cutting before rounding is cutting after it.
        let scaled = scaled.max(low).min(high);
        let rounded = (scaled + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32;
        (rounded + i32::from(self.zero_point)) as Stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        for q in i8::MIN..=i8::MAX {
            assert_eq!(unstored(stored(q)), q);
        }
    }

    #[test]
    fn sums_are_rounded_as_onnx_rounds() {
        let target = Target::new(-3, -128, 127);
        let mut dice = fastrand::Rng::with_seed(1);
        let mut sums: Vec<(i32, f32)> = (0..100_000)
            .map(|_| (dice.i32(-2_000_000..2_000_000), dice.f32() * 1e-3))
            .collect();
        // Halves, and what is far outside.
        sums.extend((-600..600).map(|sum| (sum, 0.5)));
        sums.extend([(i32::MAX, 0.9), (i32::MIN, 0.9), (0, 0.1)]);
        for (sum, multiplier) in sums {
            let real = (sum as f32 * multiplier).round_ties_even();
            let expected = (f64::from(real) - 3.0).clamp(-128.0, 127.0) as i8;
            let found = unstored(target.requantise(sum, multiplier));
            assert_eq!(found, expected, "{sum} * {multiplier}");
        }
    }

    #[test]
    fn an_activation_cuts() {
        let relu6 = Target::new(-100, -100, 20);
        assert_eq!(unstored(relu6.requantise(-50, 1.0)), -100);
        assert_eq!(unstored(relu6.requantise(50, 1.0)), -50);
        assert_eq!(unstored(relu6.requantise(500, 1.0)), 20);
    }
}
