//! A killed and resumed training ends with the same files, bit for bit, as an uninterrupted one; a checkpoint of another
//! training is refused.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use boxcam::dataset::Dataset;
use image::{GrayImage, Luma};

use crate::common::{fail, model_that_ships, program, succeed, succeed_saying, text};

#[test]
fn a_killed_training_resumes_to_the_same_result() {
    let _alone = crate::common::train_alone();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let model = model_that_ships();
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "64",
        "--val",
        "8",
    ]);
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let always = |run: &Path, recipe: &str| {
        let words = [
            "train",
            "run",
            "--data",
            text(&data),
            "--weights",
            text(&model),
            "--run",
            text(run),
            "--recipe",
            recipe,
            "--input-size",
            "64",
            "--epochs",
            "3",
            "--set",
            "synthetic_images=0",
            "--set",
            "synthetic_negatives=0",
        ];
        words.map(str::to_owned)
    };
    let cutouts = folder.path().join("cutouts");
    let backgrounds = folder.path().join("backgrounds");
    cut_out(&data, &cutouts, &backgrounds);
    let scenes = [
        "--backgrounds",
        text(&backgrounds),
        "--cutouts",
        text(&cutouts),
    ];
    for recipe in ["quick", "full", "objects"] {
        let (whole, broken) = (whole.join(recipe), broken.join(recipe));
        let (unbroken, arguments) = (always(&whole, recipe), always(&broken, recipe));
        let more: &[&str] = if recipe == "objects" { &scenes } else { &[] };
        let words = |words: &'_ [String]| -> Vec<String> {
            let more = more.iter().map(|word| (*word).to_owned());
            words.iter().cloned().chain(more).collect()
        };
        let (unbroken, arguments) = (words(&unbroken), words(&arguments));
        let unbroken: Vec<&str> = unbroken.iter().map(String::as_str).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let with = |more: &[&'static str]| [&arguments[..], more].concat();
        succeed(&unbroken);
        // Killed as soon as there is a checkpoint.
        let mut child = program(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let checkpoint = broken.join("checkpoint.safetensors");
        while !checkpoint.exists() {
            let ended = child.try_wait().expect("asked");
            assert!(ended.is_none(), "ended before it was killed: {arguments:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        child.wait().expect("ended");

        let (_, refused) = fail(&arguments);
        assert!(refused.contains("--resume"), "{refused}");
        let (_, refused) = fail(&with(&["--seed", "2", "--resume"]));
        assert!(refused.contains("another training"), "{refused}");
        let (_, resumed) = succeed_saying(&with(&["--resume"]));
        assert!(resumed.contains("resuming after epoch"), "{resumed}");
        for file in ["float.onnx", "history.csv", "checkpoint.safetensors"] {
            let read = |run: &Path| std::fs::read(run.join(file)).expect("written");
            assert!(read(&whole) == read(&broken), "{recipe}: {file} differs");
        }
    }
    refuses_other_scenes(&always(&whole.join("objects"), "objects"), &backgrounds);
    refuses_another_training(&always(&whole.join("quick"), "quick"), &data);
}

/// Cuts the first boxes out of the training images, as ellipses, and draws two backgrounds.
fn cut_out(data: &Path, cutouts: &Path, backgrounds: &Path) {
    for folder in [cutouts.join("masks"), backgrounds.to_owned()] {
        std::fs::create_dir_all(folder).expect("made");
    }
    for seed in 0..2 {
        let file = backgrounds.join(format!("{seed}.png"));
        let drawn = boxcam::scene::background(seed, 96, 72);
        drawn.save(file).expect("written");
    }
    let split = Dataset::read(&data.join("train"), &data.join("annotations-train.csv"));
    let mut list =
        "mask,row,image_id,folder,class_name,left,top,right,bottom,mask_box_iou\n".to_owned();
    for (row, picture) in split.expect("sound").pictures.iter().take(8).enumerate() {
        let annotation = &picture.annotations[0];
        let image = image::open(&picture.path).expect("an image");
        let pixels = annotation
            .bounding_box
            .to_pixels(image.width(), image.height());
        let (left, top) = (pixels.top_left.x, pixels.top_left.y);
        let size = pixels.size;
        let mask = GrayImage::from_fn(size.width, size.height, |x, y| {
            let at = |v: u32, side: u32| 2.0 * (v as f32 + 0.5) / side as f32 - 1.0;
            let inside = at(x, size.width).hypot(at(y, size.height)) <= 1.0;
            Luma([if inside { 255 } else { 0 }])
        });
        let file = format!("{row}.png");
        mask.save(cutouts.join("masks").join(&file))
            .expect("written");
        let (id, class) = (&annotation.image_id, &annotation.class_name);
        let (right, bottom) = (left + size.width as i32, top + size.height as i32);
        list += &format!("{file},{row},{id},{class},{class},{left},{top},{right},{bottom},1\n");
    }
    std::fs::write(cutouts.join("cutouts.csv"), list).expect("written");
}

/// The finished training is refused without its scenes, and with other ones.
fn refuses_other_scenes(arguments: &[String], backgrounds: &Path) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = |more: &[&str]| {
        let (code, words) = fail(&[&arguments[..], more, &["--resume"]].concat());
        assert!(code == 3 && words.contains("the scenes ("), "{words}");
    };
    refused(&[]);
    refused(&["--backgrounds", text(backgrounds)]);
}

/// The finished training is refused with other data, frozen layers or recipe.
fn refuses_another_training(arguments: &[String], data: &Path) {
    let refused = |more: &[&str], difference: &str| {
        let arguments = arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments
            .chain(["--resume"])
            .chain(more.iter().copied())
            .collect();
        let (code, words) = fail(&arguments);
        assert!(code == 3 && words.contains(difference), "{words}");
    };
    refused(&["--set", "dropout=0.1"], "now: dropout = 0.1");
    // The shipped backbone in half precision instead of the dequantized one.
    let backbone = model_that_ships().with_file_name("trunk.onnx");
    let weights = arguments
        .iter()
        .position(|a| a == "--weights")
        .expect("given");
    let mut others: Vec<&str> = arguments.iter().map(String::as_str).collect();
    others[weights + 1] = text(&backbone);
    others.push("--resume");
    let (code, words) = fail(&others);
    assert!(code == 3 && words.contains("the frozen layers"), "{words}");
    let csv = data.join("annotations-val.csv");
    let rows = std::fs::read_to_string(&csv).expect("written");
    let fewer = rows.trim_end().rsplit_once('\n').expect("several rows").0;
    std::fs::write(&csv, format!("{fewer}\n")).expect("written");
    refused(&[], "the data (");
}
