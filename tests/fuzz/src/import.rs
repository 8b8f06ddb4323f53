//! Detectors of other frameworks: a `.tflite` file, or a `model.json` whose shard is empty.

use boxcam_train::import::{ImportOptions, LabelList, import};
use boxcam_train::onnx;

use crate::Bounds;
use crate::scratch::Scratch;

static FOLDER: Scratch = Scratch::new();

pub fn run(bytes: &[u8]) {
    FOLDER.write("shard1", b"");
    let path = FOLDER.write("model.json", bytes);
    let names = ["cat", "dog", "cow", "pig"].map(|name| Some(name.to_owned()));
    let options = ImportOptions::new("fuzzed", LabelList::Ordered(names.to_vec()));
    Bounds::MODEL.check(|| match import(&path, &options) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(imported) => drop(onnx::card(&imported.model).expect("a valid card")),
    });
}
