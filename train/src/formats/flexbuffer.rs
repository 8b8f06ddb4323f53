//! A bounds-checked reader of FlexBuffers (<https://flatbuffers.dev/flexbuffers/>): maps of numbers, the form in which
//! TFLite stores the options of its custom operators.

use std::collections::BTreeMap;

/// Values of `FlexBufferType` of `flexbuffers.h`, without the bits for the width.
const INT: u8 = 1;
const UINT: u8 = 2;
const FLOAT: u8 = 3;
const INDIRECT_INT: u8 = 6;
const INDIRECT_UINT: u8 = 7;
const INDIRECT_FLOAT: u8 = 8;
const MAP: u8 = 9;
const BOOL: u8 = 26;

/// Entries of a map are at most this many; options have about a dozen.
const MOST: usize = 1000;

/// The numbers in a buffer whose root is a map; entries of other types are left out. `None` if it is broken.
pub(crate) fn numbers(bytes: &[u8]) -> Option<BTreeMap<String, f64>> {
    let (_, &[kind, width]) = bytes.split_last_chunk::<2>()?;
    if kind >> 2 != MAP {
        return None;
    }
    let buffer = Buffer(bytes);
    let root = bytes.len().checked_sub(2 + usize::from(width))?;
    let values = buffer.indirect(root, usize::from(width))?;
    // In front of its values a map has their number, and offset and width of its keys.
    let width = 1usize << (kind & 3);
    let count = buffer.unsigned(values.checked_sub(width)?, width)?;
    let keys_width = buffer.unsigned(values.checked_sub(2 * width)?, width)?;
    let keys = buffer.indirect(values.checked_sub(3 * width)?, width)?;
    if count > MOST || !matches!(keys_width, 1 | 2 | 4 | 8) {
        return None;
    }
    let mut entries = BTreeMap::new();
    for index in 0..count {
        let key = buffer.text(buffer.indirect(keys + index * keys_width, keys_width)?)?;
        let kind = *bytes.get(values + count * width + index)?;
        let number = buffer.number(values + index * width, width, kind);
        if let Some(number) = number {
            entries.insert(key, number);
        }
    }
    Some(entries)
}

struct Buffer<'a>(&'a [u8]);

impl Buffer<'_> {
    fn unsigned(&self, position: usize, width: usize) -> Option<usize> {
        usize::try_from(self.integer(position, width)?).ok()
    }

    /// Where the offset at `position` points to; offsets point back.
    fn indirect(&self, position: usize, width: usize) -> Option<usize> {
        position.checked_sub(self.unsigned(position, width)?)
    }

    fn integer(&self, position: usize, width: usize) -> Option<u64> {
        let bytes = self.0.get(position..position.checked_add(width)?)?;
        let mut wide = [0; 8];
        wide.get_mut(..width)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    }

    fn float(&self, position: usize, width: usize) -> Option<f64> {
        let bits = self.integer(position, width)?;
        match width {
            4 => Some(f64::from(f32::from_bits(bits as u32))),
            8 => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    fn number(&self, position: usize, width: usize, kind: u8) -> Option<f64> {
        let signed = |position, width| {
            let shift = 64 - 8 * width as u32;
            let bits = self.integer(position, width)?;
            Some((((bits << shift) as i64) >> shift) as f64)
        };
        let inner = 1usize << (kind & 3);
        match kind >> 2 {
            INT => signed(position, width),
            UINT | BOOL => Some(self.integer(position, width)? as f64),
            FLOAT => self.float(position, width),
            INDIRECT_INT => signed(self.indirect(position, width)?, inner),
            INDIRECT_UINT => Some(self.integer(self.indirect(position, width)?, inner)? as f64),
            INDIRECT_FLOAT => self.float(self.indirect(position, width)?, inner),
            _ => None,
        }
    }

    /// The text that ends with a zero.
    fn text(&self, position: usize) -> Option<String> {
        let bytes = self.0.get(position..)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        String::from_utf8(bytes[..end].to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"n": 3, "y": 10.0}` as the Python package flatbuffers writes it.
    const MAP_OF_TWO: &[u8] = &[
        110, 0, 121, 0, 2, 5, 4, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 32, 65,
        6, 14, 10, 38, 1,
    ];

    #[test]
    fn a_map_gives_its_numbers() {
        let numbers = numbers(MAP_OF_TWO).expect("reads");
        assert_eq!(numbers.len(), 2);
        assert_eq!((numbers["n"], numbers["y"]), (3.0, 10.0));
    }

    #[test]
    fn broken_buffers_give_nothing() {
        for end in 0..MAP_OF_TWO.len() {
            assert_eq!(numbers(&MAP_OF_TWO[..end]), None, "{end}");
        }
        for position in 0..MAP_OF_TWO.len() {
            let mut bytes = MAP_OF_TWO.to_vec();
            bytes[position] = 0xff;
            // No panic is what matters.
            let _ = numbers(&bytes);
        }
    }
}
