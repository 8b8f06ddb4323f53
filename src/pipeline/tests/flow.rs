//! Frames through the pipeline when nothing is wrong with the source, and how a run ends.

use super::*;

#[test]
fn a_replayed_source_loses_nothing() {
    let (outcome, told) = run(input(false, counting(50)), None);
    let expected = Outcome {
        frames: 50,
        skipped: 0,
        dropped: 0,
    };
    assert_eq!(outcome.expect("done"), expected);
    assert_eq!(told.shown, (0..50).collect::<Vec<_>>());
    let report = &told.reports[49];
    assert_eq!(
        (report.label(), &*report.model_hash),
        (Some("apple"), "0badcafe")
    );
    assert!(told.reports[0].frames_per_second.is_none() && report.frames_per_second.is_some());
    assert!(report.frame_age >= report.inference);
    assert!(
        told.lingered,
        "who looks may go on looking at the last frame"
    );
}

#[test]
fn the_threshold_is_applied() {
    for is_live in [false, true] {
        let sink = FakeSink::default();
        let told = sink.told();
        let pipeline = Pipeline {
            threshold: Some(0.8),
            ..pipeline(detector(|| {}), sink)
        };
        pipeline.run(input(is_live, counting(1))).expect("done");
        assert_eq!(told.lock().expect("sound").reports[0].detection, None);
    }
}

#[test]
fn the_newest_frame_of_a_live_source_wins_and_drops_are_counted() {
    let (all_given, wait): (_, Receiver<()>) = channel();
    let mut frames = counting(100);
    let live = input(true, move || {
        let next = frames()?;
        if next.is_none() {
            all_given.send(()).expect("the detector waits");
        }
        Ok(next)
    });
    // The model is busy with its first frame until the source has given all.
    let mut wait = Some(wait);
    let slow = detector(move || {
        if let Some(wait) = wait.take() {
            wait.recv().expect("the source ends");
        }
    });
    let sink = FakeSink::default();
    let told = sink.told();
    let pipeline = pipeline(slow, sink);
    let health = Arc::clone(&pipeline.health);
    let outcome = pipeline.run(live).expect("done");
    let told = told.lock().expect("sound");
    assert_eq!(told.shown.last(), Some(&99));
    assert!(outcome.frames <= 2, "{outcome:?}");
    assert_eq!(outcome.frames + outcome.dropped, 100);
    assert_eq!(
        told.reports.last().map(|r| r.dropped),
        Some(outcome.dropped)
    );
    assert_eq!(health.captured.get(), 100);
    assert_eq!(health.inferred.get(), outcome.frames);
    assert_eq!(health.status().model, "0badcafe");
}

#[test]
fn pictures_that_cannot_be_read_do_not_end_a_run() {
    let unreadable = PictureError::Empty {
        path: "x.jpg".into(),
    };
    let mut steps = vec![Ok(None), Ok(Some(frame(5))), Err(unreadable.into())];
    let step = move || steps.pop().expect("nobody asks behind the end");
    let (ended, told) = run(input(false, step), None);
    let expected = Outcome {
        frames: 1,
        skipped: 1,
        dropped: 0,
    };
    assert_eq!(ended.expect("done"), expected);
    assert_eq!(told.shown, [5]);
    assert!(told.skipped[0].contains("x.jpg"));
}

#[test]
fn a_source_that_fails_ends_the_run_with_its_error() {
    for is_live in [false, true] {
        let (ended, _) = run(input(is_live, || Err(unplugged())), None);
        let error = ended.expect_err("failed");
        assert_eq!(error.to_string(), "camera /dev/video7: was unplugged");
    }
}

#[test]
fn the_frame_before_an_error_is_still_looked_at() {
    let mut steps = vec![Err(unplugged()), Ok(Some(frame(3)))];
    let step = move || steps.pop().expect("nobody asks behind an error");
    let (ended, told) = run(input(true, step), None);
    assert!(matches!(ended, Err(PipelineError::Source(_))), "{ended:?}");
    assert_eq!(told.shown, [3]);
}

#[test]
fn a_limit_of_frames_ends_the_run() {
    for is_live in [false, true] {
        let (outcome, told) = run(input(is_live, counting(u64::MAX)), Some(3));
        assert_eq!(outcome.expect("done").frames, 3);
        assert_eq!(told.shown.len(), 3);
        assert!(!told.lingered, "enough is enough");
    }
}

#[test]
fn a_sink_that_nobody_looks_at_ends_the_run() {
    for is_live in [false, true] {
        let sink = FakeSink::new(|_, report| match report.sequence {
            4.. => Err(SinkError::Closed),
            _ => Ok(()),
        });
        let told = sink.told();
        let pipeline = pipeline(detector(|| {}), sink);
        let ended = pipeline.run(input(is_live, counting(u64::MAX)));
        let shown = told.lock().expect("sound").shown.clone();
        assert!(shown.iter().all(|&number| number < 4), "{shown:?}");
        let outcome = ended.expect("done");
        assert!(is_live || outcome.frames == 4, "{outcome:?}");
    }
}

