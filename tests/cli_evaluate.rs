//! `boxcam evaluate`, the real program.

mod common;

use common::{Said, Workplace};

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

/// Five pictures: the tiny model knows their colours and always says the box in the middle.
fn split() -> Workplace {
    let place = Workplace::new();
    place.paint("val/red/r1.png", "red");
    place.paint("val/red/r2.png", "blue");
    place.paint("val/green/g1.bmp", "green");
    place.paint("val/blue/b1.png", "blue");
    place.paint("val/blue/b2.png", "blue");
    place.write("val/readme.txt", "not in a class");
    place.write("val/blue/notes.txt", "no picture");
    let rows = "r1,0.25,0.75,0.25,0.75,red,red\n\
                r1,0.0,0.1,0.0,0.1,green,red\n\
                r2,0.25,0.75,0.25,0.75,red,red\n\
                g1,0.25,0.5,0.25,0.75,green,green\n\
                b1,0.0,1.0,0.0,1.0,violet,blue\n";
    place.write("boxes.csv", format!("{HEADER}{rows}"));
    place
}

fn evaluate(place: &Workplace, more: &[&str]) -> Said {
    let words = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
    ];
    place.run_tiny(&[&words[..], more].concat())
}

#[test]
fn the_figures_are_what_a_hand_computes() {
    let said = evaluate(&split(), &["--json"]);
    said.assert_code(0);
    assert_eq!(said.stderr, "");
    let figures = said.lines().remove(0);
    assert_eq!(said.stdout.lines().count(), 1);
    assert_eq!(
        (&figures["rows"], &figures["pictures"]),
        (&5.into(), &5.into())
    );
    assert_eq!(figures["unknown_class_rows"], 1);
    let near = |name: &str, expected: f64| {
        let found = figures[name].as_f64().expect("a number");
        assert!(
            (found - expected).abs() < 1e-5,
            "{name} is {found}, not {expected}"
        );
    };
    // Right are the rows of r1 (red) and g1.
    near("class_accuracy", 2.0 / 5.0);
    // All but r2, which shows blue.
    near("picture_accuracy", 4.0 / 5.0);
    near("mean_iou", (1.0 + 0.0 + 1.0 + 0.5 + 0.25) / 5.0);
    near("largest_box_mean_iou", (1.0 + 1.0 + 0.5 + 0.25) / 4.0);
    near("largest_box_iou_over_half", 3.0 / 4.0);
    let corner = (0.25_f64.powi(2) + 0.65_f64.powi(2)) / 2.0;
    near(
        "box_mse",
        (corner + 0.25_f64.powi(2) / 4.0 + 0.25_f64.powi(2)) / 5.0,
    );
    let confusion = serde_json::json!({
        "labels": ["red", "green", "blue"],
        "counts": [[1, 0, 1], [1, 1, 0], [0, 0, 0]],
    });
    assert_eq!(figures["confusion"], confusion);
    assert_eq!(figures["model"].as_str().map(str::len), Some(8));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let place = split();
    let one = evaluate(&place, &["--json", "--threads", "1"]).stdout;
    for threads in ["2", "7"] {
        assert_eq!(
            evaluate(&place, &["--json", "--threads", threads]).stdout,
            one
        );
    }
    assert_eq!(evaluate(&place, &["--json"]).stdout, one);
}

#[test]
fn people_get_a_table() {
    let said = evaluate(&split(), &[]);
    said.assert_code(0);
    let line = |start: &str| {
        let found = said.stdout.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {}", said.stdout))
    };
    assert!(line("class accuracy, rows").ends_with(" 0.4000"));
    assert!(line("mean IoU, rows").ends_with(" 0.5500"));
    assert!(line("red taken for blue").ends_with(" 1"));
}

#[test]
fn a_split_that_is_not_there_is_a_source_error() {
    let place = split();
    let words = ["evaluate", "--annotations", "boxes.csv", "--pictures"];
    let said = place.run_tiny(&[&words[..], &["nowhere"]].concat());
    said.assert_code(4);
    said.assert_talk(&["folder nowhere: can't be listed"]);
    std::fs::create_dir_all(place.path("bare/red")).expect("made");
    let said = place.run_tiny(&[&words[..], &["bare"]].concat());
    said.assert_code(4);
    said.assert_talk(&["folder bare: has no pictures"]);
}
