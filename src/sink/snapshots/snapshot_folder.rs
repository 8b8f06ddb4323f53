//! The snapshots in a folder: their names and their total size.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::label::Labels;
use crate::output_file::{is_temporary, may_delete};
use crate::sink::json::rfc3339;
use crate::track::Event;
use crate::zone::ZoneMap;

/// The snapshots of one folder, from the oldest to the newest.
///
/// Their order is that of their times of modification, which [`SnapshotFolder::next_time`] keeps in the order of writing:
/// a board without a battery for its clock starts in 1970 or at the last known time.
#[derive(Debug)]
pub(super) struct SnapshotFolder {
    path: PathBuf,
    /// The maximum total size in bytes.
    budget: u64,
    /// Names and sizes in bytes.
    files: VecDeque<(String, u64)>,
    total: u64,
    /// The time of modification of the newest file.
    newest: SystemTime,
    /// Whether files that only have the name of a snapshot were left out.
    is_checked: bool,
}

/// The smallest difference of two times that all file systems store; FAT has even seconds.
const TIME_STEP: Duration = Duration::from_secs(2);

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
            newest: found
                .last()
                .map_or(SystemTime::UNIX_EPOCH, |(time, ..)| *time),
            is_checked: false,
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

/// Maximum length of the class in a file name.
const MAX_CLASS_LENGTH: usize = 40;

/// The format of the time in a file name, with 0 for each digit.
const TIME_FORMAT: &str = "00000000T000000.000Z";

/// The file name of an event's snapshot: `20261123T204501.123Z-appeared-apple-17.jpg`, and of one in a zone or at a line
/// `20261123T204501.123Z-entered-apple-17-table.jpg`. Names sort by time.
pub(super) fn event_file_name(event: &Event, labels: &Labels, zones: &ZoneMap) -> String {
    let time = rfc3339(event.time).replace(['-', ':'], "");
    let class = labels.name(event.detection.class).unwrap_or("unknown");
    let (class, kind, track) = (sanitized(class), event.kind.name(), event.track);
    let place = event.kind.place(zones);
    let place = place.map_or_else(String::new, |name| format!("-{}", sanitized(name)));
    format!("{time}-{kind}-{class}-{track}{place}.jpg")
}

