//! Linux cameras (V4L2): USB cameras, built-in ones, capture cards, many cameras on boards.
//!
//! A corrupt frame is an error after which the camera goes on. After a timeout, too many corrupt frames in a row or a
//! lost device the camera must be opened again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stored_jpeg::Decoding;
use super::{FrameSource, SourceError};
use crate::camera_choice::CameraChoice;
use crate::frame::{Frame, FrameImage, Origin};

mod capabilities;
mod capture_stream;
mod device;
mod ioctl;
mod negotiate;
mod pixel_format;

use capabilities::{Mode, ranked_modes};
use capture_stream::{BufferMeta, CaptureStream, SequenceCounter};
use device::{CameraDevice, DevicePaths, OpenError};
use ioctl::DriverFormat;
use pixel_format::{FrameError, FrameLayout, PixelFormat, to_image, yuv_matrix};

pub use capabilities::{
    CameraInfo, CaptureRequest, FormatCapabilities, FrameRate, FrameSizes, RateRange, SizeRange,
};

/// Corrupt frames in a row after which the camera counts as failed: one second at 30 frames a second.
const MAX_CORRUPT_FRAMES: u32 = 30;

/// Modes that are tried before giving up; drivers list some that they then refuse.
const MAX_MODES_TRIED: usize = 6;

/// The largest plausible width and height in pixels.
const MAX_SIDE: u32 = 1 << 15;

/// Frames from a camera.
pub struct CameraSource {
    stream: CaptureStream,
    layout: FrameLayout,
    request: CaptureRequest,
    decoding: Decoding,
    device: String,
    description: String,
    sequence: SequenceCounter,
    /// Corrupt frames since the last valid one.
    corrupt_frames: u32,
    /// The frame that was read to check that the camera works.
    first: Option<Result<Frame, SourceError>>,
}

/// The connected cameras, usable or not, with their modes.
///
/// Nodes that do not capture (metadata, outputs, codecs) are left out. No setting of a camera is changed, so this works
/// while another program uses it.
#[must_use]
pub fn list() -> Vec<CameraInfo> {
    let info = |path: PathBuf| match device::open(&path, &CaptureRequest::default()) {
        Ok(camera) => Some(CameraInfo {
            fault: device::unsupported_formats(&camera.info),
            ..camera.info
        }),
        Err(OpenError::NotACamera(_)) => None,
        Err(OpenError::Failed(message)) => Some(CameraInfo {
            links: DevicePaths::default().links(&path),
            device: path,
            fault: Some(message),
            ..CameraInfo::default()
        }),
    };
    DevicePaths::default()
        .all()
        .into_iter()
        .filter_map(info)
        .collect()
}

impl CameraSource {
    /// Finds a camera, sets it to the best mode that it accepts, starts it and waits for its first frame.
    ///
    /// # Errors
    /// [`SourceError::Camera`] if there is none, it can't be opened, it is in use, it has no supported format, or it
    /// sends no frame in time.
    pub fn open(choice: &CameraChoice, request: &CaptureRequest) -> Result<Self, SourceError> {
        let candidates = DevicePaths::default().candidates(choice, device::name_of)?;
        match (choice, candidates.as_slice()) {
            (CameraChoice::First, _) | (_, [] | [_, _, ..]) => {
                let name = match choice {
                    CameraChoice::Named(name) => name.as_str(),
                    _ => "auto",
                };
                Self::open_first(name, &candidates, request)
            }
            (_, [path]) => Self::open_device(path, request)
                .map_err(|error| camera_error(&path.display().to_string(), error.to_string())),
        }
    }

