//! `boxcam run`: opens the source, the sinks and the display of the options, and runs them.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use boxcam::address::WebLogin;
use boxcam::camera_choice::CameraChoice;
use boxcam::detect::Detector as _;
use boxcam::health::Health;
use boxcam::heat::HeatSensors;
use boxcam::label::Labels;
use boxcam::label::aliases::Aliases;
use boxcam::log_lines::RecordPer;
use boxcam::options::{
    DisplayChoice, FrameRateLimit, LogChoice, RestOptions, RunOptions, SourceChoice, Threshold,
};
use boxcam::pipeline::{
    HeatSettings, LiveSource, Pipeline, PipelineError, RestSettings, SourceConfig, Timeouts,
};
use boxcam::sink::clips::{ClipNamer, ClipSettings, ClipSink};
use boxcam::sink::collect::CollectSink;
use boxcam::sink::console_stats::ConsoleStats;
use boxcam::sink::log::{LogSettings, LogSink};
use boxcam::sink::snapshots::SnapshotSink;
use boxcam::sink::{Display, Sink, SinkError};
use boxcam::source::given_path::{self, PathKind};
use boxcam::source::pictures::PicturesSource;
use boxcam::source::recording::RecordingSource;
use boxcam::source::{FrameSource, SourceFactory};
use boxcam::stream_url::StreamUrl;
use boxcam::zone::ZoneMap;
use boxcam::{info, warn};

#[cfg(feature = "mqtt")]
use super::broker;
use super::model::reload::ModelSwitch;
use super::{Completion, Failure, aliases, model, web_login};

pub(super) fn run(options: &RunOptions, stop: &AtomicBool) -> Result<Completion, Failure> {
    let web_login = web_login::of(options)?;
    let engine = model::engine(options.threads);
    let (detector, file) = model::load_from(options.model.choice.as_ref(), engine)?;
    let labels = detector.card().labels.clone();
    let aliases = aliases::load(options.filter.aliases.as_ref(), &labels)?;
    let filter = options.filter.filter().without_aliases(&labels, &aliases);
    filter.check(&labels)?;
    let hidden = options.filter.hidden_classes(&labels, &aliases);
    let hidden = hidden.map_err(Failure::HiddenClasses)?;
    model::check_regions(options.regions, detector.card())?;
    let zones = options.zones.map()?.without_aliases(&labels, &aliases);
    zones.check_classes(&labels)?;
    let zones = Arc::new(zones);
    let input = Input::of(&options.source)?;
    let is_tracked = !matches!(input, Input::Pictures(_));
    if !is_tracked && !zones.is_empty() {
        warn!("zones and lines have no effect on pictures that do not follow each other");
    }
    let of_events = [
        ("--on-event", options.on_event.command.is_some()),
        ("--clips", options.clips.folder.is_some()),
    ];
    for (option, _) in of_events
        .iter()
        .filter(|(_, is_given)| *is_given && !is_tracked)
    {
        warn!("{option} has no effect on pictures that do not follow each other");
    }
    let health = Arc::new(Health::default());
    let (models, new_models) =
        ModelSwitch::new(file, &detector, engine, hidden.clone(), Arc::clone(&health));
    let stats = ConsoleStats::default();
    let mut sinks: Vec<BoxedSink> = vec![Box::new(stats.clone())];
    let classes = DetectedClasses {
        labels: &labels,
        aliases: &aliases,
        selected: filter.classes.names().unwrap_or_default(),
        zones: &zones,
    };
    sinks.extend(open_sinks(options, &input, &classes, &health)?);
    sinks.extend(open_web(options, &classes, web_login, &models, &health)?);
    let mut display = open_display(options, &input)?;
    if display.is_some() || options.snapshots.is_some() || options.web.is_some() {
        aliases::warn_of_missing_characters(&aliases, &labels);
    }
    // Real time for interactive runs; as fast as possible with `--frames`, for the same frames each time.
    let is_interactive = display.is_some() || options.frames.is_none();
    let source = open_source(&input, options, is_interactive)?;
    let is_live = matches!(source, SourceConfig::Live(_));
    if is_live {
        let what = "watching the model file";
        let started = models.watch();
        started.map_err(|source| PipelineError::Thread { what, source })?;
    }
    let pipeline = Pipeline {
        new_models: Some(new_models),
        sinks,
        display: display
            .as_deref_mut()
            .map(|display| display as &mut dyn Display),
        threshold: options.model.threshold.map(Threshold::value),
        filter,
        hidden,
        hide_on_display: options.hide_on_display,
        aliases: Arc::clone(&aliases),
        zones: Arc::clone(&zones),
        clip_namer: clip_settings(options).map(ClipNamer::new),
        track: is_tracked,
        one: options.one,
        regions: options.regions.then_some(options.region_rate),
        rest: rest(&options.rest),
        max_frames: options.frames,
        max_duration: options.duration,
        health: Arc::clone(&health),
        timeouts: Timeouts {
            stall: options.stall,
            first_frame: input.first_frame_timeout(),
            ..Timeouts::default()
        },
        ..Pipeline::new(Box::new(detector), stop)
    };
    let summary = pipeline.run(source)?;
    if matches!(input, Input::Demo { .. }) && std::io::stderr().is_terminal() {
        info!("{stats}");
    }
    // A live run continues without what could not be written; an offline run must write everything.
    let lost = [
        &health.lines_lost,
        &health.snapshots_lost,
        &health.clips_lost,
        &health.collected_lost,
    ];
    let is_incomplete = !is_live && lost.iter().any(|lost| lost.get() > 0);
    if is_incomplete || health.files_kept.get() > 0 {
        return Err(SinkError::Incomplete.into());
    }
    Ok(Completion::of(summary.skipped))
}

