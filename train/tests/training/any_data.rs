//! A COCO data set is converted, inspected, and read as `train run` reads it; data sets from the field.

use std::path::Path;

use boxcam::dataset::Dataset;
use boxcam::scene::random_scene;
use boxcam_train::dataset::{DatasetFormat, ImportedDataset, read};
use serde_json::{Value, json};

use crate::common::{boxcam_train, fail, succeed, succeed_saying, text};

/// Pictures of the data set; the last is the first again.
const PICTURES: u64 = 13;

fn write_coco(folder: &Path) {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    std::fs::create_dir_all(folder.join("images")).expect("made");
    for id in 0..PICTURES {
        let scene = random_scene(id % (PICTURES - 1), 96, 72);
        let file = format!("{id}.png");
        let to = folder.join("images").join(&file);
        scene.image.save(to).expect("written");
        images.push(json!({ "id": id, "file_name": file, "width": 96, "height": 72 }));
        let [left, right, top, bottom] = scene.truth[0].bounding_box.corners();
        let bbox = [
            left * 96.0,
            top * 72.0,
            (right - left) * 96.0,
            (bottom - top) * 72.0,
        ];
        let class = id % (PICTURES - 1) % 2;
        annotations.push(json!({ "id": id, "image_id": id, "category_id": class, "bbox": bbox }));
    }
    annotations.push(json!({ "id": 99, "image_id": 0, "category_id": 7, "bbox": [1, 1, 9, 9] }));
    let categories = json!([{ "id": 0, "name": "even" }, { "id": 1, "name": "odd" }]);
    let all = json!({ "images": images, "annotations": annotations, "categories": categories });
    std::fs::write(folder.join("instances.json"), all.to_string()).expect("written");
}

#[test]
fn coco_is_converted_and_inspected() {
    let folder = tempfile::tempdir().expect("a folder");
    let (coco, data) = (folder.path().join("coco"), folder.path().join("data"));
    write_coco(&coco);
    let prepare = ["data", "convert", text(&coco), "--output", text(&data)];
    let output = boxcam_train(&prepare);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(
        words.contains("annotations[13] (id 99): class 7 has no name"),
        "{words}"
    );
    assert!(
        words.contains("then: boxcam-train train run --data"),
        "{words}"
    );

    let mut pictures = 0;
    for part in ["train", "val"] {
        let csv = data.join(format!("annotations-{part}.csv"));
        let split = Dataset::read(&data.join(part), &csv).expect("what train reads");
        assert!(split.issues.is_empty() && !split.pictures.is_empty());
        assert!(
            split
                .pictures
                .iter()
                .all(|picture| picture.annotations.len() == 1)
        );
        pictures += split.pictures.len() as u64;
    }
    assert_eq!(pictures, PICTURES);

    let sheets = folder.path().join("sheets");
    let output = boxcam_train(&[
        "data",
        "inspect",
        text(&data),
        "--json",
        "--sheet",
        text(&sheets),
    ]);
    assert!(output.status.success());
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen["format"], "chapter");
    assert!(
        seen["findings"]["leak"].is_null(),
        "the copy stays with its picture"
    );
    assert_eq!(
        seen["findings"]["duplicate_picture"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for name in ["class-even.png", "class-odd.png", "suspects.png"] {
        image::open(sheets.join(name)).expect("a sheet");
    }

    let again = boxcam_train(&prepare);
    assert_eq!(again.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&again.stderr).contains("already exists and is not empty"));
    let nowhere = boxcam_train(&["data", "inspect", text(&folder.path().join("nowhere"))]);
    assert_eq!(nowhere.status.code(), Some(4));
}

