//! Runs that do not compute all frames.

use std::fs;
use std::sync::atomic::AtomicU64;

use image::Rgb;

use super::*;
use crate::frame::{FrameImage, StoredImage, UndecodableImage};
use crate::heat::HeatSensors;
use crate::luma_grid::LumaGrid;

/// The frames, 20 ms apart, in which a thing is there.
const THING: std::ops::Range<u64> = 100..500;

const FRAMES: u64 = 700;

/// Finds a thing in the frame that the source has delivered last.
struct Watcher {
    card: ModelCard,
    is_there: Arc<AtomicBool>,
}

impl Detector for Watcher {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        "0badcafe"
    }

    fn predict(&mut self, _: &InputTensor) -> Result<Prediction, DetectError> {
        let score = if self.is_there.load(Ordering::Relaxed) {
            0.75
        } else {
            0.1
        };
        Prediction::new(vec![score, 0.1], [0.25, 0.5, 0.25, 0.5])
    }
}

/// A dark room, with a bright thing or without.
fn room(is_there: bool) -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| {
        let is_thing = is_there && (16..32).contains(&x) && (12..24).contains(&y);
        Rgb([if is_thing { 200 } else { 40 }; 3])
    })
}

/// The calls of a sink that gets all frames, and the counters.
fn run_resting(is_live: bool, rest: RestSettings) -> (Calls, Arc<Health>) {
    let sink = FakeSink {
        wants_rested_frames: true,
        ..FakeSink::default()
    };
    let calls = sink.calls();
    let mut frames = PacedFrames::new(sink.calls());
    let is_there = Arc::new(AtomicBool::new(false));
    let watcher = Watcher {
        card: test_card(2),
        is_there: Arc::clone(&is_there),
    };
    let pipeline = Pipeline {
        track: true,
        rest,
        ..pipeline(Box::new(watcher), sink)
    };
    let health = Arc::clone(&pipeline.health);
    let next_frame = move || {
        let mut frame = frames.next();
        let has_thing = THING.contains(&frame.sequence);
        is_there.store(has_thing, Ordering::Relaxed);
        frame.image = room(has_thing).into();
        Ok((frame.sequence < FRAMES).then_some(frame))
    };
    pipeline.run(once(is_live, next_frame)).expect("done");
    let calls = std::mem::take(&mut *calls.lock());
    (calls, health)
}

/// The events with the numbers of their frames.
fn events(calls: &Calls) -> Vec<(&'static str, u64)> {
    let mut found = Vec::new();
    for report in &calls.reports {
        let of_report = report.events.iter();
        found.extend(of_report.map(|event| (event.kind.name(), report.sequence)));
    }
    found
}

fn resting() -> RestSettings {
    RestSettings {
        idle_interval: Some(Duration::from_secs(2)),
        ..RestSettings::default()
    }
}

#[test]
fn a_run_that_rests_has_the_same_events_at_the_same_time() {
    for is_live in [false, true] {
        let (all, _) = run_resting(is_live, RestSettings::default());
        let (rested, health) = run_resting(is_live, resting());
        assert_eq!(events(&rested), events(&all), "is_live: {is_live}");
        assert_eq!(events(&all).len(), 2);
        let (computed, still) = (health.inferred.get(), health.still.get());
        assert_eq!(computed + still, FRAMES);
        assert_eq!(health.captured.get(), FRAMES);
        // Until the thing has been at its place for five seconds, and until it has left, all frames are computed.
        assert!((300..400).contains(&computed), "{computed}");
        assert!(health.status().last_rest.is_some());
        let numbers: Vec<u64> = rested
            .reports
            .iter()
            .map(|report| report.sequence)
            .collect();
        assert_eq!(numbers, (0..FRAMES).collect::<Vec<_>>());
        let with_thing = &rested.reports[499];
        assert_eq!(with_thing.tracks.len(), 1);
        let age = with_thing.tracks[0].duration;
        assert!(age > Duration::from_millis(390 * 20), "{age:?}");
    }
}

#[test]
fn frames_above_the_rate_are_shown_and_counted() {
    for is_live in [false, true] {
        let rest = RestSettings {
            max_rate: Some(5.0),
            ..RestSettings::default()
        };
        let (calls, health) = run_resting(is_live, rest);
        assert_eq!(health.inferred.get(), FRAMES / 10);
        assert_eq!(health.held_back.get(), FRAMES - FRAMES / 10);
        assert_eq!(calls.shown.len() as u64, FRAMES);
        let names: Vec<_> = events(&calls).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["appeared", "left"]);
        assert!(calls.reports[480].tracks.len() == 1 && calls.reports[90].tracks.is_empty());
    }
}

#[test]
fn unrelated_pictures_are_all_computed() {
    let pipeline = Pipeline {
        rest: RestSettings {
            max_rate: Some(0.001),
            ..resting()
        },
        ..pipeline(detector(|| {}), FakeSink::default())
    };
    let summary = pipeline.run(once(false, counting(30))).expect("done");
    assert_eq!(summary.frames, 30);
}

