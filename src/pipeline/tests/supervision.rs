//! Sources that hang, disappear, send unreadable data or change.

use super::*;

/// Runs until the model has processed this number of frames. Returns the calls of the sink and the health.
fn watch(clock: Arc<TestClock>, source: SourceConfig, max_frames: u64) -> (Calls, Arc<Health>) {
    let sink = FakeSink::default();
    let calls = sink.calls();
    let pipeline = Pipeline {
        max_frames: NonZeroU64::new(max_frames),
        clock,
        ..pipeline(detector(|| {}), sink)
    };
    let health = Arc::clone(&pipeline.health);
    pipeline.run(source).expect("done");
    let calls = std::mem::take(&mut *calls.lock());
    (calls, health)
}

/// A source that delivers three frames and then calls `next_frame`.
fn three_then(
    mut next_frame: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Box<FakeSource> {
    let mut numbers = 0..3;
    fake(move || match numbers.next() {
        Some(number) => {
            // Time for the model.
            std::thread::sleep(Duration::from_millis(5));
            Ok(Some(frame(number)))
        }
        None => next_frame(),
    })
}

/// A source that delivers three frames and then hangs until it is interrupted, while the clock advances by `time`. The
/// flag tells whether it was interrupted.
fn hanging(clock: &Arc<TestClock>, time: Duration) -> (Box<FakeSource>, Arc<AtomicBool>) {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let (flag, clock) = (Arc::clone(&is_interrupted), Arc::clone(clock));
    let mut source = three_then(move || {
        clock.advance(time);
        wait_until(|| flag.load(Ordering::Relaxed));
        // A frame of a source that was given up is discarded.
        Ok(Some(frame(1_000_000)))
    });
    let flag = Arc::clone(&is_interrupted);
    source.cancel = Some(Arc::new(move || flag.store(true, Ordering::Relaxed)));
    (source, is_interrupted)
}

#[test]
fn a_hanging_source_is_interrupted_and_reopened() {
    let clock = TestClock::new();
    let (source, is_interrupted) = hanging(&clock, STALL);
    let mut first = Some(source);
    let source = reopened(move |_| Ok(first.take().unwrap_or_else(|| fake(counting(u64::MAX)))));
    let (calls, health) = watch(clock, source, 20);
    assert_eq!(
        calls.state_names(),
        ["live", "stalled", "reopening", "live"]
    );
    assert_eq!(calls.states[1].reason, "no frame for 3600 s");
    assert!(is_interrupted.load(Ordering::Relaxed));
    assert_eq!(health.reopened.get(), 1);
    assert!(calls.shown.is_sorted(), "{:?}", calls.shown);
    assert!(calls.shown.iter().all(|&number| number < 1_000_000));
}

#[test]
fn the_first_frame_may_have_a_longer_timeout() {
    let clock = TestClock::new();
    let time = Arc::clone(&clock);
    let source = reopened(move |_| {
        let (time, mut numbers) = (Arc::clone(&time), 0..);
        Ok(fake(move || {
            let number = numbers.next().expect("endless");
            if number == 0 {
                time.advance(STALL * 5);
                let waits = time.waits_of("supervisor");
                wait_until(|| time.waits_of("supervisor") > waits + 2);
            }
            Ok(Some(frame(number)))
        }))
    });
    let sink = FakeSink::default();
    let calls = sink.calls();
    let pipeline = Pipeline {
        max_frames: NonZeroU64::new(3),
        clock,
        timeouts: Timeouts {
            first_frame: STALL * 10,
            ..TEST_TIMEOUTS
        },
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.run(source).expect("done");
    assert_eq!(calls.lock().state_names(), ["live"]);
}

#[test]
fn what_the_program_behind_a_source_said_is_in_the_reason_of_a_stall() {
    let clock = TestClock::new();
    let (mut source, _) = hanging(&clock, STALL);
    source.message = Some("rpicam-vid says: timeout".to_owned());
    let mut first = Some(source);
    let source = reopened(move |_| Ok(first.take().unwrap_or_else(|| fake(counting(u64::MAX)))));
    let (calls, _) = watch(clock, source, 20);
    let reason = "no frame for 3600 s; rpicam-vid says: timeout";
    assert_eq!(calls.states[1].reason, reason);
    assert_eq!(calls.states[2].reason, reason);
}

#[test]
fn a_source_that_disappears_is_reopened() {
    let source = reopened(|attempt| match attempt {
        0 => Ok(three_then(|| Err(unplugged()))),
        1..6 => Err(unplugged()),
        6 => Ok(three_then(|| Ok(None))),
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (calls, health) = watch(TestClock::new(), source, 20);
    // A failed attempt is not a change of state.
    assert_eq!(
        calls.state_names(),
        ["live", "reopening", "live", "reopening", "live"]
    );
    assert_eq!(calls.states[1].reason, "camera /dev/video7: was unplugged");
    assert_eq!(calls.states[3].reason, "the source has ended");
    assert_eq!(health.reopened.get(), 2);
    assert!(calls.shown.is_sorted());
}

#[test]
fn a_source_with_only_unreadable_frames_stalls() {
    let clock = TestClock::new();
    let time = Arc::clone(&clock);
    let source = reopened(move |attempt| match attempt {
        0 => {
            let (time, mut count) = (Arc::clone(&time), 0);
            Ok(three_then(move || {
                count += 1;
                if count == 5 {
                    time.advance(STALL);
                }
                Err(unreadable())
            }))
        }
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (calls, health) = watch(clock, source, 20);
    assert_eq!(
        calls.state_names(),
        ["live", "stalled", "reopening", "live"]
    );
    let reason = &calls.states[1].reason;
    assert!(
        reason.starts_with("no readable frame for 3600 s, "),
        "{reason}"
    );
    assert!(reason.contains("no JPEG"), "{reason}");
    assert!(health.broken.get() > 3);
}

#[test]
fn unreadable_frames_between_readable_ones_are_only_counted() {
    let mut number = 0;
    let source = reopened(move |_| {
        Ok(fake(move || {
            number += 1;
            match number % 3 {
                0 => Ok(Some(frame(number))),
                1 => Err(unreadable()),
                _ => Ok(Some(Frame::new(number, Origin::Live, RgbImage::new(0, 4)))),
            }
        }))
    });
    let (calls, health) = watch(TestClock::new(), source, 10);
    assert_eq!(calls.state_names(), ["live"]);
    assert!(health.broken.get() >= 20, "{}", health.broken.get());
}

#[test]
fn a_reopened_source_may_have_another_frame_size() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let sink = FakeSink::new(move |frame, _| {
        let mut sizes = seen.lock();
        sizes.push(frame.image.dimensions());
        sizes.dedup();
        Ok(())
    });
    let source = reopened(|attempt| match attempt {
        0 => Ok(three_then(|| Err(unplugged()))),
        _ => Ok(fake(|| {
            Ok(Some(Frame::new(0, Origin::Live, RgbImage::new(7, 3))))
        })),
    });
    let pipeline = Pipeline {
        max_frames: NonZeroU64::new(20),
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.run(source).expect("done");
    assert_eq!(*sizes.lock(), [(2, 2), (7, 3)]);
}

#[test]
fn a_source_that_cannot_be_opened_ends_the_run_unless_wait_is_set() {
    let (result, _) = run(reopened(|_| Err(unplugged())), None);
    assert!(
        matches!(result, Err(PipelineError::Source(_))),
        "{result:?}"
    );

    let mut source = reopened(|attempt| match attempt {
        0..4 => Err(unplugged()),
        _ => Ok(fake(counting(u64::MAX))),
    });
    if let SourceConfig::Live(source) = &mut source {
        source.wait = true;
    }
    let (calls, _) = watch(TestClock::new(), source, 3);
    assert_eq!(calls.state_names(), ["starting", "live"]);
    assert_eq!(calls.states[0].reason, "camera /dev/video7: was unplugged");
}

#[test]
fn a_source_that_panics_is_reopened() {
    let source = reopened(|attempt| match attempt {
        0 => Ok(three_then(|| panic!("on purpose"))),
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (calls, _) = watch(TestClock::new(), source, 20);
    assert_eq!(calls.state_names(), ["live", "reopening", "live"]);
}

#[test]
fn a_source_that_is_not_reopened_may_be_silent_for_long() {
    let clock = TestClock::new();
    let sink = FakeSink::default();
    let (calls, seen, time) = (sink.calls(), sink.calls(), Arc::clone(&clock));
    let mut numbers = 0..10;
    let quiet = once(true, move || {
        let next = numbers.next().map(frame);
        if next.as_ref().is_some_and(|frame| frame.sequence == 5) {
            time.advance(STALL * 5);
            wait_until(|| seen.lock().state_names().contains(&"stalled"));
        }
        Ok(next)
    });
    let pipeline = Pipeline {
        clock,
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.run(quiet).expect("done");
    let calls = calls.lock();
    assert_eq!(calls.state_names(), ["live", "stalled", "live"]);
    assert_eq!(calls.shown.last(), Some(&9));
}

#[test]
fn the_number_of_detached_threads_is_limited() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let clock = TestClock::new();
    let (keep, never) = channel::<()>();
    let never = Arc::new(Mutex::new(never));
    let opened = Arc::new(Mutex::new(0));
    let blocked = Arc::new(Mutex::new(0));
    let (count, blocks, time) = (
        Arc::clone(&opened),
        Arc::clone(&blocked),
        Arc::clone(&clock),
    );
    let source = reopened(move |_| {
        *count.lock() += 1;
        let (never, blocks, time) = (Arc::clone(&never), Arc::clone(&blocks), Arc::clone(&time));
        Ok(three_then(move || {
            *blocks.lock() += 1;
            time.advance(STALL);
            // Nothing interrupts this.
            let _ = never.lock().recv();
            Ok(None)
        }))
    });
    let time = Arc::clone(&clock);
    let observer = std::thread::spawn(move || {
        wait_until(|| *blocked.lock() >= 3);
        // The supervisor waits for a free thread again and again, and opens no fourth source.
        let waits = time.waits_of("supervisor");
        wait_until(|| {
            time.advance(STALL);
            time.waits_of("supervisor") > waits + 100
        });
        STOP.store(true, Ordering::Relaxed);
    });
    let mut pipeline = Pipeline {
        stop: &STOP,
        clock,
        ..pipeline(detector(|| {}), FakeSink::default())
    };
    pipeline.timeouts.shutdown_timeout = Duration::from_millis(100);
    pipeline.run(source).expect("stopped");
    observer.join().expect("no panic");
    assert_eq!(*opened.lock(), 3);
    drop(keep);
}

#[test]
fn the_current_track_leaves_after_a_gap() {
    let clock = TestClock::new();
    let sink = FakeSink::default();
    let (calls, seen, time) = (sink.calls(), sink.calls(), Arc::clone(&clock));
    let mut frames = PacedFrames::new(sink.calls());
    let source = once(true, move || {
        if frames.next < 20 {
            return Ok(Some(frames.next()));
        }
        wait_until(|| seen.lock().shown.len() == 20);
        assert!(seen.lock().track_ends.is_empty());
        time.advance(TEST_TIMEOUTS.leave_after_gap);
        wait_until(|| !seen.lock().track_ends.is_empty());
        Ok(None)
    });
    let pipeline = Pipeline {
        track: true,
        clock,
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.run(source).expect("done");
    assert_eq!(calls.lock().track_ends.len(), 1);
}

/// A source that delivered frames and now hangs at each start is given up after the short timeout.
#[test]
fn a_source_that_hangs_at_its_start_is_retried_soon() {
    let clock = TestClock::new();
    let time = Arc::clone(&clock);
    let source = reopened(move |attempt| {
        if (1..4).contains(&attempt) {
            // Between the short and the long timeout for the first frame.
            let mut source = hanging(&time, STALL * 3).0;
            for _ in 0..3 {
                source.next_frame()?;
            }
            return Ok(source);
        }
        Ok(match attempt {
            0 => three_then(|| Ok(None)),
            _ => fake(counting(u64::MAX)),
        })
    });
    let (calls, health) = watch(clock, source, 6);
    assert_eq!(health.reopened.get(), 4);
    // A failed attempt is not a change of state.
    assert_eq!(calls.state_names(), ["live", "reopening", "live"]);
}
