//! How a screen keeps a pixel: 16, 24 or 32 bits with the channels in any order and of any width.
//!
//! In go pixels of three bytes, out come the screen's bytes. A format that boxcam can't serve is refused with
//! words when it is made, so that converting can't fail.

use super::kernel::{BitField, FixInfo, VarInfo};

const PACKED_PIXELS: u32 = 0;
const TRUE_COLOUR: u32 = 2;
const DIRECT_COLOUR: u32 = 4;

/// A pixel format, made ready for converting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PixelFormat {
    bytes: usize,
    /// What each value of red, green and blue adds to a pixel; red brings what is opaque with it.
    tables: [[u32; 256]; 3],
    /// What is set in every pixel: an alpha channel, so that the picture is seen.
    opaque: u32,
    is_bgrx: bool,
}

impl PixelFormat {
    /// The format that the kernel tells of.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn new(var: &VarInfo, fix: &FixInfo) -> Result<Self, String> {
        let is_plain = fix.kind == PACKED_PIXELS && var.nonstandard == 0 && var.grayscale == 0;
        if !is_plain || ![TRUE_COLOUR, DIRECT_COLOUR].contains(&fix.visual) {
            return Err(format!(
                "its pixels are of a kind that boxcam doesn't know (type {}, visual {}, {} bits); it needs true \
                 colour with 16, 24 or 32 bits",
                fix.kind, fix.visual, var.bits_per_pixel
            ));
        }
        if ![16, 24, 32].contains(&var.bits_per_pixel) {
            return Err(format!(
                "it has {} bits a pixel and boxcam needs 16, 24 or 32; `fbset -depth 16` may change it",
                var.bits_per_pixel
            ));
        }
        let colours = [var.red, var.green, var.blue];
        for channel in colours {
            check(channel, var.bits_per_pixel)?;
        }
        let opaque = if var.alpha.length > 0 && check(var.alpha, var.bits_per_pixel).is_ok() {
            most(var.alpha) << var.alpha.offset
        } else {
            0
        };
        let eight = |offset| BitField {
            offset,
            length: 8,
            msb_right: 0,
        };
        let mut tables = colours.map(table);
        for entry in &mut tables[0] {
            *entry |= opaque;
        }
        Ok(Self {
            bytes: var.bits_per_pixel as usize / 8,
            tables,
            opaque,
            is_bgrx: var.bits_per_pixel == 32 && colours == [eight(16), eight(8), eight(0)],
        })
    }

    /// Bytes of a pixel: 2, 3 or 4.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes pixels one after the other, as many as there are or as `line` holds.
    pub(super) fn convert(&self, pixels: impl Iterator<Item = [u8; 3]>, line: &mut [u8]) {
        match self.bytes {
            2 => self.fill::<2>(pixels, line, |value| {
                // The tables hold 16 bits only.
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
            let colour = reds[red as usize] | greens[green as usize] | blues[blue as usize];
            *cell = bytes(colour);
        }
    }
}

/// A channel must lie inside of its pixel.
fn check(channel: BitField, bits: u32) -> Result<(), String> {
    let end = channel.offset.checked_add(channel.length);
    let fits = end.is_some_and(|end| end <= bits) && (1..=16).contains(&channel.length);
    if fits && channel.msb_right == 0 {
        Ok(())
    } else {
        Err(format!(
            "a colour has {} bits from bit {} on in a pixel of {bits}, which boxcam can't write",
            channel.length, channel.offset
        ))
    }
}

/// The greatest value of a channel.
const fn most(channel: BitField) -> u32 {
    (1 << channel.length) - 1
}

/// What each 8 bit value is in a channel, rounded to the nearest.
fn table(channel: BitField) -> [u32; 256] {
    let mut table = [0; 256];
    for (value, entry) in (0..).zip(&mut table) {
        *entry = ((value * most(channel) + 127) / 255) << channel.offset;
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A screen of that many bits whose red, green, blue and alpha have these offsets and lengths.
    pub(in super::super) fn screen(bits: u32, channels: [(u32, u32); 4]) -> (VarInfo, FixInfo) {
        let [red, green, blue, alpha] = channels.map(|(offset, length)| BitField {
            offset,
            length,
            msb_right: 0,
        });
        let var = VarInfo {
            bits_per_pixel: bits,
            red,
            green,
            blue,
            alpha,
            ..VarInfo::default()
        };
        let fix = FixInfo {
            visual: TRUE_COLOUR,
            ..FixInfo::default()
        };
        (var, fix)
    }

    type Case = (&'static str, u32, [(u32, u32); 4], [u8; 3], &'static [u8]);

    #[test]
    #[cfg(target_endian = "little")]
    fn each_format_has_its_bytes() {
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
            let (var, fix) = screen(bits, channels);
            let format = PixelFormat::new(&var, &fix).expect(name);
            let mut line = vec![0; format.bytes()];
            format.convert([pixel].into_iter(), &mut line);
            assert_eq!(line, expected, "{name}: {line:02X?}");
        }
    }

    #[test]
    fn black_and_white_stay_so() {
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
    fn other_screens_are_refused_with_words() {
        let rgb = [(16, 8), (8, 8), (0, 8), (0, 0)];
        let sound = screen(32, rgb);
        let refused =
            |(var, fix): (VarInfo, FixInfo)| PixelFormat::new(&var, &fix).expect_err("refused");
        for bits in [1, 8, 15, 64] {
            assert!(refused(screen(bits, rgb)).contains(&format!("{bits} bits")));
        }
        // A palette, one bit of black, planes, grey and a channel beyond its pixel.
        for visual in [0, 1, 3, 5, 6] {
            let fix = FixInfo { visual, ..sound.1 };
            assert!(refused((sound.0, fix)).contains(&format!("visual {visual}")));
        }
        let planes = FixInfo { kind: 1, ..sound.1 };
        assert!(refused((sound.0, planes)).contains("type 1"));
        let grey = VarInfo {
            grayscale: 1,
            ..sound.0
        };
        assert!(refused((grey, sound.1)).contains("kind"));
        assert!(refused(screen(16, rgb)).contains("8 bits from bit 16"));
        assert!(refused(screen(32, [(u32::MAX, 8); 4])).contains("bits from bit"));
        assert!(refused(screen(32, [(0, 0); 4])).contains("0 bits"));
    }
}
