//! The part of Linux's `videodev2.h` that the crates `v4l` 0.14 and `nokhwa-bindings-linux` 0.1 use, written by hand.
//!
//! It replaces the crate of the same name and version on crates.io, through `[patch.crates-io]`. There is no build script,
//! so cross-compiling needs neither libclang nor a C compiler nor the headers of the target. Names are those of bindgen
//! (`type_` for `type`, `__bindgen_anon_1` for an unnamed union). Structures, union members and constants that neither
//! crate uses are left out, except for members that determine the size and alignment of a union.
//!
//! The number of an ioctl request contains the size of its structure, so one wrong byte makes a request unknown. Sizes,
//! request numbers and the offsets that depend on padding are checked at compile time for the target; a test compares
//! every field with the C header, if it is installed.
//!
//! On 32-bit machines the time in a buffer consists of two 32-bit numbers, which old and new kernels support (unless
//! built without `COMPAT_32BIT_TIME`). The two kinds of 32-bit machine without this form, x32 and 32-bit RISC-V, are
//! refused. On other systems than Linux the crate is empty.

#![cfg(target_os = "linux")]
// The names are those of the C header and bindgen, by which `v4l` uses them.
#![allow(non_camel_case_types, non_upper_case_globals)]

use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

#[cfg(any(
    all(target_arch = "x86_64", target_pointer_width = "32"),
    target_arch = "riscv32"
))]
compile_error!("v4l2_buffer has a 64-bit time on this machine, which this crate does not describe");

mod abi;

#[cfg(test)]
mod c_header;

// Devices, inputs and outputs.

/// A set of television standards, one bit each.
pub type v4l2_std_id = u64;

/// The identity and capabilities of a device.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    /// Bus address.
    pub bus_info: [u8; 32],
    /// Kernel version, one byte for each of three numbers.
    pub version: u32,
    /// `V4L2_CAP_*` bits of the whole device.
    pub capabilities: u32,
    /// `V4L2_CAP_*` bits of the opened node.
    pub device_caps: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

/// One television standard.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_standard {
    pub index: u32,
    pub id: v4l2_std_id,
    pub name: [u8; 24],
    /// Time between frames, in seconds.
    pub frameperiod: v4l2_fract,
    pub framelines: u32,
    /// Must be zero.
    pub reserved: [u32; 4],
}

/// One video input.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_input {
    pub index: u32,
    pub name: [u8; 32],
    /// `V4L2_INPUT_TYPE_*`.
    pub type_: u32,
    /// Associated audio inputs, one bit each.
    pub audioset: u32,
    pub tuner: u32,
    /// Supported television standards.
    pub std: v4l2_std_id,
    /// `V4L2_IN_ST_*` bits.
    pub status: u32,
    /// `V4L2_IN_CAP_*` bits.
    pub capabilities: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

/// One video output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_output {
    pub index: u32,
    pub name: [u8; 32],
    /// `V4L2_OUTPUT_TYPE_*`.
    pub type_: u32,
    /// Associated audio outputs, one bit each.
    pub audioset: u32,
    pub modulator: u32,
    /// Supported television standards.
    pub std: v4l2_std_id,
    /// `V4L2_OUT_CAP_*` bits.
    pub capabilities: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

/// One audio input.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_audio {
    pub index: u32,
    pub name: [u8; 32],
    /// `V4L2_AUDCAP_*` bits.
    pub capability: u32,
    /// `V4L2_AUDMODE_*` bits.
    pub mode: u32,
    /// Must be zero.
    pub reserved: [u32; 2],
}

/// One audio output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_audioout {
    pub index: u32,
    pub name: [u8; 32],
    /// `V4L2_AUDCAP_*` bits.
    pub capability: u32,
    /// `V4L2_AUDMODE_*` bits.
    pub mode: u32,
    /// Must be zero.
    pub reserved: [u32; 2],
}

/// The description of a display (EDID).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_edid {
    pub pad: u32,
    pub start_block: u32,
    /// Number of blocks of 128 bytes each.
    pub blocks: u32,
    /// Must be zero.
    pub reserved: [u32; 5],
    pub edid: *mut u8,
}

// Pixel formats and cropping.

/// The color encoding: two names for one number.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_pix_format__bindgen_ty_1 {
    /// `V4L2_YCBCR_ENC_*`.
    pub ycbcr_enc: u32,
    /// `V4L2_HSV_ENC_*`.
    pub hsv_enc: u32,
}