#[test]
fn heat_lowers_the_rate_and_is_told() {
    let root = tempfile::tempdir().expect("a folder");
    let zone = root.path().join("sys/class/thermal/thermal_zone0");
    fs::create_dir_all(&zone).expect("created");
    fs::write(zone.join("temp"), "85000\n").expect("written");
    let rest = RestSettings {
        max_rate: Some(1.0),
        heat: Some(HeatSettings {
            sensors: HeatSensors::at(root.path()),
            max_temperature: 80.0,
        }),
        ..RestSettings::default()
    };
    let (calls, health) = run_resting(true, rest.clone());
    let of_heat = calls
        .states
        .iter()
        .find(|change| change.reason.contains("is hot"));
    let told = of_heat.expect("a state line");
    assert_eq!(told.state, CaptureState::Live);
    assert!(told.reason.contains("85 degrees Celsius"), "{told:?}");
    assert_eq!(health.status().reason, told.reason);
    // 14 seconds at one frame in two seconds; the first may be computed before the sensors are read.
    assert!(
        (7..=8).contains(&health.inferred.get()),
        "{}",
        health.inferred.get()
    );
    // The same input gives the same output, however hot the machine is.
    let (calls, health) = run_resting(false, rest);
    assert!(calls.states.is_empty());
    assert_eq!(health.inferred.get(), 14);
}

#[test]
fn a_duration_ends_the_run() {
    let sink = FakeSink::default();
    let mut frames = PacedFrames::new(sink.calls());
    let offline = Pipeline {
        track: true,
        max_duration: Some(Duration::from_secs(1)),
        ..pipeline(detector(|| {}), sink)
    };
    let next_frame = move || Ok(Some(frames.next()));
    let summary = offline.run(once(false, next_frame)).expect("done");
    assert_eq!(summary.frames, 50);
}

#[test]
fn a_live_source_without_frames_is_an_error_after_the_duration() {
    for delivered in [0, 3] {
        let clock = TestClock::new();
        let live = Pipeline {
            max_duration: Some(Duration::from_secs(10)),
            clock: clock.clone(),
            ..pipeline(detector(|| {}), FakeSink::default())
        };
        let (cancel, cancelled) = channel::<()>();
        let mut next = counting(delivered);
        let mut source = fake(move || {
            let frame = next()?;
            if frame.is_none() {
                clock.advance(Duration::from_secs(20));
                // The end of the test also ends the wait.
                let _ = cancelled.recv();
            }
            Ok(frame)
        });
        source.cancel = Some(Arc::new(move || {
            let _ = cancel.send(());
        }));
        let mut source = Some(source);
        let result = live.run(SourceConfig::Live(LiveSource {
            open: Box::new(move || Ok(source.take().expect("opened once"))),
            reopen: true,
            wait: false,
        }));
        match delivered {
            0 => {
                let error = result.expect_err("no frame").to_string();
                assert!(error.starts_with("no frame came within 10s"), "{error}");
            }
            _ => assert!(result.is_ok(), "{result:?}"),
        }
    }
}

/// An image whose small version can be decoded, and the whole can't.
#[derive(Debug)]
struct Damaged(Arc<LumaGrid>);

impl StoredImage for Damaged {
    fn size(&self) -> (u32, u32) {
        (64, 48)
    }

    fn luma_grid(&self) -> &Arc<LumaGrid> {
        &self.0
    }

    fn decode(&self) -> Result<RgbImage, UndecodableImage> {
        Err(UndecodableImage {
            message: "damaged".to_owned(),
        })
    }
}

#[test]
fn a_frame_that_cannot_be_decoded_is_counted_and_skipped() {
    for is_live in [false, true] {
        let sink = FakeSink::default();
        let calls = sink.calls();
        let shown = sink.calls();
        let inferences = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&inferences);
        let counted = detector(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let pipeline = Pipeline {
            track: true,
            rest: resting(),
            ..pipeline(counted, sink)
        };
        let health = Arc::clone(&pipeline.health);
        let broken = Arc::clone(&pipeline.health);
        let mut numbers = 0..3;
        let next_frame = move || {
            let Some(number) = numbers.next() else {
                return Ok(None);
            };
            let mut frame = frame(number);
            let image = room(false);
            let grid = Arc::new(LumaGrid::of(&image));
            frame.image = match number {
                1 => FrameImage::stored(Arc::new(Damaged(grid))),
                _ => image.into(),
            };
            // Each frame waits until the last one is done with.
            wait_until(|| shown.lock().shown.len() as u64 + broken.broken.get() >= number);
            Ok(Some(frame))
        };
        pipeline.run(once(is_live, next_frame)).expect("done");
        assert_eq!(calls.lock().shown, [0, 2], "is_live: {is_live}");
        assert_eq!(health.broken.get(), 1);
        assert_eq!(inferences.load(Ordering::Relaxed), 2);
    }
}
