//! The requests' numbers, worked out as `v4l` does and checked while compiling.
//!
//! `v4l` makes a request's number of its direction, the letter V, the request and the size of the
//! structure that goes with it; the numbers on the right here are what C makes of the header.

use crate::layout::here;
use crate::*;
use core::ffi::c_int;

const WRITE: usize = 1;
const READ: usize = 2;

/// A request's number, for a structure of this many bytes.
const fn number(direction: usize, request: usize, size: usize) -> usize {
    direction << 30 | size << 16 | (b'V' as usize) << 8 | request
}

/// Takes lines of `NAME = direction, request, type: number`; the numbers are those of [`here`].
macro_rules! requests {
    ($($name:ident = $direction:expr, $request:literal, $type:ty: $($number:literal),+;)+) => {
        $(const _: () = assert!(
            number($direction, $request, size_of::<$type>()) == here(&[$($number),+]),
            concat!(stringify!($name), " has another number in C")
        );)+

        /// All the requests, with their numbers.
        #[cfg(test)]
        pub(crate) const REQUESTS: &[(&str, usize)] = &[
            $((stringify!($name), number($direction, $request, size_of::<$type>()))),+
        ];
    };
}

requests! {
    VIDIOC_QUERYCAP = READ, 0, v4l2_capability: 0x8068_5600;
    VIDIOC_ENUM_FMT = READ | WRITE, 2, v4l2_fmtdesc: 0xc040_5602;
    VIDIOC_G_FMT = READ | WRITE, 4, v4l2_format: 0xc0d0_5604, 0xc0cc_5604;
    VIDIOC_S_FMT = READ | WRITE, 5, v4l2_format: 0xc0d0_5605, 0xc0cc_5605;
    VIDIOC_REQBUFS = READ | WRITE, 8, v4l2_requestbuffers: 0xc014_5608;
    VIDIOC_QUERYBUF = READ | WRITE, 9, v4l2_buffer: 0xc058_5609, 0xc044_5609;
    VIDIOC_G_FBUF = READ, 10, v4l2_framebuffer: 0x8030_560a, 0x802c_560a;
    VIDIOC_S_FBUF = WRITE, 11, v4l2_framebuffer: 0x4030_560b, 0x402c_560b;
    VIDIOC_OVERLAY = WRITE, 14, c_int: 0x4004_560e;
    VIDIOC_QBUF = READ | WRITE, 15, v4l2_buffer: 0xc058_560f, 0xc044_560f;
    VIDIOC_EXPBUF = READ | WRITE, 16, v4l2_exportbuffer: 0xc040_5610;
    VIDIOC_DQBUF = READ | WRITE, 17, v4l2_buffer: 0xc058_5611, 0xc044_5611;
    VIDIOC_STREAMON = WRITE, 18, c_int: 0x4004_5612;
    VIDIOC_STREAMOFF = WRITE, 19, c_int: 0x4004_5613;
    VIDIOC_G_PARM = READ | WRITE, 21, v4l2_streamparm: 0xc0cc_5615;
    VIDIOC_S_PARM = READ | WRITE, 22, v4l2_streamparm: 0xc0cc_5616;
    VIDIOC_G_STD = READ, 23, v4l2_std_id: 0x8008_5617;
    VIDIOC_S_STD = WRITE, 24, v4l2_std_id: 0x4008_5618;
    VIDIOC_ENUMSTD = READ | WRITE, 25, v4l2_standard: 0xc048_5619, 0xc048_5619, 0xc040_5619;
    VIDIOC_ENUMINPUT = READ | WRITE, 26, v4l2_input: 0xc050_561a, 0xc050_561a, 0xc04c_561a;
    VIDIOC_G_CTRL = READ | WRITE, 27, v4l2_control: 0xc008_561b;
    VIDIOC_S_CTRL = READ | WRITE, 28, v4l2_control: 0xc008_561c;
    VIDIOC_G_TUNER = READ | WRITE, 29, v4l2_tuner: 0xc054_561d;
    VIDIOC_S_TUNER = WRITE, 30, v4l2_tuner: 0x4054_561e;
    VIDIOC_G_AUDIO = READ, 33, v4l2_audio: 0x8034_5621;
    VIDIOC_S_AUDIO = WRITE, 34, v4l2_audio: 0x4034_5622;
    VIDIOC_QUERYCTRL = READ | WRITE, 36, v4l2_queryctrl: 0xc044_5624;
    VIDIOC_QUERYMENU = READ | WRITE, 37, v4l2_querymenu: 0xc02c_5625;
    VIDIOC_G_INPUT = READ, 38, c_int: 0x8004_5626;
    VIDIOC_S_INPUT = READ | WRITE, 39, c_int: 0xc004_5627;
    VIDIOC_G_EDID = READ | WRITE, 40, v4l2_edid: 0xc028_5628, 0xc024_5628;
    VIDIOC_S_EDID = READ | WRITE, 41, v4l2_edid: 0xc028_5629, 0xc024_5629;
    VIDIOC_G_OUTPUT = READ, 46, c_int: 0x8004_562e;
    VIDIOC_S_OUTPUT = READ | WRITE, 47, c_int: 0xc004_562f;
    VIDIOC_ENUMOUTPUT = READ | WRITE, 48, v4l2_output: 0xc048_5630;
    VIDIOC_G_AUDOUT = READ, 49, v4l2_audioout: 0x8034_5631;
    VIDIOC_S_AUDOUT = WRITE, 50, v4l2_audioout: 0x4034_5632;
    VIDIOC_G_MODULATOR = READ | WRITE, 54, v4l2_modulator: 0xc044_5636;
    VIDIOC_S_MODULATOR = WRITE, 55, v4l2_modulator: 0x4044_5637;
    VIDIOC_G_FREQUENCY = READ | WRITE, 56, v4l2_frequency: 0xc02c_5638;
    VIDIOC_S_FREQUENCY = WRITE, 57, v4l2_frequency: 0x402c_5639;
    VIDIOC_CROPCAP = READ | WRITE, 58, v4l2_cropcap: 0xc02c_563a;
    VIDIOC_G_CROP = READ | WRITE, 59, v4l2_crop: 0xc014_563b;
    VIDIOC_S_CROP = WRITE, 60, v4l2_crop: 0x4014_563c;
    VIDIOC_G_JPEGCOMP = READ, 61, v4l2_jpegcompression: 0x808c_563d;
    VIDIOC_S_JPEGCOMP = WRITE, 62, v4l2_jpegcompression: 0x408c_563e;
    VIDIOC_QUERYSTD = READ, 63, v4l2_std_id: 0x8008_563f;
    VIDIOC_TRY_FMT = READ | WRITE, 64, v4l2_format: 0xc0d0_5640, 0xc0cc_5640;
    VIDIOC_ENUMAUDIO = READ | WRITE, 65, v4l2_audio: 0xc034_5641;
    VIDIOC_ENUMAUDOUT = READ | WRITE, 66, v4l2_audioout: 0xc034_5642;
    VIDIOC_G_PRIORITY = READ, 67, c_int: 0x8004_5643;
    VIDIOC_S_PRIORITY = WRITE, 68, c_int: 0x4004_5644;
    VIDIOC_G_SLICED_VBI_CAP = READ | WRITE, 69, v4l2_sliced_vbi_cap: 0xc074_5645;
    VIDIOC_G_EXT_CTRLS = READ | WRITE, 71, v4l2_ext_controls: 0xc020_5647, 0xc018_5647;
    VIDIOC_S_EXT_CTRLS = READ | WRITE, 72, v4l2_ext_controls: 0xc020_5648, 0xc018_5648;
    VIDIOC_TRY_EXT_CTRLS = READ | WRITE, 73, v4l2_ext_controls: 0xc020_5649, 0xc018_5649;
    VIDIOC_ENUM_FRAMESIZES = READ | WRITE, 74, v4l2_frmsizeenum: 0xc02c_564a;
    VIDIOC_ENUM_FRAMEINTERVALS = READ | WRITE, 75, v4l2_frmivalenum: 0xc034_564b;
    VIDIOC_G_ENC_INDEX = READ, 76, v4l2_enc_idx: 0x8818_564c;
    VIDIOC_ENCODER_CMD = READ | WRITE, 77, v4l2_encoder_cmd: 0xc028_564d;
    VIDIOC_TRY_ENCODER_CMD = READ | WRITE, 78, v4l2_encoder_cmd: 0xc028_564e;
    VIDIOC_QUERY_EXT_CTRL = READ | WRITE, 103, v4l2_query_ext_ctrl: 0xc0e8_5667;
}
