//! Console statistics: a summary of the run, and messages on standard error about unreadable frames and the state
//! of the camera.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Sink, SinkError};
use crate::frame::{Frame, GroundTruth, Origin, UnreadableFrame};
use crate::geometry::iou;
use crate::health::{CaptureState, StateChange};
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::{info, warn};

/// Counts frames and detections. Clones share the counts. Its `Display` is the summary.
#[derive(Debug, Clone, Default)]
pub struct ConsoleStats {
    counts: Arc<Mutex<Counts>>,
    /// Whether a capture failure was reported and its end not yet.
    has_warned: bool,
}

#[derive(Debug, Default)]
struct Counts {
    frames: u32,
    /// Frames with a detection.
    detected: u32,
    inference: Duration,
    /// Of the frames whose ground truth is known; `None` if there are none.
    matches: Option<MatchCounts>,
}

/// How detections match true boxes. A true box is found by a detection of its class with an IoU of at least
/// [`MIN_IOU`]; each detection finds one at most.
#[derive(Debug, Clone, Copy, Default)]
struct MatchCounts {
    true_boxes: u32,
    found: u32,
    /// Detections that find no true box.
    stray: u32,
    /// Of the detections that find one.
    iou_sum: f64,
}

/// The usual IoU from which on a detection finds a true box.
const MIN_IOU: f32 = 0.5;

impl ConsoleStats {
    /// The message about a state change; `None` if capture is live from the start.
    fn message(&mut self, change: &StateChange) -> Option<String> {
        let reason = &change.reason;
        let is_live = change.state == CaptureState::Live;
        let had_warned = std::mem::replace(&mut self.has_warned, !is_live);
        match change.state {
            CaptureState::Starting => Some(format!("waiting for the source: {reason}")),
            CaptureState::Live if !reason.is_empty() => Some(reason.clone()),
            CaptureState::Live => had_warned.then(|| "the source is live".to_owned()),
            CaptureState::Stalled => Some(format!("the source has stalled: {reason}")),
            CaptureState::Reopening => Some(format!("reopening the source: {reason}")),
        }
    }
}

impl Sink for ConsoleStats {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.counts.lock().add(frame, report);
        Ok(())
    }

    fn on_unreadable_frame(&mut self, unreadable: &UnreadableFrame) -> Result<(), SinkError> {
        warn!("{}", unreadable.reason);
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        match self.message(change) {
            Some(message) if change.state == CaptureState::Live => info!("{message}"),
            Some(message) => warn!("{message}"),
            None => {}
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, frame: &Frame, report: &Report) {
        self.frames += 1;
        self.detected += u32::from(report.detection.is_some());
        self.inference += report.inference;
        if let Origin::Scene(truths) = &frame.origin {
            self.matches.get_or_insert_default().add(truths, report);
        }
    }
}

impl MatchCounts {
    fn add(&mut self, truths: &[GroundTruth], report: &Report) {
        self.true_boxes += truths.len() as u32;
        let mut missed: Vec<&GroundTruth> = truths.iter().collect();
        // The primary detection is the first, and the others have descending scores.
        for detection in report.detections() {
            let overlap = |truth: &GroundTruth| {
                let is_class = truth.label == report.class_name(detection.class);
                let overlap = iou(&truth.bounding_box, &detection.bounding_box);
                (is_class && overlap >= MIN_IOU).then_some(overlap)
            };
            let overlaps = missed.iter().enumerate();
            let overlaps = overlaps.filter_map(|(index, truth)| Some((index, overlap(truth)?)));
            match overlaps.max_by(|(_, a), (_, b)| a.total_cmp(b)) {
                Some((index, overlap)) => {
                    missed.swap_remove(index);
                    self.found += 1;
                    self.iou_sum += f64::from(overlap);
                }
                None => self.stray += 1,
            }
        }
    }
}

