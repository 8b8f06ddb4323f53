//! What was measured, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Layer, Measured};

/// Layers that are listed, the slowest first.
const LISTED: usize = 10;

/// The whole as a text of several lines.
pub(super) fn of(measured: &Measured) -> String {
    let mut text = String::new();
    let kernels = measured.kernels.unwrap_or("none, it is in floats");
    let Measured {
        model,
        picture,
        width,
        height,
        ..
    } = measured;
    let _ = writeln!(
        text,
        "model {model}, int8 kernels: {kernels}\n\
         picture {picture} ({width} x {height}), {} frames, {} threads\n\n\
         stage             p50        p95        p99",
        measured.frames, measured.threads
    );
    let stages = &measured.stages;
    for (name, times) in [
        ("decode", stages.decode),
        ("preprocess", stages.preprocess),
        ("inference", stages.inference),
        ("draw", stages.draw),
        ("frame, in all", stages.frame),
    ] {
        let _ = writeln!(
            text,
            "{name:13} {:7.2} ms {:7.2} ms {:7.2} ms",
            times.p50_ms, times.p95_ms, times.p99_ms
        );
    }
    for (name, ages) in [
        ("camera to screen", measured.camera_to_screen),
        ("camera to box", measured.camera_to_box),
    ] {
        if let Some(ages) = ages {
            let _ = writeln!(
                text,
                "{name:16} {:4.1} ms {:7.1} ms {:7.1} ms",
                ages.p50_ms, ages.p95_ms, ages.p99_ms
            );
        }
    }
    let _ = writeln!(
        text,
        "\nload {:.1} ms, first box after {:.1} ms",
        measured.load_ms, measured.first_box_ms
    );
    if let Some(peak) = measured.peak_rss_mb {
        let _ = writeln!(text, "peak memory {peak:.1} MB");
    }
    text.push_str(&layers(&measured.layers));
    text
}

fn layers(layers: &[Layer]) -> String {
    let mut by_operator: BTreeMap<&str, (usize, f64, f64)> = BTreeMap::new();
    for layer in layers {
        let (count, ms, share) = by_operator.entry(&layer.operator).or_default();
        *count += 1;
        *ms += layer.ms;
        *share += layer.share;
    }
    let mut operators: Vec<_> = by_operator.into_iter().collect();
    operators.sort_by(|(_, a), (_, b)| b.1.total_cmp(&a.1));
    let mut text = "\nwhere the inference goes\n".to_owned();
    for (operator, (count, ms, share)) in operators.iter().take(LISTED) {
        let share = share * 100.0;
        let _ = writeln!(text, "{share:5.1}% {ms:8.3} ms  {count:3} x {operator}");
    }
    let mut slowest: Vec<&Layer> = layers.iter().collect();
    slowest.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    text.push_str("\nthe slowest layers\n");
    for layer in slowest.iter().take(LISTED) {
        let share = layer.share * 100.0;
        let _ = writeln!(
            text,
            "{share:5.1}% {:8.3} ms  {} ({})",
            layer.ms, layer.name, layer.operator
        );
    }
    text
}
