//! The metrics as a table for the terminal.

use std::cmp::Reverse;
use std::fmt::Write as _;

use boxcam::evaluate::{
    Agreement, Comparison, Details, Difference, FalseAlarms, Interval, Intervals, Metrics,
    ObjectMetrics, SizeMetrics, TrackMetrics,
};

/// Number of confusions listed.
const CONFUSIONS: usize = 5;

pub(super) fn table(model: &str, metrics: &Metrics, details: &Details) -> String {
    let counts = [
        ("boxes", metrics.boxes),
        (
            "  of a class unknown to the model",
            metrics.unknown_class_boxes,
        ),
        ("pictures", metrics.pictures),
    ];
    let shares = [
        ("class accuracy, boxes", metrics.class_accuracy),
        ("class accuracy, pictures", metrics.picture_accuracy),
        ("mean IoU, boxes", metrics.mean_iou),
        (
            "mean IoU, largest box of a picture",
            metrics.largest_box_mean_iou,
        ),
        (
            "IoU of at least 0.5, largest box",
            metrics.largest_box_iou_over_half,
        ),
        ("mean squared error of a coordinate", metrics.box_mse),
        ("average precision at IoU 0.5", details.ap50),
        ("average precision, IoU 0.5 to 0.95", details.ap),
        (
            "expected calibration error",
            details.calibration.expected_error,
        ),
    ];
    let mut text = format!("{:<36}{model:>8}\n", "model");
    for (name, count) in counts {
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    for (name, share) in shares {
        let _ = writeln!(text, "{name:<36}{share:>8.4}");
    }
    text += &objects(details.objects.as_ref());
    text += &intervals(&details.intervals);
    text += &by_size(&details.per_size);
    for (count, truth, predicted) in most_confused(metrics) {
        let name = format!("{truth} predicted as {predicted}");
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    text
}

/// Metrics with several detections in a picture.
fn objects(metrics: Option<&ObjectMetrics>) -> String {
    let Some(metrics) = metrics else {
        return String::new();
    };
    let recall = metrics.recall;
    let named = [
        ("objects, AP at IoU 0.5", metrics.ap50),
        ("objects, AP, IoU 0.5 to 0.95", metrics.ap),
        ("objects, recall with 1 a picture", recall.at_1),
        ("objects, recall with 10 a picture", recall.at_10),
        ("objects, recall with 100 a picture", recall.at_100),
    ];
    let mut text = String::new();
    for (name, value) in named {
        let _ = writeln!(text, "{name:<36}{value:>8.4}");
    }
    for area in &metrics.per_area {
        let (Some(ap50), Some(recall)) = (area.ap50, area.recall) else {
            continue;
        };
        let name = format!("objects, {}, AP at IoU 0.5", area.area);
        let _ = writeln!(
            text,
            "{name:<36}{ap50:>8.4}, recall {recall:.4}, boxes {}",
            area.boxes
        );
    }
    text
}

fn intervals(intervals: &Intervals) -> String {
    let named = [
        ("class accuracy, boxes, 95%", intervals.class_accuracy),
        ("mean IoU, boxes, 95%", intervals.mean_iou),
        ("mean IoU, largest box, 95%", intervals.largest_box_mean_iou),
        (
            "IoU of at least 0.5, 95%",
            intervals.largest_box_iou_over_half,
        ),
        ("average precision at IoU 0.5, 95%", intervals.ap50),
    ];
    let mut text = String::new();
    for (name, Interval { low, high }) in named {
        let _ = writeln!(text, "{name:<36}{low:>8.4} to {high:.4}");
    }
    text
}

fn by_size(sizes: &[SizeMetrics]) -> String {
    let mut text = String::new();
    for size in sizes {
        let name = format!("mean IoU, box of {} to {}", size.from, size.to);
        let (Some(overlap), Some(over_half)) = (size.mean_iou, size.iou_over_half) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{name:<36}{overlap:>8.4}, over half {over_half:.4}, pictures {}",
            size.pictures
        );
    }
    text
}

/// The differences from another model. `other`: first digits of the hash of its file.
pub(super) fn comparison(other: &str, comparison: &Comparison) -> String {
    let named = [
        ("objects, AP at IoU 0.5", comparison.objects_ap50),
        ("objects, AP, IoU 0.5 to 0.95", comparison.objects_ap),
        ("class accuracy, boxes", comparison.class_accuracy),
        ("mean IoU, boxes", comparison.mean_iou),
        (
            "mean IoU, largest box of a picture",
            comparison.largest_box_mean_iou,
        ),
        (
            "IoU of at least 0.5, largest box",
            comparison.largest_box_iou_over_half,
        ),
    ];
    let title = format!("\ncompared with {other}");
    let mut text = format!(
        "{title:<37}{:>8}{:>9}{:>12}{:>12}  95% interval\n",
        "this", "other", "difference", "std. error"
    );
    for (name, found) in named {
        let Difference {
            value,
            other,
            difference,
            standard_error,
            interval: Interval { low, high },
        } = found;
        let _ = writeln!(
            text,
            "{name:<36}{value:>8.4}{other:>9.4}{difference:>+12.4}{standard_error:>12.4}  {low:+.4} to {high:+.4}"
        );
    }
    text
}

/// With the detections of another model as ground truth.
pub(super) fn agreement(agreement: Option<&Agreement>) -> String {
    let Some(agreement) = agreement else {
        return String::new();
    };
    let line =
        |name: &str, ap50: f64, boxes: usize| format!("{name:<36}{ap50:>8.4}, boxes {boxes}\n");
    let all = line(
        "agreement, AP at IoU 0.5",
        agreement.agreement,
        agreement.boxes,
    );
    let classes = agreement.per_class.iter();
    let classes = classes.map(|class| line(&format!("  {}", class.class), class.ap50, class.boxes));
    format!("\n{all}{}", classes.collect::<String>())
}

/// Of the tracks that are found in films.
pub(super) fn tracking(metrics: Option<&TrackMetrics>) -> String {
    let Some(metrics) = metrics else {
        return String::new();
    };
    let shares = [
        ("tracks, IDF1", metrics.idf1),
        ("tracks, MOTA", metrics.mota),
        ("tracks, stray boxes", metrics.stray_share),
        ("tracks, wrong labels", metrics.wrong_label_share),
    ];
    let counts = [
        ("tracks, identity switches", metrics.identity_switches),
        ("tracks, boxes", metrics.boxes),
        ("tracks, true boxes", metrics.true_boxes),
        ("tracks, frames", metrics.frames),
    ];
    let mut text = String::from("\n");
    for (name, share) in shares {
        let _ = writeln!(text, "{name:<36}{share:>8.4}");
    }
    for (name, count) in counts {
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    text
}

/// On negatives, at the thresholds of the card.
pub(super) fn false_alarms(alarms: Option<FalseAlarms>) -> String {
    let Some(alarms) = alarms else {
        return String::new();
    };
    format!(
        "\n{:<36}{:>8.4}, detections a picture {:.4}, pictures {}\n",
        "negatives with a detection",
        alarms.with_detection,
        alarms.detections_per_picture,
        alarms.pictures
    )
}

/// The most frequent confusions: count, true class, predicted class.
fn most_confused(metrics: &Metrics) -> Vec<(usize, &str, &str)> {
    let labels = &metrics.confusion.labels;
    let mut pairs = Vec::new();
    for (truth, counts) in labels.iter().zip(&metrics.confusion.counts) {
        let cells = labels.iter().zip(counts);
        let wrong = cells.filter(|(predicted, count)| *predicted != truth && **count > 0);
        pairs.extend(wrong.map(|(other, count)| (*count, truth.as_str(), other.as_str())));
    }
    pairs.sort_by_key(|(count, ..)| Reverse(*count));
    pairs.truncate(CONFUSIONS);
    pairs
}

#[cfg(test)]
mod tests {
    use boxcam::evaluate::{Confusion, Evaluation};
    use boxcam::label::Labels;

    use super::*;

    #[test]
    fn the_table_has_metrics_intervals_and_confusions() {
        let metrics = Metrics {
            boxes: 12,
            pictures: 10,
            class_accuracy: 0.75,
            picture_accuracy: 0.8,
            mean_iou: 0.333_33,
            largest_box_mean_iou: 0.4,
            largest_box_iou_over_half: 0.5,
            box_mse: 0.041_25,
            unknown_class_boxes: 1,
            confusion: Confusion {
                labels: ["apple", "cake", "pie"].map(str::to_owned).to_vec(),
                counts: vec![vec![4, 1, 0], vec![0, 3, 2], vec![0, 0, 2]],
            },
        };
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid");
        let details = Details::of(&Evaluation::new(labels));
        let text = table("0badcafe", &metrics, &details);
        let line = |start: &str| {
            let mut lines = text.lines();
            lines.find(|line| line.starts_with(start)).expect("present")
        };
        assert!(line("model").ends_with(" 0badcafe"));
        assert!(line("mean IoU, boxes").ends_with(" 0.3333"));
        assert!(line("boxes").ends_with(" 12"));
        assert!(line("average precision at IoU 0.5, 95%").ends_with(" 0.0000 to 0.0000"));
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert!(last[1].starts_with("cake predicted as pie ") && last[1].ends_with(" 2"));
        assert!(last[0].starts_with("apple predicted as cake "));
    }

    #[test]
    fn a_comparison_has_a_line_for_each_metric() {
        let none = Difference {
            value: 0.5,
            other: 0.5,
            difference: 0.0,
            standard_error: 0.0,
            interval: Interval::default(),
        };
        let worse = Difference {
            value: 0.25,
            other: 0.5,
            difference: -0.25,
            standard_error: 0.125,
            interval: Interval {
                low: -0.5,
                high: 0.0,
            },
        };
        let text = comparison(
            "0badcafe",
            &Comparison {
                objects_ap50: worse,
                objects_ap: none,
                class_accuracy: none,
                mean_iou: none,
                largest_box_mean_iou: none,
                largest_box_iou_over_half: none,
            },
        );
        let lines: Vec<&str> = text.lines().collect();
        let [empty, title, first, ..] = lines[..] else {
            panic!("several lines in {text}");
        };
        assert!(empty.is_empty() && title.starts_with("compared with 0badcafe "));
        assert_eq!(
            first.split_whitespace().skip(5).collect::<Vec<_>>(),
            [
                "0.2500", "0.5000", "-0.2500", "0.1250", "-0.5000", "to", "+0.0000"
            ]
        );
        assert_eq!(title.find("  95%"), first.find("  -0.5000"));
        assert_eq!(lines.len(), 8);
    }
}
