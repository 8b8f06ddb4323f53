//! Names of pictures and files, links.

use std::path::PathBuf;

use super::*;

#[test]
fn pictures_are_found_however_they_are_named() {
    let cases = [
        ("images\\a.png", "images/a.png"),
        ("..\\..\\images\\a.png", "images/a.png"),
        ("C:\\Users\\me\\a.png", "images/a.png"),
        ("/home/me/project/a.png", "a.png"),
        ("images/my%20photo%200.png", "images/my photo 0.png"),
        ("my%2520photo.png", "my photo.png"),
        ("a.png?width=640&token=x", "a.png"),
        ("https://host/bucket/a.png?raw=1", "images/a.png"),
        ("file:///data/a.png", "a.png"),
        ("/data/local-files/?d=photos%2Fa.png", "photos/a.png"),
        (
            "/data/local-files/?d=photos\\my%20cup.png",
            "photos/my cup.png",
        ),
        ("/data/upload/1/0a1b2c3d-a.png", "a.png"),
        ("images/0a1b2c3d-a.png", "images/0a1b2c3d-a.png"),
        ("a.png", "a.PNG"),
        ("IMG_1.JPG", "img_1.jpg"),
        ("a.jpg", "a.jpeg"),
        ("a.tif", "a.png"),
        ("a", "images/a.png"),
        ("./a.png", "a.png"),
        (" a.png ", "a.png"),
        ("Ka\u{308}se.png", "Käse.png"),
        ("Käse.png", "Ka\u{308}se.png"),
        ("杯子.png", "杯子.png"),
        ("100%.png", "100%.png"),
        ("a%20b.png", "a%20b.png"),
    ];
    for (name, picture) in cases {
        let coco = coco_of(image(name), annotation()).to_string();
        let field = Field::new().picture(picture).put("result.json", coco);
        field.has_the_box(DatasetFormat::Coco, name);
        let voc = VOC.replace("a.png", &name.replace('&', "&amp;"));
        let field = Field::new().picture(picture).put("xml/other.xml", voc);
        field.has_the_box(DatasetFormat::Voc, name);
        let labelme = with(labelme(), json!({ "imagePath": name })).to_string();
        let field = Field::new()
            .picture(picture)
            .put("json/other.json", labelme);
        field.has_the_box(DatasetFormat::LabelMe, name);
        let table = OPEN_IMAGES.replace("\na,", &format!("\n{name},"));
        let field = Field::new()
            .picture(picture)
            .put("boxes.csv", table)
            .put("classes.csv", "/m/1,mug\n");
        field.has_the_box(DatasetFormat::OpenImages, name);
    }
}

