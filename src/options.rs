//! The command line, and the configuration file of `boxcam run`.
//!
//! Each option is one field of a clap struct, with its default. The keys of the configuration file become arguments
//! in front of those of the command line, so clap checks both and the command line wins. Files that options name are
//! not opened here.

use std::error::Error as _;
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{StyledStr, UnknownArgumentValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, CommandFactory, Parser, Subcommand};
use thiserror::Error;

use crate::address::{
    BrokerAddress, FrameAncestors, WebAddress, WebHosts, redacted, redacted_broker,
};
use crate::class_selection::{ClassSelection, UnknownClass};
use crate::detect::DetectionFilter;
use crate::label::Labels;
use crate::label::aliases::Aliases;
use crate::log_lines::LogLines;
use crate::model_choice::ModelChoice;
use crate::regions::DEFAULT_REGION_RATE;
use crate::rotation::Rotation;
use crate::zone::{DuplicateName, Line, Zone, ZoneError, ZoneMap};

mod choice;
mod clips;
mod collect;
mod config_file;
mod effective;
mod on_event;

pub use choice::{
    AliasChoice, AreaShare, ClassRename, CurveFile, DisplayChoice, FrameRateLimit, FrameSize,
    InvalidValue, LogChoice, ReportFile, SourceChoice, SourceChoiceError, Threshold,
};
pub use clips::ClipOptions;
pub use collect::CollectOptions;
pub use config_file::{ConfigFileError, candidates};
pub use effective::{EffectiveOption, Origin};
pub use on_event::OnEventOptions;

use config_file::{Setting, Shape};

/// Frames in, one labelled bounding box out: object detection for small boards
///
/// JSON goes to standard output, messages to standard error. Exit codes: 0 done, 1 a check of `doctor` failed, 2 usage,
/// 3 model, 4 source, 5 output.
#[derive(Debug, Parser)]
#[command(name = "boxcam", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The command to execute, with its options.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Watch a camera, pictures or the built-in demo
    Run(Box<RunOptions>),
    /// Detect objects in pictures and print one JSON line for each
    Detect(DetectOptions),
    /// Measure a model on annotated pictures
    Evaluate(EvaluateOptions),
    /// Measure the time and memory that a frame takes on this machine
    Bench(BenchOptions),
    /// List the models that `--model` finds by name
    Models(ModelsOptions),
    /// Check this machine and suggest fixes; takes the options of `run`
    Doctor(Box<DoctorOptions>),
    /// Print the options that `run` would use, and where each value comes from; takes the options of `run`
    Config(Box<ConfigOptions>),
    /// Restore the console after boxcam has ended; started by boxcam itself
    #[cfg(all(feature = "framebuffer", target_os = "linux"))]
    #[command(hide = true)]
    ConsoleGuard,
}

