//! Compares the overlay with the images in `tests/golden`.
//!
//! After an intended change, update them with `BOXCAM_BLESS=1 cargo test --release --test live overlay` and look at them
//! before committing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxcam::detect::Detection;
use boxcam::frame::{Frame, GroundTruth, Origin};
use boxcam::geometry::NormBox;
use boxcam::health::CaptureState;
use boxcam::label::{ClassId, Labels};
use boxcam::overlay::{self, Canvas};
use boxcam::report::Report;
use image::{Rgb, RgbImage};

const NAMES: [&str; 4] = ["apple", "doughnut", "ice cream", "strawberry"];

fn boxed(corners: [f32; 4]) -> NormBox {
    let [x_min, x_max, y_min, y_max] = corners;
    NormBox::new(x_min, x_max, y_min, y_max).expect("valid")
}

fn report(found: Option<(&str, f32, [f32; 4])>) -> Report {
    let labels = Labels::new(NAMES.map(str::to_owned).into()).expect("valid");
    let detection = found.map(|(name, confidence, corners)| Detection {
        class: labels.find(name).expect("a class"),
        confidence,
        bounding_box: boxed(corners),
    });
    Report {
        detection,
        inference: Duration::from_micros(12_340),
        frame_age: Duration::from_millis(21),
        frames_per_second: Some(29.97),
        captured_at: Some(Instant::now()),
        capture: CaptureState::Live,
        ..Report::waiting(Arc::new(labels), "0123abcd".into())
    }
}

fn truth(label: &str, corners: [f32; 4]) -> Vec<GroundTruth> {
    vec![GroundTruth {
        label: label.to_owned(),
        bounding_box: boxed(corners),
    }]
}

/// Broad stripes from black to white: the overlay must be readable on all of them.
fn stripes(width: u32, height: u32) -> RgbImage {
    let colors = [
        [0, 0, 0],
        [70, 40, 20],
        [40, 110, 60],
        [120, 120, 120],
        [230, 170, 60],
        [255, 255, 255],
    ];
    RgbImage::from_fn(width, height, |x, _| Rgb(colors[(x * 6 / width) as usize]))
}

/// Random pixels, the same each time.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(7);
    RgbImage::from_fn(width, height, |_, _| Rgb([(); 3].map(|()| random.u8(..))))
}

fn plain(width: u32, height: u32, value: u8) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb([value; 3]))
}

/// A frame captured `age` after the one that the report describes.
fn frame_after(report: &Report, age: Duration, truth: &[GroundTruth]) -> Frame {
    let origin = if truth.is_empty() {
        Origin::Live
    } else {
        Origin::Scene(truth.to_vec())
    };
    let frame = Frame::new(7, origin, RgbImage::new(1, 1));
    let captured_at = report.captured_at.unwrap_or(frame.captured_at) + age;
    Frame {
        captured_at,
        ..frame
    }
}

fn draw(image: &mut RgbImage, report: &Report, truth: &[GroundTruth]) {
    let frame = frame_after(report, Duration::ZERO, truth);
    let Ok(()) = overlay::draw(&mut Canvas::new(image), &frame, report);
}

#[track_caller]
fn check(name: &str, (width, height): (u32, u32), report: &Report, truth: &[GroundTruth]) {
    let mut image = stripes(width, height);
    draw(&mut image, report, truth);
    compare(name, &image);
}

