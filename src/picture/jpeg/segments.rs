//! The structure of a JPEG: its segments and the extent of its scans, found without decoding.

use std::ops::Range;

use super::DecodeError;

/// Markers, by their second byte.
pub(super) mod marker {
    pub(crate) const DHT: u8 = 0xc4;
    pub(crate) const DAC: u8 = 0xcc;
    pub(crate) const RST0: u8 = 0xd0;
    pub(crate) const RST7: u8 = 0xd7;
    pub(crate) const SOI: u8 = 0xd8;
    pub(crate) const EOI: u8 = 0xd9;
    pub(crate) const SOS: u8 = 0xda;
    pub(crate) const DQT: u8 = 0xdb;
    pub(crate) const DRI: u8 = 0xdd;
}

/// The segments of one JPEG. Those of an embedded thumbnail lie within a segment and don't count.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) list: Vec<Segment>,
    /// The offset of the end-of-image marker or of the next JPEG, or the end of the bytes.
    pub(super) end: usize,
}

/// A marker with its parameters, in offsets.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) marker: u8,
    /// Behind the length.
    pub(super) payload: Range<usize>,
    /// The entropy-coded data behind the header of a scan, split at its restart markers, which are left out.
    pub(super) intervals: Vec<Range<usize>>,
}

/// The header of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FrameHeader {
    pub(super) coding: Coding,
    /// Bits a sample.
    pub(super) precision: u8,
    /// In pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
}

/// How coefficients are coded. All others are arithmetic, lossless or hierarchical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Baseline,
    /// Sequential with more tables.
    Extended,
    Progressive,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, 1 to 4.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
    /// Number of its quantization table.
    pub(super) quantizer: usize,
}

/// The header of a scan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScanHeader {
    pub(super) components: Vec<ScanComponent>,
    /// The first and the last coefficient, 0 to 63.
    pub(super) spectrum: (u8, u8),
    /// The lowest bit that earlier scans have sent plus one, 0 in a first scan; and the lowest bit of this one.
    pub(super) approximation: (u8, u8),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScanComponent {
    /// Within the components of the frame.
    pub(super) index: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
}

impl<'a> Segments<'a> {
    /// Reads marker after marker.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut list = Vec::new();
        let mut at = if bytes.starts_with(&[0xff, marker::SOI]) {
            2
        } else {
            0
        };
        let end = loop {
            let Some((offset, marker)) = next_marker(bytes, at) else {
                break bytes.len();
            };
            match marker {
                marker::SOI | marker::EOI => break offset.start,
                // Without a segment.
                0x01 | marker::RST0..=marker::RST7 => at = offset.end,
                _ => {
                    let Some(payload) = payload(bytes, offset.end) else {
                        break bytes.len();
                    };
                    at = payload.end;
                    let mut intervals = Vec::new();
                    if marker == marker::SOS {
                        at = read_intervals(bytes, at, &mut intervals);
                    }
                    list.push(Segment {
                        marker,
                        payload,
                        intervals,
                    });
                }
            }
        };
        Self { bytes, list, end }
    }

    pub(super) fn payload(&self, segment: &Segment) -> &'a [u8] {
        &self.bytes[segment.payload.clone()]
    }

    pub(super) fn has_several_scans(&self) -> bool {
        let scans = self
            .list
            .iter()
            .filter(|segment| segment.marker == marker::SOS);
        scans.count() > 1
    }

    /// The width and height of the first frame header, whatever its coding is.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let segment = self.list.iter().find(|s| is_frame_header(s.marker))?;
        let payload = self.payload(segment);
        be_u16(payload, 3).zip(be_u16(payload, 1))
    }

    /// The frame header.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none, or one of a variant that can't be decoded.
    pub(super) fn frame(&self) -> Result<FrameHeader, DecodeError> {
        let segment = self.list.iter().find(|s| is_frame_header(s.marker));
        let is_scanned = self
            .list
            .iter()
            .any(|segment| segment.marker == marker::SOS);
        let Some(segment) = segment else {
            return Err(if is_scanned {
                DecodeError::Invalid("it has no frame header".to_owned())
            } else {
                DecodeError::Truncated(self.bytes.len())
            });
        };
        let unsupported =
            |what: &str| Err(DecodeError::Invalid(format!("{what} is not supported")));
        let coding = match segment.marker {
            0xc0 => Coding::Baseline,
            0xc1 => Coding::Extended,
            0xc2 => Coding::Progressive,
            0xc3 => return unsupported("lossless coding"),
            0xc5..=0xc7 => return unsupported("hierarchical coding"),
            0xf7 => return unsupported("JPEG-LS"),
            _ => return unsupported("arithmetic coding"),
        };
        let payload = self.payload(segment);
        let header = FrameHeader::read(coding, payload);
        let header =
            header.ok_or_else(|| DecodeError::Invalid("its frame header is damaged".to_owned()))?;
        match header.precision {
            8 => Ok(header),
            bits => unsupported(&format!("a precision of {bits} bits a sample")),
        }
    }
}

impl FrameHeader {
    fn read(coding: Coding, payload: &[u8]) -> Option<Self> {
        let count = usize::from(*payload.get(5)?);
        let components = payload.get(6..6 + 3 * count)?.chunks_exact(3);
        let components: Vec<Component> = components
            .map(|component| Component {
                id: component[0],
                horizontal: u32::from(component[1] >> 4),
                vertical: u32::from(component[1] & 15),
                quantizer: usize::from(component[2]),
            })
            .collect();
        let is_valid = |component: &Component| {
            (1..=4).contains(&component.horizontal) && (1..=4).contains(&component.vertical)
        };
        let is_countable = (1..=4).contains(&count) && components.iter().all(is_valid);
        is_countable.then_some(Self {
            coding,
            precision: *payload.first()?,
            width: be_u16(payload, 3)?,
            height: be_u16(payload, 1)?,
            components,
        })
    }

