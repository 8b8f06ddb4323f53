//! Where an import goes wrong without a word: labels, backgrounds, channels, scales, orders, anchors.

use boxcam_train::import::{Background, CodeOrder, LabelList, Scaling};

use super::network::{SIDE, Ssd};
use super::{check, import_bytes, options, pixels, run, tflite};

#[test]
fn a_background_shifts_no_label() {
    let ssd = Ssd::v2(4);
    let raw = tflite::write(&ssd, &tflite::Form::raw());
    // Four outputs: with a background three labels, or four of which the first is none; without one four.
    for (names, columns) in [
        (&["cat", "dog", "cow"][..], &[1, 2, 3][..]),
        (&["???", "cat", "dog", "cow"], &[1, 2, 3]),
        (&["cat", "dog", "cow", "pig"], &[0, 1, 2, 3]),
    ] {
        let imported = import_bytes(&raw, &exact(options(names))).expect("fits");
        check(&imported, &ssd, columns, 2e-4);
    }
    let mut last = exact(options(&["cat", "dog", "cow"]));
    last.background = Background::Column(3);
    check(
        &import_bytes(&raw, &last).expect("fits"),
        &ssd,
        &[0, 1, 2],
        2e-4,
    );
    // The post-processing tells: four classes of four scores, or three.
    let all = tflite::write(&ssd, &tflite::Form::post_processed(4));
    let imported = import_bytes(&all, &exact(options(&["cat", "dog", "cow", "pig"])));
    check(&imported.expect("fits"), &ssd, &[0, 1, 2, 3], 2e-4);
    let three = tflite::write(&ssd, &tflite::Form::post_processed(3));
    let imported = import_bytes(&three, &exact(options(&["cat", "dog", "cow"])));
    check(&imported.expect("fits"), &ssd, &[1, 2, 3], 2e-4);
    let error = import_bytes(&three, &options(&["cat", "dog", "cow", "pig"])).expect_err("refused");
    assert!(error.to_string().contains("\"cat\""), "{error}");
}

#[test]
fn numbers_without_a_name_are_left_out() {
    let ssd = Ssd::v1(6);
    let raw = tflite::write(&ssd, &tflite::Form::raw());
    let imported = import_bytes(&raw, &exact(options(&["cat", "???", "cow", "???", "pig"])));
    check(&imported.expect("fits"), &ssd, &[1, 3, 5], 2e-4);
}

#[test]
fn coco_is_80_of_91_outputs() {
    let ssd = Ssd::v1(91);
    let bytes = tflite::write(&ssd, &tflite::Form::post_processed(90));
    let mut coco = exact(options(&[]));
    coco.labels = LabelList::coco();
    let imported = import_bytes(&bytes, &coco).expect("fits");
    let (card, _) = run(&imported.model, &pixels(1));
    let names: Vec<&str> = card.labels.iter().collect();
    assert_eq!(
        (names.len(), names[0], names[79]),
        (80, "person", "toothbrush")
    );
    let holes = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83];
    let columns: Vec<usize> = (0..91).filter(|column| !holes.contains(column)).collect();
    check(&imported, &ssd, &columns, 2e-4);
}

#[test]
fn fewer_or_more_labels_than_outputs_are_refused_with_both_numbers() {
    let raw = tflite::write(&Ssd::v1(5), &tflite::Form::raw());
    for names in [&["a", "b", "c"][..], &["a", "b", "c", "d", "e", "f"]] {
        let error = import_bytes(&raw, &options(names))
            .expect_err("refused")
            .to_string();
        let labels = format!("{} labels", names.len());
        assert!(
            error.contains(&labels) && error.contains("5 outputs"),
            "{error}"
        );
    }
}

#[test]
fn slots_of_the_post_processing_are_never_read() {
    // The same network with and without it gives the same model: nothing of its outputs can matter.
    let ssd = Ssd::v2(4);
    let options = exact(options(&["cat", "dog", "cow"]));
    let with = import_bytes(
        &tflite::write(&ssd, &tflite::Form::post_processed(3)),
        &options,
    );
    let without = import_bytes(&tflite::write(&ssd, &tflite::Form::raw()), &options);
    let (with, without) = (with.expect("reads"), without.expect("reads"));
    let image = pixels(3);
    let ((card, with), (_, without)) = (run(&with.model, &image), run(&without.model, &image));
    assert_eq!(with, without);
    // Its threshold for overlapping boxes is kept.
    assert_eq!(card.objects.expect("objects").nms_iou, 0.45);
}

