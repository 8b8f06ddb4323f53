//! `boxcam evaluate`, the real program.

use crate::common::{CommandOutput, TestDir};

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

/// Five pictures. The tiny model classifies their color and always predicts the box in the middle.
fn dataset() -> TestDir {
    let directory = TestDir::new();
    directory.write_solid_image("val/red/r1.png", "red");
    directory.write_solid_image("val/red/r2.png", "blue");
    directory.write_solid_image("val/green/g1.bmp", "green");
    directory.write_solid_image("val/blue/b1.png", "blue");
    directory.write_solid_image("val/blue/b2.png", "blue");
    directory.write("val/readme.txt", "not in a class folder");
    directory.write("val/blue/notes.txt", "not a picture");
    let rows = "r1,0.25,0.75,0.25,0.75,red,red\n\
                r1,0.0,0.1,0.0,0.1,green,red\n\
                r2,0.25,0.75,0.25,0.75,red,red\n\
                g1,0.25,0.5,0.25,0.75,green,green\n\
                b1,0.0,1.0,0.0,1.0,violet,blue\n";
    directory.write("boxes.csv", format!("{HEADER}{rows}"));
    directory
}

fn evaluate(directory: &TestDir, more: &[&str]) -> CommandOutput {
    let arguments = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
    ];
    directory.run_tiny(&[&arguments[..], more].concat())
}

#[test]
fn the_metrics_equal_values_computed_by_hand() {
    let output = evaluate(&dataset(), &["--json"]);
    output.assert_exit_code(0);
    let left_out = "1 boxes are of classes that the model lacks and are left out of average precision: violet (1)";
    assert!(output.stderr.contains(left_out), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1);
    let metrics = output.lines().remove(0);
    assert_eq!(output.stdout.lines().count(), 1);
    assert_eq!(
        (&metrics["rows"], &metrics["pictures"]),
        (&5.into(), &5.into())
    );
    assert_eq!(metrics["unknown_class_rows"], 1);
    let assert_near = |name: &str, expected: f64| {
        let found = metrics[name].as_f64().expect("a number");
        assert!(
            (found - expected).abs() < 1e-5,
            "{name} is {found}, not {expected}"
        );
    };
    // The boxes of r1 (red) and g1 are correct.
    assert_near("class_accuracy", 2.0 / 5.0);
    // All pictures but r2, which shows blue.
    assert_near("picture_accuracy", 4.0 / 5.0);
    assert_near("mean_iou", (1.0 + 0.0 + 1.0 + 0.5 + 0.25) / 5.0);
    assert_near("largest_box_mean_iou", (1.0 + 1.0 + 0.5 + 0.25) / 4.0);
    assert_near("largest_box_iou_over_half", 3.0 / 4.0);
    let corner = (0.25_f64.powi(2) + 0.65_f64.powi(2)) / 2.0;
    assert_near(
        "box_mse",
        (corner + 0.25_f64.powi(2) / 4.0 + 0.25_f64.powi(2)) / 5.0,
    );
    let confusion = serde_json::json!({
        "labels": ["red", "green", "blue"],
        "counts": [[1, 0, 1], [1, 1, 0], [0, 0, 0]],
    });
    assert_eq!(metrics["confusion"], confusion);
    assert_eq!(metrics["model"].as_str().map(str::len), Some(8));
}

#[test]
fn the_number_of_threads_does_not_change_the_metrics() {
    let directory = dataset();
    let metrics_with = |more: &[&str]| {
        let mut metrics = evaluate(&directory, &[&["--json"], more].concat())
            .lines()
            .remove(0);
        let speed = metrics.as_object_mut().expect("an object").remove("speed");
        // Times differ between runs.
        assert!(speed.is_some_and(|speed| speed["inference_p50_ms"].is_f64()));
        metrics
    };
    let one = metrics_with(&["--threads", "1"]);
    for more in [&["--threads", "2"][..], &["--threads", "7"], &[]] {
        assert_eq!(metrics_with(more), one);
    }
}

