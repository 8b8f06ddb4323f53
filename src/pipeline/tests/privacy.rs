//! What sinks and the display get of hidden classes.

use image::Rgb;

use super::*;

/// A frame without two equal pixels side by side. The detector's apple is in its upper left quarter.
fn striped(sequence: u64) -> Frame {
    let image = RgbImage::from_fn(64, 64, |x, y| Rgb([((x + y) % 2 * 240) as u8; 3]));
    Frame::new(sequence, Origin::Live, image)
}

/// Whether the apple can be seen.
fn is_apple_visible(frame: &Frame) -> bool {
    (0..32)
        .any(|y| (0..32).any(|x| frame.image.get_pixel(x, y) == striped(0).image.get_pixel(x, y)))
}

fn striped_frames(count: u64) -> impl FnMut() -> Result<Option<Frame>, SourceError> + Send {
    let mut numbers = 0..count;
    move || Ok(numbers.next().map(striped))
}

/// Whether the apple was visible in each frame that a sink and the display got.
fn run_hiding(is_live: bool, hidden: Option<&str>, hide_on_display: bool) -> [Vec<bool>; 2] {
    let seen: [Arc<Mutex<Vec<bool>>>; 2] = Default::default();
    let [sink, mut display] = seen.clone().map(|seen| {
        FakeSink::new(move |frame, report| {
            // Before the first frame the display shows a black one.
            if report.captured_at.is_some() || frame.image.dimensions() == (64, 64) {
                seen.lock().push(is_apple_visible(frame));
            }
            Ok(())
        })
    });
    let calls = display.calls();
    let mut frames = striped_frames(20);
    let paced = move || {
        let next = frames()?;
        if let Some(next) = &next {
            wait_until(|| !hide_on_display || next.sequence < 2 || !calls.lock().shown.is_empty());
        }
        Ok(next)
    };
    Pipeline {
        display: Some(&mut display),
        // The detections of the class are left out of reports.
        filter: DetectionFilter {
            classes: "banana".parse().expect("a list"),
            min_area: 0.9,
        },
        threshold: Some(0.99),
        hidden: hidden.map(|names| names.parse().expect("a list")),
        hide_on_display,
        track: true,
        ..pipeline(detector(|| {}), sink)
    }
    .run(once(is_live, paced))
    .expect("done");
    seen.map(|seen| std::mem::take(&mut *seen.lock()))
}

#[test]
fn sinks_never_get_what_is_hidden_and_the_display_only_if_it_may() {
    for is_live in [false, true] {
        for hide_on_display in [false, true] {
            let [sink, display] = run_hiding(is_live, Some("apple"), hide_on_display);
            assert!(
                !sink.is_empty() && sink.iter().all(|visible| !visible),
                "{sink:?}"
            );
            assert!(!display.is_empty(), "is_live: {is_live}");
            assert!(
                display.iter().all(|visible| *visible != hide_on_display),
                "is_live: {is_live}, {hide_on_display}: {display:?}"
            );
        }
        let [sink, _] = run_hiding(is_live, None, true);
        assert!(sink.iter().all(|visible| *visible), "nothing is hidden");
    }
}

#[test]
fn an_unknown_hidden_class_is_an_error_and_a_model_without_it_is_refused() {
    let hidden = |name: &str| Some(name.parse().expect("a list"));
    for is_live in [false, true] {
        let unknown = Pipeline {
            hidden: hidden("aple"),
            ..pipeline(detector(|| {}), FakeSink::default())
        };
        let error = unknown
            .run(once(is_live, counting(1)))
            .expect_err("unknown");
        let message = error.to_string();
        assert!(
            message.starts_with("--hide-classes: the model has no class \"aple\""),
            "{message}"
        );

        let (send, new_models) = channel::<Box<dyn Detector>>();
        let mut other = detector(|| {});
        other.hash = "11111111";
        let names = ["pear", "banana"].map(str::to_owned);
        other.card.labels = crate::label::Labels::new(names.to_vec()).expect("valid");
        send.send(other).expect("received");
        let sink = FakeSink::default();
        let calls = sink.calls();
        let pipeline = Pipeline {
            hidden: hidden("apple"),
            new_models: Some(new_models),
            ..pipeline(detector(|| {}), sink)
        };
        let health = Arc::clone(&pipeline.health);
        pipeline.run(once(is_live, counting(3))).expect("done");
        let calls = calls.lock();
        assert!(
            calls
                .reports
                .iter()
                .all(|report| &*report.model_hash == "0badcafe")
        );
        assert_eq!(
            (health.models_swapped.get(), health.models_refused.get()),
            (0, 1)
        );
    }
}
