//! The snapshots in a folder: their names and their total size.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::label::Labels;
use crate::sink::json::rfc3339;
use crate::sink::picture_files::is_temporary;
use crate::track::Event;

/// The snapshots of one folder, from the oldest to the newest.
#[derive(Debug)]
pub(super) struct SnapshotFolder {
    path: PathBuf,
    /// The maximum total size in bytes.
    budget: u64,
    /// Names and sizes in bytes.
    files: VecDeque<(String, u64)>,
    total: u64,
}

impl SnapshotFolder {
    /// Creates the folder if it does not exist. Deletes temporary files of earlier runs, and their oldest snapshots
    /// beyond the budget.
    pub(super) fn open(path: &Path, budget: u64) -> io::Result<Self> {
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
            } else if metadata.is_file() && is_snapshot(&name) {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((modified, name, metadata.len()));
            }
        }
        found.sort();
        let mut folder = Self {
            path: path.into(),
            budget,
            total: found.iter().map(|(_, _, size)| size).sum(),
            files: found
                .into_iter()
                .map(|(_, name, size)| (name, size))
                .collect(),
        };
        // If it fails, the first snapshot tries again and reports the error.
        let _ = folder.shrink_to(budget);
        Ok(folder)
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// Deletes the oldest files until one of `size` bytes fits. Returns the number of deleted files. A file of the
    /// same name will be replaced.
    ///
    /// # Errors
    /// If the file alone exceeds the budget, or a file cannot be deleted.
    pub(super) fn make_room(&mut self, name: &str, size: u64) -> io::Result<usize> {
        if size > self.budget {
            let budget = self.budget;
            let message = format!(
                "one snapshot has {size} bytes, but the budget for all is {budget}; set a larger \
                 `--snapshots-size`"
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
                remove(&self.path.join(name)).inspect_err(|_| self.add(name.to_owned(), old))?;
            } else {
                self.add(name.to_owned(), old);
            }
        }
        self.shrink_to(self.budget - size)
    }

    /// Adds a file that was written.
    pub(super) fn add(&mut self, name: String, size: u64) {
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
        while self.total > size
            && let Some((name, bytes)) = self.files.front()
        {
            remove(&self.path.join(name))?;
            self.total -= bytes;
            self.files.pop_front();
            removed += 1;
        }
        Ok(removed)
    }
}

/// Deletes a file. It is not an error if it does not exist.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Maximum length of the class in a file name.
const MAX_CLASS_LENGTH: usize = 40;

/// The format of the time in a file name, with 0 for each digit.
const TIME_FORMAT: &str = "00000000T000000.000Z";

/// The file name of an event's snapshot: `20261123T204501.123Z-appeared-apple-17.jpg`. Names sort by time.
pub(super) fn event_file_name(event: &Event, labels: &Labels) -> String {
    let time = rfc3339(event.time).replace(['-', ':'], "");
    let class = labels.name(event.detection.class).unwrap_or("unknown");
    let (class, kind, track) = (sanitized(class), event.kind.name(), event.track);
    format!("{time}-{kind}-{class}-{track}.jpg")
}

/// Replaces characters that are not portable in file names.
fn sanitized(class: &str) -> String {
    let sanitize = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    class.chars().take(MAX_CLASS_LENGTH).map(sanitize).collect()
}

/// Whether the file name is that of a snapshot of any run of boxcam.
fn is_snapshot(name: &str) -> bool {
    is_event(name).unwrap_or(false) || is_frame(name).unwrap_or(false)
}

fn is_event(name: &str) -> Option<bool> {
    let mut parts = name.strip_suffix(".jpg")?.split('-');
    let (time, kind, class, track) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits_as_0: String = time
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    let is_class = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    Some(
        parts.next().is_none()
            && digits_as_0 == TIME_FORMAT
            && ["appeared", "changed", "left"].contains(&kind)
            && class.chars().all(is_class)
            && is_number(track),
    )
}

