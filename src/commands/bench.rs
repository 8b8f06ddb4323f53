//! `boxcam bench`: the time and memory that a frame takes on this machine.
//!
//! Each stage is timed in every frame of one run, so that their quantiles can be set side by side; the machine's
//! noise is in them. Nothing is compared with anything here.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxcam::config::BenchConfig;
use boxcam::detect::Detector;
use boxcam::detect::tract::{LayerTime, TractDetector};
use boxcam::frame::{Frame, Origin};
use boxcam::overlay::{self, Canvas};
use boxcam::picture::{self, PictureError};
use boxcam::preprocess::preprocess;
use boxcam::report::Report;
use boxcam::source::SourceError;
use image::RgbImage;
use serde::Serialize;

use super::output::{json, print};
use super::{Completion, Failure, model};
use quantiles::{Quantiles, milliseconds};

mod quantiles;
mod screen;
mod table;

/// Frames before the first one that counts: caches and branch predictors have to see it once or twice.
const WARM_UP: usize = 3;

/// Runs from which the time of a layer is taken.
const LAYER_RUNS: usize = 15;

/// What was measured.
#[derive(Serialize)]
struct Measured {
    model: String,
    /// What the processor has that the integer layers run with; none for a model in floats.
    kernels: Option<&'static str>,
    /// The picture, and its width and height in pixels.
    picture: String,
    width: u32,
    height: u32,
    threads: usize,
    frames: usize,
    stages: Stages<Quantiles>,
    /// From when a frame is taken to when it is drawn, while frames come 30 times a second.
    camera_to_screen: Option<Quantiles>,
    /// From when the frame is taken that a box is from, to when that box is drawn, on a later frame.
    camera_to_box: Option<Quantiles>,
    /// Reading the model file, checking it and preparing it to be run.
    load_ms: f64,
    /// From the start of loading to the first box of the first picture.
    first_box_ms: f64,
    /// The most memory that this process had at any time, this measuring included.
    peak_rss_mb: Option<f64>,
    layers: Vec<Layer>,
}

/// One of each for every stage.
#[derive(Debug, Default, Serialize)]
struct Stages<T> {
    decode: T,
    preprocess: T,
    inference: T,
    draw: T,
    /// All of it, decoding and drawing included.
    frame: T,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    operator: String,
    ms: f64,
    /// Share of the time of all layers.
    share: f64,
}

pub(super) fn bench(config: &BenchConfig) -> Result<Completion, Failure> {
    let picture = Encoded::read(config.picture.as_deref())?;
    let started = Instant::now();
    let options = model::engine(Some(config.threads));
    let (mut detector, _) = model::load_from(config.model.as_deref(), options)?;
    let load = started.elapsed();
    one_frame(&picture, &mut detector)?;
    let first_box = started.elapsed();
    let times = all_frames(&picture, &mut detector, config.frames.get())?;
    let ages = screen::ages(&picture, &detector)?;
    // Before the layers, whose measuring takes memory that a run does not.
    let peak_rss_mb = peak_rss_mb();
    let frame = picture.decoded()?;
    let input =
        preprocess(&frame, detector.card()).map_err(boxcam::pipeline::PipelineError::from)?;
    let measured = Measured {
        model: detector.model_hash().to_owned(),
        kernels: detector.kernels(),
        picture: picture.name.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        threads: config.threads.get(),
        frames: config.frames.get(),
        stages: times.quantiles(),
        camera_to_screen: Quantiles::of(&ages.picture),
        camera_to_box: Quantiles::of(&ages.found),
        load_ms: milliseconds(load),
        first_box_ms: milliseconds(first_box),
        peak_rss_mb,
        layers: layers(&detector.layer_times(&input, LAYER_RUNS)?),
    };
    print(&if config.json {
        json(&measured)?
    } else {
        table::of(&measured)
    })?;
    Ok(Completion::Whole)
}

/// A picture as it comes from a file or a camera.
#[derive(Clone)]
struct Encoded {
    name: String,
    bytes: Vec<u8>,
}

