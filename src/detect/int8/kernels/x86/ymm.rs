//! 32 bytes at a time: AVX2 alone (since Haswell and Zen), or with the product of four bytes as AVX-VNNI (Alder Lake,
//! Zen 5) or AVX-512 has it.

use std::arch::x86_64::*;

use super::super::super::arithmetic::Stored;
use super::super::super::map::Walk;
use super::super::{Kernels, PackedDense, PackedDepthwise};
use super::{FULL, Narrowing, Vector, dense, depthwise};

/// These kernels, where the processor has what they use, the faster first.
pub(in super::super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2");
    let vnni = avx2 && is_x86_feature_detected!("avxvnni");
    let vnni_512 = avx2
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    let all = [(vnni_512, &VNNI_512), (vnni, &VNNI), (avx2, &AVX2)];
    all.into_iter()
        .filter_map(|(is_there, kernels)| is_there.then_some(kernels))
}

/// The kernels for one way to add products, and the type of their registers.
macro_rules! kernels {
    ($kernels:ident, $vector:ident, $name:literal, $features:literal, $rows:literal, $add_products:expr) => {
        static $kernels: Kernels = with_features!(
            $name,
            $features,
            $vector,
            |layer, pixel| dense::pack::<$vector>(layer, pixel),
            |layer| depthwise::pack::<$vector>(layer)
        );

        #[derive(Clone, Copy)]
        pub(super) struct $vector(__m256i);

        // SAFETY: each method does what the trait says, and touches no more memory than it says.
        unsafe impl Vector for $vector {
            const LANES: usize = 8;
            const ROWS: usize = $rows;
            type Half = Self;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                unsafe { Self(_mm256_loadu_si256(from.cast())) }
            }

            #[inline(always)]
            unsafe fn broadcast(from: *const u8) -> Self {
                unsafe { Self(_mm256_set1_epi32(from.cast::<i32>().read_unaligned())) }
            }

            #[inline(always)]
            unsafe fn add_products(self, values: Self, weights: Self) -> Self {
                let add_products: unsafe fn(__m256i, __m256i, __m256i) -> __m256i = $add_products;
                unsafe { Self(add_products(self.0, values.0, weights.0)) }
            }

            #[inline(always)]
            unsafe fn interleave(rows: [Self; 4]) -> [Self; FULL] {
                unsafe { interleave(rows.map(|row| row.0)).map(Self) }
            }

            #[inline(always)]
            unsafe fn narrow(sums: [Self; FULL], multipliers: *const f32, to: &Narrowing) -> Self {
                unsafe { Self(narrow(sums.map(|sum| sum.0), multipliers, to)) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                unsafe { _mm256_storeu_si256(to.cast(), self.0) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut u8, count: usize) {
                unsafe { store_part(self.0, to, count) }
            }

            #[inline(always)]
            unsafe fn narrow_one(
                self,
                multipliers: *const f32,
                to: &Narrowing,
                out: *mut u8,
                _: usize,
            ) {
                unsafe { narrow_one(self.0, multipliers, to, out) }
            }
        }
    };
}

kernels!(
    VNNI_512,
    YmmVnni,
    "AVX-512 VNNI, 32 bytes",
    "avx512f,avx512bw,avx512vl,avx512vnni,avx2",
    6,
    |sums, values, weights| unsafe { _mm256_dpbusd_epi32(sums, values, weights) }
);
kernels!(
    VNNI,
    YmmAvxVnni,
    "AVX-VNNI",
    "avxvnni,avx2",
    3,
    |sums, values, weights| unsafe { _mm256_dpbusd_avx_epi32(sums, values, weights) }
);
kernels!(
    AVX2,
    YmmAvx2,
    "AVX2",
    "avx2",
    2,
    |sums, values, weights| unsafe { add_products_by_pairs(sums, values, weights) }
);

/// Two products of bytes may overflow 16 bits, in which `VPMADDUBSW` adds them, so every other byte is 0 in turn.
#[inline(always)]
unsafe fn add_products_by_pairs(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
    unsafe {
        let even = _mm256_and_si256(values, _mm256_set1_epi16(0xff));
        let odd = _mm256_andnot_si256(_mm256_set1_epi16(0xff), values);
        let ones = _mm256_set1_epi16(1);
        let even = _mm256_madd_epi16(_mm256_maddubs_epi16(even, weights), ones);
        let odd = _mm256_madd_epi16(_mm256_maddubs_epi16(odd, weights), ones);
        _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
    }
}

#[inline(always)]
unsafe fn interleave([a, b, c, d]: [__m256i; 4]) -> [__m256i; FULL] {
    unsafe {
        let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
        [
            _mm256_unpacklo_epi16(ab, cd),
            _mm256_unpackhi_epi16(ab, cd),
            _mm256_unpacklo_epi16(ab_high, cd_high),
            _mm256_unpackhi_epi16(ab_high, cd_high),
        ]
    }
}

#[inline(always)]
unsafe fn scaled(sums: __m256i, multipliers: *const f32) -> __m256i {
    unsafe {
        let multiplier = _mm256_loadu_ps(multipliers);
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier))
    }
}

#[inline(always)]
unsafe fn narrow(sums: [__m256i; FULL], multipliers: *const f32, to: &Narrowing) -> __m256i {
    unsafe {
        let scaled = |v: usize| scaled(sums[v], multipliers.add(8 * v));
        let zero = _mm256_set1_epi16(to.zero_point);
        let first = _mm256_adds_epi16(_mm256_packs_epi32(scaled(0), scaled(1)), zero);
        let second = _mm256_adds_epi16(_mm256_packs_epi32(scaled(2), scaled(3)), zero);
        let bytes = _mm256_packus_epi16(first, second);
        let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(to.low as i8));
        _mm256_min_epu8(bytes, _mm256_set1_epi8(to.high as i8))
    }
}

#[inline(always)]
unsafe fn store_part(bytes: __m256i, to: *mut u8, count: usize) {
    unsafe {
        let mut half = _mm256_castsi256_si128(bytes);
        let mut done = 0;
        if count >= 16 {
            _mm_storeu_si128(to.cast(), half);
            half = _mm256_extracti128_si256::<1>(bytes);
            done = 16;
        }
        if count - done == 8 {
            _mm_storel_epi64(to.add(done).cast(), half);
        }
    }
}

#[inline(always)]
unsafe fn narrow_one(sums: __m256i, multipliers: *const f32, to: &Narrowing, out: *mut u8) {
    unsafe {
        let scaled = scaled(sums, multipliers);
        let words = _mm_packs_epi32(
            _mm256_castsi256_si128(scaled),
            _mm256_extracti128_si256::<1>(scaled),
        );
        let moved = _mm_adds_epi16(words, _mm_set1_epi16(to.zero_point));
        let bytes = _mm_packus_epi16(moved, moved);
        let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(to.low as i8));
        _mm_storel_epi64(
            out.cast(),
            _mm_min_epu8(bytes, _mm_set1_epi8(to.high as i8)),
        );
    }
}