/// Options of `boxcam run`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(args_override_self = true)]
pub struct RunOptions {
    /// Read options from this TOML file; options of the command line override them [default: boxcam/boxcam.toml in
    /// $XDG_CONFIG_HOME or ~/.config, else /etc/boxcam/boxcam.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where frames come from: camera (the first that works), camera:0, camera:/dev/v4l/by-id/..., camera:NAME,
    /// rpicam, rpicam:1, rtsp://... or http://... (through ffmpeg), - (a stream on standard input), demo, demo:FOLDER
    /// (photographs, zoomed and panned), a picture, a folder of pictures, a recording (motion JPEG, YUV4MPEG2) or a named pipe
    #[arg(long, value_name = "SOURCE", default_value = "camera")]
    pub source: SourceChoice,
    /// Frame size to request from a camera
    #[arg(long, value_name = "WxH", default_value = "640x480")]
    pub size: FrameSize,
    /// Frames per second to request from a camera
    #[arg(long, value_name = "N", default_value = "30")]
    pub rate: NonZeroU32,
    /// Reopen a camera after this time without a frame, 100ms to 10min
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_stall)]
    pub stall: Duration,
    /// Wait for a camera that can't be opened at the start, instead of ending with an error
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub wait: bool,
    /// Report and draw only the primary detection of a frame and follow it as one track, as with a model that has no object
    /// outputs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub one: bool,
    /// Look at parts of each frame, too, so that small objects are found; needs a model with object outputs
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub regions: bool,
    /// Most inferences per second with --regions; each frame takes at least one
    #[arg(long, value_name = "N", default_value_t = DEFAULT_REGION_RATE)]
    pub region_rate: NonZeroU32,
    #[command(flatten)]
    pub rest: RestOptions,
    /// Where frames are shown: auto, window, fb, fb:/dev/fbN or none; auto is a window if there is a desktop, else a
    /// free framebuffer (not for pictures), else none
    #[arg(long, value_name = "DISPLAY", default_value = "auto")]
    pub display: DisplayChoice,
    /// Clockwise rotation of the framebuffer in degrees: 0, 90, 180 or 270
    #[arg(long, value_name = "DEGREES", default_value = "0")]
    pub rotate: Rotation,
    /// Pixelate the things of --hide-classes on the screen, too, which then shows only frames that the model has processed
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub hide_on_display: bool,
    /// Where JSON lines are written: a file, which is appended to, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub log: LogChoice,
    /// What gets a line in the log, and a snapshot
    #[arg(long, value_name = "LINES", default_value = "auto")]
    pub lines: LogLines,
    /// Rotate the log file at this size, 500B or more
    #[arg(long, value_name = "SIZE", default_value = "10MB", value_parser = parse_log_size)]
    pub log_size: ByteSize,
    /// Number of rotated log files to keep
    #[arg(long, value_name = "N", default_value = "5")]
    pub log_keep: u32,
    /// Save pictures with their bounding boxes drawn in this folder
    #[arg(long, value_name = "FOLDER")]
    pub snapshots: Option<PathBuf>,
    /// Total size of the snapshots of events, 1kB or more; the oldest are deleted
    #[arg(long, value_name = "SIZE", default_value = "200MB", value_parser = parse_snapshots_size)]
    pub snapshots_size: ByteSize,
    #[command(flatten)]
    pub clips: ClipOptions,
    #[command(flatten)]
    pub collect: CollectOptions,
    #[command(flatten)]
    pub on_event: OnEventOptions,
    // No doc comment: rustdoc would take the brackets for links.
    #[arg(
        long,
        value_name = "URL",
        help = "Publish to an MQTT broker: mqtt://[USER[:PASSWORD]@]HOST[:PORT], or mqtts://... for TLS"
    )]
    pub mqtt: Option<BrokerAddress>,
    /// File whose first line is the password for the broker; the variables BOXCAM_MQTT_USER and BOXCAM_MQTT_PASSWORD may have
    /// the login, too
    #[arg(long, value_name = "FILE")]
    pub mqtt_password_file: Option<PathBuf>,
    /// Certificates of the CAs that the broker's certificate may come from, a PEM file [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub mqtt_ca: Option<PathBuf>,
    /// Publish a picture of each event to the broker, at most one a second and 128 kB each
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub mqtt_images: bool,
    /// Serve a web page at this port, for this machine only, or at this address and port
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub web: Option<WebAddress>,
    /// Ask for the password in the first line of this file on the web page, but for /healthz; an address other than loopback
    /// needs this or --web-open
    #[arg(long, value_name = "FILE")]
    pub web_password_file: Option<PathBuf>,
    /// Serve the web page at an address other than loopback without a password: everybody who reaches it can watch
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub web_open: bool,
    /// Maximum number of viewers of the live picture on the web page
    #[arg(long, value_name = "N", default_value = "4")]
    pub web_clients: NonZeroUsize,
    /// Host names that the web page answers to besides localhost and IP addresses, or * for any [default: none at a
    /// loopback address, else any]
    #[arg(long, value_name = "NAME,...")]
    pub web_hosts: Option<WebHosts>,
    /// Origins of the pages that may embed the web page, as `http://homeassistant.local:8123`, self, * for any, or none
    #[arg(long, value_name = "ORIGIN,...", default_value = "none")]
    pub web_frame_ancestors: FrameAncestors,
    /// Name of this camera for the broker and the web page [default: the host name]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,
    /// Stop after this number of frames, those that are not computed among them
    #[arg(long, value_name = "N")]
    pub frames: Option<NonZeroU64>,
    /// Stop after this time, as 20s; a recording, at this position
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Threads for each inference [default: number of cores - 1, from 1 to 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub filter: FilterOptions,
    #[command(flatten)]
    pub zones: ZoneOptions,
    /// All options with their origins, filled by [`parse`] where they are printed or served.
    #[arg(skip)]
    pub effective: Vec<EffectiveOption>,
}