/// Size and format of single-plane frames.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_pix_format {
    pub width: u32,
    pub height: u32,
    /// Four-character code, the first character in the lowest byte.
    pub pixelformat: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// Bytes from one row to the next.
    pub bytesperline: u32,
    /// Largest number of bytes of a frame.
    pub sizeimage: u32,
    /// `V4L2_COLORSPACE_*`.
    pub colorspace: u32,
    /// `V4L2_PIX_FMT_PRIV_MAGIC` if the fields below are set.
    pub priv_: u32,
    /// `V4L2_PIX_FMT_FLAG_*` bits.
    pub flags: u32,
    pub __bindgen_anon_1: v4l2_pix_format__bindgen_ty_1,
    /// `V4L2_QUANTIZATION_*`.
    pub quantization: u32,
    /// `V4L2_XFER_FUNC_*`.
    pub xfer_func: u32,
}

/// One pixel format that a device has.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_fmtdesc {
    pub index: u32,
    pub type_: u32,
    /// `V4L2_FMT_FLAG_*` bits.
    pub flags: u32,
    pub description: [u8; 32],
    /// Four-character code, the first character in the lowest byte.
    pub pixelformat: u32,
    /// Restricts the list to the formats of this media bus code.
    pub mbus_code: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_rect {
    pub left: i32,
    pub top: i32,
    pub width: u32,
    pub height: u32,
}

/// A rectangle of a list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_clip {
    pub c: v4l2_rect,
    pub next: *mut v4l2_clip,
}

/// An overlay window. Its pointers determine the alignment of [`v4l2_format`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_window {
    pub w: v4l2_rect,
    /// Order of the interlaced fields.
    pub field: u32,
    pub chromakey: u32,
    /// Rectangles that are not drawn on.
    pub clips: *mut v4l2_clip,
    pub clipcount: u32,
    /// Mask of the pixels to draw, one bit each.
    pub bitmap: *mut c_void,
    /// Opacity.
    pub global_alpha: u8,
}

/// The format of a stream, by its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_format__bindgen_ty_1 {
    pub pix: v4l2_pix_format,
    /// Overlay.
    pub win: v4l2_window,
    /// Gives the union its size in C.
    pub raw_data: [u8; 200],
}

/// The format of a stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_format {
    pub type_: u32,
    pub fmt: v4l2_format__bindgen_ty_1,
}

/// Size and format of a frame buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_framebuffer__bindgen_ty_1 {
    pub width: u32,
    pub height: u32,
    /// Four-character code, the first character in the lowest byte.
    pub pixelformat: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// Bytes from one row to the next.
    pub bytesperline: u32,
    /// Size in bytes.
    pub sizeimage: u32,
    /// `V4L2_COLORSPACE_*`.
    pub colorspace: u32,
    /// Must be zero.
    pub priv_: u32,
}

/// A frame buffer for overlay.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_framebuffer {
    /// `V4L2_FBUF_CAP_*` bits.
    pub capability: u32,
    /// `V4L2_FBUF_FLAG_*` bits.
    pub flags: u32,
    pub base: *mut c_void,
    pub fmt: v4l2_framebuffer__bindgen_ty_1,
}

/// Cropping limits.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_cropcap {
    pub type_: u32,
    /// Largest crop rectangle.
    pub bounds: v4l2_rect,
    /// Default crop rectangle.
    pub defrect: v4l2_rect,
    /// Pixel aspect ratio, height by width.
    pub pixelaspect: v4l2_fract,
}

/// The crop rectangle.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_crop {
    pub type_: u32,
    pub c: v4l2_rect,
}

// Frame sizes and frame intervals.

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_fract {
    pub numerator: u32,
    pub denominator: u32,
}

/// How frame sizes are listed.
pub type v4l2_frmsizetypes = c_uint;
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE: v4l2_frmsizetypes = 1;
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_CONTINUOUS: v4l2_frmsizetypes = 2;
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_STEPWISE: v4l2_frmsizetypes = 3;

/// One frame size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmsize_discrete {
    pub width: u32,
    pub height: u32,
}

/// A range of frame sizes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmsize_stepwise {
    pub min_width: u32,
    pub max_width: u32,
    pub step_width: u32,
    pub min_height: u32,
    pub max_height: u32,
    pub step_height: u32,
}

/// One frame size, or a range.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_frmsizeenum__bindgen_ty_1 {
    pub discrete: v4l2_frmsize_discrete,
    pub stepwise: v4l2_frmsize_stepwise,
}

/// A frame size of a device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_frmsizeenum {
    pub index: u32,
    /// The queried pixel format.
    pub pixel_format: u32,
    /// How the size is listed.
    pub type_: v4l2_frmsizetypes,
    pub __bindgen_anon_1: v4l2_frmsizeenum__bindgen_ty_1,
    /// Must be zero.
    pub reserved: [u32; 2],
}

