//! Annotated frames in a folder, one PNG file per frame.
//!
//! `apple.png` for the picture `apple.jpg`, `frame-000123.png` for frame 123 of a camera or the demo. PNG is lossless,
//! so the overlay is kept to the pixel. A file is complete when it gets its name. It replaces one of an earlier run, but no
//! file that boxcam did not write: that one is reported and counted in [`Health::files_kept`], and the run goes on.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, RgbImage};

use super::{Sink, SinkError};
use crate::frame::{Frame, Origin};
use crate::health::Health;
use crate::output_file::{self, OutputFileError, WriteSettings};
use crate::overlay::{self, Canvas};
use crate::path_text::PathText;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::track::Event;
use crate::warn;

/// JPEG quality of what is stored at events, 1 to 100: boxes and labels stay sharp, and a picture of 640 x 480 has about 60 kB.
pub(super) const EVENT_QUALITY: u8 = 85;

/// The frame's image with the overlay of its report.
#[must_use]
pub fn annotate(frame: &PublicFrame, report: &Report) -> RgbImage {
    let mut image = RgbImage::clone(&frame.image);
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), frame, report);
    image
}

/// As [`annotate`], with the zones and lines in any case.
#[cfg(feature = "web")]
pub(super) fn annotate_with_zones(frame: &PublicFrame, report: &Report) -> RgbImage {
    let mut image = RgbImage::clone(&frame.image);
    let Ok(()) = overlay::draw_with_zones(&mut Canvas::new(&mut image), frame, report);
    image
}

/// The frame's image with the overlay of its report, and the thing of one of its events marked.
pub(super) fn annotate_event(frame: &PublicFrame, report: &Report, event: &Event) -> RgbImage {
    let mut image = RgbImage::clone(&frame.image);
    let Ok(()) = overlay::draw_event(&mut Canvas::new(&mut image), frame, report, event);
    image
}

/// Writes each annotated frame into a folder.
#[derive(Debug)]
pub struct PictureSink {
    folder: PathBuf,
    namer: FileNamer,
    health: Arc<Health>,
}

/// Gives each frame of a run its own file name, the same ones if the run is repeated.
#[derive(Debug, Default)]
pub(super) struct FileNamer {
    /// The names of pictures so far, in lower case: some file systems ignore the case.
    taken: HashSet<String>,
}

impl PictureSink {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// [`SinkError::Write`] if the folder cannot be created.
    pub fn new(folder: impl Into<PathBuf>, health: Arc<Health>) -> Result<Self, SinkError> {
        let folder = folder.into();
        if let Err(source) = fs::create_dir_all(&folder) {
            return Err(SinkError::Write {
                path: folder,
                source,
            });
        }
        output_file::remove_abandoned(&folder);
        Ok(Self {
            folder,
            namer: FileNamer::default(),
            health,
        })
    }
}

