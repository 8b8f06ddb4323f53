//! What a camera sends, as RGB.
//!
//! YUV is taken as BT.601 with limited range (luma 16 to 235), as nearly all USB cameras send it.

use image::{ImageFormat, Rgb, RgbImage};

use super::mode::PixelFormat;

/// The picture, or `None` when the bytes are too few or broken. Bytes behind the picture are left.
pub(super) fn to_rgb(
    format: PixelFormat,
    bytes: &[u8],
    width: u32,
    height: u32,
) -> Option<RgbImage> {
    match format {
        PixelFormat::Mjpeg => mjpeg(bytes, width, height),
        PixelFormat::Yuyv => yuyv(bytes, width, height),
        PixelFormat::Nv12 => nv12(bytes, width, height),
        PixelFormat::Rgb => packed(bytes, width, height, |p| [p[0], p[1], p[2]]),
        PixelFormat::Bgr => packed(bytes, width, height, |p| [p[2], p[1], p[0]]),
        PixelFormat::Gray => {
            let pixels = bytes.get(..width as usize * height as usize)?;
            let rgb = pixels.iter().flat_map(|&grey| [grey; 3]).collect();
            RgbImage::from_raw(width, height, rgb)
        }
    }
}

/// The lenient decoder: a frame with one bad spot is better than none, the next comes soon.
fn mjpeg(bytes: &[u8], width: u32, height: u32) -> Option<RgbImage> {
    let picture = image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).ok()?;
    let picture = picture.into_rgb8();
    (picture.dimensions() == (width, height)).then_some(picture)
}

/// Two pixels in four bytes: Y0 U Y1 V.
fn yuyv(bytes: &[u8], width: u32, height: u32) -> Option<RgbImage> {
    // A row is a whole number of pairs.
    let row = (width as usize).div_ceil(2) * 4;
    let rows = bytes.get(..row * height as usize)?;
    Some(RgbImage::from_fn(width, height, |x, y| {
        let pair = y as usize * row + x as usize / 2 * 4;
        let luma = rows[pair + x as usize % 2 * 2];
        yuv(luma, rows[pair + 1], rows[pair + 3])
    }))
}

/// All Y, then U and V in turn for each square of two by two pixels.
fn nv12(bytes: &[u8], width: u32, height: u32) -> Option<RgbImage> {
    let (across, down) = (width as usize, height as usize);
    let chroma_row = across.div_ceil(2) * 2;
    let (luma, chroma) = bytes.split_at_checked(across * down)?;
    let chroma = chroma.get(..chroma_row * down.div_ceil(2))?;
    Some(RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let pair = y / 2 * chroma_row + x / 2 * 2;
        yuv(luma[y * across + x], chroma[pair], chroma[pair + 1])
    }))
}

fn packed(
    bytes: &[u8],
    width: u32,
    height: u32,
    rgb: impl Fn(&[u8]) -> [u8; 3],
) -> Option<RgbImage> {
    let pixels = bytes.get(..width as usize * height as usize * 3)?;
    RgbImage::from_raw(
        width,
        height,
        pixels.chunks_exact(3).flat_map(rgb).collect(),
    )
}