/// Which frames are not computed, so that the board stays cool and its battery lasts.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RestOptions {
    /// Most frames per second that are computed, as 5 or 0.2; those between are only shown [default: no limit]
    #[arg(long, value_name = "N")]
    pub max_rate: Option<FrameRateLimit>,
    /// Compute a frame only if something has moved since the last computed one, beyond the noise of the sensor and changes of
    /// brightness; not for pictures
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub motion: bool,
    /// With --motion, compute at least one frame in this time, 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_idle_interval)]
    pub idle_interval: Duration,
    /// Compute fewer frames of a camera while the board is this hot, in degrees Celsius from 40 to 120, or is throttled
    #[arg(long, value_name = "DEGREES", default_value = "80", value_parser = clap::value_parser!(u8).range(40..=120))]
    pub max_temperature: u8,
}

/// The model file and its threshold.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ModelOptions {
    /// Model: a name that `boxcam models` lists, as coco, or a file; `run` reloads the file when it changes [default:
    /// boxcam.onnx beside the program, else the built-in model]
    #[arg(long = "model", value_name = "NAME|FILE")]
    pub choice: Option<ModelChoice>,
    /// Confidence threshold of a detection, also of several objects, 0 to 1 [default: the model's own]
    #[arg(long, value_name = "T")]
    pub threshold: Option<Threshold>,
}

/// What counts as a detection, and what it is called.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct FilterOptions {
    /// Detect only these classes of the model [default: all]
    #[arg(long, value_name = "NAME,...")]
    pub classes: Option<ClassSelection>,
    /// Pixelate the things of these classes in all pictures that are stored, sent or served, whether or not they are detected by
    /// --classes, --min-area and --threshold [default: none]
    #[arg(long, value_name = "NAME,...")]
    pub hide_classes: Option<ClassSelection>,
    /// Show labels in another language: de, fr, es, zh, or a TOML file with lines as cat = "Katze"; --classes,
    /// --hide-classes and zones take them, too
    #[arg(long, value_name = "LANGUAGE|FILE")]
    pub aliases: Option<AliasChoice>,
    /// Least area of a bounding box, as a share of the picture, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub min_area: AreaShare,
}

/// Zones and lines of the picture, and whether they are drawn.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ZoneOptions {
    /// Report and count what enters and leaves this part of the picture; may be given several times. Points are shares of the
    /// picture; the page /zones of --web draws them. Settings may follow, as ;classes=cat,dog;settle=1s;loiter=1min
    #[arg(id = "zone", long, value_name = "NAME=X,Y;X,Y;...")]
    pub zones: Vec<Zone>,
    /// Count what crosses this line, in each direction; may be given several times. Settings may follow, as
    /// ;directions=in,out;classes=cat;margin=0.02
    #[arg(id = "line", long, value_name = "NAME=X,Y;X,Y")]
    pub lines: Vec<Line>,
    /// Draw zones and lines on the screen and in snapshots, too; the web page always shows them
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true")]
    pub draw_zones: bool,
}

