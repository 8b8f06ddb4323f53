//! The median and the tail of many times.

use std::time::Duration;

use serde::Serialize;

/// Half, 95 and 99 of a hundred times were at most so long, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
}

impl Quantiles {
    /// Of at least one time: each is the smallest of the times that so many are not above (nearest rank).
    pub(super) fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|time| milliseconds(*time))
        };
        Some(Self {
            p50_ms: at(50)?,
            p95_ms: at(95)?,
            p99_ms: at(99)?,
        })
    }
}

/// To the microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_counts() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let quantiles = Quantiles::of(&times).expect("there are some");
        assert_eq!(
            (quantiles.p50_ms, quantiles.p95_ms, quantiles.p99_ms),
            (50.0, 95.0, 99.0)
        );
        let one = Quantiles::of(&[Duration::from_micros(1500)]).expect("there is one");
        assert_eq!((one.p50_ms, one.p99_ms), (1.5, 1.5));
        assert_eq!(Quantiles::of(&[]), None);
    }
}