/// How frame intervals are listed.
pub type v4l2_frmivaltypes = c_uint;
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE: v4l2_frmivaltypes = 1;
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_CONTINUOUS: v4l2_frmivaltypes = 2;
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_STEPWISE: v4l2_frmivaltypes = 3;

/// A range of frame intervals, in seconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmival_stepwise {
    pub min: v4l2_fract,
    pub max: v4l2_fract,
    /// From one to the next.
    pub step: v4l2_fract,
}

/// One frame interval, or a range.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_frmivalenum__bindgen_ty_1 {
    /// In seconds.
    pub discrete: v4l2_fract,
    pub stepwise: v4l2_frmival_stepwise,
}

/// A frame interval of a device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_frmivalenum {
    pub index: u32,
    /// The queried pixel format.
    pub pixel_format: u32,
    /// The queried width.
    pub width: u32,
    /// The queried height.
    pub height: u32,
    /// How the interval is listed.
    pub type_: v4l2_frmivaltypes,
    pub __bindgen_anon_1: v4l2_frmivalenum__bindgen_ty_1,
    /// Must be zero.
    pub reserved: [u32; 2],
}

// Buffers.

/// Seconds since an epoch, as wide as the machine's `long`.
pub type time_t = c_long;

/// The time in a [`v4l2_buffer`], in the form that old and new kernels support.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct timeval {
    pub tv_sec: time_t,
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
    pub frames: u8,
    pub seconds: u8,
    pub minutes: u8,
    pub hours: u8,
    pub userbits: [u8; 4],
}

/// Allocates buffers, or frees them with a count of 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_requestbuffers {
    /// Requested number of buffers; set by the driver to the allocated number.
    pub count: u32,
    pub type_: u32,
    /// `V4L2_MEMORY_*`.
    pub memory: u32,
    /// `V4L2_BUF_CAP_*` bits, from the driver.
    pub capabilities: u32,
    /// `V4L2_MEMORY_FLAG_*` bits.
    pub flags: u8,
    /// Must be zero.
    pub reserved: [u8; 3],
}

/// The memory of a plane.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_plane__bindgen_ty_1 {
    /// Offset for `mmap`.
    pub mem_offset: u32,
    /// An address in the caller's memory.
    pub userptr: c_ulong,
    /// A DMA buffer's file descriptor.
    pub fd: i32,
}

/// One plane of a buffer with several.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_plane {
    pub bytesused: u32,
    /// Size in bytes.
    pub length: u32,
    pub m: v4l2_plane__bindgen_ty_1,
    pub data_offset: u32,
    /// Must be zero.
    pub reserved: [u32; 11],
}

/// The memory of a buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_buffer__bindgen_ty_1 {
    /// Offset for `mmap`.
    pub offset: u32,
    /// An address in the caller's memory.
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
    pub request_fd: i32,
    /// Zero if there is none.
    pub reserved: u32,
}

/// A buffer that is queued empty and dequeued with a frame.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_buffer {
    pub index: u32,
    pub type_: u32,
    pub bytesused: u32,
    /// `V4L2_BUF_FLAG_*` bits.
    pub flags: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// When the frame was captured.
    pub timestamp: timeval,
    /// Valid if a flag is set.
    pub timecode: v4l2_timecode,
    /// Number of the frame; a gap means lost frames.
    pub sequence: u32,
    /// `V4L2_MEMORY_*`.
    pub memory: u32,
    pub m: v4l2_buffer__bindgen_ty_1,
    /// Size in bytes, or the number of planes.
    pub length: u32,
    /// Must be zero.
    pub reserved2: u32,
    /// The request it belongs to.
    pub __bindgen_anon_1: v4l2_buffer__bindgen_ty_2,
}

/// Exports a buffer as a DMA buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_exportbuffer {
    pub type_: u32,
    pub index: u32,
    pub plane: u32,
    /// Flags as for `open`.
    pub flags: u32,
    /// The file descriptor, set by the driver.
    pub fd: i32,
    /// Must be zero.
    pub reserved: [u32; 11],
}

// Stream parameters.

/// Parameters of capture.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_captureparm {
    /// The parameters that can be set.
    pub capability: u32,
    /// High quality mode.
    pub capturemode: u32,
    /// Time between frames, in seconds.
    pub timeperframe: v4l2_fract,
    /// Driver-specific.
    pub extendedmode: u32,
    /// Buffers for reading frames as a file.
    pub readbuffers: u32,
    /// Must be zero.
    pub reserved: [u32; 4],
}

