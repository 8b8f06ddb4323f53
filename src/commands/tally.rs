//! What is said to the person at the terminal: what could not be read, and how a run went.

use std::fmt;
use std::time::Duration;

use boxcam::evaluate::Mean;
use boxcam::frame::{Frame, Origin};
use boxcam::report::Report;
use boxcam::sink::{Sink, SinkError};
use boxcam::source::SourceError;

/// Counts what goes by; names on standard error what can't be read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    frames: u32,
    found: u32,
    inference: Duration,
    scenes: u32,
    right: u32,
    iou: Mean,
}

impl Sink for Tally {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.frames += 1;
        self.found += u32::from(report.detection.is_some());
        self.inference += report.inference;
        if !matches!(frame.origin, Origin::Scene(_)) {
            return Ok(());
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
        Ok(())
    }

    fn skip(&mut self, error: &SourceError) -> Result<(), SinkError> {
        eprintln!("boxcam: {error}");
        Ok(())
    }
}

impl fmt::Display for Tally {
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
    use boxcam::frame::TrueBox;
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
            labels: Arc::new(Labels::new(vec!["apple".into(), "cake".into()]).expect("sound")),
            model_hash: "0badcafe".into(),
            inference: Duration::from_millis(5),
            frame_age: Duration::from_millis(9),
            frames_per_second: None,
            dropped: 0,
        }
    }

    fn frame(origin: Origin) -> Frame {
        Frame::new(0, origin, RgbImage::new(4, 4))
    }

    #[test]
    fn a_demo_is_held_against_the_truth() {
        let cake = TrueBox {
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
