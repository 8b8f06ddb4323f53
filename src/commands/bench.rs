//! `boxcam bench`: the time and memory that a frame takes on this machine.
//!
//! Each stage is timed in each frame of one run, so all stages have the same noise. The age of a frame on the display is
//! measured in the live pipeline.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use boxcam::detect::Detector;
use boxcam::detect::tract::{LayerTime, TractDetector};
use boxcam::frame::{Frame, Origin};
use boxcam::options::BenchOptions;
use boxcam::overlay::{self, Canvas};
use boxcam::picture::{self, PictureError};
use boxcam::pipeline::{LiveSource, Pipeline, PipelineError, SourceConfig};
use boxcam::preprocess::preprocess;
use boxcam::report::Report;
use boxcam::sink::{Display, SinkError};
use boxcam::source::{FrameSource, SourceError};
use image::RgbImage;
use serde::Serialize;

use super::{Completion, Failure, json, model, print};

/// Frames before the first measured one, which fill caches and train branch predictors.
const WARM_UP_FRAMES: usize = 3;

/// Runs over which the time of a layer is taken.
const LAYER_RUNS: usize = 15;

/// Number of operators and of layers in the table, the slowest first.
const TABLE_ROWS: usize = 10;

#[derive(Serialize)]
struct Measurements {
    model: String,
    /// CPU features that the int8 kernels use; `None` for a float model.
    kernels: Option<&'static str>,
    /// The picture, and its width and height in pixels.
    picture: String,
    width: u32,
    height: u32,
    threads: usize,
    frames: usize,
    stages: Stages<Quantiles>,
    /// From capture to display of a frame, at 30 frames per second.
    camera_to_screen: Option<Quantiles>,
    /// From capture of a frame to display of its bounding box, on a later frame.
    camera_to_box: Option<Quantiles>,
    /// Time to read, check and prepare the model file.
    load_ms: f64,
    /// Time from the start of loading to the bounding box of the first picture.
    first_box_ms: f64,
    /// Maximum memory of this process, including the measurement.
    peak_rss_mb: Option<f64>,
    layers: Vec<Layer>,
}

/// A value for each stage.
#[derive(Debug, Default, Serialize)]
struct Stages<T> {
    decode: T,
    preprocess: T,
    inference: T,
    draw: T,
    /// All stages together.
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

pub(super) fn bench(options: &BenchOptions) -> Result<Completion, Failure> {
    let picture = EncodedPicture::read(options.picture.as_deref())?;
    let started = Instant::now();
    let engine = model::engine(Some(options.threads));
    let (mut detector, _) = model::load_from(options.model.as_ref(), engine)?;
    let load = started.elapsed();
    time_frame(&picture, &mut detector)?;
    let first_box = started.elapsed();
    let times = time_frames(&picture, &mut detector, options.frames.get())?;
    let ages = display_ages(&picture, &detector)?;
    // Taken before the layers are timed, which needs more memory than a run.
    let peak_rss_mb = peak_rss_mb();
    let frame = picture.frame()?;
    let input = preprocess(&frame, detector.card()).map_err(PipelineError::from)?;
    let measurements = Measurements {
        model: detector.model_hash().to_owned(),
        kernels: detector.kernels(),
        picture: picture.name.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        threads: options.threads.get(),
        frames: options.frames.get(),
        stages: times.quantiles(),
        camera_to_screen: Quantiles::of(&ages.frame),
        camera_to_box: Quantiles::of(&ages.bounding_box),
        load_ms: milliseconds(load),
        first_box_ms: milliseconds(first_box),
        peak_rss_mb,
        layers: layers(&detector.layer_times(&input, LAYER_RUNS)?),
    };
    print(&if options.json {
        json(&measurements)?
    } else {
        table(&measurements)
    })?;
    Ok(Completion::Complete)
}

/// The bytes of a picture file or of a frame of a camera.
#[derive(Clone)]
struct EncodedPicture {
    name: String,
    bytes: Vec<u8>,
}

impl EncodedPicture {
    fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            return demo_picture();
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

    fn decode(&self) -> Result<RgbImage, SourceError> {
        Ok(picture::decode(Path::new(&self.name), &self.bytes)?)
    }