/// Parameters of output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_outputparm {
    /// The parameters that can be set.
    pub capability: u32,
    /// High quality mode.
    pub outputmode: u32,
    /// Time between frames, in seconds.
    pub timeperframe: v4l2_fract,
    /// Driver-specific.
    pub extendedmode: u32,
    /// Buffers for writing frames as a file.
    pub writebuffers: u32,
    /// Must be zero.
    pub reserved: [u32; 4],
}

/// Parameters, by the kind of stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_streamparm__bindgen_ty_1 {
    /// Capture.
    pub capture: v4l2_captureparm,
    /// Output.
    pub output: v4l2_outputparm,
    /// Gives the union its size in C.
    pub raw_data: [u8; 200],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_streamparm {
    pub type_: u32,
    pub parm: v4l2_streamparm__bindgen_ty_1,
}

// Controls.

/// Added to a control's id to query the next control.
pub const V4L2_CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
/// Added to a control's id to query the next compound control.
pub const V4L2_CTRL_FLAG_NEXT_COMPOUND: u32 = 0x4000_0000;

const USER_BASE: u32 = 0x0098_0900;
const CAMERA_BASE: u32 = 0x009a_0900;

pub const V4L2_CID_BRIGHTNESS: u32 = USER_BASE;
pub const V4L2_CID_CONTRAST: u32 = USER_BASE + 1;
pub const V4L2_CID_SATURATION: u32 = USER_BASE + 2;
pub const V4L2_CID_HUE: u32 = USER_BASE + 3;
pub const V4L2_CID_GAMMA: u32 = USER_BASE + 16;
pub const V4L2_CID_EXPOSURE: u32 = USER_BASE + 17;
pub const V4L2_CID_GAIN: u32 = USER_BASE + 19;
/// White balance, as a temperature in kelvins.
pub const V4L2_CID_WHITE_BALANCE_TEMPERATURE: u32 = USER_BASE + 26;
pub const V4L2_CID_SHARPNESS: u32 = USER_BASE + 27;
pub const V4L2_CID_BACKLIGHT_COMPENSATION: u32 = USER_BASE + 28;

pub const V4L2_CID_PAN_RELATIVE: u32 = CAMERA_BASE + 4;
pub const V4L2_CID_TILT_RELATIVE: u32 = CAMERA_BASE + 5;
pub const V4L2_CID_FOCUS_RELATIVE: u32 = CAMERA_BASE + 11;
pub const V4L2_CID_ZOOM_RELATIVE: u32 = CAMERA_BASE + 14;
pub const V4L2_CID_IRIS_RELATIVE: u32 = CAMERA_BASE + 18;

/// The value of a control (`VIDIOC_G_CTRL`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_control {
    pub id: u32,
    pub value: i32,
}

/// The value of a control, by its type.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_ext_control__bindgen_ty_1 {
    pub value: i32,
    pub value64: i64,
    pub string: *mut c_char,
    pub p_u8: *mut u8,
    pub p_u16: *mut u16,
    pub p_u32: *mut u32,
    pub ptr: *mut c_void,
}

/// The value of a control (`VIDIOC_G_EXT_CTRLS`).
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct v4l2_ext_control {
    pub id: u32,
    /// Bytes at the pointer, if the value is one.
    pub size: u32,
    /// Must be zero.
    pub reserved2: [u32; 1],
    pub __bindgen_anon_1: v4l2_ext_control__bindgen_ty_1,
}

/// Which controls are accessed: two names for one number.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_ext_controls__bindgen_ty_1 {
    pub ctrl_class: u32,
    /// A class of controls, or current, default or requested values.
    pub which: u32,
}

/// The values of several controls, read or set together.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_ext_controls {
    pub __bindgen_anon_1: v4l2_ext_controls__bindgen_ty_1,
    pub count: u32,
    /// Index of the control that failed.
    pub error_idx: u32,
    /// The request they belong to.
    pub request_fd: i32,
    /// Must be zero.
    pub reserved: [u32; 1],
    pub controls: *mut v4l2_ext_control,
}

/// The name and range of a control (`VIDIOC_QUERYCTRL`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_queryctrl {
    pub id: u32,
    /// The kind of its value.
    pub type_: u32,
    pub name: [u8; 32],
    pub minimum: i32,
    pub maximum: i32,
    pub step: i32,
    pub default_value: i32,
    /// `V4L2_CTRL_FLAG_*` bits.
    pub flags: u32,
    /// Must be zero.
    pub reserved: [u32; 2],
}

