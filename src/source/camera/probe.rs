//! A device that may be a camera: who it is and what it offers.
//!
//! In goes a path, out comes an open device with its list of formats. Nodes that give no pictures (outputs,
//! metadata, codecs, chips that work on pictures from memory) are told apart from cameras that fail.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::{Device, FourCC};

use super::CaptureRequest;
use super::choice::DevicePaths;
use super::offer::{CameraInfo, FormatCapabilities, FrameRate, FrameSizes, RateRange, SizeRange};
use super::request::{self, Identity};

/// Bits of a node's capabilities, `V4L2_CAP_*`.
const CAPTURE: u32 = 0x1;
const CAPTURE_IN_PLANES: u32 = 0x1000;
const MEMORY_TO_MEMORY: u32 = 0x8000 | 0x4000;
const STREAMING: u32 = 0x0400_0000;

/// Drivers whose nodes look like cameras but work on pictures from memory.
const NO_CAMERAS: [&str; 3] = ["bcm2835-isp", "bcm2835-codec", "pispbe"];

/// Drivers of a Raspberry Pi's own cameras, which give what the sensor sees, unprocessed.
const RASPBERRY_PI: [&str; 2] = ["unicam", "rp1-cfe"];

/// An open camera.
pub(super) struct Probe {
    pub(super) device: Device,
    pub(super) info: CameraInfo,
    /// Whether its names are whole UTF-8, which some crates take for granted.
    pub(super) is_named_well: bool,
}

/// A device that can't be used.
#[derive(Debug, PartialEq)]
pub(super) enum OpenError {
    /// It is no camera.
    NoCamera(String),
    /// It may be one.
    Fault(String),
}

impl OpenError {
    /// Why.
    pub(super) fn message(self) -> String {
        match self {
            Self::NoCamera(message) | Self::Fault(message) => message,
        }
    }
}

/// Opens a device and lists what it offers near the wanted size.
pub(super) fn open(path: &Path, wanted: &CaptureRequest) -> Result<Probe, OpenError> {
    let path = real(path)?;
    let device = Device::with_path(&path).map_err(|error| cannot_open(&error))?;
    let no_video =
        |error: io::Error| OpenError::NoCamera(format!("is no video device ({error}); {EXPECTED}"));
    let identity = request::identity(&device).map_err(no_video)?;
    check_capabilities(&identity)?;
    let info = CameraInfo {
        links: DevicePaths::default().links(&path),
        device: path,
        formats: formats(&device, wanted),
        name: identity.name,
        driver: identity.driver,
        bus: identity.bus,
        fault: None,
    };
    Ok(Probe {
        device,
        info,
        is_named_well: identity.is_named_well,
    })
}

/// What a device calls itself, if it is one that can be asked.
pub(super) fn name_of(path: &Path) -> Option<String> {
    let device = Device::with_path(real(path).ok()?).ok()?;
    Some(request::identity(&device).ok()?.name)
}

/// Why none of the formats can be read, if that is so.
pub(super) fn unreadable(info: &CameraInfo) -> Option<String> {
    if info.formats.iter().any(FormatCapabilities::is_readable) {
        return None;
    }
    let names: Vec<String> = info.formats.iter().map(FormatCapabilities::name).collect();
    let offered = match names.as_slice() {
        [] => "no format at all".to_owned(),
        names => format!("only {}", names.join(", ")),
    };
    let advice = if RASPBERRY_PI.contains(&info.driver.as_str()) {
        "it is a Raspberry Pi's own camera, which `--source rpicam` reads"
    } else {
        "take another camera, or have a program such as ffmpeg read it and pass it on to `--source -`"
    };
    Some(format!(
        "offers {offered}, which boxcam can't read; {advice}"
    ))
}

const EXPECTED: &str = "expected /dev/videoN or a link to one; for a picture leave out `camera:`";

/// The device file behind links; anything but a device is refused before it is opened.
fn real(path: &Path) -> Result<PathBuf, OpenError> {
    let real = path.canonicalize().map_err(|error| cannot_open(&error))?;
    let kind = fs::metadata(&real).map_err(|error| cannot_open(&error))?;
    if kind.file_type().is_char_device() {
        Ok(real)
    } else {
        Err(OpenError::NoCamera(format!(
            "is no video device; {EXPECTED}"
        )))
    }
}

fn cannot_open(error: &io::Error) -> OpenError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "plug it in and look for it with `ls /dev/video* /dev/v4l/by-id`"
        }
        io::ErrorKind::PermissionDenied => {
            "join the group that may use cameras (`sudo usermod -aG video $USER`) and log in again"
        }
        _ => "close other programs that use it, or plug it in again",
    };
    OpenError::Fault(format!("can't be opened ({error}); {advice}"))
}

fn check_capabilities(identity: &Identity) -> Result<(), OpenError> {
    let has = |bits: u32| identity.capabilities & bits != 0;
    let driver = identity.driver.as_str();
    if has(MEMORY_TO_MEMORY) || NO_CAMERAS.contains(&driver) {
        let message =
            format!("is no camera but works on pictures from memory ({driver}); name another");
        return Err(OpenError::NoCamera(message));
    }
    if has(CAPTURE) && has(STREAMING) {
        return Ok(());
    }
    if has(CAPTURE_IN_PLANES) {
        let advice = "have a program such as ffmpeg read it and pass it on to `--source -`";
        let message =
            format!("gives pictures in several buffers each, which boxcam can't read; {advice}");
        return Err(OpenError::Fault(message));
    }
    let message = "gives no pictures (it is an output, or carries other data); name another device";
    Err(OpenError::NoCamera(message.to_owned()))
}