fn rest(options: &RestOptions) -> RestSettings {
    RestSettings {
        max_rate: options.max_rate.map(FrameRateLimit::value),
        idle_interval: options.motion.then_some(options.idle_interval),
        heat: Some(HeatSettings {
            sensors: HeatSensors::this(),
            max_temperature: f64::from(options.max_temperature),
        }),
    }
}

/// What the source of the options is, once its path was looked at.
enum Input {
    Camera(CameraChoice),
    Rpicam(u32),
    Network(StreamUrl),
    Stdin,
    Pipe(PathBuf),
    Demo {
        /// The folder of the photographs; `None` for the built-in scenes.
        photographs: Option<PathBuf>,
    },
    Pictures(PathBuf),
    Recording(PathBuf),
}

impl Input {
    fn of(source: &SourceChoice) -> Result<Self, Failure> {
        Ok(match source {
            SourceChoice::Camera(camera) => Self::Camera(camera.clone()),
            SourceChoice::Rpicam(camera) => Self::Rpicam(*camera),
            SourceChoice::Network(url) => Self::Network(url.clone()),
            SourceChoice::Stdin => Self::Stdin,
            SourceChoice::Demo => Self::Demo { photographs: None },
            SourceChoice::DemoPhotographs(path) => Self::Demo {
                photographs: Some(path.clone()),
            },
            SourceChoice::Path(path) => match given_path::recognize(path)? {
                PathKind::Pictures => Self::Pictures(path.clone()),
                PathKind::Recording => Self::Recording(path.clone()),
                PathKind::Pipe => Self::Pipe(path.clone()),
                PathKind::Camera => Self::Camera(CameraChoice::Device(path.clone())),
            },
        })
    }

    /// The least time that the first frame may take, beyond the multiple of `--stall`.
    fn first_frame_timeout(&self) -> Duration {
        match self {
            // A connection, a login and the next key frame of the camera.
            Self::Network(_) => Duration::from_secs(10),
            _ => Duration::ZERO,
        }
    }

    /// Whether it is read from files, to its end.
    fn is_of_files(&self) -> bool {
        matches!(self, Self::Pictures(_) | Self::Recording(_))
    }
}

fn open_source(
    input: &Input,
    options: &RunOptions,
    is_interactive: bool,
) -> Result<SourceConfig, Failure> {
    match input {
        Input::Pictures(path) => {
            let source = PicturesSource::new([path.clone()]);
            Ok(SourceConfig::Offline(Box::new(source)))
        }
        Input::Recording(path) => {
            let source = RecordingSource::open(path.clone())?;
            Ok(SourceConfig::Offline(Box::new(source)))
        }
        Input::Camera(camera) => open_camera(camera, options),
        Input::Rpicam(camera) => open_rpicam(*camera, options),
        Input::Network(url) => open_network(url, options),
        Input::Stdin => open_stdin(options),
        Input::Pipe(path) => open_pipe(path, options),
        Input::Demo { photographs } => open_demo(photographs.as_deref(), is_interactive),
    }
}

