//! Console statistics: a summary of the run, and messages on standard error about unreadable frames and the state
//! of the camera.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Sink, SinkError};
use crate::frame::{Frame, Origin, UnreadableFrame};
use crate::health::{CaptureState, StateChange};
use crate::report::Report;
use crate::warn;

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
    /// Frames whose ground truth is known.
    synthetic: u32,
    /// Synthetic frames with the right class, or rightly without a detection.
    correct: u32,
    iou_sum: f64,
    /// Synthetic frames with a true box.
    with_box: u32,
}

impl ConsoleStats {
    /// The message about a state change; `None` if capture is live from the start.
    fn message(&mut self, change: &StateChange) -> Option<String> {
        let reason = &change.reason;
        let is_live = change.state == CaptureState::Live;
        let had_warned = std::mem::replace(&mut self.has_warned, !is_live);
        match change.state {
            CaptureState::Starting => Some(format!("waiting for the source: {reason}")),
            CaptureState::Live => had_warned.then(|| "the source is live".to_owned()),
            CaptureState::Stalled => Some(format!("the source has stalled: {reason}")),
            CaptureState::Reopening => Some(format!("reopening the source: {reason}")),
        }
    }
}

impl Sink for ConsoleStats {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.counts.lock().add(frame, report);
        Ok(())
    }

    fn on_unreadable_frame(&mut self, unreadable: &UnreadableFrame) -> Result<(), SinkError> {
        warn!("{}", unreadable.reason);
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        if let Some(message) = self.message(change) {
            warn!("{message}");
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, frame: &Frame, report: &Report) {
        self.frames += 1;
        self.detected += u32::from(report.detection.is_some());
        self.inference += report.inference;
        if !matches!(frame.origin, Origin::Scene(_)) {
            return;
        }
        self.synthetic += 1;
        match report.ground_truth(frame) {
            Some((truth, iou)) => {
                self.correct += u32::from(report.label() == Some(&truth.label));
                self.iou_sum += f64::from(iou);
                self.with_box += 1;
            }
            // An empty frame: no detection is correct, and there is no box to measure.
            None => self.correct += u32::from(report.detection.is_none()),
        }
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
        if self.synthetic > 0 {
            let percent = 100.0 * f64::from(self.correct) / f64::from(self.synthetic);
            let iou = self.iou_sum / f64::from(self.with_box.max(1));
            write!(
                f,
                ", {} correct ({percent:.0}%), mean IoU {iou:.2} where there is a snack",
                self.correct
            )?;
        } else {
            write!(f, ", {} with a detection", self.detected)?;
        }
        write!(f, ", {milliseconds:.1} ms inference per frame")
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::detect::Detection;
    use crate::frame::GroundTruth;
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

    fn frame(origin: Origin) -> Frame {
        Frame::new(0, origin, RgbImage::new(4, 4))
    }

    #[test]
    fn synthetic_frames_are_compared_with_their_ground_truth() {
        let cake = GroundTruth {
            label: "cake".to_owned(),
            bounding_box: NormBox::new(0.0, 0.5, 0.0, 1.0).expect("valid"),
        };
        let scene = frame(Origin::Scene(vec![cake]));
        let empty = frame(Origin::Scene(vec![]));
        let mut stats = ConsoleStats::default();
        let shown = [
            (&scene, Some(1)),
            (&scene, Some(0)),
            (&scene, None),
            (&empty, None),
            (&empty, Some(0)),
        ];
        for (frame, class) in shown {
            stats.show(frame, &report(class)).expect("counted");
        }
        // The cake fills half of the frame: IoU 0.5 with the whole frame, and 0 without a detection.
        let expected = "5 frames, 2 correct (40%), mean IoU 0.33 where there is a snack, \
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
