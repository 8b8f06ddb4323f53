//! CSV files with faults in them, through `boxcam evaluate`.

mod common;

use common::{CommandOutput, TestDir};

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder";
const SOUND: &str = "a,0.25,0.75,0.25,0.75,red,red";

/// What `evaluate` says of a split with one red picture and this CSV.
fn with_csv(text: &str) -> CommandOutput {
    let place = TestDir::new();
    place.write_solid_image("val/red/a.png", "red");
    place.write("boxes.csv", text);
    let words = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
        "--json",
    ];
    place.run_tiny(&words)
}

#[test]
fn a_sound_file_is_sound() {
    let said = with_csv(&format!("{HEADER}\n{SOUND}\n"));
    said.assert_exit_code(0);
    assert_eq!(said.lines()[0]["rows"], 1);
}

#[test]
fn a_missing_column_ends_it_and_is_named() {
    let columns = HEADER.split(',').collect::<Vec<_>>();
    for missing in &columns {
        let others: Vec<_> = columns
            .iter()
            .filter(|name| *name != missing)
            .copied()
            .collect();
        let said = with_csv(&format!("{}\n", others.join(",")));
        said.assert_exit_code(4);
        said.assert_stderr_contains(&[&format!(
            "annotations boxes.csv: has no column \"{missing}\""
        )]);
        assert_eq!(said.stdout, "");
    }
}

#[test]
fn bad_rows_are_named_and_the_rest_is_evaluated() {
    let cases = [
        (
            "a,left,0.75,0.25,0.75,red,red",
            "line 3: x_min is \"left\", expected a number",
        ),
        (
            "a,0.75,0.25,0.25,0.75,red,red",
            "line 3: x_min 0.75 is greater than x_max 0.25",
        ),
        ("a,0.25,0.75,0.25,1.75,red,red", "line 3: y_max is 1.75"),
        ("a,0.25,0.75,NaN,0.75,red,red", "line 3: y_min is NaN"),
        ("a,0.25,0.75,0.25,0.75,,red", "line 3: class_name is empty"),
        ("a,0.25,0.75", "line 3: has 3 fields, expected 7"),
        (
            "gone,0.25,0.75,0.25,0.75,red,red",
            "line 3: its picture val/red/gone.jpg is missing",
        ),
        (
            "a,0.25,0.75,0.25,0.75,red,pie",
            "line 3: its picture val/pie/a.jpg is missing",
        ),
    ];
    for (row, fault) in cases {
        let said = with_csv(&format!("{HEADER}\n{SOUND}\n{row}\n{SOUND}\n"));
        said.assert_exit_code(4);
        said.assert_stderr_contains(&[&format!("annotations boxes.csv, {fault}")]);
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        let figures = said.lines().remove(0);
        assert_eq!(
            (&figures["rows"], &figures["mean_iou"]),
            (&2.into(), &1.0.into()),
            "{row}"
        );
    }
}

#[test]
fn a_picture_that_cannot_be_read_is_named_and_left_out() {
    let place = TestDir::new();
    place.write_solid_image("val/red/a.png", "red");
    place.write("val/red/b.png", "no picture");
    place.write(
        "boxes.csv",
        format!("{HEADER}\n{SOUND}\n{}\n", SOUND.replacen('a', "b", 1)),
    );
    let words = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
        "--json",
    ];
    let said = place.run_tiny(&words);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["picture val/red/b.png: is not a JPEG"]);
    let figures = said.lines().remove(0);
    assert_eq!(
        (&figures["rows"], &figures["pictures"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = TestDir::new();
    place.write_solid_image("val/red/a.png", "red");
    let said = place.run_tiny(&["evaluate", "--pictures", "val", "--annotations", "none.csv"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["annotations none.csv: can't be read", "No such file"]);
}