/// A camera, which is reopened when it fails.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "cameras need Linux")
)]
fn reopened(open: SourceFactory, options: &RunOptions) -> SourceConfig {
    SourceConfig::Live(LiveSource {
        open,
        reopen: true,
        wait: options.wait,
    })
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn open_camera(choice: &CameraChoice, options: &RunOptions) -> Result<SourceConfig, Failure> {
    use boxcam::source::camera::{CameraSource, CaptureRequest};
    let choice = choice.clone();
    let request = CaptureRequest {
        width: options.size.width,
        height: options.size.height,
        fps: options.rate.get(),
        timeout: options.stall,
    };
    let open: SourceFactory = Box::new(move || {
        let camera = CameraSource::open(&choice, &request)?;
        info!("{}", camera.description());
        Ok(Box::new(camera) as Box<dyn FrameSource>)
    });
    Ok(reopened(open, options))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn open_camera(_: &CameraChoice, _: &RunOptions) -> Result<SourceConfig, Failure> {
    Err(Failure::NotBuilt {
        what: "cameras (Linux only)",
        feature: "camera",
    })
}

#[cfg(target_os = "linux")]
fn open_rpicam(camera: u32, options: &RunOptions) -> Result<SourceConfig, Failure> {
    use boxcam::source::rpicam;
    let (size, rate) = (
        (options.size.width, options.size.height),
        options.rate.get(),
    );
    let open: SourceFactory = Box::new(move || {
        let source = rpicam::open(camera, size, rate)?;
        Ok(Box::new(source) as Box<dyn FrameSource>)
    });
    Ok(reopened(open, options))
}

#[cfg(target_os = "linux")]
fn open_network(url: &StreamUrl, options: &RunOptions) -> Result<SourceConfig, Failure> {
    use boxcam::source::network;
    let (size, rate) = (
        (options.size.width, options.size.height),
        options.rate.get(),
    );
    let url = url.clone();
    let open: SourceFactory = Box::new(move || {
        let source = network::open(&url, size, rate)?;
        Ok(Box::new(source) as Box<dyn FrameSource>)
    });
    Ok(reopened(open, options))
}

/// Standard input: offline if it is a file, else a live stream that can't be reopened.
#[cfg(target_os = "linux")]
fn open_stdin(options: &RunOptions) -> Result<SourceConfig, Failure> {
    use boxcam::source::pipe::{PipeSource, StdinInput};
    match PipeSource::stdin((options.size.width, options.size.height))? {
        StdinInput::File(source) => Ok(SourceConfig::Offline(Box::new(source))),
        StdinInput::Live(source) => Ok(opened_once(Box::new(source))),
    }
}

#[cfg(target_os = "linux")]
fn open_pipe(path: &Path, options: &RunOptions) -> Result<SourceConfig, Failure> {
    use boxcam::source::pipe::PipeSource;
    let source = PipeSource::open(path, (options.size.width, options.size.height))?;
    Ok(opened_once(Box::new(source)))
}

/// A live stream, whose end is the end of the run.
#[cfg(target_os = "linux")]
fn opened_once(source: Box<dyn FrameSource>) -> SourceConfig {
    use boxcam::source::SourceError;
    let mut source = Some(source);
    let open: SourceFactory = Box::new(move || {
        source.take().ok_or_else(|| SourceError::Stream {
            stream: "the stream".to_owned(),
            message: "it has ended".to_owned(),
        })
    });
    SourceConfig::Live(LiveSource {
        open,
        reopen: false,
        wait: false,
    })
}

#[cfg(not(target_os = "linux"))]
fn open_rpicam(_: u32, _: &RunOptions) -> Result<SourceConfig, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
fn open_network(_: &StreamUrl, _: &RunOptions) -> Result<SourceConfig, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
fn open_stdin(_: &RunOptions) -> Result<SourceConfig, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
fn open_pipe(_: &Path, _: &RunOptions) -> Result<SourceConfig, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
const NO_STREAMS: Failure = Failure::NotBuilt {
    what: "streams (Linux only)",
    feature: "default",
};

#[cfg(feature = "demo")]
fn open_demo(photographs: Option<&Path>, is_interactive: bool) -> Result<SourceConfig, Failure> {
    use boxcam::source::demo::{DemoSource, Timing};
    let photographs = photographs.map(Path::to_owned);
    let open = move |timing| match &photographs {
        None => Ok(DemoSource::new(timing)),
        Some(path) => DemoSource::of_photographs(path, timing),
    };
    if !is_interactive {
        let source = open(Timing::Immediate)?;
        return Ok(SourceConfig::Offline(Box::new(source)));
    }
    let open: SourceFactory =
        Box::new(move || Ok(Box::new(open(Timing::RealTime)?) as Box<dyn FrameSource>));
    Ok(SourceConfig::Live(LiveSource {
        open,
        reopen: false,
        wait: false,
    }))
}

#[cfg(not(feature = "demo"))]
fn open_demo(_: Option<&Path>, _: bool) -> Result<SourceConfig, Failure> {
    Err(Failure::NotBuilt {
        what: "the demo",
        feature: "demo",
    })
}

type BoxedSink = Box<dyn Sink + Send>;

/// The classes that a run detects.
#[cfg_attr(
    not(all(feature = "mqtt", feature = "web")),
    allow(dead_code, reason = "only MQTT and the web page need them")
)]
struct DetectedClasses<'a> {
    labels: &'a Labels,
    aliases: &'a Arc<Aliases>,
    /// Empty if all are.
    selected: &'a [String],
    /// Where they are counted.
    zones: &'a Arc<ZoneMap>,
}

