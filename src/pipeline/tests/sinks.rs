//! Outputs and the display next to a model: nobody waits for anybody.

use super::*;
use crate::pipeline::queue::{Item, Queue};

fn report(sequence: u64, has_events: bool) -> Arc<Report> {
    let labels = Arc::new(test_card(2).labels);
    let mut report = Report {
        sequence,
        ..Report::waiting(labels, "0badcafe".into())
    };
    if has_events {
        let mut tracker = crate::track::Tracker::new(crate::track::TrackSettings::new(0.5));
        let apple = Prediction::new(vec![0.75, 0.25], [0.0, 0.5, 0.0, 0.5]).expect("sound");
        let (start, time) = (Instant::now(), std::time::SystemTime::now());
        for step in 0..20 {
            let later = Duration::from_millis(100 * step);
            let (_, events) = tracker.update(&apple, start + later, time + later);
            report.events.extend(events);
        }
        assert_eq!(report.events.len(), 1);
    }
    Arc::new(report)
}

fn is_lost(report: &Report) -> bool {
    matches!(
        report.capture,
        CaptureState::Stalled | CaptureState::Reopening
    )
}

fn sequences(queue: &Queue) -> Vec<u64> {
    queue.close();
    let mut given = Vec::new();
    while let Some(item) = queue.pop() {
        match item {
            Item::Show(_, report) | Item::Left(_, report) => given.push(report.sequence),
            Item::State(_) => {}
        }
    }
    given
}

#[test]
fn a_full_queue_loses_old_plain_reports_and_keeps_events_in_order() {
    let queue = Queue::new(false);
    let image = Arc::new(frame(0));
    let mut lost = 0;
    for number in 0..100 {
        let report = report(number, number % 10 == 0);
        lost += queue.push(Item::Show(Arc::clone(&image), report));
    }
    let given = sequences(&queue);
    let expected = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90];
    let (events, plain): (Vec<u64>, Vec<u64>) = given.iter().partition(|&&number| number % 10 == 0);
    assert_eq!(events, expected);
    assert_eq!(plain, [92, 93, 94, 95, 96, 97, 98, 99]);
    assert!(given.is_sorted());
    assert_eq!(lost + given.len() as u64, 100);
}

#[test]
fn events_that_nobody_takes_are_bounded_too() {
    let queue = Queue::new(true);
    // 16 MiB each: four of them are 64 MiB, but the least number is kept.
    let image = Arc::new(Frame::new(0, Origin::Live, RgbImage::new(2048, 2731)));
    let mut lost = 0;
    for number in 0..30 {
        let item = Item::Show(Arc::clone(&image), report(number, number % 2 == 0));
        lost += queue.push(item);
    }
    assert_eq!(sequences(&queue), [14, 16, 18, 20, 22, 24, 26, 28]);
    assert_eq!(lost, 7, "plain reports were not wanted");
}

#[test]
fn a_slow_output_does_not_slow_the_model() {
    let (let_go, wait) = channel::<()>();
    let slow = FakeSink::new(move |_, _| {
        // Until the quick one has had all frames.
        let _ = wait.recv();
        Ok(())
    });
    let mut let_go = Some(let_go);
    let quick = FakeSink::new(move |_, report| {
        if report.sequence >= 199 {
            let_go.take();
        }
        Ok(())
    });
    let (slow_told, quick_told) = (slow.told(), quick.told());
    let mut pipeline = pipeline(detector(|| {}), slow);
    pipeline.outputs.push(Box::new(quick));
    let health = Arc::clone(&pipeline.health);
    let outcome = pipeline.run(input(true, counting(200))).expect("done");
    assert_eq!(outcome.frames + outcome.dropped, 200);
    let (slow, quick) = (
        slow_told.lock().expect("sound"),
        quick_told.lock().expect("sound"),
    );
    let lost = health.reports_lost.get();
    assert!(slow.shown.len() <= 9, "{:?}", slow.shown);
    assert_eq!(slow.shown.last(), Some(&199), "the newest wins");
    let reports = slow.shown.len() + quick.shown.len();
    assert_eq!(reports as u64 + lost, 2 * outcome.frames);
}

#[test]
fn an_output_that_hangs_does_not_keep_the_program() {
    let (_keep, wait) = channel::<()>();
    let hanging = FakeSink::new(move |_, _| {
        let _ = wait.recv();
        Ok(())
    });
    let mut pipeline = pipeline(detector(|| {}), hanging);
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(50);
    let health = Arc::clone(&pipeline.health);
    let outcome = pipeline.run(input(true, counting(20))).expect("done");
    let lost = health.reports_lost.get();
    // All but the one that hangs, if it got that far.
    assert!(lost <= outcome.frames && outcome.frames <= lost + 1);
}

