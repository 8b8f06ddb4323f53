//! Copies an image into the memory of a screen: rotated, centered, line by line.
//!
//! Bytes between the lines and around the visible part are never written.

use image::RgbImage;
use thiserror::Error;

use super::fb_ioctl::{FixInfo, ScreenMemory, VarInfo};
use super::screen_format::ScreenFormat;
use crate::rotation::Rotation;

/// The memory of a screen, or a test's.
pub(super) trait PixelMemory {
    /// Copies bytes to that offset.
    fn write(&mut self, offset: usize, bytes: &[u8]);
}

impl PixelMemory for ScreenMemory {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.write(offset, bytes);
    }
}

/// A geometry that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "its driver reports {width} x {height} pixels at {x}, {y} in lines of {stride} bytes, which don't fit in its \
     {length} bytes of memory"
)]
pub(super) struct GeometryError {
    width: usize,
    height: usize,
    x: usize,
    y: usize,
    stride: usize,
    length: usize,
}

/// The visible part of a screen's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// In pixels, as the height.
    width: usize,
    height: usize,
    /// Bytes from one line to the next.
    stride: usize,
    /// Offset of the first visible byte of the first page.
    start: usize,
    /// Bytes from one page to the next, if there are two.
    page: usize,
}

impl Geometry {
    /// The geometry that the kernel reports, with `pages` pages of `pixel` bytes per pixel.
    pub(super) fn new(
        var: &VarInfo,
        fix: &FixInfo,
        pixel: usize,
        pages: usize,
    ) -> Result<Self, GeometryError> {
        let [width, height, x, y, stride, length] = [
            var.width,
            var.height,
            var.x_offset,
            // With two pages, the first is at the start of the memory, whatever part was visible before.
            if pages > 1 { 0 } else { var.y_offset },
            fix.line_length,
            fix.memory_length,
        ]
        .map(|number| number as usize);
        let end_of_line = x.checked_add(width).and_then(|end| end.checked_mul(pixel));
        let fits_line = end_of_line.is_some_and(|end| end <= stride);
        let lines = height.checked_mul(pages).and_then(|all| all.checked_add(y));
        let end = lines.and_then(|lines| lines.checked_mul(stride));
        let fits_memory = end.is_some_and(|end| end <= length);
        if width == 0 || height == 0 || !fits_line || !fits_memory {
            return Err(GeometryError {
                width,
                height,
                x,
                y,
                stride,
                length,
            });
        }
        Ok(Self {
            width,
            height,
            stride,
            start: y * stride + x * pixel,
            page: height * stride,
        })
    }

    /// Width and height of the largest image, before it is rotated, that fits the screen.
    pub(super) fn viewport(&self, rotation: Rotation) -> (u32, u32) {
        // Both were `u32`.
        let (width, height) = (self.width as u32, self.height as u32);
        rotated((width, height), rotation)
    }

    fn line(&self, page: usize, row: usize) -> usize {
        self.start + page * self.page + row * self.stride
    }
}

/// Width and height after a rotation.
fn rotated((width, height): (u32, u32), rotation: Rotation) -> (u32, u32) {
    match rotation {
        Rotation::None | Rotation::Half => (width, height),
        Rotation::Quarter | Rotation::ThreeQuarters => (height, width),
    }
}

/// Fills a page of the screen with black.
pub(super) fn clear(
    format: &ScreenFormat,
    geometry: &Geometry,
    page: usize,
    memory: &mut impl PixelMemory,
) {
    let mut line = vec![0; geometry.width * format.bytes()];
    format.convert(std::iter::repeat([0; 3]), &mut line);
    for row in 0..geometry.height {
        memory.write(geometry.line(page, row), &line);
    }
}

