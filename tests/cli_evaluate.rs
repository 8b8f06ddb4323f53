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

/// A wall that is grey, which no colour wins, and one that is red.
fn with_walls() -> Workplace {
    let place = split();
    place.paint("nothing/wall/red.png", "red");
    let grey = image::RgbImage::from_pixel(32, 24, image::Rgb([128; 3]));
    let path = place.path("nothing/wall/grey.png");
    grey.save(path).expect("written");
    place
}

#[test]
fn every_threshold_is_held_against_pictures_with_nothing_in_them() {
    let place = with_walls();
    let said = evaluate(&place, &["--nothing", "nothing", "--pan", "--json"]);
    said.assert_code(0);
    let figures = said.lines().remove(0);
    assert_eq!(figures["nothing"]["wall"], 2);
    let curve = figures["curve"].as_array().expect("a list");
    assert_eq!(curve.len(), 19);
    // Grey has a third of the confidence, red nearly all, and a film is four seconds long.
    for (point, alarms, a_minute) in [(&curve[5], 1.0, 15.0), (&curve[6], 0.5, 7.5)] {
        assert_eq!(point["false_alarms"]["wall"], alarms, "{point}");
        assert_eq!(
            point["false_appearances_a_minute"]["wall"], a_minute,
            "{point}"
        );
        assert_eq!(point["pictures_found"], 1.0, "{point}");
        assert_eq!(point["pictures_right"], 0.8, "{point}");
        assert_eq!(point["rows_right"], 0.4, "{point}");
    }
}

#[test]
fn the_curve_is_a_table_a_file_or_a_drawing() {
    let place = with_walls();
    for (file, start) in [("curve.csv", "threshold,"), ("curve.svg", "<svg ")] {
        let said = evaluate(&place, &["--nothing", "nothing", "--curve", file]);
        said.assert_code(0);
        assert!(said.stdout.contains("false alarms, wall"), "{said:?}");
        let written = std::fs::read_to_string(place.path(file)).expect("written");
        assert!(written.starts_with(start), "{written}");
    }
    let said = evaluate(&place, &["--curve", "no/folder/curve.csv"]);
    said.assert_code(5);
    said.assert_talk(&["no/folder/curve.csv: can't be written"]);
}

#[test]
fn without_pictures_with_nothing_in_them_there_is_an_error() {
    let said = evaluate(&split(), &["--nothing", "nowhere"]);
    said.assert_code(4);
    said.assert_talk(&["folder nowhere: can't be listed"]);
}
