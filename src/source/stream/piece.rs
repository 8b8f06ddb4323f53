//! What stands next in a stream.

/// The next thing in a stream.
#[derive(Debug, PartialEq)]
pub(super) enum Chunk {
    /// A picture, at this place of the buffer; all up to `end` is to be consumed.
    Picture {
        /// Its first byte.
        begin: usize,
        /// Behind its last byte.
        end: usize,
    },
    /// Something that was to be a picture and is none; it is consumed.
    Broken(String),
    /// Something that no later part of the stream can mend.
    Refused(String),
    /// The end of the stream.
    End,
}
