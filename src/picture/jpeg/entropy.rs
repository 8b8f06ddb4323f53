//! Decides whether a JPEG is whole: whether the data of its scans has all MCUs.
//!
//! Only the Huffman codes are decoded, not the pixels. A decoder can't tell: libjpeg, zune-jpeg and jpeg-decoder all take
//! zeros for the data that is missing in front of a marker.

use std::array;
use std::ops::Range;

use super::huffman::{Bits, Defect, HuffmanTable, STANDARD_TABLES, definitions};
use super::segments::{
    Coding, Component, FrameHeader, ScanHeader, Segment, Segments, be_u16, marker,
};
use super::{DecodeError, check_size};

mod luma;

pub(super) use luma::luma_grid;

/// The most scans; programs write about ten.
const MAX_SCANS: usize = 100;

/// The coefficients of a block.
const COEFFICIENTS: usize = 64;

/// [`Progress::lowest_bit`] of a coefficient that no scan has sent.
const NOT_SENT: u8 = u8::MAX;

/// Checks that all MCUs of all scans are there, and in a progressive JPEG all bits of all coefficients.
///
/// # Errors
/// [`DecodeError::Truncated`] with the offset where data is missing; [`DecodeError::Invalid`] if it is damaged.
pub(super) fn check_whole(segments: &Segments<'_>) -> Result<(), DecodeError> {
    let mut walk = Walk::new(segments.frame()?)?;
    walk.define_tables(&STANDARD_TABLES[4..])?;
    let mut scans = 0;
    for segment in &segments.list {
        let payload = segments.payload(segment);
        match segment.marker {
            marker::DHT => walk.define_tables(payload)?,
            marker::DRI => walk.restart_interval = be_u16(payload, 0).unwrap_or(0) as usize,
            marker::SOS => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(invalid(&format!("it has more than {MAX_SCANS} scans")));
                }
                walk.scan(segments, segment)?;
            }
            _ => {}
        }
    }
    if walk.progress.iter().all(Progress::is_complete) {
        Ok(())
    } else {
        Err(DecodeError::Truncated(segments.end))
    }
}

fn invalid(message: &str) -> DecodeError {
    DecodeError::Invalid(message.to_owned())
}

/// The error of a scan whose data ends at `end`.
fn invalid_scan(defect: Defect, end: usize) -> DecodeError {
    match defect {
        Defect::CutOff => DecodeError::Truncated(end),
        Defect::InvalidCode => invalid("a scan contains an invalid Huffman code"),
    }
}

/// The data between restart markers, in offsets, each with the MCUs that it has of `total`. `restart_interval` is in MCUs, 0
/// for none.
fn mcu_intervals(
    segment: &Segment,
    total: usize,
    restart_interval: usize,
) -> impl Iterator<Item = Result<(Range<usize>, Range<usize>), DecodeError>> {
    let step = match restart_interval {
        0 => total,
        interval => interval,
    };
    let mut intervals = segment.intervals.iter();
    let mut end = segment.payload.end;
    (0..total).step_by(step.max(1)).map(move |first| {
        let interval = intervals.next().ok_or(DecodeError::Truncated(end))?.clone();
        end = interval.end;
        Ok((interval, first..total.min(first + step)))
    })
}

/// The state between scans.
struct Walk {
    frame: FrameHeader,
    /// By component of the frame.
    progress: Vec<Progress>,
    tables: Tables,
    /// In MCUs; 0 for none.
    restart_interval: usize,
}

/// The Huffman tables by their numbers.
struct Tables {
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
}

/// What the scans so far have sent of a component.
struct Progress {
    /// The lowest bit of each coefficient that was sent.
    lowest_bit: [u8; COEFFICIENTS],
    /// For each block, a bit for each coefficient that is not zero. Empty unless the JPEG is progressive.
    nonzero: Vec<u64>,
    /// Blocks in a row and in a column that contain pixels.
    blocks: (usize, usize),
    /// Blocks in a row of whole MCUs.
    stride: usize,
}

