//! What could not be written: counted, said once when it begins and once when it is over, tried again with
//! pauses.
//!
//! It is for sinks that go on without what they lose. A disk that is full fails each write, and nobody wants to
//! read of each.

use crate::warn;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::SinkError;

/// Time from a write that failed to the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps count of what is lost in one place.
#[derive(Debug)]
pub(super) struct Loss {
    /// What messages call the place.
    name: PathBuf,
    /// What is lost there, for messages: lines or snapshots.
    what: &'static str,
    ongoing: Option<Ongoing>,
}

#[derive(Debug)]
struct Ongoing {
    count: u64,
    /// The first error, which is the cause of the others.
    error: String,
    /// When to try again; `None` where nothing keeps from trying at once.
    retry_at: Option<Instant>,
}

impl Loss {
    pub(super) fn new(name: &Path, what: &'static str) -> Self {
        Self {
            name: name.into(),
            what,
            ongoing: None,
        }
    }

    /// Whether it is time to try a write.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let retry_at = self.ongoing.as_ref().and_then(|loss| loss.retry_at);
        retry_at.is_none_or(|retry_at| now >= retry_at)
    }

    /// Counts one that was not even tried.
    pub(super) fn pass(&mut self) {
        if let Some(loss) = &mut self.ongoing {
            loss.count += 1;
        }
    }

    /// Counts one that failed.
    pub(super) fn failed(&mut self, error: io::Error, now: Instant) {
        let message = error.to_string();
        let is_new = self.ongoing.as_ref().is_none_or(|l| l.retry_at.is_none());
        if is_new {
            let error = SinkError::Write {
                path: self.name.clone(),
                source: error,
            };
            let what = self.what;
            warn!("{error}; until then {what} are lost, and counted");
        }
        let loss = self.ongoing_or(message);
        loss.count += 1;
        loss.retry_at = Some(now + PAUSE);
    }

    /// Counts one that an earlier run lost; what there is to say has been said.
    pub(super) fn found(&mut self, message: String) {
        self.ongoing_or(message).count += 1;
    }

    fn ongoing_or(&mut self, error: String) -> &mut Ongoing {
        self.ongoing.get_or_insert(Ongoing {
            count: 0,
            error,
            retry_at: None,
        })
    }

    /// How many are lost since the last that was not, and why, if any are.
    pub(super) fn so_far(&self) -> Option<(u64, &str)> {
        let loss = self.ongoing.as_ref()?;
        Some((loss.count, &loss.error))
    }

    /// A write went well.
    pub(super) fn over(&mut self) {
        let Some(loss) = self.ongoing.take() else {
            return;
        };
        if loss.retry_at.is_some() {
            let (name, what, count) = (self.name.display(), self.what, loss.count);
            warn!("{name}: can be written again; {count} {what} were lost");
        }
    }

    /// There will be no more attempts.
    pub(super) fn end(&mut self) {
        if let Some(loss) = self.ongoing.take() {
            let (name, what, count) = (self.name.display(), self.what, loss.count);
            warn!("{name}: {count} {what} were lost at the end");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn losses_are_counted_and_attempts_have_pauses() {
        let mut loss = Loss::new(Path::new("out.jsonl"), "lines");
        let start = Instant::now();
        assert!(loss.may_try(start) && loss.so_far().is_none());
        loss.failed(ErrorKind::StorageFull.into(), start);
        assert!(!loss.may_try(start + PAUSE / 2) && loss.may_try(start + PAUSE));
        loss.pass();
        loss.failed(ErrorKind::Other.into(), start + PAUSE);
        assert!(!loss.may_try(start + PAUSE));
        let first = io::Error::from(ErrorKind::StorageFull).to_string();
        assert_eq!(loss.so_far(), Some((3, first.as_str())));
        loss.over();
        assert!(loss.so_far().is_none() && loss.may_try(start));
    }

    #[test]
    fn what_an_earlier_run_lost_keeps_nobody_from_trying() {
        let mut loss = Loss::new(Path::new("out.jsonl"), "lines");
        let start = Instant::now();
        loss.found("torn".to_owned());
        assert!(loss.may_try(start));
        assert_eq!(loss.so_far(), Some((1, "torn")));
        loss.failed(ErrorKind::StorageFull.into(), start);
        assert!(!loss.may_try(start));
        assert_eq!(loss.so_far(), Some((2, "torn")));
    }
}
