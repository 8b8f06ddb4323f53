//! Sources that hang, vanish, send garbage or change, and what the pipeline does about them.

use super::*;

/// Runs until so many frames have been through the model; gives what the output was told, the health and the
/// names of the states in order.
fn watch(input: Input, frames: u64) -> (Told, Arc<Health>, Vec<&'static str>) {
    let sink = FakeSink::default();
    let told = sink.told();
    let pipeline = Pipeline {
        frames: NonZeroU64::new(frames),
        ..pipeline(detector(|| {}), sink)
    };
    let health = Arc::clone(&pipeline.health);
    pipeline.run(input).expect("done");
    let told = std::mem::take(&mut *told.lock().expect("sound"));
    let names = told.states.iter().map(|change| change.state.name());
    let names = names.collect();
    (told, health, names)
}

/// A source of three frames which then does that for ever.
fn then(
    mut last: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Box<FakeSource> {
    let mut numbers = 0..3;
    fake(move || match numbers.next() {
        Some(number) => {
            // Time for the model.
            std::thread::sleep(Duration::from_millis(5));
            Ok(Some(frame(number)))
        }
        None => last(),
    })
}

fn hanging() -> (Box<FakeSource>, Arc<AtomicBool>) {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_interrupted);
    let mut source = then(move || {
        while !flag.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Nobody listens to what a source says that was given up.
        Ok(Some(frame(1_000_000)))
    });
    let flag = Arc::clone(&is_interrupted);
    source.interrupter = Some(Arc::new(move || flag.store(true, Ordering::Relaxed)));
    (source, is_interrupted)
}

#[test]
fn a_source_that_hangs_is_given_up_and_opened_again() {
    let (source, is_interrupted) = hanging();
    let mut first = Some(source);
    let source = reopened(move |_| Ok(first.take().unwrap_or_else(|| fake(counting(u64::MAX)))));
    let (told, health, states) = watch(source, 20);
    assert_eq!(states, ["live", "stalled", "reopening", "live"]);
    assert_eq!(told.states[1].reason, "no frame for 0.3 s");
    assert!(is_interrupted.load(Ordering::Relaxed));
    assert_eq!(health.reopened.get(), 1);
    assert!(told.shown.is_sorted(), "numbers go on: {:?}", told.shown);
    assert!(told.shown.iter().all(|&number| number < 1_000_000));
}