fn is_frame(name: &str) -> Option<bool> {
    let number = name.strip_prefix("frame-")?.strip_suffix(".png")?;
    // Only numbers of less than six digits have leading zeros.
    let is_padded = number.len() == 6 || (number.len() > 6 && !number.starts_with('0'));
    Some(is_number(number) && is_padded)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::Detection;
    use crate::geometry::NormBox;
    use crate::label::ClassId;
    use crate::track::EventKind;

    /// A folder with snapshots of 10 bytes each, from the oldest to the newest.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("created");
        for (age, name) in names.iter().rev().enumerate() {
            let path = folder.path().join(name);
            fs::write(&path, [0; 10]).expect("written");
            let written = SystemTime::now() - Duration::from_secs(60 * age as u64);
            let file = fs::File::options()
                .append(true)
                .open(path)
                .expect("readable");
            file.set_modified(written).expect("set");
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable").flatten();
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
    fn the_oldest_snapshots_are_deleted_and_other_files_kept() {
        let all = [&OTHERS[..], &[NINE, FIVE, SEVEN, ".boxcam-12.part"]].concat();
        let folder = folder(&all);
        let mut snapshots = SnapshotFolder::open(folder.path(), 25).expect("listed");
        assert_eq!(
            names(folder.path()),
            [&OTHERS[..1], &[FIVE, SEVEN], &OTHERS[1..]].concat()
        );
        assert_eq!(snapshots.make_room("new.png", 5).expect("fits"), 0);
        snapshots.add("new.png".to_owned(), 5);
        assert_eq!(snapshots.make_room("newer.png", 11).expect("fits"), 2);
        assert_eq!(snapshots.total, 5);
        assert_eq!(names(folder.path()), OTHERS);
        let error = snapshots.make_room("large.png", 26).expect_err("too large");
        assert!(
            error.to_string().contains("the budget for all is 25"),
            "{error}"
        );
    }

    #[test]
    fn a_replaced_file_is_counted_once() {
        let folder = folder(&[NINE, FIVE]);
        let mut snapshots = SnapshotFolder::open(folder.path(), 40).expect("listed");
        // The old and the new file fit together.
        snapshots.make_room(NINE, 12).expect("fits");
        assert_eq!((snapshots.total, names(folder.path()).len()), (20, 2));
        snapshots.add(NINE.to_owned(), 12);
        assert_eq!(snapshots.total, 22);
        // The old and the new file do not fit together.
        assert_eq!(snapshots.make_room(FIVE, 25).expect("fits"), 0);
        assert_eq!(
            (snapshots.total, names(folder.path())),
            (12, vec![NINE.to_owned()])
        );
        snapshots.add(FIVE.to_owned(), 25);
        assert_eq!(snapshots.total, 37);
    }

    #[test]
    fn a_file_that_is_already_deleted_is_not_an_error() {
        let folder = folder(&[NINE, FIVE]);
        let mut snapshots = SnapshotFolder::open(folder.path(), 20).expect("listed");
        fs::remove_file(folder.path().join(NINE)).expect("removed");
        assert_eq!(snapshots.make_room(SEVEN, 10).expect("fits"), 1);
        assert_eq!(names(folder.path()), [FIVE]);
    }

    fn event(class: usize, kind: EventKind) -> Event {
        Event {
            kind,
            track: 17,
            detection: Detection {
                class: ClassId::new(class),
                confidence: 0.9,
                bounding_box: NormBox::WHOLE,
            },
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_466_701_123),
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn an_event_file_name_has_time_kind_class_and_track() {
        let labels = ["apple", "hot dog", "../a/ü.jpg-1"].map(str::to_owned);
        let labels = Labels::new(labels.to_vec()).expect("valid");
        let from = ClassId::new(0);
        let cases = [
            (event(0, EventKind::Appeared), "appeared-apple-17.jpg"),
            (
                event(1, EventKind::Changed { from }),
                "changed-hot_dog-17.jpg",
            ),
            (event(2, EventKind::Left), "left-___a___jpg_1-17.jpg"),
        ];
        for (event, expected) in cases {
            let name = event_file_name(&event, &labels);
            assert_eq!(name, format!("20261123T204501.123Z-{expected}"));
            assert!(is_snapshot(&name), "{name}");
        }
    }

    #[test]
    fn names_of_other_files_are_no_snapshots() {
        for name in ["frame-000000.png", "frame-1234567.png"] {
            assert!(is_snapshot(name), "{name}");
        }
        let others = [
            "",
            "apple.png",
            "frame-12.png",
            "frame-0001234.png",
            "frame-000001.jpg",
            "frame-00000x.png",
            "20261123T204501.123Z-appeared-apple-17.png",
            "20261123T204501.123Z-appeared-apple-.jpg",
            "20261123T204501.123Z-appeared-apple-17-2.jpg",
            "20261123T204501.123Z-eaten-apple-17.jpg",
            "20261123-appeared-apple-17.jpg",
            "mine-20261123T204501.123Z-appeared-apple-17.jpg",
        ];
        for other in others {
            assert!(!is_snapshot(other), "{other}");
        }
    }
}
