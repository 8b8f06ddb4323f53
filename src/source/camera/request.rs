//! What the crate `v4l` has no safe way for: three requests to a driver, and the clock of its time stamps.
//!
//! `v4l` panics where a driver's name is cut within a character or its colours are of a kind made after
//! it, and leaves out how colours are coded. In goes an open device, out come plain values. The only file
//! of the camera with unsafe code; it refuses to keep anything.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem;
use std::time::Duration;

use v4l::Device;
use v4l::buffer::Type;
use v4l::v4l_sys::{v4l2_capability, v4l2_format, v4l2_pix_format};
use v4l::v4l2::vidioc;

/// Says in a [`v4l2_pix_format`] that the fields behind it are set.
const EXTENDED: u32 = 0xfeed_cafe;

/// The capabilities are the node's and not the whole device's.
const DEVICE_CAPS: u32 = 0x8000_0000;

/// Who a device is.
pub(super) struct Identity {
    pub(super) driver: String,
    pub(super) name: String,
    pub(super) bus: String,
    /// Whether all three are whole UTF-8, as some crates take for granted.
    pub(super) is_named_well: bool,
    /// `V4L2_CAP_*` bits of the node.
    pub(super) capabilities: u32,
}

/// The format that a device is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DriverFormat {
    pub(super) code: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from one row to the next; 0 where that makes no sense.
    pub(super) stride: u32,
    /// `V4L2_COLORSPACE_*`.
    pub(super) colorspace: u32,
    /// `V4L2_YCBCR_ENC_*`.
    pub(super) encoding: u32,
    /// `V4L2_QUANTIZATION_*`.
    pub(super) quantization: u32,
    /// Whether `v4l` knows all that the driver says of the format.
    pub(super) is_well_known: bool,
}

/// Asks a device who it is.
pub(super) fn identity(device: &Device) -> io::Result<Identity> {
    // SAFETY: the structure is all numbers, for which zeros are values.
    let mut found: v4l2_capability = unsafe { mem::zeroed() };
    // SAFETY: this request takes a `v4l2_capability`; v4l2-sys checks its size and the request's number
    // while it compiles.
    unsafe { ask(device, vidioc::VIDIOC_QUERYCAP, &mut found)? };
    let of_node = found.capabilities & DEVICE_CAPS != 0;
    let is_whole = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let is_named_well =
        is_whole(&found.driver) && is_whole(&found.card) && is_whole(&found.bus_info);
    Ok(Identity {
        driver: text(&found.driver),
        name: text(&found.card),
        bus: text(&found.bus_info),
        is_named_well,
        capabilities: if of_node {
            found.device_caps
        } else {
            found.capabilities
        },
    })
}

/// Asks a camera which format it is set to.
pub(super) fn format(device: &Device) -> io::Result<DriverFormat> {
    let mut format = empty_format();
    // SAFETY: this request takes a `v4l2_format`; v4l2-sys checks its size and the request's number.
    unsafe { ask(device, vidioc::VIDIOC_G_FMT, &mut format)? };
    Ok(driver_format(&format))
}

/// Sets a camera to a format, or to what its driver finds nearest, which comes back.
pub(super) fn set_format(
    device: &Device,
    code: [u8; 4],
    width: u32,
    height: u32,
) -> io::Result<DriverFormat> {
    let mut format = empty_format();
    // SAFETY: the structure is all numbers, for which zeros are values.
    let zero: v4l2_pix_format = unsafe { mem::zeroed() };
    format.fmt.pix = v4l2_pix_format {
        width,
        height,
        pixelformat: u32::from_le_bytes(code),
        priv_: EXTENDED,
        ..zero
    };
    // SAFETY: this request takes a `v4l2_format`; v4l2-sys checks its size and the request's number.
    unsafe { ask(device, vidioc::VIDIOC_S_FMT, &mut format)? };
    Ok(driver_format(&format))
}

/// The clock that drivers stamp frames with, which doesn't run back.
pub(super) fn monotonic_now() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a value of this function, and the clock is one that Linux always has.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into())
}

/// # Safety
/// `what` must be the structure that goes with the request, without pointers in what the request reads.
unsafe fn ask<T>(device: &Device, request: vidioc::_IOC_TYPE, what: &mut T) -> io::Result<()> {
    let what: *mut T = what;
    // The handle keeps the file descriptor open for the length of the call.
    let handle = device.handle();
    // SAFETY: the pointer is to a whole structure of the request's size, as the caller answers for.
    unsafe { v4l::v4l2::ioctl(handle.fd(), request, what.cast::<c_void>()) }
}

fn empty_format() -> v4l2_format {
    // SAFETY: numbers, and pointers of a kind of stream that is not asked for; zeros are values of both.
    let mut format: v4l2_format = unsafe { mem::zeroed() };
    format.type_ = Type::VideoCapture as u32;
    format
}

fn driver_format(format: &v4l2_format) -> DriverFormat {
    // SAFETY: `pix` is all numbers, so that any bytes are values of it; every byte of the union was
    // written, by zeroing at the least.
    let (pix, encoding) = unsafe { (format.fmt.pix, format.fmt.pix.__bindgen_anon_1.ycbcr_enc) };
    let is_well_known = pix.field <= 9
        && (pix.colorspace <= 3 || (5..=12).contains(&pix.colorspace))
        && pix.quantization <= 2
        && pix.xfer_func <= 7;
    DriverFormat {
        is_well_known,
        code: pix.pixelformat.to_le_bytes(),
        width: pix.width,
        height: pix.height,
        stride: pix.bytesperline,
        colorspace: pix.colorspace,
        encoding,
        quantization: pix.quantization,
    }
}

/// A driver's text up to its first 0, whatever bytes it is made of.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]);
    text.trim_end_matches('\u{fffd}').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_cut_within_a_character_is_read() {
        let mut name = [0; 32];
        name[..7].copy_from_slice("摄像头".as_bytes().split_at(7).0);
        assert_eq!(text(&name), "摄像");
        assert_eq!(text(b"HD Webcam\0\0rest"), "HD Webcam");
        assert_eq!(text(&[b'x'; 32]).len(), 32);
    }

    #[test]
    fn a_file_that_is_no_device_is_refused() {
        let file = Device::with_path("/dev/null").expect("opens");
        assert!(identity(&file).is_err() && format(&file).is_err());
        assert!(set_format(&file, *b"YUYV", 640, 480).is_err());
    }

    #[test]
    fn the_clock_goes_on() {
        let before = monotonic_now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(monotonic_now() >= before + Duration::from_millis(2));
    }
}