/// A prepared data set, whose training images alone are split; its validation images are left out, with their copies.
#[test]
fn a_development_split_is_cut_from_the_training_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, split) = (folder.path().join("data"), folder.path().join("split"));
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "60",
        "--val",
        "5",
    ]);
    // A copy of a validation image among the training images.
    let read = |folder: &Path, name: &str| {
        let csv = folder.join(format!("annotations-{name}.csv"));
        Dataset::read(&folder.join(name), &csv).expect("sound")
    };
    let leak = read(&data, "val").pictures.swap_remove(0);
    let to = data.join("train").join(&leak.folder);
    std::fs::create_dir_all(&to).expect("made");
    std::fs::copy(&leak.path, to.join("leak.jpg")).expect("copied");
    // The same, half as large and compressed again.
    let image = image::open(&leak.path).expect("readable");
    let half = image.thumbnail(image.width() / 2, image.height() / 2);
    half.to_rgb8().save(to.join("near.jpg")).expect("written");
    let convert = |to: &Path| {
        let share = ["--development", "--validation", "0.25"];
        let arguments = ["data", "convert", text(&data), "--output", text(to)];
        succeed(&[&arguments[..], &share].concat())
    };
    let said = convert(&split);
    assert!(
        said.contains("left out: 2 images that are duplicates"),
        "{said}"
    );
    assert!(
        said.contains("left out: 5 images that are in val or test"),
        "{said}"
    );
    let names = |folder: &Path, name: &str| -> Vec<String> {
        let pictures = read(folder, name).pictures;
        let name = |path: &Path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = pictures.iter().map(|p| name(&p.path)).collect();
        names.sort();
        names
    };
    let (train, val) = (names(&split, "train"), names(&split, "val"));
    assert!((5..20).contains(&val.len()), "{val:?}");
    assert_eq!(train.len() + val.len(), 60);
    assert!(val.iter().all(|name| !train.contains(name)));
    let again = folder.path().join("again");
    convert(&again);
    assert_eq!((names(&again, "train"), names(&again, "val")), (train, val));
    // With the data set's own splits, both leave the training images, and are named.
    let kept = folder.path().join("kept");
    let arguments = ["data", "convert", text(&data), "--output", text(&kept)];
    let (_, said) = succeed_saying(&arguments);
    for name in ["leak.jpg", "near.jpg"] {
        let of = format!("{name} is a duplicate of {}", leak.path.display());
        assert!(said.contains(&of) && said.contains(" in val"), "{said}");
        assert!(!names(&kept, "train").contains(&name.to_owned()));
    }
    assert_eq!(
        (names(&kept, "train").len(), names(&kept, "val").len()),
        (60, 5)
    );
}

/// Makes boxes of a COCO data set invalid, every `step`th.
fn damage_coco(folder: &Path, step: usize) {
    let file = folder.join("instances.json");
    let mut all: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("there")).expect("JSON");
    let annotations = all["annotations"].as_array_mut().expect("a list");
    for annotation in annotations.iter_mut().step_by(step) {
        annotation["bbox"] = json!([90, 10, 50, 5]);
    }
    std::fs::write(file, all.to_string()).expect("written");
}

#[test]
fn too_many_boxes_left_out_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let (coco, data) = (folder.path().join("coco"), folder.path().join("data"));
    write_coco(&coco);
    damage_coco(&coco, 4);
    let expected = "5 of 14 boxes left out: 4 because the box is not inside of its picture, \
                    1 because their class has no name, which is more than 10%";
    let (coco, data) = (text(&coco), text(&data));
    for command in [["data", "convert"].as_slice(), &["fit"]] {
        let arguments = [command, &[coco, "--output", data]].concat();
        let (code, stderr) = fail(&arguments);
        assert_eq!(code, 4, "{stderr}");
        assert!(
            stderr.contains(expected) && stderr.contains("--allow-dropped"),
            "{stderr}"
        );
        assert!(
            !Path::new(data).join("annotations-train.csv").exists(),
            "nothing is written"
        );
    }
    let inspected = boxcam_train(&["data", "inspect", coco]);
    assert!(inspected.status.success());
    assert!(String::from_utf8_lossy(&inspected.stderr).contains("5 of 14 boxes left out"));
    let data = text(folder.path()).to_owned() + "/allowed";
    let convert = [
        "data",
        "convert",
        coco,
        "--output",
        &data,
        "--allow-dropped",
    ];
    let (_, stderr) = succeed_saying(&convert);
    assert!(stderr.contains("5 of 14 boxes left out"), "{stderr}");

    let csv = Path::new(&data).join("annotations-train.csv");
    let rows = std::fs::read_to_string(&csv).expect("written");
    std::fs::write(&csv, rows + "gone,0.1,0.2,0.1,0.2,odd,odd\nx,0.1\n").expect("written");
    let run = text(folder.path()).to_owned() + "/run";
    let train = ["train", "run", "--data", &data, "--run", &run];
    let (code, stderr) = fail(&train);
    assert_eq!(code, 4, "{stderr}");
    assert!(
        stderr.contains("2 of 11 boxes left out: 1 because"),
        "{stderr}"
    );
    assert!(!Path::new(&run).exists(), "nothing is written");
    // A teacher is refused after the data.
    let on = ["--allow-dropped", "--teacher", "none.onnx"];
    let (code, stderr) = fail(&[train.as_slice(), &on].concat());
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("2 of 11 boxes left out: 1 because"),
        "{stderr}"
    );
    assert!(stderr.contains("caches features"), "{stderr}");
}

