//! Training histories: one row per epoch, of one run or of several that continue each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::METRICS;

const EPOCH_COLUMN: &str = "epoch";

/// The history file in the folder of a run.
const HISTORY_FILE: &str = "history.csv";

/// The epochs of all runs, numbered consecutively.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub runs: Vec<HistoryRun>,
    /// At least one.
    pub epochs: Vec<HistoryEpoch>,
    /// Columns except the epoch, in the order of first occurrence.
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRun {
    pub file: PathBuf,
    /// Number of its first epoch among the epochs of all runs.
    pub first_epoch: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEpoch {
    /// Number among the epochs of all runs, from 1.
    pub number: u32,
    /// Index in [`History::runs`].
    pub run: usize,
    fields: BTreeMap<String, Field>,
}

/// A field of the CSV file, and its value if that is a finite number.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    text: String,
    value: Option<f64>,
}

#[derive(Debug, Error)]
pub enum HistoryError {
    #[error(
        "history {file}: can't be read ({source}); give the folder of a run of `boxcam-train train run`, or its history.csv"
    )]
    Read { file: String, source: csv::Error },
    #[error(
        "history {file}, line 1: has no column {expected} (it has: {found}); is it a history of `boxcam-train train run`?"
    )]
    MissingColumn {
        file: String,
        expected: String,
        /// The columns of the file, separated by commas.
        found: String,
    },
    #[error("history {file}: has no epoch yet; wait until the first is complete")]
    Empty { file: String },
    /// A row has another number of fields than the header, or is not UTF-8.
    #[error("history {file}, line {line}: {message}; correct the row or remove it")]
    InvalidRow {
        file: String,
        /// The line, from 1.
        line: u64,
        message: String,
    },
    #[error("history {file}, line {line}: {column} is \"{value}\", expected {expected}")]
    Value {
        file: String,
        /// The line, from 1.
        line: u64,
        column: String,
        value: String,
        expected: &'static str,
    },
    /// The epochs are not in ascending order.
    #[error(
        "history {file}, line {line}: epoch {epoch} follows epoch {previous}; give runs that continue each other as separate files"
    )]
    Order {
        file: String,
        /// The line, from 1.
        line: u64,
        epoch: u32,
        previous: u32,
    },
}

impl History {
    /// Reads runs that continue each other; each is the folder of a run or its CSV file.
    ///
    /// If the numbers of a run start again, they are offset by the last epoch of the previous run; else they are kept.
    ///
    /// # Errors
    /// [`HistoryError`] of the first invalid file.
    pub fn read(runs: &[PathBuf]) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for run in runs {
            let file = if run.is_dir() {
                run.join(HISTORY_FILE)
            } else {
                run.clone()
            };
            history.add_run(&file)?;
        }
        Ok(history)
    }

    /// The values of a column per epoch; `None` if the field is empty or not a finite number.
    pub fn series<'a>(&'a self, column: &'a str) -> impl Iterator<Item = (u32, Option<f64>)> + 'a {
        let value = move |epoch: &HistoryEpoch| (epoch.number, epoch.value(column));
        self.epochs.iter().map(value)
    }

    /// Whether any epoch has a finite number in the column.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.series(column).any(|(_, value)| value.is_some())
    }

    /// The epoch with the highest mean of validation class accuracy and mean IoU (or the only one of the two that exists);
    /// the first of equals.
    #[must_use]
    pub fn best(&self) -> Option<&HistoryEpoch> {
        let score = |epoch: &HistoryEpoch| {
            let both = ["val_class_accuracy", "val_mean_iou"].map(|column| epoch.value(column));
            let known: Vec<f64> = both.into_iter().flatten().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let ranked = self.epochs.iter().filter_map(|e| Some((e, score(e)?)));
        let best = ranked.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(epoch, _)| epoch)
    }

    fn add_run(&mut self, file: &Path) -> Result<(), HistoryError> {
        let name = file.display().to_string();
        let unreadable = |source| HistoryError::Read {
            file: name.clone(),
            source,
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(file)
            .map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        check_header(&name, &header)?;
        for column in header.iter().filter(|&column| column != EPOCH_COLUMN) {
            if !self.columns.iter().any(|known| known == column) {
                self.columns.push(column.to_owned());
            }
        }
        let mut last = None;
        let mut offset = None;
        for record in reader.records() {
            let row = HistoryRow::new(&name, &header, record)?;
            let epoch = row.epoch(last)?;
            let previous = self.epochs.last().map_or(0, |epoch| epoch.number);
            let offset = *offset.get_or_insert(if epoch > previous { 0 } else { previous });
            if last.is_none() {
                self.runs.push(HistoryRun {
                    file: file.to_owned(),
                    first_epoch: offset + epoch,
                });
            }
            self.epochs.push(HistoryEpoch {
                number: offset + epoch,
                run: self.runs.len() - 1,
                fields: row.fields()?,
            });
            last = Some(epoch);
        }
        match last {
            Some(_) => Ok(()),
            None => Err(HistoryError::Empty { file: name }),
        }
    }
}

