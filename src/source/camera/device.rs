//! Finds video devices, opens them and lists what they can capture.
//!
//! Device files are looked up each time that a camera is opened, so a camera that comes back under another number is
//! found. Nodes that do not capture (outputs, metadata, codecs, image processors) are distinguished from cameras that fail.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::{Device, FourCC};

use super::capabilities::{
    CameraInfo, CaptureRequest, FormatCapabilities, FrameRate, FrameSizes, RateRange, SizeRange,
};
use super::ioctl::{self, Identity};
use crate::camera_choice::CameraChoice;
use crate::source::SourceError;

/// The folders with the device files of cameras.
pub(super) struct DevicePaths {
    /// The folder of the files `videoN`.
    pub(super) devices: PathBuf,
    /// The folder of links that are named after the connected devices.
    pub(super) by_id: PathBuf,
}

impl Default for DevicePaths {
    fn default() -> Self {
        Self {
            devices: "/dev".into(),
            by_id: "/dev/v4l/by-id".into(),
        }
    }
}

impl DevicePaths {
    /// The devices to try, in this order. `name_of` returns the name that a device reports.
    pub(super) fn candidates(
        &self,
        choice: &CameraChoice,
        name_of: impl Fn(&Path) -> Option<String>,
    ) -> Result<Vec<PathBuf>, SourceError> {
        match choice {
            CameraChoice::First => Ok(self.all()),
            CameraChoice::Number(number) => Ok(vec![self.devices.join(format!("video{number}"))]),
            CameraChoice::Device(path) => Ok(vec![path.clone()]),
            CameraChoice::Named(name) => self.named(name, name_of),
        }
    }

    /// All video devices, by number.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.devices).into_iter().flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        let mut numbered: Vec<(u32, PathBuf)> = paths
            .filter_map(|path| Some((device_number(&path)?, path)))
            .collect();
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, path)| path).collect()
    }

    fn named(
        &self,
        name: &str,
        name_of: impl Fn(&Path) -> Option<String>,
    ) -> Result<Vec<PathBuf>, SourceError> {
        let link = self.by_id.join(name);
        if !name.contains('/') && link.exists() {
            return Ok(vec![link]);
        }
        let part = name.to_lowercase();
        let names: Vec<(PathBuf, String)> = self
            .all()
            .into_iter()
            .filter_map(|path| Some((name_of(&path)?, path)))
            .map(|(name, path)| (path, name))
            .collect();
        let matches = |(_, name): &&(PathBuf, String)| name.to_lowercase().contains(&part);
        let found: Vec<PathBuf> = names
            .iter()
            .filter(matches)
            .map(|it| it.0.clone())
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut known: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        known.dedup();
        let known = match known.as_slice() {
            [] => "no device has a name".to_owned(),
            known => format!("available: {}", known.join(", ")),
        };
        let advice = "plug it in, or use a part of a camera's name or its entry in /dev/v4l/by-id";
        Err(SourceError::Camera {
            device: name.to_owned(),
            message: format!("no camera has this name ({known}); {advice}"),
        })
    }

    /// The names in `/dev/v4l/by-id` that link to a device.
    pub(super) fn links(&self, device: &Path) -> Vec<String> {
        let Ok(device) = device.canonicalize() else {
            return Vec::new();
        };
        let entries = fs::read_dir(&self.by_id).into_iter().flatten();
        let links_to_device = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == device);
        let paths = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(links_to_device);
        let mut names: Vec<String> = paths
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort_unstable();
        names
    }
}

/// The number N of a device file `videoN`.
pub(super) fn device_number(path: &Path) -> Option<u32> {
    path.file_name()?
        .to_str()?
        .strip_prefix("video")?
        .parse()
        .ok()
}

/// `V4L2_CAP_*` bits.
const CAPTURE: u32 = 0x1;
const CAPTURE_MULTIPLANAR: u32 = 0x1000;
const MEMORY_TO_MEMORY: u32 = 0x8000 | 0x4000;
const STREAMING: u32 = 0x0400_0000;

/// Drivers of image processors, whose nodes look like cameras.
const PROCESSOR_DRIVERS: [&str; 3] = ["bcm2835-isp", "bcm2835-codec", "pispbe"];

/// Drivers of the Raspberry Pi's camera connector, which deliver raw sensor data.
const RASPBERRY_PI_DRIVERS: [&str; 2] = ["unicam", "rp1-cfe"];

