//! The frame sizes and the frame rates that a device has for a pixel format.

// The constants' names are bindgen's: that of the enumeration, then that of the value.
#![allow(non_upper_case_globals)]

use core::ffi::c_uint;

/// A fraction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_fract {
    /// Above the line.
    pub numerator: u32,
    /// Below it.
    pub denominator: u32,
}

/// How frame sizes are told.
pub type v4l2_frmsizetypes = c_uint;
/// One by one.
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE: v4l2_frmsizetypes = 1;
/// Any between two.
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_CONTINUOUS: v4l2_frmsizetypes = 2;
/// In steps between two.
pub const v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_STEPWISE: v4l2_frmsizetypes = 3;

/// One frame size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmsize_discrete {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Frame sizes between two.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmsize_stepwise {
    /// Least width.
    pub min_width: u32,
    /// Greatest width.
    pub max_width: u32,
    /// From one width to the next.
    pub step_width: u32,
    /// Least height.
    pub min_height: u32,
    /// Greatest height.
    pub max_height: u32,
    /// From one height to the next.
    pub step_height: u32,
}

/// One frame size, or all of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_frmsizeenum__bindgen_ty_1 {
    /// One.
    pub discrete: v4l2_frmsize_discrete,
    /// All between two.
    pub stepwise: v4l2_frmsize_stepwise,
}

/// A frame size that a device has.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_frmsizeenum {
    /// Number of the size.
    pub index: u32,
    /// The pixel format asked about.
    pub pixel_format: u32,
    /// How the size is told.
    pub type_: v4l2_frmsizetypes,
    /// The size.
    pub __bindgen_anon_1: v4l2_frmsizeenum__bindgen_ty_1,
    /// Zero.
    pub reserved: [u32; 2],
}

/// How the times between frames are told.
pub type v4l2_frmivaltypes = c_uint;
/// One by one.
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE: v4l2_frmivaltypes = 1;
/// Any between two.
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_CONTINUOUS: v4l2_frmivaltypes = 2;
/// In steps between two.
pub const v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_STEPWISE: v4l2_frmivaltypes = 3;

/// Times between frames, from one to another, in seconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frmival_stepwise {
    /// The shortest.
    pub min: v4l2_fract,
    /// The longest.
    pub max: v4l2_fract,
    /// From one to the next.
    pub step: v4l2_fract,
}

/// One time between frames, or all of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_frmivalenum__bindgen_ty_1 {
    /// One, in seconds.
    pub discrete: v4l2_fract,
    /// All between two.
    pub stepwise: v4l2_frmival_stepwise,
}

/// A time between frames that a device has.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_frmivalenum {
    /// Number of the time.
    pub index: u32,
    /// The pixel format asked about.
    pub pixel_format: u32,
    /// The width asked about.
    pub width: u32,
    /// The height asked about.
    pub height: u32,
    /// How the time is told.
    pub type_: v4l2_frmivaltypes,
    /// The time.
    pub __bindgen_anon_1: v4l2_frmivalenum__bindgen_ty_1,
    /// Zero.
    pub reserved: [u32; 2],
}
