//! The report: one self-contained HTML page with the curves and a table of the epochs.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::curves::{available_metrics, panel};
use super::history::{History, HistoryEpoch};
use super::{METRICS, Metric};
use crate::confidence::ConfidenceReport;
use crate::draw::DrawError;
use crate::draw::theme::{Theme, hex};
use crate::review::Review;

const STYLE: &str = include_str!("training_report.css");

/// # Errors
/// [`DrawError`] if a panel cannot be drawn.
pub fn render(history: &History, of_fit: &OfFit) -> Result<String, DrawError> {
    let panels = available_metrics(history)
        .iter()
        .map(|metric| figure(history, metric))
        .collect::<Result<Vec<Markup>, DrawError>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Training report" }
                style { (PreEscaped(color_variables())) (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Training report" }
                    (summary(history))
                    (sentences(of_fit))
                    section.panels {
                        @for panel in &panels { (panel) }
                    }
                    h2 { "Epochs" }
                    (table(history))
                    (runs(history))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// What `fit` has written beside the history of the last run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OfFit {
    pub review: Option<Review>,
    /// How the confidence was calibrated and the thresholds were chosen.
    pub confidence: Option<ConfidenceReport>,
}

/// The review and the choice of the thresholds, as lists.
fn sentences(of_fit: &OfFit) -> Markup {
    let mut parts: Vec<(&str, Vec<String>)> = Vec::new();
    if let Some(review) = &of_fit.review {
        let owned = review.parts().into_iter();
        parts.extend(owned.map(|(heading, lines)| (heading, lines.to_vec())));
    }
    let confidence = of_fit.confidence.as_ref();
    parts.extend(confidence.map(|report| ("Confidence and thresholds", report.sentences())));
    html! {
        @for (heading, lines) in &parts {
            h2 { (heading) }
            ul { @for line in lines { li { (line) "." } } }
        }
    }
}

/// The colors of the curves as CSS variables.
fn color_variables() -> String {
    let variables = |theme: Theme| {
        format!(
            "--background: {}; --surface: {}; --text: {}; --muted: {}; --grid: {}; --second: {};",
            hex(theme.background),
            hex(theme.surface),
            hex(theme.text),
            hex(theme.muted),
            hex(theme.grid),
            hex(theme.second)
        )
    };
    let (light, dark) = (variables(Theme::LIGHT), variables(Theme::DARK));
    format!(":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n")
}

/// The best epoch and its validation metrics.
fn summary(history: &History) -> Markup {
    let count = history.epochs.len();
    let Some(best) = history.best() else {
        return html! {
            p { (count) " epochs; the best is unknown, since there are no figures of a validation split." }
        };
    };
    html! {
        p {
            "Best epoch: " strong { (best.number) } " of " (count) ", the one with the highest mean of class accuracy \
             and mean IoU on validation. It is ringed in the curves and marked in the table. Its validation figures:"
        }
        dl {
            @for metric in METRICS {
                @if let Some(value) = best.value(metric.validation) {
                    div.figure { dt { (metric.title) } dd { (format!("{value:.4}")) } }
                }
            }
        }
    }
}

/// A panel in light and dark colors; the style sheet shows the one for the reader's color scheme.
fn figure(history: &History, metric: &Metric) -> Result<Markup, DrawError> {
    let colored = |scheme: &str, theme: Theme| {
        let attributes = format!(
            "<svg class=\"{scheme}\" role=\"img\" aria-label=\"{}\" ",
            metric.title
        );
        panel(history, metric, theme).map(|svg| svg.replacen("<svg ", &attributes, 1))
    };
    let light = colored("light", Theme::LIGHT)?;
    let dark = colored("dark", Theme::DARK)?;
    Ok(html! {
        figure {
            (PreEscaped(light))
            (PreEscaped(dark))
            figcaption { (metric.description) }
        }
    })
}

fn table(history: &History) -> Markup {
    let best = history.best().map(|epoch| epoch.number);
    // A model of one box has no figures of several.
    let has_text = |column: &&String| history.epochs.iter().any(|e| !e.text(column).is_empty());
    let columns: Vec<&String> = history.columns.iter().filter(has_text).collect();
    let is_start = |epoch: &HistoryEpoch| {
        let mut later_runs = history.runs.iter().skip(1);
        later_runs.any(|run| run.first_epoch == epoch.number)
    };
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th { "epoch" }
                        @for column in &columns { th { (heading(column)) } }
                    }
                }
                tbody {
                    @for epoch in &history.epochs {
                        @let is_best = best == Some(epoch.number);
                        tr.best[is_best].start[is_start(epoch)] {
                            th {
                                (epoch.number)
                                @if is_best { " " span.mark { "best" } }
                            }
                            @for column in &columns { td { (cell(epoch, column)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Column heading: `val_mean_iou` becomes `val. mean IoU`.
fn heading(column: &str) -> String {
    let words = column.split('_').map(|word| match word {
        "iou" => "IoU",
        "mse" => "MSE",
        "ap50" => "AP50",
        "val" => "val.",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Metrics have four decimals; other fields are unchanged.
fn cell(epoch: &HistoryEpoch, column: &str) -> String {
    let is_metric = |metric: &Metric| metric.training == column || metric.validation == column;
    match epoch.value(column) {
        Some(value) if METRICS.iter().any(is_metric) => format!("{value:.4}"),
        _ => epoch.text(column).to_owned(),
    }
}

/// The file of each run; a dashed line in the curves marks the start of a run.
fn runs(history: &History) -> Markup {
    html! {
        p.muted { "Read from:" }
        ul.muted {
            @for run in &history.runs {
                li { (run.file.display()) ", from epoch " (run.first_epoch) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::{history_of, run_csv};
    use super::*;

    #[test]
    fn the_page_is_self_contained_and_marks_one_epoch() {
        let history = history_of(&[run_csv(&[0.2, 0.6, 0.4]), run_csv(&[0.5])]).expect("valid");
        let page = render(&history, &OfFit::default()).expect("drawn");
        // Names of XML namespaces are not fetched.
        let page_without_namespaces = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http", "src=", "href=", "@import", "url("] {
            assert!(!page_without_namespaces.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("class=\"mark\"").count(), 1);
        assert_eq!(page.matches("<tr").count(), 1 + 4);
        assert!(page.contains("Best epoch: <strong>2</strong> of 4"));
        assert!(page.contains("<th>val. mean IoU</th>"));
        assert_eq!(page.matches("<svg class=\"light\"").count(), 6);
        assert_eq!(page.matches("<svg class=\"dark\"").count(), 6);
    }

    #[test]
    fn the_objects_have_a_curve_and_a_column_if_a_model_has_any() {
        let of_objects = "epoch,loss,object_loss,val_mean_iou,val_objects_ap50\n1,2.0,1.0,0.4,0.31\n2,1.0,0.9,0.5,0.42\n";
        let page = render(
            &history_of(&[of_objects.to_owned()]).expect("valid"),
            &OfFit::default(),
        )
        .expect("drawn");
        assert!(page.contains("aria-label=\"objects, AP50\"") && page.contains("<td>0.4200</td>"));
        assert!(
            page.contains("<th>val. objects AP50</th>") && page.contains("<th>object loss</th>")
        );
        let of_one_box = "epoch,loss,val_mean_iou,val_objects_ap50\n1,2.0,0.4,\n2,1.0,0.5,\n";
        let page = render(
            &history_of(&[of_one_box.to_owned()]).expect("valid"),
            &OfFit::default(),
        )
        .expect("drawn");
        assert!(!page.contains("AP50"));
    }

    #[test]
    fn what_fit_has_written_beside_the_history_is_shown() {
        let history = history_of(&[run_csv(&[0.2, 0.6])]).expect("valid");
        let of_fit = OfFit {
            review: Some(Review {
                works: vec!["recognized well: mug (9 of 9)".to_owned()],
                fails: Vec::new(),
                next: vec!["<mug> from farther away".to_owned()],
                wrong: Vec::new(),
            }),
            confidence: None,
        };
        let page = render(&history, &of_fit).expect("drawn");
        for part in [
            "<h2>What works</h2><ul><li>recognized well: mug (9 of 9).</li></ul>",
            "<li>&lt;mug&gt; from farther away.</li>",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("What does not"), "nothing to say");
    }

    #[test]
    fn text_from_the_file_is_escaped() {
        let text = "epoch,loss,note\n1,2.0,<script>x</script>\n".to_owned();
        let page = render(&history_of(&[text]).expect("valid"), &OfFit::default()).expect("drawn");
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(page.contains("the best is unknown"));
    }
}
