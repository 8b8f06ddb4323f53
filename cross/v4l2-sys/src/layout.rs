//! Where every field lies, checked while compiling against the numbers of the C header.

use crate::*;
use core::mem::offset_of;

/// The number that holds for this target, of up to three: on 64 bits; on 32 bits, if it differs;
/// on 32 bits with 64-bit numbers aligned to 4 bytes (i686), if it differs again.
pub(crate) const fn here(numbers: &[usize]) -> usize {
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

/// One structure, as this crate lays it out.
#[cfg(test)]
pub(crate) struct Layout {
    /// Name, without `struct`.
    pub(crate) name: &'static str,
    /// Bytes.
    pub(crate) size: usize,
    /// Bytes it is aligned to.
    pub(crate) align: usize,
    /// The fields that have names, in order.
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[cfg(test)]
pub(crate) struct Field {
    /// Name, in Rust.
    pub(crate) name: &'static str,
    /// Bytes before it.
    pub(crate) offset: usize,
    /// Bytes of it.
    pub(crate) size: usize,
}

/// The bytes of what a function reads out of a structure.
#[cfg(test)]
const fn size_read<S, F>(_: fn(&S) -> F) -> usize {
    size_of::<F>()
}

/// Takes lines of `structure [size] { field [offset], field, .. }`; the numbers are those of
/// [`here`]. Checks sizes and offsets, and for the tests makes a list of all of them.
macro_rules! layouts {
    ($($name:ident [$($size:literal),+] { $($field:ident $([$($at:literal),+])?),+ $(,)? })+) => {
        $(
            const _: () = assert!(
                size_of::<$name>() == here(&[$($size),+]),
                concat!(stringify!($name), " has another size in C")
            );
            $($(
                const _: () = assert!(
                    offset_of!($name, $field) == here(&[$($at),+]),
                    concat!(stringify!($name), ".", stringify!($field), " is elsewhere in C")
                );
            )?)+
        )+

        /// All the structures.
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