#[track_caller]
fn compare(name: &str, image: &RgbImage) {
    let file = format!("overlay-{name}.png");
    let golden = Path::new("tests/golden").join(&file);
    if std::env::var_os("BOXCAM_BLESS").is_some_and(|value| value == "1") {
        image.save(&golden).expect("written");
        return;
    }
    let expected = image::open(&golden).map(image::DynamicImage::into_rgb8);
    if expected.is_ok_and(|expected| expected == *image) {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("created");
    let actual = folder.join(&file);
    image.save(&actual).expect("written");
    panic!(
        "{} differs from the overlay, which is {}",
        golden.display(),
        actual.display()
    );
}

#[test]
fn a_detection_on_a_small_display() {
    let found = report(Some(("apple", 0.97, [0.25, 0.8, 0.3, 0.75])));
    check("240x240", (240, 240), &found, &[]);
}

#[test]
fn a_detection_and_the_ground_truth() {
    let found = report(Some(("doughnut", 0.876, [0.3, 0.7, 0.25, 0.8])));
    let truths = truth("doughnut", [0.33, 0.74, 0.2, 0.78]);
    check("640x480-truth", (640, 480), &found, &truths);
}

#[test]
fn a_wrong_class_in_the_upper_left_corner() {
    let found = report(Some(("ice cream", 0.51, [0.0, 0.3, 0.0, 0.4])));
    let truths = truth("strawberry", [0.02, 0.28, 0.03, 0.45]);
    check("640x480-corner", (640, 480), &found, &truths);
}

#[test]
fn without_a_detection_the_status_line_is_gray() {
    check("240x240-nothing", (240, 240), &report(None), &[]);
}

#[test]
fn the_overlay_scales_to_full_hd() {
    let found = report(Some(("strawberry", 1.0, [0.85, 0.999, 0.7, 0.98])));
    let truths = truth("strawberry", [0.84, 0.98, 0.72, 1.0]);
    check("1920x1080", (1920, 1080), &found, &truths);
}

#[test]
fn a_box_of_one_pixel_is_visible() {
    let found = report(Some(("apple", 0.6, [0.5, 0.5, 0.99, 0.99])));
    check("240x240-point", (240, 240), &found, &[]);
}

#[test]
fn a_tiny_display() {
    let found = report(Some(("strawberry", 0.97, [0.3, 0.7, 0.35, 0.7])));
    check("128x64", (128, 64), &found, &[]);
}

/// Overlapping, tiny, at the edges: the labels must not cover each other, nor leave the image.
const SEVERAL: [(&str, f32, [f32; 4]); 10] = [
    ("apple", 0.97, [0.10, 0.45, 0.20, 0.70]),
    ("strawberry", 0.88, [0.30, 0.75, 0.25, 0.80]),
    ("ice cream", 0.61, [0.12, 0.47, 0.22, 0.72]),
    ("doughnut", 0.90, [0.80, 1.00, 0.00, 0.20]),
    ("apple", 0.75, [0.00, 0.08, 0.85, 1.00]),
    ("strawberry", 0.52, [0.50, 0.53, 0.50, 0.53]),
    ("doughnut", 0.49, [0.55, 0.95, 0.60, 0.98]),
    ("ice cream", 0.47, [0.00, 1.00, 0.00, 1.00]),
    ("apple", 0.45, [0.82, 0.98, 0.30, 0.50]),
    ("apple", 0.44, [0.84, 0.99, 0.33, 0.52]),
];

#[test]
fn several_detections_on_displays_of_all_sizes() {
    for count in [3, 10] {
        let reports: Vec<Report> = SEVERAL[..count]
            .iter()
            .map(|found| report(Some(*found)))
            .collect();
        let others = reports[1..].iter().filter_map(|report| report.detection);
        let all = Report {
            others: others.collect(),
            ..reports[0].clone()
        };
        for size @ (width, height) in [(240, 240), (640, 480), (1920, 1080)] {
            check(&format!("{width}x{height}-{count}-things"), size, &all, &[]);
        }
    }
}

#[test]
fn the_overlay_is_readable_on_light_dark_and_noisy_images() {
    let found = report(Some(("strawberry", 0.88, [0.2, 0.75, 0.3, 0.8])));
    let images = [
        ("light", plain(320, 240, 255)),
        ("dark", plain(320, 240, 0)),
        ("noisy", noise(320, 240)),
    ];
    for (name, mut image) in images {
        draw(&mut image, &found, &[]);
        compare(&format!("320x240-{name}"), &image);
    }
}

#[test]
fn an_old_box_has_its_age() {
    let found = report(Some(("apple", 0.97, [0.25, 0.8, 0.3, 0.75])));
    let frame = frame_after(&found, Duration::from_millis(247), &[]);
    let mut image = stripes(240, 240);
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), &frame, &found);
    compare("240x240-aged", &image);
}

