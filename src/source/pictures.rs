//! Picture files and folders of them, one after the other.
//!
//! In go paths as the user gave them, out come their pictures in that order, those of a folder (and of
//! the folders in it) by name. A file that the user names is always tried; in a folder only files with the
//! ending of a picture are, the others are passed over. A picture that can't be read is an error of its
//! own and the next call goes on behind it. Replayed, never live: nothing is dropped.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};
use crate::picture::{self, is_image_path};

/// Frames from picture files.
#[derive(Debug)]
pub struct PicturesSource {
    /// What the user gave and has not been looked at yet.
    given: VecDeque<PathBuf>,
    /// What the folder at hand has left to give.
    found: VecDeque<Result<PathBuf, SourceError>>,
    sequence: u64,
}

impl PicturesSource {
    /// A source over files and folders. Nothing is opened or listed before it is asked for.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            given: paths.into_iter().collect(),
            found: VecDeque::new(),
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
        let nothing = Err(SourceError::NoPictures { path: given });
        Some(self.found.pop_front().unwrap_or(nothing))
    }
}

impl FrameSource for PicturesSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(path) = self.next_path().transpose()? else {
            return Ok(None);
        };
        let image = picture::open(&path)?;
        let frame = Frame::new(self.sequence, Origin::Picture(path), image);
        self.sequence += 1;
        Ok(Some(frame))
    }
}

/// The pictures in a folder and below it, sorted by name, and the folders there that can't be listed.
fn list(folder: &Path) -> VecDeque<Result<PathBuf, SourceError>> {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    walk.into_iter()
        .filter_map(|entry| picked(folder, entry))
        .collect()
}

fn picked(
    folder: &Path,
    entry: Result<DirEntry, walkdir::Error>,
) -> Option<Result<PathBuf, SourceError>> {
    let error = match entry {
        Ok(entry) => {
            let is_picture = entry.file_type().is_file() && is_image_path(entry.path());
            return is_picture.then(|| Ok(entry.into_path()));
        }
        Err(error) => error,
    };
    let path = error.path().unwrap_or(folder).to_path_buf();
    if is_image_path(&path) {
        // A link to nowhere: opening it says so, with the path.
        return Some(Ok(path));
    }
    // Folders seen before through a link back, and links of no concern.
    let source = error.into_io_error()?;
    let is_missing = source.kind() == std::io::ErrorKind::NotFound;
    (!is_missing).then_some(Err(SourceError::Folder { path, source }))
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::picture::PictureError;

    /// Names of what comes out, an exclamation mark before what can't be read.
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
                    assert!(frame.scene_start, "each picture is a scene of its own");
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
    fn folders_give_their_pictures_by_name_and_nothing_else() {
        let root = folder_with(&[
            "b/2.jpg",
            "b/10.png",
            "b/a/x.WEBP",
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
    fn the_order_given_is_kept_and_faults_end_nothing() {
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
    fn a_named_file_is_tried_whatever_its_ending() {
        let root = folder_with(&["p.png"]);
        std::fs::rename(root.path().join("p.png"), root.path().join("scan.0001")).expect("moved");
        let source = PicturesSource::new([root.path().join("scan.0001")]);
        assert_eq!(names(source, root.path()), ["0 scan.0001"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_loops_left() {
        use std::os::unix::fs::symlink;
        let root = folder_with(&["f/p.png"]);
        let at = |name: &str| root.path().join(name);
        symlink(at("f"), at("f/again")).expect("linked");
        symlink(at("f/p.png"), at("f/q.png")).expect("linked");
        symlink(at("nowhere.txt"), at("f/r.txt")).expect("linked");
        symlink(at("nowhere.png"), at("f/s.png")).expect("linked");
        let source = PicturesSource::new([at("f")]);
        assert_eq!(
            names(source, root.path()),
            ["0 f/p.png", "1 f/q.png", "! f/s.png"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_by_the_picture_itself() {
        let root = folder_with(&["a.txt"]);
        let mut source = PicturesSource::new([root.path().join("a.txt")]);
        let error = source.next_frame().expect_err("no picture");
        assert!(
            matches!(
                error,
                SourceError::Picture(PictureError::NotAPicture { .. })
            ),
            "{error}"
        );
    }
}
