//! Failed writes of a sink that continues after them: counted, reported when they begin and when they end, and
//! retried after a delay.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::SinkError;
use crate::{info, warn};

/// Time from a failed write to the next attempt.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Counts what is lost and reports it once on standard error, not for each write to a full disk.
#[derive(Debug)]
pub(super) struct WriteFailureLog {
    /// The file or folder, for messages.
    name: PathBuf,
    /// What is lost, for messages: lines or snapshots.
    items: &'static str,
    outage: Option<Outage>,
}

/// Losses since the last successful write.
#[derive(Debug)]
struct Outage {
    lost: u64,
    /// The first error, which is the cause of the others.
    error: String,
    /// The time of the next attempt; `None` to try at once.
    retry_at: Option<Instant>,
}

impl WriteFailureLog {
    pub(super) fn new(name: &Path, items: &'static str) -> Self {
        Self {
            name: name.into(),
            items,
            outage: None,
        }
    }

    /// Whether no retry delay is running.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let retry_at = self.outage.as_ref().and_then(|outage| outage.retry_at);
        retry_at.is_none_or(|retry_at| now >= retry_at)
    }

    /// Counts an item dropped during the retry delay.
    pub(super) fn record_drop(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.lost += 1;
        }
    }

    /// Counts an item whose write failed, and starts the retry delay.
    pub(super) fn record_failure(&mut self, error: io::Error, now: Instant) {
        let message = error.to_string();
        let is_new = self.outage.as_ref().is_none_or(|o| o.retry_at.is_none());
        if is_new {
            let error = SinkError::Write {
                path: self.name.clone(),
                source: error,
            };
            let items = self.items;
            warn!("{error}; {items} will be dropped until it works again");
        }
        let outage = self.outage_or_new(message);
        outage.lost += 1;
        outage.retry_at = Some(now + RETRY_DELAY);
    }

    /// Counts an item that an earlier run lost, without a message and without a delay.
    pub(super) fn record_earlier_loss(&mut self, message: String) {
        self.outage_or_new(message).lost += 1;
    }

    fn outage_or_new(&mut self, error: String) -> &mut Outage {
        self.outage.get_or_insert(Outage {
            lost: 0,
            error,
            retry_at: None,
        })
    }

    /// The number of items lost since the last successful write, and the cause.
    pub(super) fn lost(&self) -> Option<(u64, &str)> {
        let outage = self.outage.as_ref()?;
        Some((outage.lost, &outage.error))
    }

    /// Ends the outage, if there is one.
    pub(super) fn record_success(&mut self) {
        let Some(outage) = self.outage.take() else {
            return;
        };
        if outage.retry_at.is_some() {
            let (name, items, lost) = (self.name.display(), self.items, outage.lost);
            info!("{name}: can be written again; {lost} {items} were lost");
        }
    }

    /// Reports what is still lost at the end of the run.
    pub(super) fn finish(&mut self) {
        if let Some(outage) = self.outage.take() {
            let (name, items, lost) = (self.name.display(), self.items, outage.lost);
            warn!("{name}: {lost} {items} were lost at the end");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn losses_are_counted_and_retries_are_delayed() {
        let mut failures = WriteFailureLog::new(Path::new("out.jsonl"), "lines");
        let start = Instant::now();
        assert!(failures.may_try(start) && failures.lost().is_none());
        failures.record_failure(ErrorKind::StorageFull.into(), start);
        assert!(!failures.may_try(start + RETRY_DELAY / 2));
        assert!(failures.may_try(start + RETRY_DELAY));
        failures.record_drop();
        failures.record_failure(ErrorKind::Other.into(), start + RETRY_DELAY);
        assert!(!failures.may_try(start + RETRY_DELAY));
        let first = io::Error::from(ErrorKind::StorageFull).to_string();
        assert_eq!(failures.lost(), Some((3, first.as_str())));
        failures.record_success();
        assert!(failures.lost().is_none() && failures.may_try(start));
    }

    #[test]
    fn losses_of_an_earlier_run_cause_no_delay() {
        let mut failures = WriteFailureLog::new(Path::new("out.jsonl"), "lines");
        let start = Instant::now();
        failures.record_earlier_loss("truncated".to_owned());
        assert!(failures.may_try(start));
        assert_eq!(failures.lost(), Some((1, "truncated")));
        failures.record_failure(ErrorKind::StorageFull.into(), start);
        assert!(!failures.may_try(start));
        assert_eq!(failures.lost(), Some((2, "truncated")));
    }
}
