//! V4L2 requests that the crate `v4l` does not cover, and the clock of the driver's timestamps.
//!
//! `v4l` panics if a driver's name is truncated within a character or its color space is newer than the crate, and it
//! does not report the YUV encoding. This is the only file of the camera with unsafe code.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem;
use std::time::Duration;

use v4l::Device;
use v4l::buffer::Type;
use v4l::v4l_sys::{v4l2_capability, v4l2_format, v4l2_pix_format};
use v4l::v4l2::vidioc;

/// In `v4l2_pix_format::priv_`: the fields behind it are set (`V4L2_PIX_FMT_PRIV_MAGIC`).
const EXTENDED_FIELDS: u32 = 0xfeed_cafe;

/// `device_caps` is set, with the capabilities of the opened node instead of the whole device (`V4L2_CAP_DEVICE_CAPS`).
const HAS_DEVICE_CAPS: u32 = 0x8000_0000;

/// The identity and capabilities of a device.
pub(super) struct Identity {
    pub(super) driver: String,
    pub(super) name: String,
    pub(super) bus: String,
    /// Whether all three are valid UTF-8, which some crates require.
    pub(super) is_utf8: bool,
    /// `V4L2_CAP_*` bits of the node.
    pub(super) capabilities: u32,
}

/// The current format of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DriverFormat {
    pub(super) fourcc: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from one row to the next; 0 for compressed formats.
    pub(super) stride: u32,
    /// `V4L2_COLORSPACE_*`.
    pub(super) colorspace: u32,
    /// `V4L2_YCBCR_ENC_*`.
    pub(super) encoding: u32,
    /// `V4L2_QUANTIZATION_*`.
    pub(super) quantization: u32,
    /// Whether `v4l` knows all values that the driver reports.
    pub(super) is_known_to_v4l: bool,
}

/// `VIDIOC_QUERYCAP`.
pub(super) fn identity(device: &Device) -> io::Result<Identity> {
    // SAFETY: all fields of the structure are integers, for which zero is valid.
    let mut found: v4l2_capability = unsafe { mem::zeroed() };
    // SAFETY: this request takes a `v4l2_capability`; v4l2-sys checks its size and the request number at compile
    // time.
    unsafe { ioctl(device, vidioc::VIDIOC_QUERYCAP, &mut found)? };
    let has_device_caps = found.capabilities & HAS_DEVICE_CAPS != 0;
    let is_valid = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let is_utf8 = is_valid(&found.driver) && is_valid(&found.card) && is_valid(&found.bus_info);
    Ok(Identity {
        driver: text(&found.driver),
        name: text(&found.card),
        bus: text(&found.bus_info),
        is_utf8,
        capabilities: if has_device_caps {
            found.device_caps
        } else {
            found.capabilities
        },
    })
}

/// `VIDIOC_G_FMT`: the current format.
pub(super) fn format(device: &Device) -> io::Result<DriverFormat> {
    let mut format = empty_format();
    // SAFETY: this request takes a `v4l2_format`; v4l2-sys checks its size and the request number at compile time.
    unsafe { ioctl(device, vidioc::VIDIOC_G_FMT, &mut format)? };
    Ok(driver_format(&format))
}

/// `VIDIOC_S_FMT`: sets the format, or the nearest one that the driver supports, which is returned.
pub(super) fn set_format(
    device: &Device,
    fourcc: [u8; 4],
    width: u32,
    height: u32,
) -> io::Result<DriverFormat> {
    let mut format = empty_format();
    // SAFETY: all fields of the structure are integers, for which zero is valid.
    let zero: v4l2_pix_format = unsafe { mem::zeroed() };
    format.fmt.pix = v4l2_pix_format {
        width,
        height,
        pixelformat: u32::from_le_bytes(fourcc),
        priv_: EXTENDED_FIELDS,
        ..zero
    };
    // SAFETY: this request takes a `v4l2_format`; v4l2-sys checks its size and the request number at compile time.
    unsafe { ioctl(device, vidioc::VIDIOC_S_FMT, &mut format)? };
    Ok(driver_format(&format))
}

/// The monotonic clock, with which most drivers timestamp frames.
pub(super) fn monotonic_now() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid for writes, and Linux always has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into())
}

/// # Safety
/// `argument` must have the type that belongs to the request, without pointers in the fields that the request reads.
unsafe fn ioctl<T>(
    device: &Device,
    request: vidioc::_IOC_TYPE,
    argument: &mut T,
) -> io::Result<()> {
    let argument: *mut T = argument;
    // The handle keeps the file descriptor open during the call.
    let handle = device.handle();
    // SAFETY: the pointer is valid for reads and writes, and the caller guarantees the request's type.
    unsafe { v4l::v4l2::ioctl(handle.fd(), request, argument.cast::<c_void>()) }
}

fn empty_format() -> v4l2_format {
    // SAFETY: the structure consists of integers and raw pointers, for which zero is valid.
    let mut format: v4l2_format = unsafe { mem::zeroed() };
    format.type_ = Type::VideoCapture as u32;
    format
}

fn driver_format(format: &v4l2_format) -> DriverFormat {
    // SAFETY: `pix` consists of integers, for which any bytes are valid; all bytes of the union are initialised, since
    // it was zeroed before the request.
    let (pix, encoding) = unsafe { (format.fmt.pix, format.fmt.pix.__bindgen_anon_1.ycbcr_enc) };
    let is_known_to_v4l = pix.field <= 9
        && (pix.colorspace <= 3 || (5..=12).contains(&pix.colorspace))
        && pix.quantization <= 2
        && pix.xfer_func <= 7;
    DriverFormat {
        is_known_to_v4l,
        fourcc: pix.pixelformat.to_le_bytes(),
        width: pix.width,
        height: pix.height,
        stride: pix.bytesperline,
        colorspace: pix.colorspace,
        encoding,
        quantization: pix.quantization,
    }
}

/// A driver's text up to its first NUL; invalid UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]);
    text.trim_end_matches('\u{fffd}').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_truncated_within_a_character_is_read() {
        let mut name = [0; 32];
        name[..7].copy_from_slice("摄像头".as_bytes().split_at(7).0);
        assert_eq!(text(&name), "摄像");
        assert_eq!(text(b"HD Webcam\0\0rest"), "HD Webcam");
        assert_eq!(text(&[b'x'; 32]).len(), 32);
    }

    #[test]
    fn a_file_that_is_not_a_device_is_refused() {
        let file = Device::with_path("/dev/null").expect("opens");
        assert!(identity(&file).is_err() && format(&file).is_err());
        assert!(set_format(&file, *b"YUYV", 640, 480).is_err());
    }

    #[test]
    fn the_clock_advances() {
        let before = monotonic_now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(monotonic_now() >= before + Duration::from_millis(2));
    }
}
