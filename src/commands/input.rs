//! Where the frames of `boxcam run` come from.

use boxcam::warn;
use std::path::Path;

use boxcam::camera_choice::CameraChoice;
use boxcam::config::{RunConfig, SourceChoice};
use boxcam::pipeline::Input;
use boxcam::source::pictures::PicturesSource;
use boxcam::source::{FrameSource, SourceFactory};

use super::Failure;

/// The source that was asked for; `is_watched` says whether somebody looks and wants to see it move.
pub(super) fn input(config: &RunConfig, is_watched: bool) -> Result<Input, Failure> {
    match &config.source {
        SourceChoice::Pictures(path) => Ok(pictures(path)),
        SourceChoice::Camera(camera) => camera_input(camera, config),
        SourceChoice::Rpicam(camera) => rpicam(*camera, config),
        SourceChoice::Stdin => stdin(config),
        SourceChoice::Demo => demo(is_watched),
    }
}

fn pictures(path: &Path) -> Input {
    Input::Replayed(Box::new(PicturesSource::new([path.to_owned()])))
}

/// A camera, which may come and go.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "there are no cameras elsewhere")
)]
fn reopened(open: SourceFactory, config: &RunConfig) -> Input {
    Input::Live {
        open,
        reopens: true,
        wait: config.wait,
    }
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn camera_input(choice: &CameraChoice, config: &RunConfig) -> Result<Input, Failure> {
    use boxcam::source::camera::{CameraSource, CaptureRequest};
    let choice = choice.clone();
    let wanted = CaptureRequest {
        width: config.size.width,
        height: config.size.height,
        fps: config.rate.get(),
        timeout: config.stall,
    };
    let open: SourceFactory = Box::new(move || {
        let camera = CameraSource::open(&choice, &wanted)?;
        warn!("{}", camera.description());
        Ok(Box::new(camera) as Box<dyn FrameSource>)
    });
    Ok(reopened(open, config))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn camera_input(_: &CameraChoice, _: &RunConfig) -> Result<Input, Failure> {
    Err(Failure::NotBuilt {
        what: "cameras (which it knows on Linux only)",
        feature: "camera",
    })
}

#[cfg(target_os = "linux")]
fn rpicam(camera: u32, config: &RunConfig) -> Result<Input, Failure> {
    use boxcam::source::rpicam::RpicamSource;
    let (size, rate) = (config.size, config.rate.get());
    let open: SourceFactory = Box::new(move || {
        let source = RpicamSource::open(camera, size.width, size.height, rate)?;
        Ok(Box::new(source) as Box<dyn FrameSource>)
    });
    Ok(reopened(open, config))
}

/// Standard input: a recording where it is a file, else a stream that can't be had twice.
#[cfg(target_os = "linux")]
fn stdin(config: &RunConfig) -> Result<Input, Failure> {
    use boxcam::source::stdin::{StdinInput, StdinSource};
    let source = match StdinSource::open((config.size.width, config.size.height))? {
        StdinInput::File(source) => return Ok(Input::Replayed(Box::new(source))),
        StdinInput::Live(source) => source,
    };
    let mut only = Some(Box::new(source) as Box<dyn FrameSource>);
    let open: SourceFactory = Box::new(move || {
        only.take()
            .ok_or_else(|| boxcam::source::SourceError::Stream {
                stream: "standard input".to_owned(),
                message: "it has ended".to_owned(),
            })
    });
    Ok(Input::Live {
        open,
        reopens: false,
        wait: false,
    })
}

#[cfg(not(target_os = "linux"))]
fn rpicam(_: u32, _: &RunConfig) -> Result<Input, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
fn stdin(_: &RunConfig) -> Result<Input, Failure> {
    Err(NO_STREAMS)
}

#[cfg(not(target_os = "linux"))]
const NO_STREAMS: Failure = Failure::NotBuilt {
    what: "streams (which it knows on Linux only)",
    feature: "default",
};

#[cfg(feature = "demo")]
fn demo(is_watched: bool) -> Result<Input, Failure> {
    use boxcam::source::demo::{DemoSource, Timing};
    if !is_watched {
        let source = DemoSource::new(Timing::Immediate);
        return Ok(Input::Replayed(Box::new(source)));
    }
    Ok(Input::Live {
        open: Box::new(|| Ok(Box::new(DemoSource::new(Timing::RealTime)))),
        reopens: false,
        wait: false,
    })
}

#[cfg(not(feature = "demo"))]
fn demo(_: bool) -> Result<Input, Failure> {
    Err(Failure::NotBuilt {
        what: "the demo",
        feature: "demo",
    })
}
