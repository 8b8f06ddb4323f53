//! A model means the same in another engine: ONNX Runtime, from PyPI, agrees with boxcam; and for the other engines it can
//! be written at all.
//!
//! Needs Python 3 and a way to PyPI; without them it says so and checks nothing. With the snack data beside
//! the checkout it goes through all validation pictures, without it through made-up scenes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use boxcam::dataset::Annotation;
use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::Prediction;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::Evaluation;
use boxcam::frame::{Frame, GroundTruth, Origin};
use boxcam::preprocess::preprocess;
use boxcam::scene::random_scene;

/// How far two engines may be apart.
struct Bounds {
    /// Least share of pictures with the same top class.
    same_class: f64,
    /// Most that a score or a corner may differ.
    greatest: f32,
    /// Most pictures, as a share of them, in which one may differ by more.
    elsewhere: f64,
    /// Most that scores and corners may differ in the mean.
    mean: f32,
    /// Most that the mean IoU may differ.
    iou: f64,
}

/// For a network that ONNX Runtime computes in whole numbers too. They come out the same in both, what is left is how
/// each sums and exponentiates floats; a last layer that was a step off would change a score by some thousandths.
const IN_WHOLE_NUMBERS: Bounds = Bounds {
    same_class: 0.999,
    greatest: 0.0005,
    elsewhere: 0.0,
    mean: 0.0005,
    iou: 0.0005,
};

/// For a residual network, of which ONNX Runtime 1.32 computes all sums of two maps and every convolution beside one in
/// floats (its optimised graph has 21 `Conv` left of 60). A value near the middle between two steps falls to either
/// side, and behind it every layer differs. A layer that was a step off throughout would change scores by some
/// hundredths in the mean. Of nine proposed boxes the best is taken: where two are nearly as good, the engines may take
/// different ones, and then the overlap of that picture is another, by up to some tenths. The mean IoU differs by 0.0008,
/// and by 0.0005 over the pictures whose scores and corners are all within `greatest`.
const PARTLY_IN_FLOATS: Bounds = Bounds {
    same_class: 0.995,
    greatest: 0.1,
    elsewhere: 0.01,
    mean: 0.002,
    iou: 0.001,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with ONNX Runtime in an environment of its own, kept between runs; `None` where it can't be had. Made once for all
/// tests.
fn python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(install);
    PYTHON.as_deref()
}

fn install() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnxruntime");
    let python = home.join("bin/python");
    let succeeds = |command: &mut Command| {
        let output = command.output();
        output.is_ok_and(|output| output.status.success())
    };
    let requirements = root().join("tests/onnxruntime/requirements.txt");
    let made = python.exists() || succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home));
    let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
    let ready = made && succeeds(Command::new(&python).args(pip).arg(requirements));
    ready.then_some(python)
}

/// A picture, the folder that it lies in, and its true boxes.
type Case = (Frame, String, Vec<Annotation>);

fn validation_pictures() -> Option<Vec<Case>> {
    let data = test_support::optional_data("snacks")?;
    let annotations = data.join("annotations-val.csv");
    let split = Dataset::read(&data.join("val"), &annotations).expect("the data is sound");
    let cases = split.pictures.into_iter().map(|picture| {
        let frame = picture.frame().expect("the data is sound");
        (frame, picture.folder, picture.annotations)
    });
    Some(cases.collect())
}

fn scenes() -> Vec<Case> {
    let case = |seed| {
        let scene = random_scene(seed, 640, 480);
        let GroundTruth {
            label,
            bounding_box,
        } = scene.truth[0].clone();
        let row = Annotation {
            line: seed + 2,
            image_id: seed.to_string(),
            bounding_box,
            class_name: label.clone(),
            folder: label.clone(),
        };
        (
            Frame::new(seed, Origin::Live, scene.image),
            label,
            vec![row],
        )
    };
    (0..200).map(case).collect()
}

#[test]
fn onnx_runtime_agrees_with_boxcam() {
    let Some(python) = python() else {
        test_support::skip!("no ONNX Runtime: it needs Python 3 with venv, and PyPI");
        return;
    };
    let cases = validation_pictures().unwrap_or_else(|| {
        eprintln!("no snack data beside the checkout: comparing on made-up scenes");
        scenes()
    });
    // The MobileNet v1 that shipped before, whose layers follow one another, and the model that ships.
    for (model, bounds) in [
        ("tests/onnxruntime/mobilenet-v1.onnx", IN_WHOLE_NUMBERS),
        ("models/snacks.onnx", PARTLY_IN_FLOATS),
    ] {
        compare(python, &root().join(model), &cases, &bounds);
    }
}

