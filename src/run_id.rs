//! An identifier of a run that no other run has, also on a board whose clock is wrong when it starts.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::process;
use std::time::SystemTime;

/// Bits of the random part.
const RANDOM_BITS: u32 = 48;

/// Identifies one run of boxcam, over restarts and over boards.
///
/// It starts with the time, so that the identifiers of a board with a clock sort by time. That is not enough: a board without a
/// battery starts each time in the same second, often of 1970. So random bits follow: of 10,000 runs that start in the
/// same second, two have the same identifier with a probability below a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId {
    /// Seconds since 1970 by the clock at the start.
    started: u64,
    random: u64,
}

impl RunId {
    /// The identifier of a run that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    fn starting_at(time: SystemTime) -> Self {
        let since_1970 = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        // Keyed by random bits of the system. The time and the process count in case it has none that early.
        let random = RandomState::new().hash_one((since_1970, process::id()));
        Self {
            started: since_1970.as_secs(),
            random: random >> (u64::BITS - RANDOM_BITS),
        }
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

/// Hexadecimal: seconds, a hyphen, random digits.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:012x}", self.started, self.random)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn runs_that_start_at_the_same_moment_differ() {
        let wrong = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        let ids: BTreeSet<String> = (0..1000)
            .map(|_| RunId::starting_at(wrong).to_string())
            .collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.starts_with("00000007-")), "{ids:?}");
    }

    #[test]
    fn an_identifier_has_a_fixed_form_and_sorts_by_time() {
        let id = RunId {
            started: 0x6A1F_0C3E,
            random: 0xBEEF,
        };
        assert_eq!(id.to_string(), "6a1f0c3e-00000000beef");
        let at = |seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            RunId::starting_at(time).to_string()
        };
        assert!(at(1_700_000_000) < at(1_700_000_001));
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(RunId::starting_at(before_1970).started, 0);
    }
}
