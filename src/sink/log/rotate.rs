//! Old log files: `out.jsonl.1` is the newest of them, `out.jsonl.2` the one before, and so on.
//!
//! They are moved by renaming only, and never over a file that is still wanted: whenever the program or the
//! machine dies in between, each line is in one file, and there is at most a number missing. The next rotation
//! fills that number before it drops anything.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the old log file with that number.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Makes the log the newest of `keep` old ones; if there are as many already, the oldest is dropped.
///
/// # Errors
/// The system's; then the log is where it was, and can be rotated later.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    let is_free = |number: &u32| is_missing(&numbered(path, *number));
    let free = (1..keep).find(is_free).unwrap_or(keep);
    for number in (1..free).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))?;
    make_safe(path);
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    let about = path.symlink_metadata();
    about.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Sees to it that the names outlast a power cut, where the file system can do that.
fn make_safe(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Without it there is an older name for a while, and no line is lost.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in the log and in its old ones, 0 being the log itself.
    fn contents(path: &Path, keep: u32) -> Vec<Option<String>> {
        let old = (1..=keep + 1).map(|number| numbered(path, number));
        let all = std::iter::once(path.to_path_buf()).chain(old);
        all.map(|path| fs::read_to_string(path).ok()).collect()
    }

    fn log(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn the_newest_are_kept() {
        for keep in 0..4 {
            let (_folder, path) = log("");
            for number in 0..6 {
                fs::write(&path, format!("{number}")).expect("written");
                rotate(&path, keep).expect("rotated");
            }
            let kept = (0..keep).map(|age| Some((5 - age).to_string()));
            let expected: Vec<_> = [None].into_iter().chain(kept).chain([None]).collect();
            assert_eq!(contents(&path, keep), expected);
        }
    }

    #[test]
    fn a_rotation_broken_off_anywhere_loses_nothing() {
        // As it was left when the first so many of the renames were done, the last number first.
        for done in 0..4 {
            let (_folder, path) = log("e");
            for (number, text) in [(1, "d"), (2, "c"), (3, "b")] {
                let number = if number > 3 - done {
                    number + 1
                } else {
                    number
                };
                fs::write(numbered(&path, number), text).expect("written");
            }
            rotate(&path, 5).expect("rotated");
            fs::write(&path, "f").expect("written");
            rotate(&path, 5).expect("rotated");
            let found: Vec<_> = contents(&path, 5).into_iter().flatten().collect();
            assert_eq!(found, ["f", "e", "d", "c", "b"], "{done} renames were done");
        }
    }

    #[test]
    fn a_log_that_cannot_be_rotated_stays() {
        let (_folder, path) = log("a");
        fs::create_dir(numbered(&path, 1)).expect("made");
        rotate(&path, 1).expect_err("a folder is in the way");
        assert_eq!(contents(&path, 0)[0].as_deref(), Some("a"));
    }
}
