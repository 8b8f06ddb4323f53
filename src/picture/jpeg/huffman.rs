//! Huffman tables, and the bits of a scan.

/// The segment with the tables of the standard (K.3 to K.6), which many cameras leave out of their frames.
pub(super) const STANDARD_TABLES: [u8; 420] = [
    0xff, 0xc4, 0x01, 0xa2, 0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
    0x0b, 0x01, 0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x00,
    0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03, 0x05, 0x05, 0x04, 0x04, 0x00, 0x00, 0x01, 0x7d, 0x01,
    0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
    0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24,
    0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29,
    0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a,
    0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a,
    0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
    0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
    0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6,
    0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3,
    0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9,
    0xfa, 0x11, 0x00, 0x02, 0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00, 0x01,
    0x02, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07,
    0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33,
    0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19,
    0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46,
    0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66,
    0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85,
    0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
    0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6,
    0xf7, 0xf8, 0xf9, 0xfa,
];

/// Bits that are looked up at once; few codes are longer.
const LOOKUP_BITS: u32 = 9;

/// The longest code, in bits.
const MAX_CODE_BITS: usize = 16;

/// Why a symbol can't be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    /// The data ends within the symbol, or before it.
    CutOff,
    /// The bits are no code of the table.
    InvalidCode,
}

/// The codes of one table.
pub(super) struct HuffmanTable {
    /// Symbol and code length in bits by the next [`LOOKUP_BITS`]; length 0 for longer codes.
    lookup: Vec<(u8, u8)>,
    /// By code length: the first 16 bits that are too large for a code of this length, and the number that leads
    /// from a code to the index of its symbol.
    lengths: [(u32, i32); MAX_CODE_BITS + 1],
    symbols: Vec<u8>,
}

/// A table of a DHT segment: whether it is for AC coefficients, its number, code counts and symbols.
pub(super) struct TableDefinition<'a> {
    pub(super) is_ac: bool,
    pub(super) number: usize,
    /// The number of codes of 1 to 16 bits.
    counts: &'a [u8; MAX_CODE_BITS],
    symbols: &'a [u8],
}

/// The tables of a DHT segment without its marker and length. The rest after a damaged one is left out.
pub(super) fn definitions(mut payload: &[u8]) -> impl Iterator<Item = TableDefinition<'_>> {
    std::iter::from_fn(move || {
        let (kind, rest) = payload.split_first()?;
        let (counts, rest) = rest.split_first_chunk::<MAX_CODE_BITS>()?;
        let length = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(length)?;
        payload = rest;
        Some(TableDefinition {
            is_ac: kind >> 4 != 0,
            number: usize::from(kind & 15),
            counts,
            symbols,
        })
    })
}

impl TableDefinition<'_> {
    /// The part of all sequences of 16 bits that begin with a code, in 1/65536.
    fn used(&self) -> u32 {
        let lengths = self.counts.iter().zip(1..);
        lengths
            .map(|(&count, length)| u32::from(count) << (MAX_CODE_BITS as u32 - length))
            .sum()
    }

    /// Whether a sequence of ones is no code, as the standard demands.
    pub(super) fn reserves_ones(&self) -> bool {
        self.used() < 1 << MAX_CODE_BITS
    }

    /// `None` if there are more codes than can be.
    pub(super) fn table(&self) -> Option<HuffmanTable> {
        if self.used() > 1 << MAX_CODE_BITS || self.symbols.len() > 256 {
            return None;
        }
        let mut lookup = vec![(0, 0); 1 << LOOKUP_BITS];
        let mut lengths = [(0, 0); MAX_CODE_BITS + 1];
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1..).zip(self.counts) {
            let count = usize::from(count);
            let offset = index as i32 - code as i32;
            for &symbol in &self.symbols[index..index + count] {
                if length as u32 <= LOOKUP_BITS {
                    let free = LOOKUP_BITS - length as u32;
                    let first = (code << free) as usize;
                    lookup[first..first + (1 << free)].fill((symbol, length as u8));
                }
                code += 1;
            }
            index += count;
            lengths[length] = (code << (MAX_CODE_BITS - length), offset);
            code <<= 1;
        }
        Some(HuffmanTable {
            lookup,
            lengths,
            symbols: self.symbols.to_vec(),
        })
    }
}

impl HuffmanTable {
    /// Decodes the next symbol.
    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u8, Defect> {
        let next = bits.peek_16();
        let (symbol, length) = self.lookup[(next >> (16 - LOOKUP_BITS)) as usize];
        if length > 0 {
            bits.skip(length.into())?;
            return Ok(symbol);
        }
        self.decode_long(bits, next)
    }

