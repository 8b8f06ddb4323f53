//! `boxcam run`: a source is watched until it ends or somebody ends it.

use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;

use boxcam::config::{DisplayChoice, LogChoice, RunConfig, SourceChoice};
use boxcam::detect::Detector;
use boxcam::pipeline::Pipeline;
use boxcam::sink::Sink;
use boxcam::sink::json::JsonSink;
use boxcam::sink::picture::PictureSink;
use boxcam::source::pictures::PicturesSource;
use boxcam::source::{CameraChoice, FrameSource};

use super::tally::Tally;
use super::{Completion, Failure, model};

pub(super) fn run(config: &RunConfig, stop: &AtomicBool) -> Result<Completion, Failure> {
    let mut detector = model::load(config.model.file.as_deref())?;
    let threshold = config.model.threshold_or(detector.card().threshold);
    let mut outputs = outputs(config)?;
    let mut window = display(config.display)?;
    // Somebody who looks wants to see it move; a count of frames wants to be done, the same each time.
    let is_watched = window.is_some() || config.frames.is_none();
    let source = source(&config.source, is_watched)?;
    let mut tally = Tally::default();
    let mut sinks: Vec<&mut dyn Sink> = vec![&mut tally];
    let outputs = outputs.iter_mut().chain(&mut window);
    sinks.extend(outputs.map(|sink| &mut **sink as &mut dyn Sink));
    let pipeline = Pipeline {
        detector: &mut detector,
        sinks,
        threshold,
        frames: config.frames,
        stop,
    };
    let outcome = pipeline.run(source)?;
    if config.source == SourceChoice::Demo && std::io::stderr().is_terminal() {
        eprintln!("boxcam: {tally}");
    }
    Ok(Completion::of(outcome.skipped))
}

fn source(choice: &SourceChoice, is_watched: bool) -> Result<Box<dyn FrameSource>, Failure> {
    match choice {
        SourceChoice::Pictures(path) => Ok(Box::new(PicturesSource::new([path.clone()]))),
        SourceChoice::Camera(camera) => open_camera(camera),
        SourceChoice::Demo => open_demo(is_watched),
    }
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn open_camera(choice: &CameraChoice) -> Result<Box<dyn FrameSource>, Failure> {
    Ok(Box::new(boxcam::source::camera::CameraSource::open(
        choice,
    )?))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn open_camera(_: &CameraChoice) -> Result<Box<dyn FrameSource>, Failure> {
    Err(Failure::NotBuilt {
        what: "cameras (which it knows on Linux only)",
        feature: "camera",
    })
}

#[cfg(feature = "demo")]
fn open_demo(is_watched: bool) -> Result<Box<dyn FrameSource>, Failure> {
    use boxcam::source::demo::{DemoSource, Pace};
    let pace = if is_watched {
        Pace::RealTime
    } else {
        Pace::AsAsked
    };
    Ok(Box::new(DemoSource::new(pace)))
}

#[cfg(not(feature = "demo"))]
fn open_demo(_: bool) -> Result<Box<dyn FrameSource>, Failure> {
    Err(Failure::NotBuilt {
        what: "the demo",
        feature: "demo",
    })
}

/// All that is written, the log first.
fn outputs(config: &RunConfig) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let log: Box<dyn Sink> = match &config.log {
        LogChoice::Stdout => Box::new(JsonSink::stdout()),
        LogChoice::File(path) => Box::new(JsonSink::create(path)?),
    };
    let mut outputs = vec![log];
    if let Some(folder) = &config.snapshots {
        outputs.push(Box::new(PictureSink::new(folder)?));
    }
    Ok(outputs)
}

fn display(choice: DisplayChoice) -> Result<Option<Box<dyn Sink>>, Failure> {
    match choice {
        DisplayChoice::None => Ok(None),
        DisplayChoice::Window => open_window().map(Some),
        DisplayChoice::Auto if !has_desktop() => Ok(None),
        DisplayChoice::Auto => match open_window() {
            Ok(window) => Ok(Some(window)),
            Err(failure) => {
                eprintln!("boxcam: {failure}; going on without a window");
                Ok(None)
            }
        },
    }
}

/// Whether X11 or Wayland is there for this build to open a window on.
fn has_desktop() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(feature = "window") && (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
}

#[cfg(feature = "window")]
fn open_window() -> Result<Box<dyn Sink>, Failure> {
    Ok(Box::new(boxcam::sink::window::WindowSink::open()?))
}

#[cfg(not(feature = "window"))]
fn open_window() -> Result<Box<dyn Sink>, Failure> {
    Err(Failure::NotBuilt {
        what: "windows",
        feature: "window",
    })
}