/// `None` if no clips are saved.
fn clip_settings(options: &RunOptions) -> Option<ClipSettings> {
    let clips = &options.clips;
    clips.folder.is_some().then(|| ClipSettings {
        before: clips.before,
        after: clips.after,
        budget: clips.size.as_u64(),
    })
}

/// Opens all sinks but the display and the web page, the log first.
fn open_sinks(
    options: &RunOptions,
    input: &Input,
    classes: &DetectedClasses<'_>,
    health: &Arc<Health>,
) -> Result<Vec<BoxedSink>, Failure> {
    let record_per = options.lines.resolve(auto_lines(input));
    let log = match &options.log {
        LogChoice::Stdout => LogSink::stdout(record_per, Arc::clone(health))?,
        LogChoice::File(path) => {
            let settings = LogSettings {
                max_size: options.log_size.as_u64(),
                keep: options.log_keep,
                per: record_per,
            };
            LogSink::open(path, settings, Arc::clone(health))?
        }
    };
    let mut sinks: Vec<BoxedSink> = vec![Box::new(log)];
    if let Some(folder) = &options.snapshots {
        let budget = options.snapshots_size.as_u64();
        let snapshots = SnapshotSink::open(folder, record_per, budget, Arc::clone(health))?;
        sinks.push(Box::new(snapshots));
    }
    if let (Some(folder), Some(settings)) = (&options.clips.folder, clip_settings(options)) {
        let clips = ClipSink::open(folder, settings, Arc::clone(health))?;
        sinks.push(Box::new(clips));
    }
    if let Some(folder) = &options.collect.folder {
        let (every, budget) = (options.collect.every, options.collect.size.as_u64());
        let collect = CollectSink::open(folder, every, budget, Arc::clone(health))?;
        sinks.push(Box::new(collect));
    }
    #[cfg(target_os = "linux")]
    if let Some(service) = boxcam::sink::service::ServiceSink::from_environment() {
        sinks.push(Box::new(service));
    }
    sinks.extend(open_on_event(options, input, health)?);
    sinks.extend(open_mqtt(options, classes, health)?);
    Ok(sinks)
}

