//! A stream's parameters, of which the frame rate is the one that matters.

use crate::v4l2_fract;

/// Parameters of video coming in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_captureparm {
    /// What the driver lets be set.
    pub capability: u32,
    /// Whether quality goes before speed.
    pub capturemode: u32,
    /// Time between frames, in seconds.
    pub timeperframe: v4l2_fract,
    /// The driver's own affair.
    pub extendedmode: u32,
    /// Buffers for reading frames as a file.
    pub readbuffers: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// Parameters of video going out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_outputparm {
    /// What the driver lets be set.
    pub capability: u32,
    /// Whether quality goes before speed.
    pub outputmode: u32,
    /// Time between frames, in seconds.
    pub timeperframe: v4l2_fract,
    /// The driver's own affair.
    pub extendedmode: u32,
    /// Buffers for writing frames as a file.
    pub writebuffers: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// Parameters, by the kind of stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_streamparm__bindgen_ty_1 {
    /// Video coming in.
    pub capture: v4l2_captureparm,
    /// Video going out.
    pub output: v4l2_outputparm,
    /// Room for a driver's own.
    pub raw_data: [u8; 200],
}

/// A stream's parameters.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_streamparm {
    /// The kind of stream.
    pub type_: u32,
    /// Its parameters.
    pub parm: v4l2_streamparm__bindgen_ty_1,
}