impl HistoryEpoch {
    /// The value in a column, if it is a finite number.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<f64> {
        self.fields.get(column)?.value
    }

    /// The text in a column; empty if its run lacks the column.
    #[must_use]
    pub fn text(&self, column: &str) -> &str {
        self.fields.get(column).map_or("", |field| &field.text)
    }
}

/// Whether the column belongs to a metric.
fn is_metric(column: &str) -> bool {
    METRICS
        .iter()
        .any(|metric| metric.training == column || metric.validation == column)
}

fn check_header(file: &str, header: &csv::StringRecord) -> Result<(), HistoryError> {
    let missing = |expected: String| HistoryError::MissingColumn {
        file: file.to_owned(),
        expected,
        found: header.iter().collect::<Vec<_>>().join(", "),
    };
    if !header.iter().any(|column| column == EPOCH_COLUMN) {
        return Err(missing(format!("\"{EPOCH_COLUMN}\"")));
    }
    if !header.iter().any(is_metric) {
        let known = METRICS.map(|metric| format!("\"{}\"", metric.training));
        return Err(missing(known.join(" or ")));
    }
    Ok(())
}

/// A row, with the file and line for error messages.
struct HistoryRow<'a> {
    file: &'a str,
    header: &'a csv::StringRecord,
    line: u64,
    record: csv::StringRecord,
}