    #[cold]
    fn decode_long(&self, bits: &mut Bits<'_>, next: u32) -> Result<u8, Defect> {
        let lengths = LOOKUP_BITS as usize + 1..=MAX_CODE_BITS;
        let length = lengths
            .into_iter()
            .find(|&length| next < self.lengths[length].0);
        let Some(length) = length else {
            // Behind the end there are zeros, with which a part of a code is a code.
            return Err(Defect::InvalidCode);
        };
        bits.skip(length as u32)?;
        let code = next >> (MAX_CODE_BITS - length);
        let index = code as i32 + self.lengths[length].1;
        let symbol = usize::try_from(index)
            .ok()
            .and_then(|at| self.symbols.get(at));
        symbol.copied().ok_or(Defect::InvalidCode)
    }
}

/// The bits of entropy-coded data without the zeros that are stuffed behind `FF`.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, the first one highest; zeros behind them.
    buffer: u64,
    /// The number of bits in the buffer.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Over data that contains no marker.
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            buffer: 0,
            count: 0,
        }
    }

    /// Drops bits.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Defect> {
        if self.count < count {
            self.refill();
            if self.count < count {
                return Err(Defect::CutOff);
            }
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// Returns a number of at most 16 bits.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Defect> {
        let value = self.peek_16() >> (16 - count);
        self.skip(count)?;
        Ok(value)
    }

    /// The next 16 bits, with zeros behind the end.
    #[inline]
    fn peek_16(&mut self) -> u32 {
        if self.count < 16 {
            self.refill();
        }
        (self.buffer >> 48) as u32
    }

    fn refill(&mut self) {
        while self.count <= 56 {
            let Some((&byte, mut rest)) = self.rest.split_first() else {
                return;
            };
            if byte == 0xff {
                while let [0xff, more @ ..] = rest {
                    rest = more;
                }
                if let [0, more @ ..] = rest {
                    rest = more;
                }
            }
            self.rest = rest;
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard() -> Vec<TableDefinition<'static>> {
        definitions(&STANDARD_TABLES[4..]).collect()
    }

    #[test]
    fn the_standard_has_four_tables_and_reserves_ones() {
        let found: Vec<_> = standard()
            .iter()
            .map(|table| (table.is_ac, table.number, table.symbols.len()))
            .collect();
        let expected = [
            (false, 0, 12),
            (false, 1, 12),
            (true, 0, 162),
            (true, 1, 162),
        ];
        assert_eq!(found, expected);
        for table in standard() {
            assert!(table.reserves_ones());
            let table = table.table().expect("valid");
            let error = table.decode(&mut Bits::new(&[0xff, 0, 0xff, 0]));
            assert_eq!(error, Err(Defect::InvalidCode));
        }
    }

    #[test]
    fn codes_of_any_length_are_decoded() {
        // The AC table of the brightness: EOB is 1010, ZRL is 11111111001, the last code 1111111111111110.
        let table = standard()[2].table().expect("valid");
        let mut bits = Bits::new(&[0b1010_1111, 0b1111_0011]);
        assert_eq!(table.decode(&mut bits), Ok(0));
        assert_eq!(table.decode(&mut bits), Ok(0x0f << 4));
        assert_eq!(bits.take(1), Ok(1));
        let long = [0xff, 0, 0b1111_1110, 0b1010_1111];
        let mut bits = Bits::new(&long[..]);
        assert_eq!(table.decode(&mut bits), Ok(0xfa));
        assert_eq!(table.decode(&mut bits), Ok(0));
        assert_eq!(table.decode(&mut bits), Err(Defect::CutOff));
    }

    #[test]
    fn more_codes_than_can_be_are_refused() {
        let mut counts = [0; 17];
        counts[1] = 3;
        let payload = [&counts[..], &[1, 2, 3]].concat();
        let table = definitions(&payload).next().expect("complete");
        assert!(table.table().is_none());
        counts[1] = 2;
        let payload = [&counts[..], &[1, 2]].concat();
        let table = definitions(&payload).next().expect("complete");
        assert!(table.table().is_some() && !table.reserves_ones());
        assert!(definitions(&payload[..18]).next().is_none(), "cut off");
    }

    #[test]
    fn stuffed_zeros_are_left_out() {
        let mut bits = Bits::new(&[0xff, 0, 0x12, 0xff, 0xff, 0, 0x34]);
        let found: Vec<_> = (0..5).map(|_| bits.take(8)).collect();
        let expected = [Ok(0xff), Ok(0x12), Ok(0xff), Ok(0x34), Err(Defect::CutOff)];
        assert_eq!(found, expected);
    }
}
