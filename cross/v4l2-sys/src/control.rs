//! Controls: brightness, focus, zoom and the like.

use core::ffi::{c_char, c_void};

/// In a control's id: the first one after it, please.
pub const V4L2_CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
/// In a control's id: the first one after it that is a compound, please.
pub const V4L2_CTRL_FLAG_NEXT_COMPOUND: u32 = 0x4000_0000;

const USER_BASE: u32 = 0x0098_0900;
const CAMERA_BASE: u32 = 0x009a_0900;

/// Brightness.
pub const V4L2_CID_BRIGHTNESS: u32 = USER_BASE;
/// Contrast.
pub const V4L2_CID_CONTRAST: u32 = USER_BASE + 1;
/// Saturation.
pub const V4L2_CID_SATURATION: u32 = USER_BASE + 2;
/// Hue.
pub const V4L2_CID_HUE: u32 = USER_BASE + 3;
/// Gamma.
pub const V4L2_CID_GAMMA: u32 = USER_BASE + 16;
/// Exposure.
pub const V4L2_CID_EXPOSURE: u32 = USER_BASE + 17;
/// Gain.
pub const V4L2_CID_GAIN: u32 = USER_BASE + 19;
/// White balance, as a temperature in kelvins.
pub const V4L2_CID_WHITE_BALANCE_TEMPERATURE: u32 = USER_BASE + 26;
/// Sharpness.
pub const V4L2_CID_SHARPNESS: u32 = USER_BASE + 27;
/// How much to make up for light from behind.
pub const V4L2_CID_BACKLIGHT_COMPENSATION: u32 = USER_BASE + 28;

/// Turn by so much.
pub const V4L2_CID_PAN_RELATIVE: u32 = CAMERA_BASE + 4;
/// Tilt by so much.
pub const V4L2_CID_TILT_RELATIVE: u32 = CAMERA_BASE + 5;
/// Move the focus by so much.
pub const V4L2_CID_FOCUS_RELATIVE: u32 = CAMERA_BASE + 11;
/// Zoom by so much.
pub const V4L2_CID_ZOOM_RELATIVE: u32 = CAMERA_BASE + 14;
/// Open the iris by so much.
pub const V4L2_CID_IRIS_RELATIVE: u32 = CAMERA_BASE + 18;

/// One control's value, the short form.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_control {
    /// The control.
    pub id: u32,
    /// Its value.
    pub value: i32,
}

/// A control's value, of whatever kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_ext_control__bindgen_ty_1 {
    /// A number.
    pub value: i32,
    /// A wide number.
    pub value64: i64,
    /// Text.
    pub string: *mut c_char,
    /// Bytes.
    pub p_u8: *mut u8,
    /// 16-bit numbers.
    pub p_u16: *mut u16,
    /// 32-bit numbers.
    pub p_u32: *mut u32,
    /// Anything else.
    pub ptr: *mut c_void,
}

/// One control's value, the long form.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct v4l2_ext_control {
    /// The control.
    pub id: u32,
    /// Bytes behind the pointer, if the value is one.
    pub size: u32,
    /// Zero.
    pub reserved2: [u32; 1],
    /// The value.
    pub __bindgen_anon_1: v4l2_ext_control__bindgen_ty_1,
}

/// Which controls are meant: two names for one number.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_ext_controls__bindgen_ty_1 {
    /// A class of controls.
    pub ctrl_class: u32,
    /// A class of controls, or current, default or requested values.
    pub which: u32,
}

/// Several controls' values, set or asked for as one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_ext_controls {
    /// Which controls are meant.
    pub __bindgen_anon_1: v4l2_ext_controls__bindgen_ty_1,
    /// How many there are.
    pub count: u32,
    /// The one that was refused.
    pub error_idx: u32,
    /// The request they belong to.
    pub request_fd: i32,
    /// Zero.
    pub reserved: [u32; 1],
    /// The values.
    pub controls: *mut v4l2_ext_control,
}

/// What a control is called and which values it takes, the short form.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_queryctrl {
    /// The control.
    pub id: u32,
    /// The kind of its value.
    pub type_: u32,
    /// Its name.
    pub name: [u8; 32],
    /// Least value.
    pub minimum: i32,
    /// Greatest value.
    pub maximum: i32,
    /// Distance between values.
    pub step: i32,
    /// Value to begin with.
    pub default_value: i32,
    /// `V4L2_CTRL_FLAG_*` bits.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// What a control is called and which values it takes, the long form.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_query_ext_ctrl {
    /// The control.
    pub id: u32,
    /// The kind of its value.
    pub type_: u32,
    /// Its name.
    pub name: [c_char; 32],
    /// Least value.
    pub minimum: i64,
    /// Greatest value.
    pub maximum: i64,
    /// Distance between values.
    pub step: u64,
    /// Value to begin with.
    pub default_value: i64,
    /// `V4L2_CTRL_FLAG_*` bits.
    pub flags: u32,
    /// Bytes of one element.
    pub elem_size: u32,
    /// Number of elements.
    pub elems: u32,
    /// Number of dimensions.
    pub nr_of_dims: u32,
    /// Length of each dimension.
    pub dims: [u32; 4],
    /// Zero.
    pub reserved: [u32; 32],
}

/// What a menu's item stands for.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_querymenu__bindgen_ty_1 {
    /// A name.
    pub name: [u8; 32],
    /// A number.
    pub value: i64,
}

/// One item of a control that is a menu.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct v4l2_querymenu {
    /// The control.
    pub id: u32,
    /// Number of the item.
    pub index: u32,
    /// What it stands for.
    pub __bindgen_anon_1: v4l2_querymenu__bindgen_ty_1,
    /// Zero.
    pub reserved: u32,
}
