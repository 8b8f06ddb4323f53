//! Annotated pictures in a folder, one a frame.
//!
//! In go frames and reports, out come PNG files: `apple.png` for the picture `apple.jpg`, `frame-000123.png`
//! for frame 123 of a camera or the demo. PNG, so that what boxcam drew is kept to the pixel. A file appears
//! under its name only when it is whole; a file of that name from an earlier run is replaced.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, RgbImage};

use super::{Sink, SinkError};
use crate::frame::{Frame, Origin};
use crate::overlay::{self, Canvas};
use crate::report::Report;

/// The frame's picture with the report drawn on it, and the true boxes of a made-up scene.
#[must_use]
pub fn annotate(frame: &Frame, report: &Report) -> RgbImage {
    let mut image = frame.image.clone();
    let Ok(()) = overlay::draw(&mut Canvas::new(&mut image), frame, report);
    image
}

/// Writes a file that has its name only when it is whole; one of that name is replaced.
///
/// # Errors
/// [`SinkError::Write`] when it can't be written.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), SinkError> {
    write_whole(path, bytes, Care::Plain).map_err(|source| SinkError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes every frame with its report drawn on it into a folder.
#[derive(Debug)]
pub struct PictureSink {
    folder: PathBuf,
    names: Names,
}

/// Gives each frame the name of its file: the same for the same frames in the same order.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names given to pictures so far, in lower case: some file systems don't tell the cases apart.
    taken: HashSet<String>,
}

impl PictureSink {
    /// A sink into a folder, which is made if it isn't there.
    ///
    /// # Errors
    /// [`SinkError::Write`] when the folder can't be made.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, SinkError> {
        let folder = folder.into();
        if let Err(source) = fs::create_dir_all(&folder) {
            return Err(SinkError::Write {
                path: folder,
                source,
            });
        }
        Ok(Self {
            folder,
            names: Names::default(),
        })
    }
}

impl Names {
    /// A name that no frame of this run has had.
    pub(super) fn next(&mut self, frame: &Frame) -> String {
        match &frame.origin {
            Origin::Picture(path) => format!("{}.png", self.unique(&stem(path, frame.sequence))),
            // The number is unique; to keep all names of a run that goes on for months would fill the memory.
            Origin::Live | Origin::Scene(_) => format!("{}.png", frame_name(frame.sequence)),
        }
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut copy = 2_u64;
        while !self.taken.insert(name.to_lowercase()) {
            name = format!("{wanted}-{copy}");
            copy += 1;
        }
        name
    }
}

fn stem(path: &Path, sequence: u64) -> String {
    path.file_stem().map_or_else(
        || frame_name(sequence),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

fn frame_name(sequence: u64) -> String {
    format!("frame-{sequence:06}")
}

impl Sink for PictureSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        let path = self.folder.join(self.names.next(frame));
        let error = match png(&annotate(frame, report)) {
            Ok(bytes) => write_whole(&path, &bytes, Care::Plain).err(),
            Err(ImageError::IoError(source)) => Some(source),
            Err(source) => return Err(SinkError::Encode { path, source }),
        };
        error.map_or(Ok(()), |source| Err(SinkError::Write { path, source }))
    }
}

/// A picture as a PNG file.
pub(super) fn png(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    // They are written while frames wait: a fast encoding of a somewhat larger file.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            image.as_raw(),
            image.width(),
            image.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    Ok(bytes)
}

/// How much is done for a file to outlast a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// What the system does by itself.
    Plain,
    /// The file is on the disk before it has its name.
    Synced,
}

/// Writes a file that has its name only when it is whole.
pub(super) fn write_whole(path: &Path, bytes: &[u8], care: Care) -> io::Result<()> {
    let unfinished = path.with_file_name(unfinished());
    let written = File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            match care {
                Care::Plain => Ok(()),
                Care::Synced => file.sync_data(),
            }
        })
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The first error is the one to tell of.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Name of a file that is not whole yet. It starts with a dot and says whose it is, so that nobody takes it
/// for a picture.
fn unfinished() -> String {
    format!(".boxcam-{}.part", std::process::id())
}

/// Whether that is the name of a file that was not whole yet.
pub(super) fn is_unfinished(name: &str) -> bool {
    let process = name.strip_prefix(".boxcam-");
    process
        .and_then(|rest| rest.strip_suffix(".part"))
        .is_some_and(|process| process.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::detect::Detection;
    use crate::frame::GroundTruth;
    use crate::geometry::NormBox;
    use crate::label::{ClassId, Labels};

    fn frame(sequence: u64, origin: Origin) -> Frame {
        let grey = RgbImage::from_pixel(64, 48, image::Rgb([90; 3]));
        Frame::new(sequence, origin, grey)
    }

    fn picture(sequence: u64, path: &str) -> Frame {
        frame(sequence, Origin::Picture(path.into()))
    }

    fn report() -> Report {
        let labels = Labels::new(vec!["apple".to_owned()]).expect("sound");
        Report {
            detection: Some(Detection {
                class: ClassId::new(0),
                confidence: 0.9,
                bounding_box: NormBox::new(0.2, 0.8, 0.2, 0.8).expect("sound"),
            }),
            inference: Duration::from_millis(10),
            frame_age: Duration::from_millis(10),
            frames_per_second: None,
            dropped: 0,
            ..Report::waiting(Arc::new(labels), "0123abcd".into())
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_frame_has_a_whole_picture_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("new/snapshots");
        let mut sink = PictureSink::new(&inside).expect("made");
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
        assert_eq!(names(&inside), expected);
        let written = image::open(inside.join("one.png")).expect("a picture");
        assert_eq!(written.into_rgb8(), annotate(&frames[0], &report()));
    }

    #[test]
    fn an_annotated_picture_shows_the_truth_of_a_scene() {
        let truth = vec![GroundTruth {
            label: "apple".to_owned(),
            bounding_box: NormBox::new(0.1, 0.6, 0.1, 0.6).expect("sound"),
        }];
        let live = annotate(&frame(0, Origin::Live), &report());
        let scene = annotate(&frame(0, Origin::Scene(truth)), &report());
        assert_eq!(live.dimensions(), (64, 48));
        assert_ne!(live, frame(0, Origin::Live).image);
        assert_ne!(live, scene);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "in the way").expect("written");
        let error = PictureSink::new(file.join("below")).expect_err("a file is in the way");
        assert!(error.to_string().contains("below"), "{error}");
    }

    #[test]
    fn a_picture_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sink = PictureSink::new(folder.path()).expect("made");
        // A folder of the picture's name can't be replaced by a file.
        fs::create_dir(folder.path().join("frame-000000.png")).expect("made");
        let error = sink.show(&frame(0, Origin::Live), &report());
        let error = error.expect_err("a folder is in the way");
        assert!(matches!(error, SinkError::Write { .. }));
        assert!(error.to_string().contains("frame-000000.png"), "{error}");
        assert_eq!(names(folder.path()), ["frame-000000.png"]);
    }
}
