//! What is present now: the same summary for MQTT and the web page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::rounded;
use crate::detect::Detection;
use crate::report::Report;
use crate::track::StableDetection;

/// What is displayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Presence {
    /// By track number, so that the one that appeared first is the first.
    pub(super) things: Vec<PresentThing>,
    /// The number of things of each class.
    pub(super) counts: BTreeMap<String, usize>,
}

/// A displayed detection. Rounded, so that noise in the confidence does not look like news.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PresentThing {
    pub(super) class: String,
    /// The alias of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// To two decimals.
    pub(super) confidence: f64,
    /// `None` if the source is not tracked, as for the following.
    pub(super) track: Option<u64>,
    /// Seconds since the track appeared, to three decimals.
    pub(super) duration_s: Option<f64>,
    pub(super) stationary: Option<bool>,
}

impl Presence {
    pub(super) fn of(report: &Report) -> Self {
        let things = if report.is_tracked {
            let tracks = report.tracks.iter();
            tracks
                .map(|track| PresentThing::tracked(track, report))
                .collect()
        } else {
            let detections = report.detections();
            detections
                .map(|found| PresentThing::untracked(found, report))
                .collect()
        };
        let counts = report.counts().into_iter();
        Self {
            things,
            counts: counts.map(|(class, n)| (class.to_owned(), n)).collect(),
        }
    }
}

impl PresentThing {
    fn untracked(detection: &Detection, report: &Report) -> Self {
        Self {
            class: report.class_name(detection.class).to_owned(),
            label: report.alias(detection.class).map(str::to_owned),
            confidence: rounded(f64::from(detection.confidence), 2),
            track: None,
            duration_s: None,
            stationary: None,
        }
    }

    fn tracked(track: &StableDetection, report: &Report) -> Self {
        Self {
            track: Some(track.track),
            duration_s: Some(rounded(track.duration.as_secs_f64(), 3)),
            stationary: Some(track.is_stationary),
            ..Self::untracked(&track.detection, report)
        }
    }
}
