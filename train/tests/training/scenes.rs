//! `boxcam-train data scenes`: pictures and films of cut-outs on photographs.

use std::fs;
use std::path::Path;

use crate::common::{fail, succeed, text};
use boxcam::dataset::Dataset;
use boxcam::picture;
use image::{GrayImage, Luma, Rgb, RgbImage};

/// A data set of one red picture, black photographs, and a cut-out of the picture's right half whose mask is a rectangle.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| folder.path().join(path);
    for path in ["data/val/apple", "cutouts/masks", "shops/one", "shops/two"] {
        fs::create_dir_all(at(path)).expect("created");
    }
    let save = |image: RgbImage, path: &str| image.save(at(path)).expect("written");
    let red = RgbImage::from_pixel(80, 60, Rgb([220, 0, 0]));
    save(red, "data/val/apple/a.png");
    save(RgbImage::new(160, 120), "shops/one/1.png");
    save(RgbImage::new(120, 160), "shops/two/2.png");
    let mask = GrayImage::from_fn(20, 30, |x, y| {
        let inside = (5..15).contains(&x) && (10..25).contains(&y);
        Luma([if inside { 255 } else { 0 }])
    });
    mask.save(at("cutouts/masks/0.png")).expect("written");
    let columns = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";
    let boxes = columns.to_owned() + "a,0,1,0,1,apple,apple\n";
    fs::write(at("data/annotations-val.csv"), boxes).expect("written");
    let cutouts = "mask,row,image_id,folder,class_name,left,top,right,bottom,mask_box_iou\n\
                   0.png,0,a,apple,apple,40,0,80,60,0.9\n";
    fs::write(at("cutouts/cutouts.csv"), cutouts).expect("written");
    folder
}

