//! The files of a sink in a folder whose total size is limited, of this run and of earlier ones.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::output_file::{is_temporary, may_delete};

/// The kind of files that have a common budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileGroup {
    /// What one of them is, for messages: `snapshot`.
    pub(super) item: &'static str,
    /// The option of the budget.
    pub(super) option: &'static str,
    /// Whether the name is that of such a file, of any run of boxcam.
    pub(super) has_name: fn(&str) -> bool,
}

/// The files of one group in one folder, from the oldest to the newest.
///
/// Their order is that of their times of modification, which [`BudgetFolder::next_time`] keeps in the order of writing:
/// a board without a battery for its clock starts in 1970 or at the last known time.
#[derive(Debug)]
pub(super) struct BudgetFolder {
    group: FileGroup,
    path: PathBuf,
    /// The maximum total size in bytes.
    budget: u64,
    /// Names and sizes in bytes.
    files: VecDeque<(String, u64)>,
    total: u64,
    /// The time of modification of the newest file.
    newest: SystemTime,
    /// Whether files that only have a name of the group were left out.
    is_checked: bool,
}

/// The smallest difference of two times that all file systems store; FAT has even seconds.
const TIME_STEP: Duration = Duration::from_secs(2);

impl BudgetFolder {
    /// Creates the folder if it does not exist. Deletes temporary files of earlier runs, and their oldest files
    /// of the group beyond the budget, which is in bytes.
    pub(super) fn open(group: FileGroup, path: &Path, budget: u64) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Another program may delete files at the same time.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_file() && is_temporary(&name) {
                // If it fails, the next start tries again.
                let _ = fs::remove_file(entry.path());
            } else if metadata.is_file() && (group.has_name)(&name) {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((modified, name, metadata.len()));
            }
        }
        found.sort();
        let mut folder = Self {
            group,
            path: path.into(),
            budget,
            total: found.iter().map(|(_, _, size)| size).sum(),
            newest: found
                .last()
                .map_or(SystemTime::UNIX_EPOCH, |(time, ..)| *time),
            is_checked: false,
            files: found
                .into_iter()
                .map(|(_, name, size)| (name, size))
                .collect(),
        };
        // If it fails, the first file tries again and reports the error.
        let _ = folder.shrink_to(budget);
        Ok(folder)
    }

    pub(super) const fn budget(&self) -> u64 {
        self.budget
    }

    /// The paths of the newest files, the oldest of them first.
    pub(super) fn newest(&self, count: usize) -> Vec<PathBuf> {
        let newest = self.files.iter().rev().take(count);
        newest.rev().map(|(name, _)| self.path.join(name)).collect()
    }

    /// Deletes the oldest files until one of `size` bytes fits. Returns the number of deleted files. A file of the
    /// same name will be replaced.
    ///
    /// # Errors
    /// If the file alone exceeds the budget, or a file cannot be deleted.
    pub(super) fn make_room(&mut self, name: &str, size: u64) -> io::Result<usize> {
        if size > self.budget {
            let (budget, FileGroup { item, option, .. }) = (self.budget, self.group);
            let message = format!(
                "one {item} has {size} bytes, but the budget for all is {budget}; set a larger `{option}`"
            );
            return Err(io::Error::new(ErrorKind::QuotaExceeded, message));
        }
        // A file to be replaced becomes the newest, so that it is not deleted for its age.
        if let Some(at) = self.files.iter().rposition(|(file, _)| file == name)
            && let Some((_, old)) = self.files.remove(at)
        {
            self.total -= old;
            // The old file stays until the new one is complete, if both fit.
            if self.total + old + size > self.budget {
                remove(&self.path.join(name)).inspect_err(|_| self.push(name.to_owned(), old))?;
            } else {
                self.push(name.to_owned(), old);
            }
        }
        self.shrink_to(self.budget - size)
    }

    /// The time of modification for the next file: now, or later than that of any other file.
    pub(super) fn next_time(&self, now: SystemTime) -> SystemTime {
        if now > self.newest {
            return now;
        }
        self.newest.checked_add(TIME_STEP).unwrap_or(self.newest)
    }

    /// Adds a file that was written with this time of modification.
    pub(super) fn add(&mut self, name: String, size: u64, time: SystemTime) {
        self.newest = self.newest.max(time);
        self.push(name, size);
    }

    fn push(&mut self, name: String, size: u64) {
        if self.files.back().is_some_and(|(newest, _)| *newest == name)
            && let Some((_, old)) = self.files.pop_back()
        {
            self.total -= old;
        }
        self.total += size;
        self.files.push_back((name, size));
    }

    fn shrink_to(&mut self, size: u64) -> io::Result<usize> {
        let mut removed = 0;
        if self.total > size && !self.is_checked {
            self.leave_out_foreign();
        }
        while self.total > size
            && let Some((name, bytes)) = self.files.front()
        {
            let path = self.path.join(name);
            // A user may have replaced or protected it since.
            if may_delete(&path) || is_missing(&path) {
                remove(&path)?;
                removed += 1;
            }
            self.total -= bytes;
            self.files.pop_front();
        }
        Ok(removed)
    }

    /// Leaves out files that boxcam did not write. They are all read for it, so it is done when files must be deleted.
    fn leave_out_foreign(&mut self) {
        self.is_checked = true;
        let path = &self.path;
        self.files.retain(|(name, _)| {
            let path = path.join(name);
            may_delete(&path) || is_missing(&path)
        });
        self.total = self.files.iter().map(|(_, size)| size).sum();
    }
}

