//! Checks of the logs after a power cut, and after boxcam continued them.

use serde_json::Value;

use crate::computer::Results;

/// The files of a rotated log, oldest first.
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
        // The current file may be empty after the power cut.
        files.push(results.text(&current));
        Self { files }
    }

    /// All complete lines. Only the last line of the last file may be truncated.
    #[track_caller]
    fn complete_lines(&self) -> String {
        let mut text = self.files.concat();
        let (last, rotated) = self.files.split_last().expect("there is a file");
        for file in rotated {
            assert!(
                file.ends_with('\n'),
                "a truncated line in a rotated file: {file}"
            );
        }
        let truncated = last.len() - last.rfind('\n').map_or(0, |at| at + 1);
        text.truncate(text.len() - truncated);
        text
    }
}

/// After a power cut, synced lines are on the disk, no line is damaged, and boxcam appended to the logs.
#[track_caller]
pub(crate) fn assert_logs_survive(results: &Results) {
    let (before, after) = assert_log(results, "events");
    // Each event is synced, at the latest with the next one.
    let synced = before
        .rfind("\"state\":\"reopening\"")
        .expect("the script waits for it");
    assert!(after.len() > synced, "{before} became {after}");
    let (_, after) = assert_log(results, "frames");
    // Each file is synced before the next one is started, and there were at least two.
    let lines = after.lines().count();
    assert!(lines > 10, "only {lines} lines");
}

/// The log is valid. Returns its complete lines before and after the power cut.
#[track_caller]
fn assert_log(results: &Results, name: &str) -> (String, String) {
    let before = Log::read(results, "before", name).complete_lines();
    let after = Log::read(results, "after", name).complete_lines();
    let resumed = Log::read(results, "resumed", name);
    // boxcam logged more between the copy and the power cut.
    let shared = before.len().min(after.len());
    assert_eq!(before[..shared], after[..shared]);
    let text = resumed.files.concat();
    let new = text.strip_prefix(&after);
    let new = new.unwrap_or_else(|| panic!("{after} became {text}"));
    assert!(new.ends_with('\n'), "{new}");
    for part in [&after, new] {
        assert_ascending(part);
    }
    (before, after)
}

/// Each line is a JSON object, and the frame numbers ascend; there is at least one.
#[track_caller]
fn assert_ascending(lines: &str) {
    let parsed =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let lines: Vec<Value> = lines.lines().map(parsed).collect();
    let frames = lines.iter().filter_map(|line| line["frame"].as_u64());
    let frames: Vec<u64> = frames.collect();
    assert!(!frames.is_empty(), "{lines:?}");
    assert!(frames.is_sorted(), "{frames:?}");
}
