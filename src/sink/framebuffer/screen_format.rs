//! The pixel format of a screen: 16, 24 or 32 bits per pixel, with the channels in any order and of any width.
//!
//! An unsupported format is refused at construction, so that conversion cannot fail.

use thiserror::Error;

use super::fb_ioctl::{BitField, FixInfo, VarInfo};

const PACKED_PIXELS: u32 = 0;
const TRUE_COLOR: u32 = 2;
const DIRECT_COLOR: u32 = 4;

/// A pixel format that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum FormatError {
    #[error(
        "its pixel format (type {kind}, visual {visual}, {bits} bits) is not supported; boxcam needs true color with \
         16, 24 or 32 bits"
    )]
    Kind { kind: u32, visual: u32, bits: u32 },
    #[error(
        "it has {bits} bits per pixel and boxcam needs 16, 24 or 32; `fbset -depth 16` may change it"
    )]
    Depth { bits: u32 },
    #[error(
        "a color channel of {length} bits at bit {offset} in a pixel of {bits} bits is not supported"
    )]
    Channel { length: u32, offset: u32, bits: u32 },
}

/// Converts RGB pixels to the screen's format.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScreenFormat {
    /// Bytes per pixel.
    bytes: usize,
    /// The bits of each value of red, green and blue; those of red include `opaque`.
    tables: [[u32; 256]; 3],
    /// The bits of a fully opaque alpha channel, set in every pixel.
    opaque: u32,
    is_bgrx: bool,
}

impl ScreenFormat {
    /// The format that the kernel reports.
    pub(super) fn new(var: &VarInfo, fix: &FixInfo) -> Result<Self, FormatError> {
        let bits = var.bits_per_pixel;
        let is_plain = fix.kind == PACKED_PIXELS && var.nonstandard == 0 && var.grayscale == 0;
        if !is_plain || ![TRUE_COLOR, DIRECT_COLOR].contains(&fix.visual) {
            return Err(FormatError::Kind {
                kind: fix.kind,
                visual: fix.visual,
                bits,
            });
        }
        if ![16, 24, 32].contains(&bits) {
            return Err(FormatError::Depth { bits });
        }
        let colors = [var.red, var.green, var.blue];
        for channel in colors {
            check(channel, bits)?;
        }
        let opaque = if var.alpha.length > 0 && check(var.alpha, bits).is_ok() {
            max_value(var.alpha) << var.alpha.offset
        } else {
            0
        };
        let eight = |offset| BitField {
            offset,
            length: 8,
            msb_right: 0,
        };
        let mut tables = colors.map(table);
        for entry in &mut tables[0] {
            *entry |= opaque;
        }
        Ok(Self {
            bytes: bits as usize / 8,
            tables,
            opaque,
            is_bgrx: bits == 32 && colors == [eight(16), eight(8), eight(0)],
        })
    }

    /// Bytes per pixel: 2, 3 or 4.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Converts pixels into `line` until either ends.
    pub(super) fn convert(&self, pixels: impl Iterator<Item = [u8; 3]>, line: &mut [u8]) {
        match self.bytes {
            2 => self.fill::<2>(pixels, line, |value| {
                // The tables have 16 bits only.
                (value as u16).to_ne_bytes()
            }),
            3 => self.fill::<3>(pixels, line, |value| {
                let [a, b, c, d] = value.to_ne_bytes();
                if cfg!(target_endian = "big") {
                    [b, c, d]
                } else {
                    [a, b, c]
                }
            }),
            _ if self.is_bgrx => {
                for (cell, [red, green, blue]) in line.as_chunks_mut().0.iter_mut().zip(pixels) {
                    let value = u32::from_be_bytes([0, red, green, blue]) | self.opaque;
                    *cell = value.to_ne_bytes();
                }
            }
            _ => self.fill::<4>(pixels, line, u32::to_ne_bytes),
        }
    }

    fn fill<const N: usize>(
        &self,
        pixels: impl Iterator<Item = [u8; 3]>,
        line: &mut [u8],
        bytes: impl Fn(u32) -> [u8; N],
    ) {
        let [reds, greens, blues] = &self.tables;
        for (cell, [red, green, blue]) in line.as_chunks_mut::<N>().0.iter_mut().zip(pixels) {
            let color = reds[red as usize] | greens[green as usize] | blues[blue as usize];
            *cell = bytes(color);
        }
    }
}

/// A channel must be inside of its pixel.
fn check(channel: BitField, bits: u32) -> Result<(), FormatError> {
    let end = channel.offset.checked_add(channel.length);
    let fits = end.is_some_and(|end| end <= bits) && (1..=16).contains(&channel.length);
    if fits && channel.msb_right == 0 {
        Ok(())
    } else {
        Err(FormatError::Channel {
            length: channel.length,
            offset: channel.offset,
            bits,
        })
    }
}

const fn max_value(channel: BitField) -> u32 {
    (1 << channel.length) - 1
}

