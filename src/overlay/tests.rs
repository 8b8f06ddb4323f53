use std::sync::Arc;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};

use super::*;
use crate::label::{ClassId, Labels};
use crate::track::{EventKind, StableDetection};
use crate::zone::ZoneMap;
use crate::zone_monitor::ZoneCounts;

/// A draw target that fails when something is drawn outside of it.
struct StrictTarget {
    area: Rectangle,
    drawn_pixels: u64,
}

#[derive(Debug)]
struct Outside(Point);

impl Dimensions for StrictTarget {
    fn bounding_box(&self) -> Rectangle {
        self.area
    }
}

impl DrawTarget for StrictTarget {
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
            self.drawn_pixels += 1;
        }
        Ok(())
    }
}

fn boxed(corners: [f32; 4]) -> NormBox {
    NormBox::from_regression(corners).expect("finite")
}

fn report(label: &str, bounding_box: Option<NormBox>) -> Report {
    let labels = Labels::new(vec![label.to_owned()]).expect("valid");
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

/// The frame that a report describes, with its ground truth.
fn frame(report: &Report, truth: Vec<GroundTruth>) -> Frame {
    let origin = if truth.is_empty() {
        Origin::Live
    } else {
        Origin::Scene(truth)
    };
    let frame = Frame::new(0, origin, RgbImage::new(1, 1));
    Frame {
        captured_at: report.captured_at.unwrap_or(frame.captured_at),
        ..frame
    }
}

/// A report with two zones and two lines that are drawn, at random places.
fn with_random_zones(report: Report, random: &mut fastrand::Rng) -> Report {
    let mut point = || format!("{:.3},{:.3}", random.f32(), random.f32());
    let lines = ["short", "a line with a name that is very long.."].map(|name| {
        let text = format!("{name}x={};{}", point(), point());
        text.parse().expect("a line")
    });
    let zones = ["whole=0,0;1,0;1,1;0,1", "thin=0,0.999;1,0.999;1,1"];
    let zones = zones.map(|text| text.parse().expect("a zone"));
    let map = ZoneMap::new(zones.into(), lines.into(), true).expect("valid");
    Report {
        zones: Arc::new(ZoneCounts::new(Arc::new(map))),
        ..report
    }
}

#[test]
fn zones_are_drawn_inside_of_the_target() {
    let random = &mut fastrand::Rng::with_seed(7);
    let frame = Frame::new(0, Origin::Live, RgbImage::new(4, 4));
    let mut sizes: Vec<Size> = (0..150)
        .map(|_| Size::new(random.u32(0..400), random.u32(0..300)))
        .collect();
    sizes.push(Size::new(8192, 100));
    for size in sizes {
        let area = Rectangle::new(Point::new(random.i32(-50..50), 7), size);
        let drawn = |report: &Report| {
            let mut strict = StrictTarget {
                area,
                drawn_pixels: 0,
            };
            draw(&mut strict, &frame, report).expect("inside");
            strict.drawn_pixels
        };
        let plain = report("apple", None);
        let zoned = with_random_zones(plain.clone(), random);
        assert!(
            area.is_zero_sized() || drawn(&zoned) > drawn(&plain),
            "{size:?}"
        );
    }
}

#[test]
fn zones_are_drawn_only_if_that_is_asked_for_and_by_the_page_always() {
    let frame = Frame::new(0, Origin::Live, RgbImage::new(4, 4));
    let zone = "zone=0.1,0.1;0.9,0.1;0.9,0.9;0.1,0.9".parse();
    let map = ZoneMap::new(vec![zone.expect("a zone")], Vec::new(), false).expect("valid");
    let zoned = Report {
        zones: Arc::new(ZoneCounts::new(Arc::new(map))),
        ..report("apple", None)
    };
    let is_drawn = |draw: &dyn Fn(&mut Canvas<'_>)| {
        let mut image = RgbImage::new(320, 240);
        draw(&mut Canvas::new(&mut image));
        // In the middle of the right side.
        let right = (280..295).map(|x| *image.get_pixel(x, 120));
        right
            .into_iter()
            .any(|pixel| pixel == Rgb([0xCC, 0x99, 0xFF]))
    };
    assert!(!is_drawn(&|canvas| {
        let Ok(()) = draw(canvas, &frame, &zoned);
    }));
    assert!(is_drawn(&|canvas| {
        let Ok(()) = draw_with_zones(canvas, &frame, &zoned);
    }));
}

#[test]
fn nothing_is_drawn_outside_of_the_target() {
    let mut random = fastrand::Rng::with_seed(5);
    let labels = [
        "apple",
        "a name that is much longer than any picture is wide, by far",
    ];
    for round in 0..1500 {
        let mut strict = StrictTarget {
            area: Rectangle::new(
                Point::new(random.i32(-50..50), random.i32(-50..50)),
                Size::new(random.u32(0..400), random.u32(0..300)),
            ),
            drawn_pixels: 0,
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
        if let Err(Outside(place)) = draw(&mut strict, &frame, &report) {
            panic!("{place} of {:?}", strict.area);
        }
        assert_eq!(strict.drawn_pixels == 0, strict.area.is_zero_sized());
    }
}

#[test]
fn the_label_is_fully_visible_wherever_the_box_is() {
    let layout = OverlayLayout::new(Size::new(320, 240));
    for (x, y) in [
        (0.0, 0.0),
        (0.95, 0.0),
        (0.0, 0.95),
        (0.95, 0.95),
        (0.4, 0.4),
    ] {
        let report = report("strawberry", Some(boxed([x, x + 0.05, y, y + 0.05])));
        let mut image = RgbImage::new(320, 240);
        let frame = frame(&report, Vec::new());
        let Ok(()) = draw(&mut Canvas::new(&mut image), &frame, &report);
        let color = class_color(ClassId::new(0));
        let background = Rgb([color.r(), color.g(), color.b()]);
        let colored = image.pixels().filter(|pixel| **pixel == background).count() as u32;
        let characters = "strawberry 97%".len();
        let label = TextLabel {
            text: " ".repeat(characters),
            font: layout.label_font,
            color: BLACK,
            background: color,
        };
        let whole = label.size().width * label.size().height;
        // The text covers less than a third of the background.
        assert!(colored > whole * 2 / 3, "{colored} of {whole} at {x} {y}");
    }
}

#[test]
fn long_labels_are_shortened_and_the_confidence_stays() {
    let narrow = OverlayLayout::new(Size::new(100, 100));
    assert_eq!(narrow.shortened("fig", "97%"), "fig 97%");
    assert_eq!(narrow.shortened("strawberry", "100%"), "straw.. 100%");
    assert_eq!(
        narrow.shortened("h\u{fc}ttenk\u{e4}se", "97%"),
        "h\u{fc}tten.. 97%"
    );
}

#[test]
fn the_status_line_has_what_is_known() {
    let mut report = report("apple", None);
    let frame = frame(&report, Vec::new());
    assert_eq!(
        status(&frame, &report, report.shown().next().is_some()),
        ["nothing", "30.0 fps", "12.3 ms"]
    );
    report.frames_per_second = None;
    assert_eq!(
        status(&frame, &report, report.shown().next().is_some()),
        ["nothing", "12.3 ms"]
    );
    report.captured_at = None;
    assert!(status(&frame, &report, report.shown().next().is_some()).is_empty());
}

#[test]
fn the_status_line_has_the_age_of_an_old_box() {
    let found = report("apple", Some(NormBox::WHOLE));
    let first_item = |milliseconds| {
        let mut frame = frame(&found, Vec::new());
        frame.captured_at += Duration::from_millis(milliseconds);
        status(&frame, &found, found.shown().next().is_some()).remove(0)
    };
    assert_eq!(first_item(99), "30.0 fps");
    assert_eq!(first_item(127), "box 120 ms old");
    assert_eq!(first_item(2340), "box 2.3 s old");
    // Without a box there is no age.
    let nothing = report("apple", None);
    let mut later = frame(&nothing, Vec::new());
    later.captured_at += Duration::from_secs(1);
    assert_eq!(
        status(&later, &nothing, nothing.shown().next().is_some())[0],
        "nothing"
    );
}

#[test]
fn the_given_detection_is_drawn() {
    let once = report("apple", Some(boxed([0.0, 0.2, 0.0, 0.2])));
    let held = Detection {
        class: ClassId::new(0),
        confidence: 0.9,
        bounding_box: boxed([0.4, 0.9, 0.4, 0.9]),
    };
    let tracked = Report {
        is_tracked: true,
        tracks: vec![StableDetection {
            track: 1,
            detection: held,
            duration: Duration::ZERO,
            is_stationary: false,
        }],
        ..once.clone()
    };
    let alone = Report {
        detection: Some(held),
        ..once.clone()
    };
    let drawn = |report: &Report| {
        let mut image = RgbImage::new(160, 120);
        let Ok(()) = draw(
            &mut Canvas::new(&mut image),
            &frame(report, Vec::new()),
            report,
        );
        image
    };
    assert_eq!(drawn(&tracked), drawn(&alone));
    assert_ne!(drawn(&tracked), drawn(&once));
}

#[test]
fn a_narrow_status_line_keeps_the_most_important_items() {
    let items = ["box 120 ms old", "30.0 fps", "12.3 ms"].map(str::to_owned);
    let line = |width| OverlayLayout::new(Size::new(width, 64)).fitting(&items);
    assert_eq!(line(240), "box 120 ms old  30.0 fps  12.3 ms");
    assert_eq!(line(150), "box 120 ms old  30.0 fps");
    assert_eq!(line(128), "box 120 ms old");
    assert_eq!(line(20), "box 120 ms old");
    assert_eq!(OverlayLayout::new(Size::new(90, 90)).fitting(&[]), "");
}

#[test]
fn a_banner_reports_capture_failures() {
    let mut report = report("apple", None);
    let has_banner = |report: &Report| report_banner(report).is_some();
    for (state, expected) in CaptureState::ALL
        .into_iter()
        .zip([false, false, true, true])
    {
        report.capture = state;
        assert_eq!(has_banner(&report), expected, "{state:?}");
    }
    report.capture = CaptureState::Live;
    report.captured_at = None;
    assert!(has_banner(&report), "no inference yet");
}

fn shown(report: &Report) -> Vec<ShownBox<'_>> {
    report.shown().map(ShownBox::plain).collect()
}

#[test]
fn the_thing_of_an_event_is_marked_among_the_others() {
    let held = |track, corners| StableDetection {
        track,
        detection: Detection {
            class: ClassId::new(0),
            confidence: 0.9,
            bounding_box: boxed(corners),
        },
        duration: Duration::ZERO,
        is_stationary: false,
    };
    let (first, second) = (held(1, [0.0, 0.4, 0.4, 0.9]), held(2, [0.5, 0.9, 0.4, 0.9]));
    let event = |kind, thing: StableDetection| Event {
        kind,
        track: thing.track,
        detection: thing.detection,
        time: std::time::SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
    };
    let tracked = |tracks| Report {
        is_tracked: true,
        tracks,
        ..report("apple", None)
    };
    let both = tracked(vec![first, second]);
    let frame = frame(&both, Vec::new());
    let draw = |report: &Report, event: Option<&Event>| {
        let mut image = RgbImage::new(320, 240);
        let mut canvas = Canvas::new(&mut image);
        let Ok(()) = match event {
            Some(event) => draw_event(&mut canvas, &frame, report, event),
            None => draw(&mut canvas, &frame, report),
        };
        image
    };
    let plain = draw(&both, None);
    let appeared = draw(&both, Some(&event(EventKind::Appeared, second)));
    // Below the upper lines and the labels: only the marked box looks different.
    let halves = |image: &RgbImage| {
        let half = |left| image::imageops::crop_imm(image, left, 130, 144, 80).to_image();
        [half(0), half(160)]
    };
    assert_eq!(halves(&plain)[0], halves(&appeared)[0]);
    assert_ne!(halves(&plain)[1], halves(&appeared)[1]);
    // One that has left is not visible any more, and drawn all the same.
    let left = draw(&tracked(vec![first]), Some(&event(EventKind::Left, second)));
    assert_eq!(halves(&left), halves(&appeared));
    assert_ne!(left, appeared, "the labels name the events");
}

#[test]
fn the_true_class_is_shown_unless_it_was_detected() {
    let half = boxed([0.0, 0.5, 0.0, 1.0]);
    let truth = |label: &str| GroundTruth {
        label: label.to_owned(),
        bounding_box: NormBox::WHOLE,
    };
    let (found, missed) = (report("apple", Some(half)), report("apple", None));
    let elsewhere = report("apple", Some(boxed([1.0, 1.0, 0.0, 0.0])));
    assert_eq!(
        truth_caption(&truth("apple"), &found, &shown(&found)),
        "IoU 0.50"
    );
    assert_eq!(
        truth_caption(&truth("fig"), &found, &shown(&found)),
        "true: fig  IoU 0.50"
    );
    assert_eq!(
        truth_caption(&truth("fig"), &missed, &shown(&missed)),
        "true: fig"
    );
    assert_eq!(
        truth_caption(&truth("apple"), &elsewhere, &shown(&elsewhere)),
        "true: apple"
    );
    // Of several detections, the one that fits best.
    let quarter = boxed([0.0, 0.5, 0.0, 0.5]);
    let two = Report {
        others: report("apple", Some(quarter))
            .detection
            .into_iter()
            .collect(),
        ..found.clone()
    };
    assert_eq!(
        truth_caption(&truth("apple"), &two, &shown(&two)),
        "IoU 0.50"
    );
}

#[test]
fn dashes_lie_along_the_sides_of_the_box() {
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
fn a_box_is_drawn_in_its_color_with_or_without_a_label() {
    let drawn = |text: &str| {
        let mut image = RgbImage::new(200, 160);
        let bounding_box = boxed([0.25, 0.75, 0.5, 0.75]);
        let Ok(()) = draw_box(
            &mut Canvas::new(&mut image),
            &bounding_box,
            Rgb888::GREEN,
            text,
        );
        image
    };
    let green = |image: &RgbImage, rows: std::ops::Range<u32>| {
        let pixels = image.enumerate_pixels();
        pixels
            .filter(|(_, y, pixel)| rows.contains(y) && pixel.0 == [0, 255, 0])
            .count()
    };
    let (plain, labeled) = (drawn(""), drawn("apple"));
    // The label is above the box.
    assert_eq!(green(&plain, 0..80), 0);
    assert!(green(&labeled, 0..80) > 200);
    assert_eq!(green(&plain, 80..160), green(&labeled, 80..160));
    assert!(green(&plain, 80..160) > 200);
    let mut strict = StrictTarget {
        area: Rectangle::new(Point::zero(), Size::zero()),
        drawn_pixels: 0,
    };
    draw_box(&mut strict, &boxed([0.0, 1.0, 0.0, 1.0]), Rgb888::RED, "x").expect("nothing to draw");
}

#[test]
fn a_ground_truth_box_is_white_with_black_outlines() {
    let mut image = RgbImage::from_pixel(200, 200, Rgb([90, 90, 90]));
    let bounding_box = NormBox::new(0.25, 0.75, 0.25, 0.75).expect("valid");
    let label = "cup".to_owned();
    let truth = [GroundTruth {
        label,
        bounding_box,
    }];
    draw_ground_truth(&mut Canvas::new(&mut image), &truth).expect("infallible");
    let right_edge: Vec<u8> = (145..151).map(|x| image.get_pixel(x, 120)[0]).collect();
    assert_eq!(right_edge, [90, 0, 255, 255, 0, 90]);
    assert_eq!(image.get_pixel(100, 100)[0], 90, "nothing is drawn inside");
}

#[test]
fn ground_truth_can_be_drawn_on_tiny_targets() {
    for side in [0, 1, 3] {
        let mut image = RgbImage::new(side, side);
        let label = "pineapple".to_owned();
        let truth = [GroundTruth {
            label,
            bounding_box: NormBox::WHOLE,
        }];
        draw_ground_truth(&mut Canvas::new(&mut image), &truth).expect("infallible");
        draw_caption(&mut Canvas::new(&mut image), "a/b.jpg").expect("infallible");
    }
}

/// Relative luminance, as defined by WCAG 2.
fn luminance(color: Rgb888) -> f32 {
    let linear = |channel: u8| {
        let value = f32::from(channel) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
}

#[test]
fn black_is_readable_on_every_class_color() {
    for index in 0..CLASS_COLORS.len() {
        let class = luminance(class_color(ClassId::new(index)));
        let contrast = (class + 0.05) / (luminance(BLACK) + 0.05);
        // WCAG's strictest level for small text is 7.
        assert!(contrast >= 7.0, "color {index}: {contrast}");
    }
}

#[test]
fn black_is_readable_on_amber() {
    assert!((luminance(AMBER) + 0.05) / (luminance(BLACK) + 0.05) >= 7.0);
}

#[test]
fn every_class_has_a_color() {
    assert_eq!(
        class_color(ClassId::new(usize::MAX)),
        class_color(ClassId::new(7))
    );
}
