//! Writes FlatBuffers tables and FlexBuffers maps, as far as `.tflite` files need them.

/// A table: fields by their number in the schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(Vec<(usize, Field)>);

#[derive(Debug, Clone)]
enum Field {
    I8(i8),
    I32(i32),
    Table(Table),
    Tables(Vec<Table>),
    /// Size of an element in bytes, and the elements.
    Vector(usize, Vec<u8>),
}

impl Table {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn with(mut self, number: usize, field: Field) -> Self {
        self.0.push((number, field));
        self
    }

    pub(crate) fn i8(self, number: usize, value: i8) -> Self {
        self.with(number, Field::I8(value))
    }

    pub(crate) fn i32(self, number: usize, value: i32) -> Self {
        self.with(number, Field::I32(value))
    }

    pub(crate) fn table(self, number: usize, value: Self) -> Self {
        self.with(number, Field::Table(value))
    }

    pub(crate) fn tables(self, number: usize, value: Vec<Self>) -> Self {
        self.with(number, Field::Tables(value))
    }

    pub(crate) fn bytes(self, number: usize, value: &[u8]) -> Self {
        self.with(number, Field::Vector(1, value.to_vec()))
    }

    pub(crate) fn text(self, number: usize, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub(crate) fn i32s(self, number: usize, values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.with(number, Field::Vector(4, bytes.collect()))
    }

    pub(crate) fn f32s(self, number: usize, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.with(number, Field::Vector(4, bytes.collect()))
    }

    pub(crate) fn i64s(self, number: usize, values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.with(number, Field::Vector(8, bytes.collect()))
    }

    /// A file with this root table and a file identifier of four letters.
    pub(crate) fn file(&self, identifier: &[u8; 4]) -> Vec<u8> {
        let mut out = [[0; 4], *identifier].concat();
        let root = self.write(&mut out) as u32;
        out[..4].copy_from_slice(&root.to_le_bytes());
        out
    }

    /// Appends the table and what it refers to; gives its position. Every field takes four bytes.
    fn write(&self, out: &mut Vec<u8>) -> usize {
        let fields = self
            .0
            .iter()
            .map(|(number, _)| number + 1)
            .max()
            .unwrap_or(0);
        align(out, 4, 0);
        let vtable = out.len();
        let size = 4 + 4 * self.0.len();
        let mut offsets = vec![0u16; fields];
        for (place, (number, _)) in self.0.iter().enumerate() {
            offsets[*number] = (4 + 4 * place) as u16;
        }
        let head = [(4 + 2 * fields) as u16, size as u16];
        out.extend(
            head.iter()
                .chain(&offsets)
                .flat_map(|value| value.to_le_bytes()),
        );
        align(out, 4, 0);
        let table = out.len();
        out.extend(((table - vtable) as i32).to_le_bytes());
        for (_, field) in &self.0 {
            out.extend(match field {
                Field::I8(value) => [*value as u8, 0, 0, 0],
                Field::I32(value) => value.to_le_bytes(),
                _ => [0; 4],
            });
        }
        for (place, (_, field)) in self.0.iter().enumerate() {
            let slot = table + 4 + 4 * place;
            let target = match field {
                Field::I8(_) | Field::I32(_) => continue,
                Field::Table(child) => child.write(out),
                Field::Tables(children) => write_tables(children, out),
                Field::Vector(width, bytes) => {
                    // The elements are aligned, not their number in front of them.
                    align(out, (*width).max(4), 4);
                    let start = out.len();
                    out.extend(((bytes.len() / width) as u32).to_le_bytes());
                    out.extend(bytes);
                    // A text ends with a zero.
                    out.push(0);
                    start
                }
            };
            point(out, slot, target);
        }
        table
    }
}

fn write_tables(children: &[Table], out: &mut Vec<u8>) -> usize {
    align(out, 4, 0);
    let start = out.len();
    out.extend((children.len() as u32).to_le_bytes());
    out.resize(start + 4 + 4 * children.len(), 0);
    for (number, child) in children.iter().enumerate() {
        let target = child.write(out);
        point(out, start + 4 + 4 * number, target);
    }
    start
}

fn point(out: &mut [u8], slot: usize, target: usize) {
    out[slot..slot + 4].copy_from_slice(&((target - slot) as u32).to_le_bytes());
}

/// Appends zeros until `ahead` bytes from here are at a multiple of `width`.
fn align(out: &mut Vec<u8>, width: usize, ahead: usize) {
    while !(out.len() + ahead).is_multiple_of(width) {
        out.push(0);
    }
}

/// A FlexBuffers map of whole numbers and floats, whose keys are sorted.
pub(crate) fn flex_map(entries: &[(&str, FlexNumber)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut keys = Vec::new();
    for (key, _) in entries {
        keys.push(out.len());
        out.extend(key.bytes().chain([0]));
    }
    out.push(entries.len() as u8);
    let keys_at = out.len();
    for key in keys {
        out.push((out.len() - key) as u8);
    }
    align(&mut out, 4, 0);
    let offset = out.len() - keys_at;
    out.extend(
        [offset as u32, 1, entries.len() as u32]
            .iter()
            .flat_map(|v| v.to_le_bytes()),
    );
    let values = out.len();
    for (_, number) in entries {
        out.extend(match number {
            FlexNumber::Int(value) => value.to_le_bytes(),
            FlexNumber::Float(value) => value.to_le_bytes(),
        });
    }
    out.extend(entries.iter().map(|(_, number)| match number {
        FlexNumber::Int(_) => 6,
        FlexNumber::Float(_) => 14,
    }));
    out.extend([(out.len() - values) as u8, 38, 1]);
    out
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum FlexNumber {
    Int(i32),
    Float(f32),
}
