//! A YUV4MPEG2 stream.

pub fn run(bytes: &[u8]) {
    crate::stream::run(bytes, b"YUV4MPEG2 ");
}
