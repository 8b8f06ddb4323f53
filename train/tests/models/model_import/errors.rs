//! What can't be imported is named, and broken files are errors, not panics.

use boxcam_train::import::{ModelImportError, import};
use fastrand::Rng;

use super::network::Ssd;
use super::{import_bytes, options, tfjs, tflite};

const NAMES: [&str; 4] = ["cat", "dog", "cow", "pig"];

#[test]
fn an_operator_that_no_ssd_has_is_named_with_its_node() {
    for (code, name) in [
        (54, "PRELU"),
        (25, "SOFTMAX"),
        (97, "RESIZE_NEAREST_NEIGHBOR"),
        (122, "number 122"),
    ] {
        let form = tflite::Form {
            unknown: Some(code),
            ..tflite::Form::raw()
        };
        let error = import_bytes(&tflite::write(&Ssd::v1(5), &form), &options(&NAMES));
        let error = error.expect_err("refused").to_string();
        assert!(
            error.contains(name) && error.contains("\"unknown\"") && error.contains("expected"),
            "{error}"
        );
    }
}

#[test]
fn other_files_are_told_apart() {
    for bytes in [&b""[..], b"hello", b"\x89PNG\r\n\x1a\n"] {
        let error = import_bytes(bytes, &options(&NAMES)).expect_err("refused");
        assert!(
            matches!(error, ModelImportError::UnknownFormat { .. }),
            "{error}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let error = import(&folder.path().join("no.tflite"), &options(&NAMES)).expect_err("refused");
    assert!(
        error.to_string().contains("no.tflite: can't be read"),
        "{error}"
    );
}

#[test]
fn truncated_and_damaged_files_are_errors() {
    let ssd = Ssd::v3(5);
    let whole = tflite::write(&ssd, &tflite::Form::post_processed(4));
    for end in (0..whole.len()).step_by(97) {
        import_bytes(&whole[..end], &options(&NAMES)).expect_err("truncated");
    }
    let mut random = Rng::with_seed(9);
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        // Most of it are weights, where anything goes; no panic is what matters.
        let _ = import_bytes(&bytes, &options(&NAMES));
    }
}

#[test]
fn damaged_json_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let form = tfjs::Form {
        drops_background: true,
        decodes: true,
        norms: true,
    };
    let path = tfjs::write(folder.path(), &Ssd::v2(5), form);
    let whole = std::fs::read_to_string(&path).expect("readable");
    let import_text = |text: &str| {
        std::fs::write(&path, text).expect("written");
        import(&path, &options(&NAMES))
    };
    import_text(&whole).expect("whole");
    for (from, to, expected) in [
        ("\"shard1\"", "\"shard2\"", "shard2"),
        ("\"Relu6\"", "\"Elu\"", "operator Elu"),
        ("\"U0FNRQ==\"", "\"RVhQTElDSVQ=\"", "padding EXPLICIT"),
        ("\"ConcatV2\"", "\"Stack\"", "no heads"),
        ("\"layer0/weights\"]", "\"nothing\"]", "nothing"),
        (
            "\"input\":[\"factor\",\"resized\"]",
            "\"input\":[\"factor\",\"decoded\"]",
            "depends on itself",
        ),
    ] {
        let text = whole.replace(from, to);
        assert_ne!(text, whole, "{from}");
        let error = import_text(&text).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut random = Rng::with_seed(4);
    for _ in 0..200 {
        let mut bytes = whole.clone().into_bytes();
        let at = random.usize(..bytes.len());
        bytes[at] = b"0129-\"{}[]"[random.usize(..10)];
        let _ = import_text(&String::from_utf8_lossy(&bytes));
    }
}
