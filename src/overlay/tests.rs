use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::label::{ClassId, Labels};
use crate::track::Steady;

/// A display that is stricter than real ones: to draw outside of it is a fault.
struct Strict {
    area: Rectangle,
    touched: u64,
}

#[derive(Debug)]
struct Outside(Point);

impl Dimensions for Strict {
    fn bounding_box(&self) -> Rectangle {
        self.area
    }
}

impl DrawTarget for Strict {
    type Color = Rgb888;
    type Error = Outside;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Outside>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(place, _) in pixels {
            if !self.area.contains(place) {
                return Err(Outside(place));
            }
            self.touched += 1;
        }
        Ok(())
    }
}

fn boxed(corners: [f32; 4]) -> NormBox {
    NormBox::from_regression(corners).expect("finite")
}

fn report(label: &str, bounding_box: Option<NormBox>) -> Report {
    let labels = Labels::new(vec![label.to_owned()]).expect("sound");
    Report {
        detection: bounding_box.map(|bounding_box| Detection {
            class: ClassId::new(0),
            confidence: 0.974,
            bounding_box,
        }),
        inference: Duration::from_micros(12_340),
        frame_age: Duration::from_millis(20),
        frames_per_second: Some(29.97),
        captured_at: Some(Instant::now()),
        ..Report::waiting(Arc::new(labels), "0123abcd".into())
    }
}

/// A frame that was taken together with its report, with what is truly in it.
fn frame(report: &Report, truth: Vec<GroundTruth>) -> Frame {
    let origin = if truth.is_empty() {
        Origin::Live
    } else {
        Origin::Scene(truth)
    };
    let frame = Frame::new(0, origin, image::RgbImage::new(1, 1));
    Frame {
        captured_at: report.captured_at.unwrap_or(frame.captured_at),
        ..frame
    }
}

#[test]
fn nothing_is_drawn_outside_of_any_target() {
    let mut random = fastrand::Rng::with_seed(5);
    let labels = [
        "apple",
        "a name that is much longer than any picture is wide, by far",
    ];
    for round in 0..1500 {
        let mut strict = Strict {
            area: Rectangle::new(
                Point::new(random.i32(-50..50), random.i32(-50..50)),
                Size::new(random.u32(0..400), random.u32(0..300)),
            ),
            touched: 0,
        };
        let mut any_box = || boxed([(); 4].map(|()| random.f32() * 1.4 - 0.2));
        let found = (round % 3 > 0).then(&mut any_box);
        let truth = [GroundTruth {
            label: "carrot".to_owned(),
            bounding_box: any_box(),
        }];
        let truth = &truth[..round % 2];
        let mut report = report(labels[round % labels.len()], found);
        report.capture = CaptureState::ALL[round % 4];
        if round % 5 == 0 {
            report.captured_at = None;
        }
        let mut frame = frame(&report, truth.to_vec());
        frame.captured_at += Duration::from_millis(random.u64(0..2000));
        if let Err(Outside(place)) = draw(&mut strict, &frame, &report, report.shown()) {
            panic!("{place} of {:?}", strict.area);
        }
        assert_eq!(strict.touched == 0, strict.area.is_zero_sized());
    }
}

#[test]
fn the_tag_is_wholly_visible_wherever_the_box_is() {
    let layout = Layout::new(Size::new(320, 240));
    for (x, y) in [
        (0.0, 0.0),
        (0.95, 0.0),
        (0.0, 0.95),
        (0.95, 0.95),
        (0.4, 0.4),
    ] {
        let report = report("strawberry", Some(boxed([x, x + 0.05, y, y + 0.05])));
        let mut image = image::RgbImage::new(320, 240);
        let frame = frame(&report, Vec::new());
        let Ok(()) = draw(
            &mut Canvas::new(&mut image),
            &frame,
            &report,
            report.shown(),
        );
        let colour = palette::of_class(ClassId::new(0));
        let ground = image::Rgb([colour.r(), colour.g(), colour.b()]);
        let coloured = image.pixels().filter(|pixel| **pixel == ground).count() as u32;
        let characters = "strawberry 97%".len();
        let tag = Tag {
            text: " ".repeat(characters),
            lettering: layout.label,
            ink: INK,
            ground: colour,
        };
        let whole = tag.size().width * tag.size().height;
        // Letters take less than a third of their ground.
        assert!(coloured > whole * 2 / 3, "{coloured} of {whole} at {x} {y}");
    }
}

#[test]
fn long_labels_are_shortened_and_the_confidence_stays() {
    let narrow = Layout::new(Size::new(100, 100));
    assert_eq!(narrow.caption("fig", "97%"), "fig 97%");
    assert_eq!(narrow.caption("strawberry", "100%"), "straw.. 100%");
    assert_eq!(
        narrow.caption("h\u{fc}ttenk\u{e4}se", "97%"),
        "h\u{fc}tten.. 97%"
    );
}

#[test]
fn the_status_line_says_what_is_known() {
    let mut report = report("apple", None);
    let frame = frame(&report, Vec::new());
    assert_eq!(
        status(&frame, &report, report.shown().is_some()),
        ["nothing", "30.0 fps", "12.3 ms"]
    );
    report.frames_per_second = None;
    assert_eq!(
        status(&frame, &report, report.shown().is_some()),
        ["nothing", "12.3 ms"]
    );
    report.captured_at = None;
    assert!(status(&frame, &report, report.shown().is_some()).is_empty());
}