#[test]
fn an_output_that_fails_ends_the_run() {
    let failing = FakeSink::new(|_, _| {
        Err(SinkError::Write {
            path: "out.jsonl".into(),
            source: std::io::Error::other("gone"),
        })
    });
    let ended = pipeline(detector(|| {}), failing).run(input(true, counting(u64::MAX)));
    let error = ended.expect_err("failed");
    assert!(error.to_string().starts_with("out.jsonl: can't be written"));
}

#[test]
fn panics_are_errors() {
    let source = input(true, || panic!("on purpose: source"));
    let (ended, _) = run(source, None);
    assert!(
        matches!(ended, Err(PipelineError::SourcePanicked)),
        "{ended:?}"
    );

    let model = detector(|| panic!("on purpose: model"));
    let ended = pipeline(model, FakeSink::default()).run(input(true, counting(u64::MAX)));
    assert!(
        matches!(ended, Err(PipelineError::ModelPanicked)),
        "{ended:?}"
    );

    let output = FakeSink::new(|_, _| panic!("on purpose: output"));
    let ended = pipeline(detector(|| {}), output).run(input(true, counting(u64::MAX)));
    assert!(
        matches!(ended, Err(PipelineError::OutputPanicked)),
        "{ended:?}"
    );
}

#[test]
fn a_slow_model_does_not_delay_the_display() {
    // The model is at its first frame until the display has shown ten.
    let (let_go, wait) = channel::<()>();
    let slow = detector(move || {
        let _ = wait.recv();
    });
    let mut let_go = Some(let_go);
    let mut display = FakeSink::new(move |frame, _| {
        if frame.sequence >= 10 {
            let_go.take();
        }
        Ok(())
    });
    let told = display.told();
    let outcome = Pipeline {
        display: Some(&mut display),
        frames: NonZeroU64::new(3),
        ..pipeline(slow, FakeSink::default())
    }
    .run(input(true, {
        let mut frames = counting(u64::MAX);
        move || {
            std::thread::sleep(Duration::from_millis(15));
            frames()
        }
    }));
    assert_eq!(outcome.expect("done").frames, 3);
    let told = told.lock().expect("sound");
    let first = told.shown.iter().position(|&number| number >= 10);
    let waiting = &told.reports[..first.expect("shown")];
    assert!(!waiting.is_empty(), "{:?}", told.shown);
    assert!(waiting.iter().all(|report| report.captured_at.is_none()));
    assert!(told.shown.is_sorted(), "{:?}", told.shown);
    let last = told.reports.last().expect("shown");
    assert_eq!(last.capture, CaptureState::Live);
}

#[test]
fn a_display_shows_the_state_while_no_frame_comes() {
    let mut display = FakeSink::default();
    let told = display.told();
    let seen = Arc::clone(&told);
    let source = reopened(move |attempt| {
        let seen = Arc::clone(&seen);
        let mut numbers = 0..3;
        Ok(fake(move || {
            let next = numbers.next().map(frame);
            // A display that gets its first turn late would begin with what comes after.
            wait_until(|| !seen.lock().expect("sound").reports.is_empty());
            if attempt == 0 && next.is_some() {
                return Ok(next);
            }
            // Silent until the display has shown that.
            wait_until(|| seen.lock().expect("sound").reports.iter().any(is_lost));
            next.map_or_else(|| Err(unplugged()), |next| Ok(Some(next)))
        }))
    });
    let pipeline = Pipeline {
        display: Some(&mut display),
        frames: NonZeroU64::new(4),
        ..pipeline(
            detector(|| std::thread::sleep(Duration::from_millis(5))),
            FakeSink::default(),
        )
    };
    pipeline.run(source).expect("done");
    let told = told.lock().expect("sound");
    assert_eq!(
        told.reports[0].capture,
        CaptureState::Starting,
        "a black picture"
    );
    let states: Vec<_> = told
        .states
        .iter()
        .map(|change| change.state.name())
        .collect();
    assert_eq!(states[..3], ["live", "stalled", "reopening"]);
}

/// Tells when it is dropped, which is when it says its last words.
struct Farewell(Arc<AtomicBool>);

impl Sink for Farewell {
    fn show(&mut self, _: &Frame, _: &Report) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_output_that_hangs_lets_the_others_end_well() {
    let (keep, wait) = channel::<()>();
    let hanging = FakeSink::new(move |_, _| {
        // Until the test is over.
        let _ = wait.recv();
        Ok(())
    });
    let has_ended = Arc::new(AtomicBool::new(false));
    let mut pipeline = pipeline(detector(|| {}), hanging);
    pipeline
        .outputs
        .push(Box::new(Farewell(Arc::clone(&has_ended))));
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(500);
    pipeline.run(input(true, counting(3))).expect("done");
    assert!(has_ended.load(Ordering::Relaxed));
    drop(keep);
}
