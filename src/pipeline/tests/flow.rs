//! Frames through the pipeline without failures, and the ends of a run.

use super::*;

#[test]
fn an_offline_run_drops_no_frame() {
    let mut display = FakeSink::default();
    let (sink, displayed) = (FakeSink::default(), display.calls());
    let calls = sink.calls();
    let pipeline = Pipeline {
        display: Some(&mut display),
        ..pipeline(detector(|| {}), sink)
    };
    let result = pipeline.run(once(false, counting(50)));
    let expected = RunSummary {
        frames: 50,
        skipped: 0,
        dropped: 0,
    };
    assert_eq!(result.expect("done"), expected);
    let calls = calls.lock();
    assert_eq!(calls.shown, (0..50).collect::<Vec<_>>());
    let report = &calls.reports[49];
    assert_eq!(
        (report.label(), &*report.model_hash),
        (Some("apple"), "0badcafe")
    );
    assert!(calls.reports[0].frames_per_second.is_none() && report.frames_per_second.is_some());
    assert!(report.frame_age >= report.inference);
    assert!(displayed.lock().waited_until_closed);
}

#[test]
fn the_threshold_applies() {
    for is_live in [false, true] {
        let sink = FakeSink::default();
        let calls = sink.calls();
        let pipeline = Pipeline {
            threshold: Some(0.8),
            ..pipeline(detector(|| {}), sink)
        };
        pipeline.run(once(is_live, counting(1))).expect("done");
        assert_eq!(calls.lock().reports[0].detection, None);
    }
}

#[test]
fn a_live_run_processes_the_newest_frame_and_counts_dropped_ones() {
    let (all_delivered, wait): (_, Receiver<()>) = channel();
    let mut frames = counting(100);
    let live = once(true, move || {
        let next = frames()?;
        if next.is_none() {
            all_delivered.send(()).expect("the detector waits");
        }
        Ok(next)
    });
    // The model processes its first frame until the source has delivered all.
    let mut wait = Some(wait);
    let slow = detector(move || {
        if let Some(wait) = wait.take() {
            wait.recv().expect("the source ends");
        }
    });
    let sink = FakeSink::default();
    let calls = sink.calls();
    let pipeline = pipeline(slow, sink);
    let health = Arc::clone(&pipeline.health);
    let summary = pipeline.run(live).expect("done");
    let calls = calls.lock();
    assert_eq!(calls.shown.last(), Some(&99));
    assert!(summary.frames <= 2, "{summary:?}");
    assert_eq!(summary.frames + summary.dropped, 100);
    assert_eq!(
        calls.reports.last().map(|report| report.dropped),
        Some(summary.dropped)
    );
    assert_eq!(health.captured.get(), 100);
    assert_eq!(health.inferred.get(), summary.frames);
    assert_eq!(health.status().model, "0badcafe");
}

#[test]
fn an_unreadable_picture_does_not_end_a_run() {
    let empty = PictureError::Empty {
        path: "x.jpg".into(),
    };
    let mut results = vec![Ok(None), Ok(Some(frame(5))), Err(empty.into())];
    let next_frame = move || results.pop().expect("no call after the end");
    let (result, calls) = run(once(false, next_frame), None);
    let expected = RunSummary {
        frames: 1,
        skipped: 1,
        dropped: 0,
    };
    assert_eq!(result.expect("done"), expected);
    assert_eq!(calls.shown, [5]);
    assert!(calls.skipped[0].contains("x.jpg"));
}

#[test]
fn a_failing_source_ends_the_run_with_its_error() {
    for is_live in [false, true] {
        let (result, _) = run(once(is_live, || Err(unplugged())), None);
        let error = result.expect_err("failed");
        assert_eq!(error.to_string(), "camera /dev/video7: was unplugged");
    }
}

#[test]
fn the_frame_before_an_error_is_still_processed() {
    let mut results = vec![Err(unplugged()), Ok(Some(frame(3)))];
    let next_frame = move || results.pop().expect("no call after an error");
    let (result, calls) = run(once(true, next_frame), None);
    assert!(
        matches!(result, Err(PipelineError::Source(_))),
        "{result:?}"
    );
    assert_eq!(calls.shown, [3]);
}

#[test]
fn max_frames_ends_the_run() {
    for is_live in [false, true] {
        let (result, calls) = run(once(is_live, counting(u64::MAX)), Some(3));
        assert_eq!(result.expect("done").frames, 3);
        assert_eq!(calls.shown.len(), 3);
    }
}

