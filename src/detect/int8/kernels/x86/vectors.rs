//! The vector registers: 64 bytes with AVX-512 VNNI (servers since Cascade Lake, desktops since Ice Lake and Zen 4), or
//! 32 bytes with the byte products of AVX-512, AVX-VNNI (Alder Lake, Zen 5) or AVX2 alone (Haswell, Zen).

use std::arch::x86_64::*;

use super::super::super::tensor::{ConvGeometry, Quantized};
use super::super::{Kernels, PackedConv2d, PackedDepthwise};
use super::{
    PANEL_VECTORS, Vector, X86Requantizer, pack_conv2d, pack_depthwise, run_conv2d, run_depthwise,
};

/// The kernels that the processor has the instructions for, the fastest first.
pub(in super::super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2");
    let avx_vnni = avx2 && is_x86_feature_detected!("avxvnni");
    let avx512_vnni = avx2
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    let avx512 = avx512_vnni && is_x86_feature_detected!("avx512f");
    let all = [
        (avx512, &AVX512_VNNI),
        (avx512_vnni, &AVX512_VNNI_32_BYTES),
        (avx_vnni, &AVX_VNNI),
        (avx2, &AVX2),
    ];
    all.into_iter()
        .filter_map(|(is_available, kernels)| is_available.then_some(kernels))
}

static AVX512_VNNI: Kernels = with_features!(
    "AVX-512 VNNI",
    "avx512f,avx512bw,avx512vl,avx512vnni,avx2",
    Zmm,
    pack_conv2d::<Zmm>,
    pack_depthwise::<Zmm>
);

/// Kernels for registers of 32 bytes with one way to add products.
macro_rules! kernels {
    ($kernels:ident, $vector:ident, $name:literal, $features:literal, $tile_pixels:literal, $add_products:expr) => {
        static $kernels: Kernels = with_features!(
            $name,
            $features,
            $vector,
            pack_conv2d::<$vector>,
            pack_depthwise::<$vector>
        );

        #[derive(Clone, Copy)]
        struct $vector(__m256i);

        // SAFETY: each method implements the trait's contract and accesses only the memory that it allows.
        unsafe impl Vector for $vector {
            const LANES: usize = 8;
            const TILE_PIXELS: usize = $tile_pixels;
            type Half = Self;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: guaranteed by the caller.
                unsafe { Self(_mm256_loadu_si256(from.cast())) }
            }

            #[inline(always)]
            unsafe fn broadcast(from: *const u8) -> Self {
                // SAFETY: guaranteed by the caller.
                unsafe { Self(_mm256_set1_epi32(from.cast::<i32>().read_unaligned())) }
            }

            #[inline(always)]
            unsafe fn add_products(self, values: Self, weights: Self) -> Self {
                let add_products: unsafe fn(__m256i, __m256i, __m256i) -> __m256i = $add_products;
                // SAFETY: guaranteed by the caller.
                unsafe { Self(add_products(self.0, values.0, weights.0)) }
            }

            #[inline(always)]
            unsafe fn interleave(rows: [Self; 4]) -> [Self; PANEL_VECTORS] {
                // SAFETY: guaranteed by the caller.
                unsafe { interleave(rows.map(|row| row.0)).map(Self) }
            }

            #[inline(always)]
            unsafe fn requantize(
                sums: [Self; PANEL_VECTORS],
                multipliers: *const f32,
                to: &X86Requantizer,
            ) -> Self {
                // SAFETY: guaranteed by the caller.
                unsafe { Self(requantize(sums.map(|sum| sum.0), multipliers, to)) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: guaranteed by the caller.
                unsafe { _mm256_storeu_si256(to.cast(), self.0) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut u8, count: usize) {
                // SAFETY: guaranteed by the caller.
                unsafe { store_part(self.0, to, count) }
            }

            #[inline(always)]
            unsafe fn requantize_one(
                self,
                multipliers: *const f32,
                to: &X86Requantizer,
                out: *mut u8,
                _: usize,
            ) {
                // SAFETY: guaranteed by the caller.
                unsafe { requantize_one(self.0, multipliers, to, out) }
            }
        }
    };
}

kernels!(
    AVX512_VNNI_32_BYTES,
    YmmVnni,
    "AVX-512 VNNI, 32 bytes",
    "avx512f,avx512bw,avx512vl,avx512vnni,avx2",
    6,
    |sums, values, weights| {
        // SAFETY: called only where the features above are enabled.
        unsafe { _mm256_dpbusd_epi32(sums, values, weights) }
    }
);
kernels!(
    AVX_VNNI,
    YmmAvxVnni,
    "AVX-VNNI",
    "avxvnni,avx2",
    3,
    |sums, values, weights| {
        // SAFETY: called only where the features above are enabled.
        unsafe { _mm256_dpbusd_avx_epi32(sums, values, weights) }
    }
);
kernels!(AVX2, YmmAvx2, "AVX2", "avx2", 2, |sums, values, weights| {
    // SAFETY: called only where the features above are enabled.
    unsafe { add_products_by_pairs(sums, values, weights) }
});

/// `VPMADDUBSW` adds two products of bytes with saturation to 16 bits. So it is run twice, with every other byte set to
/// 0.
#[inline(always)]
unsafe fn add_products_by_pairs(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
    // SAFETY: guaranteed by the caller.
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
unsafe fn interleave([a, b, c, d]: [__m256i; 4]) -> [__m256i; PANEL_VECTORS] {
    // SAFETY: guaranteed by the caller.
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
    // SAFETY: guaranteed by the caller.
    unsafe {
        let multiplier = _mm256_loadu_ps(multipliers);
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier))
    }
}

