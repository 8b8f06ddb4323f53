//! Trunks and file formats.

use boxcam_train::import::Scaling;

use crate::network::Ssd;
use crate::{check, import_bytes, import_file, options, tfjs, tflite};

const NAMES: [&str; 4] = ["cat", "dog", "cow", "pig"];

/// The scaling of the test networks, whose 0 is a channel value: then nothing differs at the borders.
fn scaling() -> Option<Scaling> {
    Some(Scaling::normalized([128.0; 3], [128.0; 3]))
}

#[test]
fn all_trunks_are_read_from_tflite() {
    for ssd in [Ssd::v1(5), Ssd::v2(5), Ssd::v3(5)] {
        for form in [tflite::Form::raw(), tflite::Form::post_processed(4)] {
            let mut options = options(&NAMES);
            options.scaling = scaling();
            let bytes = tflite::write(&ssd, &form);
            let imported = import_bytes(&bytes, &options).unwrap_or_else(|e| panic!("{e}"));
            check(&imported, &ssd, &[1, 2, 3, 4], 2e-4);
        }
    }
}

#[test]
fn half_precision_weights_are_read() {
    let ssd = Ssd::v2(5);
    let form = tflite::Form {
        is_half: true,
        ..tflite::Form::raw()
    };
    let mut options = options(&NAMES);
    options.scaling = scaling();
    let imported = import_bytes(&tflite::write(&ssd, &form), &options).expect("reads");
    // Weights have 11 bits.
    check(&imported, &ssd, &[1, 2, 3, 4], 0.02);
}

#[test]
fn tensorflow_js_is_read_with_norms_decoding_and_scaling_in_the_graph() {
    for mut ssd in [Ssd::v1(5), Ssd::v2(5)] {
        // Other scales and another order than TensorFlow's, which only the graph tells.
        ssd.scales = [8.0, 12.0, 4.0, 6.0];
        ssd.order = [2, 0, 1, 3];
        for norms in [false, true] {
            let form = tfjs::Form {
                drops_background: true,
                decodes: true,
                norms,
            };
            let folder = tempfile::tempdir().expect("a folder");
            let path = tfjs::write(folder.path(), &ssd, form);
            let imported = import_file(&path, &options(&NAMES));
            check(&imported, &ssd, &[1, 2, 3, 4], 2e-4);
        }
    }
}

#[test]
fn tensorflow_js_without_decoding_has_tensorflows() {
    let ssd = Ssd::v2(4);
    let form = tfjs::Form {
        drops_background: false,
        decodes: false,
        norms: false,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let imported = import_file(&tfjs::write(folder.path(), &ssd, form), &options(&NAMES));
    check(&imported, &ssd, &[0, 1, 2, 3], 2e-4);
}