#[test]
fn a_closed_sink_ends_the_run() {
    for is_live in [false, true] {
        let sink = FakeSink::new(|_, report| match report.sequence {
            4.. => Err(SinkError::Closed),
            _ => Ok(()),
        });
        let calls = sink.calls();
        let pipeline = pipeline(detector(|| {}), sink);
        let result = pipeline.run(once(is_live, counting(u64::MAX)));
        let shown = calls.lock().shown.clone();
        assert!(shown.iter().all(|&number| number < 4), "{shown:?}");
        let summary = result.expect("done");
        assert!(is_live || summary.frames == 4, "{summary:?}");
    }
}

#[test]
fn stop_ends_the_run_of_a_source_that_never_returns() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (_keep, never): (_, Receiver<()>) = channel();
    let silent = once(true, move || {
        STOP.store(true, Ordering::Relaxed);
        never.recv().expect("kept open");
        Ok(None)
    });
    let mut pipeline = Pipeline {
        stop: &STOP,
        ..pipeline(detector(|| {}), FakeSink::default())
    };
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(100);
    let summary = pipeline.run(silent).expect("stopped");
    assert_eq!(summary, RunSummary::default());
}

#[test]
fn stop_lets_the_model_finish_its_frame() {
    static STOPS: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
    for (is_live, stop) in [false, true].into_iter().zip(&STOPS) {
        let sink = FakeSink::default();
        let calls = sink.calls();
        let pipeline = Pipeline {
            stop,
            ..pipeline(detector(move || stop.store(true, Ordering::Relaxed)), sink)
        };
        let result = pipeline.run(once(is_live, counting(u64::MAX)));
        let summary = result.expect("stopped");
        let calls = calls.lock();
        assert_eq!(calls.shown.len() as u64, summary.frames);
        if is_live {
            // The first frame may have been replaced by a newer one before the model took it.
            assert!(summary.frames >= 1);
        } else {
            assert_eq!(calls.shown, [0]);
        }
    }
}

#[test]
fn a_frame_that_cannot_be_preprocessed_is_an_error() {
    let empty = || Ok(Some(Frame::new(0, Origin::Live, RgbImage::new(0, 9))));
    let (result, _) = run(once(false, empty), None);
    assert!(matches!(result, Err(PipelineError::Preprocess(_))));
}

/// Runs a tracked pipeline on paced frames; `change` gets each frame. Returns the calls of the sink.
fn run_tracked(is_live: bool, count: u64, change: fn(&mut Frame)) -> (Calls, Arc<Health>) {
    let sink = FakeSink::default();
    let calls = sink.calls();
    let mut frames = PacedFrames::new(sink.calls());
    let pipeline = Pipeline {
        track: true,
        ..pipeline(detector(|| {}), sink)
    };
    let health = Arc::clone(&pipeline.health);
    let next_frame = move || {
        let mut frame = frames.next();
        change(&mut frame);
        Ok((frame.sequence < count).then_some(frame))
    };
    pipeline.run(once(is_live, next_frame)).expect("done");
    let calls = std::mem::take(&mut *calls.lock());
    (calls, health)
}

#[test]
fn the_current_track_leaves_at_the_end_of_the_run() {
    for is_live in [false, true] {
        let (calls, health) = run_tracked(is_live, 30, |_| {});
        let events = calls.reports.iter().flat_map(|report| &report.events);
        let names: Vec<_> = events.map(|event| event.kind.name()).collect();
        assert_eq!(names, ["appeared"], "is_live: {is_live}");
        assert_eq!(calls.track_ends.len(), 1);
        assert_eq!(calls.track_ends[0].events[0].kind.name(), "left");
        assert_eq!(calls.track_ends[0].shown().next(), None);
        assert_eq!(health.appeared.get(), 1);
        assert!(
            calls
                .reports
                .last()
                .is_some_and(|r| r.shown().next().is_some())
        );
    }
}