#[inline(always)]
unsafe fn requantize(
    sums: [__m256i; PANEL_VECTORS],
    multipliers: *const f32,
    to: &X86Requantizer,
) -> __m256i {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let scaled = |v: usize| scaled(sums[v], multipliers.add(8 * v));
        let zero = _mm256_set1_epi16(to.zero_point);
        let first = _mm256_adds_epi16(_mm256_packs_epi32(scaled(0), scaled(1)), zero);
        let second = _mm256_adds_epi16(_mm256_packs_epi32(scaled(2), scaled(3)), zero);
        let bytes = _mm256_packus_epi16(first, second);
        let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(to.qmin as i8));
        _mm256_min_epu8(bytes, _mm256_set1_epi8(to.qmax as i8))
    }
}

#[inline(always)]
unsafe fn store_part(bytes: __m256i, to: *mut u8, count: usize) {
    // SAFETY: guaranteed by the caller.
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
unsafe fn requantize_one(
    sums: __m256i,
    multipliers: *const f32,
    to: &X86Requantizer,
    out: *mut u8,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let scaled = scaled(sums, multipliers);
        let halves = _mm_packs_epi32(
            _mm256_castsi256_si128(scaled),
            _mm256_extracti128_si256::<1>(scaled),
        );
        let moved = _mm_adds_epi16(halves, _mm_set1_epi16(to.zero_point));
        let bytes = _mm_packus_epi16(moved, moved);
        let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(to.qmin as i8));
        _mm_storel_epi64(
            out.cast(),
            _mm_min_epu8(bytes, _mm_set1_epi8(to.qmax as i8)),
        );
    }
}

#[derive(Clone, Copy)]
struct Zmm(__m512i);

// SAFETY: each method implements the trait's contract and accesses only the memory that it allows.
unsafe impl Vector for Zmm {
    const LANES: usize = 16;
    const TILE_PIXELS: usize = 6;
    type Half = YmmVnni;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe { Self(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn add_products(self, values: Self, weights: Self) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe { Self(_mm512_dpbusd_epi32(self.0, values.0, weights.0)) }
    }

    #[inline(always)]
    unsafe fn interleave([a, b, c, d]: [Self; 4]) -> [Self; PANEL_VECTORS] {
        // SAFETY: guaranteed by the caller.
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
    unsafe fn requantize(
        sums: [Self; PANEL_VECTORS],
        multipliers: *const f32,
        to: &X86Requantizer,
    ) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let scaled = |v: usize| {
                let multiplier = _mm512_loadu_ps(multipliers.add(v * Self::LANES));
                _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[v].0), multiplier))
            };
            let zero = _mm512_set1_epi16(to.zero_point);
            let first = _mm512_adds_epi16(_mm512_packs_epi32(scaled(0), scaled(1)), zero);
            let second = _mm512_adds_epi16(_mm512_packs_epi32(scaled(2), scaled(3)), zero);
            let bytes = _mm512_packus_epi16(first, second);
            let bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8(to.qmin as i8));
            Self(_mm512_min_epu8(bytes, _mm512_set1_epi8(to.qmax as i8)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, count: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_mask_storeu_epi8(to.cast(), (1u64 << count) - 1, self.0) }
    }

    #[inline(always)]
    unsafe fn requantize_one(
        self,
        multipliers: *const f32,
        to: &X86Requantizer,
        out: *mut u8,
        count: usize,
    ) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(self.0), _mm512_loadu_ps(multipliers));
            let halves = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(scaled));
            let moved = _mm256_adds_epi16(halves, _mm256_set1_epi16(to.zero_point));
            let bytes = _mm_packus_epi16(
                _mm256_castsi256_si128(moved),
                _mm256_extracti128_si256::<1>(moved),
            );
            let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(to.qmin as i8));
            let bytes = _mm_min_epu8(bytes, _mm_set1_epi8(to.qmax as i8));
            _mm_mask_storeu_epi8(out.cast(), ((1u32 << count) - 1) as u16, bytes);
        }
    }
}
