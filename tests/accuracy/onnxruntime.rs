//! boxcam's predictions are those of the model file, computed without boxcam: by ONNX Runtime in floats, and by numpy in the
//! integer arithmetic of docs/int8.md. No int8 kernel of another engine is a reference, because those for AVX2 without
//! VNNI saturate.
//!
//! Needs Python 3 with `venv`, and PyPI. Runs on the validation images of the snacks if BOXCAM_DATA has them, else on
//! generated scenes.

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
use test_support::PythonPackages;

/// Tolerances of a comparison.
struct Bounds {
    /// Least share of images with the same top class.
    same_class: f64,
    /// Greatest difference of a score or a corner.
    greatest: f32,
    /// Greatest share of images in which a score or a corner may differ by more.
    outliers: f64,
    /// Greatest mean difference of scores and corners.
    mean: f32,
    /// Greatest difference of the mean IoU.
    iou: f64,
}

/// Against numpy: all integers are equal. Only the float operators after the last rounding differ, by the order of their
/// sums and by the exponential function. One step of difference in a last layer would change a score by thousandths.
const EXACT: Bounds = Bounds {
    same_class: 1.0,
    greatest: 0.0001,
    outliers: 0.0,
    mean: 0.00001,
    iou: 0.0001,
};

/// Against ONNX Runtime in floats: a value near the middle between two steps is rounded to either, and every later layer
/// then differs. An error of a whole step in a layer would change scores by some hundredths on average. The box is the best
/// of nine proposals: of two that are nearly as good the engines may select different ones, which changes the IoU of that
/// image by up to some tenths. Every image on which the engines disagree is also computed by numpy, which decides: there
/// boxcam must be within [`EXACT`].
const FLOAT: Bounds = Bounds {
    same_class: 0.99,
    greatest: 0.1,
    outliers: 0.01,
    mean: 0.002,
    iou: 0.001,
};

/// One image in so many is computed by numpy, at about 0.3 s each.
const EXACT_EVERY: usize = 24;

/// MobileNet v1, whose layers form a chain, and the model that ships, with residual blocks.
const MODELS: [&str; 2] = [
    "tests/accuracy/onnxruntime/mobilenet-v1.onnx",
    "models/snacks.onnx",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with ONNX Runtime in a virtual environment, kept between runs; `None` if it cannot be installed.
fn python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(install);
    PYTHON.as_deref()
}

fn install() -> Option<PathBuf> {
    let requirements = root().join("tests/accuracy/onnxruntime/requirements.txt");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnxruntime");
    PythonPackages::of_requirements(&requirements).installed(&home)
}

/// An image, its folder, and its annotations.
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
fn predictions_equal_those_of_exact_integer_arithmetic() {
    let cases = validation_pictures().unwrap_or_else(scenes);
    let cases: Vec<Case> = cases.into_iter().step_by(EXACT_EVERY).collect();
    compare_all("exact", &cases, &EXACT);
}

#[test]
fn predictions_agree_with_onnx_runtime_in_floats() {
    let cases = validation_pictures().unwrap_or_else(scenes);
    compare_all("float", &cases, &FLOAT);
}

/// `benches/peers` converts the model that ships for other engines.
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
    let messages = String::from_utf8_lossy(&wrote.stderr);
    assert!(wrote.status.success() && messages.is_empty(), "{messages}");
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

fn compare_all(mode: &str, cases: &[Case], bounds: &Bounds) {
    let Some(python) = python() else {
        test_support::skip!("no ONNX Runtime: it needs Python 3 with venv, and PyPI");
        return;
    };
    for model in MODELS {
        compare(python, mode, &root().join(model), cases, bounds);
    }
}

fn compare(python: &Path, mode: &str, model: &Path, cases: &[Case], bounds: &Bounds) {
    let mut detector = TractDetector::from_file(model).expect("the model loads");
    let mut pixels = Vec::new();
    let mut ours = Vec::new();
    for (frame, _, _) in cases {
        let input = preprocess(frame, detector.card()).expect("has pixels");
        pixels.extend_from_slice(input.pixels());
        ours.push(detector.predict(&input).expect("runs"));
    }
    let theirs = run_reference(python, mode, model, &pixels, detector.card().labels.len());
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
    let outliers = differences.iter().filter(|d| most(d) > bounds.greatest);
    let outliers = outliers.count() as f64 / cases.len() as f64;
    println!(
        "{}, {mode}, {} images: same class on {same:.4}, mean IoU {our_iou:.4} and {their_iou:.4}; scores and corners \
         differ by {difference:.7} on average, by {greatest:.7} at most, by more than {} on {outliers:.4} of the images",
        model.display(),
        cases.len(),
        bounds.greatest
    );
    assert!(
        same >= bounds.same_class,
        "same class on {same:.4} of the images"
    );
    if mode == "float" {
        let disagree = |index: &usize| {
            ours[*index].top().0 != theirs[*index].top().0
                || most(&differences[*index]) > bounds.greatest
        };
        let doubtful: Vec<usize> = (0..cases.len()).filter(disagree).collect();
        assert_exact(python, model, &doubtful, &pixels, &ours);
    }
    assert!((our_iou - their_iou).abs() <= bounds.iou);
    assert!(
        difference <= bounds.mean && outliers <= bounds.outliers,
        "scores and corners differ by {difference} on average, by {greatest} at most, too much on {outliers} of the images"
    );
}

/// Compares some of the predictions with exact integer arithmetic.
fn assert_exact(
    python: &Path,
    model: &Path,
    selected: &[usize],
    pixels: &[u8],
    predictions: &[Prediction],
) {
    let image_bytes = pixels.len() / predictions.len();
    let image = |index: &usize| pixels[index * image_bytes..][..image_bytes].to_vec();
    let selected_pixels: Vec<u8> = selected.iter().flat_map(image).collect();
    let classes = predictions[0].scores().len();
    let exact = run_reference(python, "exact", model, &selected_pixels, classes);
    assert_eq!(exact.len(), selected.len());
    for (index, exact) in selected.iter().zip(&exact) {
        let ours = &predictions[*index];
        assert_eq!(ours.top().0, exact.top().0, "class of image {index}");
        let pairs = ours.scores().iter().zip(exact.scores());
        let corners = ours.bounding_box().corners();
        let exact_corners = exact.bounding_box().corners();
        for (ours, exact) in pairs.chain(corners.iter().zip(&exact_corners)) {
            let difference = (ours - exact).abs();
            assert!(
                difference <= EXACT.greatest,
                "image {index} differs by {difference}"
            );
        }
    }
}

fn run_reference(
    python: &Path,
    mode: &str,
    model: &Path,
    pixels: &[u8],
    classes: usize,
) -> Vec<Prediction> {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (
        folder.path().join("pixels"),
        folder.path().join("predictions"),
    );
    fs::write(&input, pixels).expect("written");
    let ran = Command::new(python)
        .arg("-B")
        .arg(root().join("tests/accuracy/onnxruntime/predict.py"))
        .arg(mode)
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