/// An open camera.
pub(super) struct CameraDevice {
    pub(super) device: Device,
    pub(super) info: CameraInfo,
    /// Whether its names are valid UTF-8, which some crates require.
    pub(super) is_utf8: bool,
}

/// A device that can't be used, with the reason.
#[derive(Debug, PartialEq, Error)]
pub(super) enum OpenError {
    /// It is not a camera.
    #[error("{0}")]
    NotACamera(String),
    /// It may be a camera, but it can't be used.
    #[error("{0}")]
    Failed(String),
}

/// Opens a device and lists its formats, with the frame rates near the requested size.
pub(super) fn open(path: &Path, request: &CaptureRequest) -> Result<CameraDevice, OpenError> {
    let path = device_file(path)?;
    let device = Device::with_path(&path).map_err(|error| cannot_open(&error))?;
    let not_video = |error: io::Error| {
        OpenError::NotACamera(format!("is not a video device ({error}); {EXPECTED}"))
    };
    let identity = ioctl::identity(&device).map_err(not_video)?;
    check_capabilities(&identity)?;
    let info = CameraInfo {
        links: DevicePaths::default().links(&path),
        device: path,
        formats: formats(&device, request),
        name: identity.name,
        driver: identity.driver,
        bus: identity.bus,
        fault: None,
    };
    Ok(CameraDevice {
        device,
        info,
        is_utf8: identity.is_utf8,
    })
}

/// The name that a video device reports.
pub(super) fn name_of(path: &Path) -> Option<String> {
    let device = Device::with_path(device_file(path).ok()?).ok()?;
    Some(ioctl::identity(&device).ok()?.name)
}

/// The reason if none of the formats is supported.
pub(super) fn unsupported_formats(info: &CameraInfo) -> Option<String> {
    if info.formats.iter().any(FormatCapabilities::is_supported) {
        return None;
    }
    let names: Vec<String> = info.formats.iter().map(FormatCapabilities::name).collect();
    let listed = match names.as_slice() {
        [] => "no format".to_owned(),
        names => format!("only {}", names.join(", ")),
    };
    let advice = if RASPBERRY_PI_DRIVERS.contains(&info.driver.as_str()) {
        "it is a camera on the Raspberry Pi's connector: use `--source rpicam`"
    } else {
        "use another camera, or read it with a program such as ffmpeg and pipe its output to `--source -`"
    };
    Some(format!(
        "offers {listed}, which boxcam does not support; {advice}"
    ))
}

const EXPECTED: &str =
    "expected /dev/videoN or a link to one; for a picture file leave out `camera:`";

/// Resolves links to a device file; anything but a character device is refused before it is opened.
fn device_file(path: &Path) -> Result<PathBuf, OpenError> {
    let file = path.canonicalize().map_err(|error| cannot_open(&error))?;
    let kind = fs::metadata(&file).map_err(|error| cannot_open(&error))?;
    if kind.file_type().is_char_device() {
        Ok(file)
    } else {
        Err(OpenError::NotACamera(format!(
            "is not a video device; {EXPECTED}"
        )))
    }
}

fn cannot_open(error: &io::Error) -> OpenError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "plug it in and look for it with `ls /dev/video* /dev/v4l/by-id`"
        }
        io::ErrorKind::PermissionDenied => {
            "join the group `video` (`sudo usermod -aG video $USER`) and log in again"
        }
        _ => "close other programs that use it, or plug it in again",
    };
    OpenError::Failed(format!("can't be opened ({error}); {advice}"))
}

fn check_capabilities(identity: &Identity) -> Result<(), OpenError> {
    let has = |bits: u32| identity.capabilities & bits != 0;
    let driver = identity.driver.as_str();
    if has(MEMORY_TO_MEMORY) || PROCESSOR_DRIVERS.contains(&driver) {
        let message =
            format!("is an image processor and not a camera ({driver}); name another device");
        return Err(OpenError::NotACamera(message));
    }
    if has(CAPTURE) && has(STREAMING) {
        return Ok(());
    }
    if has(CAPTURE_MULTIPLANAR) {
        let advice = "read it with a program such as ffmpeg and pipe its output to `--source -`";
        let message = format!(
            "captures only in several planes (multi-planar), which boxcam does not support; {advice}"
        );
        return Err(OpenError::Failed(message));
    }
    let message =
        "does not capture video (it is an output, or carries other data); name another device";
    Err(OpenError::NotACamera(message.to_owned()))
}