/// The bench beside other engines (benches/peers) is of the model that ships: what writes it for them knows all that is in it.
#[test]
fn the_model_that_ships_can_be_written_for_other_engines() {
    let Some(python) = python() else {
        test_support::skip!("no Python package onnx: it needs Python 3 with venv, and PyPI");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let model = root().join("models/snacks.onnx");
    let wrote = Command::new(python)
        .arg("-B")
        .arg(root().join("benches/peers/make_models.py"))
        .args([&model, folder.path()])
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&wrote.stderr);
    assert!(wrote.status.success() && said.is_empty(), "{said}");
    for name in ["uint8.onnx", "int8.tflite", "int8.param", "int8.bin"] {
        let length = fs::metadata(folder.path().join(name)).expect(name).len();
        assert!(length > 10_000, "{name} has {length} bytes");
    }
    let frame = Frame::new(0, Origin::Live, random_scene(1, 640, 480).image);
    let [ours, float] = [model, folder.path().join("float.onnx")].map(|file| {
        let mut detector = TractDetector::from_file(&file).expect("the model loads");
        let input = preprocess(&frame, detector.card()).expect("has pixels");
        detector.predict(&input).expect("runs")
    });
    assert_eq!(ours.top().0, float.top().0);
    let pairs = ours.bounding_box().corners().into_iter();
    for (ours, float) in pairs.zip(float.bounding_box().corners()) {
        assert!((ours - float).abs() < 0.05, "{ours} {float}");
    }
}

fn compare(python: &Path, model: &Path, cases: &[Case], bounds: &Bounds) {
    let mut detector = TractDetector::from_file(model).expect("the model loads");
    let mut pixels = Vec::new();
    let mut ours = Vec::new();
    for (frame, _, _) in cases {
        let input = preprocess(frame, detector.card()).expect("has pixels");
        pixels.extend_from_slice(input.pixels());
        ours.push(detector.predict(&input).expect("runs"));
    }
    let theirs = run_onnx_runtime(python, model, &pixels, detector.card().labels.len());
    assert_eq!(theirs.len(), cases.len());
    let same = ours
        .iter()
        .zip(&theirs)
        .filter(|(a, b)| a.top().0 == b.top().0);
    let same = same.count() as f64 / cases.len() as f64;
    let iou = |predictions: &[Prediction]| {
        let mut evaluation = Evaluation::new(detector.card().labels.clone());
        for ((_, folder, rows), prediction) in cases.iter().zip(predictions) {
            evaluation.add(folder, rows, prediction);
        }
        evaluation.metrics().mean_iou
    };
    let (our_iou, their_iou) = (iou(&ours), iou(&theirs));
    let numbers = |prediction: &Prediction| {
        let corners = prediction.bounding_box().corners();
        prediction
            .scores()
            .iter()
            .copied()
            .chain(corners)
            .collect::<Vec<_>>()
    };
    let pairs = ours.iter().zip(&theirs);
    let differences = pairs.map(|(a, b)| {
        let pairs = numbers(a).into_iter().zip(numbers(b));
        pairs.map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
    });
    let differences: Vec<Vec<f32>> = differences.collect();
    let all = || differences.iter().flatten();
    let difference = all().sum::<f32>() / all().count() as f32;
    let most = |picture: &[f32]| picture.iter().copied().fold(0.0, f32::max);
    let greatest = most(&all().copied().collect::<Vec<_>>());
    let elsewhere = differences.iter().filter(|d| most(d) > bounds.greatest);
    let elsewhere = elsewhere.count() as f64 / cases.len() as f64;
    eprintln!(
        "{}: {} pictures: same class on {same:.4}, mean IoU {our_iou:.4} and {their_iou:.4}, scores and corners \
         {difference:.7} apart in the mean, {greatest:.7} at most, more than {} on {elsewhere:.4} of the pictures",
        model.display(),
        cases.len(),
        bounds.greatest
    );
    assert!(
        same >= bounds.same_class,
        "same class on {same:.4} of the pictures"
    );
    assert!((our_iou - their_iou).abs() <= bounds.iou);
    assert!(
        difference <= bounds.mean && elsewhere <= bounds.elsewhere,
        "scores and corners are {difference} off in the mean, too far on {elsewhere} of the pictures, {greatest} at most"
    );
}

fn run_onnx_runtime(python: &Path, model: &Path, pixels: &[u8], classes: usize) -> Vec<Prediction> {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (
        folder.path().join("pixels"),
        folder.path().join("predictions"),
    );
    fs::write(&input, pixels).expect("written");
    let ran = Command::new(python)
        .arg(root().join("tests/onnxruntime/predict.py"))
        .args([model, &input, &output])
        .output()
        .expect("python starts");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let bytes = fs::read(output).expect("written by the script");
    let word = |w: &[u8]| f32::from_le_bytes([w[0], w[1], w[2], w[3]]);
    let floats: Vec<f32> = bytes.chunks_exact(4).map(word).collect();
    let predictions = floats.chunks_exact(classes + 4).map(|numbers| {
        let (scores, corners) = numbers.split_at(classes);
        let corners = [corners[0], corners[1], corners[2], corners[3]];
        Prediction::new(scores.to_vec(), corners).expect("finite")
    });
    predictions.collect()
}
