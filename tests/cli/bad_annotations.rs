//! Invalid annotations, through `boxcam evaluate`.

use crate::common::{CommandOutput, TestDir};

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder";
const VALID: &str = "a,0.25,0.75,0.25,0.75,red,red";

/// The output of `evaluate` for a dataset with one red picture and this CSV.
fn evaluate_csv(text: &str) -> CommandOutput {
    let directory = TestDir::new();
    directory.write_solid_image("val/red/a.png", "red");
    directory.write("boxes.csv", text);
    evaluate(&directory, "val")
}

/// The output of `evaluate` for the pictures of a folder and `boxes.csv`.
fn evaluate(directory: &TestDir, pictures: &str) -> CommandOutput {
    let arguments = [
        "evaluate",
        "--pictures",
        pictures,
        "--annotations",
        "boxes.csv",
        "--json",
    ];
    directory.run_tiny(&arguments)
}

#[test]
fn a_valid_file_is_accepted() {
    let output = evaluate_csv(&format!("{HEADER}\n{VALID}\n"));
    output.assert_exit_code(0);
    assert_eq!(output.lines()[0]["rows"], 1);
}

#[test]
fn a_missing_column_is_an_error_that_names_it() {
    let columns = HEADER.split(',').collect::<Vec<_>>();
    for missing in &columns {
        let others: Vec<_> = columns
            .iter()
            .filter(|name| *name != missing)
            .copied()
            .collect();
        let output = evaluate_csv(&format!("{}\n", others.join(",")));
        output.assert_exit_code(4);
        output.assert_stderr_contains(&[&format!(
            "annotations boxes.csv: has no column \"{missing}\""
        )]);
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn invalid_rows_are_named_and_the_rest_is_evaluated() {
    let cases = [
        (
            "a,left,0.75,0.25,0.75,red,red",
            "line 3: x_min is \"left\", expected a number",
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
    for (row, message) in cases {
        let output = evaluate_csv(&format!("{HEADER}\n{VALID}\n{row}\n{VALID}\n"));
        output.assert_exit_code(4);
        output.assert_stderr_contains(&[&format!("annotations boxes.csv, {message}")]);
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        let metrics = output.lines().remove(0);
        assert_eq!(
            (&metrics["rows"], &metrics["mean_iou"]),
            (&2.into(), &1.0.into()),
            "{row}"
        );
    }
}

#[test]
fn a_row_whose_meaning_is_known_is_used() {
    for (row, note) in [
        ("a,0.75,0.25,0.75,0.25,red,red", "swapped in 1 rows"),
        ("A.PNG,0.25,0.75,0.25,0.75,red,red", ""),
        ("val\\red\\a.png,0.25,0.75,0.25,0.75,red,Red", ""),
    ] {
        let output = evaluate_csv(&format!("{HEADER}\n{row}\n"));
        output.assert_exit_code(0);
        output.assert_stderr_contains(&[note]);
        let metrics = output.lines().remove(0);
        assert_eq!(
            (&metrics["rows"], &metrics["mean_iou"]),
            (&1.into(), &1.0.into()),
            "{row}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_named_and_the_rest_is_evaluated() {
    use std::os::unix::fs::symlink;
    let directory = TestDir::new();
    directory.write_solid_image("val/red/a.png", "red");
    directory.write("val/red/._a.png", "attributes of macOS");
    directory.write("boxes.csv", format!("{HEADER}\n{VALID}\n"));
    let red = directory.path("val/red");
    symlink("nowhere.jpg", red.join("zz.jpg")).expect("linked");
    symlink("..", red.join("loop")).expect("linked");
    let output = evaluate(&directory, "val");
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["link val/red/zz.jpg: can't be followed"]);
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert_eq!(output.lines()[0]["rows"], 1);
}

#[test]
fn pictures_of_formats_that_are_not_read_are_named() {
    let directory = TestDir::new();
    directory.write_solid_image("val/red/a.png", "red");
    directory.write("val/red/b.heic", "HEIC");
    directory.write("val/red/c.HEIC", "HEIC");
    // Beside the HEIC from which it was converted.
    directory.write("val/red/a.heic", "HEIC");
    directory.write("boxes.csv", format!("{HEADER}\n{VALID}\n"));
    let output = evaluate(&directory, "val");
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["2 HEIC files are not read, such as val/red/b.heic"]);
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert_eq!(output.lines()[0]["rows"], 1);
    directory.write("phone/red/b.heic", "HEIC");
    let output = evaluate(&directory, "phone");
    output.assert_exit_code(4);
    output
        .assert_stderr_contains(&["folder phone: has no pictures that boxcam reads; 1 HEIC file"]);
}

#[test]
fn an_unreadable_picture_is_named_and_skipped() {
    let directory = TestDir::new();
    directory.write_solid_image("val/red/a.png", "red");
    directory.write("val/red/b.png", "no picture");
    directory.write(
        "boxes.csv",
        format!("{HEADER}\n{VALID}\n{}\n", VALID.replacen('a', "b", 1)),
    );
    let output = evaluate(&directory, "val");
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["picture val/red/b.png: is not a JPEG"]);
    let metrics = output.lines().remove(0);
    assert_eq!(
        (&metrics["rows"], &metrics["pictures"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_missing_file_is_named() {
    let directory = TestDir::new();
    directory.write_solid_image("val/red/a.png", "red");
    let output =
        directory.run_tiny(&["evaluate", "--pictures", "val", "--annotations", "none.csv"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["annotations none.csv: can't be read", "No such file"]);
}
