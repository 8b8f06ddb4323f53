//! Broken input of each format: what is said names the file, the line or element, and what is wrong.

use super::*;

/// What is said of a data set in which one file is replaced: its error, or its only fault.
pub(super) fn said(format: Format, file: &str, text: &str) -> String {
    let folder = written(format);
    put(folder.path(), file, text);
    match read(folder.path()) {
        Err(error) => error.to_string(),
        Ok((_, dataset)) => {
            assert_eq!(dataset.faults.len(), 1, "{text}: {:?}", dataset.faults);
            dataset.faults[0].to_string()
        }
    }
}

fn check(format: Format, file: &str, cases: &[(String, &[&str])]) {
    for (text, expected) in cases {
        let said = said(format, file, text);
        for words in *expected {
            assert!(said.contains(words), "expected \"{words}\" in: {said}");
        }
    }
}

#[test]
fn broken_coco_is_named() {
    let file = "annotations/instances_train2017.json";
    let of = |list: &str, key: &str, value: Value| {
        let mut all = coco();
        for list in ["images", "annotations"] {
            all[list].as_array_mut().expect("a list").truncate(1);
        }
        all[list][0][key] = value;
        all.to_string()
    };
    let whole = coco().to_string();
    let place = "annotations[0] (id 101)";
    check(
        Format::Coco,
        file,
        &[
            (
                whole[..whole.len() / 2].to_owned(),
                &["train2017.json, line 1", "no COCO JSON", "EOF"],
            ),
            (
                whole.replace("\"categories\"", "\"kinds\""),
                &["line 1", "missing field `categories`"],
            ),
            (
                of("annotations", "category_id", json!(99)),
                &[place, "class 99 has no name"],
            ),
            (
                of("annotations", "image_id", json!(7)),
                &[place, "image 7 is not in \"images\""],
            ),
            (
                of("annotations", "bbox", json!([1, 2, 3])),
                &[place, "has 3 fields, expected 4"],
            ),
            (
                of("annotations", "bbox", json!([1, "2", 3, 4])),
                &[place, "bbox is \"\"2\"\"", "a number"],
            ),
            (
                of("annotations", "bbox", json!([9, 9, -3, 4])),
                &[place, "x_min 9 is not less than x_max 6"],
            ),
            (
                of("annotations", "bbox", json!([100, 9, 80, 4])),
                &[place, "from 100 to 180 in x"],
            ),
            (
                of("annotations", "bbox", Value::Null),
                &[place, "has no bbox"],
            ),
            (
                of("images", "file_name", json!("gone.jpg")),
                &["images[0] (id 1)", "gone.jpg is missing"],
            ),
            (
                of("images", "file_name", Value::Null),
                &["images[0] (id 1)", "has no file_name"],
            ),
            (
                of("images", "height", json!(77)),
                &[
                    "images[0] (id 1)",
                    "is 160 x 77 pixels, but it is 160 x 120",
                ],
            ),
        ],
    );
}

#[test]
fn broken_voc_is_named() {
    let whole = voc(1);
    let [left, right, ..] = pixels(1);
    let swapped = whole
        .replace(&format!("<xmin>{}<", left + 1.0), "<xmin>90<")
        .replace(&format!("<xmax>{right}<"), "<xmax>30<");
    let name = &scene(1).truth[0].label;
    check(
        Format::Voc,
        "Annotations/1.xml",
        &[
            (
                whole[..whole.len() / 2].to_owned(),
                &["1.xml, line", "no XML"],
            ),
            (
                whole.replace("size>", "sizes>"),
                &["1.xml, line 1", "has no <size>"],
            ),
            (
                whole.replace("<width>160", "<width>wide"),
                &["1.xml, line 1", "width is \"wide\""],
            ),
            (
                whole.replace("<width>160", "<width>0"),
                &["1.xml", "is 0 x 120 pixels, but it is 160 x 120"],
            ),
            (
                whole.replace(&format!("<name>{name}</name>"), ""),
                &["1.xml, line 4", "has no <name>"],
            ),
            (
                whole.replace("bndbox>", "box>"),
                &["1.xml, line 4", "has no <bndbox>"],
            ),
            (
                whole.replace("ymax>", "ymx>"),
                &["1.xml, line 4", "has no ymax"],
            ),
            (
                swapped,
                &["1.xml, line 4", "x_min 90 is not less than x_max 30"],
            ),
            (
                whole.replace(&format!("<xmax>{right}"), "<xmax>170"),
                &["1.xml, line 4", "to 170 in x, the picture from 0 to 160"],
            ),
        ],
    );
    let folder = written(Format::Voc);
    fs::remove_file(folder.path().join("JPEGImages/1.jpg")).expect("there");
    let (_, dataset) = read(folder.path()).expect("readable");
    assert!(
        dataset.faults[0]
            .to_string()
            .contains("JPEGImages/1.jpg is missing")
    );
}

