//! What can be wrong with a history.

use thiserror::Error;

/// A history that can't be plotted.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file can't be read.
    #[error(
        "history {file}: can't be read ({source}); give the folder of a run of `boxcam-train train run`, or its history.csv"
    )]
    Read {
        /// The file.
        file: String,
        /// The reader's words.
        source: csv::Error,
    },
    /// A column that must be there is missing.
    #[error(
        "history {file}, line 1: has no column {expected} (it has: {found}); is it a history of `boxcam-train train run`?"
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