fn formats(device: &Device, wanted: &CaptureRequest) -> Vec<FormatCapabilities> {
    let described = device.enum_formats().unwrap_or_default();
    let offer = |format: v4l::format::Description| FormatCapabilities {
        code: format.fourcc.repr,
        description: format.description,
        sizes: sizes(device, format.fourcc, wanted),
    };
    described.into_iter().map(offer).collect()
}

/// The sizes of a format; none where the driver doesn't list them.
fn sizes(device: &Device, code: FourCC, wanted: &CaptureRequest) -> Vec<FrameSizes> {
    let listed = device.enum_framesizes(code).unwrap_or_default();
    let offer = |size: FrameSizeEnum| {
        let sizes = match size {
            FrameSizeEnum::Discrete(size) => SizeRange::One(size.width, size.height),
            FrameSizeEnum::Stepwise(steps) => SizeRange::Between {
                min: (steps.min_width, steps.min_height),
                max: (steps.max_width, steps.max_height),
                step: (steps.step_width, steps.step_height),
            },
        };
        let (width, height) = sizes.nearest(wanted.width, wanted.height);
        let rates = rates(device, code, width, height);
        FrameSizes { sizes, rates }
    };
    listed
        .into_iter()
        .map(|listed| offer(listed.size))
        .collect()
}

/// The rates of a size; none where the driver doesn't list them.
fn rates(device: &Device, code: FourCC, width: u32, height: u32) -> Vec<RateRange> {
    let rate =
        |interval: v4l::Fraction| FrameRate::of_interval(interval.numerator, interval.denominator);
    let offer = |interval: FrameIntervalEnum| match interval {
        FrameIntervalEnum::Discrete(interval) => rate(interval).map(RateRange::One),
        // The longest time is the slowest rate.
        FrameIntervalEnum::Stepwise(steps) => {
            Some(RateRange::Between(rate(steps.max)?, rate(steps.min)?))
        }
    };
    let listed = device.enum_frameintervals(code, width, height);
    let listed = listed.unwrap_or_default().into_iter();
    listed.filter_map(|listed| offer(listed.interval)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(driver: &str, capabilities: u32) -> Result<(), OpenError> {
        check_capabilities(&Identity {
            driver: driver.to_owned(),
            name: String::new(),
            bus: String::new(),
            is_named_well: true,
            capabilities,
        })
    }

    #[test]
    fn cameras_are_told_from_other_nodes() {
        assert_eq!(refused("uvcvideo", 0x0420_0001), Ok(()));
        assert_eq!(refused("vivid", 0x0523_0005), Ok(()));
        let others = [
            ("uvcvideo", 0x04a0_0000),      // metadata
            ("vivid", 0x0520_0002),         // output
            ("bcm2835-codec", 0x0420_4000), // codec
            ("bcm2835-isp", 0x0420_0001),
        ];
        for (driver, capabilities) in others {
            let refusal = refused(driver, capabilities).expect_err(driver);
            assert!(matches!(refusal, OpenError::NoCamera(_)), "{refusal:?}");
        }
        let planes = refused("rkisp1", 0x0420_1000).expect_err("several planes");
        assert!(matches!(planes, OpenError::Fault(_)), "{planes:?}");
    }

    #[test]
    fn files_that_are_no_cameras_are_said() {
        let wanted = CaptureRequest::default();
        let said = |path: &Path| open(path, &wanted).err().expect("no camera");
        let folder = tempfile::tempdir().expect("a folder");
        let picture = folder.path().join("p.jpg");
        fs::write(&picture, "").expect("written");
        for path in [picture.as_path(), folder.path(), Path::new("/dev/null")] {
            match said(path) {
                OpenError::NoCamera(said) => assert!(said.contains("is no video device"), "{said}"),
                OpenError::Fault(said) => panic!("{said}"),
            }
        }
        let gone = said(&folder.path().join("video7")).message();
        assert!(gone.contains("can't be opened (No such file"), "{gone}");
        let denied = cannot_open(&io::ErrorKind::PermissionDenied.into()).message();
        assert!(denied.contains("usermod -aG video"), "{denied}");
    }

    #[test]
    fn formats_that_cannot_be_read_are_named_with_a_way_on() {
        let info = |driver: &str, codes: &[&[u8; 4]]| CameraInfo {
            driver: driver.to_owned(),
            formats: codes
                .iter()
                .map(|code| FormatCapabilities {
                    code: **code,
                    description: String::new(),
                    sizes: Vec::new(),
                })
                .collect(),
            ..CameraInfo::default()
        };
        assert_eq!(unreadable(&info("uvcvideo", &[b"H264", b"YUYV"])), None);
        let said = unreadable(&info("unicam", &[b"pBAA", b"BG10"])).expect("unreadable");
        assert!(
            said.contains("only pBAA, BG10") && said.contains("--source rpicam"),
            "{said}"
        );
        let said = unreadable(&info("uvcvideo", &[])).expect("unreadable");
        assert!(
            said.contains("no format at all") && said.contains("--source -"),
            "{said}"
        );
    }
}