#[test]
fn broken_yolo_is_named() {
    let file = "labels/train/1.txt";
    let sound = yolo(1);
    let after = |line: &str| format!("{sound}{line}\n");
    check(
        Format::Yolo,
        file,
        &[
            (
                after("3 0.5 0.5 0.2"),
                &["labels/train/1.txt, line 2", "has 4 fields, expected 5"],
            ),
            (
                after("20 0.5 0.5 0.2 0.2"),
                &["line 2", "class 20 has no name", "20 names, counted from 0"],
            ),
            (
                after("cup 0.5 0.5 0.2 0.2"),
                &["line 2", "class cup has no name"],
            ),
            (
                after("3 0.5 half 0.2 0.2"),
                &["line 2", "y is \"half\", expected a number"],
            ),
            (
                after("3 0.9 0.5 0.4 0.2"),
                &["line 2", "in x, the picture from 0 to 1"],
            ),
            (
                after("3 80 60 20 20"),
                &["line 2", "in x, the picture from 0 to 1"],
            ),
            (
                after("3 0.5 0.5 -0.4 0.2"),
                &["line 2", "x_min 0.7 is not less than x_max 0.3"],
            ),
            (after("3 NaN 0.5 0.4 0.2"), &["line 2", "expected a number"]),
        ],
    );
    check(
        Format::Yolo,
        "data.yaml",
        &[
            (
                "names: [a,\n b\nnc: 2".to_owned(),
                &["data.yaml, line", "no YAML with names"],
            ),
            (
                "nc: 2\nnames: 7".to_owned(),
                &["data.yaml, line 2", "expected names: [first, second]"],
            ),
        ],
    );
    let said = said(Format::Yolo, "labels/val/9.txt", "0 0.5 0.5 0.1 0.1\n");
    assert!(
        said.contains("labels/val/9.txt") && said.contains("images/val/9.jpg is missing"),
        "{said}"
    );
    let folder = written(Format::Yolo);
    fs::remove_file(folder.path().join("data.yaml")).expect("there");
    let error = read(folder.path()).expect_err("no names").to_string();
    assert!(
        error.contains("no names for its classes; add data.yaml"),
        "{error}"
    );
    put(folder.path(), "classes.txt", SNACKS_BY_ID.join("\n"));
    assert_eq!(read(folder.path()).expect("readable").1.classes.len(), 20);
}

#[test]
fn broken_open_images_are_named() {
    let file = "oidv6-train-annotations-bbox.csv";
    let csv = |row: &str| format!("{OPEN_IMAGES}{}{row}\n", open_images(1));
    let place = "oidv6-train-annotations-bbox.csv, line 3";
    check(
        Format::OpenImages,
        file,
        &[
            (
                csv("1,x,/m/1,1,0.8,0.2,0.1,0.2,0"),
                &[place, "x_min 0.8 is not less than x_max 0.2"],
            ),
            (
                csv("1,x,/m/1,1,0.8,1.2,0.1,0.2,0"),
                &[place, "in x, the picture from 0 to 1"],
            ),
            (
                csv("1,x,/m/1,1,left,0.2,0.1,0.2,0"),
                &[place, "XMin is \"left\", expected a number"],
            ),
            (
                csv("1,x,,1,0.1,0.2,0.1,0.2,0"),
                &[place, "has no LabelName"],
            ),
            (csv("1,x,/m/1"), &[place, "has 3 fields"]),
            (
                csv("7,x,/m/1,1,0.1,0.2,0.1,0.2,0\n8,x,/m/1,1,0.1,0.2,0.1,0.2,0"),
                &[place, "7.jpg is missing", "1 more rows"],
            ),
            (
                csv("").replace("YMax", "Bottom"),
                &["bbox.csv, line 1", "has no column \"YMax\""],
            ),
        ],
    );
}

#[test]
fn broken_rows_of_the_chapter_are_named() {
    let csv = |row: &str| format!("{CHAPTER}{}{row}\n", chapter(1));
    let place = "annotations-train.csv, line 3";
    check(
        Format::Chapter,
        "annotations-train.csv",
        &[
            (
                csv("1,0.8,0.2,0.1,0.2,cake,cake"),
                &[place, "x_min 0.8 is greater than x_max 0.2"],
            ),
            (csv("1,0.1,1.2,0.1,0.2,cake,cake"), &[place, "x_max is 1.2"]),
            (
                csv("gone,0.1,0.2,0.1,0.2,cake,cake"),
                &[place, "gone.jpg is missing"],
            ),
            (
                csv("").replace("x_min", "left"),
                &["annotations-train.csv", "no column \"x_min\""],
            ),
        ],
    );
}