impl Encoded {
    fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            return built_in();
        };
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self {
                name: path.display().to_string(),
                bytes,
            }),
            Err(source) => {
                let path = path.to_owned();
                Err(SourceError::from(PictureError::Read { path, source }).into())
            }
        }
    }

    fn image(&self) -> Result<RgbImage, SourceError> {
        Ok(picture::decode(Path::new(&self.name), &self.bytes)?)
    }

    fn decoded(&self) -> Result<Frame, Failure> {
        Ok(Frame::new(0, Origin::Live, self.image()?))
    }
}

/// A frame of the demo as a camera would send it: a JPEG of 640 x 480.
#[cfg(feature = "demo")]
fn built_in() -> Result<Encoded, Failure> {
    use boxcam::scene::random_scene;
    use boxcam::source::demo::{HEIGHT, WIDTH};
    let scene = random_scene(1, WIDTH, HEIGHT);
    let bytes = picture::encode_jpeg(&scene.image, 85).map_err(|source| {
        boxcam::sink::SinkError::Encode {
            path: "(demo)".into(),
            source,
        }
    })?;
    let name = "(demo)".to_owned();
    Ok(Encoded { name, bytes })
}

#[cfg(not(feature = "demo"))]
fn built_in() -> Result<Encoded, Failure> {
    Err(Failure::NotBuilt {
        what: "the demo, so `--picture PICTURE` is needed",
        feature: "demo",
    })
}

type Times = Stages<Vec<Duration>>;

impl Times {
    fn add(&mut self, one: &Stages<Duration>) {
        self.decode.push(one.decode);
        self.preprocess.push(one.preprocess);
        self.inference.push(one.inference);
        self.draw.push(one.draw);
        self.frame.push(one.frame);
    }

    fn quantiles(&self) -> Stages<Quantiles> {
        let of = |times: &[Duration]| Quantiles::of(times).expect("at least one frame is measured");
        Stages {
            decode: of(&self.decode),
            preprocess: of(&self.preprocess),
            inference: of(&self.inference),
            draw: of(&self.draw),
            frame: of(&self.frame),
        }
    }
}

/// Takes one frame from its bytes to a picture with its box drawn.
fn one_frame(picture: &Encoded, detector: &mut TractDetector) -> Result<Stages<Duration>, Failure> {
    let started = Instant::now();
    let frame = picture.decoded()?;
    let decoded = Instant::now();
    let input =
        preprocess(&frame, detector.card()).map_err(boxcam::pipeline::PipelineError::from)?;
    let preprocessed = Instant::now();
    let prediction = detector.predict(&input)?;
    let inferred = Instant::now();
    let labels = Arc::new(detector.card().labels.clone());
    let report = Report {
        // Without a threshold, so that there is always a box to draw.
        detection: prediction.detection(0.0),
        captured_at: Some(frame.captured_at),
        inference: inferred - preprocessed,
        frames_per_second: Some(30.0),
        ..Report::waiting(labels, detector.model_hash().into())
    };
    let mut image = frame.image.clone();
    let drawing = Instant::now();
    let Ok(()) = overlay::draw(
        &mut Canvas::new(&mut image),
        &frame,
        &report,
        report.shown(),
    );
    let drawn = Instant::now();
    Ok(Stages {
        decode: decoded - started,
        preprocess: preprocessed - decoded,
        inference: inferred - preprocessed,
        draw: drawn - drawing,
        frame: drawn - started,
    })
}

/// So many frames, after a few that don't count.
fn all_frames(
    picture: &Encoded,
    detector: &mut TractDetector,
    frames: usize,
) -> Result<Times, Failure> {
    let mut times = Times::default();
    for number in 0..WARM_UP + frames {
        let time = one_frame(picture, detector)?;
        if number >= WARM_UP {
            times.add(&time);
        }
    }
    Ok(times)
}

fn layers(times: &[LayerTime]) -> Vec<Layer> {
    let total: Duration = times.iter().map(|layer| layer.time).sum();
    let share = |time: Duration| time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
    let layer = |layer: &LayerTime| Layer {
        name: layer.name.clone(),
        operator: layer.operator.clone(),
        ms: milliseconds(layer.time),
        share: (share(layer.time) * 1e4).round() / 1e4,
    };
    times.iter().map(layer).collect()
}

/// The most memory that this process ever had, in MB of 1,000,000 bytes, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes * 1024.0 / 1e5).round() / 10.0)
}
