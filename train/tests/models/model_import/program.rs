//! The command, and its model in boxcam.

use std::path::PathBuf;

use boxcam::card::Resize;
use boxcam::detect::Detector as _;
use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::golden;
use boxcam::preprocess::preprocess;
use boxcam::scene::random_scene;
use boxcam_train::onnx;
use tempfile::TempDir;

use super::network::Ssd;
use super::{check, tfjs, tflite};
use crate::common::{fail, succeed_saying, text};

/// A folder with a detector and a file of labels, and where its model goes.
struct Files {
    /// Deleted with its files when the test ends.
    _folder: TempDir,
    model: PathBuf,
    labels: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(bytes: &[u8], labels: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (model, labels_file, output) = (at("ssd.tflite"), at("labels.txt"), at("ssd.onnx"));
        std::fs::write(&model, bytes).expect("written");
        std::fs::write(&labels_file, labels).expect("written");
        Self {
            _folder: folder,
            model,
            labels: labels_file,
            output,
        }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let own = [
            "model",
            "import",
            text(&self.model),
            "--labels",
            text(&self.labels),
            "--output",
            text(&self.output),
        ];
        [&own[..], more].concat()
    }
}

#[test]
fn an_imported_model_is_complete_and_runs_in_boxcam() {
    let ssd = Ssd::v2(4);
    let bytes = tflite::write(&ssd, &tflite::Form::post_processed(3));
    let files = Files::new(&bytes, "cat\ndog\ncow\n");
    let more = [
        "--scaling",
        "128,128",
        "--name",
        "three animals",
        "--source",
        "test 1.0",
        "--licence",
        "MIT",
        "--threshold",
        "0.3",
    ];
    let (_, said) = succeed_saying(&files.arguments(&more));
    assert!(
        said.contains("an SSD of") && said.contains("3 classes of 4 score outputs"),
        "{said}"
    );
    let model = onnx::read(&files.output).expect("readable");
    let card = onnx::card(&model).expect("a card");
    assert_eq!(
        (card.name.as_str(), card.labels.len()),
        ("three animals", 3)
    );
    assert_eq!(card.input.resize, Resize::Bilinear);
    let origin = card.origin.as_ref().expect("an origin");
    assert_eq!(
        (origin.source.as_str(), origin.licence.as_str()),
        ("test 1.0", "MIT")
    );
    let imported = boxcam_train::import::Imported {
        model,
        ranges: [].into(),
        notes: Vec::new(),
    };
    check(&imported, &ssd, &[1, 2, 3], 2e-4);
    // Its golden examples hold, so a board accepts it.
    let mut detector = TractDetector::from_file(&files.output).expect("loads");
    let agreement = golden::check(&mut detector).expect("agrees");
    assert_eq!(agreement.examples, 4);
    // What `boxcam detect` does with a picture of any size.
    let frame = Frame::new(0, Origin::Live, random_scene(3, 80, 60).image);
    let input = preprocess(&frame, detector.card()).expect("has pixels");
    let prediction = detector.predict(&input).expect("runs");
    let objects = prediction.objects(0.05).expect("has objects");
    assert!(
        !objects.is_empty(),
        "the network finds something in anything"
    );
    let (_, best) = prediction.top();
    assert!((best - objects[0].confidence).abs() < 1e-6, "{best}");
}

#[test]
fn a_model_json_is_named_after_its_folder_and_the_built_in_labels_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("my-ssd");
    std::fs::create_dir(&source).expect("created");
    let form = tfjs::Form {
        drops_background: true,
        decodes: true,
        norms: true,
    };
    let path = tfjs::write(&source, &Ssd::v1(91), form);
    let output = folder.path().join("out.onnx");
    let arguments = [
        "model",
        "import",
        text(&path),
        "--labels",
        "coco",
        "--output",
        text(&output),
    ];
    succeed_saying(&arguments);
    let card = onnx::card(&onnx::read(&output).expect("readable")).expect("a card");
    assert_eq!((card.name.as_str(), card.labels.len()), ("my-ssd", 80));
    assert_eq!(card.origin.expect("an origin").licence, "NOASSERTION");
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let bytes = tflite::write(&Ssd::v2(4), &tflite::Form::post_processed(3));
    let files = Files::new(&bytes, "cat\ndog\n");
    let (code, words) = fail(&files.arguments(&[]));
    assert!(
        code == 3 && words.contains("2 labels") && words.contains("labels.txt"),
        "{words}"
    );
    let (code, words) = fail(&files.arguments(&["--scaling", "0..7"]));
    assert!(code == 2 && words.contains("--scaling"), "{words}");
    assert!(!files.output.exists());
    // A file of the user is never replaced.
    std::fs::write(&files.labels, "cat\ndog\ncow\n").expect("written");
    std::fs::write(&files.output, "mine").expect("written");
    let (code, words) = fail(&files.arguments(&[]));
    assert!(code == 5 && words.contains("ssd.onnx"), "{words}");
    assert_eq!(std::fs::read(&files.output).expect("readable"), b"mine");
}
