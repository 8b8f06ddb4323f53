//! What is said to the person at the terminal: what could not be read, and how a run went.

use boxcam::warn;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxcam::evaluate::Mean;
use boxcam::frame::{Frame, Origin, UnreadableFrame};
use boxcam::health::{CaptureState, StateChange};
use boxcam::report::Report;
use boxcam::sink::{Sink, SinkError};

/// Counts what goes by, the same count in each clone; names on standard error what can't be read and what
/// goes wrong with a camera.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    counts: Arc<Mutex<Counts>>,
    /// Whether the person was told that frames don't come.
    has_complained: bool,
}

#[derive(Debug, Default)]
struct Counts {
    frames: u32,
    found: u32,
    inference: Duration,
    scenes: u32,
    right: u32,
    iou: Mean,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a change of capture's state; nothing when all goes well from the start.
    fn words(&mut self, change: &StateChange) -> Option<String> {
        let reason = &change.reason;
        let is_well = change.state == CaptureState::Live;
        let had_complained = std::mem::replace(&mut self.has_complained, !is_well);
        match change.state {
            CaptureState::Starting => Some(format!("waiting for the source: {reason}")),
            CaptureState::Live => had_complained.then(|| "frames come".to_owned()),
            CaptureState::Stalled => Some(format!("the source has stalled: {reason}")),
            CaptureState::Reopening => Some(format!("opening the source again: {reason}")),
        }
    }
}

impl Sink for Tally {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.counts().add(frame, report);
        Ok(())
    }

    fn skip(&mut self, frame: &UnreadableFrame) -> Result<(), SinkError> {
        warn!("{}", frame.reason);
        Ok(())
    }

    fn state(&mut self, change: &StateChange) -> Result<(), SinkError> {
        if let Some(words) = self.words(change) {
            warn!("{words}");
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, frame: &Frame, report: &Report) {
        self.frames += 1;
        self.found += u32::from(report.detection.is_some());
        self.inference += report.inference;
        if !matches!(frame.origin, Origin::Scene(_)) {
            return;
        }
        self.scenes += 1;
        match report.truth(frame) {
            Some((truth, overlap)) => {
                self.right += u32::from(report.label() == Some(&truth.label));
                self.iou.add(f64::from(overlap));
            }
            // Nothing is there: to find nothing is right, and there is no box to measure.
            None => self.right += u32::from(report.detection.is_none()),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frames == 0 {
            return write!(f, "no frames");
        }
        let milliseconds = self.inference.as_secs_f64() * 1e3 / f64::from(self.frames);
        write!(f, "{} frames", self.frames)?;
        if self.scenes > 0 {
            let scenes = f64::from(self.scenes);
            let percent = 100.0 * f64::from(self.right) / scenes;
            let iou = self.iou.value();
            write!(
                f,
                ", {} answered right ({percent:.0}%), mean IoU {iou:.2} where there is a snack",
                self.right
            )?;
        } else {
            write!(f, ", {} with something found", self.found)?;
        }
        write!(f, ", {milliseconds:.1} ms inference a frame")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use boxcam::detect::Detection;
    use boxcam::frame::GroundTruth;
    use boxcam::geometry::NormBox;
    use boxcam::label::{ClassId, Labels};
    use image::RgbImage;

    use super::*;

    fn report(class: Option<usize>) -> Report {
        Report {
            detection: class.map(|index| Detection {
                class: ClassId::new(index),
                confidence: 0.75,
                bounding_box: NormBox::WHOLE,
            }),
            inference: Duration::from_millis(5),
            frame_age: Duration::from_millis(9),
            frames_per_second: None,
            dropped: 0,
            ..Report::waiting(
                Arc::new(Labels::new(vec!["apple".into(), "cake".into()]).expect("sound")),
                "0badcafe".into(),
            )
        }
    }

    fn frame(origin: Origin) -> Frame {
        Frame::new(0, origin, RgbImage::new(4, 4))
    }

    #[test]
    fn a_demo_is_held_against_the_truth() {
        let cake = GroundTruth {
            label: "cake".to_owned(),
            bounding_box: NormBox::new(0.0, 0.5, 0.0, 1.0).expect("sound"),
        };
        let scene = frame(Origin::Scene(vec![cake]));
        let empty = frame(Origin::Scene(vec![]));
        let mut tally = Tally::default();
        let shown = [
            (&scene, Some(1)),
            (&scene, Some(0)),
            (&scene, None),
            (&empty, None),
            (&empty, Some(0)),
        ];
        for (frame, class) in shown {
            tally.show(frame, &report(class)).expect("counted");
        }
        // Half of the picture is cake: IoU 0.5, 0.5, and 0 where nothing was found.
        let expected = "5 frames, 2 answered right (40%), mean IoU 0.33 where there is a snack, \
                        5.0 ms inference a frame";
        assert_eq!(tally.to_string(), expected);
    }

    #[test]
    fn a_person_hears_of_trouble_and_of_its_end() {
        let mut tally = Tally::default();
        let mut words = |state, reason: &str| {
            tally.words(&StateChange {
                state,
                time: std::time::SystemTime::UNIX_EPOCH,
                reason: reason.to_owned(),
            })
        };
        assert_eq!(words(CaptureState::Live, ""), None);
        let said = words(CaptureState::Reopening, "camera 0: was unplugged");
        let expected = "opening the source again: camera 0: was unplugged";
        assert_eq!(said.as_deref(), Some(expected));
        let said = words(CaptureState::Live, "");
        assert_eq!(said.as_deref(), Some("frames come"));
    }

    #[test]
    fn without_a_truth_finds_are_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "no frames");
        for class in [Some(0), None, Some(1)] {
            tally
                .show(&frame(Origin::Live), &report(class))
                .expect("counted");
        }
        let expected = "3 frames, 2 with something found, 5.0 ms inference a frame";
        assert_eq!(tally.to_string(), expected);
    }
}
