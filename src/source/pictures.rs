//! Picture files and folders as a source.
//!
//! Pictures are returned in the order of the given paths; those of a folder and its subfolders are sorted by name. A file
//! that the user names is always read, and every frame of it if it is a recording; in a folder, hidden files and those
//! without the extension of a picture are ignored. A picture that can't be read is a recoverable error, and so are the
//! pictures and films of each other format in a folder.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::recording::{RecordingSource, is_recording};
use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};
use crate::picture::{self, FileKind, OtherFiles, is_image_path};
use crate::walk::{self, WalkError};

#[derive(Debug)]
pub struct PicturesSource {
    /// Paths from the user that were not visited yet.
    given: VecDeque<PathBuf>,
    /// The rest of the current folder.
    found: VecDeque<Result<PathBuf, SourceError>>,
    /// The recording that is read.
    recording: Option<RecordingSource>,
    sequence: u64,
}

impl PicturesSource {
    /// A source over files and folders. They are opened and listed on demand.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            given: paths.into_iter().collect(),
            found: VecDeque::new(),
            recording: None,
            sequence: 0,
        }
    }

    fn next_path(&mut self) -> Option<Result<PathBuf, SourceError>> {
        if let Some(found) = self.found.pop_front() {
            return Some(found);
        }
        let given = self.given.pop_front()?;
        if !given.is_dir() {
            return Some(Ok(given));
        }
        self.found = list(&given);
        let empty = Err(SourceError::NoPictures { path: given });
        Some(self.found.pop_front().unwrap_or(empty))
    }
}

impl FrameSource for PicturesSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if let Some(recording) = &mut self.recording {
            match recording.next_frame() {
                Ok(None) => self.recording = None,
                next => return next,
            }
        }
        // A pipe would lose what is read here.
        let is_file = self.given.front().is_some_and(|path| path.is_file());
        let is_given_file = is_file && self.found.is_empty();
        let Some(path) = self.next_path().transpose()? else {
            return Ok(None);
        };
        if is_given_file && is_recording(&path).unwrap_or(false) {
            self.recording = Some(RecordingSource::open(path)?);
            return self.next_frame();
        }
        let image = picture::open(&path)?;
        let frame = Frame::new(self.sequence, Origin::Picture(path), image);
        self.sequence += 1;
        Ok(Some(frame))
    }
}

/// The pictures in a folder and its subfolders, sorted by name, and errors for what can't be listed.
pub(super) fn list(folder: &Path) -> VecDeque<Result<PathBuf, SourceError>> {
    let is_known = |path: &Path| FileKind::of_extension(path).is_some();
    let found = walk::files(folder, usize::MAX, is_known).into_iter();
    let found: Vec<_> = found.map(|found| found.or_else(listing_error)).collect();
    let others = OtherFiles::among(found.iter().flatten().map(PathBuf::as_path));
    let others = others.into_iter().map(|files| {
        Err(SourceError::OtherFiles {
            folder: folder.to_path_buf(),
            files,
        })
    });
    let is_read =
        |found: &Result<PathBuf, _>| found.as_ref().map_or(true, |path| is_image_path(path));
    found.into_iter().filter(is_read).chain(others).collect()
}

