//! The buffers that frames travel in, and the time a frame was taken.

use core::ffi::{c_long, c_ulong};

/// Seconds since an epoch, as wide as the machine's `long`.
pub type time_t = c_long;

/// A time, as old kernels and new ones take it in a [`v4l2_buffer`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct timeval {
    /// Whole seconds.
    pub tv_sec: time_t,
    /// Microseconds past them.
    pub tv_usec: c_long,
}

/// A recording's time code (SMPTE 12M).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_timecode {
    /// Frames per second, as a `V4L2_TC_TYPE_*` number.
    pub type_: u32,
    /// `V4L2_TC_FLAG_*` bits.
    pub flags: u32,
    /// Frame within the second.
    pub frames: u8,
    /// Seconds.
    pub seconds: u8,
    /// Minutes.
    pub minutes: u8,
    /// Hours.
    pub hours: u8,
    /// User bits.
    pub userbits: [u8; 4],
}

/// Asks the driver for buffers, or, with a count of 0, gives them back.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_requestbuffers {
    /// How many: wanted on the way in, made on the way out.
    pub count: u32,
    /// The kind of stream.
    pub type_: u32,
    /// Whose memory is used.
    pub memory: u32,
    /// `V4L2_BUF_CAP_*` bits, from the driver.
    pub capabilities: u32,
    /// `V4L2_MEMORY_FLAG_*` bits.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Where a plane's bytes are.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_plane__bindgen_ty_1 {
    /// What to give mmap as the offset.
    pub mem_offset: u32,
    /// An address of the caller's.
    pub userptr: c_ulong,
    /// A DMA buffer's file descriptor.
    pub fd: i32,
}

/// One plane of a buffer with several.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_plane {
    /// Bytes used by data.
    pub bytesused: u32,
    /// Bytes in all.
    pub length: u32,
    /// Where they are.
    pub m: v4l2_plane__bindgen_ty_1,
    /// Bytes before the data.
    pub data_offset: u32,
    /// Zero.
    pub reserved: [u32; 11],
}

/// Where a buffer's bytes are.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_buffer__bindgen_ty_1 {
    /// What to give mmap as the offset.
    pub offset: u32,
    /// An address of the caller's.
    pub userptr: c_ulong,
    /// The planes of a buffer with several.
    pub planes: *mut v4l2_plane,
    /// A DMA buffer's file descriptor.
    pub fd: i32,
}

/// The request a buffer belongs to.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_buffer__bindgen_ty_2 {
    /// The request's file descriptor.
    pub request_fd: i32,
    /// Zero where there is none.
    pub reserved: u32,
}

/// One buffer, handed to the driver empty and taken back full.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_buffer {
    /// Number of the buffer.
    pub index: u32,
    /// The kind of stream.
    pub type_: u32,
    /// Bytes used by data.
    pub bytesused: u32,
    /// `V4L2_BUF_FLAG_*` bits.
    pub flags: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// When the frame was taken.
    pub timestamp: timeval,
    /// The frame's time code, where a flag says that it has one.
    pub timecode: v4l2_timecode,
    /// Number of the frame; a gap means lost ones.
    pub sequence: u32,
    /// Whose memory is used.
    pub memory: u32,
    /// Where the bytes are.
    pub m: v4l2_buffer__bindgen_ty_1,
    /// Bytes in all, or the number of planes.
    pub length: u32,
    /// Zero.
    pub reserved2: u32,
    /// The request it belongs to.
    pub __bindgen_anon_1: v4l2_buffer__bindgen_ty_2,
}

/// Asks for a file descriptor of a buffer, for another driver to use.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_exportbuffer {
    /// The kind of stream.
    pub type_: u32,
    /// Number of the buffer.
    pub index: u32,
    /// Number of the plane.
    pub plane: u32,
    /// Flags of `open` for the descriptor.
    pub flags: u32,
    /// The descriptor, from the driver.
    pub fd: i32,
    /// Zero.
    pub reserved: [u32; 11],
}
