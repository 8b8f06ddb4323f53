//! Lines of the log as text, for the sinks that tell others of events.

use super::json;
use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;

/// The lines of a report's events, in order and without their ends.
pub(super) fn of_events(frame: &Frame, report: &Report) -> Vec<String> {
    let lines = report
        .events
        .iter()
        .map(|event| json::event_line(frame, report, event));
    lines.filter_map(text).collect()
}

/// The line of a change of state, without its end.
#[cfg(feature = "web")]
pub(super) fn of_state(change: &StateChange) -> Option<String> {
    text(json::state_line(change))
}

/// Always there: a line has nothing in it that JSON can't hold.
fn text(line: serde_json::Result<Vec<u8>>) -> Option<String> {
    String::from_utf8(line.ok()?).ok()
}