    fn frame(&self) -> Result<Frame, Failure> {
        Ok(Frame::new(0, Origin::Live, self.decode()?))
    }
}

/// A frame of the demo as a JPEG, which is what most cameras deliver.
#[cfg(feature = "demo")]
fn demo_picture() -> Result<EncodedPicture, Failure> {
    use boxcam::scene::random_scene;
    use boxcam::source::demo::{HEIGHT, WIDTH};
    let scene = random_scene(1, WIDTH, HEIGHT);
    let bytes = picture::encode_jpeg(&scene.image, 85).map_err(|source| SinkError::Encode {
        path: "(demo)".into(),
        source,
    })?;
    let name = "(demo)".to_owned();
    Ok(EncodedPicture { name, bytes })
}

#[cfg(not(feature = "demo"))]
fn demo_picture() -> Result<EncodedPicture, Failure> {
    Err(Failure::NotBuilt {
        what: "the demo, so `--picture PICTURE` is required",
        feature: "demo",
    })
}

type StageTimes = Stages<Vec<Duration>>;

impl StageTimes {
    fn push(&mut self, frame: &Stages<Duration>) {
        self.decode.push(frame.decode);
        self.preprocess.push(frame.preprocess);
        self.inference.push(frame.inference);
        self.draw.push(frame.draw);
        self.frame.push(frame.frame);
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

/// Times one frame from its bytes to the picture with its bounding box.
fn time_frame(
    picture: &EncodedPicture,
    detector: &mut TractDetector,
) -> Result<Stages<Duration>, Failure> {
    let started = Instant::now();
    let frame = picture.frame()?;
    let decoded = Instant::now();
    let input = preprocess(&frame, detector.card()).map_err(PipelineError::from)?;
    let preprocessed = Instant::now();
    let prediction = detector.predict(&input)?;
    let inferred = Instant::now();
    let labels = Arc::new(detector.card().labels.clone());
    let report = Report {
        // A threshold of 0, so that there is always a box to draw.
        detection: prediction.detection(0.0),
        captured_at: Some(frame.captured_at),
        inference: inferred - preprocessed,
        frames_per_second: Some(30.0),
        ..Report::waiting(labels, detector.model_hash().into())
    };
    let mut image = RgbImage::clone(&frame.image);
    let drawing = Instant::now();
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), &frame, &report);
    let drawn = Instant::now();
    Ok(Stages {
        decode: decoded - started,
        preprocess: preprocessed - decoded,
        inference: inferred - preprocessed,
        draw: drawn - drawing,
        frame: drawn - started,
    })
}

fn time_frames(
    picture: &EncodedPicture,
    detector: &mut TractDetector,
    frames: usize,
) -> Result<StageTimes, Failure> {
    let mut times = StageTimes::default();
    for number in 0..WARM_UP_FRAMES + frames {
        let frame = time_frame(picture, detector)?;
        if number >= WARM_UP_FRAMES {
            times.push(&frame);
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

/// The maximum memory of this process in MB of 1,000,000 bytes; `None` if the system does not report it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes * 1024.0 / 1e5).round() / 10.0)
}

/// Time between two frames of the simulated camera.
const FRAME_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Frames that the model processes while ages are measured.
const AGE_FRAMES: u64 = 20;

/// Ages at the time of display.
#[derive(Default)]
struct DisplayAges {
    /// Of the frame.
    frame: Vec<Duration>,
    /// Of the frame in which the displayed bounding box was found.
    bounding_box: Vec<Duration>,
}

/// Runs the live pipeline with a camera that delivers the same picture 30 times per second, and a display in memory.
fn display_ages(
    picture: &EncodedPicture,
    detector: &TractDetector,
) -> Result<DisplayAges, Failure> {
    let mut display = MemoryDisplay(DisplayAges::default());
    let picture = picture.clone();
    let stop = AtomicBool::new(false);
    let pipeline = Pipeline {
        display: Some(&mut display),
        // There is always a box to draw.
        threshold: Some(0.0),
        track: true,
        max_frames: AGE_FRAMES.try_into().ok(),
        ..Pipeline::new(Box::new(detector.clone()), &stop)
    };
    pipeline.run(SourceConfig::Live(LiveSource {
        open: Box::new(move || Ok(Box::new(RepeatedPicture::new(picture.clone())) as _)),
        reopen: false,
        wait: false,
    }))?;
    Ok(display.0)
}

/// A camera that delivers the same picture again and again.
struct RepeatedPicture {
    picture: EncodedPicture,
    next: Instant,
    sequence: u64,
}

impl RepeatedPicture {
    fn new(picture: EncodedPicture) -> Self {
        Self {
            picture,
            next: Instant::now(),
            sequence: 0,
        }
    }
}

impl FrameSource for RepeatedPicture {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        let captured_at = Instant::now();
        self.next = captured_at + FRAME_INTERVAL;
        let image = self.picture.decode()?;
        let sequence = self.sequence;
        self.sequence += 1;
        Ok(Some(Frame {
            captured_at,
            ..Frame::new(sequence, Origin::Live, image)
        }))
    }
}

struct MemoryDisplay(DisplayAges);

impl Display for MemoryDisplay {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let mut image = RgbImage::clone(&frame.image);
        let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), frame, report);
        // `None` before the first bounding box.
        if let Some(captured_at) = report.captured_at {
            self.0.frame.push(frame.captured_at.elapsed());
            self.0.bounding_box.push(captured_at.elapsed());
        }
        Ok(())
    }
}

