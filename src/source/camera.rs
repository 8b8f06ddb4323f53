//! A camera of Linux (V4L2: USB cameras, laptops' own, capture cards, many boards' own).
//!
//! In go which camera and what is wanted of it, out come RGB frames in the best of the modes that it offers.
//! Modes are set through nokhwa where it can (`negotiate` says where and why), frames are taken through
//! the crate `v4l` that it stands on, since nokhwa's own read can wait without end. A frame that arrives
//! broken is an error after which the camera goes on; a camera that sends only such, nothing for a while, or
//! goes away, is one after which it has to be opened anew. Live: it goes on whether anybody looks or not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;

use super::{FrameSource, SourceError};
use crate::camera_choice::CameraChoice;
use crate::frame::{Frame, Origin};

mod choice;
mod convert;
mod mode;
mod negotiate;
mod offer;
mod probe;
mod request;
mod sequence;
mod stream;

use choice::DevicePaths;
use convert::{Layout, YuvMatrix};
use mode::{Mode, PixelFormat};
use probe::{OpenError, Probe};
use request::DriverFormat;
use sequence::SequenceCounter;
use stream::{BufferMeta, Stream};

pub use offer::{CameraInfo, FormatCapabilities, FrameRate, FrameSizes, RateRange, SizeRange};

/// Broken frames in a row after which a camera counts as broken: one second.
const MOST_BROKEN: u32 = 30;

/// Modes that are tried before a camera is given up; drivers offer some that they then refuse.
const MOST_TRIED: usize = 6;

/// A camera that was just started is given so long for its first frame: many need a second to set themselves
/// to the light.
const FIRST_FRAME: Duration = Duration::from_secs(4);

/// The most pixels across or down that are believed.
const LONGEST_SIDE: u32 = 1 << 15;

/// What is wanted of a camera; it gives what it has that is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureRequest {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Time without a frame after which a read is an error.
    pub timeout: Duration,
}

/// Enough for the model and for the eye, and every USB camera has it.
impl Default for CaptureRequest {
    fn default() -> Self {
        Self {
            width: 640,
            height: 480,
            fps: 30,
            timeout: Duration::from_secs(2),
        }
    }
}

impl CaptureRequest {
    fn first_timeout(&self) -> Duration {
        self.timeout.max(FIRST_FRAME)
    }
}

/// Frames from a camera.
pub struct CameraSource {
    stream: Stream,
    layout: Layout,
    wanted: CaptureRequest,
    device: String,
    chosen: String,
    numbers: SequenceCounter,
    /// Broken frames since the last whole one.
    broken: u32,
    /// The frame that showed that the camera works.
    first: Option<Result<Frame, SourceError>>,
}

