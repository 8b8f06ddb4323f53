//! The report on a frame: what was detected and tracked, and when.
//!
//! Reports are plain data. The pipeline makes them and the sinks consume them.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::detect::{Detection, Thresholds};
use crate::frame::{Frame, GroundTruth, Origin};
use crate::geometry::iou;
use crate::health::CaptureState;
use crate::label::aliases::Aliases;
use crate::label::{ClassId, Labels};
use crate::regions::View;
use crate::run_id::RunId;
use crate::track::{Event, StableDetection};
use crate::zone_monitor::ZoneCounts;

/// The report on one frame.
///
/// A display may show it with a later frame than the one it describes: the picture does not wait for a slow model.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run that it is of.
    pub run: RunId,
    /// Sequence number of the frame it describes.
    pub sequence: u64,
    /// When that frame was captured; `None` before the first inference.
    pub captured_at: Option<Instant>,
    /// The primary detection in this frame alone, if any.
    pub detection: Option<Detection>,
    /// What else was detected in this frame alone, the highest score first.
    pub others: Vec<Detection>,
    /// The number of the track of each of [`Self::detections`], if it has one; empty if the source is not tracked.
    pub numbers: Vec<Option<u64>>,
    /// The visible tracks, by track number: smoothed over this and earlier frames.
    pub tracks: Vec<StableDetection>,
    /// Whether the source is tracked. If not, `tracks`, `numbers` and `events` are empty.
    pub is_tracked: bool,
    /// Events of this frame, in order.
    pub events: Vec<Event>,
    /// The name of the clip of the events; `None` without events, or if no clips are saved.
    pub clip: Option<Arc<str>>,
    /// The zones and lines, with what is counted there.
    pub zones: Arc<ZoneCounts>,
    pub capture: CaptureState,
    /// The class names of the model.
    pub labels: Arc<Labels>,
    /// From which confidence on something is a detection.
    pub thresholds: Thresholds,
    /// The names to show for classes.
    pub aliases: Arc<Aliases>,
    /// The first 8 hex digits of the SHA-256 of the model file.
    pub model_hash: Arc<str>,
    /// Duration of the inference, or of all inferences of the frame.
    pub inference: Duration,
    /// The parts of the frame that were looked at, one for each inference; `None` unless regions are.
    pub views: Option<Vec<View>>,
    /// Time from the capture of the frame to this report.
    pub frame_age: Duration,
    /// Inferences per second; `None` before the second one.
    pub frames_per_second: Option<f32>,
    /// Number of frames dropped so far: captured, but not processed.
    pub dropped: u64,
}

impl Report {
    /// The report before the first inference.
    #[must_use]
    pub fn waiting(labels: Arc<Labels>, model_hash: Arc<str>) -> Self {
        Self {
            run: RunId::new(),
            sequence: 0,
            captured_at: None,
            detection: None,
            others: Vec::new(),
            numbers: Vec::new(),
            tracks: Vec::new(),
            is_tracked: false,
            events: Vec::new(),
            clip: None,
            zones: Arc::default(),
            capture: CaptureState::default(),
            labels,
            thresholds: Thresholds {
                primary: 0.0,
                objects: 0.0,
                nms_iou: 1.0,
            },
            aliases: Arc::default(),
            model_hash,
            inference: Duration::ZERO,
            views: None,
            frame_age: Duration::ZERO,
            frames_per_second: None,
            dropped: 0,
        }
    }

    /// The detections to display: those of the visible tracks, or all of the frame if the source is not tracked.
    pub fn shown(&self) -> impl Iterator<Item = &Detection> {
        let own = (!self.is_tracked).then(|| self.detections());
        let tracked = self.tracks.iter().map(|track| &track.detection);
        tracked.chain(own.into_iter().flatten())
    }

    /// All detections in this frame alone, each with the number of its track, if it has one.
    pub fn numbered_detections(&self) -> impl Iterator<Item = (&Detection, Option<u64>)> {
        let numbers = self.numbers.iter().copied().chain(iter::repeat(None));
        self.detections().zip(numbers)
    }

    /// The track of the primary detection; without a detection, the visible track that appeared first.
    #[must_use]
    pub fn primary_track(&self) -> Option<u64> {
        match self.detection {
            Some(_) => self.numbers.first().copied().flatten(),
            None => self.tracks.first().map(|first| first.track),
        }
    }

