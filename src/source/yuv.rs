//! Conversion from YUV (luma and chroma) to RGB, for cameras and streams.

use image::RgbImage;

/// Fractional bits of the coefficients: sums of three products fit in 32 bits.
const BITS: u32 = 16;

const HALF: i32 = 1 << (BITS - 1);

/// The values that samples may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Luma from 16 to 235, chroma from 16 to 240.
    Limited,
    /// 0 to 255.
    Full,
}

/// Fixed-point coefficients from Y, U and V to R, G and B.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct YuvMatrix {
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl YuvMatrix {
    /// ITU-R BT.601, which nearly all USB cameras and motion JPEG use.
    pub(super) fn bt601(range: Range) -> Self {
        Self::new(0.299, 0.114, range)
    }

    /// From the luma coefficients of red and blue (Kr and Kb).
    pub(super) fn new(red: f64, blue: f64, range: Range) -> Self {
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = match range {
            Range::Full => (0, 1.0, 1.0),
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let fixed = |factor: f64| (factor * f64::from(1 << BITS)).round() as i32;
        Self {
            black,
            luma: fixed(luma),
            red_v: fixed(chroma * 2.0 * (1.0 - red)),
            green_u: fixed(chroma * 2.0 * blue * (1.0 - blue) / green),
            green_v: fixed(chroma * 2.0 * red * (1.0 - red) / green),
            blue_u: fixed(chroma * 2.0 * (1.0 - blue)),
        }
    }

    /// What chroma adds to each of R, G and B, with the rounding.
    pub(super) fn chroma_terms(&self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let base = HALF - self.black * self.luma;
        [
            base + self.red_v * v,
            base - self.green_u * u - self.green_v * v,
            base + self.blue_u * u,
        ]
    }

    pub(super) fn pixel(&self, luma: u8, chroma_terms: [i32; 3]) -> [u8; 3] {
        let luma = self.luma * i32::from(luma);
        chroma_terms.map(|term| ((luma + term) >> BITS).clamp(0, 255) as u8)
    }

    /// Converts a row whose pixels are packed in pairs of four bytes; `unpack` returns the two lumas, U and V of a pair.
    #[cfg(all(feature = "camera", target_os = "linux"))]
    pub(super) fn convert_packed_row(
        &self,
        row: &[u8],
        rgb: &mut [u8],
        unpack: impl Fn([u8; 4]) -> ([u8; 2], u8, u8),
    ) {
        let pairs = row.as_chunks().0.iter().map(|pair| unpack(*pair));
        self.convert_pairs(pairs, rgb);
    }

    /// Converts a row of luma, given the U and V of each pair of pixels.
    pub(super) fn convert_planar_row(
        &self,
        luma: &[u8],
        mut chroma: impl Iterator<Item = (u8, u8)>,
        rgb: &mut [u8],
    ) {
        let (lumas, last) = luma.as_chunks::<2>();
        let (pairs_rgb, last_rgb) = rgb.split_at_mut(lumas.len() * 6);
        let pairs = lumas.iter().zip(chroma.by_ref());
        self.convert_pairs(pairs.map(|(lumas, (u, v))| (*lumas, u, v)), pairs_rgb);
        // The last pixel of an odd row is half a pair.
        let last = last.iter().zip(chroma);
        self.convert_pairs(last.map(|(luma, (u, v))| ([*luma; 2], u, v)), last_rgb);
    }

    fn convert_pairs(&self, mut pairs: impl Iterator<Item = ([u8; 2], u8, u8)>, rgb: &mut [u8]) {
        let (whole, half) = rgb.as_chunks_mut::<6>();
        for (rgb, (lumas, u, v)) in whole.iter_mut().zip(pairs.by_ref()) {
            let terms = self.chroma_terms(u, v);
            let [[r0, g0, b0], [r1, g1, b1]] = lumas.map(|luma| self.pixel(luma, terms));
            *rgb = [r0, g0, b0, r1, g1, b1];
        }
        if let ([_, _, _], Some(([luma, _], u, v))) = (&half, pairs.next()) {
            half.copy_from_slice(&self.pixel(luma, self.chroma_terms(u, v)));
        }
    }

    /// Converts a row of luma in which `SHARED` neighbouring pixels have one U and V.
    fn convert_subsampled_row<const SHARED: usize>(
        &self,
        luma: &[u8],
        u: &[u8],
        v: &[u8],
        rgb: &mut [u8],
    ) {
        let groups = rgb.chunks_mut(3 * SHARED).zip(luma.chunks(SHARED));
        for ((rgb, luma), (&u, &v)) in groups.zip(u.iter().zip(v)) {
            let terms = self.chroma_terms(u, v);
            for (pixel, &luma) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(luma) {
                *pixel = self.pixel(luma, terms);
            }
        }
    }
}

/// How many pixels across and down share one chroma sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subsampling {
    across: u32,
    down: u32,
}

