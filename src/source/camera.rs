//! A camera of Linux (V4L2: USB cameras, laptops' own), through nokhwa. The only file that names nokhwa.
//!
//! In go which camera and nothing else, out come RGB frames of about 640 x 480 at 30 a second, in the best
//! of the formats that the camera offers. A frame that arrives broken is passed over; a camera that sends
//! only such, or goes away, is an error. Live: it goes on whether anybody looks or not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
    Resolution,
};
use nokhwa::{Buffer, Camera};

use super::{CameraChoice, FrameSource, SourceError};
use crate::frame::{Frame, Origin};

mod convert;
mod mode;

use mode::{Mode, PixelFormat};

/// Broken frames in a row after which a camera counts as broken: one second.
const MOST_BROKEN: u32 = 30;

/// Modes that are tried before a camera is given up; drivers offer some that they then refuse.
const MOST_TRIED: usize = 6;

/// Where Linux keeps the cameras.
const DEVICES: &str = "/dev";

/// Every format that can be asked of nokhwa here.
const FORMATS: [(FrameFormat, PixelFormat); 6] = [
    (FrameFormat::MJPEG, PixelFormat::Mjpeg),
    (FrameFormat::YUYV, PixelFormat::Yuyv),
    (FrameFormat::NV12, PixelFormat::Nv12),
    (FrameFormat::RAWRGB, PixelFormat::Rgb),
    (FrameFormat::RAWBGR, PixelFormat::Bgr),
    (FrameFormat::GRAY, PixelFormat::Gray),
];

/// Frames from a camera.
pub struct CameraSource {
    camera: Camera,
    device: String,
    sequence: u64,
}

impl CameraSource {
    /// Opens a camera and starts it.
    ///
    /// # Errors
    /// [`SourceError::Camera`] when there is none, it may not be opened, is in use, or offers no format
    /// that can be read.
    pub fn open(choice: &CameraChoice) -> Result<Self, SourceError> {
        match choice {
            CameraChoice::Number(number) => Self::open_number(*number),
            CameraChoice::Device(path) => Self::open_number(number_of(path)?),
            CameraChoice::First => Self::open_first(&video_numbers(Path::new(DEVICES))),
        }
    }

    fn open_first(numbers: &[u32]) -> Result<Self, SourceError> {
        let mut faults = Vec::new();
        for number in numbers {
            match Self::open_number(*number) {
                Ok(source) => return Ok(source),
                // Many cameras have a second device that gives no pictures.
                Err(error) => faults.push(error.to_string()),
            }
        }
        let found = match faults.as_slice() {
            [] => "there is no /dev/video* here".to_owned(),
            faults => faults.join("; "),
        };
        let advice =
            "plug a camera in, or see boxcam at work without one: boxcam run --source demo";
        Err(fault(
            "any",
            format!("none could be opened ({found}); {advice}"),
        ))
    }

    fn open_number(number: u32) -> Result<Self, SourceError> {
        let device = format!("{DEVICES}/video{number}");
        check_access(&device)?;
        let camera = start(number).map_err(|error| {
            let advice = "close other programs that use it, plug it in again, or name another with \
                          `--source camera:N`";
            fault(&device, format!("can't be started ({error}); {advice}"))
        })?;
        Ok(Self {
            camera,
            device,
            sequence: 0,
        })
    }

    fn capture(&mut self) -> Result<Buffer, SourceError> {
        self.camera.frame().map_err(|error| {
            let advice = "plug it in again and start anew";
            fault(
                &self.device,
                format!("stopped giving frames ({error}); {advice}"),
            )
        })
    }
}

impl FrameSource for CameraSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        for _ in 0..MOST_BROKEN {
            let buffer = self.capture()?;
            let (captured_at, time) = taken(&buffer);
            let sequence = self.sequence;
            self.sequence += 1;
            if let Some(image) = decode(&buffer) {
                return Ok(Some(Frame {
                    sequence,
                    captured_at,
                    time,
                    origin: Origin::Live,
                    image,
                }));
            }
        }
        let advice = "try another cable or port, or another camera";
        let message = format!("{MOST_BROKEN} frames in a row arrived broken; {advice}");
        Err(fault(&self.device, message))
    }

    fn is_live(&self) -> bool {
        true
    }
}

fn fault(device: &str, message: String) -> SourceError {
    SourceError::Camera {
        device: device.to_owned(),
        message,
    }
}

/// Says in plain words what nokhwa would say in a roundabout way.
fn check_access(device: &str) -> Result<(), SourceError> {
    use std::io::ErrorKind;
    let opened = std::fs::File::options().read(true).write(true).open(device);
    let Err(error) = opened else { return Ok(()) };
    let advice = match error.kind() {
        ErrorKind::NotFound => "plug it in and look for it with `ls /dev/video*`",
        ErrorKind::PermissionDenied => {
            "join the group that may use cameras (`sudo usermod -aG video $USER`) and log in again"
        }
        _ => "close other programs that use it, or plug it in again",
    };
    Err(fault(
        device,
        format!("can't be opened ({error}); {advice}"),
    ))
}

