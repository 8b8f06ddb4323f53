//! The report: one HTML page with the curves and a table of the epochs, which opens anywhere without a network.

use std::fmt::Write;

use super::curves::{drawn, panel};
use super::history::{Epoch, History};
use super::{MEASURES, Measure};
use crate::draw::DrawError;
use crate::draw::palette::{Palette, hex};
use crate::draw::svg::escaped;

const STYLE: &str = include_str!("report.css");

/// The page.
///
/// # Errors
/// [`DrawError`] when a panel can't be drawn.
pub fn html(history: &History) -> Result<String, DrawError> {
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n<title>Training report</title>\n<style>\n");
    page.push_str(&variables());
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<main>\n<h1>Training report</h1>\n");
    page.push_str(&summary(history));
    page.push_str("<section class=\"panels\">\n");
    for measure in drawn(history) {
        page.push_str(&figure(history, &measure)?);
    }
    page.push_str("</section>\n<h2>Epochs</h2>\n");
    page.push_str(&table(history));
    page.push_str(&runs(history));
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(page)
}

/// The page's colours are those of the curves.
fn variables() -> String {
    let names = |page: Palette| {
        format!(
            "--ground: {}; --raised: {}; --ink: {}; --quiet: {}; --line: {}; --second: {};",
            hex(page.ground),
            hex(page.raised),
            hex(page.ink),
            hex(page.quiet),
            hex(page.line),
            hex(page.second)
        )
    };
    let (light, dark) = (names(Palette::LIGHT), names(Palette::DARK));
    format!(":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n")
}

/// What a person wants first: the best epoch and its figures.
fn summary(history: &History) -> String {
    let Some(best) = history.best() else {
        return format!(
            "<p>{} epochs; no figures of a validation split, so none is the best.</p>\n",
            history.epochs.len()
        );
    };
    let mut figures = String::new();
    for measure in MEASURES {
        if let Some(value) = best.value(measure.validation) {
            let _ = write!(
                figures,
                "<div class=\"figure\"><dt>{}</dt><dd>{value:.4}</dd></div>",
                measure.title
            );
        }
    }
    format!(
        "<p>Best epoch: <strong>{}</strong> of {}, the one with the highest mean of class accuracy and mean IoU on \
         validation; ringed in the curves, marked in the table. There, on validation:</p>\n<dl>{figures}</dl>\n",
        best.number,
        history.epochs.len()
    )
}

/// The panel in both colourings; the page's scheme shows one of them.
fn figure(history: &History, measure: &Measure) -> Result<String, DrawError> {
    let mut figure = String::from("<figure>\n");
    for (scheme, page) in [("light", Palette::LIGHT), ("dark", Palette::DARK)] {
        let svg = panel(history, measure, page)?;
        let svg = svg.replacen(
            "<svg ",
            &format!(
                "<svg class=\"{scheme}\" role=\"img\" aria-label=\"{}\" ",
                measure.title
            ),
            1,
        );
        figure.push_str(&svg);
    }
    let _ = writeln!(
        figure,
        "<figcaption>{}</figcaption>\n</figure>",
        measure.about
    );
    Ok(figure)
}

fn table(history: &History) -> String {
    let best = history.best().map(|epoch| epoch.number);
    let mut table = String::from("<div class=\"scroll\"><table>\n<thead><tr><th>epoch</th>");
    for column in &history.columns {
        let _ = write!(table, "<th>{}</th>", escaped(&heading(column)));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for epoch in &history.epochs {
        let is_best = best == Some(epoch.number);
        let starts = history
            .runs
            .iter()
            .skip(1)
            .any(|run| run.first == epoch.number);
        let class = match (is_best, starts) {
            (true, true) => " class=\"best start\"",
            (true, false) => " class=\"best\"",
            (false, true) => " class=\"start\"",
            (false, false) => "",
        };
        let mark = if is_best {
            " <span class=\"mark\">best</span>"
        } else {
            ""
        };
        let _ = write!(table, "<tr{class}><th>{}{mark}</th>", epoch.number);
        for column in &history.columns {
            let _ = write!(table, "<td>{}</td>", escaped(&cell(epoch, column)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table></div>\n");
    table
}

/// `val_mean_iou` as people write it.
fn heading(column: &str) -> String {
    let words = column.split('_').map(|word| match word {
        "iou" => "IoU",
        "mse" => "MSE",
        "val" => "val.",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Four digits of a measure; anything else as it stands.
fn cell(epoch: &Epoch, column: &str) -> String {
    let measured = |measure: &Measure| measure.training == column || measure.validation == column;
    match epoch.value(column) {
        Some(value) if MEASURES.iter().any(measured) => format!("{value:.4}"),
        _ => epoch.text(column).to_owned(),
    }
}

/// Which file each run came from; a dashed line in the curves is the start of one.
fn runs(history: &History) -> String {
    let mut list = String::from("<p class=\"quiet\">Read from:</p>\n<ul class=\"quiet\">\n");
    for run in &history.runs {
        let file = run.file.display().to_string();
        let _ = writeln!(
            list,
            "<li>{}, from epoch {}</li>",
            escaped(&file),
            run.first
        );
    }
    list.push_str("</ul>\n");
    list
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::{of, run};
    use super::*;

    #[test]
    fn the_page_needs_nothing_but_itself_and_marks_one_epoch() {
        let history = of(&[run(&[0.2, 0.6, 0.4]), run(&[0.5])]).expect("sound");
        let page = html(&history).expect("drawn");
        // Names of XML namespaces are no addresses.
        let page_without_names = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http", "src=", "href=", "@import", "url("] {
            assert!(!page_without_names.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("class=\"mark\"").count(), 1);
        assert_eq!(page.matches("<tr").count(), 1 + 4);
        assert!(page.contains("Best epoch: <strong>2</strong> of 4"));
        assert!(page.contains("<th>val. mean IoU</th>"));
        assert_eq!(page.matches("<svg class=\"light\"").count(), 6);
        assert_eq!(page.matches("<svg class=\"dark\"").count(), 6);
    }

    #[test]
    fn a_text_from_the_file_is_no_markup() {
        let text = "epoch,loss,note\n1,2.0,<script>x</script>\n".to_owned();
        let page = html(&of(&[text]).expect("sound")).expect("drawn");
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(page.contains("none is the best"));
    }
}
