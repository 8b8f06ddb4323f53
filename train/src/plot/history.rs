//! Histories: one row an epoch, of one run or of several that continue each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::MEASURES;

/// The column that numbers the epochs.
const EPOCH: &str = "epoch";

/// Name of the file in the folder of a run.
const FILE: &str = "history.csv";

/// Epochs in their order, numbered through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The runs, in the order given.
    pub runs: Vec<Run>,
    /// At least one.
    pub epochs: Vec<Epoch>,
    /// Columns besides the epoch, in the order of the first file that has them.
    pub columns: Vec<String>,
}

/// One run of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its file.
    pub file: PathBuf,
    /// Number of its first epoch among all.
    pub first: u32,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Number among all epochs of all runs.
    pub number: u32,
    /// Index of its run.
    pub run: usize,
    fields: BTreeMap<String, Field>,
}

/// A field as it stands, and its number.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    text: String,
    value: Option<f64>,
}

/// A history that can't be plotted.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file can't be read.
    #[error(
        "history {file}: can't be read ({source}); give the folder of a run of `boxcam-train train`, or its history.csv"
    )]
    Read {
        /// The file.
        file: String,
        /// The reader's words.
        source: csv::Error,
    },
    /// A column that must be there is missing.
    #[error(
        "history {file}, line 1: has no column {expected} (it has: {found}); is it a history of `boxcam-train train`?"
    )]
    MissingColumn {
        /// The file.
        file: String,
        /// What was looked for.
        expected: String,
        /// The columns there are.
        found: String,
    },
    /// There is no epoch in it.
    #[error("history {file}: has no epoch yet; wait until the first is done")]
    Empty {
        /// The file.
        file: String,
    },
    /// A row has another number of fields than the header, or is no text.
    #[error("history {file}, line {line}: {message}; mend the row or remove it")]
    Form {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A field is no number.
    #[error("history {file}, line {line}: {column} is \"{value}\", expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The field.
        value: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// An epoch comes after a later one.
    #[error(
        "history {file}, line {line}: epoch {epoch} follows on epoch {before}; give runs that continue each other as separate files"
    )]
    Order {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Its epoch.
        epoch: u32,
        /// The one before.
        before: u32,
    },
}