/// Looks up the program that is run at events, and starts the threads that run it.
#[cfg(target_os = "linux")]
fn open_on_event(
    options: &RunOptions,
    input: &Input,
    health: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    use boxcam::sink::on_event::{EventProgram, OnEventSettings, OnEventSink, WhenFull};
    let Some(command) = &options.on_event.command else {
        return Ok(None);
    };
    let settings = OnEventSettings {
        program: EventProgram::find(command)?,
        limit: options.on_event.limit,
        timeout: options.on_event.timeout,
        camera: camera_name(options),
        when_full: match input.is_of_files() {
            true => WhenFull::Wait,
            false => WhenFull::DropOldest,
        },
    };
    let sink = OnEventSink::start(settings, Arc::clone(health))?;
    Ok(Some(Box::new(sink)))
}

#[cfg(not(target_os = "linux"))]
fn open_on_event(
    options: &RunOptions,
    _: &Input,
    _: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    match options.on_event.command {
        None => Ok(None),
        Some(_) => Err(Failure::NotBuilt {
            what: "--on-event (Linux only)",
            feature: "default",
        }),
    }
}

/// What `--lines auto` means for a source.
fn auto_lines(input: &Input) -> RecordPer {
    match input {
        Input::Demo { .. } | Input::Pictures(_) | Input::Recording(_) => RecordPer::Frame,
        Input::Camera(_) | Input::Rpicam(_) | Input::Network(_) | Input::Stdin | Input::Pipe(_) => {
            RecordPer::Event
        }
    }
}

#[cfg(feature = "mqtt")]
fn open_mqtt(
    options: &RunOptions,
    classes: &DetectedClasses<'_>,
    health: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    use boxcam::sink::mqtt::{MqttSettings, MqttSink};
    let Some(address) = broker::address(options)? else {
        return Ok(None);
    };
    let settings = MqttSettings {
        tls: broker::tls(options)?,
        images: options.mqtt_images,
        instance: instance(options),
        labels: Some(classes.labels.clone()),
        selected: classes.selected.to_vec(),
        aliases: Arc::clone(classes.aliases),
        zones: classes
            .zones
            .zones()
            .map(|(_, zone)| zone.name().to_owned())
            .collect(),
        ..MqttSettings::new(address, camera_name(options))
    };
    let sink = MqttSink::start_with(settings, Arc::clone(health))?;
    Ok(Some(Box::new(sink)))
}

/// Identifies this run by what no other run on this machine uses at the same time: the camera, the options file and the
/// address of the web page.
#[cfg(feature = "mqtt")]
fn instance(options: &RunOptions) -> Option<boxcam::sink::mqtt::InstanceId> {
    let file = options.config.as_ref();
    let file = file.map(|file| file.canonicalize().unwrap_or_else(|_| file.clone()));
    let source = format!("{:?}", options.source);
    let web = format!("{:?}", options.web);
    boxcam::sink::mqtt::InstanceId::of(&[&source, &format!("{file:?}"), &web])
}

#[cfg(not(feature = "mqtt"))]
fn open_mqtt(
    options: &RunOptions,
    _: &DetectedClasses<'_>,
    _: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    match options.mqtt {
        None => Ok(None),
        Some(_) => Err(Failure::NotBuilt {
            what: "MQTT",
            feature: "mqtt",
        }),
    }
}

/// Starts the web page and prints its address.
#[cfg(feature = "web")]
fn open_web(
    options: &RunOptions,
    classes: &DetectedClasses<'_>,
    login: Option<WebLogin>,
    models: &Arc<ModelSwitch>,
    health: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    use super::web_control::RunControl;
    use boxcam::sink::web::{WebSettings, WebSink};
    /// The page reports a failure only after at least this time without a frame: a short interruption is none.
    const MIN_TIMEOUT: Duration = Duration::from_secs(10);
    let Some((address, login)) = options.web.zip(login) else {
        return Ok(None);
    };
    let settings = WebSettings {
        address: address.0,
        max_clients: options.web_clients,
        name: camera_name(options),
        unhealthy_after: options.stall.saturating_mul(2).max(MIN_TIMEOUT),
        hosts: options.web_hosts.clone(),
        frame_ancestors: options.web_frame_ancestors.clone(),
        login,
    };
    let control = RunControl {
        models: Arc::clone(models),
        config: super::config::as_json(options)?,
    };
    let sink = WebSink::serve_controlled(settings, Arc::new(control), Arc::clone(health))?;
    sink.expect(Arc::new(classes.labels.clone()), Arc::clone(classes.zones));
    info!("web page at http://{}/", sink.address());
    Ok(Some(Box::new(sink)))
}