#[test]
fn a_box_that_lags_behind_says_how_old_it_is() {
    let found = report("apple", Some(NormBox::WHOLE));
    let first_word = |milliseconds| {
        let mut frame = frame(&found, Vec::new());
        frame.captured_at += Duration::from_millis(milliseconds);
        status(&frame, &found, found.shown().is_some()).remove(0)
    };
    assert_eq!(first_word(99), "30.0 fps");
    assert_eq!(first_word(127), "box 120 ms old");
    assert_eq!(first_word(2340), "box 2.3 s old");
    // Where there is no box, none is old.
    let nothing = report("apple", None);
    let mut later = frame(&nothing, Vec::new());
    later.captured_at += Duration::from_secs(1);
    assert_eq!(
        status(&later, &nothing, nothing.shown().is_some())[0],
        "nothing"
    );
}

#[test]
fn what_is_steady_is_drawn_where_frames_follow_each_other() {
    let once = report("apple", Some(boxed([0.0, 0.2, 0.0, 0.2])));
    let held = Detection {
        class: ClassId::new(0),
        confidence: 0.9,
        bounding_box: boxed([0.4, 0.9, 0.4, 0.9]),
    };
    let tracked = Report {
        is_tracked: true,
        stable: Some(Steady {
            track: 1,
            detection: held,
            duration: Duration::ZERO,
        }),
        ..once.clone()
    };
    let alone = Report {
        detection: Some(held),
        ..once.clone()
    };
    let drawn = |report: &Report| {
        let mut image = image::RgbImage::new(160, 120);
        let Ok(()) = draw(
            &mut Canvas::new(&mut image),
            &frame(report, Vec::new()),
            report,
            report.shown(),
        );
        image
    };
    assert_eq!(drawn(&tracked), drawn(&alone));
    assert_ne!(drawn(&tracked), drawn(&once));
}

#[test]
fn a_short_line_keeps_the_most_important_words() {
    let words = ["box 120 ms old", "30.0 fps", "12.3 ms"].map(str::to_owned);
    let line = |width| Layout::new(Size::new(width, 64)).fitting(&words);
    assert_eq!(line(240), "box 120 ms old  30.0 fps  12.3 ms");
    assert_eq!(line(150), "box 120 ms old  30.0 fps");
    assert_eq!(line(128), "box 120 ms old");
    assert_eq!(line(20), "box 120 ms old");
    assert_eq!(Layout::new(Size::new(90, 90)).fitting(&[]), "");
}

#[test]
fn a_band_says_what_is_amiss() {
    let mut report = report("apple", None);
    let says = |report: &Report| banner(report).is_some();
    for (state, amiss) in CaptureState::ALL
        .into_iter()
        .zip([false, false, true, true])
    {
        report.capture = state;
        assert_eq!(says(&report), amiss, "{state:?}");
    }
    report.capture = CaptureState::Live;
    report.captured_at = None;
    assert!(says(&report), "no frame has been through the model");
}

#[test]
fn a_true_box_is_named_unless_the_model_named_it() {
    let half = boxed([0.0, 0.5, 0.0, 1.0]);
    let there = |label: &str| GroundTruth {
        label: label.to_owned(),
        bounding_box: NormBox::WHOLE,
    };
    let (found, missed) = (report("apple", Some(half)), report("apple", None));
    assert_eq!(
        true_caption(&there("apple"), &found, found.shown()),
        "IoU 0.50"
    );
    assert_eq!(
        true_caption(&there("fig"), &found, found.shown()),
        "true: fig  IoU 0.50"
    );
    assert_eq!(
        true_caption(&there("fig"), &missed, missed.shown()),
        "true: fig"
    );
}

#[test]
fn dashes_lie_on_the_sides_of_their_box() {
    let area = Rectangle::new(Point::new(3, 4), Size::new(50, 31));
    let dashes = dashes(&area, 2, 8);
    assert_eq!(dashes.len(), 2 * 4 + 2 * 2);
    let inner = area.offset(-2);
    for dash in dashes {
        assert_eq!(dash.intersection(&area), dash);
        assert!(dash.intersection(&inner).is_zero_sized());
    }
}

#[test]
fn one_box_is_drawn_in_its_colour_with_a_tag_or_without() {
    let drawn = |text: &str| {
        let mut image = image::RgbImage::new(200, 160);
        let there = boxed([0.25, 0.75, 0.5, 0.75]);
        let Ok(()) = draw_box(&mut Canvas::new(&mut image), &there, Rgb888::GREEN, text);
        image
    };
    let green = |image: &image::RgbImage, rows: std::ops::Range<u32>| {
        let pixels = image.enumerate_pixels();
        pixels
            .filter(|(_, y, pixel)| rows.contains(y) && pixel.0 == [0, 255, 0])
            .count()
    };
    let (plain, tagged) = (drawn(""), drawn("apple"));
    // The tag is above the box, whose line both have.
    assert_eq!(green(&plain, 0..80), 0);
    assert!(green(&tagged, 0..80) > 200);
    assert_eq!(green(&plain, 80..160), green(&tagged, 80..160));
    assert!(green(&plain, 80..160) > 200);
    let mut strict = Strict {
        area: Rectangle::new(Point::zero(), Size::zero()),
        touched: 0,
    };
    draw_box(&mut strict, &boxed([0.0, 1.0, 0.0, 1.0]), Rgb888::RED, "x").expect("nothing to draw");
}
