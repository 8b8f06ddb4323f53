//! A camera that fails on request: scripts that play `rpicam-vid`, and the run that watches it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{TestDir, rpicam};

/// Frames as a camera gives them, until the file `gone` is there; then it dies as a real one does.
pub(crate) const VANISHING: &str = "\
lost() { echo 'ERROR: *** no cameras available ***' >&2; exit 255; }
while :; do [ -e gone ] && lost; cat red.mjpg; sleep 0.03; done";

/// The same, but while the file is there it hangs, from its start too.
pub(crate) const HANGING: &str = "\
echo $$ >> numbers
while :; do [ -e gone ] && exec sleep 600; cat red.mjpg; sleep 0.03; done";

/// Starts well each time, and then does something bad, another thing each time it is started.
///
/// Its numbers are kept in `numbers`. What it starts stays in its process group.
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

/// How many kinds of fault [`FAULTY`] knows.
pub(crate) const KINDS: usize = 10;

/// Puts the pictures and the script in place, and gives a run of it with the tiny model that logs to
/// `log.jsonl`.
pub(crate) fn watch(place: &TestDir, script: &str, words: &[&str]) -> Command {
    place.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    place.write("many.mjpg", rpicam::mjpeg("red", (64, 48), 50));
    place.write("large.mjpg", rpicam::mjpeg("red", (320, 240), 1));
    let path = rpicam::install(place, script);
    let mut command = place.command(&["run", "--source", "rpicam", "--size", "64x48"]);
    command.args(["--stall", "300ms", "--display", "none"]);
    command.args(["--model", "tiny.onnx", "--log", "log.jsonl"]);
    command.args(words).env("PATH", path);
    command
}

/// All lines of the log so far; each one that is complete must parse.
#[track_caller]
pub(crate) fn logged(place: &TestDir) -> Vec<Value> {
    // At the very start there is none.
    let text = fs::read_to_string(place.path("log.jsonl")).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parsed = |line| serde_json::from_str(line).expect("a JSON object a line");
    whole.lines().map(parsed).collect()
}

/// The states that were logged, in their order.
pub(crate) fn states(lines: &[Value]) -> Vec<String> {
    let states = lines.iter().filter_map(|line| line["state"].as_str());
    states.map(str::to_owned).collect()
}

/// Whether that state was logged.
pub(crate) fn has_been(place: &TestDir, state: &str) -> bool {
    states(&logged(place)).iter().any(|logged| logged == state)
}

/// The events that were logged, in their order.
pub(crate) fn events(lines: &[Value]) -> Vec<String> {
    let events = lines.iter().filter_map(|line| line["event"].as_str());
    events.map(str::to_owned).collect()
}
