//! The snapshots in a folder, and how much all of them have.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::name::is_snapshot;
use crate::sink::picture::is_unfinished;

/// The snapshots of one folder, from the oldest to the newest.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// Bytes that all may have together.
    budget: u64,
    /// Names and sizes in bytes.
    stored: VecDeque<(String, u64)>,
    total: u64,
}

impl Store {
    /// What earlier runs left in the folder, which is made if it isn't there. What they did not finish is
    /// removed, and what is too much for the budget.
    pub(super) fn open(folder: &Path, budget: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Whoever deletes files meanwhile is welcome.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            if about.is_file() && is_unfinished(&name) {
                // It is in nobody's way if it stays, and the next start tries again.
                let _ = fs::remove_file(entry.path());
            } else if about.is_file() && is_snapshot(&name) {
                let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((written, name, about.len()));
            }
        }
        found.sort();
        let mut store = Self {
            folder: folder.into(),
            budget,
            total: found.iter().map(|(_, _, size)| size).sum(),
            stored: found
                .into_iter()
                .map(|(_, name, size)| (name, size))
                .collect(),
        };
        // What can't be removed now is tried again with the first snapshot, which then says why not.
        let _ = store.shrink_to(budget);
        Ok(store)
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// Removes the oldest until a file of that size fits in; how many were removed. A file of the same name
    /// is going to be replaced.
    ///
    /// # Errors
    /// When the file alone is too large, or the system's.
    pub(super) fn make_room(&mut self, name: &str, size: u64) -> io::Result<usize> {
        if size > self.budget {
            let budget = self.budget;
            let message = format!("one snapshot has {size} bytes, all may have {budget}");
            return Err(io::Error::new(ErrorKind::QuotaExceeded, message));
        }
        // As the newest, what is to be replaced is not removed for its age.
        if let Some(at) = self.stored.iter().rposition(|(stored, _)| stored == name)
            && let Some((_, old)) = self.stored.remove(at)
        {
            self.total -= old;
            // The old one stays until the new one is whole, if there is room for both.
            if self.total + old + size > self.budget {
                remove(&self.folder.join(name)).inspect_err(|_| self.add(name.to_owned(), old))?;
            } else {
                self.add(name.to_owned(), old);
            }
        }
        self.shrink_to(self.budget - size)
    }

    /// Takes note of a file that was written.
    pub(super) fn add(&mut self, name: String, size: u64) {
        if self
            .stored
            .back()
            .is_some_and(|(newest, _)| *newest == name)
            && let Some((_, old)) = self.stored.pop_back()
        {
            self.total -= old;
        }
        self.total += size;
        self.stored.push_back((name, size));
    }

    fn shrink_to(&mut self, size: u64) -> io::Result<usize> {
        let mut removed = 0;
        while self.total > size
            && let Some((name, bytes)) = self.stored.front()
        {
            remove(&self.folder.join(name))?;
            self.total -= bytes;
            self.stored.pop_front();
            removed += 1;
        }
        Ok(removed)
    }
}

/// Removes a file, or somebody else has done so.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A folder with snapshots of 10 bytes each, from the oldest to the newest.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (age, name) in names.iter().rev().enumerate() {
            let path = folder.path().join(name);
            fs::write(&path, [0; 10]).expect("written");
            let written = SystemTime::now() - Duration::from_secs(60 * age as u64);
            let file = fs::File::options().append(true).open(path).expect("there");
            file.set_modified(written).expect("a time");
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("there").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    const NINE: &str = "frame-000009.png";
    const FIVE: &str = "frame-000005.png";
    const SEVEN: &str = "frame-000007.png";
    const OTHERS: [&str; 3] = [".boxcam-.part", "frame-1.png", "mine.jpg"];

    #[test]
    fn what_is_too_much_goes_by_age_and_others_are_not_touched() {
        let all = [&OTHERS[..], &[NINE, FIVE, SEVEN, ".boxcam-12.part"]].concat();
        let folder = folder(&all);
        let mut store = Store::open(folder.path(), 25).expect("listed");
        assert_eq!(
            names(folder.path()),
            [&OTHERS[..1], &[FIVE, SEVEN], &OTHERS[1..]].concat()
        );
        assert_eq!(store.make_room("new.png", 5).expect("fits"), 0);
        store.add("new.png".to_owned(), 5);
        assert_eq!(store.make_room("newer.png", 11).expect("fits"), 2);
        assert_eq!(store.total, 5);
        assert_eq!(names(folder.path()), OTHERS);
        let error = store.make_room("large.png", 26).expect_err("is too large");
        assert!(error.to_string().contains("all may have 25"), "{error}");
    }

    #[test]
    fn what_is_replaced_is_counted_once() {
        let folder = folder(&[NINE, FIVE]);
        let mut store = Store::open(folder.path(), 40).expect("listed");
        // There is room for the old and the new one, for as long as both are there.
        store.make_room(NINE, 12).expect("fits");
        assert_eq!((store.total, names(folder.path()).len()), (20, 2));
        store.add(NINE.to_owned(), 12);
        assert_eq!(store.total, 22);
        // There is not.
        assert_eq!(store.make_room(FIVE, 25).expect("fits"), 0);
        assert_eq!(
            (store.total, names(folder.path())),
            (12, vec![NINE.to_owned()])
        );
        store.add(FIVE.to_owned(), 25);
        assert_eq!(store.total, 37);
    }

    #[test]
    fn what_somebody_else_removed_is_no_fault() {
        let folder = folder(&[NINE, FIVE]);
        let mut store = Store::open(folder.path(), 20).expect("listed");
        fs::remove_file(folder.path().join(NINE)).expect("removed");
        assert_eq!(store.make_room(SEVEN, 10).expect("fits"), 1);
        assert_eq!(names(folder.path()), [FIVE]);
    }
}