impl<'a> HistoryRow<'a> {
    fn new(
        file: &'a str,
        header: &'a csv::StringRecord,
        record: csv::Result<csv::StringRecord>,
    ) -> Result<Self, HistoryError> {
        match record {
            Ok(record) => Ok(Self {
                file,
                header,
                line: record.position().map_or(0, csv::Position::line),
                record,
            }),
            Err(error) => Err(HistoryError::InvalidRow {
                file: file.to_owned(),
                line: error.position().map_or(0, csv::Position::line),
                message: match error.kind() {
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    } => format!("has {len} fields, the header has {expected_len}"),
                    _ => error.to_string(),
                },
            }),
        }
    }

    fn epoch(&self, previous: Option<u32>) -> Result<u32, HistoryError> {
        let index = self.header.iter().position(|column| column == EPOCH_COLUMN);
        let text = index.and_then(|index| self.record.get(index)).unwrap_or("");
        let epoch = match text.parse() {
            Ok(epoch) if epoch > 0 => epoch,
            _ => return Err(self.invalid_value(EPOCH_COLUMN, text, "a whole number from 1")),
        };
        match previous {
            Some(previous) if epoch <= previous => Err(HistoryError::Order {
                file: self.file.to_owned(),
                line: self.line,
                epoch,
                previous,
            }),
            _ => Ok(epoch),
        }
    }

    /// NaN and infinities are valid: a diverged training writes them. They become gaps in the curves.
    fn fields(&self) -> Result<BTreeMap<String, Field>, HistoryError> {
        let pairs = self.header.iter().zip(self.record.iter());
        pairs
            .map(|(column, text)| {
                let value = text.parse::<f64>().ok();
                if value.is_none() && !text.is_empty() && is_metric(column) {
                    return Err(self.invalid_value(column, text, "a number, or an empty field"));
                }
                let value = value.filter(|value| value.is_finite());
                let text = text.to_owned();
                Ok((column.to_owned(), Field { text, value }))
            })
            .collect()
    }

    fn invalid_value(&self, column: &str, value: &str, expected: &'static str) -> HistoryError {
        HistoryError::Value {
            file: self.file.to_owned(),
            line: self.line,
            column: column.to_owned(),
            value: value.to_owned(),
            expected,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const HEADER: &str = "epoch,loss,class_loss,box_loss,class_accuracy,mean_iou,val_class_loss,\
                      val_box_mse,val_class_accuracy,val_mean_iou";

    /// The history of runs with these CSV texts.
    pub(in crate::plot) fn history_of(texts: &[String]) -> Result<History, HistoryError> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let run = folder.path().join(format!("run{number}"));
            std::fs::create_dir(&run).expect("made");
            std::fs::write(run.join(HISTORY_FILE), text).expect("written");
            files.push(run);
        }
        History::read(&files)
    }

    /// The CSV text of a run with these validation accuracies per epoch.
    pub(in crate::plot) fn run_csv(accuracies: &[f64]) -> String {
        let row = |(index, accuracy): (usize, &f64)| {
            let loss = 3.0 / (1.0 + index as f64);
            format!(
                "\n{},{loss},{},{},0.9,0.5,{loss},0.04,{accuracy},0.4",
                index + 1,
                loss / 2.0,
                loss / 2.0
            )
        };
        let rows = accuracies.iter().enumerate().map(row);
        format!("{HEADER}{}\n", rows.collect::<String>())
    }

    fn message_for(text: &str) -> String {
        history_of(&[text.to_owned()])
            .expect_err("invalid")
            .to_string()
    }

    #[test]
    fn epochs_are_numbered_consecutively_across_runs() {
        let again = history_of(&[run_csv(&[0.1, 0.2]), run_csv(&[0.3, 0.4, 0.35])]).expect("valid");
        let numbers: Vec<u32> = again.epochs.iter().map(|epoch| epoch.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        let firsts: Vec<u32> = again.runs.iter().map(|run| run.first_epoch).collect();
        assert_eq!(firsts, [1, 3]);
        assert_eq!(again.best().map(|epoch| epoch.number), Some(4));
        let on = "epoch,loss,lr\n3,0.5,1e-4\n4,0.4,1e-5\n".to_owned();
        let on = history_of(&[run_csv(&[0.1, 0.2]), on]).expect("valid");
        assert_eq!(on.epochs.last().map(|epoch| epoch.number), Some(4));
    }

    #[test]
    fn unknown_columns_are_kept_and_invalid_values_are_gaps() {
        let text = "epoch,rate,loss,note\n1,1e-3,2.0,first\n2,1e-4,NaN,\n3,1e-5,,last\n";
        let history = history_of(&[text.to_owned()]).expect("valid");
        assert_eq!(history.columns, ["rate", "loss", "note"]);
        let losses: Vec<_> = history.series("loss").collect();
        assert_eq!(losses, [(1, Some(2.0)), (2, None), (3, None)]);
        assert_eq!(history.epochs[0].text("note"), "first");
        assert_eq!(history.epochs[0].text("val_mean_iou"), "");
        assert!(history.has("loss") && !history.has("note") && history.best().is_none());
    }

    #[test]
    fn errors_name_the_file_and_line() {
        let cases = [
            (
                "epoch,loss\n1,2.0\n2,soup\n",
                "line 3: loss is \"soup\", expected a number",
            ),
            (
                "epoch,loss\n1,2.0,9\n",
                "line 2: has 3 fields, the header has 2",
            ),
            (
                "epoch,loss\none,2.0\n",
                "line 2: epoch is \"one\", expected a whole number",
            ),
            ("epoch,loss\n0,2.0\n", "line 2: epoch is \"0\""),
            (
                "epoch,loss\n1,2.0\n1,2.0\n",
                "line 3: epoch 1 follows epoch 1",
            ),
            (
                "loss\n1\n",
                "line 1: has no column \"epoch\" (it has: loss)",
            ),
            ("epoch,rate\n1,1\n", "line 1: has no column \"loss\" or"),
            ("epoch,loss\n", "has no epoch yet"),
        ];
        for (text, expected) in cases {
            let message = message_for(text);
            assert!(
                message.contains(expected) && message.contains(HISTORY_FILE),
                "{text}: {message}"
            );
        }
        let nowhere = History::read(&[PathBuf::from("nowhere")]).expect_err("missing");
        assert!(
            nowhere
                .to_string()
                .contains("history nowhere: can't be read")
        );
    }
}