/// The cameras that are plugged in, usable or not, with what they offer.
///
/// Nodes of other use (metadata, outputs, codecs) are left out. Nothing is changed on a camera, so that this
/// works while another program uses it.
#[must_use]
pub fn list() -> Vec<CameraInfo> {
    let info = |path: PathBuf| match probe::open(&path, &CaptureRequest::default()) {
        Ok(probe) => Some(CameraInfo {
            fault: probe::unreadable(&probe.info),
            ..probe.info
        }),
        Err(OpenError::NoCamera(_)) => None,
        Err(OpenError::Fault(message)) => Some(CameraInfo {
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
    /// [`SourceError::Camera`] when there is none, it may not be opened, is in use, offers no format that can
    /// be read, or sends nothing.
    pub fn open(choice: &CameraChoice, wanted: &CaptureRequest) -> Result<Self, SourceError> {
        let candidates = DevicePaths::default().candidates(choice, probe::name_of)?;
        match (choice, candidates.as_slice()) {
            (CameraChoice::First, _) | (_, [_, _, ..]) => Self::open_first(&candidates, wanted),
            (_, only) => only.first().map_or_else(
                || Self::open_first(&[], wanted),
                |path| {
                    Self::open_device(path, wanted)
                        .map_err(|refusal| fault(&path.display().to_string(), refusal.message()))
                },
            ),
        }
    }

    /// The camera and its mode, as `camera /dev/video0 (HD Webcam): MJPEG 640x480 at 30/s`.
    #[must_use]
    pub fn chosen(&self) -> &str {
        &self.chosen
    }

    /// The first of several that gives frames.
    fn open_first(paths: &[PathBuf], wanted: &CaptureRequest) -> Result<Self, SourceError> {
        let mut faults = Vec::new();
        for path in paths {
            match Self::open_device(path, wanted) {
                Ok(source) => return Ok(source),
                // Many cameras have a second device that gives no pictures.
                Err(OpenError::NoCamera(_)) => {}
                Err(OpenError::Fault(message)) => {
                    faults.push(fault(&path.display().to_string(), message).to_string());
                }
            }
        }
        let found = match (paths, faults.as_slice()) {
            ([], _) => "there is no /dev/video* here".to_owned(),
            (_, []) => "no /dev/video* here is a camera".to_owned(),
            (_, faults) => faults.join("; "),
        };
        let advice =
            "plug a camera in, or see boxcam at work without one: boxcam run --source demo";
        Err(fault(
            "any",
            format!("none could be opened ({found}); {advice}"),
        ))
    }

    fn open_device(path: &Path, wanted: &CaptureRequest) -> Result<Self, OpenError> {
        let probe = probe::open(path, wanted)?;
        if let Some(message) = probe::unreadable(&probe.info) {
            return Err(OpenError::Fault(message));
        }
        let mut last = io::Error::other("it offers no size");
        for mode in mode::ranked(&probe.info.formats, wanted)
            .iter()
            .take(MOST_TRIED)
        {
            match Self::start(&probe, mode, wanted) {
                Ok(source) => return Ok(source),
                // Another mode would be as silent.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(OpenError::Fault(silent(wanted.first_timeout())));
                }
                Err(error) => last = error,
            }
        }
        let advice = "close other programs that use it, plug it in again, or name another with \
                      `--source camera:N`";
        Err(OpenError::Fault(format!(
            "can't be started ({last}); {advice}"
        )))
    }

    fn start(probe: &Probe, mode: &Mode, wanted: &CaptureRequest) -> io::Result<Self> {
        let format = negotiate::set(probe, mode)?;
        let layout = layout(&format, mode.format)?;
        let rate = negotiate::rate(probe).map_or(String::new(), |rate| format!(" at {rate}/s"));
        let Layout { width, height, .. } = layout;
        let mut source = Self {
            stream: Stream::new(&probe.device)?,
            layout,
            wanted: *wanted,
            device: probe.info.device.display().to_string(),
            chosen: format!(
                "camera {}: {} {width}x{height}{rate}",
                probe.info,
                mode.format.name()
            ),
            numbers: SequenceCounter::default(),
            broken: 0,
            first: None,
        };
        let first = source.capture(wanted.first_timeout())?;
        source.first = Some(source.judge(first));
        Ok(source)
    }

    /// Waits for the newest frame and decodes it.
    fn capture(&mut self, timeout: Duration) -> io::Result<(BufferMeta, Result<RgbImage, String>)> {
        let layout = &self.layout;
        let at_least = (self.wanted.width, self.wanted.height);
        self.stream.next(timeout, |bytes, taken| {
            let image = match bytes {
                _ if taken.is_broken => Err("the driver has marked it as broken".to_owned()),
                [] => Err("it is empty".to_owned()),
                bytes => convert::to_rgb(layout, bytes, at_least),
            };
            (taken, image)
        })
    }

    fn judge(
        &mut self,
        (taken, image): (BufferMeta, Result<RgbImage, String>),
    ) -> Result<Frame, SourceError> {
        let sequence = self.numbers.after(taken.number);
        match image {
            Ok(image) => {
                self.broken = 0;
                Ok(frame(sequence, taken.instant, taken.time, image))
            }
            Err(_) if self.broken + 1 >= MOST_BROKEN => {
                let advice = "try another cable or port, or another camera";
                let message = format!("{MOST_BROKEN} frames in a row arrived broken; {advice}");
                Err(fault(&self.device, message))
            }
            Err(message) => {
                self.broken += 1;
                Err(SourceError::BrokenFrame {
                    stream: format!("camera {}", self.device),
                    message,
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
        let timeout = self.wanted.timeout;
        let captured = self.capture(timeout).map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::TimedOut => silent(timeout),
                _ => format!("stopped giving frames ({error}); plug it in again"),
            };
            fault(&self.device, message)
        })?;
        self.judge(captured).map(Some)
    }
}

fn frame(sequence: u64, captured_at: Instant, time: SystemTime, image: RgbImage) -> Frame {
    Frame {
        sequence,
        captured_at,
        time,
        position: None,
        scene_start: false,
        origin: Origin::Live,
        image,
    }
}

fn layout(format: &DriverFormat, pixels: PixelFormat) -> io::Result<Layout> {
    let DriverFormat { width, height, .. } = *format;
    let is_size = |side| (1..=LONGEST_SIDE).contains(&side);
    if !is_size(width) || !is_size(height) || format.stride > LONGEST_SIDE * 8 {
        let stride = format.stride;
        let message = format!("its driver gives {width}x{height} with rows of {stride} bytes");
        return Err(io::Error::other(message));
    }
    Ok(Layout {
        format: pixels,
        width,
        height,
        stride: format.stride,
        colours: YuvMatrix::of_driver(format.colorspace, format.encoding, format.quantization),
    })
}

fn silent(timeout: Duration) -> String {
    let advice =
        "see that no other program uses it, plug it in again, or try another cable or port";
    let timeout = humantime::format_duration(timeout);
    format!("no frame came for {timeout}; {advice}")
}

fn fault(device: &str, message: String) -> SourceError {
    SourceError::Camera {
        device: device.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests;