#[test]
fn a_new_scene_ends_the_track_of_the_old_one() {
    for is_live in [false, true] {
        let (calls, _) = run_tracked(is_live, 40, |frame| {
            frame.scene_start = frame.sequence.is_multiple_of(20);
        });
        let first_of_new = &calls.reports[20];
        assert_eq!(first_of_new.shown().next(), None, "is_live: {is_live}");
        let [left] = first_of_new.events.as_slice() else {
            panic!("one event, not {:?}", first_of_new.events);
        };
        assert_eq!((left.kind.name(), left.track), ("left", 1));
        // Of the last frame of the old scene.
        assert_eq!(left.duration, Duration::from_millis(19 * 20));
        let last = calls.reports.last().expect("reports");
        let numbers: Vec<u64> = last.tracks.iter().map(|track| track.track).collect();
        assert_eq!((numbers, &last.numbers), (vec![2], &vec![Some(2)]));
    }
}

/// The model processes the first scene and then blocks, so that the display shows frames of the second scene while the
/// latest report is of the first.
#[test]
fn the_display_never_shows_the_old_detection_on_a_new_scene() {
    const NEW_SCENE: u64 = 20;
    const LAST: u64 = 30;
    let mut display = FakeSink::default();
    let displayed = display.calls();
    let sink = FakeSink::default();
    let processed = sink.calls();
    let seen = display.calls();
    let mut inferences = 0;
    let slow = detector(move || {
        inferences += 1;
        if inferences > NEW_SCENE {
            wait_until(|| seen.lock().shown.last() >= Some(&LAST));
        }
    });
    let mut frames = PacedFrames::new(sink.calls());
    let next_frame = move || {
        let number = frames.next;
        wait_until(|| number == 0 || displayed.lock().shown.last() >= Some(&(number - 1)));
        // The model blocks on the first frame of the new scene: later ones do not wait for it.
        let mut next = if number <= NEW_SCENE {
            frames.next()
        } else {
            frames.next += 1;
            frame(number)
        };
        next.scene_start = number == NEW_SCENE;
        Ok((number <= LAST).then_some(next))
    };
    let shown = display.calls();
    Pipeline {
        track: true,
        display: Some(&mut display),
        ..pipeline(slow, sink)
    }
    .run(once(true, next_frame))
    .expect("done");
    let shown = shown.lock();
    let of_old_scene = shown.shown.iter().position(|&number| number >= NEW_SCENE);
    let (old, new) = shown.reports.split_at(of_old_scene.expect("a new scene"));
    assert!(old.iter().any(|report| report.shown().next().is_some()));
    let new = new.iter().filter(|report| report.sequence < NEW_SCENE);
    let new: Vec<&Report> = new.collect();
    assert!(new.len() >= 10, "{}", new.len());
    let is_empty = |report: &&Report| report.shown().next().is_none() && report.detection.is_none();
    assert!(new.iter().all(is_empty));
    // The first frame of the scene was processed, or dropped for a later one: the track has ended either way.
    let processed = processed.lock();
    let events = processed.reports.iter().flat_map(|report| &report.events);
    let names: Vec<_> = events.map(|event| event.kind.name()).collect();
    assert_eq!(names[..2], ["appeared", "left"]);
}

#[test]
fn a_new_model_is_used_from_the_next_frame_on() {
    for is_live in [false, true] {
        let (send, new_models) = channel::<Box<dyn Detector>>();
        let mut inferences = 0;
        let old = detector(move || {
            inferences += 1;
            if inferences == 30 {
                let mut new = detector(|| {});
                new.hash = "11111111";
                new.card.threshold = 0.9;
                send.send(new).expect("received");
            }
        });
        let sink = FakeSink::default();
        let calls = sink.calls();
        let mut frames = PacedFrames::new(sink.calls());
        let pipeline = Pipeline {
            new_models: Some(new_models),
            track: true,
            max_frames: NonZeroU64::new(40),
            ..pipeline(old, sink)
        };
        let health = Arc::clone(&pipeline.health);
        let next_frame = move || Ok(Some(frames.next()));
        pipeline.run(once(is_live, next_frame)).expect("done");
        let calls = calls.lock();
        let hashes: Vec<_> = calls.reports.iter().map(|r| &*r.model_hash).collect();
        assert_eq!(
            hashes,
            [["0badcafe"; 30].as_slice(), &["11111111"; 10]].concat()
        );
        assert!(calls.reports[29].detection.is_some());
        assert_eq!(calls.reports[30].detection, None, "the new threshold");
        assert_eq!(calls.track_ends.len(), 1, "the track of the old model");
        assert_eq!(&*calls.track_ends[0].model_hash, "0badcafe");
        assert_eq!(health.models_swapped.get(), 1);
        assert_eq!(health.status().model, "11111111");
    }
}
