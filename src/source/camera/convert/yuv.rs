//! Luma and chroma to red, green and blue, as the driver says that they are meant.

pub(crate) use crate::source::yuv::YuvMatrix;

/// `V4L2_COLORSPACE_*`, as far as they settle what the driver leaves open.
mod colorspace {
    pub(super) const SMPTE240M: u32 = 2;
    pub(super) const REC709: u32 = 3;
    pub(super) const JPEG: u32 = 7;
    pub(super) const BT2020: u32 = 10;
    pub(super) const DCI_P3: u32 = 12;
}

impl YuvMatrix {
    /// As `V4L2_COLORSPACE_*`, `V4L2_YCBCR_ENC_*` and `V4L2_QUANTIZATION_*` say, 0 standing for what Linux
    /// takes as meant then.
    pub(crate) fn of_driver(colorspace: u32, encoding: u32, quantization: u32) -> Self {
        let (red, blue) = match (encoding, colorspace) {
            // BT.709, also with an extended range.
            (2 | 4, _) | (0, colorspace::REC709 | colorspace::DCI_P3) => (0.2126, 0.0722),
            // BT.2020; the kind with constant luminance is near enough.
            (6 | 7, _) | (0, colorspace::BT2020) => (0.2627, 0.0593),
            (8, _) | (0, colorspace::SMPTE240M) => (0.212, 0.087),
            // BT.601, as nearly all USB cameras send it.
            _ => (0.299, 0.114),
        };
        let is_full = quantization == 1 || (quantization == 0 && colorspace == colorspace::JPEG);
        Self::new(red, blue, is_full)
    }

    /// A row whose pixels come in pairs of four bytes, which `parts` takes apart into two lumas, U and V.
    pub(super) fn packed(
        &self,
        row: &[u8],
        out: &mut [u8],
        parts: impl Fn([u8; 4]) -> ([u8; 2], u8, u8),
    ) {
        let pairs = row.as_chunks().0.iter().map(|pair| parts(*pair));
        self.row(pairs, out);
    }

    /// A row whose luma stands alone, with the U and V of each pair of pixels.
    pub(super) fn planar(
        &self,
        luma: &[u8],
        mut chroma: impl Iterator<Item = (u8, u8)>,
        out: &mut [u8],
    ) {
        let (lumas, last) = luma.as_chunks::<2>();
        let (whole, rest) = out.split_at_mut(lumas.len() * 6);
        let pairs = lumas.iter().zip(chroma.by_ref());
        self.row(pairs.map(|(lumas, (u, v))| (*lumas, u, v)), whole);
        // Of the last pixel of an odd row there is half a pair.
        let last = last.iter().zip(chroma);
        self.row(last.map(|(luma, (u, v))| ([*luma; 2], u, v)), rest);
    }

    fn row(&self, mut pairs: impl Iterator<Item = ([u8; 2], u8, u8)>, out: &mut [u8]) {
        let (whole, half) = out.as_chunks_mut::<6>();
        for (out, (lumas, u, v)) in whole.iter_mut().zip(pairs.by_ref()) {
            let shares = self.shares(u, v);
            let [[r0, g0, b0], [r1, g1, b1]] = lumas.map(|luma| self.pixel(luma, shares));
            *out = [r0, g0, b0, r1, g1, b1];
        }
        if let ([_, _, _], Some(([luma, _], u, v))) = (&half, pairs.next()) {
            half.copy_from_slice(&self.pixel(luma, self.shares(u, v)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formulae of ITU-R BT.601 and BT.709, written out in floating point.
    fn reference([y, u, v]: [u8; 3], [red, green, blue]: [f64; 3], is_full: bool) -> [f64; 3] {
        let [y, u, v] = [y, u, v].map(f64::from);
        let (y, u, v) = match is_full {
            true => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
            false => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
        };
        let r = y + 2.0 * (1.0 - red) * v;
        let b = y + 2.0 * (1.0 - blue) * u;
        let g = (y - red * r - blue * b) / green;
        [r, g, b].map(|channel| (channel * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn all_colours_are_within_one_of_the_formulae() {
        const BT601: [f64; 3] = [0.299, 0.587, 0.114];
        const BT709: [f64; 3] = [0.2126, 0.7152, 0.0722];
        // Colour space, encoding and range as drivers give them.
        let cases = [
            ((0, 0, 0), BT601, false),
            ((8, 0, 0), BT601, false),
            ((8, 1, 1), BT601, true),
            ((7, 0, 0), BT601, true),
            ((7, 0, 2), BT601, false),
            ((3, 0, 0), BT709, false),
            ((8, 2, 0), BT709, false),
            ((3, 2, 1), BT709, true),
            ((3, 1, 0), BT601, false),
        ];
        let steps = || (0..=255).step_by(15);
        for ((colorspace, encoding, quantization), primaries, is_full) in cases {
            let colours = YuvMatrix::of_driver(colorspace, encoding, quantization);
            for (y, u, v) in
                steps().flat_map(|y| steps().flat_map(move |u| steps().map(move |v| (y, u, v))))
            {
                let found = colours.pixel(y, colours.shares(u, v));
                let expected = reference([y, u, v], primaries, is_full);
                let is_near = found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| (f64::from(*found) - expected).abs() <= 1.0);
                assert!(is_near, "{y} {u} {v}: {found:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn greys_stay_grey_in_every_encoding() {
        for (colorspace, encoding) in [(0, 0), (2, 0), (3, 0), (10, 0), (0, 6), (0, 8), (99, 99)] {
            let limited = YuvMatrix::of_driver(colorspace, encoding, 2);
            assert_eq!(limited.pixel(16, limited.shares(128, 128)), [0; 3]);
            assert_eq!(limited.pixel(235, limited.shares(128, 128)), [255; 3]);
            let full = YuvMatrix::of_driver(colorspace, encoding, 1);
            for grey in [0, 1, 77, 254, 255] {
                assert_eq!(full.pixel(grey, full.shares(128, 128)), [grey; 3]);
            }
        }
    }
}