fn formats(device: &Device, request: &CaptureRequest) -> Vec<FormatCapabilities> {
    let described = device.enum_formats().unwrap_or_default();
    let capabilities = |format: v4l::format::Description| FormatCapabilities {
        fourcc: format.fourcc.repr,
        description: format.description,
        sizes: sizes(device, format.fourcc, request),
    };
    described.into_iter().map(capabilities).collect()
}

/// The frame sizes of a format; none if the driver does not list them.
fn sizes(device: &Device, code: FourCC, request: &CaptureRequest) -> Vec<FrameSizes> {
    let listed = device.enum_framesizes(code).unwrap_or_default();
    let frame_sizes = |size: FrameSizeEnum| {
        let sizes = match size {
            FrameSizeEnum::Discrete(size) => SizeRange::Discrete(size.width, size.height),
            FrameSizeEnum::Stepwise(steps) => SizeRange::Stepwise {
                min: (steps.min_width, steps.min_height),
                max: (steps.max_width, steps.max_height),
                step: (steps.step_width, steps.step_height),
            },
        };
        let (width, height) = sizes.nearest(request.width, request.height);
        let rates = rates(device, code, width, height);
        FrameSizes { sizes, rates }
    };
    listed
        .into_iter()
        .map(|listed| frame_sizes(listed.size))
        .collect()
}