/// What a scan sends of a block.
#[derive(Debug, Clone, Copy)]
enum BlockCoding {
    Sequential,
    DcFirst,
    DcRefinement,
    /// The coefficients from the first to the last one.
    AcFirst(u8, u8),
    AcRefinement(u8, u8),
}

/// One scan.
struct Scan<'t> {
    coding: BlockCoding,
    parts: Vec<Part<'t>>,
    /// In MCUs.
    columns: usize,
    rows: usize,
}

/// A component in a scan.
struct Part<'t> {
    /// Within the components of the frame.
    index: usize,
    dc_table: Option<&'t HuffmanTable>,
    ac_table: Option<&'t HuffmanTable>,
    /// Blocks of an MCU.
    horizontal: usize,
    vertical: usize,
}

/// The data between two restart markers.
struct Interval<'a> {
    bits: Bits<'a>,
    /// The number of blocks in which no more coefficients are coded.
    skipped_blocks: usize,
}

impl Walk {
    fn new(frame: FrameHeader) -> Result<Self, DecodeError> {
        check_size(frame.width, frame.height)?;
        let components = frame.components.iter();
        Ok(Self {
            progress: components
                .map(|component| Progress::new(component, &frame))
                .collect(),
            tables: Tables {
                dc: array::from_fn(|_| None),
                ac: array::from_fn(|_| None),
            },
            restart_interval: 0,
            frame,
        })
    }

    fn define_tables(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        for definition in definitions(payload) {
            let tables = if definition.is_ac {
                &mut self.tables.ac
            } else {
                &mut self.tables.dc
            };
            let table = definition.table();
            let table = table.ok_or_else(|| invalid("it has a damaged Huffman table"))?;
            if let Some(place) = tables.get_mut(definition.number) {
                *place = Some(table);
            }
        }
        Ok(())
    }

    /// Checks one scan and records what it sends.
    fn scan(&mut self, segments: &Segments<'_>, segment: &Segment) -> Result<(), DecodeError> {
        let damaged = || invalid("the header of a scan is damaged");
        let header =
            ScanHeader::read(segments.payload(segment), &self.frame).ok_or_else(damaged)?;
        let coding = BlockCoding::new(self.frame.coding, &header).ok_or_else(damaged)?;
        let scan = Scan::new(&self.frame, &self.tables, &self.progress, &header, coding)?;
        let total = scan.columns * scan.rows;
        for interval in mcu_intervals(segment, total, self.restart_interval) {
            let (data, mcus) = interval?;
            let end = data.end;
            scan.check_interval(&segments.bytes[data], mcus, &mut self.progress)
                .map_err(|defect| invalid_scan(defect, end))?;
        }
        for component in &header.components {
            let sent = &mut self.progress[component.index].lowest_bit;
            coding.record(&mut *sent, header.approximation.1);
        }
        Ok(())
    }
}

impl Progress {
    fn new(component: &Component, frame: &FrameHeader) -> Self {
        let (horizontal, vertical) = frame.max_sampling();
        let mcus = |side: u32, sampling: u32| side.div_ceil(8 * sampling) as usize;
        let stride = mcus(frame.width, horizontal) * component.horizontal as usize;
        let rows = mcus(frame.height, vertical) * component.vertical as usize;
        let blocks = |side: u32, own: u32, max: u32| (side * own).div_ceil(8 * max) as usize;
        Self {
            lowest_bit: [NOT_SENT; COEFFICIENTS],
            nonzero: match frame.coding {
                Coding::Progressive => vec![0; stride * rows],
                Coding::Baseline | Coding::Extended => Vec::new(),
            },
            blocks: (
                blocks(frame.width, component.horizontal, horizontal),
                blocks(frame.height, component.vertical, vertical),
            ),
            stride,
        }
    }

    fn is_complete(&self) -> bool {
        self.lowest_bit.iter().all(|&bit| bit == 0)
    }
}