fn arguments<'a>(paths: &'a [String; 4], more: &[&'a str]) -> Vec<&'a str> {
    let [data, cutouts, backgrounds, output] = paths;
    let given = ["data", "scenes", "--data", data, "--cutouts", cutouts];
    let given = [
        &given[..],
        &["--backgrounds", backgrounds, "--output", output],
    ];
    [&given.concat(), more].concat()
}

fn paths(folder: &Path, output: &str) -> [String; 4] {
    ["data", "cutouts", "shops", output].map(|path| text(&folder.join(path)).to_owned())
}

/// The red pixels' smallest and largest coordinates: x, then y.
fn red_pixels(picture: &RgbImage) -> Option<[u32; 4]> {
    let red = picture.enumerate_pixels().filter(|(_, _, p)| p.0[0] >= 80);
    red.fold(None, |bounds: Option<[u32; 4]>, (x, y, _)| {
        let [left, right, top, bottom] = bounds.unwrap_or([x, x, y, y]);
        Some([left.min(x), right.max(x), top.min(y), bottom.max(y)])
    })
}

#[test]
fn pictures_have_exact_boxes_and_a_seed_repeats_them() {
    let folder = files();
    let at = |path: &str| folder.path().join(path);
    let of_seed = |output: &str, seed: &str| {
        let paths = paths(folder.path(), output);
        succeed(&arguments(&paths, &["--images", "24", "--seed", seed]));
        fs::read_to_string(at(output).join("annotations-val.csv")).expect("written")
    };
    let csv = of_seed("one", "1");
    let read = Dataset::read(&at("one/val"), &at("one/annotations-val.csv")).expect("readable");
    assert!(read.issues.is_empty() && read.notes.is_empty());
    assert_eq!(read.pictures.len(), 24);
    let mut single = 0;
    for scene in &read.pictures {
        assert_eq!(scene.folder, "apple");
        let picture = scene.frame().expect("readable").image;
        let (width, height) = picture.dimensions();
        let [truth] = scene.annotations.as_slice() else {
            assert!(!scene.annotations.is_empty());
            continue;
        };
        single += 1;
        let [left, right, top, bottom] = red_pixels(&picture).expect("an object");
        let [x_min, x_max, y_min, y_max] = truth.bounding_box.corners();
        let pairs = [
            (left, x_min * width as f32),
            (right + 1, x_max * width as f32),
            (top, y_min * height as f32),
            (bottom + 1, y_max * height as f32),
        ];
        // JPEG blurs an edge.
        for (found, expected) in pairs {
            assert!((found as f32 - expected).abs() < 2.5, "{found} {expected}");
        }
    }
    assert!(single >= 3, "{single}");
    assert_eq!(csv, of_seed("again", "1"));
    assert_ne!(csv, of_seed("other", "2"));
    let jpeg = |output: &str| {
        let name = read.pictures[0].path.file_name().expect("a file");
        fs::read(at(output).join("val/apple").join(name)).expect("written")
    };
    assert_eq!(jpeg("one"), jpeg("again"));
}

#[test]
fn a_film_has_its_frames_and_the_tracks_of_its_objects() {
    let folder = files();
    let at = |path: &str| folder.path().join(path);
    let paths = paths(folder.path(), "films");
    succeed(&arguments(&paths, &["--films", "2"]));
    assert_eq!(
        fs::read_to_string(at("films/labels.txt")).expect("written"),
        "apple\n"
    );
    for (film, tracks) in [("film-1", 1), ("film-2", 2)] {
        let file = |path: &str| at("films").join(film).join(path);
        let info = fs::read_to_string(file("seqinfo.ini")).expect("written");
        assert!(info.contains("frameRate=15\nseqLength=150\n"), "{info}");
        assert!(file("img1/000150.jpg").exists() && !file("img1/000151.jpg").exists());
        let truth = fs::read_to_string(file("gt/gt.txt")).expect("written");
        let lines: Vec<Vec<f32>> = truth
            .lines()
            .map(|line| {
                line.split(',')
                    .map(|n| n.parse().expect("a number"))
                    .collect()
            })
            .collect();
        assert!(lines.len() >= 60, "{}", lines.len());
        let of_tracks: std::collections::BTreeSet<u32> =
            lines.iter().map(|l| l[1] as u32).collect();
        assert_eq!(of_tracks, (1..=tracks).collect());
        assert!(lines.iter().all(|line| line.len() == 9 && line[7] == 1.0));
        if tracks > 1 {
            continue;
        }
        // Where the one object is, there is red.
        let middle = &lines[lines.len() / 2];
        let frame = format!("img1/{:06}.jpg", middle[0] as u32);
        let picture = picture::open(&file(&frame)).expect("readable");
        let [left, right, top, bottom] = red_pixels(&picture).expect("an object");
        let [x, y, width, height] = [middle[2], middle[3], middle[4], middle[5]];
        let expected = [x - 1.0, x + width - 2.0, y - 1.0, y + height - 2.0];
        for (found, expected) in [left, right, top, bottom].into_iter().zip(expected) {
            assert!((found as f32 - expected).abs() < 2.5, "{found} {expected}");
        }
    }
}

#[test]
fn cutouts_of_other_images_are_an_error_of_the_data() {
    let folder = files();
    let list = folder.path().join("cutouts/cutouts.csv");
    let other = fs::read_to_string(&list).expect("there");
    fs::write(&list, other.replace(",a,", ",b,")).expect("written");
    let paths = paths(folder.path(), "out");
    let (code, message) = fail(&arguments(&paths, &[]));
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("none is of a training image"), "{message}");
    let (code, _) = fail(&arguments(&paths, &["--films", "1", "--images", "2"]));
    assert_eq!(code, 2);
}

#[test]
fn a_batch_of_several_objects_shows_mosaics_and_scenes() {
    let _alone = crate::common::train_alone();
    let folder = files();
    let at = |path: &str| folder.path().join(path);
    fs::rename(at("data/val"), at("data/train")).expect("renamed");
    fs::rename(
        at("data/annotations-val.csv"),
        at("data/annotations-train.csv"),
    )
    .expect("renamed");
    for copy in 0..13 {
        let copy = format!("data/train/apple/{copy}.png");
        fs::copy(at("data/train/apple/a.png"), at(&copy)).expect("copied");
    }
    let [data, cutouts, backgrounds, output] = paths(folder.path(), "batch.png");
    let fixed = ["data", "show-batch", "--data", &data, "--output", &output];
    let small = ["--input-size", "64", "--count", "16"];
    let of_scenes = ["--backgrounds", &backgrounds, "--cutouts", &cutouts];
    let draw = |recipe: &str, more: &[&str]| {
        let recipe = ["--recipe", recipe];
        succeed(&[&fixed[..], &small, &recipe, more].concat());
        picture::open(&at("batch.png")).expect("readable")
    };
    // Fourteen images, and two scenes of sixteen pictures.
    let images = draw("objects", &[]);
    let with_scenes = draw("objects", &of_scenes);
    assert_eq!(images.dimensions(), with_scenes.dimensions());
    assert_ne!(images, with_scenes);
    assert_eq!(with_scenes, draw("objects", &of_scenes));
    let (code, message) = fail(&[&fixed[..], &of_scenes].concat());
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("the recipe full has no scenes"),
        "{message}"
    );
}