fn is_missing(path: &Path) -> bool {
    let metadata = path.symlink_metadata();
    metadata.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Deletes a file. It is not an error if it does not exist.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use test_support::file_names;

    use super::*;

    const GROUP: FileGroup = FileGroup {
        item: "picture",
        option: "--size",
        has_name: |name| name.starts_with("frame-0") && name.ends_with(".png"),
    };

    /// The least that is recognized as a picture of boxcam.
    const MARKED: [u8; 12] = *b"\xff\xd8\xff\xfe\0\x08boxcam";

    /// A folder with pictures of 12 bytes each, from the oldest to the newest.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("created");
        for (age, name) in names.iter().rev().enumerate() {
            let path = folder.path().join(name);
            fs::write(&path, MARKED).expect("written");
            let written = SystemTime::now() - Duration::from_secs(60 * age as u64);
            let file = fs::File::options()
                .append(true)
                .open(path)
                .expect("readable");
            file.set_modified(written).expect("set");
        }
        folder
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const NINE: &str = "frame-000009.png";
    const FIVE: &str = "frame-000005.png";
    const SEVEN: &str = "frame-000007.png";
    const OTHERS: [&str; 3] = [".boxcam-.part", "frame-1.png", "mine.jpg"];

    #[test]
    fn the_oldest_files_are_deleted_and_other_files_kept() {
        let all = [&OTHERS[..], &[NINE, FIVE, SEVEN, ".boxcam-12.part"]].concat();
        let folder = folder(&all);
        let mut files = BudgetFolder::open(GROUP, folder.path(), 30).expect("listed");
        assert_eq!(
            file_names(folder.path()),
            [&OTHERS[..1], &[FIVE, SEVEN], &OTHERS[1..]].concat()
        );
        assert_eq!(files.newest(1), [folder.path().join(SEVEN)]);
        assert_eq!(files.make_room("new.png", 6).expect("fits"), 0);
        files.add("new.png".to_owned(), 6, NOW);
        assert_eq!(files.make_room("newer.png", 13).expect("fits"), 2);
        assert_eq!(files.total, 6);
        assert_eq!(file_names(folder.path()), OTHERS);
        let error = files.make_room("large.png", 31).expect_err("too large");
        assert!(
            error.to_string().contains("the budget for all is 30"),
            "{error}"
        );
    }

    #[test]
    fn a_replaced_file_is_counted_once() {
        let folder = folder(&[NINE, FIVE]);
        let mut files = BudgetFolder::open(GROUP, folder.path(), 40).expect("listed");
        // The old and the new file fit together.
        files.make_room(NINE, 14).expect("fits");
        assert_eq!((files.total, file_names(folder.path()).len()), (24, 2));
        files.add(NINE.to_owned(), 14, NOW);
        assert_eq!(files.total, 26);
        // The old and the new file do not fit together.
        assert_eq!(files.make_room(FIVE, 25).expect("fits"), 0);
        assert_eq!(
            (files.total, file_names(folder.path())),
            (14, vec![NINE.to_owned()])
        );
        files.add(FIVE.to_owned(), 25, NOW);
        assert_eq!(files.total, 39);
    }

    #[test]
    fn files_without_the_mark_are_neither_deleted_nor_counted() {
        let folder = folder(&[NINE, FIVE, SEVEN, "frame-000001.png"]);
        let at = |name: &str| folder.path().join(name);
        fs::write(at(FIVE), [7; 500]).expect("written");
        fs::remove_file(at(SEVEN)).expect("removed");
        fs::create_dir(at(SEVEN)).expect("created");
        let mut files = BudgetFolder::open(GROUP, folder.path(), 24).expect("listed");
        assert_eq!(files.total, 24);
        assert_eq!(files.make_room("new.png", 20).expect("fits"), 2);
        assert_eq!(file_names(folder.path()), [FIVE, SEVEN]);
        assert_eq!(fs::read(at(FIVE)).expect("there"), [7; 500]);
    }

    #[test]
    fn the_order_of_writing_holds_while_the_clock_is_wrong() {
        let folder = folder(&[NINE, FIVE]);
        let mut files = BudgetFolder::open(GROUP, folder.path(), 100).expect("listed");
        let (before, newest) = (SystemTime::UNIX_EPOCH, files.newest);
        assert!(newest > before);
        let first = files.next_time(before);
        assert!(first >= newest + TIME_STEP);
        files.add(SEVEN.to_owned(), 1, first);
        assert!(files.next_time(before) >= first + TIME_STEP);
        // When the clock is set.
        let now = first + Duration::from_secs(1000);
        assert_eq!(files.next_time(now), now);
    }

    #[test]
    fn a_file_that_is_already_deleted_is_not_an_error() {
        let folder = folder(&[NINE, FIVE]);
        let mut files = BudgetFolder::open(GROUP, folder.path(), 24).expect("listed");
        fs::remove_file(folder.path().join(NINE)).expect("removed");
        assert_eq!(files.make_room(SEVEN, 10).expect("fits"), 1);
        assert_eq!(file_names(folder.path()), [FIVE]);
    }
}
