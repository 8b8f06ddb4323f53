//! Sinks and the display: none of them delays the model or another.

use super::*;
use crate::detect::Thresholds;
use crate::pipeline::channels::{Message, SinkQueue};

fn report(sequence: u64, has_events: bool) -> Arc<Report> {
    let labels = Arc::new(test_card(2).labels);
    let mut report = Report {
        sequence,
        ..Report::waiting(labels, "0badcafe".into())
    };
    if has_events {
        let thresholds = Thresholds {
            primary: 0.5,
            objects: 0.5,
            nms_iou: 1.0,
        };
        let mut tracker = crate::track::Tracker::new(crate::track::TrackSettings::new(0.5));
        let apple = Prediction::new(vec![0.75, 0.25], [0.0, 0.5, 0.0, 0.5]).expect("valid");
        let (start, time) = (Instant::now(), std::time::SystemTime::now());
        for step in 0..20 {
            let later = Duration::from_millis(100 * step);
            let tracked = tracker.update(&apple, &thresholds, start + later, time + later);
            report.events.extend(tracked.events);
        }
        assert_eq!(report.events.len(), 1);
    }
    Arc::new(report)
}

fn is_interrupted(report: &Report) -> bool {
    matches!(
        report.capture,
        CaptureState::Stalled | CaptureState::Reopening
    )
}

fn drain(queue: &SinkQueue) -> Vec<u64> {
    queue.close();
    let mut sequences = Vec::new();
    while let Some(message) = queue.pop() {
        match message {
            Message::Report(_, report) | Message::TrackEnded(_, report) => {
                sequences.push(report.sequence);
            }
            Message::Rested(..) | Message::Skipped(_) | Message::State(_) => {}
        }
    }
    sequences
}

#[test]
fn a_full_queue_drops_the_oldest_reports_without_events() {
    let queue = SinkQueue::new(false);
    let image = PublicFrame::hiding_nothing(frame(0));
    let mut dropped = 0;
    for number in 0..100 {
        let report = report(number, number % 10 == 0);
        dropped += queue.push(Message::Report(image.clone(), report));
    }
    let sequences = drain(&queue);
    let expected = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90];
    let (events, plain): (Vec<u64>, Vec<u64>) =
        sequences.iter().partition(|&&number| number % 10 == 0);
    assert_eq!(events, expected);
    assert_eq!(plain, [92, 93, 94, 95, 96, 97, 98, 99]);
    assert!(sequences.is_sorted());
    assert_eq!(dropped + sequences.len() as u64, 100);
}

/// The frames that a sink got which the model did not, of five that came during the first inference.
fn skipped_frames(hidden: Option<&str>) -> Vec<u64> {
    let sink = FakeSink {
        wants_skipped_frames: true,
        ..FakeSink::default()
    };
    let calls = sink.calls();
    let (has_begun, begun) = channel();
    let (release, wait) = channel::<()>();
    let mut waiting = Some((has_begun, wait));
    let slow = detector(move || {
        if let Some((has_begun, wait)) = waiting.take() {
            has_begun.send(()).expect("the source waits");
            wait.recv().expect("the source ends");
        }
    });
    let mut frames = counting(6);
    let live = once(true, move || {
        let next = frames()?;
        match &next {
            Some(frame) if frame.sequence == 1 => begun.recv().expect("the model begins"),
            Some(_) => {}
            None => release.send(()).expect("the model waits"),
        }
        Ok(next)
    });
    let pipeline = Pipeline {
        hidden: hidden.map(|names| names.parse().expect("a list")),
        ..pipeline(slow, sink)
    };
    pipeline.run(live).expect("done");
    let calls = calls.lock();
    assert_eq!(calls.shown, [0, 5]);
    calls.skipped_frames.clone()
}

#[test]
fn frames_that_the_model_did_not_get_go_to_sinks_that_want_them_unless_something_is_hidden() {
    assert_eq!(skipped_frames(None), [1, 2, 3, 4]);
    assert!(skipped_frames(Some("apple")).is_empty());
}

#[test]
fn the_number_of_queued_events_is_limited() {
    let queue = SinkQueue::new(true);
    // 16 MiB each: four of them are the 64 MiB that are allowed, but at least eight are kept.
    let image = Frame::new(0, Origin::Live, RgbImage::new(2048, 2731));
    let image = PublicFrame::hiding_nothing(image);
    let mut dropped = 0;
    for number in 0..30 {
        let message = Message::Report(image.clone(), report(number, number % 2 == 0));
        dropped += queue.push(message);
    }
    assert_eq!(drain(&queue), [14, 16, 18, 20, 22, 24, 26, 28]);
    assert_eq!(dropped, 7, "reports without events are ignored");
}

#[test]
fn a_slow_sink_does_not_delay_the_model() {
    let (release, wait) = channel::<()>();
    let slow = FakeSink::new(move |_, _| {
        // Until the fast sink has shown all frames.
        let _ = wait.recv();
        Ok(())
    });
    let mut release = Some(release);
    let fast = FakeSink::new(move |_, report| {
        if report.sequence >= 199 {
            release.take();
        }
        Ok(())
    });
    let (slow_calls, fast_calls) = (slow.calls(), fast.calls());
    let mut pipeline = pipeline(detector(|| {}), slow);
    pipeline.sinks.push(Box::new(fast));
    let health = Arc::clone(&pipeline.health);
    let summary = pipeline.run(once(true, counting(200))).expect("done");
    assert_eq!(summary.frames + summary.dropped, 200);
    let (slow, fast) = (slow_calls.lock(), fast_calls.lock());
    let lost = health.reports_lost.get();
    assert!(slow.shown.len() <= 9, "{:?}", slow.shown);
    assert_eq!(slow.shown.last(), Some(&199), "the newest report");
    let reports = slow.shown.len() + fast.shown.len();
    assert_eq!(reports as u64 + lost, 2 * summary.frames);
}