/// Replaces characters that are not portable in file names.
fn sanitized(name: &str) -> String {
    let sanitize = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    name.chars().take(MAX_CLASS_LENGTH).map(sanitize).collect()
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
    let is_name = |name: &str| {
        let is_valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        name.chars().all(is_valid)
    };
    let place = parts.next();
    let is_kind = match place {
        None => ["appeared", "changed", "left"].contains(&kind),
        Some(_) => ["entered", "left_zone", "loitering", "crossed"].contains(&kind),
    };
    Some(
        parts.next().is_none()
            && digits_as_0 == TIME_FORMAT
            && is_kind
            && is_name(class)
            && is_number(track)
            && place.is_none_or(|place| !place.is_empty() && is_name(place)),
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
    use crate::zone::Direction;

    /// The least that is recognized as a snapshot of boxcam.
    const MARKED: [u8; 12] = *b"\xff\xd8\xff\xfe\0\x08boxcam";

    /// A folder with snapshots of 12 bytes each, from the oldest to the newest.
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

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const NINE: &str = "frame-000009.png";
    const FIVE: &str = "frame-000005.png";
    const SEVEN: &str = "frame-000007.png";
    const OTHERS: [&str; 3] = [".boxcam-.part", "frame-1.png", "mine.jpg"];

    #[test]
    fn the_oldest_snapshots_are_deleted_and_other_files_kept() {
        let all = [&OTHERS[..], &[NINE, FIVE, SEVEN, ".boxcam-12.part"]].concat();
        let folder = folder(&all);
        let mut snapshots = SnapshotFolder::open(folder.path(), 30).expect("listed");
        assert_eq!(
            names(folder.path()),
            [&OTHERS[..1], &[FIVE, SEVEN], &OTHERS[1..]].concat()
        );
        assert_eq!(snapshots.make_room("new.png", 6).expect("fits"), 0);
        snapshots.add("new.png".to_owned(), 6, NOW);
        assert_eq!(snapshots.make_room("newer.png", 13).expect("fits"), 2);
        assert_eq!(snapshots.total, 6);
        assert_eq!(names(folder.path()), OTHERS);
        let error = snapshots.make_room("large.png", 31).expect_err("too large");
        assert!(
            error.to_string().contains("the budget for all is 30"),
            "{error}"
        );
    }

    #[test]
    fn a_replaced_file_is_counted_once() {
        let folder = folder(&[NINE, FIVE]);
        let mut snapshots = SnapshotFolder::open(folder.path(), 40).expect("listed");
        // The old and the new file fit together.
        snapshots.make_room(NINE, 14).expect("fits");
        assert_eq!((snapshots.total, names(folder.path()).len()), (24, 2));
        snapshots.add(NINE.to_owned(), 14, NOW);
        assert_eq!(snapshots.total, 26);
        // The old and the new file do not fit together.
        assert_eq!(snapshots.make_room(FIVE, 25).expect("fits"), 0);
        assert_eq!(
            (snapshots.total, names(folder.path())),
            (14, vec![NINE.to_owned()])
        );
        snapshots.add(FIVE.to_owned(), 25, NOW);
        assert_eq!(snapshots.total, 39);
    }

    #[test]
    fn files_without_the_mark_are_neither_deleted_nor_counted() {
        let folder = folder(&[NINE, FIVE, SEVEN, "frame-000001.png"]);
        let at = |name: &str| folder.path().join(name);
        fs::write(at(FIVE), [7; 500]).expect("written");
        fs::remove_file(at(SEVEN)).expect("removed");
        fs::create_dir(at(SEVEN)).expect("created");
        let mut snapshots = SnapshotFolder::open(folder.path(), 24).expect("listed");
        assert_eq!(snapshots.total, 24);
        assert_eq!(snapshots.make_room("new.png", 20).expect("fits"), 2);
        assert_eq!(names(folder.path()), [FIVE, SEVEN]);
        assert_eq!(fs::read(at(FIVE)).expect("there"), [7; 500]);
    }

    #[test]
    fn the_order_of_writing_holds_while_the_clock_is_wrong() {
        let folder = folder(&[NINE, FIVE]);
        let mut snapshots = SnapshotFolder::open(folder.path(), 100).expect("listed");
        let (before, newest) = (SystemTime::UNIX_EPOCH, snapshots.newest);
        assert!(newest > before);
        let first = snapshots.next_time(before);
        assert!(first >= newest + TIME_STEP);
        snapshots.add(SEVEN.to_owned(), 1, first);
        assert!(snapshots.next_time(before) >= first + TIME_STEP);
        // When the clock is set.
        let now = first + Duration::from_secs(1000);
        assert_eq!(snapshots.next_time(now), now);
    }

    #[test]
    fn a_file_that_is_already_deleted_is_not_an_error() {
        let folder = folder(&[NINE, FIVE]);
        let mut snapshots = SnapshotFolder::open(folder.path(), 24).expect("listed");
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
            let name = event_file_name(&event, &labels, &ZoneMap::default());
            assert_eq!(name, format!("20261123T204501.123Z-{expected}"));
            assert!(is_snapshot(&name), "{name}");
        }
    }

    #[test]
    fn the_file_name_of_an_event_in_a_zone_or_at_a_line_ends_with_its_name() {
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid");
        let zone = "front door-1=0,0;1,0;1,1".parse().expect("a zone");
        let line = "gate=0,0;1,1".parse().expect("a line");
        let map = ZoneMap::new(vec![zone], vec![line], false).expect("valid");
        let (zone, line) = (map.zones().next(), map.lines().next());
        let (zone, line) = (zone.expect("a zone").0, line.expect("a line").0);
        let direction = Direction::In;
        let cases = [
            (
                EventKind::Entered { zone },
                "entered-apple-17-front_door_1.jpg",
            ),
            (
                EventKind::LeftZone { zone },
                "left_zone-apple-17-front_door_1.jpg",
            ),
            (
                EventKind::Loitering { zone },
                "loitering-apple-17-front_door_1.jpg",
            ),
            (
                EventKind::Crossed { line, direction },
                "crossed-apple-17-gate.jpg",
            ),
        ];
        for (kind, expected) in cases {
            let name = event_file_name(&event(0, kind), &labels, &map);
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