#[test]
fn a_stop_ends_the_run_though_the_source_never_answers() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (_keep, never): (_, Receiver<()>) = channel();
    let silent = input(true, move || {
        never.recv().expect("kept open");
        Ok(None)
    });
    let stopper = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(100));
        STOP.store(true, Ordering::Relaxed);
    });
    let pipeline = Pipeline {
        stop: &STOP,
        ..pipeline(detector(|| {}), FakeSink::default())
    };
    assert_eq!(pipeline.run(silent).expect("stopped"), Outcome::default());
    stopper.join().expect("sound");
}

#[test]
fn a_stop_lets_the_frame_at_hand_be_finished() {
    static STOPS: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
    for (is_live, stop) in [false, true].into_iter().zip(&STOPS) {
        let sink = FakeSink::default();
        let told = sink.told();
        let pipeline = Pipeline {
            stop,
            ..pipeline(detector(move || stop.store(true, Ordering::Relaxed)), sink)
        };
        let ended = pipeline.run(input(is_live, counting(u64::MAX)));
        let outcome = ended.expect("stopped");
        let told = told.lock().expect("sound");
        assert_eq!(told.shown.len() as u64, outcome.frames);
        if is_live {
            // The first one may have been dropped for a newer one before the model was there to take it.
            assert!(outcome.frames >= 1, "the frame at hand is finished");
        } else {
            assert_eq!(told.shown, [0], "the frame at hand is finished");
        }
    }
}

#[test]
fn what_the_model_cannot_take_is_an_error() {
    let empty = || Ok(Some(Frame::new(0, Origin::Live, RgbImage::new(0, 9))));
    let (ended, _) = run(input(false, empty), None);
    assert!(matches!(ended, Err(PipelineError::Preprocess(_))));
}

#[test]
fn what_is_still_there_leaves_at_the_end() {
    for is_live in [false, true] {
        let sink = FakeSink::default();
        let told = sink.told();
        let pipeline = Pipeline {
            is_tracked: true,
            ..pipeline(detector(|| {}), sink)
        };
        let health = Arc::clone(&pipeline.health);
        let mut number = 0;
        let step = move || {
            number += 1;
            std::thread::sleep(Duration::from_millis(10));
            let position = Some(Duration::from_millis(20 * number));
            let next = Frame {
                position,
                ..frame(number)
            };
            Ok((number < 60).then_some(next))
        };
        pipeline.run(input(is_live, step)).expect("done");
        let told = told.lock().expect("sound");
        let events = told.reports.iter().flat_map(|report| &report.events);
        let names: Vec<_> = events.map(|event| event.kind.name()).collect();
        assert_eq!(names, ["appeared"], "is_live: {is_live}");
        assert_eq!(told.left.len(), 1);
        assert_eq!(told.left[0].events[0].kind.name(), "left");
        assert_eq!(told.left[0].shown(), None);
        assert_eq!(health.appeared.get(), 1);
        assert!(told.reports.last().is_some_and(|r| r.shown().is_some()));
    }
}

#[test]
fn a_newer_model_takes_over_between_two_frames() {
    for is_live in [false, true] {
        let (send, newer_models) = channel::<Box<dyn Detector>>();
        let mut asked = 0;
        let old = detector(move || {
            asked += 1;
            if asked == 30 {
                let mut newer = detector(|| {});
                newer.hash = "11111111";
                newer.card.threshold = 0.9;
                send.send(newer).expect("somebody waits");
            }
        });
        let sink = FakeSink::default();
        let told = sink.told();
        let pipeline = Pipeline {
            newer_models: Some(newer_models),
            is_tracked: true,
            frames: NonZeroU64::new(40),
            ..pipeline(old, sink)
        };
        let health = Arc::clone(&pipeline.health);
        let mut frames = counting(u64::MAX);
        let paced = move || {
            std::thread::sleep(Duration::from_millis(15));
            frames()
        };
        pipeline.run(input(is_live, paced)).expect("done");
        let told = told.lock().expect("sound");
        let hashes: Vec<_> = told.reports.iter().map(|r| &*r.model_hash).collect();
        assert_eq!(
            hashes,
            [["0badcafe"; 30].as_slice(), &["11111111"; 10]].concat()
        );
        assert!(told.reports[29].detection.is_some());
        assert_eq!(told.reports[30].detection, None, "its own threshold counts");
        assert_eq!(told.left.len(), 1, "what the old model saw has left");
        assert_eq!(&*told.left[0].model_hash, "0badcafe");
        assert_eq!(health.models_swapped.get(), 1);
        assert_eq!(health.status().model, "11111111");
    }
}