#[test]
fn a_missing_picture_does_not_take_the_boxes_of_its_namesake() {
    let coco = json!({
        "images": [{ "id": 0, "file_name": "cam1/a.png" }, { "id": 1, "file_name": "cam2/a.png" }],
        "annotations": [
            { "id": 1, "image_id": 0, "category_id": 1, "bbox": [20, 10, 60, 50] },
            { "id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9] },
        ],
        "categories": [{ "id": 1, "name": "mug" }],
    });
    let field = Field::new()
        .picture("cam1/a.png")
        .put("result.json", coco.to_string());
    let (_, dataset) = field.read();
    assert_eq!(boxes(&dataset).len(), 1);
    assert_corners(&boxes(&dataset)[0].1, CORNERS, "of cam1");
    assert!(field.issues()[0].contains("cam2/a.png is missing"));
    assert_eq!(dataset.issues[0].boxes(), 1);
    let both = field.picture("cam2/a.png");
    assert_eq!(both.read().1.pictures.len(), 2);
    assert!(both.issues().is_empty());
}

#[test]
fn yolo_labels_are_found_however_they_are_placed() {
    for (picture, label) in [
        ("a.png", "a.txt"),
        ("images/a.PNG", "labels/a.TXT"),
        ("Images/A.png", "Labels/a.txt"),
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("images/train/a.png", "labels/a.txt"),
        ("pictures/a.png", "annotations/a.txt"),
        ("images/Ka\u{308}se.png", "labels/Käse.txt"),
    ] {
        let field = Field::new()
            .picture(picture)
            .put(label, YOLO)
            .put("classes.txt", "mug\n")
            .put("notes.txt", "Taken in the kitchen.\n");
        field.has_the_box(DatasetFormat::Yolo, label);
    }
}

#[test]
fn a_stale_name_gives_no_picture_the_boxes_of_its_neighbor() {
    let other = VOC
        .replace("<xmax>80", "<xmax>40")
        .replace("a.png", "c.png");
    let field = Field::new()
        .picture("JPEGImages/a.png")
        .picture("JPEGImages/b.png")
        .put("Annotations/a.xml", VOC.replace("a.png", "b.png"))
        .put("Annotations/b.xml", other);
    let (_, dataset) = field.read();
    assert_eq!(dataset.pictures.len(), 2);
    let of_a = &dataset.pictures[0];
    assert!(of_a.path.ends_with("a.png"));
    assert_corners(&of_a.boxes[0].bounding_box, CORNERS, "a");
    let note = &dataset.notes[0];
    assert!(note.contains("<filename> is stale in 2 files"), "{note}");
    assert!(note.contains("a.xml names b.png"), "{note}");
    for name in ["a.png", "A.PNG", "sub\\a.jpg", "a", "0a1b2c3d-a.png"] {
        let voc = VOC.replace("a.png", name);
        let field = Field::new().picture("a.png").put("a.xml", voc);
        assert!(field.read().1.notes.is_empty(), "{name} is not stale");
    }
    let json = with(labelme(), json!({ "imagePath": "b.png" })).to_string();
    let field = Field::new()
        .picture("a.png")
        .picture("b.png")
        .put("a.json", json);
    let (_, dataset) = field.read();
    assert!(dataset.pictures[0].path.ends_with("a.png"));
    assert!(dataset.notes[0].contains("imagePath is stale"));
}

#[test]
fn every_picture_has_one_annotation_file() {
    let other = VOC.replace("<xmax>80", "<xmax>40");
    let field = Field::new()
        .picture("val/JPEGImages/a.png")
        .put("train/Annotations/a.xml", &other)
        .put("val/Annotations/a.xml", VOC)
        .picture("v1.png")
        .put("v1.2.xml", VOC.replace("a.png", "v1.2.png"));
    let (_, dataset) = field.read();
    assert_eq!(boxes(&dataset).len(), 1, "{dataset:?}");
    assert_corners(&boxes(&dataset)[0].1, CORNERS, "that of val");
    let issues = field.issues();
    assert!(
        issues[0].contains("train/Annotations/a.xml: its picture a.png is missing"),
        "{issues:?}"
    );
    assert!(
        issues[1].contains("v1.2.xml: its picture v1.2.png is missing"),
        "{issues:?}"
    );

    let field = Field::new()
        .picture("images/a.png")
        .put("boxes/a.xml", VOC)
        .put("boxes.old/a.xml", &other);
    assert_eq!(boxes(&field.read().1).len(), 1);
    assert!(field.issues()[0].contains("has an annotation file before this one"));
    let field = Field::new().picture("a.jpg").put("a.jpg.xml", VOC);
    field.has_the_box(DatasetFormat::Voc, "extension of the picture in front");
}

#[cfg(unix)]
#[test]
fn broken_links_are_named_and_the_rest_is_read() {
    use std::os::unix::fs::symlink;
    let coco = coco_of(image("a.png"), annotation()).to_string();
    let chapter =
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\na,0.125,0.5,0.0833333,0.5,mug,mug\n";
    let fields = [
        Field::new().picture("mug/a.png").put("result.json", coco),
        Field::new().picture("mug/a.png").put("mug/a.xml", VOC),
        Field::new()
            .picture("mug/a.png")
            .put("mug/a.txt", YOLO)
            .put("classes.txt", "mug"),
        Field::new()
            .picture("mug/a.png")
            .put("mug/a.json", labelme().to_string()),
        Field::new()
            .picture("mug/a.png")
            .put("boxes.csv", OPEN_IMAGES.replace("/m/1", "mug")),
        Field::new()
            .picture("train/mug/a.png")
            .put("annotations-train.csv", chapter),
    ];
    for field in fields {
        let mug = ["mug", "train/mug"].map(|folder| field.0.path().join(folder));
        let mug: &PathBuf = mug.iter().find(|folder| folder.is_dir()).expect("one");
        symlink("nowhere.jpg", mug.join("zz.jpg")).expect("linked");
        symlink(".", mug.join("loop")).expect("linked");
        symlink("nowhere", mug.join("._x.jpg")).expect("linked");
        let (format, dataset) = field.read();
        assert_eq!(boxes(&dataset).len(), 1, "{format:?}");
        let issues = field.issues();
        assert_eq!(issues.len(), 1, "{format:?}: {issues:?}");
        assert!(
            issues[0].contains("zz.jpg: can't be followed"),
            "{issues:?}"
        );
        assert_eq!(dataset.issues[0].boxes(), 0);
    }
}