    /// The largest sampling factors.
    pub(super) fn max_sampling(&self) -> (u32, u32) {
        let horizontal = self.components.iter().map(|component| component.horizontal);
        let vertical = self.components.iter().map(|component| component.vertical);
        (horizontal.max().unwrap_or(1), vertical.max().unwrap_or(1))
    }
}

impl ScanHeader {
    /// `None` if it is damaged.
    pub(super) fn read(payload: &[u8], frame: &FrameHeader) -> Option<Self> {
        let count = usize::from(*payload.first()?);
        let components: Option<Vec<ScanComponent>> = payload
            .get(1..1 + 2 * count)?
            .chunks_exact(2)
            .map(|component| {
                let mut ids = frame.components.iter().map(|component| component.id);
                Some(ScanComponent {
                    index: ids.position(|id| id == component[0])?,
                    dc_table: usize::from(component[1] >> 4),
                    ac_table: usize::from(component[1] & 15),
                })
            })
            .collect();
        let [first, last, bits] = *payload.get(1 + 2 * count..)?.first_chunk()?;
        Some(Self {
            components: components.filter(|components| (1..=4).contains(&components.len()))?,
            spectrum: (first, last),
            approximation: (bits >> 4, bits & 15),
        })
    }
}

/// SOF0 to SOF15 without the three codes in between that mean something else (DHT, JPG, DAC), and that of JPEG-LS.
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf | 0xf7) && !matches!(marker, marker::DHT | 0xc8 | marker::DAC)
}

/// The extent of the next marker with the fill bytes before it, and its second byte. Bytes between segments are skipped.
fn next_marker(bytes: &[u8], from: usize) -> Option<(Range<usize>, u8)> {
    let mut at = from;
    loop {
        let start = at + position_of_ff(bytes.get(at..)?)?;
        let fill = bytes[start..].iter().take_while(|&&byte| byte == 0xff);
        let code = start + fill.count();
        match bytes.get(code)? {
            0 => at = code + 1,
            &marker => return Some((start..code + 1, marker)),
        }
    }
}

/// The parameters behind the length at an offset; `None` if they are not all there.
fn payload(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    // The length includes its own two bytes.
    let length = (be_u16(bytes, at)? as usize).max(2);
    (at + length <= bytes.len()).then_some(at + 2..at + length)
}

/// Splits the data of a scan at its restart markers; returns where the data ends.
fn read_intervals(bytes: &[u8], begin: usize, intervals: &mut Vec<Range<usize>>) -> usize {
    let mut begin = begin;
    loop {
        match next_marker(bytes, begin) {
            Some((offset, marker::RST0..=marker::RST7)) => {
                intervals.push(begin..offset.start);
                begin = offset.end;
            }
            Some((offset, _)) => {
                intervals.push(begin..offset.start);
                return offset.start;
            }
            None => {
                intervals.push(begin..bytes.len());
                return bytes.len();
            }
        }
    }
}

/// The position of the first byte FF.
fn position_of_ff(bytes: &[u8]) -> Option<usize> {
    /// Bytes that are compared at once; the compiler uses vectors for them.
    const STEP: usize = 32;
    let has_ff = |chunk: &&[u8]| {
        chunk
            .iter()
            .fold(false, |found, &byte| found | (byte == 0xff))
    };
    let chunks = bytes.chunks(STEP);
    let clean = chunks.take_while(|chunk| !has_ff(chunk)).count() * STEP;
    let rest = bytes.get(clean..)?;
    rest.iter()
        .position(|&byte| byte == 0xff)
        .map(|at| clean + at)
}

/// The big-endian 16-bit number at an offset.
pub(super) fn be_u16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*pair).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ff_is_found_anywhere() {
        for length in [0, 1, 31, 32, 33, 64, 100] {
            let mut bytes = vec![7; length];
            assert_eq!(position_of_ff(&bytes), None);
            for at in (0..length).rev() {
                bytes[at] = 0xff;
                assert_eq!(position_of_ff(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn scans_are_split_at_restart_markers() {
        let scan =
            b"\xff\xd8\xff\xda\0\x02ab\xff\0c\xff\xd0d\xff\xff\xd1\xff\xff\0\xff\xff\xd9rest";
        let segments = Segments::read(scan);
        assert_eq!(segments.list.len(), 1);
        assert_eq!(segments.list[0].intervals, [6..11, 13..14, 17..20]);
        assert_eq!(segments.end, 20);
        let cut = Segments::read(&scan[..10]);
        assert_eq!(
            (cut.list[0].intervals.last(), cut.end),
            (Some(&(6..10)), 10)
        );
        let next = [&scan[..12], b"\xff\xd8\xff"].concat();
        assert_eq!(Segments::read(&next[..]).end, 11);
    }

    #[test]
    fn segments_are_skipped_by_their_length() {
        let thumbnail = b"\xff\xd8\xff\xe1\0\x08\xff\xd8\xff\xda\xff\xd9\xff\xfe\0\x03x\xff\xd9";
        let segments = Segments::read(thumbnail);
        let markers: Vec<u8> = segments.list.iter().map(|segment| segment.marker).collect();
        assert_eq!(markers, [0xe1, 0xfe]);
        assert_eq!(segments.end, thumbnail.len() - 2);
        // The length leads behind the end.
        assert!(Segments::read(&thumbnail[..9]).list.is_empty());
    }
}