#[cfg(not(feature = "web"))]
fn open_web(
    options: &RunOptions,
    _: &DetectedClasses<'_>,
    _: Option<WebLogin>,
    _: &Arc<ModelSwitch>,
    _: &Arc<Health>,
) -> Result<Option<BoxedSink>, Failure> {
    match options.web {
        None => Ok(None),
        Some(_) => Err(Failure::NotBuilt {
            what: "the web page",
            feature: "web",
        }),
    }
}

/// The name of this camera for programs at events, the broker and the web page.
#[cfg(any(feature = "mqtt", feature = "web", target_os = "linux"))]
pub(super) fn camera_name(options: &RunOptions) -> String {
    let name = options.name.clone().or_else(host_name);
    name.unwrap_or_else(|| "boxcam".to_owned())
}

#[cfg(target_os = "linux")]
fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    Some(name.into_owned()).filter(|name| !name.is_empty())
}

#[cfg(all(any(feature = "mqtt", feature = "web"), not(target_os = "linux")))]
fn host_name() -> Option<String> {
    None
}

/// Opens the display. `auto` is a window if there is a desktop, else a framebuffer that boxcam may use and that no other
/// program draws on, else none. It reports no missing framebuffer, because most machines without a desktop have none.
fn open_display(options: &RunOptions, input: &Input) -> Result<Option<Box<dyn Display>>, Failure> {
    match &options.display {
        DisplayChoice::None => Ok(None),
        DisplayChoice::Window => open_window().map(Some),
        DisplayChoice::Framebuffer(path) => open_framebuffer(path.as_deref(), options).map(Some),
        DisplayChoice::Auto if has_desktop() => match open_window() {
            Ok(window) => Ok(Some(window)),
            Err(failure) => {
                warn!("{failure}; continuing without a window");
                Ok(None)
            }
        },
        // Files are processed and done; they do not need a whole screen.
        DisplayChoice::Auto if input.is_of_files() => Ok(None),
        DisplayChoice::Auto if is_framebuffer_in_use() => Ok(None),
        DisplayChoice::Auto => Ok(open_framebuffer(None, options).ok()),
    }
}

/// Whether this build can open a window under X11 or Wayland.
fn has_desktop() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(feature = "window") && (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
}

#[cfg(feature = "window")]
fn open_window() -> Result<Box<dyn Display>, Failure> {
    Ok(Box::new(boxcam::sink::window::WindowSink::open()?))
}

#[cfg(not(feature = "window"))]
fn open_window() -> Result<Box<dyn Display>, Failure> {
    Err(Failure::NotBuilt {
        what: "windows",
        feature: "window",
    })
}

#[cfg(all(feature = "framebuffer", target_os = "linux"))]
fn is_framebuffer_in_use() -> bool {
    boxcam::sink::framebuffer::is_screen_taken()
}

#[cfg(not(all(feature = "framebuffer", target_os = "linux")))]
fn is_framebuffer_in_use() -> bool {
    false
}

#[cfg(all(feature = "framebuffer", target_os = "linux"))]
fn open_framebuffer(
    path: Option<&Path>,
    options: &RunOptions,
) -> Result<Box<dyn Display>, Failure> {
    use std::process::Command;

    let mut sink = boxcam::sink::framebuffer::FramebufferSink::open(path, options.rotate)?;
    let taken = std::env::current_exe().map(|program| {
        let mut guard = Command::new(program);
        guard.arg("console-guard");
        sink.take_console(guard)
    });
    // Frames are shown even if the console keeps writing text over them.
    match taken {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => warn!(
            "text of the console may appear over the frames; run boxcam from that console, as root or with the \
             capability CAP_SYS_TTY_CONFIG"
        ),
        Ok(Err(error)) => warn!("{error}; text may appear over the frames"),
        Err(error) => warn!("the console guard can't be started ({error})"),
    }
    Ok(Box::new(sink))
}

#[cfg(not(all(feature = "framebuffer", target_os = "linux")))]
fn open_framebuffer(_: Option<&Path>, _: &RunOptions) -> Result<Box<dyn Display>, Failure> {
    Err(Failure::NotBuilt {
        what: "framebuffers (Linux only)",
        feature: "framebuffer",
    })
}
