//! The steps of docs/chapter.md on synthetic scenes and the model that ships: a batch, the model's summary, raw
//! predictions, predictions beside the ground truth, the curves.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::common::{fail, model_that_ships, succeed, text};

fn picture(path: &Path) -> RgbImage {
    image::open(path).expect("a picture").into_rgb8()
}

/// A data set of scenes in a folder of its own.
fn scenes(train: &str, val: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let output = text(&data).to_owned();
    succeed(&[
        "data",
        "synthesize",
        "--output",
        &output,
        "--train",
        train,
        "--val",
        val,
    ]);
    (folder, data)
}

#[test]
fn a_batch_is_drawn_at_the_input_size_and_is_the_same_for_the_same_seed() {
    let (folder, data) = scenes("40", "1");
    let batch = |name: &str, more: &[&str]| {
        let file = folder.path().join(name);
        let fixed = [
            "data",
            "show-batch",
            "--data",
            text(&data),
            "--output",
            text(&file),
        ];
        let said = succeed(&[&fixed[..], more].concat());
        (picture(&file), said)
    };
    let (first, said) = batch("a.png", &["--recipe", "baseline"]);
    assert!(
        said.contains("recipe baseline") && said.contains("of 40 samples"),
        "{said}"
    );
    // Eight tiles of 224 pixels a row, four rows.
    assert!(
        first.width() > 8 * 224 && first.width() < 9 * 224,
        "{}",
        first.width()
    );
    assert!(
        first.height() > 4 * 224 && first.height() < 6 * 224,
        "{}",
        first.height()
    );
    let white = first.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(
        white > 32 * 200,
        "the lines of 32 boxes: {white} white pixels"
    );
    assert_eq!(batch("b.png", &["--recipe", "baseline"]).0, first);
    assert_ne!(
        batch("c.png", &["--recipe", "baseline", "--seed", "2"]).0,
        first
    );
    let few = [
        "--input-size",
        "128",
        "--count",
        "3",
        "--recipe",
        "baseline",
    ];
    assert!(batch("d.png", &few).0.width() < 4 * 128);
}

#[test]
fn the_model_is_summarized() {
    let said = succeed(&["model", "summary", text(&model_that_ships())]);
    for part in [
        "class.logits",
        "1 × 1280 × 9 × 9",
        "25,620",
        "multiply-adds: 0.544",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let no_model = folder.path().join("model.svg");
    std::fs::write(&no_model, "<svg/>").expect("written");
    let (code, words) = fail(&["model", "summary", text(&no_model)]);
    assert!(code == 3 && words.contains("model.svg: "), "{code} {words}");
}

#[test]
fn raw_predictions_print_the_top_scores_and_draw_all_classes() {
    let (folder, data) = scenes("1", "1");
    let classes = std::fs::read_dir(data.join("val")).expect("there");
    let scene = classes
        .flatten()
        .flat_map(|class| std::fs::read_dir(class.path()).expect("there"));
    let scene = scene.flatten().next().expect("one").path();
    let bars = folder.path().join("bars.png");
    let model = model_that_ships();
    let said = succeed(&[
        "eval",
        "predict",
        "--model",
        text(&model),
        "--raw",
        text(&scene),
        "--output",
        text(&bars),
    ]);
    let scores: Vec<f32> = said
        .lines()
        .take(5)
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a score")
        })
        .collect();
    assert!(
        scores.is_sorted_by(|a, b| a >= b) && scores[0] > 0.05,
        "{said}"
    );
    assert!(
        said.contains("box (x_min, x_max, y_min, y_max): "),
        "{said}"
    );
    assert!(said.contains("sum of all scores: 1.0000"), "{said}");
    assert!(
        picture(&bars).height() > 20 * 24,
        "a bar for each of 20 classes"
    );

    let (code, words) = fail(&[
        "eval",
        "predict",
        "--model",
        text(&model),
        "--raw",
        "nowhere.jpg",
    ]);
    assert!(
        code == 4 && words.contains("picture nowhere.jpg: can't be read"),
        "{code} {words}"
    );
    let taken = data.join("annotations-val.csv/bars.png");
    let (code, words) = fail(&[
        "eval",
        "predict",
        "--model",
        text(&model),
        "--raw",
        text(&scene),
        "--output",
        text(&taken),
    ]);
    assert!(
        code == 5 && words.contains("bars.png: cannot be written"),
        "{code} {words}"
    );
}