#[test]
fn a_hanging_sink_does_not_block_the_end() {
    let (_keep, wait) = channel::<()>();
    let hanging = FakeSink::new(move |_, _| {
        let _ = wait.recv();
        Ok(())
    });
    let mut pipeline = pipeline(detector(|| {}), hanging);
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(50);
    let health = Arc::clone(&pipeline.health);
    let summary = pipeline.run(once(true, counting(20))).expect("done");
    let lost = health.reports_lost.get();
    // All but the report in which it hangs, if it got one.
    assert!(lost <= summary.frames && summary.frames <= lost + 1);
}

#[test]
fn a_failing_sink_ends_the_run() {
    let failing = FakeSink::new(|_, _| {
        Err(SinkError::Write {
            path: "out.jsonl".into(),
            source: std::io::Error::other("gone"),
        })
    });
    let result = pipeline(detector(|| {}), failing).run(once(true, counting(u64::MAX)));
    let error = result.expect_err("failed");
    assert!(error.to_string().starts_with("out.jsonl: can't be written"));
}

#[test]
fn a_panic_is_an_error() {
    let source = once(true, || panic!("on purpose: source"));
    let (result, _) = run(source, None);
    assert!(
        matches!(result, Err(PipelineError::SourcePanicked)),
        "{result:?}"
    );

    let model = detector(|| panic!("on purpose: model"));
    let result = pipeline(model, FakeSink::default()).run(once(true, counting(u64::MAX)));
    assert!(
        matches!(result, Err(PipelineError::ModelPanicked)),
        "{result:?}"
    );

    let sink = FakeSink::new(|_, _| panic!("on purpose: sink"));
    let result = pipeline(detector(|| {}), sink).run(once(true, counting(u64::MAX)));
    assert!(
        matches!(result, Err(PipelineError::SinkPanicked)),
        "{result:?}"
    );
}

#[test]
fn a_slow_model_does_not_delay_the_display() {
    // The model processes its first frame until the display has shown ten.
    let (release, wait) = channel::<()>();
    let slow = detector(move || {
        let _ = wait.recv();
    });
    let mut release = Some(release);
    let mut display = FakeSink::new(move |frame, _| {
        if frame.sequence >= 10 {
            release.take();
        }
        Ok(())
    });
    let calls = display.calls();
    let summary = Pipeline {
        display: Some(&mut display),
        max_frames: NonZeroU64::new(3),
        ..pipeline(slow, FakeSink::default())
    }
    .run(once(true, {
        let mut frames = counting(u64::MAX);
        move || {
            std::thread::sleep(Duration::from_millis(15));
            frames()
        }
    }));
    assert_eq!(summary.expect("done").frames, 3);
    let calls = calls.lock();
    let first = calls.shown.iter().position(|&number| number >= 10);
    let waiting = &calls.reports[..first.expect("shown")];
    assert!(!waiting.is_empty(), "{:?}", calls.shown);
    assert!(waiting.iter().all(|report| report.captured_at.is_none()));
    assert!(calls.shown.is_sorted(), "{:?}", calls.shown);
    let last = calls.reports.last().expect("shown");
    assert_eq!(last.capture, CaptureState::Live);
}

#[test]
fn the_display_shows_the_state_of_a_stalled_source() {
    let mut display = FakeSink::default();
    let calls = display.calls();
    let clock = TestClock::new();
    let (seen, time) = (Arc::clone(&calls), Arc::clone(&clock));
    let source = reopened(move |attempt| {
        let (seen, time) = (Arc::clone(&seen), Arc::clone(&time));
        let mut numbers = 0..3;
        Ok(fake(move || {
            let next = numbers.next().map(frame);
            // A display that starts late would miss the first state.
            wait_until(|| !seen.lock().reports.is_empty());
            if attempt == 0 && next.is_some() {
                return Ok(next);
            }
            if attempt == 0 {
                time.advance(STALL);
            }
            wait_until(|| seen.lock().reports.iter().any(is_interrupted));
            next.map_or_else(|| Err(unplugged()), |next| Ok(Some(next)))
        }))
    });
    let pipeline = Pipeline {
        display: Some(&mut display),
        max_frames: NonZeroU64::new(4),
        clock,
        ..pipeline(
            detector(|| std::thread::sleep(Duration::from_millis(5))),
            FakeSink::default(),
        )
    };
    pipeline.run(source).expect("done");
    let calls = calls.lock();
    // A black image before the first frame.
    assert_eq!(calls.reports[0].capture, CaptureState::Starting);
    assert_eq!(calls.state_names()[..3], ["live", "stalled", "reopening"]);
}

/// Sets a flag when it is dropped, which is when a sink writes what it has left.
struct DropFlag(Arc<AtomicBool>);

impl Sink for DropFlag {
    fn show(&mut self, _: &PublicFrame, _: &Report) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hanging_sink_does_not_keep_others_from_finishing() {
    let (keep, wait) = channel::<()>();
    let hanging = FakeSink::new(move |_, _| {
        // Until the test is over.
        let _ = wait.recv();
        Ok(())
    });
    let is_dropped = Arc::new(AtomicBool::new(false));
    let mut pipeline = pipeline(detector(|| {}), hanging);
    let flag = DropFlag(Arc::clone(&is_dropped));
    pipeline.sinks.push(Box::new(flag));
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(500);
    pipeline.run(once(true, counting(3))).expect("done");
    assert!(is_dropped.load(Ordering::Relaxed));
    drop(keep);
}
