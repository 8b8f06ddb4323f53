//! AVX-512 with VNNI: 64 bytes at a time. Server processors since Cascade Lake, desktops since Ice Lake and Zen 4.

use std::arch::x86_64::*;

use super::super::super::arithmetic::Stored;
use super::super::super::map::Walk;
use super::super::{Kernels, PackedDense, PackedDepthwise};
use super::ymm::YmmVnni;
use super::{FULL, Narrowing, Vector, dense, depthwise};

static KERNELS: Kernels = with_features!(
    "AVX-512 VNNI",
    "avx512f,avx512bw,avx512vl,avx512vnni,avx2",
    Zmm,
    |layer, pixel| dense::pack::<Zmm>(layer, pixel),
    |layer| depthwise::pack::<Zmm>(layer)
);

/// These kernels, where the processor has what they use.
pub(in super::super) fn available() -> Option<&'static Kernels> {
    let has_all = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2");
    has_all.then_some(&KERNELS)
}

#[derive(Clone, Copy)]
struct Zmm(__m512i);

// SAFETY: each method does what the trait says, and touches no more memory than it says.
unsafe impl Vector for Zmm {
    const LANES: usize = 16;
    const ROWS: usize = 6;
    type Half = YmmVnni;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self {
        unsafe { Self(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, values: Self, weights: Self) -> Self {
        unsafe { Self(_mm512_dpbusd_epi32(self.0, values.0, weights.0)) }
    }

    #[inline(always)]
    unsafe fn interleave([a, b, c, d]: [Self; 4]) -> [Self; FULL] {
        unsafe {
            let (ab, cd) = (
                _mm512_unpacklo_epi8(a.0, b.0),
                _mm512_unpacklo_epi8(c.0, d.0),
            );
            let (ab_high, cd_high) = (
                _mm512_unpackhi_epi8(a.0, b.0),
                _mm512_unpackhi_epi8(c.0, d.0),
            );
            [
                Self(_mm512_unpacklo_epi16(ab, cd)),
                Self(_mm512_unpackhi_epi16(ab, cd)),
                Self(_mm512_unpacklo_epi16(ab_high, cd_high)),
                Self(_mm512_unpackhi_epi16(ab_high, cd_high)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn narrow(sums: [Self; FULL], multipliers: *const f32, to: &Narrowing) -> Self {
        unsafe {
            let scaled = |v: usize| {
                let multiplier = _mm512_loadu_ps(multipliers.add(v * Self::LANES));
                _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[v].0), multiplier))
            };
            let zero = _mm512_set1_epi16(to.zero_point);
            let first = _mm512_adds_epi16(_mm512_packs_epi32(scaled(0), scaled(1)), zero);
            let second = _mm512_adds_epi16(_mm512_packs_epi32(scaled(2), scaled(3)), zero);
            let bytes = _mm512_packus_epi16(first, second);
            let bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8(to.low as i8));
            Self(_mm512_min_epu8(bytes, _mm512_set1_epi8(to.high as i8)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, count: usize) {
        unsafe { _mm512_mask_storeu_epi8(to.cast(), (1u64 << count) - 1, self.0) }
    }

    #[inline(always)]
    unsafe fn narrow_one(
        self,
        multipliers: *const f32,
        to: &Narrowing,
        out: *mut u8,
        count: usize,
    ) {
        unsafe {
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(self.0), _mm512_loadu_ps(multipliers));
            let words = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(scaled));
            let moved = _mm256_adds_epi16(words, _mm256_set1_epi16(to.zero_point));
            let bytes = _mm_packus_epi16(
                _mm256_castsi256_si128(moved),
                _mm256_extracti128_si256::<1>(moved),
            );
            let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(to.low as i8));
            let bytes = _mm_min_epu8(bytes, _mm_set1_epi8(to.high as i8));
            _mm_mask_storeu_epi8(out.cast(), ((1u32 << count) - 1) as u16, bytes);
        }
    }
}