/// Options of `boxcam detect`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DetectOptions {
    /// Pictures, and folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Save each picture with its bounding boxes drawn in this folder
    #[arg(long, value_name = "FOLDER")]
    pub annotate: Option<PathBuf>,
    /// Look at parts of each picture, too, so that small objects are found, in up to 12 inferences; needs a model with object
    /// outputs
    #[arg(long)]
    pub regions: bool,
    /// Threads for each inference [default: number of cores - 1, from 1 to 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub filter: FilterOptions,
}

/// Options of `boxcam evaluate`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(arg = renamed("nothing", "--negatives"))]
#[command(arg = renamed("pan", "--sliding-window"))]
pub struct EvaluateOptions {
    /// Folder with one folder of pictures for each class
    #[arg(long, value_name = "SPLIT_FOLDER")]
    pub pictures: PathBuf,
    /// Annotations, with the columns image_id, x_min, x_max, y_min, y_max, class_name, folder
    #[arg(long, value_name = "CSV")]
    pub annotations: PathBuf,
    /// Folder with one folder for each kind of picture that contains no object, to count false alarms on
    #[arg(long, value_name = "FOLDER")]
    pub negatives: Option<PathBuf>,
    /// Also slide a window over these pictures and count false appearances per minute; takes 40 times as long
    #[arg(long, requires = "negatives")]
    pub sliding_window: bool,
    /// Write recall and false alarms at every threshold to this file, .csv or .svg
    #[arg(long, value_name = "FILE")]
    pub curve: Option<CurveFile>,
    /// Write all metrics with charts and pictures to this file, .html; it can be viewed offline
    #[arg(long, value_name = "FILE")]
    pub report: Option<ReportFile>,
    /// Write all detections to this JSON file, in the results format of COCO, which pycocotools reads
    #[arg(long, value_name = "FILE")]
    pub coco_results: Option<PathBuf>,
    /// Write one JSON line with all predictions for each picture to this file
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Also track objects in films with true tracks: a folder of sequences in the format of MOTChallenge
    #[arg(long, value_name = "FOLDER")]
    pub films: Option<PathBuf>,
    /// Compare with another model: its predictions for the same pictures, a file that --predictions wrote
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Also measure the agreement with another model: its predictions for the same pictures, a file that --predictions wrote
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// Give a class of the model its name in the annotations; can be repeated
    #[arg(long, value_name = "FROM=TO")]
    pub rename: Vec<ClassRename>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Model: a name that `boxcam models` lists, or a file [default: boxcam.onnx beside the program, else the built-in model]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<ModelChoice>,
    /// Number of pictures to process at the same time [default: number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// An option of an earlier version: its use is an error that names the new option.
fn renamed(old: &'static str, new: &'static str) -> Arg {
    let parser = UnknownArgumentValueParser::suggest_arg(new);
    Arg::new(old)
        .long(old)
        .hide(true)
        .num_args(0..=1)
        .default_missing_value("")
        .value_parser(parser)
}

/// Options of `boxcam bench`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct BenchOptions {
    /// Picture to measure with [default: a frame of the demo]
    #[arg(long, value_name = "PICTURE")]
    pub picture: Option<PathBuf>,
    /// Number of frames to measure
    #[arg(long, value_name = "N", default_value = "60")]
    pub frames: NonZeroUsize,
    /// Threads for each inference
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: NonZeroUsize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Model: a name that `boxcam models` lists, or a file [default: boxcam.onnx beside the program, else the built-in model]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<ModelChoice>,
}

/// Options of `boxcam models`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ModelsOptions {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `boxcam doctor`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DoctorOptions {
    /// Print one JSON object instead of a text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub run: RunOptions,
}

/// Options of `boxcam config`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ConfigOptions {
    /// Print one JSON object instead of a text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub run: RunOptions,
}

