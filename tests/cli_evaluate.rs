//! `boxcam evaluate`, the real program.

mod common;

use common::{CommandOutput, TestDir};

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

/// Five pictures: the tiny model knows their colours and always says the box in the middle.
fn split() -> TestDir {
    let place = TestDir::new();
    place.write_solid_image("val/red/r1.png", "red");
    place.write_solid_image("val/red/r2.png", "blue");
    place.write_solid_image("val/green/g1.bmp", "green");
    place.write_solid_image("val/blue/b1.png", "blue");
    place.write_solid_image("val/blue/b2.png", "blue");
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

fn evaluate(place: &TestDir, more: &[&str]) -> CommandOutput {
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
    said.assert_exit_code(0);
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
    let figures = |more: &[&str]| {
        let mut figures = evaluate(&place, &[&["--json"], more].concat())
            .lines()
            .remove(0);
        let speed = figures.as_object_mut().expect("an object").remove("speed");
        // A time is another every time.
        assert!(speed.is_some_and(|speed| speed["inference_p50_ms"].is_f64()));
        figures
    };
    let one = figures(&["--threads", "1"]);
    for more in [&["--threads", "2"][..], &["--threads", "7"], &[]] {
        assert_eq!(figures(more), one);
    }
}

#[test]
fn beside_the_figures_stands_what_needs_every_picture() {
    let figures = evaluate(&split(), &["--json"]).lines().remove(0);
    // Red is found once in two rows, green once in two: the first of its class, at once, up to a recall of a half.
    let half = 51.0 / 101.0;
    let ap50 = figures["ap50"].as_f64().expect("a number");
    // Green's one detection has an IoU of exactly a half, red's one of 1; blue has no rows.
    assert!((ap50 - half).abs() < 1e-6, "{ap50}");
    let red = &figures["per_class"][0];
    assert_eq!((&red["class"], &red["rows"]), (&"red".into(), &2.into()));
    assert_eq!(
        (&red["recall"], &red["precision"]),
        (&0.5.into(), &0.5.into())
    );
    assert!(figures["per_class"][2]["recall"].is_null());
    assert_eq!(
        figures["iou_histogram"]["rows"].as_array().map(Vec::len),
        Some(10)
    );
    let sizes = figures["per_size"].as_array().expect("a list");
    let of_size = |size: &serde_json::Value| size["pictures"].as_u64().expect("a count");
    // The two in the middle are a quarter of the picture, green's an eighth, blue's all of it.
    assert_eq!(
        sizes.iter().map(of_size).collect::<Vec<_>>(),
        [0, 1, 2, 0, 1]
    );
    assert_eq!(
        figures["calibration"]["bins"].as_array().map(Vec::len),
        Some(10)
    );
    let interval = &figures["intervals"]["class_accuracy"];
    let (low, high) = (interval["low"].as_f64(), interval["high"].as_f64());
    assert!(low < Some(0.4) && Some(0.4) < high, "{interval}");
    let speed = &figures["speed"];
    assert_eq!(speed["pictures"], 5);
    assert!(speed["model_bytes"].as_u64() > Some(0) && speed["multiply_adds"].is_u64());
}

#[test]
fn the_report_is_one_file_that_says_the_same() {
    let place = with_walls();
    let words = [
        "--negatives",
        "nothing",
        "--json",
        "--report",
        "report.html",
    ];
    let said = evaluate(&place, &words);
    said.assert_exit_code(0);
    let figures = said.lines().remove(0);
    let page = std::fs::read_to_string(place.path("report.html")).expect("written");
    for name in ["class_accuracy", "mean_iou", "largest_box_mean_iou", "ap50"] {
        let shown = format!("{:.4}", figures[name].as_f64().expect("a number"));
        assert!(
            page.contains(&format!("<dd>{shown}<small>")),
            "{name} {shown}"
        );
    }
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 4);
    assert!(page.contains("false alarms, wall"));
    for far in ["src=\"http", "href=", "@import", "url(", "<script"] {
        assert!(!page.contains(far), "{far} leads out of the file");
    }
    assert_well_formed(&page);
}

/// Every element that is opened is closed, in the right order.
fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag that ends");
        let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{tag}"),
            None if tag.ends_with('/') || ["!DOCTYPE", "meta", "img", "br"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_report_that_can_not_be_written_is_a_sink_error() {
    let said = evaluate(&split(), &["--report", "no/folder/report.html"]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["no/folder/report.html: can't be written"]);
    let said = evaluate(&split(), &["--report", "report.pdf"]);
    said.assert_exit_code(2);
    said.assert_stderr_contains(&["ends in .html"]);
}

#[test]
fn people_get_a_table() {
    let said = evaluate(&split(), &[]);
    said.assert_exit_code(0);
    let line = |start: &str| {
        let found = said.stdout.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {}", said.stdout))
    };
    assert!(line("class accuracy, boxes").ends_with(" 0.4000"));
    assert!(line("mean IoU, boxes").ends_with(" 0.5500"));
    assert!(line("red predicted as blue").ends_with(" 1"));
}

#[test]
fn a_split_that_is_not_there_is_a_source_error() {
    let place = split();
    let words = ["evaluate", "--annotations", "boxes.csv", "--pictures"];
    let said = place.run_tiny(&[&words[..], &["nowhere"]].concat());
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["folder nowhere: can't be listed"]);
    std::fs::create_dir_all(place.path("bare/red")).expect("made");
    let said = place.run_tiny(&[&words[..], &["bare"]].concat());
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["folder bare: has no pictures"]);
}

/// A wall that is grey, which no colour wins, and one that is red.
fn with_walls() -> TestDir {
    let place = split();
    place.write_solid_image("nothing/wall/red.png", "red");
    let grey = image::RgbImage::from_pixel(32, 24, image::Rgb([128; 3]));
    let path = place.path("nothing/wall/grey.png");
    grey.save(path).expect("written");
    place
}

#[test]
fn every_threshold_is_held_against_pictures_with_nothing_in_them() {
    let place = with_walls();
    let said = evaluate(
        &place,
        &["--negatives", "nothing", "--sliding-window", "--json"],
    );
    said.assert_exit_code(0);
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
        let said = evaluate(&place, &["--negatives", "nothing", "--curve", file]);
        said.assert_exit_code(0);
        assert!(said.stdout.contains("false alarms, wall"), "{said:?}");
        let written = std::fs::read_to_string(place.path(file)).expect("written");
        assert!(written.starts_with(start), "{written}");
    }
    let said = evaluate(&place, &["--curve", "no/folder/curve.csv"]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["no/folder/curve.csv: can't be written"]);
}

#[test]
fn without_pictures_with_nothing_in_them_there_is_an_error() {
    let said = evaluate(&split(), &["--negatives", "nowhere"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["folder nowhere: can't be listed"]);
}
