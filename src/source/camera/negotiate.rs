//! Sets a camera to a mode: through nokhwa if it supports the mode, otherwise with V4L2 requests.
//!
//! This is the only file that uses nokhwa. Of the formats that boxcam decodes, nokhwa supports five, with discrete sizes
//! and whole frame rates; it fails or panics on the rest. A mode counts as set only if the driver confirms it.
//!
//! Frames are not read through nokhwa: its first read blocks forever if a camera sends nothing, and it does not report
//! the stride, the length and the error flag of a frame. They are read with the crate `v4l`, on which nokhwa is based.

use std::io;

use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
    Resolution,
};
use nokhwa::{Camera, NokhwaError};
use v4l::Fraction;
use v4l::video::Capture;
use v4l::video::capture::Parameters;

use super::capabilities::{CameraInfo, FrameRate, Mode, RateRange, SizeRange};
use super::device::{CameraDevice, device_number};
use super::ioctl::{self, DriverFormat};

/// The formats that nokhwa can set. Its grey format has a code that no driver uses.
const NOKHWA_FORMATS: [([u8; 4], FrameFormat); 5] = [
    (*b"MJPG", FrameFormat::MJPEG),
    (*b"YUYV", FrameFormat::YUYV),
    (*b"NV12", FrameFormat::NV12),
    (*b"RGB3", FrameFormat::RAWRGB),
    (*b"BGR3", FrameFormat::RAWBGR),
];

/// Sets a camera to a mode, or to the nearest one that its driver supports.
pub(super) fn set_mode(camera: &CameraDevice, mode: &Mode) -> io::Result<DriverFormat> {
    if let Some(format) = set_through_nokhwa(camera, mode) {
        return Ok(format);
    }
    let format = ioctl::set_format(&camera.device, mode.fourcc, mode.width, mode.height)?;
    if format.fourcc != mode.fourcc {
        let other = String::from_utf8_lossy(&format.fourcc).into_owned();
        let message = format!(
            "requested {}, but the driver set {other}",
            mode.format.name()
        );
        return Err(io::Error::other(message));
    }
    if let Some((numerator, denominator)) = mode.rate.map(FrameRate::interval) {
        let interval = Fraction::new(numerator, denominator);
        // Some drivers have a fixed rate.
        let _ = camera.device.set_params(&Parameters::new(interval));
    }
    Ok(format)
}

/// The frame rate that the driver reports.
pub(super) fn frame_rate(camera: &CameraDevice) -> Option<FrameRate> {
    let interval = camera.device.params().ok()?.interval;
    FrameRate::from_interval(interval.numerator, interval.denominator)
}

/// `None` if nokhwa does not support the mode, or the driver set another one.
fn set_through_nokhwa(camera: &CameraDevice, mode: &Mode) -> Option<DriverFormat> {
    let number = device_number(&camera.info.device)?;
    let format = nokhwa_format(mode)?;
    let before = ioctl::format(&camera.device).ok()?;
    let is_safe = before.is_known_to_v4l && camera.is_utf8 && has_discrete_modes(&camera.info);
    if !is_safe || open_with_nokhwa(number, format).is_err() {
        return None;
    }
    let set = ioctl::format(&camera.device).ok()?;
    let is_set = (set.fourcc, set.width, set.height) == (mode.fourcc, mode.width, mode.height);
    (is_set && frame_rate(camera) == mode.rate).then_some(set)
}

/// Nokhwa sets the mode when it opens the camera; the mode stays set after closing.
fn open_with_nokhwa(number: u32, format: CameraFormat) -> Result<(), NokhwaError> {
    let known = NOKHWA_FORMATS.map(|(_, format)| format);
    let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(format), &known);
    Camera::with_backend(CameraIndex::Index(number), exact, ApiBackend::Video4Linux).map(drop)
}

fn nokhwa_format(mode: &Mode) -> Option<CameraFormat> {
    let (_, format) = NOKHWA_FORMATS
        .iter()
        .find(|(code, _)| *code == mode.fourcc)?;
    let (1, rate) = mode.rate?.interval() else {
        return None;
    };
    Some(CameraFormat::new(
        Resolution::new(mode.width, mode.height),
        *format,
        rate,
    ))
}

/// Whether all sizes and rates are discrete: for ranges, nokhwa divides by a step that may be 0.
fn has_discrete_modes(info: &CameraInfo) -> bool {
    let is_discrete = |rates: &RateRange| matches!(rates, RateRange::Discrete(_));
    let mut sizes = info.formats.iter().flat_map(|format| &format.sizes);
    sizes.all(|sizes| {
        matches!(sizes.sizes, SizeRange::Discrete(..)) && sizes.rates.iter().all(is_discrete)
    })
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::{FormatCapabilities, FrameSizes};
    use super::super::pixel_format::PixelFormat;
    use super::*;

    fn mode(code: &[u8; 4], interval: Option<(u32, u32)>) -> Mode {
        Mode {
            fourcc: *code,
            format: PixelFormat::from_fourcc(*code).expect("supported"),
            width: 640,
            height: 480,
            rate: interval.and_then(|(numerator, denominator)| {
                FrameRate::from_interval(numerator, denominator)
            }),
        }
    }

    #[test]
    fn nokhwa_is_used_only_for_modes_that_it_supports() {
        let known = nokhwa_format(&mode(b"NV12", Some((1, 25)))).expect("known");
        assert_eq!(
            (known.format(), known.frame_rate()),
            (FrameFormat::NV12, 25)
        );
        assert_eq!((known.width(), known.height()), (640, 480));
        let unsupported = [
            mode(b"GREY", Some((1, 30))),
            mode(b"YU12", Some((1, 30))),
            mode(b"YUYV", Some((1001, 30000))),
            mode(b"YUYV", None),
        ];
        assert!(unsupported.iter().all(|mode| nokhwa_format(mode).is_none()));
        for (code, _) in NOKHWA_FORMATS {
            assert!(
                PixelFormat::from_fourcc(code).is_some(),
                "{code:?} is supported"
            );
        }
    }

    #[test]
    fn nokhwa_is_not_used_with_size_or_rate_ranges() {
        let rate = |denominator| FrameRate::from_interval(1, denominator).expect("a rate");
        let info = |sizes, rates| CameraInfo {
            formats: vec![FormatCapabilities {
                fourcc: *b"YUYV",
                description: String::new(),
                sizes: vec![FrameSizes { sizes, rates }],
            }],
            ..CameraInfo::default()
        };
        let one = SizeRange::Discrete(640, 480);
        let steps = SizeRange::Stepwise {
            min: (16, 16),
            max: (640, 480),
            step: (0, 0),
        };
        assert!(has_discrete_modes(&info(
            one,
            vec![RateRange::Discrete(rate(30))]
        )));
        assert!(!has_discrete_modes(&info(
            steps,
            vec![RateRange::Discrete(rate(30))]
        )));
        assert!(!has_discrete_modes(&info(
            one,
            vec![RateRange::Continuous(rate(1), rate(30))]
        )));
    }
}