fn listing_error(error: WalkError) -> Result<PathBuf, SourceError> {
    match error {
        // Opening it returns an error with the path.
        WalkError::Link { path, .. } if is_image_path(&path) => Ok(path),
        WalkError::Link { path, source } | WalkError::Folder { path, source } => {
            Err(SourceError::Folder { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::picture::PictureError;

    /// Sequence numbers and names of the frames, and names of unreadable files with an exclamation mark.
    fn names(mut source: PicturesSource, root: &Path) -> Vec<String> {
        let below = |path: &Path| {
            let path = path.strip_prefix(root).expect("below the root");
            path.display().to_string()
        };
        let mut names = Vec::new();
        loop {
            match source.next_frame() {
                Ok(None) => return names,
                Ok(Some(frame)) => {
                    let Origin::Picture(path) = &frame.origin else {
                        panic!("{frame:?}");
                    };
                    assert!(frame.scene_start, "each picture is its own scene");
                    names.push(format!("{} {}", frame.sequence, below(path)));
                }
                Err(error) => {
                    assert!(error.is_recoverable(), "{error}");
                    names.push(format!("! {}", below(error.path().expect("has one"))));
                }
            }
        }
    }

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            if is_image_path(&path) {
                let format = image::ImageFormat::Png;
                RgbImage::new(3, 2)
                    .save_with_format(path, format)
                    .expect("written");
            } else {
                std::fs::write(path, "no picture").expect("written");
            }
        }
        root
    }

    #[test]
    fn folders_are_read_by_name_and_other_files_ignored() {
        let root = folder_with(&[
            "b/2.jpg",
            "b/10.png",
            "b/a/x.WEBP",
            "b/._2.jpg",
            "b/.trash/3.jpg",
            "b/@eaDir/2.jpg/SYNO_THUMB.jpg",
            "b/notes.txt",
            "b/Thumbs.db",
        ]);
        std::fs::create_dir(root.path().join("b/folder.jpg")).expect("made");
        let source = PicturesSource::new([root.path().join("b")]);
        assert_eq!(
            names(source, root.path()),
            ["0 b/10.png", "1 b/2.jpg", "2 b/a/x.WEBP"]
        );
    }

    #[test]
    fn pictures_of_other_formats_are_named_once_for_each() {
        let root = folder_with(&["f/1.jpg"]);
        for name in [
            "f/1.heic",
            "f/2.HEIC",
            "f/3.heic",
            "f/film.mp4",
            "f/notes.txt",
        ] {
            std::fs::write(root.path().join(name), "").expect("written");
        }
        let mut source = PicturesSource::new([root.path().join("f")]);
        assert!(source.next_frame().expect("a picture").is_some());
        for expected in [
            "f: 2 HEIC files are not read, such as",
            "f: 1 MP4 file is not read,",
        ] {
            let error = source.next_frame().expect_err("not read");
            assert!(
                error.is_recoverable() && error.to_string().contains(expected),
                "{error}"
            );
        }
        assert!(source.next_frame().expect("the end").is_none());
    }

    #[test]
    fn the_order_of_paths_is_kept_and_errors_are_recoverable() {
        let root = folder_with(&["z.png", "a.txt", "only/readme.md", "f/p.png"]);
        std::fs::write(root.path().join("f/broken.jpg"), "").expect("written");
        let given = ["z.png", "a.txt", "none.png", "only", "f", "z.png"];
        let source = PicturesSource::new(given.map(|name| root.path().join(name)));
        let expected = [
            "0 z.png",
            "! a.txt",
            "! none.png",
            "! only",
            "! f/broken.jpg",
            "1 f/p.png",
            "2 z.png",
        ];
        assert_eq!(names(source, root.path()), expected);
    }

    #[test]
    fn a_named_file_is_read_with_any_extension() {
        let root = folder_with(&["p.png"]);
        std::fs::rename(root.path().join("p.png"), root.path().join("scan.0001")).expect("moved");
        let source = PicturesSource::new([root.path().join("scan.0001")]);
        assert_eq!(names(source, root.path()), ["0 scan.0001"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_except_loops() {
        use std::os::unix::fs::symlink;
        let root = folder_with(&["f/p.png"]);
        let at = |name: &str| root.path().join(name);
        symlink(at("f"), at("f/again")).expect("linked");
        symlink(at("f/p.png"), at("f/q.png")).expect("linked");
        symlink(at("nowhere.txt"), at("f/r.txt")).expect("linked");
        symlink(at("nowhere.png"), at("f/s.png")).expect("linked");
        symlink(at("nowhere"), at("f/t")).expect("linked");
        let source = PicturesSource::new([at("f")]);
        assert_eq!(
            names(source, root.path()),
            ["0 f/p.png", "1 f/q.png", "! f/s.png", "! f/t"]
        );
    }

    #[test]
    fn a_file_that_is_not_a_picture_is_reported() {
        let root = folder_with(&["a.txt"]);
        let mut source = PicturesSource::new([root.path().join("a.txt")]);
        let error = source.next_frame().expect_err("not a picture");
        assert!(
            matches!(
                error,
                SourceError::Picture(PictureError::NotAPicture { .. })
            ),
            "{error}"
        );
    }
}
