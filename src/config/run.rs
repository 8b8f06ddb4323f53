//! What `boxcam run` is asked to do: the command line's options over the file's, over the defaults.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde::Deserialize;

use super::file::word;
use super::{
    ConfigError, DisplayChoice, FrameSize, LogChoice, ModelConfig, SourceChoice, Threshold,
};
use crate::address::{BrokerAddress, WebAddress};
use crate::camera_choice::CameraChoice;
use crate::log_lines::LogLines;
use crate::rotation::Rotation;

/// What `boxcam run` is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Where frames come from.
    pub source: SourceChoice,
    /// Size of the pictures that a camera is asked for.
    pub size: FrameSize,
    /// Frames a second that a camera is asked for.
    pub rate: NonZeroU32,
    /// Time without a frame after which a camera is given up and opened anew; 0.1 s to 10 minutes.
    pub stall: Duration,
    /// Whether to wait for a camera that is not there yet, instead of ending with an error.
    pub wait: bool,
    /// Where frames are shown.
    pub display: DisplayChoice,
    /// By how much the screen's picture is turned.
    pub rotate: Rotation,
    /// Where JSON lines go.
    pub log: LogChoice,
    /// What gets a line in the log and a snapshot.
    pub lines: LogLines,
    /// Size at which the log file is rotated; at least [`LEAST_LOG_SIZE`].
    pub log_size: ByteSize,
    /// Rotated log files that are kept.
    pub log_keep: u32,
    /// Folder for pictures with their boxes drawn.
    pub snapshots: Option<PathBuf>,
    /// Size that all snapshots together may have; at least [`LEAST_SNAPSHOTS_SIZE`].
    pub snapshots_size: ByteSize,
    /// The MQTT broker to tell.
    pub mqtt: Option<BrokerAddress>,
    /// Where a web page is served.
    pub web: Option<WebAddress>,
    /// Live pictures that the web page serves at once.
    pub web_clients: NonZeroUsize,
    /// Name of this camera for the broker and the web page; the machine's without it.
    pub name: Option<String>,
    /// Ends the run after so many frames.
    pub frames: Option<NonZeroU64>,
    /// Threads that share each inference; one less than there are cores without it, 1 to 4.
    pub threads: Option<NonZeroUsize>,
    /// The model and its threshold.
    pub model: ModelConfig,
}

/// A log must hold a line or two before it is rotated.
pub const LEAST_LOG_SIZE: ByteSize = ByteSize::b(500);

/// Less can only be a slip; whether a snapshot fits depends on its frame.
pub const LEAST_SNAPSHOTS_SIZE: ByteSize = ByteSize::kb(1);

/// The options of `boxcam run`, on the command line and, without `config`, in a file. What is missing here is
/// taken from the file, then from the defaults.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RunOptions {
    /// Read options from this TOML file; those on the command line go before
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Where frames come from [default: camera]: camera, camera:N, camera:/dev/videoN, camera:NAME, rpicam,
    /// rpicam:N, - (a stream on standard input), demo, a picture or a folder
    #[arg(long, value_name = "SOURCE")]
    #[serde(deserialize_with = "word")]
    source: Option<SourceChoice>,
    /// Size of the pictures that a camera is asked for [default: 640x480]
    #[arg(long, value_name = "WxH")]
    #[serde(deserialize_with = "word")]
    size: Option<FrameSize>,
    /// Frames a second that a camera is asked for [default: 30]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "word")]
    rate: Option<NonZeroU32>,
    /// Time without a frame after which a camera is given up and opened anew [default: 2s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "word")]
    stall: Option<humantime::Duration>,
    /// Wait for a camera that is not there yet, instead of ending with an error
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: Option<bool>,
    /// Where frames are shown [default: auto]: auto, window, fb, fb:/dev/fbN or none; auto is a window where
    /// there is a desktop, else, for all but pictures, the screen, which ends on Ctrl-C and gives its text back
    #[arg(long, value_name = "DISPLAY")]
    #[serde(deserialize_with = "word")]
    display: Option<DisplayChoice>,
    /// Degrees by which the screen's picture is turned clockwise [default: 0]: 0, 90, 180 or 270
    #[arg(long, value_name = "DEGREES")]
    #[serde(deserialize_with = "word")]
    rotate: Option<Rotation>,
    /// Where JSON lines go [default: -]: a file, which is added to, or - for standard output
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "word")]
    log: Option<LogChoice>,
    /// What gets a line in the log and a snapshot [default: auto]: events, frames, or auto, which is events for
    /// cameras and streams, frames for pictures and the demo
    #[arg(long, value_name = "LINES")]
    #[serde(deserialize_with = "word")]
    lines: Option<LogLines>,
    /// Size at which the log file is rotated [default: 10MB]
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "word")]
    log_size: Option<ByteSize>,
    /// Rotated log files that are kept [default: 5]
    #[arg(long, value_name = "N")]
    log_keep: Option<u32>,
    /// Save pictures with their boxes drawn in this folder
    #[arg(long, value_name = "FOLDER")]
    snapshots: Option<PathBuf>,
    /// Size that all snapshots of events together may have [default: 200MB]; the oldest go first
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "word")]
    snapshots_size: Option<ByteSize>,
    /// Tell an MQTT broker: mqtt://[USER[:PASSWORD]@]HOST[:PORT]
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "word")]
    mqtt: Option<BrokerAddress>,
    /// Serve a web page at this port, for this machine only, or at this address and port
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    #[serde(deserialize_with = "word")]
    web: Option<WebAddress>,
    /// Live pictures that the web page serves at once [default: 4]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "word")]
    web_clients: Option<NonZeroUsize>,
    /// Name of this camera for the broker and the web page; the machine's without it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Stop after so many frames
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "word")]
    frames: Option<NonZeroU64>,
    /// Threads that share each inference [default: one less than there are cores, 1 to 4]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "word")]
    threads: Option<NonZeroUsize>,
    /// Model file, looked at again when it changes; without it boxcam.onnx beside the program, then the
    /// built-in one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Confidence, 0 to 1, from which something counts as found; without it the model's own
    #[arg(long, value_name = "T")]
    #[serde(deserialize_with = "word")]
    threshold: Option<Threshold>,
}

