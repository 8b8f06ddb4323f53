//! Numbers, ids, outlines and classes.

use std::path::Path;

use super::super::dropped::DroppedBoxes;
use super::*;

#[test]
fn coco_boxes_are_read_however_they_are_written() {
    let outline = json!([[20, 10, 80, 10, 80, 60, 20, 60]]);
    let runs = {
        let column = |top: u64, bottom: u64| [top, bottom - top, 120 - bottom];
        let columns = (0..60).flat_map(|_| column(10, 60)).collect::<Vec<_>>();
        // Neighboring runs of zeros are one run.
        let mut counts = vec![20 * 120 + columns[0]];
        for column in columns.chunks(3) {
            counts.extend([column[1], column[2] + 10]);
        }
        json!({ "size": [120, 160], "counts": counts })
    };
    let cases = [
        ("plain", json!({})),
        ("empty bbox", json!({ "bbox": [], "segmentation": outline })),
        (
            "null bbox",
            json!({ "bbox": null, "segmentation": outline }),
        ),
        (
            "no numbers",
            json!({ "bbox": ["NaN", 1, 2, 3], "segmentation": outline }),
        ),
        (
            "zero bbox",
            json!({ "bbox": [0, 0, 0, 0], "segmentation": outline }),
        ),
        ("run lengths", json!({ "bbox": [], "segmentation": runs })),
        ("texts", json!({ "bbox": ["20", "10.0", "60", "50,0"] })),
        (
            "ids in texts",
            json!({ "image_id": "0", "category_id": "1" }),
        ),
        (
            "ids with a point",
            json!({ "image_id": 0.0, "category_id": 1.0 }),
        ),
        ("both", json!({ "image_id": "0.0", "category_id": "1.0" })),
        ("negative size", json!({ "bbox": [80, 60, -60, -50] })),
        (
            "odd other fields",
            json!({ "area": "NaN", "iscrowd": "0", "segmentation": "none" }),
        ),
        ("no crowd", json!({ "iscrowd": false })),
    ];
    for (case, changes) in cases {
        let coco = coco_of(image("a.png"), with(annotation(), changes)).to_string();
        let field = Field::new().picture("a.png").put("result.json", coco);
        field.has_the_box(DatasetFormat::Coco, case);
    }
    for size in [
        json!({ "width": 0, "height": 0 }),
        json!({ "width": null, "height": null }),
        json!({ "width": "160", "height": "120.0" }),
        json!({ "width": -1, "height": "NaN" }),
    ] {
        let coco = coco_of(with(image("a.png"), size.clone()), annotation()).to_string();
        let field = Field::new().picture("a.png").put("result.json", coco);
        field.has_the_box(DatasetFormat::Coco, &size.to_string());
    }
}

#[test]
fn an_image_of_coco_says_whether_it_is_exhaustively_annotated() {
    let read = |changes: Value| {
        let coco = coco_of(with(image("a.png"), changes), annotation()).to_string();
        let field = Field::new().picture("a.png").put("result.json", coco);
        let (_, dataset) = field.read();
        let issues: Vec<String> = dataset.issues.iter().map(ToString::to_string).collect();
        (dataset.pictures[0].exhaustive, issues)
    };
    assert_eq!(read(json!({})), (None, Vec::new()));
    assert_eq!(
        read(json!({ "exhaustive": true })),
        (Some(true), Vec::new())
    );
    assert_eq!(read(json!({ "exhaustive": 0 })), (Some(false), Vec::new()));
    let (unknown, issues) = read(json!({ "exhaustive": "partly" }));
    assert_eq!((unknown, issues.len()), (None, 1));
    assert!(issues[0].contains("exhaustive is \"partly\", expected true or false"));
}

#[test]
fn an_invalid_number_costs_one_row_of_coco() {
    for number in ["NaN", "Infinity", "-Infinity", "nan", "1e999", "null"] {
        let text = format!(
            r#"{{"images": [{{"id": 0, "file_name": "a.png", "width": 160, "height": 120}}],
            "annotations": [
            {{"id": 7, "image_id": 0, "category_id": 1, "area": {number}, "bbox": [20, 10, 60, 50]}},
            {{"id": 8, "image_id": 0, "category_id": 1, "area": 9, "bbox": [{number}, 10, 60, 50]}}],
            "categories": [{{"id": 1, "name": "mug"}}]}}"#
        );
        let field = Field::new().picture("a.png").put("result.json", text);
        let (_, dataset) = field.read();
        assert_eq!(boxes(&dataset).len(), 1, "{number}");
        let issues = field.issues();
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert!(
            issues[0].contains("annotations[1] (id 8): bbox is"),
            "{issues:?}"
        );
        assert!(issues[0].contains(number), "{issues:?}");
    }
}

