//! Tests of what is found in a data set that has one of each fault.

use std::path::Path;
use std::sync::Arc;

use boxcam::geometry::NormBox;
use boxcam::scene::random_scene;

use super::super::Place;
use super::*;

fn row(class: &str, [x_min, x_max, y_min, y_max]: [f32; 4], line: u64) -> Row {
    let file: Arc<Path> = Path::new("boxes.csv").into();
    Row {
        class: class.to_owned(),
        bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("sound"),
        place: Place::line(&file, line),
    }
}

fn picture(name: &str, part: Part, rows: Vec<Row>) -> Picture {
    Picture {
        path: name.into(),
        part: Some(part),
        folder: Some("cup".to_owned()),
        rows,
    }
}

#[test]
fn one_of_each_is_found() {
    let whole = [0.0, 1.0, 0.0, 1.0];
    let dataset = Dataset {
        pictures: vec![
            picture(
                "a",
                Part::Train,
                vec![row("cup", whole, 2), row("cup", whole, 3)],
            ),
            picture(
                "b",
                Part::Train,
                vec![row("cup", whole, 4), row("cup", [0.0, 0.95, 0.0, 1.0], 5)],
            ),
            picture("c", Part::Train, vec![row("mug", [0.5, 0.52, 0.5, 0.9], 6)]),
            picture("d", Part::Val, vec![]),
            picture("e", Part::Val, vec![row("cup", whole, 2)]),
        ],
        classes: vec!["cup".to_owned(), "mug".to_owned(), "jug".to_owned()],
        ..Dataset::default()
    };
    // b is a again, and so is d, which is in the other split.
    let seeds = [1, 1, 2, 1];
    let mut prints: Vec<_> = seeds
        .iter()
        .map(|seed| Ok(Fingerprint::of(&random_scene(*seed, 64, 48).image)))
        .collect();
    prints.push(Err(PictureError::Empty { path: "e".into() }));
    let seen = Inspection::of(Format::Chapter, &dataset, &prints, 2);
    let expected = [
        (Finding::Leak, 2),
        (Finding::DuplicatePicture, 1),
        (Finding::Unreadable, 1),
        (Finding::Fault, 0),
        (Finding::DuplicateRow, 1),
        (Finding::DoubleBox, 1),
        (Finding::TinyBox, 1),
        (Finding::OtherClass, 1),
        (Finding::WithoutRows, 1),
    ];
    for (finding, count) in expected {
        assert_eq!(seen.count(finding), count, "{finding:?}");
    }
    assert_eq!(
        seen.splits["train"],
        Count {
            pictures: 3,
            rows: 5
        }
    );
    assert_eq!(
        seen.classes[1].splits["train"],
        Count {
            pictures: 0,
            rows: 1
        }
    );
    assert!(
        seen.classes[2].splits.is_empty(),
        "a class without pictures is listed"
    );
    assert_eq!(seen.rows_per_picture[..3], [("0", 1), ("1", 2), ("2", 2)]);
    let said = text::text(&seen, false);
    for words in [
        "boxes.csv, line 3: cup as in boxes.csv, line 2",
        "mug in folder cup",
        "a and d: the same pixels",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let json = serde_json::to_value(&seen).expect("serialises");
    assert_eq!(
        json["findings"]["leak"][0]["what"],
        "a and d: the same pixels"
    );
}

#[test]
fn a_spread_is_of_sorted_values() {
    let spread = Spread::of((0..=100).rev().map(|value| value as f32).collect());
    assert_eq!(
        spread,
        Some(Spread([0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0]))
    );
    assert_eq!(Spread::of(Vec::new()), None);
}