#[test]
fn a_camera_failure_has_a_banner() {
    let found = report(Some(("apple", 0.97, [0.25, 0.8, 0.3, 0.75])));
    let stalled = Report {
        capture: CaptureState::Stalled,
        ..found.clone()
    };
    let reopening = Report {
        capture: CaptureState::Reopening,
        ..found
    };
    check("240x240-stalled", (240, 240), &stalled, &[]);
    check("128x64-stalled", (128, 64), &stalled, &[]);
    check("1920x1080-reopening", (1920, 1080), &reopening, &[]);
}

#[test]
fn before_the_first_inference_the_overlay_has_a_banner() {
    let labels = Labels::new(NAMES.map(str::to_owned).into()).expect("valid");
    let waiting = Report::waiting(Arc::new(labels), "0123abcd".into());
    check("240x240-waiting", (240, 240), &waiting, &[]);
    let mut image = plain(320, 240, 0);
    let drawn = overlay::draw_capture_state(&mut Canvas::new(&mut image), CaptureState::Starting);
    assert_eq!(drawn, Ok(true));
    compare("320x240-starting", &image);
}

#[test]
fn a_later_banner_covers_an_earlier_one() {
    let draw_state = |image: &mut RgbImage, state| {
        let Ok(drawn) = overlay::draw_capture_state(&mut Canvas::new(image), state);
        assert!(drawn);
    };
    for (width, height) in [(128, 64), (240, 240), (640, 480)] {
        let mut twice = stripes(width, height);
        draw_state(&mut twice, CaptureState::Stalled);
        draw_state(&mut twice, CaptureState::Reopening);
        let mut once = stripes(width, height);
        draw_state(&mut once, CaptureState::Reopening);
        assert!(twice == once, "{width} x {height}");
    }
}

#[test]
fn a_class_has_a_fixed_color() {
    let box_color = |name: &str, left: f32| {
        let mut image = RgbImage::new(320, 240);
        let found = report(Some((name, 0.9, [left, left + 0.2, 0.4, 0.7])));
        draw(&mut image, &found, &[]);
        let edge = ((left + 0.1) * 320.0) as u32;
        *image.get_pixel(edge, 97)
    };
    assert_eq!(box_color("apple", 0.2), box_color("apple", 0.5));
    assert_ne!(box_color("apple", 0.2), box_color("doughnut", 0.2));
    assert_ne!(box_color("apple", 0.2), Rgb([0; 3]));
}

#[test]
fn a_display_with_16_bit_colors_can_be_drawn_on() {
    use embedded_graphics::mock_display::MockDisplay;
    use embedded_graphics::pixelcolor::Rgb565;

    let mut display = MockDisplay::<Rgb565>::new();
    display.set_allow_overdraw(true);
    let found = report(Some(("apple", 0.9, [0.1, 0.9, 0.4, 0.7])));
    let frame = frame_after(&found, Duration::ZERO, &[]);
    overlay::draw(&mut display, &frame, &found).expect("the mock display doesn't fail");
    assert!(!display.affected_area().is_zero_sized());
}

#[test]
fn a_class_without_a_name_is_drawn() {
    let nameless = Report {
        detection: Some(Detection {
            class: ClassId::new(99),
            confidence: 0.5,
            bounding_box: NormBox::WHOLE,
        }),
        ..report(None)
    };
    let mut image = RgbImage::new(64, 64);
    draw(&mut image, &nameless, &[]);
    assert!(image.pixels().any(|pixel| *pixel != Rgb([0; 3])));
}
