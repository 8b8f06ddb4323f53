//! The detector of COCO's 80 classes that ships: its card, and its golden examples, which need no data.

use std::path::Path;

use boxcam::detect::Detector as _;
use boxcam::detect::tract::TractDetector;
use boxcam::golden;

fn detector() -> TractDetector {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/coco.onnx");
    let bytes = std::fs::read(&file).expect("is in the repository");
    TractDetector::from_bytes("coco.onnx", &bytes).expect("loads")
}

#[test]
fn the_golden_examples_are_reproduced_and_show_objects() {
    let mut detector = detector();
    let card = detector.card().clone();
    let agreement = golden::check(&mut detector).expect("agrees");
    assert_eq!(agreement.examples, 2);
    let found = card.golden.iter().flat_map(|example| {
        let objects = example.objects.as_ref().expect("has object heads").iter();
        objects.filter(|object| object.score >= card.threshold)
    });
    let mut found: Vec<&str> = found
        .map(|object| card.labels.iter().nth(object.class).expect("a class"))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        ["apple", "apple", "cup", "donut", "orange", "orange"]
    );
}

#[test]
fn the_card_says_what_it_finds_and_where_it_is_from() {
    let detector = detector();
    let card = detector.card();
    let labels: Vec<&str> = card.labels.iter().collect();
    assert_eq!(
        (labels.len(), labels[0], labels[79]),
        (80, "person", "toothbrush")
    );
    let origin = card.origin.as_ref().expect("it is imported");
    assert_eq!(origin.licence, "Apache-2.0");
    assert!(
        card.training.credits.contains("CC BY 2.0"),
        "of the examples"
    );
    for figure in ["objects_ap50", "agreement", "agreement_person"] {
        assert!(card.figures[figure] > 0.37, "{figure}");
    }
}