/// The frame rates of a size; none if the driver does not list them.
fn rates(device: &Device, code: FourCC, width: u32, height: u32) -> Vec<RateRange> {
    let rate = |interval: v4l::Fraction| {
        FrameRate::from_interval(interval.numerator, interval.denominator)
    };
    let rate_range = |interval: FrameIntervalEnum| match interval {
        FrameIntervalEnum::Discrete(interval) => rate(interval).map(RateRange::Discrete),
        // The longest interval is the slowest rate.
        FrameIntervalEnum::Stepwise(steps) => {
            Some(RateRange::Continuous(rate(steps.max)?, rate(steps.min)?))
        }
    };
    let listed = device.enum_frameintervals(code, width, height);
    let listed = listed.unwrap_or_default().into_iter();
    listed
        .filter_map(|listed| rate_range(listed.interval))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with device files of these numbers.
    fn devices(numbers: &[u32]) -> (tempfile::TempDir, DevicePaths) {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = DevicePaths {
            devices: folder.path().to_owned(),
            by_id: folder.path().join("v4l/by-id"),
        };
        fs::create_dir_all(&paths.by_id).expect("made");
        for number in numbers {
            fs::write(folder.path().join(format!("video{number}")), "").expect("written");
        }
        (folder, paths)
    }

    /// The names that the test devices report.
    fn name_of(path: &Path) -> Option<String> {
        let name = match device_number(path)? {
            0 | 1 => "Integrated Camera: Integrated C",
            2 => "HD Pro Webcam C920",
            _ => return None,
        };
        Some(name.to_owned())
    }

    fn found(paths: &DevicePaths, choice: &str) -> Vec<String> {
        let choice: CameraChoice = choice.parse().expect(choice);
        let candidates = paths.candidates(&choice, name_of).expect("some");
        let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        candidates.into_iter().filter_map(name).collect()
    }

    #[test]
    fn devices_are_found_by_number_and_in_order() {
        let (folder, paths) = devices(&[10, 2, 0]);
        for name in ["video", "videox", "audio1", "video-1"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(found(&paths, "auto"), ["video0", "video2", "video10"]);
        assert_eq!(found(&paths, "7"), ["video7"]);
        fs::remove_file(folder.path().join("video0")).expect("removed");
        assert_eq!(
            found(&paths, "auto"),
            ["video2", "video10"],
            "looked up again"
        );
    }

    #[test]
    fn cameras_are_found_by_link_and_by_part_of_their_name() {
        let (folder, paths) = devices(&[0, 1, 2, 3]);
        let link = "usb-046d_HD_Pro_Webcam_C920_A1-video-index0";
        symlink("../../video2", paths.by_id.join(link)).expect("linked");
        assert_eq!(found(&paths, link), [link]);
        assert_eq!(found(&paths, "c920"), ["video2"]);
        assert_eq!(found(&paths, "integrated"), ["video0", "video1"]);
        assert_eq!(paths.links(&folder.path().join("video2")), [link]);
        assert!(paths.links(&folder.path().join("video0")).is_empty());
        // It is unplugged, and comes back with another number.
        fs::remove_file(folder.path().join("video2")).expect("removed");
        let gone = CameraChoice::Named(link.to_owned());
        let error = paths
            .candidates(&gone, name_of)
            .expect_err("gone")
            .to_string();
        for part in [link, "no camera has this name", "Integrated Camera"] {
            assert!(error.contains(part), "{error}");
        }
        fs::remove_file(paths.by_id.join(link)).expect("removed");
        symlink("../../video3", paths.by_id.join(link)).expect("linked");
        assert_eq!(found(&paths, link), [link]);
        assert_eq!(paths.links(&folder.path().join("video3")), [link]);
    }

    #[test]
    fn a_system_without_cameras_has_no_candidates() {
        let paths = DevicePaths {
            devices: "/no/such/folder".into(),
            by_id: "/no/such/folder".into(),
        };
        assert!(paths.all().is_empty() && paths.links(Path::new("/dev/null")).is_empty());
        let named = CameraChoice::Named("front".to_owned());
        let error = paths
            .candidates(&named, name_of)
            .expect_err("none")
            .to_string();
        assert!(error.contains("no device has a name"), "{error}");
    }

    fn check(driver: &str, capabilities: u32) -> Result<(), OpenError> {
        check_capabilities(&Identity {
            driver: driver.to_owned(),
            name: String::new(),
            bus: String::new(),
            is_utf8: true,
            capabilities,
        })
    }

    #[test]
    fn nodes_that_are_not_cameras_are_recognised() {
        assert_eq!(check("uvcvideo", 0x0420_0001), Ok(()));
        assert_eq!(check("vivid", 0x0523_0005), Ok(()));
        let others = [
            ("uvcvideo", 0x04a0_0000),      // metadata
            ("vivid", 0x0520_0002),         // output
            ("bcm2835-codec", 0x0420_4000), // codec
            ("bcm2835-isp", 0x0420_0001),
        ];
        for (driver, capabilities) in others {
            let error = check(driver, capabilities).expect_err(driver);
            assert!(matches!(error, OpenError::NotACamera(_)), "{error:?}");
        }
        let planes = check("rkisp1", 0x0420_1000).expect_err("several planes");
        assert!(matches!(planes, OpenError::Failed(_)), "{planes:?}");
    }

    #[test]
    fn files_that_are_not_cameras_are_refused() {
        let request = CaptureRequest::default();
        let refused = |path: &Path| open(path, &request).err().expect("not a camera");
        let folder = tempfile::tempdir().expect("a folder");
        let picture = folder.path().join("p.jpg");
        fs::write(&picture, "").expect("written");
        for path in [picture.as_path(), folder.path(), Path::new("/dev/null")] {
            let error = refused(path);
            assert!(matches!(error, OpenError::NotACamera(_)), "{error}");
            assert!(
                error.to_string().contains("is not a video device"),
                "{error}"
            );
        }
        let gone = refused(&folder.path().join("video7")).to_string();
        assert!(gone.contains("can't be opened (No such file"), "{gone}");
        let denied = cannot_open(&io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("usermod -aG video"), "{denied}");
    }

    #[test]
    fn unsupported_formats_are_reported_with_advice() {
        let info = |driver: &str, codes: &[&[u8; 4]]| CameraInfo {
            driver: driver.to_owned(),
            formats: codes
                .iter()
                .map(|code| FormatCapabilities {
                    fourcc: **code,
                    description: String::new(),
                    sizes: Vec::new(),
                })
                .collect(),
            ..CameraInfo::default()
        };
        assert_eq!(
            unsupported_formats(&info("uvcvideo", &[b"H264", b"YUYV"])),
            None
        );
        let reason =
            unsupported_formats(&info("unicam", &[b"pBAA", b"BG10"])).expect("unsupported");
        assert!(
            reason.contains("only pBAA, BG10") && reason.contains("--source rpicam"),
            "{reason}"
        );
        let reason = unsupported_formats(&info("uvcvideo", &[])).expect("unsupported");
        assert!(
            reason.contains("no format,") && reason.contains("--source -"),
            "{reason}"
        );
    }
}