/// BT.601, limited range, in 8-bit fixed point.
fn yuv(luma: u8, u: u8, v: u8) -> Rgb<u8> {
    let luma = 298 * (i32::from(luma) - 16) + 128;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let sums = [luma + 409 * v, luma - 100 * u - 208 * v, luma + 516 * u];
    Rgb(sums.map(|sum| (sum >> 8).clamp(0, 255) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours of a test card, as YUV in BT.601 with limited range and as RGB.
    const COLOURS: [([u8; 3], [u8; 3]); 8] = [
        ([16, 128, 128], [0, 0, 0]),
        ([235, 128, 128], [255, 255, 255]),
        ([126, 128, 128], [128, 128, 128]),
        ([81, 90, 240], [255, 0, 0]),
        ([145, 54, 34], [0, 255, 0]),
        ([41, 240, 110], [0, 0, 255]),
        ([210, 16, 146], [255, 255, 0]),
        ([170, 166, 16], [0, 255, 255]),
    ];

    #[track_caller]
    fn assert_near(found: &Rgb<u8>, expected: [u8; 3]) {
        let is_near = found
            .0
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(is_near, "{found:?}, not {expected:?}");
    }

    #[test]
    fn colours_of_a_test_card_come_out_right() {
        for ([y, u, v], rgb) in COLOURS {
            assert_near(&yuv(y, u, v), rgb);
            let yuyv = to_rgb(PixelFormat::Yuyv, &[y, u, y, v].repeat(4), 4, 2).expect("whole");
            let planes = [vec![y; 8], [u, v].repeat(2)].concat();
            let nv12 = to_rgb(PixelFormat::Nv12, &planes, 4, 2).expect("whole");
            for picture in [yuyv, nv12] {
                assert_eq!(picture.dimensions(), (4, 2));
                picture.pixels().for_each(|pixel| assert_near(pixel, rgb));
            }
        }
    }

    #[test]
    fn each_pixel_has_its_own_brightness_and_shares_its_colour() {
        // Left pair red, right pair blue, the second pixel of each black.
        let row = [81, 90, 16, 240, 41, 240, 16, 110];
        let picture = to_rgb(PixelFormat::Yuyv, &row, 4, 1).expect("whole");
        assert_near(picture.get_pixel(0, 0), [255, 0, 0]);
        assert!(picture.get_pixel(1, 0)[0] > picture.get_pixel(1, 0)[2]);
        assert_near(picture.get_pixel(2, 0), [0, 0, 255]);
        // Upper left square red, upper right blue, below them grey.
        let luma = [81, 81, 41, 41, 81, 81, 41, 41, 126, 126, 126, 126];
        let chroma = [90, 240, 240, 110, 128, 128, 128, 128];
        let bytes = [&luma[..], &chroma[..]].concat();
        let picture = to_rgb(PixelFormat::Nv12, &bytes, 4, 3).expect("whole");
        assert_near(picture.get_pixel(1, 1), [255, 0, 0]);
        assert_near(picture.get_pixel(2, 1), [0, 0, 255]);
        assert_near(picture.get_pixel(3, 2), [128; 3]);
    }

    #[test]
    fn packed_formats_are_put_in_order() {
        let bytes = [10, 20, 30, 40, 50, 60, 99];
        let rgb = to_rgb(PixelFormat::Rgb, &bytes, 2, 1).expect("whole");
        assert_eq!(rgb.into_raw(), [10, 20, 30, 40, 50, 60]);
        let bgr = to_rgb(PixelFormat::Bgr, &bytes, 2, 1).expect("whole");
        assert_eq!(bgr.into_raw(), [30, 20, 10, 60, 50, 40]);
        let grey = to_rgb(PixelFormat::Gray, &bytes, 2, 1).expect("whole");
        assert_eq!(grey.into_raw(), [10, 10, 10, 20, 20, 20]);
    }

    #[test]
    fn a_jpeg_frame_is_decoded_whatever_stands_behind_it() {
        let picture = RgbImage::from_pixel(16, 8, Rgb([200, 30, 30]));
        let mut file = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut file, ImageFormat::Jpeg)
            .expect("encoded");
        let mut bytes = file.into_inner();
        bytes.extend([7; 300]);
        let decoded = to_rgb(PixelFormat::Mjpeg, &bytes, 16, 8).expect("whole");
        assert_near(decoded.get_pixel(8, 4), [200, 30, 30]);
        assert!(
            to_rgb(PixelFormat::Mjpeg, &bytes, 16, 16).is_none(),
            "another size"
        );
    }

    #[test]
    fn too_few_bytes_are_no_picture() {
        let sizes = [
            (PixelFormat::Yuyv, 40),
            (PixelFormat::Nv12, 30),
            (PixelFormat::Rgb, 60),
            (PixelFormat::Bgr, 60),
            (PixelFormat::Gray, 20),
            (PixelFormat::Mjpeg, 1000),
        ];
        for (format, length) in sizes {
            let bytes = vec![128; length];
            assert!(
                to_rgb(format, &bytes[..length - 1], 5, 4).is_none(),
                "{format:?}"
            );
        }
        assert!(
            to_rgb(PixelFormat::Yuyv, &[128; 48], 5, 4).is_some(),
            "three pairs a row"
        );
    }
}
