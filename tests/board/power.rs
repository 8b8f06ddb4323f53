//! What a log must be like after the power was cut, and after boxcam went on with it.

use serde_json::Value;

use crate::computer::Results;

/// The files of a log, the oldest first.
struct Log {
    files: Vec<String>,
}

impl Log {
    #[track_caller]
    fn read(results: &Results, folder: &str, name: &str) -> Self {
        let current = format!("{folder}/{name}.log");
        let rotated = (1..).map(|number| format!("{current}.{number}"));
        let rotated = rotated.take_while(|file| results.has(file));
        let mut files: Vec<String> = rotated.map(|file| results.text(&file)).collect();
        files.reverse();
        // A new file may have had a name, and nothing else, when the power went.
        files.push(results.text(&current));
        Self { files }
    }

    /// All whole lines. Only the last one of the last file may be torn.
    #[track_caller]
    fn whole(&self) -> String {
        let mut text = self.files.concat();
        let (last, rotated) = self.files.split_last().expect("there is a file");
        for file in rotated {
            assert!(
                file.ends_with('\n'),
                "a torn line in a file that was rotated: {file}"
            );
        }
        let torn = last.len() - last.rfind('\n').map_or(0, |at| at + 1);
        text.truncate(text.len() - torn);
        text
    }
}

/// The power was cut and came back: nothing that had to be on the disk is missing, nothing in it is broken, and boxcam
/// went on behind it.
#[track_caller]
pub(crate) fn assert_power(results: &Results) {
    let (before, after) = assert_log(results, "events");
    // Each event is put on the disk, if need be with the next one.
    let safe = before
        .rfind("\"state\":\"reopening\"")
        .expect("it was waited for");
    assert!(after.len() > safe, "of {before} the disk had only {after}");
    let (_, after) = assert_log(results, "frames");
    // So is each file before the next is begun; of those there were two at the least.
    let lines = after.lines().count();
    assert!(lines > 10, "the disk had {lines} lines");
}

/// That log is sound; what had been logged a moment before the cut, and what the disk had of it.
#[track_caller]
fn assert_log(results: &Results, name: &str) -> (String, String) {
    let before = Log::read(results, "before", name).whole();
    let after = Log::read(results, "after", name).whole();
    let resumed = Log::read(results, "resumed", name);
    // Between the copy and the cut boxcam went on.
    let shared = before.len().min(after.len());
    assert_eq!(before[..shared], after[..shared]);
    let text = resumed.files.concat();
    let new = text.strip_prefix(&after);
    let new = new.unwrap_or_else(|| panic!("{after} became {text}"));
    assert!(new.ends_with('\n'), "{new}");
    for part in [&after, new] {
        assert_rising(part);
    }
    (before, after)
}

/// Each line is an object, and the numbers of the frames rise, of which there are some.
#[track_caller]
fn assert_rising(lines: &str) {
    let parsed =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let lines: Vec<Value> = lines.lines().map(parsed).collect();
    let frames = lines.iter().filter_map(|line| line["frame"].as_u64());
    let frames: Vec<u64> = frames.collect();
    assert!(!frames.is_empty(), "{lines:?}");
    assert!(frames.is_sorted(), "{frames:?}");
}
