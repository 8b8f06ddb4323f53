//! The model: whether it loads, and whether this machine computes with it what the trainer's did.

use std::time::Instant;

use boxcam::config::ModelConfig;
use boxcam::detect::Detector;
use boxcam::golden;

use super::super::model;
use super::Finding;

pub(super) fn findings(config: &ModelConfig) -> Vec<Finding> {
    let started = Instant::now();
    let mut detector = match model::load(config.file.as_deref()) {
        Ok(detector) => detector,
        Err(failure) => {
            let mend = "give another file with `--model FILE`, or none for the built-in one";
            return vec![Finding::bad("model", failure.to_string(), mend)];
        }
    };
    let load = started.elapsed().as_secs_f64() * 1e3;
    let card = detector.card();
    let kernels = detector.kernels().unwrap_or("none, it is in floats");
    let says = format!(
        "{} ({}), {} classes, input {} x {}, threshold {}, loaded in {load:.0} ms, int8 kernels: {kernels}",
        card.name,
        detector.model_hash(),
        card.labels.len(),
        card.input.width,
        card.input.height,
        config.threshold_or(card.threshold),
    );
    vec![Finding::good("model", says), proof(&mut detector)]
}

fn proof(detector: &mut dyn Detector) -> Finding {
    match golden::check(detector) {
        Ok(agreement) if agreement.examples == 0 => Finding::note(
            "proof",
            "the model has no golden examples, so nothing shows that this machine computes it rightly",
            "make it anew with boxcam-train, or add them: boxcam-train model card FILE --golden --output FILE",
        ),
        Ok(agreement) => Finding::good(
            "proof",
            format!(
                "{} golden examples agree within {:.4}",
                agreement.examples, agreement.difference
            ),
        ),
        Err(error) => Finding::bad(
            "proof",
            error.to_string(),
            "copy the model file again; if that does not help, report the board and its system",
        ),
    }
}
