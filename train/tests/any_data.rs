//! A COCO data set is converted, inspected, and read as `train run` reads it.

mod common;

use std::path::Path;

use boxcam::dataset::Dataset;
use boxcam::scene::random_scene;
use serde_json::{Value, json};

use common::{boxcam_train, succeed, text};

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
    let convert = |to: &Path| {
        let share = ["--development", "--validation", "0.25"];
        let arguments = ["data", "convert", text(&data), "--output", text(to)];
        succeed(&[&arguments[..], &share].concat())
    };
    let said = convert(&split);
    assert!(
        said.contains("left out: 1 images that are duplicates"),
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
}
