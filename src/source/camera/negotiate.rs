//! Sets a camera to a mode: through nokhwa where it can, else with the requests it would make itself.
//!
//! In go an open camera and a mode that it offers, out comes what its driver made of it. The only file that
//! names nokhwa, which knows whole rates and single sizes in five formats that can be read here, and gives
//! up on or panics over the rest. A mode counts as set only when the driver says so.
//!
//! Frames don't come through nokhwa: its first read waits without end for a camera that opens but sends
//! nothing, and a frame leaves it without its stride, its length and the driver's mark of a broken one. It
//! stands on the crate `v4l`, from which frames are taken directly.

use std::io;

use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
    Resolution,
};
use nokhwa::{Camera, NokhwaError};
use v4l::Fraction;
use v4l::video::Capture;
use v4l::video::capture::Parameters;

use super::choice::number_of;
use super::mode::Mode;
use super::offer::{CameraInfo, FrameRate, RateRange, SizeRange};
use super::probe::Probe;
use super::request::{self, DriverFormat};

/// The formats that nokhwa can set. Its grey is of a code that no driver has.
const NOKHWAS: [([u8; 4], FrameFormat); 5] = [
    (*b"MJPG", FrameFormat::MJPEG),
    (*b"YUYV", FrameFormat::YUYV),
    (*b"NV12", FrameFormat::NV12),
    (*b"RGB3", FrameFormat::RAWRGB),
    (*b"BGR3", FrameFormat::RAWBGR),
];

/// Sets a camera to a mode, as near as its driver gets.
pub(super) fn set(camera: &Probe, mode: &Mode) -> io::Result<DriverFormat> {
    if let Some(format) = set_through_nokhwa(camera, mode) {
        return Ok(format);
    }
    let format = request::set_format(&camera.device, mode.code, mode.width, mode.height)?;
    if format.code != mode.code {
        let other = String::from_utf8_lossy(&format.code).into_owned();
        let message = format!("asked for {}, its driver gives {other}", mode.format.name());
        return Err(io::Error::other(message));
    }
    if let Some((numerator, denominator)) = mode.rate.map(FrameRate::interval) {
        let interval = Fraction::new(numerator, denominator);
        // A driver that can't be told gives the rate that it has.
        let _ = camera.device.set_params(&Parameters::new(interval));
    }
    Ok(format)
}

/// The rate that the driver says it gives.
pub(super) fn rate(camera: &Probe) -> Option<FrameRate> {
    let interval = camera.device.params().ok()?.interval;
    FrameRate::of_interval(interval.numerator, interval.denominator)
}

/// `None` where nokhwa can't, or the driver has made something else of it.
fn set_through_nokhwa(camera: &Probe, mode: &Mode) -> Option<DriverFormat> {
    let number = number_of(&camera.info.device)?;
    let format = nokhwas(mode)?;
    let before = request::format(&camera.device).ok()?;
    let is_safe = before.is_well_known && camera.is_named_well && is_listed_singly(&camera.info);
    if !is_safe || ask_nokhwa(number, format).is_err() {
        return None;
    }
    let set = request::format(&camera.device).ok()?;
    let is_set = (set.code, set.width, set.height) == (mode.code, mode.width, mode.height);
    (is_set && rate(camera) == mode.rate).then_some(set)
}

/// Nokhwa sets the mode while it opens the camera, and leaves it set when it closes it.
fn ask_nokhwa(number: u32, format: CameraFormat) -> Result<(), NokhwaError> {
    let known = NOKHWAS.map(|(_, format)| format);
    let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(format), &known);
    Camera::with_backend(CameraIndex::Index(number), exact, ApiBackend::Video4Linux).map(drop)
}

fn nokhwas(mode: &Mode) -> Option<CameraFormat> {
    let (_, format) = NOKHWAS.iter().find(|(code, _)| *code == mode.code)?;
    let (1, rate) = mode.rate?.interval() else {
        return None;
    };
    Some(CameraFormat::new(
        Resolution::new(mode.width, mode.height),
        *format,
        rate,
    ))
}

/// Whether all sizes and rates stand one by one: from one step to the next nokhwa divides by what may be 0.
fn is_listed_singly(info: &CameraInfo) -> bool {
    let is_single = |rates: &RateRange| matches!(rates, RateRange::One(_));
    let mut sizes = info.formats.iter().flat_map(|format| &format.sizes);
    sizes
        .all(|offer| matches!(offer.sizes, SizeRange::One(..)) && offer.rates.iter().all(is_single))
}

#[cfg(test)]
mod tests {
    use super::super::mode::PixelFormat;
    use super::super::offer::{FormatCapabilities, FrameSizes};
    use super::*;

    fn mode(code: &[u8; 4], interval: Option<(u32, u32)>) -> Mode {
        Mode {
            code: *code,
            format: PixelFormat::of(*code).expect("readable"),
            width: 640,
            height: 480,
            rate: interval.and_then(|(numerator, denominator)| {
                FrameRate::of_interval(numerator, denominator)
            }),
        }
    }

    #[test]
    fn nokhwa_is_asked_for_what_it_knows_only() {
        let known = nokhwas(&mode(b"NV12", Some((1, 25)))).expect("known");
        assert_eq!(
            (known.format(), known.frame_rate()),
            (FrameFormat::NV12, 25)
        );
        assert_eq!((known.width(), known.height()), (640, 480));
        let unknown = [
            mode(b"GREY", Some((1, 30))),
            mode(b"YU12", Some((1, 30))),
            mode(b"YUYV", Some((1001, 30000))),
            mode(b"YUYV", None),
        ];
        assert!(unknown.iter().all(|mode| nokhwas(mode).is_none()));
        for (code, _) in NOKHWAS {
            assert!(PixelFormat::of(code).is_some(), "{code:?} can be read");
        }
    }

    #[test]
    fn nokhwa_is_kept_from_lists_in_steps() {
        let rate = |denominator| FrameRate::of_interval(1, denominator).expect("a rate");
        let info = |sizes, rates| CameraInfo {
            formats: vec![FormatCapabilities {
                code: *b"YUYV",
                description: String::new(),
                sizes: vec![FrameSizes { sizes, rates }],
            }],
            ..CameraInfo::default()
        };
        let one = SizeRange::One(640, 480);
        let steps = SizeRange::Between {
            min: (16, 16),
            max: (640, 480),
            step: (0, 0),
        };
        assert!(is_listed_singly(&info(one, vec![RateRange::One(rate(30))])));
        assert!(!is_listed_singly(&info(
            steps,
            vec![RateRange::One(rate(30))]
        )));
        assert!(!is_listed_singly(&info(
            one,
            vec![RateRange::Between(rate(1), rate(30))]
        )));
    }
}