/// Quantiles in milliseconds, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Quantiles {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl Quantiles {
    /// `None` without times.
    fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|time| milliseconds(*time))
        };
        Some(Self {
            p50_ms: at(50)?,
            p95_ms: at(95)?,
            p99_ms: at(99)?,
        })
    }
}

/// Rounded to microseconds.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn table(measurements: &Measurements) -> String {
    let mut text = String::new();
    let kernels = measurements.kernels.unwrap_or("none, a float model");
    let Measurements {
        model,
        picture,
        width,
        height,
        frames,
        threads,
        stages,
        ..
    } = measurements;
    let _ = writeln!(
        text,
        "model {model}, int8 kernels: {kernels}\n\
         picture {picture} ({width} x {height}), {frames} frames, {threads} threads\n\n\
         stage             p50        p95        p99"
    );
    for (name, times) in [
        ("decode", stages.decode),
        ("preprocess", stages.preprocess),
        ("inference", stages.inference),
        ("draw", stages.draw),
        ("frame, total", stages.frame),
    ] {
        let _ = writeln!(
            text,
            "{name:13} {:7.2} ms {:7.2} ms {:7.2} ms",
            times.p50_ms, times.p95_ms, times.p99_ms
        );
    }
    for (name, ages) in [
        ("camera to screen", measurements.camera_to_screen),
        ("camera to box", measurements.camera_to_box),
    ] {
        if let Some(ages) = ages {
            let _ = writeln!(
                text,
                "{name:16} {:4.1} ms {:7.1} ms {:7.1} ms",
                ages.p50_ms, ages.p95_ms, ages.p99_ms
            );
        }
    }
    let _ = writeln!(
        text,
        "\nload {:.1} ms, first box after {:.1} ms",
        measurements.load_ms, measurements.first_box_ms
    );
    if let Some(peak) = measurements.peak_rss_mb {
        let _ = writeln!(text, "peak memory {peak:.1} MB");
    }
    text.push_str(&layer_table(&measurements.layers));
    text
}

fn layer_table(layers: &[Layer]) -> String {
    let mut by_operator: BTreeMap<&str, (usize, f64, f64)> = BTreeMap::new();
    for layer in layers {
        let (count, ms, share) = by_operator.entry(&layer.operator).or_default();
        *count += 1;
        *ms += layer.ms;
        *share += layer.share;
    }
    let mut operators: Vec<_> = by_operator.into_iter().collect();
    operators.sort_by(|(_, a), (_, b)| b.1.total_cmp(&a.1));
    let mut text = "\ninference time by operator\n".to_owned();
    for (operator, (count, ms, share)) in operators.iter().take(TABLE_ROWS) {
        let share = share * 100.0;
        let _ = writeln!(text, "{share:5.1}% {ms:8.3} ms  {count:3} x {operator}");
    }
    let mut slowest: Vec<&Layer> = layers.iter().collect();
    slowest.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    text.push_str("\nslowest layers\n");
    for layer in slowest.iter().take(TABLE_ROWS) {
        let share = layer.share * 100.0;
        let _ = writeln!(
            text,
            "{share:5.1}% {:8.3} ms  {} ({})",
            layer.ms, layer.name, layer.operator
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let quantiles = Quantiles::of(&times).expect("times");
        assert_eq!(
            (quantiles.p50_ms, quantiles.p95_ms, quantiles.p99_ms),
            (50.0, 95.0, 99.0)
        );
        let one = Quantiles::of(&[Duration::from_micros(1500)]).expect("one time");
        assert_eq!((one.p50_ms, one.p99_ms), (1.5, 1.5));
        assert_eq!(Quantiles::of(&[]), None);
    }
}