#[test]
fn predictions_are_written_for_every_image_and_drawn_worst_and_best_first() {
    let (folder, data) = scenes("1", "30");
    let model = model_that_ships();
    let output = folder.path().join("predictions");
    let fixed = [
        "eval",
        "predict",
        "--model",
        text(&model),
        "--data",
        text(&data),
        "--output",
        text(&output),
    ];
    let said = succeed(&[&fixed[..], &["--count", "4", "--sort", "worst,best,random"]].concat());
    assert!(
        said.starts_with("30 images, 30 with a box: class accuracy "),
        "{said}"
    );
    let mut reader = csv::Reader::from_path(output.join("predictions.csv")).expect("written");
    let overlaps: Vec<f32> = reader
        .records()
        .map(|row| row.expect("sound")[5].parse().expect("a number"))
        .collect();
    assert_eq!(overlaps.len(), 30);
    let mean = overlaps.iter().sum::<f32>() / 30.0;
    let told = said
        .split("mean IoU ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let told: f32 = told
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!((told - mean).abs() < 2e-4, "{mean}: {said}");
    let sheets = ["worst.png", "best.png", "random.png"].map(|name| picture(&output.join(name)));
    for sheet in &sheets {
        assert_eq!(sheet.dimensions(), sheets[0].dimensions());
    }
    assert!(sheets[0] != sheets[1] && sheets[0] != sheets[2]);

    let nowhere = folder.path().join("no.onnx");
    let missing = [
        "eval",
        "predict",
        "--model",
        text(&nowhere),
        "--data",
        text(&data),
        "--output",
        text(&output),
    ];
    let (code, words) = fail(&missing);
    assert!(code == 3 && words.contains("no.onnx"), "{code} {words}");
}

#[test]
fn curves_and_a_report_cover_runs_that_continue_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, rows: &str| {
        let run = folder.path().join(name);
        std::fs::create_dir(&run).expect("made");
        let header = "epoch,loss,class_loss,box_loss,class_accuracy,mean_iou,val_class_loss,val_box_mse,\
                      val_class_accuracy,val_mean_iou\n";
        std::fs::write(run.join("history.csv"), format!("{header}{rows}")).expect("written");
        run
    };
    let first = run(
        "first",
        "1,2.5,1.5,1.0,0.5,0.3,1.4,0.05,0.55,0.33\n2,2,1.2,0.8,0.6,0.4,1.1,0.04,0.7,0.42\n",
    );
    let second = run(
        "second",
        "1,1.8,1.1,0.7,0.7,0.45,1.0,0.04,0.74,0.44\n2,1.7,1,0.7,0.8,0.5,1.0,0.04,0.71,0.43\n",
    );
    let output = folder.path().join("curves");
    let said = succeed(&[
        "train",
        "plot",
        text(&first),
        text(&second),
        "--output",
        text(&output),
    ]);
    assert_eq!(
        said,
        "best epoch: 3 of 4; class accuracy 0.7400, mean IoU 0.4400 on validation\n"
    );
    assert!(picture(&output.join("curves.png")).width() > 1000);
    let report = std::fs::read_to_string(output.join("report.html")).expect("written");
    assert!(report.contains("second/history.csv, from epoch 3"));

    let broken = run(
        "broken",
        "1,2.5,1.5,1.0,0.5,0.3,1.4,0.05,0.55,0.33\n2,two,1,1,1,1,1,1,1,1\n",
    );
    let (code, words) = fail(&["train", "plot", text(&broken), "--output", text(&output)]);
    let expected = "broken/history.csv, line 3: loss is \"two\", expected a number";
    assert!(code == 4 && words.contains(expected), "{code} {words}");
    let (code, words) = fail(&[
        "train",
        "plot",
        text(&folder.path().join("none")),
        "--output",
        text(&output),
    ]);
    assert!(
        code == 4 && words.contains("none: can't be read"),
        "{code} {words}"
    );
    assert_eq!(fail(&["train", "plot", "--output", text(&output)]).0, 2);
}