/// The numbers of the video devices in a folder, in order.
fn video_numbers(folder: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("video")?.parse().ok();
    let names = entries.map(|entry| entry.file_name());
    let mut numbers: Vec<u32> = names.filter_map(|name| number(name.to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

/// The number of a device file `/dev/videoN`, or of a link to one as in `/dev/v4l/by-id`.
fn number_of(path: &Path) -> Result<u32, SourceError> {
    let shown = path.display().to_string();
    let real: PathBuf = path.canonicalize().map_err(|error| {
        let advice = "look for cameras with `ls /dev/video* /dev/v4l/by-id`";
        fault(&shown, format!("can't be opened ({error}); {advice}"))
    })?;
    let name = real.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix("video")?.parse().ok());
    number.ok_or_else(|| {
        let expected = "expected /dev/videoN or a link to one; for a picture leave out `camera:`";
        fault(&shown, format!("is no video device; {expected}"))
    })
}

/// Opens the camera, sets the best mode that it accepts and starts it.
fn start(number: u32) -> Result<Camera, nokhwa::NokhwaError> {
    let formats = FORMATS.map(|(theirs, _)| theirs);
    let any = RequestedFormat::with_formats(RequestedFormatType::None, &formats);
    let mut camera =
        Camera::with_backend(CameraIndex::Index(number), any, ApiBackend::Video4Linux)?;
    let offered = camera.compatible_camera_formats()?;
    for mode in mode::ranked(offered.iter().filter_map(mode_of)).take(MOST_TRIED) {
        let exact = RequestedFormatType::Exact(format_of(mode));
        let request = RequestedFormat::with_formats(exact, &formats);
        if camera.set_camera_requset(request).is_ok() {
            break;
        }
    }
    camera.open_stream()?;
    Ok(camera)
}

fn mode_of(format: &CameraFormat) -> Option<Mode> {
    Some(Mode {
        format: ours(format.format())?,
        width: format.width(),
        height: format.height(),
        fps: format.frame_rate(),
    })
}

fn format_of(mode: Mode) -> CameraFormat {
    let theirs = FORMATS.iter().find(|(_, ours)| *ours == mode.format);
    let theirs = theirs.map_or(FrameFormat::MJPEG, |(theirs, _)| *theirs);
    CameraFormat::new(Resolution::new(mode.width, mode.height), theirs, mode.fps)
}

fn ours(format: FrameFormat) -> Option<PixelFormat> {
    let known = FORMATS.iter().find(|(theirs, _)| *theirs == format);
    known.map(|(_, ours)| *ours)
}

fn decode(buffer: &Buffer) -> Option<RgbImage> {
    let Resolution { width_x, height_y } = buffer.resolution();
    let format = ours(buffer.source_frame_format())?;
    convert::to_rgb(format, buffer.buffer(), width_x, height_y)
}

/// When the driver says that the frame was taken; now, if it doesn't say.
fn taken(buffer: &Buffer) -> (Instant, SystemTime) {
    let (instant, now) = (Instant::now(), SystemTime::now());
    let stamp = buffer
        .capture_timestamp()
        .map(|since| SystemTime::UNIX_EPOCH + since);
    let age = stamp.and_then(|stamp| now.duration_since(stamp).ok());
    // A driver with a clock of its own gives nonsense here.
    let age = age
        .filter(|age| *age < Duration::from_secs(10))
        .unwrap_or_default();
    (instant.checked_sub(age).unwrap_or(instant), now - age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_by_number_and_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["video10", "video2", "video", "videox", "audio1", "video0"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(video_numbers(folder.path()), [0, 2, 10]);
        assert!(video_numbers(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn no_camera_is_said_with_a_way_on() {
        let Err(error) = CameraSource::open_first(&[]) else {
            panic!("there is no camera without a number");
        };
        let said = error.to_string();
        assert!(said.contains("there is no /dev/video*"), "{said}");
        assert!(said.contains("boxcam run --source demo"), "{said}");
    }

    #[test]
    fn each_device_that_fails_is_named() {
        let Err(error) = CameraSource::open_first(&[4_000_000, 4_000_001]) else {
            panic!("nobody has that many");
        };
        let said = error.to_string();
        for device in [
            "camera /dev/video4000000: can't be opened",
            "camera /dev/video4000001",
        ] {
            assert!(said.contains(device), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_their_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("video3"), "").expect("written");
        std::os::unix::fs::symlink(at("video3"), at("usb-cam-index0")).expect("linked");
        assert_eq!(number_of(&at("usb-cam-index0")).expect("a device"), 3);
        std::fs::write(at("p.jpg"), "").expect("written");
        let said = number_of(&at("p.jpg")).expect_err("no device").to_string();
        assert!(said.contains("is no video device"), "{said}");
        assert!(number_of(&at("none")).is_err());
    }

    #[test]
    fn formats_go_there_and_back() {
        for (theirs, known) in FORMATS {
            let mode = Mode {
                format: known,
                width: 640,
                height: 480,
                fps: 30,
            };
            assert_eq!(format_of(mode).format(), theirs);
            assert_eq!(mode_of(&format_of(mode)), Some(mode));
        }
    }

    #[test]
    fn a_broken_frame_is_no_picture() {
        let resolution = Resolution::new(640, 480);
        let cut = Buffer::new(resolution, &[0xff, 0xd8, 0xff], FrameFormat::MJPEG);
        assert!(decode(&cut).is_none());
        let grey = Buffer::new(resolution, &[128; 640 * 480 * 2], FrameFormat::YUYV);
        assert_eq!(decode(&grey).expect("whole").dimensions(), (640, 480));
    }

    #[test]
    fn a_stamp_of_another_clock_is_not_believed() {
        let buffer = |stamp| {
            let resolution = Resolution::new(2, 2);
            Buffer::with_timestamp(resolution, &[0; 8], FrameFormat::YUYV, stamp)
        };
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let (taken_at, _) = taken(&buffer(Some(now - Duration::from_millis(40))));
        assert!(taken_at.elapsed() >= Duration::from_millis(40));
        for stamp in [None, Some(Duration::from_secs(5)), Some(now * 2)] {
            assert!(taken(&buffer(stamp)).0.elapsed() < Duration::from_secs(1));
        }
    }
}