#[test]
fn the_json_has_details_per_class_size_and_bin() {
    let metrics = evaluate(&dataset(), &["--json"]).lines().remove(0);
    // One of two red and one of two green boxes is found, each by the first detection of its class: precision 1 up to a
    // recall of a half.
    let half = 51.0 / 101.0;
    let ap50 = metrics["ap50"].as_f64().expect("a number");
    // Green's detection has an IoU of exactly 0.5, red's of 1; blue has no boxes.
    assert!((ap50 - half).abs() < 1e-6, "{ap50}");
    let red = &metrics["per_class"][0];
    assert_eq!((&red["class"], &red["rows"]), (&"red".into(), &2.into()));
    assert_eq!(
        (&red["recall"], &red["precision"]),
        (&0.5.into(), &0.5.into())
    );
    assert!(metrics["per_class"][2]["recall"].is_null());
    assert_eq!(
        metrics["iou_histogram"]["rows"].as_array().map(Vec::len),
        Some(10)
    );
    let sizes = metrics["per_size"].as_array().expect("a list");
    let of_size = |size: &serde_json::Value| size["pictures"].as_u64().expect("a count");
    // The two red boxes in the middle cover a quarter of the picture, green's an eighth, blue's all of it.
    assert_eq!(
        sizes.iter().map(of_size).collect::<Vec<_>>(),
        [0, 1, 2, 0, 1]
    );
    assert_eq!(
        metrics["calibration"]["bins"].as_array().map(Vec::len),
        Some(10)
    );
    let interval = &metrics["intervals"]["class_accuracy"];
    let (low, high) = (interval["low"].as_f64(), interval["high"].as_f64());
    assert!(low < Some(0.4) && Some(0.4) < high, "{interval}");
    let speed = &metrics["speed"];
    assert_eq!(speed["pictures"], 5);
    assert!(speed["model_bytes"].as_u64() > Some(0) && speed["multiply_adds"].is_u64());
}

#[test]
fn the_report_is_one_file_with_the_same_metrics() {
    let directory = dataset_with_walls();
    let arguments = [
        "--negatives",
        "negatives",
        "--json",
        "--report",
        "report.html",
    ];
    let output = evaluate(&directory, &arguments);
    output.assert_exit_code(0);
    let metrics = output.lines().remove(0);
    let page = std::fs::read_to_string(directory.path("report.html")).expect("written");
    for name in ["class_accuracy", "mean_iou", "largest_box_mean_iou", "ap50"] {
        let shown = format!("{:.4}", metrics[name].as_f64().expect("a number"));
        assert!(
            page.contains(&format!("<dd>{shown}<small>")),
            "{name} {shown}"
        );
    }
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 4);
    let of_objects = metrics["objects"]["ap50"].as_f64().expect("a number");
    assert!(page.contains(&format!(
        "<dt>objects, AP at IoU 0.5</dt><dd>{of_objects:.4}<"
    )));
    for chart in ["by class", "by share", "by area"] {
        let label = format!("aria-label=\"objects, AP at IoU 0.5 {chart}\"");
        assert!(page.contains(&label), "{label}");
    }
    assert!(page.contains("false alarms, wall"));
    for external in ["src=\"http", "href=", "@import", "url(", "<script"] {
        assert!(
            !page.contains(external),
            "{external} refers to another file"
        );
    }
    assert_well_formed(&page);
}

/// Every element that is opened is closed, in the right order.
fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag that ends");
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
fn a_report_that_cannot_be_written_is_an_output_error() {
    let output = evaluate(&dataset(), &["--report", "no/folder/report.html"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["no/folder/report.html: can't be written"]);
    let output = evaluate(&dataset(), &["--report", "report.pdf"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["ends in .html"]);
}

#[test]
fn the_default_output_is_a_table() {
    let output = evaluate(&dataset(), &[]);
    output.assert_exit_code(0);
    let line = |start: &str| {
        let found = output.stdout.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {}", output.stdout))
    };
    assert!(line("class accuracy, boxes").ends_with(" 0.4000"));
    assert!(line("mean IoU, boxes").ends_with(" 0.5500"));
    assert!(line("red predicted as blue").ends_with(" 1"));
}

#[test]
fn a_missing_dataset_is_a_source_error() {
    let directory = dataset();
    let arguments = ["evaluate", "--annotations", "boxes.csv", "--pictures"];
    let output = directory.run_tiny(&[&arguments[..], &["nowhere"]].concat());
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["folder nowhere: can't be listed"]);
    std::fs::create_dir_all(directory.path("bare/red")).expect("made");
    let output = directory.run_tiny(&[&arguments[..], &["bare"]].concat());
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["folder bare: has no pictures"]);
}

/// With two negatives: a grey wall, which has the same score for every color, and a red one.
fn dataset_with_walls() -> TestDir {
    let directory = dataset();
    directory.write_solid_image("negatives/wall/red.png", "red");
    let grey = image::RgbImage::from_pixel(32, 24, image::Rgb([128; 3]));
    let path = directory.path("negatives/wall/grey.png");
    grey.save(path).expect("written");
    directory
}