impl History {
    /// Reads runs that continue each other; each is the folder of a run or its CSV.
    ///
    /// A run whose numbers begin anew is counted on from the run before; one whose numbers go on keeps them.
    ///
    /// # Errors
    /// [`HistoryError`], the first.
    pub fn read(runs: &[PathBuf]) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for run in runs {
            let file = if run.is_dir() {
                run.join(FILE)
            } else {
                run.clone()
            };
            history.add(&file)?;
        }
        Ok(history)
    }

    /// What an epoch has in the column of a measure; `None` where it has nothing or no finite number.
    pub fn series<'a>(&'a self, column: &'a str) -> impl Iterator<Item = (u32, Option<f64>)> + 'a {
        let value = move |epoch: &Epoch| (epoch.number, epoch.value(column));
        self.epochs.iter().map(value)
    }

    /// Whether any epoch has a number in that column.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.series(column).any(|(_, value)| value.is_some())
    }

    /// The epoch with the highest mean of class accuracy and mean IoU on validation, the first of equals; of one of
    /// them where there is no other.
    #[must_use]
    pub fn best(&self) -> Option<&Epoch> {
        let rank = |epoch: &Epoch| {
            let both = ["val_class_accuracy", "val_mean_iou"].map(|column| epoch.value(column));
            let known: Vec<f64> = both.into_iter().flatten().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let ranked = self.epochs.iter().filter_map(|e| Some((e, rank(e)?)));
        let best = ranked.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(epoch, _)| epoch)
    }

    fn add(&mut self, file: &Path) -> Result<(), HistoryError> {
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
        for column in header.iter().filter(|&column| column != EPOCH) {
            if !self.columns.iter().any(|known| known == column) {
                self.columns.push(column.to_owned());
            }
        }
        let mut last = None;
        let mut offset = None;
        for record in reader.records() {
            let row = Row::new(&name, &header, record)?;
            let epoch = row.epoch(last)?;
            let before = self.epochs.last().map_or(0, |epoch| epoch.number);
            let offset = *offset.get_or_insert(if epoch > before { 0 } else { before });
            if last.is_none() {
                self.runs.push(Run {
                    file: file.to_owned(),
                    first: offset + epoch,
                });
            }
            self.epochs.push(Epoch {
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

impl Epoch {
    /// The finite number in a column.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<f64> {
        self.fields.get(column)?.value
    }

    /// What stands in a column; nothing where its run has no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> &str {
        self.fields.get(column).map_or("", |field| &field.text)
    }
}

/// Whether a measure is drawn from that column.
fn is_measured(column: &str) -> bool {
    MEASURES
        .iter()
        .any(|measure| measure.training == column || measure.validation == column)
}

fn check_header(file: &str, header: &csv::StringRecord) -> Result<(), HistoryError> {
    let missing = |expected: String| HistoryError::MissingColumn {
        file: file.to_owned(),
        expected,
        found: header.iter().collect::<Vec<_>>().join(", "),
    };
    if !header.iter().any(|column| column == EPOCH) {
        return Err(missing(format!("\"{EPOCH}\"")));
    }
    if !header.iter().any(is_measured) {
        let known = MEASURES.map(|measure| format!("\"{}\"", measure.training));
        return Err(missing(known.join(" or ")));
    }
    Ok(())
}

/// A row with what errors name.
struct Row<'a> {
    file: &'a str,
    header: &'a csv::StringRecord,
    line: u64,
    record: csv::StringRecord,
}

impl<'a> Row<'a> {
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
            Err(error) => Err(HistoryError::Form {
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

    fn epoch(&self, before: Option<u32>) -> Result<u32, HistoryError> {
        let place = self.header.iter().position(|column| column == EPOCH);
        let text = place.and_then(|place| self.record.get(place)).unwrap_or("");
        let epoch = match text.parse() {
            Ok(epoch) if epoch > 0 => epoch,
            _ => return Err(self.fault(EPOCH, text, "a whole number from 1")),
        };
        match before {
            Some(before) if epoch <= before => Err(HistoryError::Order {
                file: self.file.to_owned(),
                line: self.line,
                epoch,
                before,
            }),
            _ => Ok(epoch),
        }
    }

    /// A diverged training writes NaN and inf: gaps in the curve, and no fault of the file.
    fn fields(&self) -> Result<BTreeMap<String, Field>, HistoryError> {
        let pairs = self.header.iter().zip(self.record.iter());
        pairs
            .map(|(column, text)| {
                let value = text.parse::<f64>().ok();
                if value.is_none() && !text.is_empty() && is_measured(column) {
                    return Err(self.fault(column, text, "a number, or nothing"));
                }
                let value = value.filter(|value| value.is_finite());
                let text = text.to_owned();
                Ok((column.to_owned(), Field { text, value }))
            })
            .collect()
    }

    fn fault(&self, column: &str, value: &str, expected: &'static str) -> HistoryError {
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

    /// A history of files with these texts.
    pub(in crate::plot) fn of(texts: &[String]) -> Result<History, HistoryError> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let run = folder.path().join(format!("run{number}"));
            std::fs::create_dir(&run).expect("made");
            std::fs::write(run.join(FILE), text).expect("written");
            files.push(run);
        }
        History::read(&files)
    }

    /// A run as `train` writes it, with that validation accuracy in each epoch.
    pub(in crate::plot) fn run(accuracies: &[f64]) -> String {
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

    fn fault(text: &str) -> String {
        of(&[text.to_owned()]).expect_err("broken").to_string()
    }

    #[test]
    fn runs_that_begin_anew_are_counted_on_and_those_that_go_on_are_not() {
        let again = of(&[run(&[0.1, 0.2]), run(&[0.3, 0.4, 0.35])]).expect("sound");
        let numbers: Vec<u32> = again.epochs.iter().map(|epoch| epoch.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        let firsts: Vec<u32> = again.runs.iter().map(|run| run.first).collect();
        assert_eq!(firsts, [1, 3]);
        assert_eq!(again.best().map(|epoch| epoch.number), Some(4));
        let on = "epoch,loss,lr\n3,0.5,1e-4\n4,0.4,1e-5\n".to_owned();
        let on = of(&[run(&[0.1, 0.2]), on]).expect("sound");
        assert_eq!(on.epochs.last().map(|epoch| epoch.number), Some(4));
    }

    #[test]
    fn columns_unknown_here_are_kept_as_they_stand_and_missing_ones_are_gaps() {
        let text = "epoch,rate,loss,note\n1,1e-3,2.0,first\n2,1e-4,NaN,\n3,1e-5,,last\n";
        let history = of(&[text.to_owned()]).expect("sound");
        assert_eq!(history.columns, ["rate", "loss", "note"]);
        let losses: Vec<_> = history.series("loss").collect();
        assert_eq!(losses, [(1, Some(2.0)), (2, None), (3, None)]);
        assert_eq!(history.epochs[0].text("note"), "first");
        assert_eq!(history.epochs[0].text("val_mean_iou"), "");
        assert!(history.has("loss") && !history.has("note") && history.best().is_none());
    }

    #[test]
    fn a_broken_history_is_named_with_its_line() {
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
                "line 3: epoch 1 follows on epoch 1",
            ),
            (
                "loss\n1\n",
                "line 1: has no column \"epoch\" (it has: loss)",
            ),
            ("epoch,rate\n1,1\n", "line 1: has no column \"loss\" or"),
            ("epoch,loss\n", "has no epoch yet"),
        ];
        for (text, expected) in cases {
            let said = fault(text);
            assert!(
                said.contains(expected) && said.contains(FILE),
                "{text}: {said}"
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