    /// The camera and its mode, as `camera /dev/video0 (HD Webcam): MJPEG 640x480 at 30/s`.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Opens the first of several devices that sends frames.
    fn open_first(
        choice: &str,
        paths: &[PathBuf],
        request: &CaptureRequest,
    ) -> Result<Self, SourceError> {
        let mut faults = Vec::new();
        for path in paths {
            match Self::open_device(path, request) {
                Ok(source) => return Ok(source),
                // Many cameras have a second device that does not capture.
                Err(OpenError::NotACamera(_)) => {}
                Err(OpenError::Failed(message)) => {
                    faults.push(camera_error(&path.display().to_string(), message).to_string());
                }
            }
        }
        let found = match (paths, faults.as_slice()) {
            ([], _) => "there is no /dev/video*".to_owned(),
            (_, []) => "no /dev/video* is a camera".to_owned(),
            (_, faults) => faults.join("; "),
        };
        let advice = "plug a camera in, or try the demo without one: boxcam run --source demo";
        Err(camera_error(
            choice,
            format!("no camera could be opened ({found}); {advice}"),
        ))
    }

    fn open_device(path: &Path, request: &CaptureRequest) -> Result<Self, OpenError> {
        let camera = device::open(path, request)?;
        if let Some(message) = device::unsupported_formats(&camera.info) {
            return Err(OpenError::Failed(message));
        }
        let mut last = io::Error::other("it lists no frame size");
        for mode in ranked_modes(&camera.info.formats, request)
            .iter()
            .take(MAX_MODES_TRIED)
        {
            match Self::start(&camera, mode, request) {
                Ok(source) => return Ok(source),
                // Other modes would time out too.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(OpenError::Failed(timed_out(request.first_frame_timeout())));
                }
                Err(error) => last = error,
            }
        }
        let advice = "close other programs that use it, plug it in again, or name another with \
                      `--source camera:N`";
        Err(OpenError::Failed(format!(
            "can't be started ({last}); {advice}"
        )))
    }

    fn start(camera: &CameraDevice, mode: &Mode, request: &CaptureRequest) -> io::Result<Self> {
        let format = negotiate::set_mode(camera, mode)?;
        let layout = frame_layout(&format, mode.format)?;
        let rate = negotiate::frame_rate(camera);
        let rate = rate.map_or(String::new(), |rate| format!(" at {rate}/s"));
        let FrameLayout { width, height, .. } = layout;
        let format = mode.format.name();
        let mut source = Self {
            stream: CaptureStream::new(&camera.device)?,
            layout,
            request: *request,
            decoding: Decoding::AtOnce,
            device: camera.info.device.display().to_string(),
            description: format!("camera {}: {format} {width}x{height}{rate}", camera.info),
            sequence: SequenceCounter::default(),
            corrupt_frames: 0,
            first: None,
        };
        let (meta, image) = source.capture(request.first_frame_timeout())?;
        source.first = Some(source.frame(meta, image));
        Ok(source)
    }

    /// Waits for the newest frame and decodes it.
    fn capture(
        &mut self,
        timeout: Duration,
    ) -> io::Result<(BufferMeta, Result<FrameImage, FrameError>)> {
        let (layout, decoding) = (&self.layout, self.decoding);
        let min_size = (self.request.width, self.request.height);
        self.stream.next(timeout, |bytes, meta| {
            let image = if meta.is_corrupt {
                Err(FrameError::MarkedCorrupt)
            } else {
                to_image(layout, bytes, decoding, min_size)
            };
            (meta, image)
        })
    }

    fn frame(
        &mut self,
        meta: BufferMeta,
        image: Result<FrameImage, FrameError>,
    ) -> Result<Frame, SourceError> {
        let sequence = self.sequence.next(meta.sequence);
        match image {
            Ok(image) => {
                self.corrupt_frames = 0;
                Ok(Frame {
                    captured_at: meta.captured_at,
                    time: meta.time,
                    ..Frame::new(sequence, Origin::Live, image)
                })
            }
            Err(_) if self.corrupt_frames + 1 >= MAX_CORRUPT_FRAMES => {
                let advice = "try another cable or port, or another camera";
                let message = format!("{MAX_CORRUPT_FRAMES} corrupt frames in a row; {advice}");
                Err(camera_error(&self.device, message))
            }
            Err(error) => {
                self.corrupt_frames += 1;
                Err(SourceError::BrokenFrame {
                    stream: format!("camera {}", self.device),
                    message: error.to_string(),
                })
            }
        }
    }
}

