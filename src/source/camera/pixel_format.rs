//! Pixel formats of cameras, and their conversion to RGB.
//!
//! Rows may have padding and sizes may be odd. A frame with too few bytes is an error; surplus bytes are ignored.

use image::RgbImage;
use thiserror::Error;

use crate::frame::FrameImage;
use crate::picture::DecodeError;
use crate::source::stored_jpeg::Decoding;
use crate::source::yuv::{Range, YuvMatrix};

/// A pixel format that boxcam can decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelFormat {
    /// One JPEG a frame.
    Mjpeg,
    /// YUV 4:2:2 packed as Y U Y V, 16 bits a pixel.
    Yuyv,
    /// YUV 4:2:2 packed as U Y V Y, 16 bits a pixel.
    Uyvy,
    /// YUV 4:2:0 as a Y plane and a plane of interleaved U and V, 12 bits a pixel.
    Nv12,
    /// YUV 4:2:0 in three planes, 12 bits a pixel.
    Yu12,
    /// 24 bits a pixel.
    Rgb,
    /// 24 bits a pixel.
    Bgr,
    /// 8 bits of luma a pixel.
    Gray,
}

/// The four-character code (V4L2's `pixelformat`) of each format.
const FOURCCS: [([u8; 4], PixelFormat); 9] = [
    (*b"MJPG", PixelFormat::Mjpeg),
    (*b"JPEG", PixelFormat::Mjpeg),
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"UYVY", PixelFormat::Uyvy),
    (*b"NV12", PixelFormat::Nv12),
    (*b"YU12", PixelFormat::Yu12),
    (*b"RGB3", PixelFormat::Rgb),
    (*b"BGR3", PixelFormat::Bgr),
    (*b"GREY", PixelFormat::Gray),
];

impl PixelFormat {
    /// The format of a four-character code, if boxcam can decode it.
    pub(super) fn from_fourcc(fourcc: [u8; 4]) -> Option<Self> {
        let known = FOURCCS.iter().find(|(known, _)| *known == fourcc);
        known.map(|(_, format)| *format)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mjpeg => "MJPEG",
            Self::Yuyv => "YUYV",
            Self::Uyvy => "UYVY",
            Self::Nv12 => "NV12",
            Self::Yu12 => "YU12",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Gray => "grey",
        }
    }
}

/// The memory layout of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FrameLayout {
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from one row to the next, in the first plane if there are several. Values below the bytes of a row
    /// are ignored.
    pub(super) stride: u32,
    pub(super) yuv_matrix: YuvMatrix,
}

/// A frame that can't be decoded.
#[derive(Debug, Error)]
pub(super) enum FrameError {
    #[error(transparent)]
    Jpeg(#[from] DecodeError),
    #[error("{format} of {width}x{height} needs {expected} bytes, but the frame has {actual}")]
    TooShort {
        format: &'static str,
        width: u32,
        height: u32,
        expected: u64,
        actual: usize,
    },
    #[error("the frame has no data")]
    Empty,
    #[error("the driver marked the frame as corrupt")]
    MarkedCorrupt,
}

/// Converts a frame to RGB, a JPEG as `decoding` says; it may be scaled down, but not below the width and height of `min_size`.
pub(super) fn to_image(
    layout: &FrameLayout,
    bytes: &[u8],
    decoding: Decoding,
    min_size: (u32, u32),
) -> Result<FrameImage, FrameError> {
    if bytes.is_empty() {
        return Err(FrameError::Empty);
    }
    if layout.format == PixelFormat::Mjpeg {
        return Ok(decoding.image(bytes, min_size)?);
    }
    let expected = layout.frame_bytes();
    if (bytes.len() as u64) < expected {
        return Err(FrameError::TooShort {
            format: layout.format.name(),
            width: layout.width,
            height: layout.height,
            expected,
            actual: bytes.len(),
        });
    }
    let mut picture = RgbImage::new(layout.width, layout.height);
    layout.convert(bytes, &mut picture);
    Ok(picture.into())
}

impl FrameLayout {
    /// Bytes of the pixels of a row in the first plane.
    fn row_bytes(&self) -> u32 {
        match self.format {
            // A row has whole pairs of pixels.
            PixelFormat::Yuyv | PixelFormat::Uyvy => self.width.div_ceil(2) * 4,
            PixelFormat::Rgb | PixelFormat::Bgr => self.width * 3,
            _ => self.width,
        }
    }

    fn stride(&self) -> u32 {
        self.stride.max(self.row_bytes())
    }

    /// Bytes of a row of chroma, and its stride.
    fn chroma_row(&self) -> (u32, u32) {
        let pairs = self.width.div_ceil(2);
        match self.format {
            PixelFormat::Nv12 => (pairs * 2, self.stride().max(pairs * 2)),
            _ => (pairs, self.stride().div_ceil(2)),
        }
    }

