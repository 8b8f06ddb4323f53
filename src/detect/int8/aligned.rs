//! Numbers that begin at the start of a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE: usize = 64;

/// A slice of fixed length that begins at a multiple of 64 bytes: a load of 64 bytes then touches one cache line.
#[derive(Debug)]
pub struct Aligned<T> {
    storage: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy> Aligned<T> {
    /// So many times the same.
    #[must_use]
    pub fn filled(value: T, length: usize) -> Self {
        let storage = vec![value; length + LINE / size_of::<T>()];
        let start = storage.as_ptr().align_offset(LINE);
        Self {
            storage,
            start,
            length,
        }
    }

    /// The same values, aligned.
    #[must_use]
    pub fn copied(values: &[T]) -> Self
    where
        T: Default,
    {
        let mut aligned = Self::filled(T::default(), values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..][..self.length]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..][..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_cache_line_wherever_it_is_moved() {
        for length in [0, 1, 63, 64, 65, 100_000] {
            let bytes = Aligned::filled(7u8, length);
            let moved = Box::new(bytes);
            assert_eq!(moved.as_ptr() as usize % LINE, 0);
            assert_eq!(moved[..], vec![7; length]);
            let floats = Aligned::copied(&vec![0.5f32; length]);
            assert_eq!(floats.as_ptr() as usize % LINE, 0);
            assert_eq!(floats[..], vec![0.5; length]);
        }
    }
}
