//! Formats, encodings, and files that are in no format.

use super::*;

#[test]
fn every_format_is_read_in_every_encoding() {
    let coco = coco_of(image("a.png"), annotation());
    let coco = serde_json::to_string_pretty(&coco).expect("JSON");
    for (number, bytes) in encodings(&coco).into_iter().enumerate() {
        let field = Field::new()
            .picture("images/a.png")
            .put("result.json", bytes);
        field.has_the_box(DatasetFormat::Coco, &format!("COCO {number}"));
    }
    let labelme = serde_json::to_string_pretty(&labelme()).expect("JSON");
    for (number, bytes) in encodings(&labelme).into_iter().enumerate() {
        let field = Field::new().picture("a.png").put("a.json", bytes);
        field.has_the_box(DatasetFormat::LabelMe, &format!("LabelMe {number}"));
    }
    for (number, bytes) in encodings(VOC).into_iter().enumerate() {
        let field = Field::new()
            .picture("JPEGImages/a.png")
            .put("Annotations/a.xml", bytes);
        field.has_the_box(DatasetFormat::Voc, &format!("VOC {number}"));
    }
    let lines = format!("{YOLO}\n");
    let lists = encodings("mug\ncup\n").into_iter();
    for (number, (label, list)) in encodings(&lines).into_iter().zip(lists).enumerate() {
        let field = Field::new()
            .picture("images/a.png")
            .put("labels/a.txt", label)
            .put("classes.txt", list);
        field.has_the_box(DatasetFormat::Yolo, &format!("YOLO {number}"));
        assert_eq!(field.read().1.classes, ["mug", "cup"], "{number}");
    }
    for (number, yaml) in encodings("names:\n  0: mug\n  1: cup\n")
        .into_iter()
        .enumerate()
    {
        let field = Field::new()
            .picture("images/a.png")
            .put("labels/a.txt", YOLO)
            .put("data.yaml", yaml);
        field.has_the_box(DatasetFormat::Yolo, &format!("YAML {number}"));
    }
    let names = encodings("/m/1,mug\n").into_iter();
    for (number, (table, names)) in encodings(OPEN_IMAGES).into_iter().zip(names).enumerate() {
        let field = Field::new()
            .picture("a.png")
            .put("boxes.csv", table)
            .put("class-descriptions.csv", names);
        field.has_the_box(DatasetFormat::OpenImages, &format!("Open Images {number}"));
    }
    let chapter =
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\na,0.125,0.5,0.0833333,0.5,mug,mug\n";
    for (number, table) in encodings(chapter).into_iter().enumerate() {
        let field = Field::new()
            .picture("train/mug/a.JPG")
            .put("annotations-train.csv", table);
        field.has_the_box(DatasetFormat::Chapter, &format!("chapter {number}"));
    }
}

#[test]
fn xml_is_read_in_its_declared_encoding() {
    let declared =
        |label: &str| format!("<?xml version=\"1.0\" encoding=\"{label}\"?>\n<!-- 杯子 -->{VOC}");
    let (gbk, _, _) =
        encoding_rs::GBK.encode("<?xml version=\"1.0\" encoding=\"GBK\"?>\n<!-- 杯子 -->");
    let gbk = [&gbk, VOC.as_bytes()].concat();
    let dtd = format!("<!DOCTYPE annotation [<!ENTITY a \"b\">]>\n{VOC}");
    let namespace = VOC.replace(
        "<annotation>",
        "<annotation xmlns=\"http://host/voc\" verified=\"yes\">",
    );
    for (case, bytes) in [
        ("GBK", gbk),
        ("declared UTF-16", declared("utf-16").into_bytes()),
        ("UTF-16", utf16(&declared("utf-16"), u16::to_le_bytes)),
        ("document type", dtd.into_bytes()),
        ("namespace", namespace.into_bytes()),
    ] {
        let field = Field::new().picture("a.png").put("a.xml", bytes);
        field.has_the_box(DatasetFormat::Voc, case);
    }
    let field = Field::new()
        .picture("a.png")
        .picture("b.png")
        .put("b.xml", VOC)
        .put("a.xml", declared("EBCDIC-37"));
    assert!(field.issues()[0].contains("a.xml: is EBCDIC-37 text"));
}