impl RunOptions {
    /// These options, and for those that are missing the ones of `file`.
    pub(super) fn or(self, file: Self) -> Self {
        Self {
            config: self.config.or(file.config),
            source: self.source.or(file.source),
            size: self.size.or(file.size),
            rate: self.rate.or(file.rate),
            stall: self.stall.or(file.stall),
            wait: self.wait.or(file.wait),
            display: self.display.or(file.display),
            rotate: self.rotate.or(file.rotate),
            log: self.log.or(file.log),
            lines: self.lines.or(file.lines),
            log_size: self.log_size.or(file.log_size),
            log_keep: self.log_keep.or(file.log_keep),
            snapshots: self.snapshots.or(file.snapshots),
            snapshots_size: self.snapshots_size.or(file.snapshots_size),
            mqtt: self.mqtt.or(file.mqtt),
            web: self.web.or(file.web),
            web_clients: self.web_clients.or(file.web_clients),
            name: self.name.or(file.name),
            frames: self.frames.or(file.frames),
            threads: self.threads.or(file.threads),
            model: self.model.or(file.model),
            threshold: self.threshold.or(file.threshold),
        }
    }

    /// The options with what is still missing at its default.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for a value that is none of its kind by itself, but can't be used.
    pub(super) fn validated(self) -> Result<RunConfig, ConfigError> {
        let stall = self
            .stall
            .map_or(Duration::from_secs(2), |stall| *stall.as_ref());
        let patience = Duration::from_millis(100)..=Duration::from_secs(600);
        check("stall", patience.contains(&stall), "100ms to 10min")?;
        let log_size = self.log_size.unwrap_or(ByteSize::mb(10));
        check("log-size", log_size >= LEAST_LOG_SIZE, "500B or more")?;
        let snapshots_size = self.snapshots_size.unwrap_or(ByteSize::mb(200));
        let is_enough = snapshots_size >= LEAST_SNAPSHOTS_SIZE;
        check("snapshots-size", is_enough, "1kB or more")?;
        let is_name = |name: &String| !name.trim().is_empty() && !name.contains(char::is_control);
        check("name", self.name.iter().all(is_name), "a word or two")?;
        Ok(RunConfig {
            source: self
                .source
                .unwrap_or(SourceChoice::Camera(CameraChoice::First)),
            size: self.size.unwrap_or(FrameSize {
                width: 640,
                height: 480,
            }),
            rate: self.rate.unwrap_or(NonZeroU32::MIN.saturating_add(29)),
            stall,
            wait: self.wait.unwrap_or(false),
            display: self.display.unwrap_or(DisplayChoice::Auto),
            rotate: self.rotate.unwrap_or_default(),
            log: self.log.unwrap_or(LogChoice::Stdout),
            lines: self.lines.unwrap_or(LogLines::Auto),
            log_size,
            log_keep: self.log_keep.unwrap_or(5),
            snapshots: self.snapshots,
            snapshots_size,
            mqtt: self.mqtt,
            web: self.web,
            web_clients: self
                .web_clients
                .unwrap_or(NonZeroUsize::MIN.saturating_add(3)),
            name: self.name,
            frames: self.frames,
            threads: self.threads,
            model: ModelConfig {
                file: self.model,
                threshold: self.threshold,
            },
        })
    }
}

fn check(option: &'static str, holds: bool, expected: &'static str) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::Value { option, expected })
    }
}