impl Sink for PictureSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        let path = self.folder.join(self.namer.name(frame));
        let image = annotate(frame, report);
        let bytes = match encode_png(&image) {
            Ok(bytes) => bytes,
            Err(ImageError::IoError(source)) => return Err(SinkError::Write { path, source }),
            Err(source) => return Err(SinkError::Encode { path, source }),
        };
        match output_file::write(&path, &bytes, WriteSettings::default()) {
            Ok(_) => Ok(()),
            Err(error @ OutputFileError::Kept { .. }) => {
                warn!("{error}");
                self.health.files_kept.add(1);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl FileNamer {
    pub(super) fn name(&mut self, frame: &Frame) -> String {
        match &frame.origin {
            Origin::Picture(path) => format!("{}.png", self.unique(&stem(path, frame.sequence))),
            Origin::Recording(path) => {
                let (stem, number) = (stem(path, frame.sequence), frame.sequence);
                format!("{stem}-{number:06}.png")
            }
            // The number is unique. Remembering all names of a run of months would fill the memory.
            Origin::Live | Origin::Scene(_) => format!("{}.png", frame_name(frame.sequence)),
        }
    }

    fn unique(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let mut copy = 2_u64;
        while !self.taken.insert(name.to_lowercase()) {
            name = format!("{stem}-{copy}");
            copy += 1;
        }
        name
    }
}

/// The name of the file of a frame without its extension, for names of files about it.
pub(super) fn stem(path: &Path, sequence: u64) -> String {
    path.file_stem().map_or_else(
        || frame_name(sequence),
        |stem| PathText::of(Path::new(stem)).text.into_owned(),
    )
}

fn frame_name(sequence: u64) -> String {
    format!("frame-{sequence:06}")
}

pub(super) fn encode_png(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    // Frames wait while a file is encoded, so speed matters more than size.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            image.as_raw(),
            image.width(),
            image.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use test_support::file_names;

    use super::*;
    use crate::detect::Detection;
    use crate::frame::GroundTruth;
    use crate::geometry::NormBox;
    use crate::label::{ClassId, Labels};

    fn frame(sequence: u64, origin: Origin) -> PublicFrame {
        let grey = RgbImage::from_pixel(64, 48, image::Rgb([90; 3]));
        PublicFrame::hiding_nothing(Frame::new(sequence, origin, grey))
    }

    fn picture(sequence: u64, path: &str) -> PublicFrame {
        frame(sequence, Origin::Picture(path.into()))
    }

    fn report() -> Report {
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid");
        Report {
            detection: Some(Detection {
                class: ClassId::new(0),
                confidence: 0.9,
                bounding_box: NormBox::new(0.2, 0.8, 0.2, 0.8).expect("valid"),
            }),
            inference: Duration::from_millis(10),
            frame_age: Duration::from_millis(10),
            ..Report::waiting(Arc::new(labels), "0123abcd".into())
        }
    }

    #[test]
    fn every_frame_has_its_own_complete_file() {
        let folder = tempfile::tempdir().expect("created");
        let inside = folder.path().join("new/snapshots");
        let mut sink = PictureSink::new(&inside, Arc::default()).expect("created");
        let frames = [
            picture(0, "a/one.jpg"),
            picture(1, "b/one.png"),
            picture(2, "b/One-2.jpg"),
            picture(3, "one-3.webp"),
            picture(4, "c/one.jpg"),
            frame(123, Origin::Live),
            frame(1_234_567, Origin::Scene(Vec::new())),
        ];
        for frame in &frames {
            sink.show(frame, &report()).expect("written");
        }
        let expected = [
            "One-2-2.png",
            "frame-000123.png",
            "frame-1234567.png",
            "one-2.png",
            "one-3.png",
            "one-4.png",
            "one.png",
        ];
        assert_eq!(file_names(&inside), expected);
        let report = report();
        let written = image::open(inside.join("one.png")).expect("a picture");
        assert_eq!(written.into_rgb8(), annotate(&frames[0], &report));
    }

    #[test]
    fn an_annotated_synthetic_frame_shows_its_ground_truth() {
        let truth = vec![GroundTruth {
            label: "apple".to_owned(),
            bounding_box: NormBox::new(0.1, 0.6, 0.1, 0.6).expect("valid"),
        }];
        let report = report();
        let annotate = |origin| annotate(&frame(0, origin), &report);
        let live = annotate(Origin::Live);
        let scene = annotate(Origin::Scene(truth));
        assert_eq!(live.dimensions(), (64, 48));
        assert_ne!(live, *frame(0, Origin::Live).image);
        assert_ne!(live, scene);
    }

    #[test]
    fn the_error_names_a_folder_that_cannot_be_created() {
        let folder = tempfile::tempdir().expect("created");
        let file = folder.path().join("file");
        fs::write(&file, "not a folder").expect("written");
        let error =
            PictureSink::new(file.join("below"), Arc::default()).expect_err("its parent is a file");
        assert!(error.to_string().contains("below"), "{error}");
    }

    #[test]
    fn files_of_the_user_are_kept_and_the_rest_is_written() {
        let folder = tempfile::tempdir().expect("created");
        let at = |name: &str| folder.path().join(name);
        let health = Arc::new(Health::default());
        for round in 1..=2 {
            let mut sink = PictureSink::new(folder.path(), Arc::clone(&health)).expect("created");
            fs::write(at("one.png"), "mine").expect("written");
            fs::create_dir_all(at("two.png")).expect("created");
            for (number, name) in ["one.jpg", "two.jpg", "three.jpg"].into_iter().enumerate() {
                sink.show(&picture(number as u64, name), &report())
                    .expect("no error");
            }
            assert_eq!(fs::read(at("one.png")).expect("there"), b"mine");
            assert_eq!(health.files_kept.get(), 2 * round);
            assert_eq!(
                file_names(folder.path()),
                ["one.png", "three.png", "two.png"]
            );
        }
    }

    #[test]
    fn a_failed_write_leaves_no_file_behind() {
        let folder = tempfile::tempdir().expect("created");
        let inside = folder.path().join("pictures");
        let mut sink = PictureSink::new(&inside, Arc::default()).expect("created");
        fs::remove_dir(&inside).expect("removed");
        fs::write(&inside, "a file in place of the folder").expect("written");
        let error = sink.show(&frame(0, Origin::Live), &report());
        let error = error.expect_err("there is no folder");
        assert!(matches!(error, SinkError::Write { .. }));
        assert!(error.to_string().contains("frame-000000.png"), "{error}");
        assert_eq!(file_names(folder.path()), ["pictures"]);
    }
}
