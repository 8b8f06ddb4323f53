//! A bounds-checked reader of FlatBuffers tables (<https://flatbuffers.dev/internals/>), with the field types that
//! `.tflite` files use.

use super::FormatError;

/// A table: fields by their number in the schema. A field that is absent has its default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    position: usize,
    vtable: usize,
    /// Size of the vtable in bytes.
    vtable_size: usize,
}

impl<'a> Table<'a> {
    /// The root table of a file.
    pub(crate) fn root(bytes: &'a [u8]) -> Result<Self, FormatError> {
        Self::at(bytes, offset(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], position: usize) -> Result<Self, FormatError> {
        let back = i32::from_le_bytes(array(bytes, position)?);
        let vtable = i64::try_from(position).ok().map(|at| at - i64::from(back));
        let vtable = vtable.and_then(|at| usize::try_from(at).ok());
        let vtable = vtable.ok_or_else(truncated)?;
        let vtable_size = usize::from(u16::from_le_bytes(array(bytes, vtable)?));
        Ok(Self {
            bytes,
            position,
            vtable,
            vtable_size,
        })
    }

    /// Position of a field.
    fn field(&self, field: usize) -> Result<Option<usize>, FormatError> {
        let entry = 4 + 2 * field;
        if entry + 2 > self.vtable_size {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(array(self.bytes, self.vtable + entry)?);
        Ok((offset != 0).then(|| self.position + usize::from(offset)))
    }

    fn scalar<const N: usize>(&self, field: usize) -> Result<[u8; N], FormatError> {
        match self.field(field)? {
            Some(position) => array(self.bytes, position),
            None => Ok([0; N]),
        }
    }

    /// An 8-bit number, 0 by default.
    pub(crate) fn i8(&self, field: usize) -> Result<i8, FormatError> {
        Ok(i8::from_le_bytes(self.scalar(field)?))
    }

    /// A 32-bit number, 0 by default.
    pub(crate) fn i32(&self, field: usize) -> Result<i32, FormatError> {
        Ok(i32::from_le_bytes(self.scalar(field)?))
    }

    /// The number of a table in a list of the file, 0 by default.
    pub(crate) fn index(&self, field: usize) -> Result<usize, FormatError> {
        Ok(u32::from_le_bytes(self.scalar(field)?) as usize)
    }

    pub(crate) fn table(&self, field: usize) -> Result<Option<Self>, FormatError> {
        let Some(position) = self.field(field)? else {
            return Ok(None);
        };
        Self::at(self.bytes, offset(self.bytes, position)?).map(Some)
    }

    /// The tables of a list, none by default.
    pub(crate) fn tables(&self, field: usize) -> Result<Vec<Self>, FormatError> {
        let Some((start, offsets)) = self.vector::<4>(field)? else {
            return Ok(Vec::new());
        };
        let positions = (start..).step_by(4).take(offsets.len());
        let tables = positions.map(|position| Self::at(self.bytes, offset(self.bytes, position)?));
        tables.collect()
    }

    /// The elements of a list, each of `N` bytes.
    pub(crate) fn elements<const N: usize>(
        &self,
        field: usize,
    ) -> Result<Option<&'a [[u8; N]]>, FormatError> {
        Ok(self.vector(field)?.map(|(_, elements)| elements))
    }

    pub(crate) fn string(&self, field: usize) -> Result<Option<&'a str>, FormatError> {
        let bytes = self.vector::<1>(field)?.map(|(_, bytes)| bytes);
        Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes.as_flattened()).ok()))
    }

    fn vector<const N: usize>(&self, field: usize) -> Result<Option<Vector<'a, N>>, FormatError> {
        let Some(position) = self.field(field)? else {
            return Ok(None);
        };
        let vector = offset(self.bytes, position)?;
        let length = u32::from_le_bytes(array(self.bytes, vector)?) as usize;
        let start = vector + 4;
        let end = length
            .checked_mul(N)
            .and_then(|size| size.checked_add(start));
        let bytes = end.and_then(|end| self.bytes.get(start..end));
        Ok(Some((start, bytes.ok_or_else(truncated)?.as_chunks().0)))
    }
}

/// Position and elements of a list.
type Vector<'a, const N: usize> = (usize, &'a [[u8; N]]);

/// Where the offset at `position` points to.
fn offset(bytes: &[u8], position: usize) -> Result<usize, FormatError> {
    let offset = u32::from_le_bytes(array(bytes, position)?);
    position.checked_add(offset as usize).ok_or_else(truncated)
}

fn array<const N: usize>(bytes: &[u8], position: usize) -> Result<[u8; N], FormatError> {
    let bytes = bytes.get(position..).and_then(<[u8]>::first_chunk);
    bytes.copied().ok_or_else(truncated)
}

fn truncated() -> FormatError {
    FormatError::Broken("an offset points beyond its end".to_owned())
}
