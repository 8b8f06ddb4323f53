use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::label::{ClassId, Labels};

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
        labels: Arc::new(labels),
        model_hash: "0123abcd".into(),
        inference: Duration::from_micros(12_340),
        frame_age: Duration::from_millis(20),
        frames_per_second: Some(29.97),
        dropped: 0,
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
        let truth = [TrueBox {
            label: "carrot".to_owned(),
            bounding_box: any_box(),
        }];
        let truth = &truth[..round % 2];
        let report = report(labels[round % labels.len()], found);
        if let Err(Outside(place)) = draw(&mut strict, &report, truth) {
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
        draw(&mut Canvas::new(&mut image), &report, &[]).expect("infallible");
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
    assert_eq!(status(&report), "nothing  30.0 fps  12.3 ms");
    report.frames_per_second = None;
    assert_eq!(status(&report), "nothing  12.3 ms");
}

#[test]
fn a_true_box_is_named_unless_the_model_named_it() {
    let half = boxed([0.0, 0.5, 0.0, 1.0]);
    let there = |label: &str| TrueBox {
        label: label.to_owned(),
        bounding_box: NormBox::WHOLE,
    };
    let (found, missed) = (report("apple", Some(half)), report("apple", None));
    assert_eq!(true_caption(&there("apple"), &found), "IoU 0.50");
    assert_eq!(true_caption(&there("fig"), &found), "true: fig  IoU 0.50");
    assert_eq!(true_caption(&there("fig"), &missed), "true: fig");
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