/// Invalid options.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// An error in the command line, or a request for help, which clap prints.
    #[error(transparent)]
    Cli(#[from] clap::Error),
    #[error(transparent)]
    File(#[from] ConfigFileError),
    #[error(transparent)]
    Zones(#[from] DuplicateName),
}

/// The command line as clap describes it, for manuals and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses a command line, which starts with the program's name, and the configuration file: the one that it names, else the
/// first of `candidates` that exists.
///
/// # Errors
/// [`OptionsError`]; a request for help is one, too.
pub fn parse<A>(
    arguments: impl IntoIterator<Item = A>,
    candidates: &[PathBuf],
) -> Result<Command, OptionsError>
where
    A: Into<OsString>,
{
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let command = parse_arguments(&arguments)?.command;
    let Some(run) = command.run_options() else {
        return Ok(command);
    };
    run.zones.map()?;
    let found = candidates.iter().find(|path| path.exists());
    let Some(path) = run.config.as_ref().or(found).cloned() else {
        return finish(command, &arguments, None);
    };
    let mut settings = config_file::read(&path)?;
    for setting in settings.iter_mut().filter(|s| takes_command(&s.key)) {
        setting.join_as_command();
    }
    for setting in &settings {
        check(setting, &path)?;
    }
    check_names(&settings, &path)?;
    // A zone of the command line replaces that of the same name.
    settings.retain(|setting| !run.zones.has_named(setting));
    let given = arguments.clone();
    // The first argument is the program, the second the command. Of an option that is given twice the last counts.
    let of_file = settings.iter().map(|s| s.argument().into());
    arguments.splice(2..2, of_file);
    let mut command = parse_arguments(&arguments)?.command;
    if let Some(run) = command.run_options_mut() {
        run.config = Some(path.clone());
    }
    finish(command, &given, Some((&path, &settings)))
}

/// Adds what `boxcam config` prints and what the web page serves.
fn finish(
    mut command: Command,
    arguments: &[OsString],
    file: Option<(&PathBuf, &[Setting])>,
) -> Result<Command, OptionsError> {
    let shows_options = match &command {
        Command::Config(_) => true,
        Command::Run(run) => run.web.is_some(),
        _ => false,
    };
    if shows_options && let Some(run) = command.run_options_mut() {
        run.effective = effective::effective_options(arguments, file)?;
    }
    Ok(command)
}

fn parse_arguments(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).map_err(without_passwords)
}

/// clap's message repeats arguments that it refuses; here without the passwords of URLs in them.
fn without_passwords(mut error: clap::Error) -> clap::Error {
    let is_broker = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.starts_with("--mqtt "),
        _ => false,
    };
    let redact = |kind, text: &str| match kind {
        ContextKind::InvalidValue if is_broker => redacted_broker(text),
        _ => redacted(text),
    };
    let context: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| Some((kind, map_texts(value, |text| redact(kind, text))?)))
        .collect();
    for (kind, value) in context {
        error.insert(kind, value);
    }
    error
}

/// The value with all texts replaced that change; `None` if none does.
fn map_texts(value: &ContextValue, map: impl Fn(&str) -> String) -> Option<ContextValue> {
    let styled = |text: &StyledStr| {
        let plain = text.to_string();
        let mapped = map(&plain);
        match mapped == plain {
            true => text.clone(),
            false => mapped.into(),
        }
    };
    let mapped = match value {
        ContextValue::String(text) => ContextValue::String(map(text)),
        ContextValue::Strings(texts) => {
            ContextValue::Strings(texts.iter().map(|text| map(text)).collect())
        }
        ContextValue::StyledStr(text) => ContextValue::StyledStr(styled(text)),
        ContextValue::StyledStrs(texts) => {
            ContextValue::StyledStrs(texts.iter().map(styled).collect())
        }
        _ => return None,
    };
    (mapped != *value).then_some(mapped)
}