#[test]
fn entries_of_one_coco_picture_are_joined_and_equal_ids_refused() {
    let images = [image("a.png"), with(image("a.png"), json!({ "id": 1 }))];
    let annotations = [annotation(), with(annotation(), json!({ "image_id": 1 }))];
    let categories = json!([{ "id": 1, "name": "mug" }, { "id": 2 }]);
    let mut coco =
        json!({ "images": images, "annotations": annotations, "categories": categories });
    let field = Field::new()
        .picture("a.png")
        .put("r.json", coco.to_string());
    let (_, dataset) = field.read();
    assert_eq!((dataset.pictures.len(), boxes(&dataset).len()), (1, 2));
    assert!(field.issues()[0].contains("categories[1] (id 2): has no name"));
    coco["images"] = json!([image("a.png"), image("b.png")]);
    let field = field.picture("b.png").put("r.json", coco.to_string());
    assert!(boxes(&field.read().1).is_empty());
    assert!(
        field
            .issues()
            .iter()
            .any(|issue| issue.contains("two images have the id 0"))
    );
}

#[test]
fn yolo_boxes_are_read_however_they_are_written() {
    let cases = [
        ("0 0.3125 0.2916667 0.375 0.4166667", ""),
        ("0.0e+00 3.125e-01 2.916667e-01 3.75e-01 4.166667e-01", ""),
        ("0.000000 0.3125 0.2916667 0.375 0.4166667", ""),
        ("mug 0.3125 0.2916667 0.375 0.4166667", ""),
        ("0 0.3125 0.2916667 0.375 0.4166667 0.93", "confidence"),
        ("0\t0.3125\t0.2916667\t0.375\t0.4166667\t", "tabs"),
        ("0 0,3125 0,2916667 0,375 0,4166667", "decimal commas"),
        ("0,0.3125,0.2916667,0.375,0.4166667", "commas"),
        (
            "0, 0.3125, 0.2916667, 0.375, 0.4166667",
            "commas and spaces",
        ),
        ("0;0,3125;0,2916667;0,375;0,4166667", "semicolons"),
        ("0 0.3125 0.2916667 -0.375 -0.4166667", "swapped"),
        (
            "0 0.125 0.0833333 0.5 0.0833333 0.5 0.5 0.3 0.5 0.125 0.3",
            "polygon",
        ),
        (
            "0 0.125 0.0833333 0.5 0.0833333 0.5 0.5 0.125 0.5",
            "rotated box",
        ),
        ("0 0.125 0.0833333 0.5 0.0833333 0.2 0.5", "triangle"),
    ];
    for (line, case) in cases {
        let field = Field::new()
            .picture("images/a.png")
            .put("labels/a.txt", format!("\n{line}\n\n"))
            .put("classes.txt", "mug\ncup\n");
        field.has_the_box(DatasetFormat::Yolo, &format!("{case} {line}"));
    }
    let points = " 0.2 0.2 2 0.3 0.3 1";
    let field = Field::new()
        .picture("images/a.png")
        .put("labels/a.txt", format!("{}{points}\n", YOLO.trim()))
        .put("data.yaml", "kpt_shape: [2, 3]\nnames: [mug]\n");
    field.has_the_box(DatasetFormat::Yolo, "key points");
    let field = Field::new()
        .picture("images/a.png")
        .put("labels/a.txt", "0 0.5 0.5 1.0125 1.015\n")
        .put("classes.txt", "mug\n");
    let (_, dataset) = field.read();
    assert_corners(
        &boxes(&dataset)[0].1,
        [0.0, 1.0, 0.0, 1.0],
        "one pixel beyond",
    );
}

