//! The live pipeline under many faults and for many frames, with short timeouts: no event is lost, no resource leaks.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use boxcam::card::ModelCard;
use boxcam::detect::{DetectError, Detector, Prediction};
use boxcam::frame::{Frame, Origin};
use boxcam::health::{Health, StateChange};
use boxcam::pipeline::{LiveSource, Pipeline, SourceConfig, Timeouts};
use boxcam::preprocess::InputTensor;
use boxcam::privacy::PublicFrame;
use boxcam::report::Report;
use boxcam::sink::{Display, Sink, SinkError};
use boxcam::source::{CancelHandle, FrameSource, SourceError};
use boxcam::track::EventKind;
use common::tiny_model;
use image::RgbImage;

/// Both tests measure the whole process, so they must not run at the same time.
static ALONE: Mutex<()> = Mutex::new(());

static STOP: AtomicBool = AtomicBool::new(false);

/// Resources of this process.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kib: u64,
    threads: usize,
    files: usize,
}

fn held() -> Held {
    let count = |folder: &str| fs::read_dir(folder).expect("readable").count();
    let status = fs::read_to_string("/proc/self/status").expect("readable");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.and_then(|rest| rest.split_whitespace().next());
    Held {
        memory_kib: memory.expect("a number").parse().expect("a number"),
        threads: count("/proc/self/task"),
        files: count("/proc/self/fd"),
    }
}

/// Detects an object for 16 frames, then none for 16, and so on.
struct Blinking {
    card: ModelCard,
    health: Arc<Health>,
}

impl Detector for Blinking {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        "0badcafe"
    }

    fn predict(&mut self, _: &InputTensor) -> Result<Prediction, DetectError> {
        let is_there = (self.health.inferred.get() / 16).is_multiple_of(2);
        let score = if is_there { 0.9 } else { 0.1 };
        Prediction::new(vec![score, 0.05, 0.05], [0.2, 0.6, 0.2, 0.6])
    }
}

/// What a sink received.
#[derive(Default)]
struct Log {
    frames: Vec<u64>,
    events: Vec<(EventKind, u64)>,
    states: Vec<&'static str>,
}

#[derive(Default, Clone)]
struct LogSink {
    log: Arc<Mutex<Log>>,
    shown: Arc<AtomicU64>,
    events_only: bool,
}

impl LogSink {
    fn note(&self, note: impl FnOnce(&mut Log)) {
        note(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Sink for LogSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.note(|log| {
            log.frames.push(frame.sequence);
            let events = report.events.iter();
            log.events
                .extend(events.map(|event| (event.kind, event.track)));
        });
        self.shown.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn events_only(&self) -> bool {
        self.events_only
    }

    fn on_track_ended(&mut self, _: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        let events = report.events.iter();
        let events = events.map(|event| (event.kind, event.track));
        self.note(|log| log.events.extend(events));
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.note(|log| log.states.push(change.state.name()));
        Ok(())
    }
}

fn pipeline(health: &Arc<Health>, outputs: [LogSink; 2], timeouts: Timeouts) -> Pipeline<'static> {
    let detector = Blinking {
        card: tiny_model::card(),
        health: Arc::clone(health),
    };
    let [all, events] = outputs;
    Pipeline {
        sinks: vec![Box::new(all), Box::new(events)],
        track: true,
        health: Arc::clone(health),
        timeouts,
        ..Pipeline::new(Box::new(detector), &STOP)
    }
}

/// Appeared 1, left 1, appeared 2, left 2, and so on to the last.
#[track_caller]
fn assert_whole(events: &[(EventKind, u64)], appeared: u64) {
    let expected =
        (1..=appeared).flat_map(|track| [(EventKind::Appeared, track), (EventKind::Left, track)]);
    assert_eq!(events, expected.collect::<Vec<_>>());
}

#[track_caller]
fn assert_flat(early: Held, late: Held) {
    eprintln!("{early:?} -> {late:?}");
    assert!(late.memory_kib <= early.memory_kib + 8 * 1024);
    // A few detached threads may still run at either time.
    assert!(late.threads <= early.threads + 3);
    assert!(late.files <= early.files + 3);
}

const FAULTS: u64 = 1000;

/// Frames that each source delivers before its fault.
const FRAMES_EACH: u64 = 4;

/// Delivers a few frames, each after the log has the previous one, and then fails.
struct Faulty {
    kind: u64,
    given: u64,
    health: Arc<Health>,
    shown: Arc<AtomicU64>,
    start: Instant,
    is_cancelled: Arc<AtomicBool>,
}

impl Faulty {
    /// The next frame; capture times are 0.1 s apart.
    fn frame(&self) -> Frame {
        let number = self.health.captured.get();
        while self.shown.load(Ordering::Relaxed) < number {
            sleep(Duration::from_micros(100));
        }
        let side = 8 + (self.kind % 5) as u32;
        let image = RgbImage::new(side, 8);
        Frame {
            captured_at: self.start + Duration::from_millis(100) * number as u32,
            ..Frame::new(self.given - 1, Origin::Live, image)
        }
    }

    fn broken() -> SourceError {
        SourceError::BrokenFrame {
            stream: "fake".to_owned(),
            message: "half of it is missing".to_owned(),
        }
    }