impl BlockCoding {
    /// `None` if the header is not one of this coding.
    fn new(coding: Coding, header: &ScanHeader) -> Option<Self> {
        if coding != Coding::Progressive {
            return Some(Self::Sequential);
        }
        let is_first = header.approximation.0 == 0;
        match header.spectrum {
            (0, 0) if is_first => Some(Self::DcFirst),
            (0, 0) => Some(Self::DcRefinement),
            (first @ 1.., last @ ..=63) if first <= last && header.components.len() == 1 => {
                Some(if is_first {
                    Self::AcFirst(first, last)
                } else {
                    Self::AcRefinement(first, last)
                })
            }
            _ => None,
        }
    }

    fn has_dc_codes(self) -> bool {
        matches!(self, Self::Sequential | Self::DcFirst)
    }

    fn has_ac_codes(self) -> bool {
        !matches!(self, Self::DcFirst | Self::DcRefinement)
    }

    /// Records that the coefficients were sent down to a bit.
    fn record(self, lowest_bit: &mut [u8; COEFFICIENTS], bit: u8) {
        match self {
            Self::Sequential => lowest_bit.fill(0),
            Self::DcFirst | Self::DcRefinement => lowest_bit[0] = bit,
            Self::AcFirst(first, last) | Self::AcRefinement(first, last) => {
                lowest_bit[usize::from(first)..=usize::from(last)].fill(bit);
            }
        }
    }
}

impl<'t> Scan<'t> {
    fn new(
        frame: &FrameHeader,
        tables: &'t Tables,
        progress: &[Progress],
        header: &ScanHeader,
        coding: BlockCoding,
    ) -> Result<Self, DecodeError> {
        let is_interleaved = header.components.len() > 1;
        let parts: Vec<Part<'t>> = header
            .components
            .iter()
            .map(|component| {
                let sampling = &frame.components[component.index];
                let blocks = |factor: u32| if is_interleaved { factor as usize } else { 1 };
                Part {
                    index: component.index,
                    dc_table: tables.dc.get(component.dc_table).and_then(Option::as_ref),
                    ac_table: tables.ac.get(component.ac_table).and_then(Option::as_ref),
                    horizontal: blocks(sampling.horizontal),
                    vertical: blocks(sampling.vertical),
                }
            })
            .collect();
        let has_tables = |part: &Part<'_>| {
            (!coding.has_dc_codes() || part.dc_table.is_some())
                && (!coding.has_ac_codes() || part.ac_table.is_some())
        };
        if !parts.iter().all(has_tables) {
            return Err(invalid("a scan refers to a missing Huffman table"));
        }
        let (columns, rows) = if is_interleaved {
            let (horizontal, vertical) = frame.max_sampling();
            let mcus = |side: u32, sampling: u32| side.div_ceil(8 * sampling) as usize;
            (mcus(frame.width, horizontal), mcus(frame.height, vertical))
        } else {
            progress[parts[0].index].blocks
        };
        Ok(Self {
            coding,
            parts,
            columns,
            rows,
        })
    }

    /// Checks that the data has the codes of these MCUs.
    fn check_interval(
        &self,
        data: &[u8],
        mcus: Range<usize>,
        progress: &mut [Progress],
    ) -> Result<(), Defect> {
        let mut interval = Interval {
            bits: Bits::new(data),
            skipped_blocks: 0,
        };
        let mut next = mcus.start;
        while next < mcus.end {
            if let BlockCoding::AcFirst(..) = self.coding {
                let skipped = interval.skipped_blocks.min(mcus.end - next);
                interval.skipped_blocks -= skipped;
                next += skipped;
                if next == mcus.end {
                    break;
                }
            }
            let (row, column) = (next / self.columns, next % self.columns);
            for part in &self.parts {
                let Progress {
                    nonzero, stride, ..
                } = &mut progress[part.index];
                for y in row * part.vertical..(row + 1) * part.vertical {
                    for x in column * part.horizontal..(column + 1) * part.horizontal {
                        let block = nonzero.get_mut(y * *stride + x);
                        interval.block(self.coding, part, block.unwrap_or(&mut 0))?;
                    }
                }
            }
            next += 1;
        }
        Ok(())
    }
}