/// The bits of each 8-bit value in a channel, rounded to the nearest.
fn table(channel: BitField) -> [u32; 256] {
    let mut table = [0; 256];
    for (value, entry) in (0..).zip(&mut table) {
        *entry = ((value * max_value(channel) + 127) / 255) << channel.offset;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::fb_ioctl::test_screen;
    use super::*;

    type Case = (&'static str, u32, [(u32, u32); 4], [u8; 3], &'static [u8]);

    #[test]
    #[cfg(target_endian = "little")]
    fn each_format_has_its_byte_order() {
        let orange = [0xFF, 0x80, 0x10];
        let cases: [Case; 12] = [
            (
                "RGB565",
                16,
                [(11, 5), (5, 6), (0, 5), (0, 0)],
                orange,
                &[0x02, 0xFC],
            ),
            (
                "BGR565",
                16,
                [(0, 5), (5, 6), (11, 5), (0, 0)],
                orange,
                &[0x1F, 0x14],
            ),
            (
                "RGB555",
                16,
                [(10, 5), (5, 5), (0, 5), (0, 0)],
                orange,
                &[0x02, 0x7E],
            ),
            (
                "ARGB1555",
                16,
                [(10, 5), (5, 5), (0, 5), (15, 1)],
                orange,
                &[0x02, 0xFE],
            ),
            (
                "RGB444",
                16,
                [(8, 4), (4, 4), (0, 4), (0, 0)],
                orange,
                &[0x81, 0x0F],
            ),
            (
                "RGB888",
                24,
                [(16, 8), (8, 8), (0, 8), (0, 0)],
                orange,
                &[0x10, 0x80, 0xFF],
            ),
            (
                "BGR888",
                24,
                [(0, 8), (8, 8), (16, 8), (0, 0)],
                orange,
                &[0xFF, 0x80, 0x10],
            ),
            (
                "XRGB8888",
                32,
                [(16, 8), (8, 8), (0, 8), (0, 0)],
                orange,
                &[0x10, 0x80, 0xFF, 0],
            ),
            (
                "ARGB8888",
                32,
                [(16, 8), (8, 8), (0, 8), (24, 8)],
                orange,
                &[0x10, 0x80, 0xFF, 0xFF],
            ),
            (
                "XBGR8888",
                32,
                [(0, 8), (8, 8), (16, 8), (0, 0)],
                orange,
                &[0xFF, 0x80, 0x10, 0],
            ),
            (
                "RGBA8888",
                32,
                [(24, 8), (16, 8), (8, 8), (0, 8)],
                orange,
                &[0xFF, 0x10, 0x80, 0xFF],
            ),
            // 1023, 514 and 64 of 1023.
            (
                "XRGB2101010",
                32,
                [(20, 10), (10, 10), (0, 10), (0, 0)],
                orange,
                &[0x40, 0x08, 0xF8, 0x3F],
            ),
        ];
        for (name, bits, channels, pixel, expected) in cases {
            let (var, fix) = test_screen(bits, channels);
            let format = ScreenFormat::new(&var, &fix).expect(name);
            let mut line = vec![0; format.bytes()];
            format.convert([pixel].into_iter(), &mut line);
            assert_eq!(line, expected, "{name}: {line:02X?}");
        }
    }

    #[test]
    fn black_and_white_are_the_extreme_values() {
        for length in 1..=10 {
            let table = table(BitField {
                offset: 3,
                length,
                msb_right: 0,
            });
            assert_eq!((table[0], table[255]), (0, ((1 << length) - 1) << 3));
            assert!(table.is_sorted());
        }
    }

    #[test]
    fn unsupported_formats_are_refused_with_a_reason() {
        let rgb = [(16, 8), (8, 8), (0, 8), (0, 0)];
        let supported = test_screen(32, rgb);
        let refused = |(var, fix): (VarInfo, FixInfo)| {
            let error = ScreenFormat::new(&var, &fix).expect_err("refused");
            error.to_string()
        };
        for bits in [1, 8, 15, 64] {
            assert!(refused(test_screen(bits, rgb)).contains(&format!("{bits} bits")));
        }
        // Monochrome and palettes.
        for visual in [0, 1, 3, 5, 6] {
            let fix = FixInfo {
                visual,
                ..supported.1
            };
            assert!(refused((supported.0, fix)).contains(&format!("visual {visual}")));
        }
        let planes = FixInfo {
            kind: 1,
            ..supported.1
        };
        assert!(refused((supported.0, planes)).contains("type 1"));
        let gray = VarInfo {
            grayscale: 1,
            ..supported.0
        };
        assert!(refused((gray, supported.1)).contains("not supported"));
        assert!(refused(test_screen(16, rgb)).contains("8 bits at bit 16"));
        assert!(refused(test_screen(32, [(u32::MAX, 8); 4])).contains("bits at bit"));
        assert!(refused(test_screen(32, [(0, 0); 4])).contains("0 bits"));
    }
}
