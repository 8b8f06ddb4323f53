//! What is present now: the same summary for MQTT and the web page.

use serde::Serialize;

use super::json::rounded;
use crate::report::Report;

/// The displayed detection. Rounded, so that noise in the confidence does not look like news.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Presence {
    pub(super) class: String,
    /// To two decimals.
    pub(super) confidence: f64,
    /// `None` if the source is not tracked, as for `duration_s`.
    pub(super) track: Option<u64>,
    /// Seconds since the track appeared, to three decimals.
    pub(super) duration_s: Option<f64>,
}

impl Presence {
    /// `None` if nothing is detected.
    pub(super) fn of(report: &Report) -> Option<Self> {
        let shown = report.shown().next()?;
        let stable = report.tracks.first();
        Some(Self {
            class: report.labels.name(shown.class).unwrap_or("?").to_owned(),
            confidence: rounded(f64::from(shown.confidence), 2),
            track: stable.map(|stable| stable.track),
            duration_s: stable.map(|stable| rounded(stable.duration.as_secs_f64(), 3)),
        })
    }
}