    fn failed() -> SourceError {
        SourceError::Camera {
            device: "fake".to_owned(),
            message: "was unplugged".to_owned(),
        }
    }
}

impl FrameSource for Faulty {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        self.given += 1;
        if self.given <= FRAMES_EACH {
            return Ok(Some(self.frame()));
        }
        match self.kind % 7 {
            0 => Err(Self::failed()),
            1 => Ok(None),
            2 => Err(Self::broken()),
            3 => panic!("on purpose"),
            4 => Ok(Some(Frame::new(
                self.given,
                Origin::Live,
                RgbImage::new(0, 0),
            ))),
            5 => {
                while !self.is_cancelled.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(1));
                }
                Err(Self::failed())
            }
            // This can't be cancelled, and frames follow.
            _ => {
                sleep(Duration::from_millis(250));
                Ok(Some(Frame::new(
                    self.given,
                    Origin::Live,
                    RgbImage::new(8, 8),
                )))
            }
        }
    }

    fn cancel_handle(&self) -> Option<CancelHandle> {
        let flag = Arc::clone(&self.is_cancelled);
        (self.kind % 7 == 5).then(|| Box::new(move || flag.store(true, Ordering::Relaxed)) as _)
    }
}

#[test]
fn no_event_is_lost_in_a_thousand_faults() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or_default();
        if message != "on purpose" {
            eprintln!("{info}");
        }
    }));
    let health = Arc::new(Health::default());
    let all = LogSink::default();
    let events = LogSink {
        events_only: true,
        ..LogSink::default()
    };
    let timeouts = Timeouts {
        stall: Duration::from_millis(60),
        min_retry_delay: Duration::from_millis(1),
        max_retry_delay: Duration::from_millis(4),
        min_frame_interval: Duration::from_micros(200),
        ..Timeouts::default()
    };
    let pipeline = pipeline(&health, [all.clone(), events.clone()], timeouts);
    let (shown, start) = (Arc::clone(&all.shown), Instant::now());
    let samples = Arc::new(Mutex::new(Vec::new()));
    let (kept, counted) = (Arc::clone(&samples), Arc::clone(&health));
    let mut opened = 0;
    let open = move || {
        opened += 1;
        if opened == FAULTS / 10 || opened == FAULTS {
            kept.lock().expect("not poisoned").push(held());
        }
        if opened == FAULTS + 1 {
            STOP.store(true, Ordering::Relaxed);
        }
        // Not the first time: that would end the run.
        if opened % 11 == 0 {
            return Err(Faulty::failed());
        }
        let source: Box<dyn FrameSource> = Box::new(Faulty {
            kind: opened,
            given: 0,
            health: Arc::clone(&counted),
            shown: Arc::clone(&shown),
            start,
            is_cancelled: Arc::default(),
        });
        Ok(source)
    };
    let source = SourceConfig::Live(LiveSource {
        open: Box::new(open),
        reopen: true,
        wait: false,
    });
    let summary = pipeline.run(source).expect("stopped");
    STOP.store(false, Ordering::Relaxed);
    let all = all.log.lock().expect("not poisoned");
    assert_eq!(health.reports_lost.get(), 0);
    assert_eq!(all.frames.len() as u64, summary.frames);
    assert!(all.frames.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(summary.frames >= FAULTS * 9 / 10 * FRAMES_EACH - 100);
    let appeared = health.appeared.get();
    assert!(appeared >= 90, "{appeared}");
    assert_whole(&all.events, appeared);
    assert_whole(&events.log.lock().expect("not poisoned").events, appeared);
    let reopenings = all.states.iter().filter(|&&state| state == "reopening");
    let reopenings = reopenings.count() as u64;
    assert!(reopenings >= FAULTS * 9 / 10 - 1, "{reopenings}");
    let samples = samples.lock().expect("not poisoned");
    assert_flat(samples[0], samples[1]);
}

/// An hour at 30 frames a second.
const HOUR: u64 = 108_000;

/// Frames without a delay.
struct Flood(u64);

impl FrameSource for Flood {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        self.0 += 1;
        Ok(Some(Frame::new(
            self.0,
            Origin::Live,
            RgbImage::new(64, 48),
        )))
    }
}

/// Measures resources when a tenth and all of the frames are processed.
struct Watching {
    health: Arc<Health>,
    samples: Vec<Held>,
}

impl Display for Watching {
    fn show(&mut self, _: &Frame, _: &Report) -> Result<(), SinkError> {
        let inferred = self.health.inferred.get();
        let due = [HOUR / 10, HOUR - 1].get(self.samples.len()).copied();
        if due.is_some_and(|due| inferred >= due) {
            self.samples.push(held());
        }
        Ok(())
    }
}

#[test]
fn an_hour_of_frames_leaves_memory_threads_and_files_flat() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let health = Arc::new(Health::default());
    let all = LogSink::default();
    let events = LogSink {
        events_only: true,
        ..LogSink::default()
    };
    // The log of this test grows: its memory is allocated first.
    all.note(|log| log.frames = vec![1; HOUR as usize]);
    all.note(|log| log.frames.clear());
    let timeouts = Timeouts {
        min_frame_interval: Duration::ZERO,
        ..Timeouts::default()
    };
    let mut watching = Watching {
        health: Arc::clone(&health),
        samples: Vec::new(),
    };
    let pipeline = Pipeline {
        max_frames: NonZeroU64::new(HOUR),
        display: Some(&mut watching),
        ..pipeline(&health, [all.clone(), events.clone()], timeouts)
    };
    let start = Instant::now();
    let source = SourceConfig::Live(LiveSource {
        open: Box::new(|| Ok(Box::new(Flood(0)))),
        reopen: true,
        wait: false,
    });
    let summary = pipeline.run(source).expect("done");
    watching.samples.push(held());
    assert_eq!(summary.frames, HOUR);
    let shown = all.shown.load(Ordering::Relaxed);
    assert_eq!(shown + health.reports_lost.get(), HOUR);
    // In real time objects come and go too quickly for a track, but a track that appeared must have left.
    assert_whole(
        &events.log.lock().expect("not poisoned").events,
        health.appeared.get(),
    );
    eprintln!("{:.1} s, {summary:?}", start.elapsed().as_secs_f32());
    assert_flat(watching.samples[0], watching.samples[1]);
}
