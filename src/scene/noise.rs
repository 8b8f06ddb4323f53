//! Noise and soft steps, of which surfaces are made.
//!
//! In goes a place, out comes a number: the same for the same place and seed.

/// A hash of a place, evenly spread over `0..1`.
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

/// A share of the way from `a` to `b`.
pub(super) fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// 0 below the edge, 1 above, smooth over `softness` to each side.
pub(super) fn step(value: f32, edge: f32, softness: f32) -> f32 {
    let t = ((value - edge) / (2.0 * softness) + 0.5).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The part of a number above the whole number below it.
pub(super) fn fraction(value: f32) -> f32 {
    value - value.floor()
}

/// Smooth noise, in `0..1`, about one hill a unit.
pub(super) fn hills(u: f32, v: f32, seed: u32) -> f32 {
    let (left, top) = (u.floor(), v.floor());
    let (x, y) = (left as i32, top as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (ease(u - left), ease(v - top));
    let row = |y: i32| mix(noise_at(x, y, seed), noise_at(x + 1, y, seed), across);
    mix(row(y), row(y + 1), down)
}

/// Hills with smaller hills on them, in `0..1`.
pub(super) fn rough(u: f32, v: f32, seed: u32, octaves: i32) -> f32 {
    let (mut sum, mut total, mut scale, mut weight) = (0.0, 0.0, 1.0, 1.0);
    for octave in 0..octaves {
        let seed = seed.wrapping_add(octave as u32 * 7919);
        sum += weight * hills(u * scale, v * scale, seed);
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
    fn noise_is_smooth_and_fills_its_range() {
        let samples: Vec<f32> = (0..10_000)
            .map(|i| hills(i as f32 / 100.0, 0.3, 5))
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
