//! A motion JPEG stream.

pub fn run(bytes: &[u8]) {
    crate::stream::run(bytes, b"\xff\xd8\xff");
}