/// Lets clap check one setting of a file alone, so that an error names its line.
fn check(setting: &Setting, path: &Path) -> Result<(), ConfigFileError> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("`run` is a command");
    let is_key = |name: &str| !["config", "help"].contains(&name);
    let mut keys = run
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(is_key));
    let message = match keys.find(|arg| arg.get_long() == Some(&setting.key)) {
        None => {
            let keys = run.get_arguments().filter_map(Arg::get_long);
            let keys: Vec<&str> = keys.filter(|key| is_key(key)).collect();
            format!("unknown key, expected one of {}", keys.join(", "))
        }
        Some(option) => match unfit_shape(option, &setting.shape) {
            Some(message) => message.to_owned(),
            None => match Cli::try_parse_from(["boxcam", "run", &setting.argument()]) {
                Ok(_) => return Ok(()),
                Err(error) => return Err(value_error(setting, path, &error)),
            },
        },
    };
    Err(ConfigFileError::Line {
        path: path.into(),
        line: setting.line,
        key: redacted(&setting.key),
        message,
    })
}

/// Whether the value of an option is a program with its arguments.
fn takes_command(key: &str) -> bool {
    key == on_event::COMMAND_OPTION
}

/// What else an option expects, if it does not take a value of this shape.
fn unfit_shape(option: &Arg, shape: &Shape) -> Option<&'static str> {
    let is_switch = option.get_num_args().is_some_and(|n| n.min_values() == 0);
    let names = option.get_value_names().unwrap_or_default();
    let is_list = names.iter().any(|name| name.ends_with(",..."))
        || option.get_long().is_some_and(takes_command);
    let is_repeatable = matches!(option.get_action(), ArgAction::Append);
    match shape {
        Shape::Text => None,
        Shape::Bool if is_switch => None,
        Shape::List { .. } if is_list => None,
        Shape::Table { .. } if is_repeatable => None,
        _ if is_repeatable => Some("expected tables, each below its header in double brackets"),
        Shape::Bool => Some("expected a string or a number, not true or false"),
        Shape::List { .. } | Shape::Table { .. } => {
            Some("expected a string, a number, true or false")
        }
    }
}

/// The error of a value that clap refuses. In a table, it names the key whose value is wrong.
fn value_error(setting: &Setting, path: &Path, error: &clap::Error) -> ConfigFileError {
    let zone_error = error.source().and_then(|e| e.downcast_ref::<ZoneError>());
    let inner = zone_error.map_or("", ZoneError::key);
    let key = match (inner, &setting.shape) {
        ("", _) | (_, Shape::Text | Shape::Bool | Shape::List { .. }) => setting.key.clone(),
        (inner, Shape::Table { .. }) => format!("{}.{inner}", setting.key),
    };
    ConfigFileError::Line {
        path: path.into(),
        line: setting.line_of(inner),
        key: redacted(&key),
        message: reason(error),
    }
}

/// Checks that the tables of each array have different names.
fn check_names(settings: &[Setting], path: &Path) -> Result<(), ConfigFileError> {
    for (index, setting) in settings.iter().enumerate() {
        let is_same = |other: &Setting| {
            setting.name().is_some() && (&other.key, other.name()) == (&setting.key, setting.name())
        };
        if let Some(first) = settings[..index].iter().find(|other| is_same(other)) {
            let key = "name";
            return Err(ConfigFileError::Line {
                path: path.into(),
                line: setting.line_of(key),
                key: format!("{}.{key}", setting.key),
                message: format!(
                    "the table at line {} has the same name; give each another",
                    first.line
                ),
            });
        }
    }
    Ok(())
}

/// What is wrong with the value of an option, without the option's name.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            format!("expected {}", valid.join(", "))
        }
        _ => "expected a value".to_owned(),
    }
}

fn parse_stall(text: &str) -> Result<Duration, InvalidValue> {
    let range = Duration::from_millis(100)..=Duration::from_secs(600);
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    time.filter(|time| range.contains(time))
        .ok_or(InvalidValue {
            expected: "a time from 100ms to 10min, as 2s",
        })
}

fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    time.filter(|time| !time.is_zero()).ok_or(InvalidValue {
        expected: "a time of more than 0s, as 20s",
    })
}

