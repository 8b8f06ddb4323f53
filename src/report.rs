//! What is told of a frame: the detection, if any, and how it came about.
//!
//! A report is plain data between the pipeline that makes it and the sinks that show it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::detect::Detection;
use crate::frame::{Frame, GroundTruth, Origin};
use crate::geometry::iou;
use crate::health::CaptureState;
use crate::label::Labels;
use crate::track::{Event, StableDetection};

/// What is told of one frame.
///
/// A display may show it with a later frame than the one that it is about: a slow model must not delay the
/// picture.
#[derive(Debug, Clone)]
pub struct Report {
    /// Number of the frame that it is about.
    pub sequence: u64,
    /// When that frame was taken; `None` while no frame has been through the model.
    pub captured_at: Option<Instant>,
    /// What was found in this very frame, if anything.
    pub detection: Option<Detection>,
    /// What is there by this and the frames before, if anything; `None` too where frames have nothing to do
    /// with each other and nothing is tracked.
    pub stable: Option<StableDetection>,
    /// Whether frames follow each other, so that `stable` and `events` mean something.
    pub is_tracked: bool,
    /// What happened with this frame, in order.
    pub events: Vec<Event>,
    /// What capture is at.
    pub capture: CaptureState,
    /// Names of the classes.
    pub labels: Arc<Labels>,
    /// Which model said so.
    pub model_hash: Arc<str>,
    /// Time that the network took.
    pub inference: Duration,
    /// Time from the capture of the frame to this report.
    pub frame_age: Duration,
    /// Frames a second that go through the model, once there are two of them.
    pub frames_per_second: Option<f32>,
    /// Frames that the source gave and nobody looked at, so far.
    pub dropped: u64,
}

impl Report {
    /// What is told before any frame has been through the model.
    #[must_use]
    pub fn waiting(labels: Arc<Labels>, model_hash: Arc<str>) -> Self {
        Self {
            sequence: 0,
            captured_at: None,
            detection: None,
            stable: None,
            is_tracked: false,
            events: Vec::new(),
            capture: CaptureState::default(),
            labels,
            model_hash,
            inference: Duration::ZERO,
            frame_age: Duration::ZERO,
            frames_per_second: None,
            dropped: 0,
        }
    }

    /// What a person is shown: what is steadily there, or where nothing is tracked, what was found.
    #[must_use]
    pub fn shown(&self) -> Option<&Detection> {
        if self.is_tracked {
            self.stable.as_ref().map(|steady| &steady.detection)
        } else {
            self.detection.as_ref()
        }
    }

    /// Name of the class that was found.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.labels.name(self.detection?.class)
    }

    /// What is truly in a made-up frame and the IoU of the detection with it, 0 without a detection.
    ///
    /// Of several true boxes it is the one that the detection overlaps most, without a detection the
    /// largest. `None` where nothing is there or the truth is not known.
    #[must_use]
    pub fn truth<'f>(&self, frame: &'f Frame) -> Option<(&'f GroundTruth, f32)> {
        let Origin::Scene(boxes) = &frame.origin else {
            return None;
        };
        let overlap = |truth: &GroundTruth| match &self.detection {
            Some(found) => iou(&truth.bounding_box, &found.bounding_box),
            None => 0.0,
        };
        let rank = |truth: &GroundTruth| (overlap(truth), truth.bounding_box.area());
        let best = boxes
            .iter()
            .reduce(|a, b| if rank(b) > rank(a) { b } else { a })?;
        Some((best, overlap(best)))
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::geometry::NormBox;
    use crate::label::ClassId;

    fn report(detected: Option<[f32; 4]>) -> Report {
        let labels = Labels::new(vec!["apple".into(), "cake".into()]).expect("sound");
        Report {
            detection: detected.map(|corners| Detection {
                class: ClassId::new(1),
                confidence: 0.75,
                bounding_box: boxed(corners),
            }),
            ..Report::waiting(Arc::new(labels), "0badcafe".into())
        }
    }

    fn boxed([x_min, x_max, y_min, y_max]: [f32; 4]) -> NormBox {
        NormBox::new(x_min, x_max, y_min, y_max).expect("sound")
    }

    fn scene(boxes: &[[f32; 4]]) -> Frame {
        let label = "cake".to_owned();
        let truths = boxes.iter().map(|corners| GroundTruth {
            label: label.clone(),
            bounding_box: boxed(*corners),
        });
        Frame::new(0, Origin::Scene(truths.collect()), RgbImage::new(4, 4))
    }

    #[test]
    fn the_detection_is_held_against_the_box_that_it_means() {
        let frame = scene(&[[0.0, 1.0, 0.0, 1.0], [0.5, 1.0, 0.5, 1.0]]);
        let (truth, overlap) = report(Some([0.5, 1.0, 0.5, 1.0]))
            .truth(&frame)
            .expect("known");
        assert_eq!(
            (truth.bounding_box, overlap),
            (boxed([0.5, 1.0, 0.5, 1.0]), 1.0)
        );
        let (truth, overlap) = report(None).truth(&frame).expect("known");
        assert_eq!((truth.bounding_box, overlap), (NormBox::WHOLE, 0.0));
        assert_eq!(report(None).truth(&scene(&[])), None);
        let live = Frame::new(0, Origin::Live, RgbImage::new(4, 4));
        assert_eq!(report(None).truth(&live), None);
    }

    #[test]
    fn a_detection_has_a_label() {
        assert_eq!(report(Some([0.0; 4])).label(), Some("cake"));
        assert_eq!(report(None).label(), None);
    }
}
