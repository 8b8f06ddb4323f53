//! The values that options take, each checked when it is read: a value of these types makes sense.
//!
//! In go words, from a command line or a file, out comes a value or what was expected instead.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::camera_choice::CameraChoice;

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceChoice {
    /// A camera.
    Camera(CameraChoice),
    /// A camera of a Raspberry Pi's own connector with that number, through `rpicam-vid`.
    Rpicam(u32),
    /// A stream of pictures on standard input.
    Stdin,
    /// The built-in moving scenes.
    Demo,
    /// A picture or a folder of pictures.
    Pictures(PathBuf),
}

/// Where frames are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisplayChoice {
    /// A window where there is a desktop, else a framebuffer, else nowhere.
    Auto,
    /// A window, or an error.
    Window,
    /// That framebuffer, or the first without a path.
    Framebuffer(Option<PathBuf>),
    /// Nowhere.
    None,
}

/// Width and height of frames in pixels, neither of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Where JSON lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChoice {
    /// Standard output.
    Stdout,
    /// A file, which is added to.
    File(PathBuf),
}

/// A confidence in `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f32);

impl FromStr for SourceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("camera:")) {
            ("", _) => Err("expected camera, demo, a picture or a folder".to_owned()),
            ("camera" | "auto", _) => Ok(Self::Camera(CameraChoice::First)),
            ("demo", _) => Ok(Self::Demo),
            ("-", _) => Ok(Self::Stdin),
            ("rpicam", _) => Ok(Self::Rpicam(0)),
            (_, Some(camera)) => camera
                .parse()
                .map(Self::Camera)
                .map_err(|error: crate::camera_choice::CameraChoiceError| error.to_string()),
            _ if text.starts_with("rpicam:") => match text["rpicam:".len()..].parse() {
                Ok(number) => Ok(Self::Rpicam(number)),
                Err(_) => Err(format!(
                    "\"{text}\" is no camera; expected rpicam or rpicam:1"
                )),
            },
            (path, None) => Ok(Self::Pictures(path.into())),
        }
    }
}

impl FromStr for DisplayChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("fb:")) {
            ("auto", _) => Ok(Self::Auto),
            ("window", _) => Ok(Self::Window),
            ("none", _) => Ok(Self::None),
            ("fb", _) => Ok(Self::Framebuffer(None)),
            (_, Some(path)) if path.starts_with('/') => Ok(Self::Framebuffer(Some(path.into()))),
            _ => Err("expected auto, window, fb, fb:/dev/fb0 or none".to_owned()),
        }
    }
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=8192).contains(side));
        let sides = text.split_once('x');
        let sides = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or("expected width x height, as 640x480")?;
        Ok(Self { width, height })
    }
}

impl FromStr for LogChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a file, or - for standard output".to_owned()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err("expected a number between 0 and 1".to_owned()),
        }
    }
}

impl Threshold {
    /// The confidence.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }
}

/// Where the curve of all thresholds goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurveFile {
    /// Its numbers.
    Csv(PathBuf),
    /// A drawing of it.
    Svg(PathBuf),
}

impl FromStr for CurveFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv(path)),
            Some("svg") => Ok(Self::Svg(path)),
            _ => Err("expected a file that ends in .csv or .svg".to_owned()),
        }
    }
}

/// Where the report of an evaluation goes: a file that a browser opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile(PathBuf);

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("html" | "htm") => Ok(Self(path)),
            _ => Err("expected a file that ends in .html".to_owned()),
        }
    }
}

impl ReportFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}