#[test]
fn the_number_of_a_class_is_its_line() {
    for (list, line) in [
        ("\u{feff}cup\r\nmug\r\n", "1"),
        ("cup\n\nmug\n", "2"),
        ("\n\ncup \n mug\t\n\n", "3"),
        ("cup\rmug", "1"),
    ] {
        let field = Field::new()
            .picture("images/a.png")
            .put("labels/a.txt", YOLO.replacen('0', line, 1))
            .put("classes.txt", list);
        field.has_the_box(DatasetFormat::Yolo, list);
        assert_eq!(field.read().1.classes, ["cup", "mug"], "{list:?}");
    }
    for yaml in [
        "names: [cup, '', mug]",
        "names:\n- cup\n-\n- mug",
        "names: {0: cup, 2: mug}",
        "names: {'0': cup, '2': mug}",
    ] {
        let field = Field::new()
            .picture("images/a.png")
            .put("labels/a.txt", YOLO.replacen('0', "2", 1))
            .put("data.yaml", yaml);
        field.has_the_box(DatasetFormat::Yolo, yaml);
    }
}

#[test]
fn voc_boxes_are_read_however_they_are_written() {
    let size = "<size><width>160</width><height>120</height></size>";
    let bndbox = "<bndbox><xmin>21</xmin><ymin>11</ymin><xmax>80</xmax><ymax>60</ymax></bndbox>";
    let cases = [
        (size, ""),
        (
            size,
            "<size><width>0</width><height>0</height><depth>3</depth></size>",
        ),
        (size, "<size><width>wide</width><height/></size>"),
        (size, "<size/>"),
        (
            size,
            "<size><width>160.0</width><height>120.0</height></size>",
        ),
        ("<xmin>21", "<xmin> 21.0 "),
        ("<xmin>21", "<xmin>2.1e1"),
        (
            "<xmin>21</xmin><ymin>11</ymin><xmax>80</xmax>",
            "<xmin>80</xmin><ymin>11</ymin><xmax>21</xmax>",
        ),
        ("<name>mug", "<name>\n mug\u{feff} "),
        (
            bndbox,
            "<polygon><x1>20</x1><y1>10</y1><x2>80</x2><y2>10</y2><x3>40</x3><y3>60</y3></polygon>",
        ),
        (
            bndbox,
            "<polygon><pt><x>20</x><y>10</y></pt><pt><x>80</x><y>60</y></pt></polygon>",
        ),
        (
            bndbox,
            "<robndbox><cx>50</cx><cy>35</cy><w>60</w><h>50</h><angle>0</angle></robndbox>",
        ),
        (
            bndbox,
            "<robndbox><cx>50</cx><cy>35</cy><w>50</w><h>60</h><angle>1.5707963267948966</angle></robndbox>",
        ),
    ];
    for (from, to) in cases {
        let field = Field::new()
            .picture("a.png")
            .put("a.xml", VOC.replace(from, to));
        field.has_the_box(DatasetFormat::Voc, to);
    }
    let beyond = VOC
        .replace("<xmin>21", "<xmin>0")
        .replace("<xmax>80", "<xmax>161");
    let field = Field::new().picture("a.png").put("a.xml", beyond);
    let expected = [0.0, 1.0, CORNERS[2], CORNERS[3]];
    assert_corners(&boxes(&field.read().1)[0].1, expected, "one pixel beyond");
}