#[test]
fn the_curve_has_false_alarms_on_negatives() {
    let directory = dataset_with_walls();
    let output = evaluate(
        &directory,
        &["--negatives", "negatives", "--sliding-window", "--json"],
    );
    output.assert_exit_code(0);
    let metrics = output.lines().remove(0);
    assert_eq!(metrics["nothing"]["wall"], 2);
    // The threshold of the card is 0.5.
    assert_eq!(metrics["negatives"]["pictures"], 2);
    assert_eq!(metrics["negatives"]["with_detection"], 0.5);
    assert_eq!(metrics["negatives"]["detections_per_picture"], 0.5);
    let curve = metrics["curve"].as_array().expect("a list");
    assert_eq!(curve.len(), 19);
    // Grey has a confidence of a third, red of nearly 1, and a clip is four seconds long.
    for (point, alarms, per_minute) in [(&curve[5], 1.0, 15.0), (&curve[6], 0.5, 7.5)] {
        assert_eq!(point["false_alarms"]["wall"], alarms, "{point}");
        assert_eq!(
            point["false_appearances_a_minute"]["wall"], per_minute,
            "{point}"
        );
        assert_eq!(point["pictures_found"], 1.0, "{point}");
        assert_eq!(point["pictures_right"], 0.8, "{point}");
        assert_eq!(point["rows_right"], 0.4, "{point}");
    }
}

#[test]
fn the_curve_is_a_table_a_csv_file_or_a_chart() {
    let directory = dataset_with_walls();
    for (file, start) in [("curve.csv", "threshold,"), ("curve.svg", "<svg ")] {
        let output = evaluate(&directory, &["--negatives", "negatives", "--curve", file]);
        output.assert_exit_code(0);
        assert!(output.stdout.contains("false alarms, wall"), "{output:?}");
        let alarms = "negatives with a detection            0.5000, detections";
        assert!(output.stdout.contains(alarms), "{output:?}");
        let written = std::fs::read_to_string(directory.path(file)).expect("written");
        assert!(written.starts_with(start), "{written}");
    }
    let output = evaluate(&directory, &["--curve", "no/folder/curve.csv"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["no/folder/curve.csv: can't be written"]);
}

/// A second of a red picture in which the tiny model's box is a true red one, and the true box of a green one that does
/// not count.
fn write_film(directory: &TestDir) {
    let mut truth = String::new();
    for frame in 1..=15 {
        directory.write_solid_image(&format!("films/one/img1/{frame:06}.jpg"), "red");
        truth += &format!("{frame},1,9,7,16,12,1,1,1\n{frame},2,1,1,4,4,0,2,0.1\n");
    }
    directory.write("films/one/gt/gt.txt", truth);
    let info = "[Sequence]\nframeRate=15\nseqLength=15\nimWidth=32\nimHeight=24\n";
    directory.write("films/one/seqinfo.ini", info);
    directory.write("films/labels.txt", "red\ngreen\n");
}

#[test]
fn the_tracks_of_films_are_compared_with_the_true_ones() {
    let directory = dataset();
    write_film(&directory);
    let output = evaluate(&directory, &["--films", "films", "--json"]);
    output.assert_exit_code(0);
    let metrics = output.lines().remove(0);
    let tracking = &metrics["tracking"];
    assert_eq!(
        (&tracking["films"], &tracking["frames"]),
        (&1.into(), &15.into())
    );
    assert_eq!(tracking["true_boxes"], 15);
    // A track appears after some frames, and then stays.
    let idf1 = tracking["idf1"].as_f64().expect("a number");
    assert!(idf1 > 0.7 && idf1 < 1.0, "{tracking}");
    for none in ["identity_switches", "stray_share", "wrong_label_share"] {
        assert_eq!(tracking[none].as_f64(), Some(0.0), "{tracking}");
    }
    let table = evaluate(&directory, &["--films", "films"]);
    assert!(table.stdout.contains("tracks, IDF1"), "{}", table.stdout);
    std::fs::remove_file(directory.path("films/one/img1/000007.jpg")).expect("removed");
    let output = evaluate(&directory, &["--films", "films"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["000007.jpg"]);
}

#[test]
fn a_missing_folder_of_negatives_is_an_error() {
    let output = evaluate(&dataset(), &["--negatives", "nowhere"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["folder nowhere: can't be listed"]);
}

#[test]
fn a_renamed_option_names_the_new_one() {
    for (old, new) in [
        (&["--nothing", "negatives"][..], "--negatives"),
        (&["--nothing=negatives"], "--negatives"),
        (&["--pan"], "--sliding-window"),
    ] {
        let output = evaluate(&dataset(), old);
        output.assert_exit_code(2);
        output.assert_stderr_contains(&[old[0].split('=').next().expect("a name"), new]);
    }
}
