//! Compile-time checks of structure layouts and request numbers against the values of the C header.

use core::ffi::c_int;
use core::mem::offset_of;

use crate::*;

/// The value for this target of up to three: for 64-bit targets; for 32-bit targets, if it differs; for 32-bit targets
/// on which 64-bit numbers are aligned to 4 bytes (i686), if it differs again.
const fn for_target(numbers: &[usize]) -> usize {
    let column = if cfg!(target_pointer_width = "64") {
        0
    } else if align_of::<u64>() == 8 {
        1
    } else {
        2
    };
    if column < numbers.len() {
        numbers[column]
    } else {
        numbers[numbers.len() - 1]
    }
}

/// The layout of a structure in this crate.
#[cfg(test)]
pub(crate) struct Layout {
    /// Without `struct`.
    pub(crate) name: &'static str,
    /// In bytes.
    pub(crate) size: usize,
    /// In bytes.
    pub(crate) align: usize,
    /// The named fields in order.
    pub(crate) fields: Vec<Field>,
}

#[cfg(test)]
pub(crate) struct Field {
    /// In Rust.
    pub(crate) name: &'static str,
    /// In bytes.
    pub(crate) offset: usize,
    /// In bytes.
    pub(crate) size: usize,
}

/// The size in bytes of the value that a function reads from a structure.
#[cfg(test)]
const fn size_read<S, F>(_: fn(&S) -> F) -> usize {
    size_of::<F>()
}

/// Takes lines of `structure [size] { field [offset], field, .. }` with the values of [`for_target`]. Checks sizes and
/// offsets, and makes a list of them for the tests.
macro_rules! layouts {
    ($($name:ident [$($size:literal),+] { $($field:ident $([$($at:literal),+])?),+ $(,)? })+) => {
        $(
            const _: () = assert!(
                size_of::<$name>() == for_target(&[$($size),+]),
                concat!(stringify!($name), " has another size in C")
            );
            $($(
                const _: () = assert!(
                    offset_of!($name, $field) == for_target(&[$($at),+]),
                    concat!(stringify!($name), ".", stringify!($field), " has another offset in C")
                );
            )?)+
        )+

        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<Layout> {
            vec![$(Layout {
                name: stringify!($name),
                size: size_of::<$name>(),
                align: align_of::<$name>(),
                fields: vec![$(Field {
                    name: stringify!($field),
                    offset: offset_of!($name, $field),
                    size: size_read(|it: &$name| it.$field),
                }),+],
            }),+]
        }
    };
}

