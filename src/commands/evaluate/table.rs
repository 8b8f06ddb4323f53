//! What was measured, for people who look at a terminal.

use std::fmt::Write as _;

use boxcam::evaluate::{Details, Figures, Interval, Intervals, SizeFigures};

/// Confusions that are listed.
const LISTED: usize = 5;

/// The figures for people.
pub(super) fn of(model: &str, figures: &Figures, details: &Details) -> String {
    let counts = [
        ("rows", figures.rows),
        (
            "  of a class unknown to the model",
            figures.unknown_class_rows,
        ),
        ("pictures", figures.pictures),
    ];
    let shares = [
        ("class accuracy, rows", figures.class_accuracy),
        ("class accuracy, pictures", figures.picture_accuracy),
        ("mean IoU, rows", figures.mean_iou),
        (
            "mean IoU, largest box of a picture",
            figures.largest_box_mean_iou,
        ),
        (
            "IoU of at least 0.5 with that box",
            figures.largest_box_iou_over_half,
        ),
        ("mean squared error of a corner", figures.box_mse),
    ];
    let mut text = format!("{:<36}{model:>8}\n", "model");
    for (name, count) in counts {
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    for (name, share) in shares {
        let _ = writeln!(text, "{name:<36}{share:>8.4}");
    }
    text += &further(details);
    text += &by_size(&details.per_size);
    for (count, truth, taken_for) in most_confused(figures) {
        let name = format!("{truth} taken for {taken_for}");
        let _ = writeln!(text, "{name:<36}{count:>8}");
    }
    text
}

/// Average precision and calibration, and where figures lie with a confidence of 95 of 100.
fn further(details: &Details) -> String {
    let Intervals {
        class_accuracy,
        mean_iou,
        largest_box_mean_iou,
        largest_box_iou_over_half,
        ap50,
    } = details.intervals;
    let shares = [
        ("average precision at IoU 0.5", details.ap50),
        ("average precision, IoU 0.5 to 0.95", details.ap),
        (
            "expected calibration error",
            details.calibration.expected_error,
        ),
    ];
    let intervals = [
        ("class accuracy, rows, 95%", class_accuracy),
        ("mean IoU, rows, 95%", mean_iou),
        ("mean IoU, largest box, 95%", largest_box_mean_iou),
        ("IoU of at least 0.5, 95%", largest_box_iou_over_half),
        ("average precision at IoU 0.5, 95%", ap50),
    ];
    let mut text = String::new();
    for (name, share) in shares {
        let _ = writeln!(text, "{name:<36}{share:>8.4}");
    }
    for (name, Interval { low, high }) in intervals {
        let _ = writeln!(text, "{name:<36}{low:>8.4} to {high:.4}");
    }
    text
}

/// How well large and small things are found, by the area of a picture's largest box.
fn by_size(sizes: &[SizeFigures]) -> String {
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

/// How often which class was taken for which other, the most frequent first.
fn most_confused(figures: &Figures) -> Vec<(usize, &str, &str)> {
    let labels = &figures.confusion.labels;
    let mut pairs = Vec::new();
    for (truth, row) in labels.iter().zip(&figures.confusion.counts) {
        let cells = labels.iter().zip(row);
        let wrong = cells.filter(|(taken_for, count)| *taken_for != truth && **count > 0);
        pairs.extend(wrong.map(|(other, count)| (*count, truth.as_str(), other.as_str())));
    }
    pairs.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    pairs.truncate(LISTED);
    pairs
}

#[cfg(test)]
mod tests {
    use boxcam::evaluate::{Confusion, Records};
    use boxcam::label::Labels;

    use super::*;

    fn none() -> Records {
        Records::new(Labels::new(vec!["apple".to_owned()]).expect("sound"))
    }

    fn figures() -> Figures {
        Figures {
            rows: 12,
            pictures: 10,
            class_accuracy: 0.75,
            picture_accuracy: 0.8,
            mean_iou: 0.333_33,
            largest_box_mean_iou: 0.4,
            largest_box_iou_over_half: 0.5,
            box_mse: 0.041_25,
            unknown_class_rows: 1,
            confusion: Confusion {
                labels: ["apple", "cake", "pie"].map(str::to_owned).to_vec(),
                counts: vec![vec![4, 1, 0], vec![0, 3, 2], vec![0, 0, 2]],
            },
        }
    }

    #[test]
    fn people_get_a_table() {
        let text = of("0badcafe", &figures(), &Details::of(&none()));
        let line = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .expect("there")
        };
        assert!(line("model").ends_with(" 0badcafe"));
        assert!(line("mean IoU, rows").ends_with(" 0.3333"));
        assert!(line("rows").ends_with(" 12"));
        assert!(line("average precision at IoU 0.5, 95%").ends_with(" 0.0000 to 0.0000"));
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert!(last[1].starts_with("cake taken for pie ") && last[1].ends_with(" 2"));
        assert!(last[0].starts_with("apple taken for cake "));
    }
}