impl fmt::Display for MatchCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * f64::from(self.found) / f64::from(self.true_boxes.max(1));
        let iou = self.iou_sum / f64::from(self.found.max(1));
        write!(
            f,
            "{} of {} snacks found ({percent:.0}%) with a mean IoU of {iou:.2}, {} stray boxes",
            self.found, self.true_boxes, self.stray
        )
    }
}

impl fmt::Display for ConsoleStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.lock().fmt(f)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frames == 0 {
            return write!(f, "no frames");
        }
        let milliseconds = self.inference.as_secs_f64() * 1e3 / f64::from(self.frames);
        write!(f, "{} frames", self.frames)?;
        match &self.matches {
            Some(matches) => write!(f, ", {matches}")?,
            None => write!(f, ", {} with a detection", self.detected)?,
        }
        write!(f, ", {milliseconds:.1} ms inference per frame")
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::detect::Detection;
    use crate::geometry::NormBox;
    use crate::label::{ClassId, Labels};

    fn report(class: Option<usize>) -> Report {
        let labels = Labels::new(vec!["apple".into(), "cake".into()]).expect("valid");
        Report {
            detection: class.map(|index| Detection {
                class: ClassId::new(index),
                confidence: 0.75,
                bounding_box: NormBox::WHOLE,
            }),
            inference: Duration::from_millis(5),
            ..Report::waiting(Arc::new(labels), "0badcafe".into())
        }
    }

    fn frame(origin: Origin) -> PublicFrame {
        PublicFrame::hiding_nothing(Frame::new(0, origin, RgbImage::new(4, 4)))
    }

    #[test]
    fn synthetic_frames_are_compared_with_their_ground_truth() {
        let cake = |x_max| GroundTruth {
            label: "cake".to_owned(),
            bounding_box: NormBox::new(0.0, x_max, 0.0, 1.0).expect("valid"),
        };
        let scene = frame(Origin::Scene(vec![cake(0.5)]));
        let two = frame(Origin::Scene(vec![cake(0.75), cake(0.5)]));
        let small = frame(Origin::Scene(vec![cake(0.25)]));
        let empty = frame(Origin::Scene(vec![]));
        let mut stats = ConsoleStats::default();
        let shown = [
            (&scene, Some(1)),
            (&scene, Some(0)),
            (&scene, None),
            (&two, Some(1)),
            (&small, Some(1)),
            (&empty, None),
            (&empty, Some(0)),
        ];
        for (frame, class) in shown {
            stats.show(frame, &report(class)).expect("counted");
        }
        // The detection is the whole frame. It finds the larger one of two cakes, and no small one.
        let expected = "7 frames, 2 of 6 snacks found (33%) with a mean IoU of 0.62, 3 stray boxes, \
                        5.0 ms inference per frame";
        assert_eq!(stats.to_string(), expected);
    }

    #[test]
    fn a_failure_and_its_end_are_reported() {
        let mut stats = ConsoleStats::default();
        let mut message = |state, reason: &str| {
            stats.message(&StateChange {
                state,
                time: std::time::SystemTime::UNIX_EPOCH,
                reason: reason.to_owned(),
            })
        };
        assert_eq!(message(CaptureState::Live, ""), None);
        let failure = message(CaptureState::Reopening, "camera 0: was unplugged");
        let expected = "reopening the source: camera 0: was unplugged";
        assert_eq!(failure.as_deref(), Some(expected));
        let end = message(CaptureState::Live, "");
        assert_eq!(end.as_deref(), Some("the source is live"));
    }

    #[test]
    fn without_ground_truth_detections_are_counted() {
        let mut stats = ConsoleStats::default();
        assert_eq!(stats.to_string(), "no frames");
        for class in [Some(0), None, Some(1)] {
            stats
                .show(&frame(Origin::Live), &report(class))
                .expect("counted");
        }
        let expected = "3 frames, 2 with a detection, 5.0 ms inference per frame";
        assert_eq!(stats.to_string(), expected);
    }
}
