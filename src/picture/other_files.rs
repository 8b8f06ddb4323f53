//! Files of a folder that are pictures or films of formats that boxcam does not read.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::FileKind;

/// Files of one format in a folder, by their extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFiles {
    pub kind: FileKind,
    pub count: u64,
    /// The first of them.
    pub example: PathBuf,
}

impl OtherFiles {
    /// The files that boxcam does not read, one item for each format. Those beside which a picture of the same name can
    /// be read are left out: they have been converted, or a camera has saved both.
    #[must_use]
    pub fn among<'p>(files: impl Iterator<Item = &'p Path> + Clone) -> Vec<Self> {
        let is_readable =
            |path: &&Path| FileKind::of_extension(path).is_some_and(FileKind::is_readable);
        let readable: HashSet<PathBuf> = files
            .clone()
            .filter(is_readable)
            .map(|path| path.with_extension(""))
            .collect();
        let mut found: BTreeMap<FileKind, Self> = BTreeMap::new();
        for path in files {
            let kind = FileKind::of_extension(path).filter(|kind| !kind.is_readable());
            let Some(kind) = kind else { continue };
            if readable.contains(&path.with_extension("")) {
                continue;
            }
            let files = found.entry(kind).or_insert_with(|| Self {
                kind,
                count: 0,
                example: path.to_path_buf(),
            });
            files.count += 1;
        }
        found.into_values().collect()
    }
}

impl fmt::Display for OtherFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, example) = (self.kind, self.example.display());
        match self.count {
            1 => write!(formatter, "1 {kind} file is not read, {example}")?,
            count => write!(
                formatter,
                "{count} {kind} files are not read, such as {example}"
            )?,
        }
        write!(formatter, "; {}", kind.advice(&self.example))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_named_once() {
        let files = [
            "f/1.HEIC",
            "f/2.heic",
            "f/2.MOV",
            "f/3.heic",
            "f/3.jpg",
            "f/3.mov",
            "g/3.png",
            "f/4.jpg",
            "f/notes.txt",
        ];
        let found = OtherFiles::among(files.iter().map(Path::new));
        let found: Vec<_> = found
            .iter()
            .map(|files| (files.kind, files.count, files.example.as_path()))
            .collect();
        let expected = [
            (FileKind::Heic, 2, Path::new("f/1.HEIC")),
            (FileKind::QuickTime, 1, Path::new("f/2.MOV")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_message_has_the_command() {
        let files = OtherFiles::among([Path::new("a.heic"), Path::new("b.heic")].into_iter());
        let message = files[0].to_string();
        assert!(
            message.starts_with("2 HEIC files are not read, such as a.heic; convert it to JPEG: `heif-convert a.heic a.jpg`"),
            "{message}"
        );
        let film = OtherFiles::among([Path::new("a.mjpeg")].into_iter());
        let message = film[0].to_string();
        assert_eq!(
            message,
            "1 motion JPEG file is not read, a.mjpeg; replay it: `boxcam run --source a.mjpeg`"
        );
    }
}