impl FrameSource for CameraSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if let Some(first) = self.first.take() {
            return first.map(Some);
        }
        let timeout = self.request.timeout;
        let (meta, image) = self.capture(timeout).map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::TimedOut => timed_out(timeout),
                _ => format!("stopped sending frames ({error}); plug it in again"),
            };
            camera_error(&self.device, message)
        })?;
        self.frame(meta, image).map(Some)
    }

    fn defer_decoding(&mut self) {
        self.decoding = Decoding::WhenNeeded;
    }
}

fn frame_layout(format: &DriverFormat, pixel_format: PixelFormat) -> io::Result<FrameLayout> {
    let DriverFormat { width, height, .. } = *format;
    let is_plausible = |side| (1..=MAX_SIDE).contains(&side);
    if !is_plausible(width) || !is_plausible(height) || format.stride > MAX_SIDE * 8 {
        let stride = format.stride;
        let message =
            format!("its driver reports {width}x{height} pixels with rows of {stride} bytes");
        return Err(io::Error::other(message));
    }
    Ok(FrameLayout {
        format: pixel_format,
        width,
        height,
        stride: format.stride,
        yuv_matrix: yuv_matrix(format.colorspace, format.encoding, format.quantization),
    })
}

fn timed_out(timeout: Duration) -> String {
    let advice =
        "check that no other program uses it, plug it in again, or try another cable or port";
    let timeout = humantime::format_duration(timeout);
    format!("no frame arrived within {timeout}; {advice}")
}

fn camera_error(device: &str, message: String) -> SourceError {
    SourceError::Camera {
        device: device.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_camera_is_reported_with_advice() {
        let message = |paths: &[PathBuf]| {
            let opened = CameraSource::open_first("auto", paths, &CaptureRequest::default());
            opened.err().expect("there is no camera").to_string()
        };
        let none = message(&[]);
        assert!(none.contains("there is no /dev/video*"), "{none}");
        assert!(none.contains("boxcam run --source demo"), "{none}");
        let others = message(&["/dev/null".into(), "/dev/zero".into()]);
        assert!(others.contains("no /dev/video* is a camera"), "{others}");
        let missing = message(&["/dev/video4000000".into(), "/dev/video4000001".into()]);
        for device in [
            "camera /dev/video4000000: can't be opened",
            "camera /dev/video4000001",
        ] {
            assert!(missing.contains(device), "{missing}");
        }
    }

    #[test]
    fn errors_contain_the_chosen_camera() {
        let message = |choice: &str| {
            let choice: CameraChoice = choice.parse().expect(choice);
            let opened = CameraSource::open(&choice, &CaptureRequest::default());
            opened.err().expect("there is no such camera").to_string()
        };
        let gone = message("4000000");
        assert!(
            gone.starts_with("camera /dev/video4000000: can't be opened"),
            "{gone}"
        );
        let other = message("/dev/null");
        assert!(
            other.starts_with("camera /dev/null: is not a video device"),
            "{other}"
        );
        let named = message("no camera has this text in its name");
        assert!(named.contains("no camera has this name"), "{named}");
    }

    #[test]
    fn implausible_sizes_are_refused() {
        let format = |width, height, stride| DriverFormat {
            fourcc: *b"YUYV",
            width,
            height,
            stride,
            colorspace: 0,
            encoding: 0,
            quantization: 0,
            is_known_to_v4l: true,
        };
        let layout = |(width, height, stride)| {
            frame_layout(&format(width, height, stride), PixelFormat::Yuyv)
        };
        assert!(layout((640, 480, 1280)).is_ok() && layout((640, 480, 0)).is_ok());
        for wrong in [
            (0, 480, 0),
            (640, 0, 0),
            (u32::MAX, 1, 0),
            (1, 40_000, 0),
            (1, 1, u32::MAX),
        ] {
            assert!(layout(wrong).is_err(), "{wrong:?}");
        }
    }
}
