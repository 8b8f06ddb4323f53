//! Planes of brightness and colour, as RGB, by BT.601.

use image::RgbImage;

use crate::source::yuv::YuvMatrix;

/// Pixels that share one sample of colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subsampling {
    across: u32,
    down: u32,
}

/// What values samples take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Black is 16, white 235.
    Limited,
    /// Black is 0, white 255.
    Full,
}

/// One picture.
pub(super) struct Planes<'a> {
    /// Width and height.
    pub(super) size: (u32, u32),
    /// Brightness, a byte a pixel.
    pub(super) y: &'a [u8],
    /// Colour: U and V, of [`Subsampling::size`] each.
    pub(super) chroma: Option<(Subsampling, &'a [u8], &'a [u8])>,
    /// Of all the planes.
    pub(super) range: Range,
}

impl Subsampling {
    pub(super) const ONE_BY_ONE: Self = Self { across: 1, down: 1 };
    pub(super) const TWO_BY_ONE: Self = Self { across: 2, down: 1 };
    pub(super) const FOUR_BY_ONE: Self = Self { across: 4, down: 1 };
    pub(super) const TWO_BY_TWO: Self = Self { across: 2, down: 2 };

    /// Samples of colour across and down in a picture of this size.
    pub(super) fn size(self, width: u32, height: u32) -> (usize, usize) {
        let across = width.div_ceil(self.across) as usize;
        (across, height.div_ceil(self.down) as usize)
    }
}

/// The picture; each sample of colour is that of all its pixels.
///
/// What the planes lack stays black; the planes of colour must be whole.
pub(super) fn to_rgb(planes: &Planes<'_>) -> RgbImage {
    let (width, height) = planes.size;
    let mut picture = RgbImage::new(width, height);
    let colours = YuvMatrix::bt601(planes.range == Range::Full);
    let row = width as usize;
    let rows = picture
        .chunks_exact_mut(row * 3)
        .zip(planes.y.chunks_exact(row));
    let Some((subsampling, u, v)) = planes.chroma else {
        let grey = vec![128; row];
        rows.for_each(|(rgb, y)| convert::<1>(&colours, rgb, y, &grey, &grey));
        return picture;
    };
    let (across, _) = subsampling.size(width, height);
    for (number, (rgb, y)) in rows.enumerate() {
        let begin = number / subsampling.down as usize * across;
        let (u, v) = (&u[begin..begin + across], &v[begin..begin + across]);
        match subsampling.across {
            1 => convert::<1>(&colours, rgb, y, u, v),
            2 => convert::<2>(&colours, rgb, y, u, v),
            _ => convert::<4>(&colours, rgb, y, u, v),
        }
    }
    picture
}

/// One row, in which so many pixels share a sample of colour.
fn convert<const SHARED: usize>(colours: &YuvMatrix, rgb: &mut [u8], y: &[u8], u: &[u8], v: &[u8]) {
    let groups = rgb.chunks_mut(3 * SHARED).zip(y.chunks(SHARED));
    for ((rgb, y), (&u, &v)) in groups.zip(u.iter().zip(v)) {
        let shares = colours.shares(u, v);
        for (pixel, &y) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(y) {
            *pixel = colours.pixel(y, shares);
        }
    }
}