#[test]
fn unrecognized_annotations_are_named_with_a_reason() {
    let unreadable = b"{\"images\": \"K\xE4se\"}".as_slice();
    let cases: [(&str, &[u8], &str); 16] = [
        ("result.json", b"{\"images\": [", "is no valid JSON (EOF"),
        (
            "result.json",
            b"{\"foo\": 1, \"bar\": 2}",
            "the keys \"bar\", \"foo\"",
        ),
        (
            "result.json",
            b"[{\"annotations\": [{\"completed_by\": 1}]}]",
            "Label Studio's own JSON",
        ),
        (
            "via.json",
            b"{\"_via_img_metadata\": {}}",
            "VGG Image Annotator",
        ),
        (
            "result.json",
            unreadable,
            "is not UTF-8 or UTF-16 text (line 1)",
        ),
        ("mug/deep/er/a.json", b"[]", "is JSON without COCO's"),
        (
            "annotations.xml",
            b"<?xml version=\"1.0\"?>\n<annotations><image/></annotations>",
            "<annotations>, not",
        ),
        ("mug/a.xml", b"nothing", "is no XML with <annotation>"),
        (
            "labels.csv",
            b"filename,width,xmin\n",
            "has the columns \"filename,width,xmin\"",
        ),
        (
            "mug/a.txt",
            b"0 0.5 0.5 0.2 0.2\n",
            "there is no data.yaml or classes.txt",
        ),
        ("data.yaml", b"train: images\n", "has no names of classes"),
        ("train.tfrecord", b"\x01", "may have annotations"),
        ("annotations.parquet", b"PAR1", "may have annotations"),
        ("boxes.mat", b"MATLAB", "may have annotations"),
        ("list.jsonl", b"{}\n", "may have annotations"),
        ("boxes.xlsx", b"PK", "may have annotations"),
    ];
    for (file, bytes, reason) in cases {
        let field = Field::new().picture("mug/a.png").put(file, bytes);
        let message = field.refused();
        assert!(
            message.contains(file) && message.contains(reason),
            "{message}"
        );
        assert!(message.contains("--format folders"), "{message}");
        let folders = read_as(DatasetFormat::Folders, field.0.path());
        assert_eq!(folders.expect("readable").pictures.len(), 1, "{file}");
    }
    let field = Field::new()
        .picture("mug/a.png")
        .put("1.csv", "a")
        .put("2.csv", "a");
    assert!(field.refused().contains("as is 1 more file"));
    let field = Field::new().picture("a.png").put("result.json", "[]");
    assert!(
        field.refused().contains("result.json"),
        "without folders too"
    );
}

#[test]
fn harmless_files_do_not_hide_folders_of_pictures() {
    let field = Field::new()
        .picture("train/mug/a.png")
        .picture("train/mug/._a.png")
        .picture("train/@eaDir/a.png")
        .picture("__MACOSX/train/mug/a.png")
        .put("README.txt", "Mugs: 1 2 3 4 5 6\n")
        .put("README.md", "# Mugs\n")
        .put("LICENSE", "MIT\n")
        .put("license.txt", "1 2 3 4 5\n")
        .put("classes.txt", "mug\n")
        .put(".DS_Store", [0, 0, 0, 1])
        .put("train/mug/._a.json", "{}")
        .put("Thumbs.db", "x")
        .put("desktop.ini", "[x]")
        .put(".vscode/settings.json", "{}")
        .put("train/mug/a.txt", "A mug on a table, 2 windows.\n");
    let (format, dataset) = field.read();
    assert_eq!(format, DatasetFormat::Folders);
    assert_eq!(dataset.pictures.len(), 1);
    assert_eq!(dataset.classes, ["mug"]);
}

#[test]
fn a_data_set_below_other_files_is_found() {
    let field = Field::new()
        .picture("inner/images/a.png")
        .put(
            "inner/result.json",
            coco_of(image("a.png"), annotation()).to_string(),
        )
        .put("notes.md", "")
        .put(".DS_Store", "");
    field.has_the_box(DatasetFormat::Coco, "below");
}