fn parse_idle_interval(text: &str) -> Result<Duration, InvalidValue> {
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    time.filter(|time| range.contains(time))
        .ok_or(InvalidValue {
            expected: "a time from 100ms to 1h, as 5s",
        })
}

fn parse_log_size(text: &str) -> Result<ByteSize, InvalidValue> {
    parse_size(text, LEAST_LOG_SIZE, "a size of 500B or more, as 10MB")
}

fn parse_snapshots_size(text: &str) -> Result<ByteSize, InvalidValue> {
    parse_size(
        text,
        LEAST_SNAPSHOTS_SIZE,
        "a size of 1kB or more, as 200MB",
    )
}

fn parse_size(
    text: &str,
    least: ByteSize,
    expected: &'static str,
) -> Result<ByteSize, InvalidValue> {
    let size = text.parse::<ByteSize>().ok();
    size.filter(|size| *size >= least)
        .ok_or(InvalidValue { expected })
}

fn parse_name(text: &str) -> Result<String, InvalidValue> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(InvalidValue {
            expected: "a name of printable characters",
        });
    }
    Ok(text.to_owned())
}

/// Room for at least one line.
const LEAST_LOG_SIZE: ByteSize = ByteSize::b(500);

/// Room for at least one small picture.
const LEAST_SNAPSHOTS_SIZE: ByteSize = ByteSize::kb(1);

impl Command {
    /// The options of `run`, if the command takes them.
    fn run_options(&self) -> Option<&RunOptions> {
        match self {
            Self::Run(run) => Some(run),
            Self::Doctor(doctor) => Some(&doctor.run),
            Self::Config(config) => Some(&config.run),
            _ => None,
        }
    }

    fn run_options_mut(&mut self) -> Option<&mut RunOptions> {
        match self {
            Self::Run(run) => Some(run),
            Self::Doctor(doctor) => Some(&mut doctor.run),
            Self::Config(config) => Some(&mut config.run),
            _ => None,
        }
    }

    /// Whether a signal ends the command at its next step, and not at once, so that what it has begun is finished.
    #[must_use]
    pub fn ends_gracefully(&self) -> bool {
        match self {
            Self::Run(_) => true,
            // Reading a pipe may never come to its next step.
            Self::Detect(detect) => detect.pictures.iter().all(|path| !is_pipe(path)),
            _ => false,
        }
    }
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

impl ModelOptions {
    /// The threshold, or `default`, which is the model's own.
    #[must_use]
    pub fn threshold_or(&self, default: f32) -> f32 {
        self.threshold.map_or(default, Threshold::value)
    }
}

impl FilterOptions {
    #[must_use]
    pub fn filter(&self) -> DetectionFilter {
        DetectionFilter {
            classes: self.classes.clone().unwrap_or_default(),
            min_area: self.min_area.value(),
        }
    }

    /// The classes to hide, with aliases replaced by the classes that they stand for; `None` for none.
    ///
    /// # Errors
    /// [`UnknownClass`] of the first that the model does not have.
    pub fn hidden_classes(
        &self,
        labels: &Labels,
        aliases: &Aliases,
    ) -> Result<Option<ClassSelection>, UnknownClass> {
        let Some(classes) = &self.hide_classes else {
            return Ok(None);
        };
        let classes = classes.without_aliases(labels, aliases);
        classes.check(labels)?;
        Ok(Some(classes))
    }
}

impl ZoneOptions {
    /// The zones and lines.
    ///
    /// # Errors
    /// [`DuplicateName`] if two zones or two lines have the same name.
    pub fn map(&self) -> Result<ZoneMap, DuplicateName> {
        ZoneMap::new(self.zones.clone(), self.lines.clone(), self.draw_zones)
    }

    /// Whether a table of a file has the name of one of these.
    fn has_named(&self, setting: &Setting) -> bool {
        let Some(name) = setting.name() else {
            return false;
        };
        match setting.key.as_str() {
            "zone" => self.zones.iter().any(|zone| zone.name() == name),
            "line" => self.lines.iter().any(|line| line.name() == name),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