#[test]
fn unrecognized_annotations_end_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("photos");
    std::fs::create_dir_all(data.join("mug")).expect("made");
    let picture = random_scene(1, 96, 72).image;
    picture.save(data.join("mug/a.png")).expect("written");
    std::fs::write(data.join("export.json"), "[{\"completed_by\": 1}]").expect("written");
    let (data, output) = (text(&data), text(folder.path()).to_owned() + "/out");
    for arguments in [
        ["data", "inspect", data].as_slice(),
        &["data", "convert", data, "--output", &output],
        &["fit", data, "--output", &output],
    ] {
        let (code, stderr) = fail(arguments);
        assert_eq!(code, 4, "{stderr}");
        assert!(
            stderr.contains("export.json is Label Studio's own JSON"),
            "{stderr}"
        );
    }
    let given = boxcam_train(&["data", "inspect", data, "--format", "folders"]);
    assert!(given.status.success());
}

/// A data set of the field: folder, format, classes, pictures, boxes, and a part of a note or of the only issue.
type FieldCase = (
    &'static str,
    DatasetFormat,
    &'static [&'static str],
    usize,
    usize,
    &'static str,
);

#[test]
fn data_sets_from_the_field_have_their_boxes() {
    let Some(field) = test_support::optional_data("field") else {
        return;
    };
    let mugs: &[&str] = &["mug", "cup"];
    let cases: [FieldCase; 14] = [
        ("00-plain/coco_plain", DatasetFormat::Coco, mugs, 8, 8, ""),
        (
            "15-uppercase/chapter_upper",
            DatasetFormat::Chapter,
            &["cup", "mug"],
            8,
            8,
            "",
        ),
        (
            "39-coco_backslash/coco_backslash",
            DatasetFormat::Coco,
            mugs,
            8,
            8,
            "",
        ),
        (
            "40-coco-names/coco_percent",
            DatasetFormat::Coco,
            mugs,
            8,
            8,
            "",
        ),
        ("42-coco-odd/coco_nan", DatasetFormat::Coco, mugs, 8, 8, ""),
        (
            "42-coco-odd/coco_segonly",
            DatasetFormat::Coco,
            mugs,
            8,
            8,
            "",
        ),
        (
            "43-silent-folders/coco_bom2",
            DatasetFormat::Coco,
            mugs,
            8,
            8,
            "",
        ),
        (
            "44-voc-size/voc_size0",
            DatasetFormat::Voc,
            &["cup", "mug"],
            8,
            8,
            "",
        ),
        (
            "45-voc-stale-filename/voc_stale",
            DatasetFormat::Voc,
            &["cup", "mug"],
            8,
            8,
            "<filename> is stale in 8 files",
        ),
        (
            "46-voc-encoding/voc_gbk2",
            DatasetFormat::Voc,
            &["cup", "mug"],
            8,
            8,
            "",
        ),
        (
            "48-yolo-polygons/yolo_polygon",
            DatasetFormat::Yolo,
            mugs,
            8,
            8,
            "",
        ),
        (
            "50-yolo-bom/yolo_bomclasses",
            DatasetFormat::Yolo,
            mugs,
            8,
            8,
            "",
        ),
        (
            "51-yolo-blank-class/yolo_blank3",
            DatasetFormat::Yolo,
            &["mug", "cup", "bowl"],
            8,
            8,
            "",
        ),
        (
            "55-openimages-groupof/oi",
            DatasetFormat::OpenImages,
            &["Mug"],
            8,
            8,
            "8 groups (IsGroupOf)",
        ),
    ];
    let corners = |dataset: &ImportedDataset| -> Vec<[f32; 4]> {
        let boxes = dataset.pictures.iter().flat_map(|picture| &picture.boxes);
        boxes
            .map(|labeled| labeled.bounding_box.corners())
            .collect()
    };
    let (_, plain) = read(&field.join(cases[0].0)).expect("readable");
    let expected = corners(&plain);
    for (folder, format, classes, pictures, boxes, said) in cases {
        let (found, dataset) = read(&field.join(folder)).expect(folder);
        assert_eq!(found, format, "{folder}");
        assert_eq!(dataset.classes, classes, "{folder}");
        assert_eq!(dataset.pictures.len(), pictures, "{folder}");
        let found = corners(&dataset);
        assert_eq!(found.len(), boxes, "{folder}");
        let issues = dataset.issues.iter().map(ToString::to_string);
        let words: Vec<String> = issues.chain(dataset.notes.iter().cloned()).collect();
        assert_eq!(
            words.len(),
            usize::from(!said.is_empty()),
            "{folder}: {words:?}"
        );
        assert!(
            words.iter().all(|word| word.contains(said)),
            "{folder}: {words:?}"
        );
        // The annotations of these two are others.
        if !folder.starts_with("15") && !folder.starts_with("55") {
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!(
                    (found - expected).abs() < 0.005,
                    "{folder}: {found} {expected}"
                );
            }
        }
    }
}