    /// Bytes from the first to the last pixel of a frame.
    fn frame_bytes(&self) -> u64 {
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

    /// Converts at least [`Self::frame_bytes`] to a picture of this size.
    fn convert(&self, bytes: &[u8], picture: &mut RgbImage) {
        let width = self.width as usize * 3;
        let rows = picture.chunks_exact_mut(width.max(1)).enumerate();
        let (stride, row_bytes) = (self.stride() as usize, self.row_bytes() as usize);
        let (chroma_bytes, chroma_stride) = self.chroma_row();
        let (chroma_bytes, chroma_stride) = (chroma_bytes as usize, chroma_stride as usize);
        let chroma = self.height as usize * stride;
        let second_chroma = chroma + self.height.div_ceil(2) as usize * chroma_stride;
        let matrix = &self.yuv_matrix;
        for (y, out) in rows {
            let row = &bytes[y * stride..][..row_bytes];
            let chroma_row = |plane: usize| &bytes[plane + y / 2 * chroma_stride..][..chroma_bytes];
            match self.format {
                PixelFormat::Yuyv => {
                    matrix.convert_packed_row(row, out, |[y0, u, y1, v]| ([y0, y1], u, v));
                }
                PixelFormat::Uyvy => {
                    matrix.convert_packed_row(row, out, |[u, y0, v, y1]| ([y0, y1], u, v));
                }
                PixelFormat::Nv12 => {
                    let pairs = chroma_row(chroma).chunks_exact(2);
                    matrix.convert_planar_row(row, pairs.map(|pair| (pair[0], pair[1])), out);
                }
                PixelFormat::Yu12 => {
                    let (u, v) = (chroma_row(chroma), chroma_row(second_chroma));
                    matrix.convert_planar_row(row, u.iter().copied().zip(v.iter().copied()), out);
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
                // Decoded by `to_image`.
                PixelFormat::Mjpeg => {}
            }
        }
    }
}

/// The values of `V4L2_COLORSPACE_*` that determine a default encoding or range.
mod colorspace {
    pub(super) const SMPTE240M: u32 = 2;
    pub(super) const REC709: u32 = 3;
    pub(super) const JPEG: u32 = 7;
    pub(super) const BT2020: u32 = 10;
    pub(super) const DCI_P3: u32 = 12;
}

/// The conversion for a driver's `V4L2_COLORSPACE_*`, `V4L2_YCBCR_ENC_*` and `V4L2_QUANTIZATION_*`, where 0 means
/// V4L2's default.
pub(super) fn yuv_matrix(colorspace: u32, encoding: u32, quantization: u32) -> YuvMatrix {
    let (red, blue) = match (encoding, colorspace) {
        // BT.709, also with an extended range (xvYCC).
        (2 | 4, _) | (0, colorspace::REC709 | colorspace::DCI_P3) => (0.2126, 0.0722),
        // BT.2020; the variant with constant luminance is approximated.
        (6 | 7, _) | (0, colorspace::BT2020) => (0.2627, 0.0593),
        (8, _) | (0, colorspace::SMPTE240M) => (0.212, 0.087),
        // BT.601, which nearly all USB cameras use.
        _ => (0.299, 0.114),
    };
    let is_full = quantization == 1 || (quantization == 0 && colorspace == colorspace::JPEG);
    YuvMatrix::new(
        red,
        blue,
        if is_full { Range::Full } else { Range::Limited },
    )
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn to_rgb(
        layout: &FrameLayout,
        bytes: &[u8],
        min_size: (u32, u32),
    ) -> Result<RgbImage, FrameError> {
        let image = to_image(layout, bytes, Decoding::AtOnce, min_size);
        image.map(FrameImage::into_rgb)
    }

    /// Colors of a test card, as YUV in BT.601 with limited range and as RGB.
    const COLORS: [([u8; 3], [u8; 3]); 8] = [
        ([16, 128, 128], [0, 0, 0]),
        ([235, 128, 128], [255, 255, 255]),
        ([126, 128, 128], [128, 128, 128]),
        ([81, 90, 240], [255, 0, 0]),
        ([145, 54, 34], [0, 255, 0]),
        ([41, 240, 110], [0, 0, 255]),
        ([210, 16, 146], [255, 255, 0]),
        ([170, 166, 16], [0, 255, 255]),
    ];

    const FORMATS: [PixelFormat; 7] = [
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Yu12,
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Gray,
    ];

    fn layout(format: PixelFormat, width: u32, height: u32, stride: u32) -> FrameLayout {
        FrameLayout {
            format,
            width,
            height,
            stride,
            yuv_matrix: yuv_matrix(0, 0, 0),
        }
    }

    fn decoded(format: PixelFormat, bytes: &[u8], (width, height): (u32, u32)) -> RgbImage {
        to_rgb(&layout(format, width, height, 0), bytes, (1, 1)).expect("complete")
    }

    #[track_caller]
    fn assert_near(found: &Rgb<u8>, expected: [u8; 3]) {
        let mut channels = found.0.iter().zip(expected);
        let is_near = channels.all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(is_near, "{found:?}, not {expected:?}");
    }

    /// Y, U and V of a pixel, all different; U and V are the same in a block of 2 x 2 pixels.
    fn yuv_at(x: u32, y: u32) -> [u8; 3] {
        let (across, down) = (x / 2, y / 2);
        let part = |value: u32| (value % 200 + 20) as u8;
        [
            part(x * 31 + y * 17),
            part(across * 53 + down * 7),
            part(across * 11 + down * 71),
        ]
    }

    /// A picture of [`yuv_at`] in a format and its stride, with this number of bytes of padding in each row.
    fn encoded(format: PixelFormat, width: u32, height: u32, padding: u32) -> (Vec<u8>, u32) {
        let pairs = width.div_ceil(2);
        let luma = |x: u32, y: u32| yuv_at(x.min(width - 1), y)[0];
        let packed = |order: [usize; 4]| {
            move |y: u32| -> Vec<u8> {
                let pair = |pair: u32| {
                    let [_, u, v] = yuv_at(pair * 2, y);
                    let parts = [luma(pair * 2, y), u, luma(pair * 2 + 1, y), v];
                    order.map(|part| parts[part])
                };
                (0..pairs).flat_map(pair).collect()
            }
        };
        let row = |y: u32| -> Vec<u8> {
            match format {
                PixelFormat::Yuyv => packed([0, 1, 2, 3])(y),
                PixelFormat::Uyvy => packed([1, 0, 3, 2])(y),
                PixelFormat::Rgb => (0..width).flat_map(|x| yuv_at(x, y)).collect(),
                PixelFormat::Bgr => (0..width)
                    .flat_map(|x| {
                        let [r, g, b] = yuv_at(x, y);
                        [b, g, r]
                    })
                    .collect(),
                _ => (0..width).map(|x| luma(x, y)).collect(),
            }
        };
        // With an odd width, a row of NV12 chroma is a byte longer than its row of luma.
        let least = row(0).len() as u32 + width % 2;
        let stride = if padding == 0 {
            row(0).len() as u32
        } else {
            (least + padding) / 2 * 2
        };
        let pad = |mut bytes: Vec<u8>, stride: u32| {
            bytes.resize(bytes.len().max(stride as usize), 0xee);
            bytes
        };
        let mut bytes: Vec<u8> = (0..height).flat_map(|y| pad(row(y), stride)).collect();
        let chroma =
            |part: usize, y: u32| (0..pairs).map(move |pair| yuv_at(pair * 2, y * 2)[part]);
        let down = height.div_ceil(2);
        match format {
            PixelFormat::Nv12 => bytes.extend((0..down).flat_map(|y| {
                let both = chroma(1, y).zip(chroma(2, y)).flat_map(|(u, v)| [u, v]);
                pad(both.collect(), stride)
            })),
            PixelFormat::Yu12 => bytes.extend([1, 2].into_iter().flat_map(|part| {
                (0..down).flat_map(move |y| pad(chroma(part, y).collect(), stride.div_ceil(2)))
            })),
            _ => {}
        }
        (bytes, stride)
    }

    #[test]
    fn every_format_is_converted_with_any_padding_and_size() {
        let sizes = [(8, 6), (7, 5), (1, 1), (2, 3), (33, 2)];
        for format in FORMATS {
            for ((width, height), padding) in sizes
                .into_iter()
                .flat_map(|size| [(size, 0), (size, 2), (size, 64)])
            {
                let (bytes, stride) = encoded(format, width, height, padding);
                let layout = layout(format, width, height, stride);
                let picture = to_rgb(&layout, &bytes, (1, 1)).expect("complete");
                assert_eq!(picture.dimensions(), (width, height));
                for (x, y, pixel) in picture.enumerate_pixels() {
                    let yuv = yuv_at(x, y);
                    let expected = match format {
                        PixelFormat::Rgb | PixelFormat::Bgr => yuv,
                        PixelFormat::Gray => [yuv[0]; 3],
                        _ => {
                            decoded(PixelFormat::Yuyv, &[yuv[0], yuv[1], yuv[0], yuv[2]], (1, 1))
                                .get_pixel(0, 0)
                                .0
                        }
                    };
                    assert_eq!(pixel.0, expected, "{layout:?} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn the_colors_of_a_test_card_are_right() {
        for ([y, u, v], rgb) in COLORS {
            let planes = [vec![y; 8], [u, v].repeat(2)].concat();
            let pictures = [
                decoded(PixelFormat::Yuyv, &[y, u, y, v].repeat(4), (4, 2)),
                decoded(PixelFormat::Uyvy, &[u, y, v, y].repeat(4), (4, 2)),
                decoded(PixelFormat::Nv12, &planes, (4, 2)),
                decoded(
                    PixelFormat::Yu12,
                    &[&[y; 8][..], &[u, u, v, v]].concat(),
                    (4, 2),
                ),
            ];
            for picture in pictures {
                picture.pixels().for_each(|pixel| assert_near(pixel, rgb));
            }
        }
    }

    #[test]
    fn rgb_bgr_and_grey_are_converted() {
        let bytes = [10, 20, 30, 40, 50, 60, 99];
        let raw = |format, bytes| decoded(format, bytes, (2, 1)).into_raw();
        assert_eq!(raw(PixelFormat::Rgb, &bytes), [10, 20, 30, 40, 50, 60]);
        assert_eq!(raw(PixelFormat::Bgr, &bytes), [30, 20, 10, 60, 50, 40]);
        assert_eq!(raw(PixelFormat::Gray, &bytes), [10, 10, 10, 20, 20, 20]);
    }

    #[test]
    fn a_jpeg_frame_with_trailing_bytes_is_decoded() {
        let picture = RgbImage::from_pixel(16, 8, Rgb([200, 30, 30]));
        let mut bytes = crate::picture::encode_jpeg(&picture, 75).expect("encoded");
        bytes.extend([7; 300]);
        let picture = decoded(PixelFormat::Mjpeg, &bytes, (16, 8));
        assert_eq!(picture.dimensions(), (16, 8));
        assert_near(picture.get_pixel(8, 4), [200, 30, 30]);
        let cut = to_rgb(&layout(PixelFormat::Mjpeg, 16, 8, 0), &bytes[..20], (1, 1));
        assert!(cut.is_err());
    }

    #[test]
    fn a_frame_with_too_few_bytes_is_an_error() {
        for format in FORMATS {
            for padding in [0, 8] {
                let (bytes, stride) = encoded(format, 5, 4, padding);
                let layout = layout(format, 5, 4, stride);
                let expected = layout.frame_bytes() as usize;
                assert!(expected <= bytes.len());
                assert!(
                    to_rgb(&layout, &bytes[..expected], (1, 1)).is_ok(),
                    "{layout:?}"
                );
                let error = to_rgb(&layout, &bytes[..expected - 1], (1, 1)).expect_err("too few");
                let message = error.to_string();
                let counts = format!("needs {expected} bytes, but the frame has {}", expected - 1);
                assert!(message.contains(&counts), "{message}");
                assert!(to_rgb(&layout, &[], (1, 1)).is_err());
            }
        }
    }

    #[test]
    fn driver_values_select_the_matrix_and_range() {
        let bt601 = |range| YuvMatrix::new(0.299, 0.114, range);
        let bt709 = |range| YuvMatrix::new(0.2126, 0.0722, range);
        // Color space, encoding and quantization.
        let cases = [
            ((0, 0, 0), bt601(Range::Limited)),
            ((8, 0, 0), bt601(Range::Limited)),
            ((8, 1, 1), bt601(Range::Full)),
            ((7, 0, 0), bt601(Range::Full)),
            ((7, 0, 2), bt601(Range::Limited)),
            ((3, 0, 0), bt709(Range::Limited)),
            ((8, 2, 0), bt709(Range::Limited)),
            ((3, 2, 1), bt709(Range::Full)),
            ((3, 1, 0), bt601(Range::Limited)),
        ];
        for ((colorspace, encoding, quantization), expected) in cases {
            assert_eq!(yuv_matrix(colorspace, encoding, quantization), expected);
        }
    }

    #[test]
    fn greys_stay_grey_in_every_encoding() {
        for (colorspace, encoding) in [(0, 0), (2, 0), (3, 0), (10, 0), (0, 6), (0, 8), (99, 99)] {
            let limited = yuv_matrix(colorspace, encoding, 2);
            assert_eq!(limited.pixel(16, limited.chroma_terms(128, 128)), [0; 3]);
            assert_eq!(limited.pixel(235, limited.chroma_terms(128, 128)), [255; 3]);
            let full = yuv_matrix(colorspace, encoding, 1);
            for grey in [0, 1, 77, 254, 255] {
                assert_eq!(full.pixel(grey, full.chroma_terms(128, 128)), [grey; 3]);
            }
        }
    }
}