    /// All detections in this frame alone, the primary first.
    pub fn detections(&self) -> impl Iterator<Item = &Detection> {
        self.detection.iter().chain(&self.others)
    }

    /// The number of things to display ([`Self::shown`]) of each class, by its name. A thing that has not appeared yet does not
    /// count, one that is hidden neither.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for shown in self.shown() {
            *counts.entry(self.class_name(shown.class)).or_default() += 1;
        }
        counts
    }

    /// Identifies a track among those of all runs.
    #[must_use]
    pub fn event_id(&self, track: u64) -> String {
        format!("{}-{track}", self.run)
    }

    /// The name of a class, or `?`.
    #[must_use]
    pub fn class_name(&self, class: ClassId) -> &str {
        self.labels.name(class).unwrap_or("?")
    }

    /// The name to show for a class, if it is not the class's own.
    #[must_use]
    pub fn alias(&self, class: ClassId) -> Option<&str> {
        self.aliases.get(self.labels.name(class)?)
    }

    /// Name of the class of the frame's own detection.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.labels.name(self.detection?.class)
    }

    /// The ground truth of a synthetic frame and its IoU with the detection, which is 0 without a detection.
    ///
    /// Of several true boxes it is the one with the highest IoU, or the largest without a detection. `None` if the
    /// frame is empty or its ground truth is unknown.
    #[must_use]
    pub fn ground_truth<'f>(&self, frame: &'f Frame) -> Option<(&'f GroundTruth, f32)> {
        let Origin::Scene(boxes) = &frame.origin else {
            return None;
        };
        let overlap = |truth: &GroundTruth| match &self.detection {
            Some(detection) => iou(&truth.bounding_box, &detection.bounding_box),
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
        let labels = Labels::new(vec!["apple".into(), "cake".into()]).expect("valid");
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
        NormBox::new(x_min, x_max, y_min, y_max).expect("valid")
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
    fn the_detection_is_compared_with_the_true_box_it_overlaps_most() {
        let frame = scene(&[[0.0, 1.0, 0.0, 1.0], [0.5, 1.0, 0.5, 1.0]]);
        let (truth, overlap) = report(Some([0.5, 1.0, 0.5, 1.0]))
            .ground_truth(&frame)
            .expect("known");
        assert_eq!(
            (truth.bounding_box, overlap),
            (boxed([0.5, 1.0, 0.5, 1.0]), 1.0)
        );
        let (truth, overlap) = report(None).ground_truth(&frame).expect("known");
        assert_eq!((truth.bounding_box, overlap), (NormBox::WHOLE, 0.0));
        assert_eq!(report(None).ground_truth(&scene(&[])), None);
        let live = Frame::new(0, Origin::Live, RgbImage::new(4, 4));
        assert_eq!(report(None).ground_truth(&live), None);
    }

    #[test]
    fn visible_tracks_are_counted_under_their_current_class() {
        let tracked = |track, class| StableDetection {
            track,
            detection: Detection {
                class: ClassId::new(class),
                confidence: 0.5,
                bounding_box: NormBox::WHOLE,
            },
            duration: Duration::ZERO,
            is_stationary: false,
        };
        // The frame's own detection, which is no track yet, does not count.
        let mut report = report(Some([0.0, 1.0, 0.0, 1.0]));
        report.is_tracked = true;
        assert_eq!(report.counts(), [].into());
        report.tracks = vec![tracked(1, 0), tracked(2, 1), tracked(3, 0)];
        assert_eq!(report.counts(), [("apple", 2), ("cake", 1)].into());
        report.tracks[0].detection.class = ClassId::new(1);
        assert_eq!(report.counts(), [("apple", 1), ("cake", 2)].into());
        report.tracks[0].detection.class = ClassId::new(9);
        assert_eq!(report.counts()["?"], 1);
        report.is_tracked = false;
        report.tracks.clear();
        assert_eq!(report.counts(), [("cake", 1)].into());
    }

    #[test]
    fn the_label_is_the_class_name_of_the_detection() {
        assert_eq!(report(Some([0.0; 4])).label(), Some("cake"));
        assert_eq!(report(None).label(), None);
    }
}
