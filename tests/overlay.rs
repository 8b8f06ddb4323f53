//! What the overlay looks like, held against pictures in `tests/golden`.
//!
//! After a change on purpose, draw them again with `BOXCAM_BLESS=1 cargo test --release --test overlay` and
//! look at them before they are committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boxcam::detect::Detection;
use boxcam::frame::TrueBox;
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use boxcam::overlay::{self, Canvas};
use boxcam::report::Report;
use image::{Rgb, RgbImage};

const NAMES: [&str; 4] = ["apple", "doughnut", "ice cream", "strawberry"];

fn boxed(corners: [f32; 4]) -> NormBox {
    let [x_min, x_max, y_min, y_max] = corners;
    NormBox::new(x_min, x_max, y_min, y_max).expect("a sound box")
}

fn report(found: Option<(&str, f32, [f32; 4])>) -> Report {
    let labels = Labels::new(NAMES.map(str::to_owned).into()).expect("sound names");
    let detection = found.map(|(name, confidence, corners)| Detection {
        class: labels.find(name).expect("one of the names"),
        confidence,
        bounding_box: boxed(corners),
    });
    Report {
        detection,
        labels: Arc::new(labels),
        model_hash: "0123abcd".into(),
        inference: Duration::from_micros(12_340),
        frame_age: Duration::from_millis(21),
        frames_per_second: Some(29.97),
        dropped: 0,
    }
}

fn truth(label: &str, corners: [f32; 4]) -> Vec<TrueBox> {
    vec![TrueBox {
        label: label.to_owned(),
        bounding_box: boxed(corners),
    }]
}

/// Broad stripes from black over colours to white: an overlay must be readable on all of it.
fn stripes(width: u32, height: u32) -> RgbImage {
    let colours = [
        [0, 0, 0],
        [70, 40, 20],
        [40, 110, 60],
        [120, 120, 120],
        [230, 170, 60],
        [255, 255, 255],
    ];
    RgbImage::from_fn(width, height, |x, _| Rgb(colours[(x * 6 / width) as usize]))
}

#[track_caller]
fn check(name: &str, (width, height): (u32, u32), report: &Report, truth: &[TrueBox]) {
    let mut image = stripes(width, height);
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), report, truth);
    let file = format!("overlay-{name}.png");
    let golden = Path::new("tests/golden").join(&file);
    if std::env::var_os("BOXCAM_BLESS").is_some_and(|value| value == "1") {
        image
            .save(&golden)
            .expect("the golden picture can be written");
        return;
    }
    let expected = image::open(&golden).map(image::DynamicImage::into_rgb8);
    if expected.is_ok_and(|expected| expected == image) {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("the tests' folder can be made");
    let actual = folder.join(&file);
    image
        .save(&actual)
        .expect("the actual picture can be written");
    panic!(
        "{} is not what was drawn, which is {}",
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
fn a_detection_beside_the_true_box() {
    let found = report(Some(("doughnut", 0.876, [0.3, 0.7, 0.25, 0.8])));
    let there = truth("doughnut", [0.33, 0.74, 0.2, 0.78]);
    check("640x480-truth", (640, 480), &found, &there);
}

#[test]
fn a_wrong_name_in_the_upper_left_corner() {
    let found = report(Some(("ice cream", 0.51, [0.0, 0.3, 0.0, 0.4])));
    let there = truth("strawberry", [0.02, 0.28, 0.03, 0.45]);
    check("640x480-corner", (640, 480), &found, &there);
}

#[test]
fn nothing_is_quiet() {
    check("240x240-nothing", (240, 240), &report(None), &[]);
}

#[test]
fn full_hd_is_as_readable_as_a_small_display() {
    let found = report(Some(("strawberry", 1.0, [0.85, 0.999, 0.7, 0.98])));
    let there = truth("strawberry", [0.84, 0.98, 0.72, 1.0]);
    check("1920x1080", (1920, 1080), &found, &there);
}

#[test]
fn a_box_as_small_as_a_pixel_can_be_found() {
    let found = report(Some(("apple", 0.6, [0.5, 0.5, 0.99, 0.99])));
    check("240x240-point", (240, 240), &found, &[]);
}

#[test]
fn a_class_keeps_its_colour() {
    let tag = |name: &str, left: f32| {
        let mut image = RgbImage::new(320, 240);
        let found = report(Some((name, 0.9, [left, left + 0.2, 0.4, 0.7])));
        let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), &found, &[]);
        let edge = ((left + 0.1) * 320.0) as u32;
        *image.get_pixel(edge, 97)
    };
    assert_eq!(tag("apple", 0.2), tag("apple", 0.5));
    assert_ne!(tag("apple", 0.2), tag("doughnut", 0.2));
    assert_ne!(tag("apple", 0.2), Rgb([0; 3]));
}

#[test]
fn a_display_of_other_colours_is_drawn_on_too() {
    use embedded_graphics::mock_display::MockDisplay;
    use embedded_graphics::pixelcolor::Rgb565;

    let mut display = MockDisplay::<Rgb565>::new();
    display.set_allow_overdraw(true);
    let found = report(Some(("apple", 0.9, [0.1, 0.9, 0.4, 0.7])));
    overlay::draw(&mut display, &found, &[]).expect("the mock display doesn't fail");
    assert!(!display.affected_area().is_zero_sized());
}

#[test]
fn a_class_without_a_name_is_drawn_too() {
    let nameless = Report {
        detection: Some(Detection {
            class: ClassId::new(99),
            confidence: 0.5,
            bounding_box: NormBox::WHOLE,
        }),
        ..report(None)
    };
    let mut image = RgbImage::new(64, 64);
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), &nameless, &[]);
    assert!(image.pixels().any(|pixel| *pixel != Rgb([0; 3])));
}
