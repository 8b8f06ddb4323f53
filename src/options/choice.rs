//! Types of option values. Parsing checks them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::camera_choice::{CameraChoice, CameraChoiceError};
use crate::label::aliases::Language;
use crate::stream_url::{StreamUrl, StreamUrlError, percent_decoded};

/// A text that could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {expected}")]
pub struct InvalidValue {
    /// The form of a valid text.
    pub expected: &'static str,
}

/// Width and height of frames in pixels, each in `16..=8192`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    pub width: u32,
    pub height: u32,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceChoice {
    Camera(CameraChoice),
    /// A camera on a Raspberry Pi's camera connector, by number, through `rpicam-vid`.
    Rpicam(u32),
    /// A camera of the network, through `ffmpeg`.
    Network(StreamUrl),
    /// A stream of images on standard input.
    Stdin,
    /// The built-in moving scenes.
    Demo,
    /// The photographs of this folder, zoomed and panned.
    DemoPhotographs(PathBuf),
    /// A picture, a folder of them, a recording, a named pipe or the device of a camera.
    Path(PathBuf),
}

/// Where frames are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisplayChoice {
    /// A window if there is a desktop, else a framebuffer, else nowhere.
    Auto,
    Window,
    /// This framebuffer, or the first.
    Framebuffer(Option<PathBuf>),
    None,
}

/// The names to show for classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasChoice {
    /// Those that come along for this language.
    Language(Language),
    /// Those of a TOML file.
    File(PathBuf),
}

/// Where JSON lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChoice {
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// A confidence in `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f32);

/// Frames per second, `0.001..=1000.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameRateLimit(f64);

/// An area as a share of the picture, in `0..=1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct AreaShare(f32);

/// Where the threshold curve is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurveFile {
    Csv(PathBuf),
    Svg(PathBuf),
}

/// A class of a model and the name that it has in a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRename {
    /// The name in the model.
    pub from: String,
    /// The name in the data set.
    pub to: String,
}

/// The HTML file of an evaluation report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile(PathBuf);

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceChoiceError {
    #[error(transparent)]
    Camera(#[from] CameraChoiceError),
    #[error(transparent)]
    Network(#[from] StreamUrlError),
    #[error(transparent)]
    Other(#[from] InvalidValue),
}

impl FromStr for SourceChoice {
    type Err = SourceChoiceError;

    fn from_str(text: &str) -> Result<Self, SourceChoiceError> {
        if let Some(camera) = text.strip_prefix("camera:") {
            return Ok(Self::Camera(camera.parse()?));
        }
        if let Some(number) = text.strip_prefix("rpicam:") {
            let number = number.parse().map_err(|_| InvalidValue {
                expected: "rpicam or rpicam:1",
            })?;
            return Ok(Self::Rpicam(number));
        }
        if let Some(path) = text.strip_prefix("demo:") {
            if path.is_empty() {
                let expected = "demo or demo:FOLDER";
                return Err(InvalidValue { expected }.into());
            }
            return Ok(Self::DemoPhotographs(path.into()));
        }
        if let Some(camera) = device(text) {
            return Ok(Self::Camera(camera));
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Path(percent_decoded(path).into()));
        }
        if StreamUrl::is_url(text) {
            return Ok(Self::Network(text.parse()?));
        }
        Ok(match text {
            "" => {
                let expected =
                    "camera, rpicam, rtsp://HOST/PATH, demo, a picture, a recording or a folder";
                return Err(InvalidValue { expected }.into());
            }
            "camera" | "auto" => Self::Camera(CameraChoice::First),
            "demo" => Self::Demo,
            "-" => Self::Stdin,
            "rpicam" => Self::Rpicam(0),
            path => Self::Path(path.into()),
        })
    }
}

/// The camera that a number, as `0`, or the name of a video device stands for.
fn device(text: &str) -> Option<CameraChoice> {
    let text = text.strip_prefix("v4l2://").unwrap_or(text);
    let number = text.strip_prefix("video").unwrap_or(text);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().map(CameraChoice::Number);
    }
    let is_device = text.starts_with("/dev/video") || text.starts_with("/dev/v4l/");
    is_device.then(|| CameraChoice::Device(text.into()))
}

impl FromStr for FrameSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=8192).contains(side));
        let sides = text.split_once('x');
        let sides = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or(InvalidValue {
            expected: "width x height in pixels, as 640x480, each from 16 to 8192",
        })?;
        Ok(Self { width, height })
    }
}

impl FromStr for DisplayChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match (text, text.strip_prefix("fb:")) {
            ("auto", _) => Ok(Self::Auto),
            ("window", _) => Ok(Self::Window),
            ("none", _) => Ok(Self::None),
            ("fb", _) => Ok(Self::Framebuffer(None)),
            (_, Some(path)) if path.starts_with('/') => Ok(Self::Framebuffer(Some(path.into()))),
            _ => Err(InvalidValue {
                expected: "auto, window, fb, fb:/dev/fb0 or none",
            }),
        }
    }
}

impl FromStr for AliasChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Err(InvalidValue {
                expected: "de, fr, es, zh or a file",
            });
        }
        Ok(match text.parse() {
            Ok(language) => Self::Language(language),
            Err(_) => Self::File(text.into()),
        })
    }
}

impl FromStr for LogChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "" => Err(InvalidValue {
                expected: "a file, or - for standard output",
            }),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl FromStr for Threshold {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err(InvalidValue {
                expected: "a number between 0 and 1",
            }),
        }
    }
}

impl Threshold {
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }
}

impl FromStr for FrameRateLimit {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(value) if (0.001..=1000.0).contains(&value) => Ok(Self(value)),
            _ => Err(InvalidValue {
                expected: "a number of frames per second from 0.001 to 1000, as 5 or 0.2",
            }),
        }
    }
}

impl FrameRateLimit {
    /// Per second.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for AreaShare {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err(InvalidValue {
                expected: "a share of the picture between 0 and 1, as 0.01",
            }),
        }
    }
}

impl AreaShare {
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }
}

impl FromStr for CurveFile {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let path = PathBuf::from(text);
        match extension(&path) {
            Some("csv") => Ok(Self::Csv(path)),
            Some("svg") => Ok(Self::Svg(path)),
            _ => Err(InvalidValue {
                expected: "a file name that ends in .csv or .svg",
            }),
        }
    }
}

impl FromStr for ClassRename {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let names = text
            .split_once('=')
            .map(|(from, to)| (from.trim(), to.trim()));
        match names {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok(Self {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
            _ => Err(InvalidValue {
                expected: "FROM=TO: a class of the model and its name in the annotations",
            }),
        }
    }
}

impl FromStr for ReportFile {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let path = PathBuf::from(text);
        match extension(&path) {
            Some("html" | "htm") => Ok(Self(path)),
            _ => Err(InvalidValue {
                expected: "a file name that ends in .html",
            }),
        }
    }
}

impl ReportFile {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}
