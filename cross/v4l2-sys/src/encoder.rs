//! Encoders and the television text between frames: `v4l` names them for their sizes only.

use core::ffi::{c_char, c_int};

/// How a device that encodes JPEG does it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
// The names are the C header's.
#[allow(non_snake_case)]
pub struct v4l2_jpegcompression {
    /// Quality, up to 100.
    pub quality: c_int,
    /// Number of the application segment.
    pub APPn: c_int,
    /// Its length.
    pub APP_len: c_int,
    /// Its bytes.
    pub APP_data: [c_char; 60],
    /// Length of the comment.
    pub COM_len: c_int,
    /// The comment.
    pub COM_data: [c_char; 60],
    /// `V4L2_JPEG_MARKER_*` bits.
    pub jpeg_markers: u32,
}

/// The lines that carry text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_sliced_vbi_cap {
    /// All the services there are, one bit each.
    pub service_set: u16,
    /// The services of each line, for either field.
    pub service_lines: [[u16; 24]; 2],
    /// The kind of stream.
    pub type_: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// One encoded frame.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_enc_idx_entry {
    /// Where it begins.
    pub offset: u64,
    /// When it is to be shown.
    pub pts: u64,
    /// Its bytes.
    pub length: u32,
    /// Its kind.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// The frames encoded last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_enc_idx {
    /// How many are told.
    pub entries: u32,
    /// How many the driver keeps.
    pub entries_cap: u32,
    /// Zero.
    pub reserved: [u32; 4],
    /// The frames.
    pub entry: [v4l2_enc_idx_entry; 64],
}

/// What goes with a command to an encoder, as plain numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_encoder_cmd__bindgen_ty_1__bindgen_ty_1 {
    /// The numbers.
    pub data: [u32; 8],
}

/// What goes with a command to an encoder.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_encoder_cmd__bindgen_ty_1 {
    /// Plain numbers.
    pub raw: v4l2_encoder_cmd__bindgen_ty_1__bindgen_ty_1,
}

/// A command to an encoder: start, stop, pause.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_encoder_cmd {
    /// The command.
    pub cmd: u32,
    /// `V4L2_ENC_CMD_*` bits.
    pub flags: u32,
    /// What goes with it.
    pub __bindgen_anon_1: v4l2_encoder_cmd__bindgen_ty_1,
}
