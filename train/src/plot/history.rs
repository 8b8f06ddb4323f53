//! Histories: one row an epoch, of one run or of several that continue each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::MEASURES;

mod error;

pub use error::HistoryError;

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
pub(super) mod tests;