/// Copies an image, rotated, into the center of a page. An image that is larger than [`Geometry::viewport`] is not
/// copied.
pub(super) fn put(
    image: &RgbImage,
    rotation: Rotation,
    format: &ScreenFormat,
    geometry: &Geometry,
    page: usize,
    memory: &mut impl PixelMemory,
) {
    let (width, height) = rotated(image.dimensions(), rotation);
    let (width, height) = (width as usize, height as usize);
    if width == 0 || width > geometry.width || height > geometry.height {
        return;
    }
    let left = (geometry.width - width) / 2 * format.bytes();
    let top = (geometry.height - height) / 2;
    let mut line = vec![0; width * format.bytes()];
    for row in 0..height {
        convert_line(image, rotation, row, format, &mut line);
        memory.write(geometry.line(page, top + row) + left, &line);
    }
}

/// Converts one line of the rotated image.
fn convert_line(
    image: &RgbImage,
    rotation: Rotation,
    row: usize,
    format: &ScreenFormat,
    line: &mut [u8],
) {
    let pixels = image.as_raw().as_chunks::<3>().0;
    let width = image.width() as usize;
    let along = |row: usize| pixels[row * width..][..width].iter().copied();
    let down = |column: usize| pixels[column..].iter().step_by(width).copied();
    match rotation {
        Rotation::None => format.convert(along(row), line),
        Rotation::Half => {
            let row = image.height() as usize - 1 - row;
            format.convert(along(row).rev(), line);
        }
        Rotation::Quarter => format.convert(down(row).rev(), line),
        Rotation::ThreeQuarters => format.convert(down(width - 1 - row), line),
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::super::fb_ioctl::test_screen;
    use super::*;

    const UNWRITTEN: u8 = 0xEE;
    const ALL: [Rotation; 4] = [
        Rotation::None,
        Rotation::Quarter,
        Rotation::Half,
        Rotation::ThreeQuarters,
    ];

    /// A memory that panics when something outside of its visible part is written.
    struct StrictMemory {
        bytes: Vec<u8>,
        visible: Vec<std::ops::Range<usize>>,
    }

    impl PixelMemory for StrictMemory {
        fn write(&mut self, at: usize, bytes: &[u8]) {
            let range = at..at + bytes.len();
            let inside =
                |line: &std::ops::Range<usize>| line.start <= range.start && range.end <= line.end;
            assert!(self.visible.iter().any(inside), "{range:?} is not visible");
            self.bytes[range].copy_from_slice(bytes);
        }
    }

    /// A screen of 7 x 5 pixels at 2, 1 in a larger memory with gaps between the lines.
    fn strict(bits: u32, channels: [(u32, u32); 4]) -> (ScreenFormat, Geometry, StrictMemory) {
        let (mut var, mut fix) = test_screen(bits, channels);
        (var.width, var.height, var.x_offset, var.y_offset) = (7, 5, 2, 1);
        let pixel = bits / 8;
        fix.line_length = 12 * pixel + 1;
        fix.memory_length = fix.line_length * 8;
        let format = ScreenFormat::new(&var, &fix).expect("valid");
        let geometry = Geometry::new(&var, &fix, format.bytes(), 1).expect("valid");
        let line = |row: u32| {
            let start = (row * fix.line_length + 2 * pixel) as usize;
            start..start + 7 * pixel as usize
        };
        let memory = StrictMemory {
            bytes: vec![UNWRITTEN; fix.memory_length as usize],
            visible: (1..6).map(line).collect(),
        };
        (format, geometry, memory)
    }

    /// An image whose pixels all differ.
    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 + 1, y as u8 + 1, 9]))
    }

    /// The rotation by the crate `image`.
    fn reference(picture: &RgbImage, rotation: Rotation) -> RgbImage {
        use image::imageops::{rotate90, rotate180, rotate270};
        match rotation {
            Rotation::None => picture.clone(),
            Rotation::Quarter => rotate90(picture),
            Rotation::Half => rotate180(picture),
            Rotation::ThreeQuarters => rotate270(picture),
        }
    }

    #[test]
    fn a_rotated_image_is_centered_and_nothing_else_is_written() {
        let layouts = [
            (32, [(16, 8), (8, 8), (0, 8), (0, 0)]),
            (32, [(0, 8), (8, 8), (16, 8), (24, 8)]),
            (24, [(16, 8), (8, 8), (0, 8), (0, 0)]),
        ];
        for (bits, channels) in layouts {
            for rotation in ALL {
                let (format, geometry, mut memory) = strict(bits, channels);
                let (width, height) = geometry.viewport(rotation);
                let picture = picture(width - 2, height - 1);
                clear(&format, &geometry, 0, &mut memory);
                put(&picture, rotation, &format, &geometry, 0, &mut memory);
                let expected = reference(&picture, rotation);
                let offset = ((7 - expected.width()) / 2, (5 - expected.height()) / 2);
                let mut whole = RgbImage::new(7, 5);
                image::imageops::replace(&mut whole, &expected, offset.0.into(), offset.1.into());
                let (_, _, mut wanted) = strict(bits, channels);
                for (range, row) in wanted.visible.iter().zip(whole.rows()) {
                    let row = row.map(|pixel| pixel.0);
                    format.convert(row, &mut wanted.bytes[range.clone()]);
                }
                assert_eq!(memory.bytes, wanted.bytes, "{bits} bits, {rotation:?}");
            }
        }
    }

    #[test]
    fn an_image_can_fill_the_screen() {
        let rgb565 = [(11, 5), (5, 6), (0, 5), (0, 0)];
        let (format, geometry, mut memory) = strict(16, rgb565);
        let white = RgbImage::from_pixel(7, 5, Rgb([255; 3]));
        put(&white, Rotation::None, &format, &geometry, 0, &mut memory);
        for range in &memory.visible {
            assert_eq!(memory.bytes[range.clone()], [0xFF; 14]);
        }
        let written = memory.bytes.iter().filter(|byte| **byte != UNWRITTEN);
        assert_eq!(written.count(), 7 * 5 * 2);
    }

    #[test]
    fn an_image_that_is_too_large_is_not_copied() {
        let (format, geometry, mut memory) = strict(16, [(11, 5), (5, 6), (0, 5), (0, 0)]);
        for size in [(8, 5), (7, 6), (0, 0), (5, 0)] {
            let picture = picture(size.0, size.1);
            put(&picture, Rotation::None, &format, &geometry, 0, &mut memory);
        }
        assert!(memory.bytes.iter().all(|byte| *byte == UNWRITTEN));
    }

    #[test]
    fn the_second_page_follows_the_first() {
        let (mut var, mut fix) = test_screen(16, [(11, 5), (5, 6), (0, 5), (0, 0)]);
        (var.width, var.height, var.y_offset) = (3, 2, 2);
        fix.line_length = 8;
        fix.memory_length = 32;
        let format = ScreenFormat::new(&var, &fix).expect("valid");
        let geometry = Geometry::new(&var, &fix, 2, 2).expect("valid");
        let mut memory = StrictMemory {
            bytes: vec![UNWRITTEN; 32],
            visible: vec![16..22, 24..30],
        };
        clear(&format, &geometry, 1, &mut memory);
        assert_eq!(
            memory.bytes[16..24],
            [0, 0, 0, 0, 0, 0, UNWRITTEN, UNWRITTEN]
        );
    }

    #[test]
    fn a_geometry_that_does_not_fit_is_refused() {
        let (mut var, mut fix) = test_screen(32, [(16, 8), (8, 8), (0, 8), (0, 0)]);
        (var.width, var.height) = (10, 10);
        (fix.line_length, fix.memory_length) = (40, 400);
        assert!(Geometry::new(&var, &fix, 4, 1).is_ok());
        assert!(Geometry::new(&var, &fix, 4, 2).is_err());
        let wrong: [fn(&mut VarInfo, &mut FixInfo); 7] = [
            |var, _| var.width = 11,
            |var, _| var.width = 0,
            |var, _| var.height = u32::MAX,
            |var, _| var.x_offset = u32::MAX,
            |var, _| var.y_offset = 1,
            |_, fix| fix.line_length = 39,
            |_, fix| fix.memory_length = 399,
        ];
        for change in wrong {
            let (mut var, mut fix) = (var, fix);
            change(&mut var, &mut fix);
            let error = Geometry::new(&var, &fix, 4, 1)
                .expect_err("refused")
                .to_string();
            assert!(error.contains("don't fit"), "{error}");
        }
    }
}
