//! Pixel formats, and the part of a picture that is meant.

use crate::v4l2_fract;
use core::ffi::c_void;

/// How colours are coded: two names for one number.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_pix_format__bindgen_ty_1 {
    /// For luminance and chrominance.
    pub ycbcr_enc: u32,
    /// For hue, saturation and value.
    pub hsv_enc: u32,
}

/// Size and format of a picture of one plane.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_pix_format {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Four letters that name the format, the first one lowest.
    pub pixelformat: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// Bytes from one row to the next.
    pub bytesperline: u32,
    /// Bytes that a picture may need.
    pub sizeimage: u32,
    /// What the colours mean.
    pub colorspace: u32,
    /// A magic number if the fields below are set.
    pub priv_: u32,
    /// `V4L2_PIX_FMT_FLAG_*` bits.
    pub flags: u32,
    /// How colours are coded.
    pub __bindgen_anon_1: v4l2_pix_format__bindgen_ty_1,
    /// Whether the full range of numbers is used.
    pub quantization: u32,
    /// From light to numbers.
    pub xfer_func: u32,
}

/// One pixel format that a device has.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_fmtdesc {
    /// Number of the format.
    pub index: u32,
    /// The kind of stream.
    pub type_: u32,
    /// `V4L2_FMT_FLAG_*` bits.
    pub flags: u32,
    /// Its name.
    pub description: [u8; 32],
    /// Four letters that name it, the first one lowest.
    pub pixelformat: u32,
    /// Only the formats of this media bus code.
    pub mbus_code: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// A rectangle.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_rect {
    /// Left edge.
    pub left: i32,
    /// Upper edge.
    pub top: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A rectangle of a list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_clip {
    /// The rectangle.
    pub c: v4l2_rect,
    /// The one after it.
    pub next: *mut v4l2_clip,
}

/// Where on a screen a picture is laid. Its pointers give [`v4l2_format`] its alignment.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_window {
    /// Place and size.
    pub w: v4l2_rect,
    /// Order of the interlaced fields.
    pub field: u32,
    /// The colour that lets the picture through.
    pub chromakey: u32,
    /// Rectangles to leave alone.
    pub clips: *mut v4l2_clip,
    /// How many of them.
    pub clipcount: u32,
    /// Pixels to show, one bit each.
    pub bitmap: *mut c_void,
    /// How much the picture covers.
    pub global_alpha: u8,
}

/// The format of a stream, by its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_format__bindgen_ty_1 {
    /// Video of one plane.
    pub pix: v4l2_pix_format,
    /// Video laid on a screen.
    pub win: v4l2_window,
    /// Room for what the other kinds have.
    pub raw_data: [u8; 200],
}

/// The format of a stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_format {
    /// The kind of stream.
    pub type_: u32,
    /// Its format.
    pub fmt: v4l2_format__bindgen_ty_1,
}

/// Size and format of a screen's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_framebuffer__bindgen_ty_1 {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Four letters that name the format, the first one lowest.
    pub pixelformat: u32,
    /// Order of the interlaced fields.
    pub field: u32,
    /// Bytes from one row to the next.
    pub bytesperline: u32,
    /// Bytes in all.
    pub sizeimage: u32,
    /// What the colours mean.
    pub colorspace: u32,
    /// Zero.
    pub priv_: u32,
}

/// A screen's memory, to lay a picture on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_framebuffer {
    /// `V4L2_FBUF_CAP_*` bits.
    pub capability: u32,
    /// `V4L2_FBUF_FLAG_*` bits.
    pub flags: u32,
    /// Where it begins.
    pub base: *mut c_void,
    /// Its size and format.
    pub fmt: v4l2_framebuffer__bindgen_ty_1,
}

/// How much of the picture can be cut out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_cropcap {
    /// The kind of stream.
    pub type_: u32,
    /// The most there is.
    pub bounds: v4l2_rect,
    /// What is taken unless told.
    pub defrect: v4l2_rect,
    /// A pixel's height by its width.
    pub pixelaspect: v4l2_fract,
}

/// The part of the picture that is cut out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_crop {
    /// The kind of stream.
    pub type_: u32,
    /// The part.
    pub c: v4l2_rect,
}