#[test]
fn labelme_shapes_have_boxes() {
    let cases = [
        ("rectangle", json!([[20, 10], [80, 60]])),
        ("rectangle", json!([[80, 60], [20, 10]])),
        ("rectangle", json!([[20, 10], [80, 10], [80, 60], [20, 60]])),
        ("polygon", json!([[20, 10], [80.0, 30], ["40", 60]])),
        ("rotation", json!([[20, 30], [50, 10], [80, 30], [50, 60]])),
        ("mask", json!([[20, 10], [80, 60]])),
    ];
    for (kind, points) in cases {
        let shape = json!({ "label": "mug", "points": points, "shape_type": kind });
        let json = with(labelme(), json!({ "shapes": [shape] })).to_string();
        let field = Field::new().picture("a.png").put("a.json", json);
        field.has_the_box(DatasetFormat::LabelMe, kind);
    }
    let shapes = json!([
        { "label": "mug", "points": [[50, 50], [50, 90]], "shape_type": "circle" },
        { "label": "cup", "points": [[10, 10], [20, 20]], "group_id": 3, "shape_type": "rectangle" },
        { "label": "cup", "points": [[30, 30], [40, 40]], "group_id": 3, "shape_type": "rectangle" },
        { "label": "dot", "points": [[30, 30]], "shape_type": "point" },
        { "label": 7, "points": [[10, 10], [20, "NaN"]], "shape_type": "rectangle" },
        { "points": [[10, 10], [20, 20]] },
    ]);
    let json = with(
        labelme(),
        json!({ "shapes": shapes, "imageWidth": 0, "imageHeight": null }),
    );
    let field = Field::new()
        .picture("a.png")
        .put("a.json", json.to_string());
    let (_, dataset) = field.read();
    let boxes = boxes(&dataset);
    assert_eq!(boxes.len(), 2);
    assert_corners(
        &boxes[0].1,
        [10.0 / 160.0, 90.0 / 160.0, 10.0 / 120.0, 90.0 / 120.0],
        "circle",
    );
    assert_corners(
        &boxes[1].1,
        [10.0 / 160.0, 40.0 / 160.0, 10.0 / 120.0, 40.0 / 120.0],
        "group",
    );
    assert!(
        dataset.notes[0].contains("1 points and lines"),
        "{:?}",
        dataset.notes
    );
    let issues = field.issues();
    assert_eq!(issues.len(), 2, "{issues:?}");
    assert!(
        issues[0].contains("a.json, shapes[5]: has no label"),
        "{issues:?}"
    );
    assert!(
        issues[1].contains("a.json, shapes[4]: has no points"),
        "{issues:?}"
    );
}

#[test]
fn a_damaged_labelme_file_costs_only_itself() {
    let field = Field::new()
        .picture("a.png")
        .picture("b.png")
        .picture("c.png")
        .put("a.json", labelme().to_string())
        .put("b.json", &labelme().to_string()[..60])
        .put(
            "c.json",
            labelme().to_string().replace("[80,60]", "[NaN,60]"),
        );
    assert_eq!(boxes(&field.read().1).len(), 1);
    let issues = field.issues();
    assert!(
        issues[0].contains("b.json, line 1: is not valid LabelMe JSON"),
        "{issues:?}"
    );
    assert!(
        issues[1].contains("c.json, shapes[0]: has no points"),
        "{issues:?}"
    );
}

#[test]
fn groups_of_open_images_are_skipped_and_depictions_are_not() {
    for flag in ["1", "1.0", "true"] {
        let table = OPEN_IMAGES.to_owned()
            + &format!("a,xclick,/m/2,0,1,0,1,{flag},0\n")
            + "a,xclick,/m/1,0.2,0.4,0.2,0.4,-1,1\n";
        let field = Field::new().picture("a.png").put("train-boxes.csv", table);
        let (_, dataset) = field.read();
        assert_eq!(boxes(&dataset).len(), 2, "{flag}");
        assert!(dataset.issues.is_empty());
        assert!(dataset.notes[0].contains("1 groups (IsGroupOf) are skipped"));
    }
}

#[test]
fn boxes_that_are_left_out_are_counted() {
    let annotations = [
        annotation(),
        with(annotation(), json!({ "bbox": [150, 10, 60, 50] })),
        with(annotation(), json!({ "image_id": 1 })),
        with(annotation(), json!({ "image_id": 1 })),
        with(annotation(), json!({ "image_id": 1, "iscrowd": 1 })),
    ];
    let coco = json!({
        "images": [image("a.png"), with(image("gone.png"), json!({ "id": 1 }))],
        "annotations": annotations,
        "categories": [{ "id": 1, "name": "mug" }],
    });
    let field = Field::new()
        .picture("a.png")
        .put("r.json", coco.to_string());
    let (_, dataset) = field.read();
    let prints = duplicates::fingerprints(&dataset.pictures, 1, &|| ());
    let counts = DroppedBoxes::of(&dataset, &prints);
    assert_eq!((counts.dropped, counts.total), (3, 4));
    let error = counts
        .check(Path::new("d"))
        .expect_err("too many")
        .to_string();
    assert!(
        error.contains("data set d: 3 of 4 boxes left out: 2 because their picture is missing"),
        "{error}"
    );
    assert!(error.contains("--allow-dropped"), "{error}");
}
