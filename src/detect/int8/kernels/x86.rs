//! x86: products of an unsigned and a signed byte, four at a time into a sum of 32 bits (`VPDPBUSD`), or what comes
//! to the same without it.
//!
//! The loops are written once over [`Vector`], of 32 or 64 bytes. Their sums lie so that narrowing them to bytes,
//! which x86 does in 16-byte lanes, puts the channels in order without a shuffle across lanes: in a panel of four
//! vectors, element `i` of lane `l` of vector `v` is channel `16 l + 4 v + i`.

#![allow(unsafe_code)]

use super::super::arithmetic::Target;

mod dense;
mod depthwise;
mod ymm;
mod zmm;

pub(super) use ymm::available as available_ymm;
pub(super) use zmm::available as available_zmm;

/// Vectors in a full panel.
const FULL: usize = 4;

/// What sums become, ready for vectors.
#[derive(Clone, Copy)]
struct Narrowing {
    zero_point: i16,
    low: u8,
    high: u8,
}

impl Narrowing {
    fn new(target: &Target) -> Self {
        Self {
            zero_point: i16::from(target.zero_point),
            low: target.low,
            high: target.high,
        }
    }
}

/// Registers of one kind, and what is done with them.
///
/// # Safety
/// Every method wants a processor that has the instructions, and pointers to as many bytes as it says; none wants
/// them aligned. All are inlined into functions that enable the instructions.
unsafe trait Vector: Copy {
    /// Sums of 32 bits in a vector.
    const LANES: usize;
    /// Pixels whose sums for a full panel fit in the registers.
    const ROWS: usize;
    /// Half of the register, for what is left over.
    type Half: Vector;

    /// `4 * LANES` bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// The same 4 bytes in each sum's place.
    unsafe fn broadcast(from: *const u8) -> Self;
    /// Adds to each sum the products of the 4 unsigned bytes in `values` and the signed ones in `weights`.
    unsafe fn add_products(self, values: Self, weights: Self) -> Self;
    /// Bytes, words of 2 and words of 4 of four rows, so that the four values of each channel stand together; of
    /// four vectors as a full panel has its channels.
    unsafe fn interleave(rows: [Self; 4]) -> [Self; FULL];
    /// Four vectors of sums, times their multipliers, as bytes in the order of channels.
    unsafe fn narrow(sums: [Self; FULL], multipliers: *const f32, to: &Narrowing) -> Self;
    /// Writes `4 * LANES` bytes.
    unsafe fn store(self, to: *mut u8);
    /// Writes the first `count` bytes; less than `4 * LANES`, a multiple of 8.
    unsafe fn store_part(self, to: *mut u8, count: usize);
    /// One vector of sums, times their multipliers: the first `count` of them, 8 or 16, to memory.
    unsafe fn narrow_one(self, multipliers: *const f32, to: &Narrowing, out: *mut u8, count: usize);
}

/// The channel that has a place in a full panel of vectors of so many lanes.
fn in_panel(place: usize, lanes: usize) -> usize {
    let panel = FULL * lanes;
    let (first, at) = (place / panel * panel, place % panel);
    let (vector, element) = (at / lanes, at % lanes);
    first + element / 4 * 16 + vector * 4 + element % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_of_a_panel_has_one_place() {
        for lanes in [8, 16] {
            let mut channels: Vec<usize> = (0..8 * lanes).map(|p| in_panel(p, lanes)).collect();
            channels[..4 * lanes].sort_unstable();
            channels[4 * lanes..].sort_unstable();
            assert_eq!(channels, (0..8 * lanes).collect::<Vec<_>>());
        }
        assert_eq!(
            [0, 3, 4, 16].map(|place| in_panel(place, 16)),
            [0, 3, 16, 4]
        );
    }
}