/// The name and range of a control (`VIDIOC_QUERY_EXT_CTRL`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_query_ext_ctrl {
    pub id: u32,
    /// The kind of its value.
    pub type_: u32,
    pub name: [c_char; 32],
    pub minimum: i64,
    pub maximum: i64,
    pub step: u64,
    pub default_value: i64,
    /// `V4L2_CTRL_FLAG_*` bits.
    pub flags: u32,
    pub elem_size: u32,
    pub elems: u32,
    pub nr_of_dims: u32,
    pub dims: [u32; 4],
    /// Must be zero.
    pub reserved: [u32; 32],
}

/// The value of a menu item.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_querymenu__bindgen_ty_1 {
    pub name: [u8; 32],
    pub value: i64,
}

/// An item of a menu control.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct v4l2_querymenu {
    pub id: u32,
    pub index: u32,
    pub __bindgen_anon_1: v4l2_querymenu__bindgen_ty_1,
    /// Must be zero.
    pub reserved: u32,
}

// Tuners, which no camera has: `v4l` needs only their sizes.

/// One tuner.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_tuner {
    pub index: u32,
    pub name: [u8; 32],
    /// Radio, television and so on.
    pub type_: u32,
    /// `V4L2_TUNER_CAP_*` bits.
    pub capability: u32,
    pub rangelow: u32,
    pub rangehigh: u32,
    /// `V4L2_TUNER_SUB_*` bits of the received audio.
    pub rxsubchans: u32,
    /// Mono, stereo or a language.
    pub audmode: u32,
    /// Signal strength, 0 to 65535.
    pub signal: i32,
    /// Automatic frequency control: negative if the frequency is too low, positive if it is too high.
    pub afc: i32,
    /// Must be zero.
    pub reserved: [u32; 4],
}

/// One modulator.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_modulator {
    pub index: u32,
    pub name: [u8; 32],
    /// `V4L2_TUNER_CAP_*` bits.
    pub capability: u32,
    pub rangelow: u32,
    pub rangehigh: u32,
    /// `V4L2_TUNER_SUB_*` bits of the transmitted audio.
    pub txsubchans: u32,
    /// Radio, television and so on.
    pub type_: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

/// A tuner's or a modulator's frequency.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frequency {
    /// Number of the tuner or the modulator.
    pub tuner: u32,
    /// Radio, television and so on.
    pub type_: u32,
    /// In units of 62.5 kHz, 62.5 Hz or 1 Hz.
    pub frequency: u32,
    /// Must be zero.
    pub reserved: [u32; 8],
}

// Encoders and sliced VBI, which no camera has: `v4l` needs only their sizes.

/// JPEG compression parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
// The field names are those of the C header.
#[allow(non_snake_case)]
pub struct v4l2_jpegcompression {
    pub quality: c_int,
    /// Number of the application segment.
    pub APPn: c_int,
    pub APP_len: c_int,
    pub APP_data: [c_char; 60],
    pub COM_len: c_int,
    pub COM_data: [c_char; 60],
    /// `V4L2_JPEG_MARKER_*` bits.
    pub jpeg_markers: u32,
}

/// Sliced VBI capabilities.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_sliced_vbi_cap {
    /// The supported services, one bit each.
    pub service_set: u16,
    /// The services of each line, for both fields.
    pub service_lines: [[u16; 24]; 2],
    pub type_: u32,
    /// Must be zero.
    pub reserved: [u32; 3],
}

/// One encoded frame.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_enc_idx_entry {
    pub offset: u64,
    /// Presentation timestamp.
    pub pts: u64,
    pub length: u32,
    pub flags: u32,
    /// Must be zero.
    pub reserved: [u32; 2],
}

/// The index of the last encoded frames.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_enc_idx {
    /// Number of valid entries.
    pub entries: u32,
    /// Capacity of the driver's index.
    pub entries_cap: u32,
    /// Must be zero.
    pub reserved: [u32; 4],
    pub entry: [v4l2_enc_idx_entry; 64],
}

/// The raw data of an encoder command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_encoder_cmd__bindgen_ty_1__bindgen_ty_1 {
    pub data: [u32; 8],
}

/// The data of an encoder command.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_encoder_cmd__bindgen_ty_1 {
    pub raw: v4l2_encoder_cmd__bindgen_ty_1__bindgen_ty_1,
}

/// An encoder command: start, stop, pause.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_encoder_cmd {
    pub cmd: u32,
    /// `V4L2_ENC_CMD_*` bits.
    pub flags: u32,
    pub __bindgen_anon_1: v4l2_encoder_cmd__bindgen_ty_1,
}
