//! Scripts that replace `rpicam-vid` and fail on request, and the run that uses them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{TestDir, rpicam};

/// Delivers frames until the file `gone` exists; then it exits like `rpicam-vid` without a camera.
pub(crate) const VANISHING: &str = "\
lost() { echo 'ERROR: *** no cameras available ***' >&2; exit 255; }
while :; do [ -e gone ] && lost; cat red.mjpg; sleep 0.03; done";

/// The same, but it hangs while the file exists, also at its start.
pub(crate) const HANGING: &str = "\
echo $$ >> numbers
while :; do [ -e gone ] && exec sleep 600; cat red.mjpg; sleep 0.03; done";

/// Delivers frames and then fails, in another way each time it is started.
///
/// Its process numbers are appended to `numbers`. Its children stay in its process group.
pub(crate) const FAULTY: &str = "\
echo $$ >> numbers
fault=$(( $(wc -l < numbers) % 10 ))
for frame in 1 2 3 4 5 6 7 8 9 10 11 12; do cat red.mjpg; sleep 0.03; done
case $fault in
0) echo 'ERROR: *** out of memory ***' >&2; exit 1;;
1) kill -KILL $$;;
2) exec sleep 600;;
3) head -c 300 red.mjpg; exec sleep 600;;
4) exec cat /dev/urandom;;
5) for burst in 1 2 3 4 5 6 7 8 9 10; do cat many.mjpg; done; exit 0;;
6) for frame in 1 2 3; do cat large.mjpg; sleep 0.03; done; exit 0;;
7) exec >&-; exec sleep 600;;
8) sleep 600 & exit 3;;
9) while head -c 400 large.mjpg; do sleep 0.03; done;;
esac";

/// Number of ways in which [`FAULTY`] fails.
pub(crate) const KINDS: usize = 10;

/// Writes the pictures and the script, and returns a run of them with the tiny model that logs to `log.jsonl`.
pub(crate) fn watch(dir: &TestDir, script: &str, arguments: &[&str]) -> Command {
    dir.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    dir.write("many.mjpg", rpicam::mjpeg("red", (64, 48), 50));
    dir.write("large.mjpg", rpicam::mjpeg("red", (320, 240), 1));
    let path = rpicam::install(dir, script);
    let mut command = dir.command(&["run", "--source", "rpicam", "--size", "64x48"]);
    command.args(["--stall", "300ms", "--display", "none"]);
    command.args(["--model", "tiny.onnx", "--log", "log.jsonl"]);
    command.args(arguments).env("PATH", path);
    command
}

/// The complete lines of the log so far.
#[track_caller]
pub(crate) fn logged(dir: &TestDir) -> Vec<Value> {
    // At the start there is no file.
    let text = fs::read_to_string(dir.path("log.jsonl")).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parsed = |line| serde_json::from_str(line).expect("a JSON object per line");
    whole.lines().map(parsed).collect()
}

/// The logged states, in order.
pub(crate) fn states(lines: &[Value]) -> Vec<String> {
    let states = lines.iter().filter_map(|line| line["state"].as_str());
    states.map(str::to_owned).collect()
}

/// Whether a state was logged.
pub(crate) fn has_logged_state(dir: &TestDir, state: &str) -> bool {
    states(&logged(dir)).iter().any(|logged| logged == state)
}

/// The logged events, in order.
pub(crate) fn events(lines: &[Value]) -> Vec<String> {
    let events = lines.iter().filter_map(|line| line["event"].as_str());
    events.map(str::to_owned).collect()
}