#[test]
fn blue_first_and_any_range_become_the_same_pixels() {
    let per_channel = ([0.017, 0.018, 0.017], [-2.1, -2.0, -1.8]);
    let scalings = [
        (([1.0; 3], [0.0; 3]), Scaling::BYTES, 1e-3),
        (([1.0 / 255.0; 3], [0.0; 3]), Scaling::UNIT, 2e-4),
        // What stands for 0 lies between two channel values: at the borders the network sees half a step less.
        (([2.0 / 255.0; 3], [-1.0; 3]), Scaling::SIGNED, 0.02),
        (
            per_channel,
            Scaling {
                factor: per_channel.0,
                offset: per_channel.1,
            },
            0.1,
        ),
    ];
    for (scaling, option, tolerance) in scalings {
        let mut ssd = Ssd::v1(4);
        ssd.scaling = scaling;
        if option == Scaling::BYTES {
            ssd.weaken_first_layer(1.0 / 128.0);
        }
        let raw = tflite::write(&ssd, &tflite::Form::raw());
        let mut options = options(&["cat", "dog", "cow"]);
        options.scaling = Some(option);
        let imported = import_bytes(&raw, &options).expect("reads");
        check(&imported, &ssd, &[1, 2, 3], tolerance);
        // The same network for images whose first channel is blue.
        options.is_bgr = true;
        let imported = import_bytes(&raw, &options).expect("reads");
        let image = pixels(8);
        let swapped: Vec<u8> = image
            .chunks_exact(3)
            .flat_map(|p| [p[2], p[1], p[0]])
            .collect();
        let (expected, (_, found)) = (ssd.rows(&swapped), run(&imported.model, &image));
        for (found, expected) in found.scores.iter().zip(&expected.scores) {
            assert!(
                (found[0] - expected[1]).abs() <= tolerance,
                "{found:?}, {expected:?}"
            );
        }
    }
}

#[test]
fn the_order_and_scales_of_box_codes_are_the_files_or_those_given() {
    let mut ssd = Ssd::v2(4);
    ssd.order = [0, 1, 2, 3];
    ssd.scales = [1.0, 1.0, 1.0, 1.0];
    let raw = tflite::write(&ssd, &tflite::Form::raw());
    let mut options = exact(options(&["cat", "dog", "cow"]));
    options.code_order = CodeOrder::X_FIRST;
    options.code_scales = [1.0; 4];
    check(
        &import_bytes(&raw, &options).expect("reads"),
        &ssd,
        &[1, 2, 3],
        2e-3,
    );
    // The post-processing knows its own scales, whatever is given.
    let mut ssd = Ssd::v2(4);
    ssd.scales = [5.0, 4.0, 3.0, 2.0];
    let own = tflite::write(&ssd, &tflite::Form::post_processed(3));
    options.code_scales = [7.0; 4];
    check(
        &import_bytes(&own, &options).expect("reads"),
        &ssd,
        &[1, 2, 3],
        1e-3,
    );
}

#[test]
fn anchors_of_another_input_size_are_refused() {
    let ssd = Ssd::v2(4);
    let own: Vec<[f32; 4]> = ssd
        .anchors
        .iter()
        .map(|&[x, y, w, h]| [y, x, h, w])
        .collect();
    let more = [&own[..], &own[..6]].concat();
    let mut swapped = own.clone();
    swapped.swap(0, 40);
    for (anchors, parts) in [
        (more, ["78 anchors", "32 x 32", "72"]),
        (swapped, ["anchor 0", "32 x 32", "4 x 4"]),
    ] {
        let form = tflite::Form {
            anchors: Some(anchors),
            ..tflite::Form::post_processed(3)
        };
        let error = import_bytes(
            &tflite::write(&ssd, &form),
            &options(&["cat", "dog", "cow"]),
        );
        let error = error.expect_err("refused").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn anchors_may_be_given() {
    let mut ssd = Ssd::v2(4);
    for anchor in &mut ssd.anchors {
        anchor[2] *= 0.8;
    }
    let raw = tflite::write(&ssd, &tflite::Form::raw());
    let mut options = exact(options(&["cat", "dog", "cow"]));
    options.anchors = Some(
        ssd.anchors
            .iter()
            .map(|&[x, y, w, h]| [y, x, h, w])
            .collect(),
    );
    check(
        &import_bytes(&raw, &options).expect("reads"),
        &ssd,
        &[1, 2, 3],
        2e-4,
    );
    assert_eq!(SIDE, 32, "the anchors are those of this side");
}

/// With the scaling of the test networks, whose 0 is a channel value: then nothing differs at the borders.
fn exact(mut options: boxcam_train::import::ImportOptions) -> boxcam_train::import::ImportOptions {
    options.scaling = Some(Scaling::normalized([128.0; 3], [128.0; 3]));
    options
}
