//! What a camera sends, as RGB.
//!
//! In go the bytes of one frame and how the driver says that they lie; out comes a picture. Rows may be
//! longer than their pixels and sizes odd. A frame with too few bytes is refused; what stands behind the
//! picture is left.

use image::RgbImage;

use super::mode::PixelFormat;
use crate::picture::motion_jpeg;

mod yuv;

pub(super) use yuv::YuvMatrix;

/// How the bytes of a frame lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    pub(super) format: PixelFormat,
    /// Pixels across.
    pub(super) width: u32,
    /// Pixels down.
    pub(super) height: u32,
    /// Bytes from one row to the next, of the first plane where there are several; taken as the bytes of a
    /// row where it is less.
    pub(super) stride: u32,
    /// What luma and chroma mean.
    pub(super) colours: YuvMatrix,
}

/// The picture; a JPEG may come out smaller, but not below `at_least` pixels across and down.
///
/// # Errors
/// What is wrong with the bytes.
pub(super) fn to_rgb(
    layout: &Layout,
    bytes: &[u8],
    at_least: (u32, u32),
) -> Result<RgbImage, String> {
    if layout.format == PixelFormat::Mjpeg {
        return motion_jpeg::decode(bytes, at_least);
    }
    let needed = layout.needed();
    if (bytes.len() as u64) < needed {
        let Layout { width, height, .. } = layout;
        let (name, length) = (layout.format.name(), bytes.len());
        return Err(format!(
            "{name} of {width}x{height} is {needed} bytes, {length} came"
        ));
    }
    let mut picture = RgbImage::new(layout.width, layout.height);
    layout.fill(bytes, &mut picture);
    Ok(picture)
}

impl Layout {
    /// Bytes of a row's pixels in the first plane.
    fn row_bytes(&self) -> u32 {
        match self.format {
            // A row is a whole number of pairs.
            PixelFormat::Yuyv | PixelFormat::Uyvy => self.width.div_ceil(2) * 4,
            PixelFormat::Rgb | PixelFormat::Bgr => self.width * 3,
            _ => self.width,
        }
    }

    fn stride(&self) -> u32 {
        self.stride.max(self.row_bytes())
    }

    /// Bytes of a row's chroma, and from one such row to the next.
    fn chroma_row(&self) -> (u32, u32) {
        let pairs = self.width.div_ceil(2);
        match self.format {
            PixelFormat::Nv12 => (pairs * 2, self.stride().max(pairs * 2)),
            _ => (pairs, self.stride().div_ceil(2)),
        }
    }

    /// Bytes from the first to the last pixel.
    fn needed(&self) -> u64 {
        let plane = |rows: u32, stride: u32, last: u32| {
            u64::from(rows.saturating_sub(1)) * u64::from(stride) + u64::from(last)
        };
        let whole = |rows: u32, stride: u32| u64::from(rows) * u64::from(stride);
        let pairs_down = self.height.div_ceil(2);
        let (chroma, chroma_stride) = self.chroma_row();
        let last_chroma = plane(pairs_down, chroma_stride, chroma);
        match self.format {
            PixelFormat::Nv12 => whole(self.height, self.stride()) + last_chroma,
            PixelFormat::Yu12 => {
                whole(self.height, self.stride()) + whole(pairs_down, chroma_stride) + last_chroma
            }
            _ => plane(self.height, self.stride(), self.row_bytes()),
        }
    }

    /// Writes a picture of this size from as many bytes as are needed.
    fn fill(&self, bytes: &[u8], picture: &mut RgbImage) {
        let width = self.width as usize * 3;
        let rows = picture.chunks_exact_mut(width.max(1)).enumerate();
        let (stride, row_bytes) = (self.stride() as usize, self.row_bytes() as usize);
        let (chroma_bytes, chroma_stride) = self.chroma_row();
        let (chroma_bytes, chroma_stride) = (chroma_bytes as usize, chroma_stride as usize);
        let chroma = self.height as usize * stride;
        let second_chroma = chroma + self.height.div_ceil(2) as usize * chroma_stride;
        let colours = &self.colours;
        for (y, out) in rows {
            let row = &bytes[y * stride..][..row_bytes];
            let chroma_row = |plane: usize| &bytes[plane + y / 2 * chroma_stride..][..chroma_bytes];
            match self.format {
                PixelFormat::Yuyv => colours.packed(row, out, |[y0, u, y1, v]| ([y0, y1], u, v)),
                PixelFormat::Uyvy => colours.packed(row, out, |[u, y0, v, y1]| ([y0, y1], u, v)),
                PixelFormat::Nv12 => {
                    let pairs = chroma_row(chroma).chunks_exact(2);
                    colours.planar(row, pairs.map(|pair| (pair[0], pair[1])), out);
                }
                PixelFormat::Yu12 => {
                    let (u, v) = (chroma_row(chroma), chroma_row(second_chroma));
                    colours.planar(row, u.iter().copied().zip(v.iter().copied()), out);
                }
                PixelFormat::Rgb => out.copy_from_slice(row),
                PixelFormat::Bgr => {
                    let pixels = out.chunks_exact_mut(3).zip(row.chunks_exact(3));
                    pixels.for_each(|(out, bgr)| out.copy_from_slice(&[bgr[2], bgr[1], bgr[0]]));
                }
                PixelFormat::Gray => {
                    let pixels = out.chunks_exact_mut(3).zip(row);
                    pixels.for_each(|(out, &grey)| out.fill(grey));
                }
                // Has no rows; `to_rgb` has decoded it.
                PixelFormat::Mjpeg => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