impl Subsampling {
    pub(super) const YUV444: Self = Self { across: 1, down: 1 };
    pub(super) const YUV422: Self = Self { across: 2, down: 1 };
    pub(super) const YUV411: Self = Self { across: 4, down: 1 };
    pub(super) const YUV420: Self = Self { across: 2, down: 2 };

    /// Chroma samples across and down in a picture of this size.
    pub(super) fn chroma_size(self, width: u32, height: u32) -> (usize, usize) {
        let across = width.div_ceil(self.across) as usize;
        (across, height.div_ceil(self.down) as usize)
    }
}

/// A picture in separate planes of 8 bits.
pub(super) struct Planes<'a> {
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Luma, a byte a pixel.
    pub(super) y: &'a [u8],
    /// U and V, of [`Subsampling::chroma_size`] each; `None` for a grey picture.
    pub(super) chroma: Option<(Subsampling, &'a [u8], &'a [u8])>,
    pub(super) range: Range,
}

impl Planes<'_> {
    /// Converts by BT.601, with one chroma sample for all the pixels that share it.
    ///
    /// Missing rows of luma stay black; the chroma planes must be complete.
    pub(super) fn to_rgb(&self) -> RgbImage {
        let (width, height) = self.size;
        let mut picture = RgbImage::new(width, height);
        let matrix = YuvMatrix::bt601(self.range);
        let row = width as usize;
        let rows = picture
            .chunks_exact_mut(row * 3)
            .zip(self.y.chunks_exact(row));
        let Some((subsampling, u, v)) = self.chroma else {
            let grey = vec![128; row];
            rows.for_each(|(rgb, y)| matrix.convert_subsampled_row::<1>(y, &grey, &grey, rgb));
            return picture;
        };
        let (across, _) = subsampling.chroma_size(width, height);
        for (number, (rgb, y)) in rows.enumerate() {
            let begin = number / subsampling.down as usize * across;
            let (u, v) = (&u[begin..begin + across], &v[begin..begin + across]);
            match subsampling.across {
                1 => matrix.convert_subsampled_row::<1>(y, u, v, rgb),
                2 => matrix.convert_planar_row(y, u.iter().copied().zip(v.iter().copied()), rgb),
                _ => matrix.convert_subsampled_row::<4>(y, u, v, rgb),
            }
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formulas of ITU-R BT.601 and BT.709 in floating point.
    fn reference([y, u, v]: [u8; 3], [red, green, blue]: [f64; 3], range: Range) -> [f64; 3] {
        let [y, u, v] = [y, u, v].map(f64::from);
        let (y, u, v) = match range {
            Range::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
            Range::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
        };
        let r = y + 2.0 * (1.0 - red) * v;
        let b = y + 2.0 * (1.0 - blue) * u;
        let g = (y - red * r - blue * b) / green;
        [r, g, b].map(|channel| (channel * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn all_colors_are_within_one_of_the_formulas() {
        let primaries = [[0.299, 0.587, 0.114], [0.2126, 0.7152, 0.0722]];
        let steps = || (0..=255).step_by(15);
        for (primaries, range) in primaries
            .into_iter()
            .flat_map(|primaries| [(primaries, Range::Limited), (primaries, Range::Full)])
        {
            let matrix = YuvMatrix::new(primaries[0], primaries[2], range);
            for (y, u, v) in
                steps().flat_map(|y| steps().flat_map(move |u| steps().map(move |v| (y, u, v))))
            {
                let found = matrix.pixel(y, matrix.chroma_terms(u, v));
                let expected = reference([y, u, v], primaries, range);
                let is_near = found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| (f64::from(*found) - expected).abs() <= 1.0);
                assert!(is_near, "{y} {u} {v}: {found:?}, not {expected:?}");
            }
        }
    }
}
