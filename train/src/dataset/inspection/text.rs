//! An inspection in words and tables, for a person at a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Class, Count, Finding, Inspection, Spread};

/// How many findings of a kind are told one by one.
const SHOWN: usize = 5;

/// Width of the longest bar of a histogram, in characters.
const BAR: usize = 40;

const FINDINGS: [(Finding, &str); 9] = [
    (
        Finding::Leak,
        "the same picture in two splits (a leak: it is learnt from and judged by)",
    ),
    (
        Finding::DuplicatePicture,
        "the same picture twice in one split",
    ),
    (Finding::Unreadable, "pictures that can't be read"),
    (Finding::Fault, "annotations that were passed over"),
    (Finding::DuplicateRow, "rows that are there twice"),
    (
        Finding::DoubleBox,
        "boxes of one class nearly on top of each other (IoU over 0.9)",
    ),
    (
        Finding::TinyBox,
        "tiny boxes (a side below 1/32 of the picture's)",
    ),
    (
        Finding::OtherClass,
        "rows that name another class than the folder",
    ),
    (Finding::WithoutRows, "pictures without rows"),
];

/// The whole inspection; `all` tells every finding, else the first few of each kind.
#[must_use]
pub fn text(inspection: &Inspection, all: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "format: {}", inspection.format.name());
    classes(&mut out, inspection);
    histogram(&mut out, inspection);
    spreads(&mut out, inspection);
    findings(&mut out, inspection, all);
    for note in &inspection.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

fn classes(out: &mut String, inspection: &Inspection) {
    let splits: Vec<&String> = inspection.splits.keys().collect();
    let names = inspection
        .classes
        .iter()
        .map(|class| class.name.chars().count());
    let width = names.max().unwrap_or(0).max(12);
    let _ = write!(out, "\n{:width$}", "class");
    for split in &splits {
        let _ = write!(out, "  {:>18} {:>8}", format!("{split} pictures"), "rows");
    }
    out.push('\n');
    let mut line = |name: &str, counts: &BTreeMap<String, Count>| {
        let _ = write!(out, "{name:width$}");
        for split in &splits {
            let count = counts.get(*split).copied().unwrap_or_default();
            let _ = write!(out, "  {:>18} {:>8}", count.pictures, count.rows);
        }
        out.push('\n');
    };
    for Class { name, splits } in &inspection.classes {
        line(name, splits);
    }
    line("all", &inspection.splits);
}

fn histogram(out: &mut String, inspection: &Inspection) {
    let most = inspection
        .rows_per_picture
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        out,
        "\nrows in a picture (the most: {})",
        inspection.most_rows
    );
    for (span, count) in &inspection.rows_per_picture {
        let length = (count * BAR).div_ceil(most.max(1));
        let _ = writeln!(out, "{span:>8} {count:>8} {}", "#".repeat(length));
    }
}

fn spreads(out: &mut String, inspection: &Inspection) {
    let _ = writeln!(
        out,
        "\n{:28}{:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "least", "5%", "25%", "median", "75%", "95%", "greatest"
    );
    let mut line = |name: &str, spread: Option<Spread>, digits: usize| {
        if let Some(Spread(values)) = spread {
            let _ = write!(out, "{name:28}");
            for value in values {
                let _ = write!(out, "{value:>8.digits$} ");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
    };
    line("width of a picture, pixels", inspection.width, 0);
    line("height of a picture, pixels", inspection.height, 0);
    line("box, share of its picture", inspection.box_area, 4);
    line("box, width by height", inspection.box_shape, 2);
}

fn findings(out: &mut String, inspection: &Inspection, all: bool) {
    let _ = writeln!(out, "\nto look at");
    for (finding, words) in FINDINGS {
        let found = inspection
            .findings
            .get(&finding)
            .map_or(&[][..], Vec::as_slice);
        let _ = writeln!(out, "{:>8}  {words}", found.len());
        let shown = if all { found.len() } else { SHOWN };
        for one in &found[..shown.min(found.len())] {
            let _ = writeln!(out, "            {}", one.what);
        }
        if found.len() > shown {
            let _ = writeln!(
                out,
                "            and {} more (--all tells them)",
                found.len() - shown
            );
        }
    }
}
