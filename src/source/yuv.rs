//! Luma and chroma to red, green and blue: the arithmetic that cameras and streams share.

/// Bits behind the point of the factors: all sums of three products fit in 32 bits.
const BITS: u32 = 16;

const HALF: i32 = 1 << (BITS - 1);

/// Factors from Y, U and V to R, G and B, in fixed point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct YuvMatrix {
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl YuvMatrix {
    /// BT.601, as nearly all USB cameras and motion JPEG have it; full range, or 16 to 235.
    pub(crate) fn bt601(is_full: bool) -> Self {
        Self::new(0.299, 0.114, is_full)
    }

    /// From the shares of red and blue in luma. Limited range is 16 to 235, and 16 to 240 for chroma.
    pub(crate) fn new(red: f64, blue: f64, is_full: bool) -> Self {
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = match is_full {
            true => (0, 1.0, 1.0),
            false => (16, 255.0 / 219.0, 255.0 / 224.0),
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

    /// What chroma adds to each channel, and the rounding.
    pub(crate) fn shares(&self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let base = HALF - self.black * self.luma;
        [
            base + self.red_v * v,
            base - self.green_u * u - self.green_v * v,
            base + self.blue_u * u,
        ]
    }

    pub(crate) fn pixel(&self, luma: u8, shares: [i32; 3]) -> [u8; 3] {
        let luma = self.luma * i32::from(luma);
        shares.map(|share| ((luma + share) >> BITS).clamp(0, 255) as u8)
    }
}
