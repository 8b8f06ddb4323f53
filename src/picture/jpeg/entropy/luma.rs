//! The brightness of a JPEG's blocks, from the first coefficient of each, without decoding pixels.
//!
//! The DC coefficient of a block is eight times its mean. So the picture at an eighth of its size, without colour, is in the
//! Huffman codes that tell whether a JPEG is whole, and costs little more than that check.

use std::iter;

use super::super::huffman::{Bits, Defect, HuffmanTable, STANDARD_TABLES};
use super::super::segments::{Coding, ScanHeader, Segment, Segments, be_u16, marker};
use super::{BlockCoding, DecodeError, Scan, Walk, invalid, invalid_scan, mcu_intervals};
use crate::luma_grid::LumaGrid;

/// The DC coefficient of a block of the mean 1.
const DC_PER_LEVEL: f32 = 8.0;

/// What is added before the transform, so that values are signed.
const LEVEL_SHIFT: f32 = 128.0;

/// The brightness of the blocks, if the JPEG is whole. `None` for one with several scans, which must be decoded.
///
/// # Errors
/// [`DecodeError`], as [`check_whole`](super::check_whole).
pub(in super::super) fn luma_grid(
    segments: &Segments<'_>,
) -> Result<Option<LumaGrid>, DecodeError> {
    let mut walk = Walk::new(segments.frame()?)?;
    if walk.frame.coding == Coding::Progressive || segments.has_several_scans() {
        return Ok(None);
    }
    walk.define_tables(&STANDARD_TABLES[4..])?;
    let mut quantizers = [None; 4];
    for segment in &segments.list {
        let payload = segments.payload(segment);
        match segment.marker {
            marker::DHT => walk.define_tables(payload)?,
            marker::DRI => walk.restart_interval = be_u16(payload, 0).unwrap_or(0) as usize,
            marker::DQT => {
                for (number, first) in first_quantizers(payload) {
                    if let Some(place) = quantizers.get_mut(number) {
                        *place = Some(first);
                    }
                }
            }
            marker::SOS => return walk.luma_scan(segments, segment, &quantizers),
            _ => {}
        }
    }
    Err(DecodeError::Truncated(segments.end))
}

/// The number and the first value of each quantization table of a segment.
fn first_quantizers(mut payload: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    iter::from_fn(move || {
        let (kind, values) = payload.split_first()?;
        let is_wide = kind >> 4 > 0;
        let first = match is_wide {
            true => be_u16(values, 0)?,
            false => u32::from(*values.first()?),
        };
        payload = values.get(if is_wide { 128 } else { 64 }..)?;
        Some((usize::from(kind & 15), first))
    })
}

impl Walk {
    fn luma_scan(
        &self,
        segments: &Segments<'_>,
        segment: &Segment,
        quantizers: &[Option<u32>; 4],
    ) -> Result<Option<LumaGrid>, DecodeError> {
        let damaged = || invalid("the header of a scan is damaged");
        let header =
            ScanHeader::read(segments.payload(segment), &self.frame).ok_or_else(damaged)?;
        if header.components.len() != self.frame.components.len() {
            return Err(DecodeError::Truncated(segments.end));
        }
        let luma = &self.frame.components[0];
        let quantizer = quantizers.get(luma.quantizer).copied().flatten();
        let missing = || invalid("it has no quantization table");
        let quantizer = quantizer.filter(|&first| first > 0).ok_or_else(missing)?;
        let coding = BlockCoding::Sequential;
        let scan = Scan::new(&self.frame, &self.tables, &self.progress, &header, coding)?;
        let progress = &self.progress[0];
        let mut blocks = Blocks {
            columns: progress.blocks.0,
            values: vec![0; progress.blocks.0 * progress.blocks.1],
        };
        let total = scan.columns * scan.rows;
        for interval in mcu_intervals(segment, total, self.restart_interval) {
            let (data, mcus) = interval?;
            let end = data.end;
            let mut codes = Codes::new(&segments.bytes[data]);
            for mcu in mcus {
                let place = (mcu / scan.columns, mcu % scan.columns);
                scan.luma_of_mcu(&mut codes, place, &mut blocks)
                    .map_err(|defect| invalid_scan(defect, end))?;
            }
        }
        let step = quantizer as f32 / DC_PER_LEVEL;
        let level = |dc: &i32| *dc as f32 * step + LEVEL_SHIFT;
        let values = blocks.values.iter().map(level).collect();
        Ok(LumaGrid::new(blocks.columns, values, step))
    }
}

/// The DC coefficients of the luma blocks that contain pixels, row by row.
struct Blocks {
    columns: usize,
    values: Vec<i32>,
}

impl Blocks {
    fn put(&mut self, (row, column): (usize, usize), dc: i32) {
        if column < self.columns
            && let Some(value) = self.values.get_mut(row * self.columns + column)
        {
            *value = dc;
        }
    }
}

/// The codes between two restart markers.
struct Codes<'a> {
    bits: Bits<'a>,
    /// The last DC coefficient of luma, from which the next one is told by its difference.
    last: i32,
}

impl<'a> Codes<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            bits: Bits::new(data),
            last: 0,
        }
    }

    /// The DC coefficient of the next luma block (F.2.2.1).
    fn dc(&mut self, table: &HuffmanTable) -> Result<i32, Defect> {
        let size = u32::from(table.decode(&mut self.bits)? & 15);
        let difference = match size {
            0 => 0,
            _ => {
                let value = self.bits.take(size)? as i32;
                let is_negative = value < 1 << (size - 1);
                value - if is_negative { (1 << size) - 1 } else { 0 }
            }
        };
        self.last = self.last.saturating_add(difference);
        Ok(self.last)
    }

    /// Skips the DC code of a block of colour.
    fn skip_dc(&mut self, table: &HuffmanTable) -> Result<(), Defect> {
        let size = table.decode(&mut self.bits)?;
        self.bits.skip((size & 15).into())
    }

    /// Skips the AC codes of a block.
    #[inline]
    fn skip_ac(&mut self, table: &HuffmanTable) -> Result<(), Defect> {
        let mut next = 1;
        while next <= 63 {
            let symbol = table.decode(&mut self.bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            match (run, size) {
                (15, 0) => next += 16,
                (_, 0) => break,
                _ => {
                    next += run + 1;
                    self.bits.skip(size.into())?;
                }
            }
        }
        Ok(())
    }
}

impl Scan<'_> {
    fn luma_of_mcu(
        &self,
        codes: &mut Codes<'_>,
        (row, column): (usize, usize),
        blocks: &mut Blocks,
    ) -> Result<(), Defect> {
        for part in &self.parts {
            let (Some(dc_table), Some(ac_table)) = (part.dc_table, part.ac_table) else {
                return Err(Defect::InvalidCode);
            };
            for y in 0..part.vertical {
                for x in 0..part.horizontal {
                    if part.index == 0 {
                        let place = (row * part.vertical + y, column * part.horizontal + x);
                        blocks.put(place, codes.dc(dc_table)?);
                    } else {
                        codes.skip_dc(dc_table)?;
                    }
                    codes.skip_ac(ac_table)?;
                }
            }
        }
        Ok(())
    }
}