#[test]
fn a_source_that_vanishes_is_opened_again_when_it_is_back() {
    let source = reopened(|attempt| match attempt {
        0 => Ok(then(|| Err(unplugged()))),
        1..6 => Err(unplugged()),
        6 => Ok(then(|| Ok(None))),
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (told, health, states) = watch(source, 20);
    // An attempt that fails is no news.
    assert_eq!(states, ["live", "reopening", "live", "reopening", "live"]);
    assert_eq!(told.states[1].reason, "camera /dev/video7: was unplugged");
    assert_eq!(told.states[3].reason, "the source has ended");
    assert_eq!(health.reopened.get(), 2);
    assert!(told.shown.is_sorted());
}

#[test]
fn nothing_but_garbage_is_a_stall() {
    let source = reopened(|attempt| match attempt {
        0 => Ok(then(|| Err(garbage()))),
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (told, health, states) = watch(source, 20);
    assert_eq!(states, ["live", "stalled", "reopening", "live"]);
    let reason = &told.states[1].reason;
    assert!(
        reason.starts_with("no whole frame for 0.3 s, but "),
        "{reason}"
    );
    assert!(
        reason.contains("skipping unreadable frame: no JPEG"),
        "{reason}"
    );
    assert!(health.broken.get() > 3);
}

#[test]
fn garbage_between_frames_is_counted_and_no_more() {
    let mut number = 0;
    let source = reopened(move |_| {
        Ok(fake(move || {
            number += 1;
            match number % 3 {
                0 => Ok(Some(frame(number))),
                1 => Err(garbage()),
                _ => Ok(Some(Frame::new(number, Origin::Live, RgbImage::new(0, 4)))),
            }
        }))
    });
    let (_, health, states) = watch(source, 10);
    assert_eq!(states, ["live"]);
    assert!(health.broken.get() >= 20, "{}", health.broken.get());
}

#[test]
fn a_source_may_come_back_with_another_size() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let sink = FakeSink::new(move |frame, _| {
        let mut sizes = seen.lock().expect("sound");
        sizes.push(frame.image.dimensions());
        sizes.dedup();
        Ok(())
    });
    let source = reopened(|attempt| match attempt {
        0 => Ok(then(|| Err(unplugged()))),
        _ => Ok(fake(|| {
            Ok(Some(Frame::new(0, Origin::Live, RgbImage::new(7, 3))))
        })),
    });
    let pipeline = Pipeline {
        frames: NonZeroU64::new(20),
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.run(source).expect("done");
    assert_eq!(*sizes.lock().expect("sound"), [(2, 2), (7, 3)]);
}

#[test]
fn a_source_that_is_never_there_ends_the_run_unless_it_is_waited_for() {
    let (ended, _) = run(reopened(|_| Err(unplugged())), None);
    assert!(matches!(ended, Err(PipelineError::Source(_))), "{ended:?}");

    let mut source = reopened(|attempt| match attempt {
        0..4 => Err(unplugged()),
        _ => Ok(fake(counting(u64::MAX))),
    });
    if let Input::Live { wait, .. } = &mut source {
        *wait = true;
    }
    let (told, _, states) = watch(source, 3);
    assert_eq!(states, ["starting", "live"]);
    assert_eq!(told.states[0].reason, "camera /dev/video7: was unplugged");
}

#[test]
fn a_source_that_panics_is_opened_again() {
    let source = reopened(|attempt| match attempt {
        0 => Ok(then(|| panic!("on purpose"))),
        _ => Ok(fake(counting(u64::MAX))),
    });
    let (_, _, states) = watch(source, 20);
    assert_eq!(states, ["live", "reopening", "live"]);
}

#[test]
fn a_source_that_is_not_opened_again_may_be_silent_for_long() {
    let mut numbers = 0..10;
    let quiet = input(true, move || {
        let next = numbers.next().map(frame);
        if next.as_ref().is_some_and(|frame| frame.sequence == 5) {
            std::thread::sleep(Duration::from_millis(800));
        }
        Ok(next)
    });
    let (ended, told) = run(quiet, None);
    assert!(ended.is_ok());
    let states: Vec<_> = told
        .states
        .iter()
        .map(|change| change.state.name())
        .collect();
    assert_eq!(states, ["live", "stalled", "live"]);
    assert_eq!(told.shown.last(), Some(&9));
}

#[test]
fn only_a_few_sources_that_hang_are_left_behind() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (keep, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let opened = Arc::new(Mutex::new(0));
    let count = Arc::clone(&opened);
    let source = reopened(move |_| {
        *count.lock().expect("sound") += 1;
        let wait = Arc::clone(&wait);
        Ok(then(move || {
            // Nothing can break this off.
            let _ = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(None)
        }))
    });
    let count = Arc::clone(&opened);
    let stopper = std::thread::spawn(move || {
        wait_until(|| *count.lock().expect("sound") >= 3);
        // Time for a fourth.
        std::thread::sleep(Duration::from_millis(1500));
        STOP.store(true, Ordering::Relaxed);
    });
    let mut pipeline = Pipeline {
        stop: &STOP,
        ..pipeline(detector(|| {}), FakeSink::default())
    };
    pipeline.times.drain = Duration::from_millis(100);
    pipeline.run(source).expect("stopped");
    stopper.join().expect("sound");
    assert_eq!(*opened.lock().expect("sound"), 3);
    drop(keep);
}

#[test]
fn what_was_there_leaves_when_frames_stay_away() {
    let sink = FakeSink::default();
    let told = sink.told();
    let seen = Arc::clone(&told);
    let mut number = 0;
    let source = input(true, move || {
        number += 1;
        if number <= 40 {
            std::thread::sleep(Duration::from_millis(10));
            return Ok(Some(frame(number)));
        }
        wait_until(|| !seen.lock().expect("sound").left.is_empty());
        Ok(None)
    });
    let mut pipeline = Pipeline {
        is_tracked: true,
        ..pipeline(detector(|| {}), sink)
    };
    pipeline.times.forget = Duration::from_millis(300);
    pipeline.run(source).expect("done");
    assert!(!told.lock().expect("sound").left.is_empty());
}

#[test]
fn a_source_that_was_there_and_hangs_is_tried_again_soon_and_told_of_once() {
    let source = reopened(|attempt| {
        // Far more attempts than there would be with more patience for each.
        if (1..7).contains(&attempt) {
            let mut source = hanging().0;
            for _ in 0..3 {
                source.next_frame()?;
            }
            return Ok(source);
        }
        Ok(match attempt {
            0 => then(|| Ok(None)),
            _ => fake(counting(u64::MAX)),
        })
    });
    let (_, health, states) = watch(source, 6);
    assert_eq!(health.reopened.get(), 7);
    assert_eq!(states, ["live", "reopening", "live"]);
}
