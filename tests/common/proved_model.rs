//! Tiny models that a run can change to.

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::golden;
use prost::Message;
use tract_onnx::pb;

use super::{solid_image, tiny_model};

/// With this name and a golden example.
pub(crate) fn proved(name: &str) -> pb::ModelProto {
    let mut model = tiny_model::model();
    let mut card = tiny_model::card();
    card.name = name.to_owned();
    let mut detector = TractDetector::from_bytes(name, &model.encode_to_vec()).expect("sound");
    card.golden = golden::record(&mut detector, [solid_image("green")]).expect("recorded");
    tiny_model::set_card(&mut model, &card);
    model
}

/// As a line of the log has it.
pub(crate) fn hash_of(bytes: &[u8]) -> String {
    let detector = TractDetector::from_bytes("test", bytes).expect("sound");
    detector.model_hash().to_owned()
}
