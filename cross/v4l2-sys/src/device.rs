//! The device itself, what can be plugged into it, and the television standards it knows.

use crate::v4l2_fract;

/// A set of television standards, one bit each.
pub type v4l2_std_id = u64;

/// Who the device is and what it can do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_capability {
    /// Name of the driver.
    pub driver: [u8; 16],
    /// Name of the device.
    pub card: [u8; 32],
    /// Where it is plugged in.
    pub bus_info: [u8; 32],
    /// The kernel's version, a byte each for its three numbers.
    pub version: u32,
    /// `V4L2_CAP_*` bits of the whole device.
    pub capabilities: u32,
    /// `V4L2_CAP_*` bits of the opened node.
    pub device_caps: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// One television standard.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_standard {
    /// Number of the standard.
    pub index: u32,
    /// Its bit, or bits.
    pub id: v4l2_std_id,
    /// Its name.
    pub name: [u8; 24],
    /// Time between frames, in seconds.
    pub frameperiod: v4l2_fract,
    /// Lines of a frame.
    pub framelines: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// One video input.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_input {
    /// Number of the input.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// Tuner, camera or touch.
    pub type_: u32,
    /// The audio inputs that go with it, one bit each.
    pub audioset: u32,
    /// Number of its tuner.
    pub tuner: u32,
    /// Television standards it takes.
    pub std: v4l2_std_id,
    /// `V4L2_IN_ST_*` bits.
    pub status: u32,
    /// `V4L2_IN_CAP_*` bits.
    pub capabilities: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// One video output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_output {
    /// Number of the output.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// Modulator, analogue or overlay.
    pub type_: u32,
    /// The audio outputs that go with it, one bit each.
    pub audioset: u32,
    /// Number of its modulator.
    pub modulator: u32,
    /// Television standards it gives.
    pub std: v4l2_std_id,
    /// `V4L2_OUT_CAP_*` bits.
    pub capabilities: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// One audio input.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_audio {
    /// Number of the input.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// `V4L2_AUDCAP_*` bits.
    pub capability: u32,
    /// `V4L2_AUDMODE_*` bits.
    pub mode: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// One audio output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_audioout {
    /// Number of the output.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// `V4L2_AUDCAP_*` bits.
    pub capability: u32,
    /// `V4L2_AUDMODE_*` bits.
    pub mode: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// A screen's description of itself (EDID).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_edid {
    /// Number of the connector.
    pub pad: u32,
    /// First block meant.
    pub start_block: u32,
    /// Number of blocks of 128 bytes.
    pub blocks: u32,
    /// Zero.
    pub reserved: [u32; 5],
    /// The blocks.
    pub edid: *mut u8,
}