impl Interval<'_> {
    /// Skips the codes of one block, and records in `nonzero` which coefficients they make other than zero.
    fn block(
        &mut self,
        coding: BlockCoding,
        part: &Part<'_>,
        nonzero: &mut u64,
    ) -> Result<(), Defect> {
        match (coding, part.dc_table, part.ac_table) {
            (BlockCoding::Sequential, Some(dc_table), Some(ac_table)) => {
                self.dc(dc_table)?;
                self.ac(ac_table, 1, 63, nonzero).map(drop)
            }
            (BlockCoding::DcFirst, Some(table), _) => self.dc(table),
            (BlockCoding::DcRefinement, ..) => self.bits.skip(1),
            (BlockCoding::AcFirst(first, last), _, Some(table)) => {
                if let Some(bits) = self.ac(table, first, last, nonzero)? {
                    self.skipped_blocks = self.run_of_blocks(bits)? - 1;
                }
                Ok(())
            }
            (BlockCoding::AcRefinement(first, last), _, Some(table)) => {
                self.refine(table, first, last, nonzero)
            }
            // Scan::new has checked that the tables are there.
            _ => Err(Defect::InvalidCode),
        }
    }

    fn dc(&mut self, table: &HuffmanTable) -> Result<(), Defect> {
        let size = table.decode(&mut self.bits)?;
        self.bits.skip((size & 15).into())
    }

    /// The first bits of coefficients (F.1.2.2). Behind an end-of-block code, returns the number of bits that a
    /// progressive JPEG has for the run of blocks that end.
    fn ac(
        &mut self,
        table: &HuffmanTable,
        first: u8,
        last: u8,
        nonzero: &mut u64,
    ) -> Result<Option<u8>, Defect> {
        let mut next = first;
        while next <= last {
            let symbol = table.decode(&mut self.bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size > 0 {
                next += run;
                self.bits.skip(size.into())?;
                *nonzero |= 1 << (next & 63);
                next += 1;
            } else if run == 15 {
                next += 16;
            } else {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// The number of blocks, with this one, that have no more codes.
    fn run_of_blocks(&mut self, bits: u8) -> Result<usize, Defect> {
        let more = self.bits.take(bits.into())?;
        Ok((1 << bits) + more as usize)
    }

    /// One more bit of coefficients (G.1.2.3).
    fn refine(
        &mut self,
        table: &HuffmanTable,
        first: u8,
        last: u8,
        nonzero: &mut u64,
    ) -> Result<(), Defect> {
        let mut next = first;
        if self.skipped_blocks == 0 {
            while next <= last {
                let symbol = table.decode(&mut self.bits)?;
                let (run, size) = (symbol >> 4, symbol & 15);
                if size == 0 && run < 15 {
                    self.skipped_blocks = self.run_of_blocks(run)?;
                    break;
                }
                // The sign of the new coefficient.
                self.bits.skip(u32::from(size > 0))?;
                next = self.refine_over_zeros(next, last, run, *nonzero)?;
                if size > 0 && next <= last {
                    *nonzero |= 1 << next;
                }
                next += 1;
            }
        }
        if self.skipped_blocks > 0 {
            self.skipped_blocks -= 1;
            for coefficient in next..=last {
                self.bits.skip((*nonzero >> coefficient & 1) as u32)?;
            }
        }
        Ok(())
    }

    /// Skips `run` coefficients that are zero, and the bits of those in between that are not. Returns the next zero.
    fn refine_over_zeros(
        &mut self,
        first: u8,
        last: u8,
        run: u8,
        nonzero: u64,
    ) -> Result<u8, Defect> {
        let mut zeros = run;
        for next in first..=last {
            if nonzero >> next & 1 == 1 {
                self.bits.skip(1)?;
            } else if zeros == 0 {
                return Ok(next);
            } else {
                zeros -= 1;
            }
        }
        Ok(last + 1)
    }
}