layouts! {
    timeval [16, 8] { tv_sec [0], tv_usec [8, 4] }
    v4l2_timecode [16] { type_, flags, frames [8], seconds, minutes, hours, userbits [12] }
    v4l2_requestbuffers [20] { count, type_, memory, capabilities [12], flags [16], reserved [17] }
    v4l2_plane [64, 60] { bytesused, length, m [8], data_offset [16, 12], reserved [20, 16] }
    v4l2_buffer [88, 68] {
        index [0], type_ [4], bytesused [8], flags [12], field [16], timestamp [24, 20],
        timecode [40, 28], sequence [56, 44], memory [60, 48], m [64, 52], length [72, 56],
        reserved2 [76, 60], __bindgen_anon_1 [80, 64],
    }
    v4l2_exportbuffer [64] { type_, index, plane, flags, fd [16], reserved [20] }

    v4l2_control [8] { id, value [4] }
    v4l2_ext_control [20] { id [0], size [4], reserved2 [8], __bindgen_anon_1 [12] }
    v4l2_ext_controls [32, 24] {
        __bindgen_anon_1 [0], count [4], error_idx [8], request_fd [12], reserved [16],
        controls [24, 20],
    }
    v4l2_queryctrl [68] {
        id, type_, name [8], minimum [40], maximum, step, default_value, flags [56], reserved [60],
    }
    v4l2_query_ext_ctrl [232] {
        id, type_, name [8], minimum [40], maximum [48], step [56], default_value [64], flags [72],
        elem_size, elems, nr_of_dims, dims [88], reserved [104],
    }
    v4l2_querymenu [44] { id [0], index [4], __bindgen_anon_1 [8], reserved [40] }

    v4l2_capability [104] {
        driver [0], card [16], bus_info [48], version [80], capabilities [84], device_caps [88],
        reserved [92],
    }
    v4l2_standard [72, 72, 64] {
        index, id [8, 8, 4], name [16, 16, 12], frameperiod [40, 40, 36], framelines, reserved,
    }
    v4l2_input [80, 80, 76] {
        index, name, type_ [36], audioset, tuner, std [48], status [56], capabilities, reserved,
    }
    v4l2_output [72] {
        index, name, type_ [36], audioset, modulator, std [48], capabilities [56], reserved,
    }
    v4l2_audio [52] { index, name, capability [36], mode, reserved }
    v4l2_audioout [52] { index, name, capability [36], mode, reserved }
    v4l2_edid [40, 36] { pad, start_block, blocks, reserved, edid [32] }

    v4l2_pix_format [48] {
        width [0], height [4], pixelformat [8], field [12], bytesperline [16], sizeimage [20],
        colorspace [24], priv_ [28], flags [32], __bindgen_anon_1 [36], quantization [40],
        xfer_func [44],
    }
    v4l2_fmtdesc [64] {
        index, type_, flags, description [12], pixelformat [44], mbus_code, reserved,
    }
    v4l2_rect [16] { left, top, width, height }
    v4l2_clip [24, 20] { c, next [16] }
    v4l2_window [56, 40] {
        w, field, chromakey, clips [24], clipcount [32, 28], bitmap [40, 32],
        global_alpha [48, 36],
    }
    v4l2_format [208, 204] { type_ [0], fmt [8, 4] }
    v4l2_framebuffer [48, 44] { capability, flags, base [8], fmt [16, 12] }
    v4l2_cropcap [44] { type_, bounds, defrect [20], pixelaspect [36] }
    v4l2_crop [20] { type_, c }

    v4l2_fract [8] { numerator [0], denominator [4] }
    v4l2_frmsize_discrete [8] { width [0], height [4] }
    v4l2_frmsize_stepwise [24] {
        min_width [0], max_width [4], step_width [8], min_height [12], max_height [16],
        step_height [20],
    }
    v4l2_frmsizeenum [44] {
        index [0], pixel_format [4], type_ [8], __bindgen_anon_1 [12], reserved [36],
    }
    v4l2_frmival_stepwise [24] { min [0], max [8], step [16] }
    v4l2_frmivalenum [52] {
        index [0], pixel_format [4], width [8], height [12], type_ [16], __bindgen_anon_1 [20],
        reserved [44],
    }

    v4l2_captureparm [40] {
        capability, capturemode, timeperframe [8], extendedmode, readbuffers [20], reserved,
    }
    v4l2_outputparm [40] {
        capability, outputmode, timeperframe [8], extendedmode, writebuffers [20], reserved,
    }
    v4l2_streamparm [204] { type_ [0], parm [4] }

    v4l2_tuner [84] {
        index, name, type_ [36], capability, rangelow, rangehigh, rxsubchans, audmode, signal, afc,
        reserved [68],
    }
    v4l2_modulator [68] {
        index, name, capability [36], rangelow, rangehigh, txsubchans, type_, reserved [56],
    }
    v4l2_frequency [44] { tuner, type_, frequency, reserved }

    v4l2_jpegcompression [140] {
        quality, APPn, APP_len, APP_data, COM_len [72], COM_data, jpeg_markers [136],
    }
    v4l2_sliced_vbi_cap [116] { service_set, service_lines, type_ [100], reserved }
    v4l2_enc_idx_entry [32] { offset, pts, length, flags, reserved }
    v4l2_enc_idx [2072] { entries, entries_cap, reserved, entry [24] }
    v4l2_encoder_cmd [40] { cmd, flags, __bindgen_anon_1 [8] }
}

const WRITE: usize = 1;
const READ: usize = 2;

/// The number of a request with a structure of this size in bytes.
const fn number(direction: usize, request: usize, size: usize) -> usize {
    direction << 30 | size << 16 | (b'V' as usize) << 8 | request
}

/// Takes lines of `NAME = direction, request, type: number` with the values of [`for_target`].
macro_rules! requests {
    ($($name:ident = $direction:expr, $request:literal, $type:ty: $($number:literal),+;)+) => {
        $(const _: () = assert!(
            number($direction, $request, size_of::<$type>()) == for_target(&[$($number),+]),
            concat!(stringify!($name), " has another number in C")
        );)+

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
