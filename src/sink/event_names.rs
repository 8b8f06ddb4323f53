//! The names of files about an event: when it was, what it was, its class and track, and where.
//!
//! `20261123T204501.123Z-appeared-apple-17`, and of an event in a zone or at a line
//! `20261123T204501.123Z-entered-apple-17-table`. Names sort by time. A file about a recording, whose frames have no time of
//! day, begins with the name of the recording and the number of the frame: `film-000123-appeared-apple-1`. So the same recording
//! gives the same names.

use std::path::Path;
use std::time::SystemTime;

use super::json::rfc3339;
use super::picture_files;
use crate::frame::{Frame, Origin};
use crate::label::Labels;
use crate::track::Event;
use crate::zone::ZoneMap;

/// Maximum length of the class in a file name.
const MAX_CLASS_LENGTH: usize = 40;

/// The format of the time in a file name, with 0 for each digit.
const TIME_FORMAT: &str = "00000000T000000.000Z";

/// The least number of digits of a frame number.
const NUMBER_DIGITS: usize = 6;

/// The beginning of the name of a file at this time.
pub(super) fn of_time(time: SystemTime) -> String {
    rfc3339(time).replace(['-', ':'], "")
}

/// The beginning of the name of a file about a frame of a recording, by the frame's number.
pub(super) fn of_recorded(path: &Path, number: u64) -> String {
    let stem = picture_files::stem(path, number);
    format!("{stem}-{number:0NUMBER_DIGITS$}")
}

/// The beginning of the name of a file about a frame.
pub(super) fn of_frame(frame: &Frame) -> String {
    match &frame.origin {
        Origin::Recording(path) => of_recorded(path, frame.sequence),
        _ => of_time(frame.time),
    }
}

/// The name of a file about an event, with this beginning and without an extension.
pub(super) fn of_event(beginning: &str, event: &Event, labels: &Labels, zones: &ZoneMap) -> String {
    let class = labels.name(event.detection.class).unwrap_or("unknown");
    let (class, kind, track) = (sanitized(class), event.kind.name(), event.track);
    let place = event.kind.place(zones);
    let place = place.map_or_else(String::new, |name| format!("-{}", sanitized(name)));
    format!("{beginning}-{kind}-{class}-{track}{place}")
}

/// Replaces characters that are not portable in file names.
pub(super) fn sanitized(name: &str) -> String {
    let sanitize = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    name.chars().take(MAX_CLASS_LENGTH).map(sanitize).collect()
}

/// Whether this is a name of [`of_event`] after [`of_time`], with this extension.
pub(super) fn is_of_event(name: &str, extension: &str) -> bool {
    beginnings(name, extension).any(is_time)
}

/// Whether this is a name of [`of_event`] after [`of_recorded`], with this extension.
pub(super) fn is_of_recorded_event(name: &str, extension: &str) -> bool {
    beginnings(name, extension).any(is_recorded)
}

/// Whether this is a beginning of [`of_frame`].
pub(super) fn is_beginning(text: &str) -> bool {
    is_time(text) || is_recorded(text)
}

fn is_recorded(text: &str) -> bool {
    let number = text.rsplit_once('-');
    number.is_some_and(|(_, number)| is_padded_number(number))
}

/// What the beginning of the name of a file about an event may be, without and with a place at its end.
fn beginnings<'a>(name: &'a str, extension: &str) -> impl Iterator<Item = &'a str> {
    const OF_TRACKS: [&str; 3] = ["appeared", "changed", "left"];
    const IN_PLACES: [&str; 4] = ["entered", "left_zone", "loitering", "crossed"];
    let stem = name.strip_suffix(extension);
    let stem = stem.and_then(|stem| stem.strip_suffix('.'));
    let of_track = stem.and_then(|stem| before_kind(stem, &OF_TRACKS));
    let with_place = stem.and_then(|stem| stem.rsplit_once('-'));
    let in_place = with_place.and_then(|(stem, place)| match is_name(place) {
        true => before_kind(stem, &IN_PLACES),
        false => None,
    });
    of_track.into_iter().chain(in_place)
}

/// What comes before `-KIND-CLASS-TRACK`.
fn before_kind<'a>(stem: &'a str, kinds: &[&str]) -> Option<&'a str> {
    let (rest, track) = stem.rsplit_once('-')?;
    let (rest, class) = rest.rsplit_once('-')?;
    let (beginning, kind) = rest.rsplit_once('-')?;
    (is_number(track) && is_name(class) && kinds.contains(&kind)).then_some(beginning)
}

/// Whether this may be a result of [`sanitized`].
pub(super) fn is_name(name: &str) -> bool {
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty() && name.chars().all(is_valid)
}

fn is_time(text: &str) -> bool {
    let digits_as_0 = text
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter });
    digits_as_0.eq(TIME_FORMAT.chars())
}

/// Whether this is the number of a frame, which has leading zeros up to six digits.
pub(super) fn is_padded_number(text: &str) -> bool {
    let is_padded = match text.len() {
        NUMBER_DIGITS => true,
        length => length > NUMBER_DIGITS && !text.starts_with('0'),
    };
    is_number(text) && is_padded
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

    #[track_caller]
    fn assert_name(event: &Event, labels: &Labels, zones: &ZoneMap, expected: &str) {
        let name = of_event(&of_time(event.time), event, labels, zones);
        assert_eq!(name, format!("20261123T204501.123Z-{expected}"));
        assert!(is_of_event(&format!("{name}.jpg"), "jpg"), "{name}");
        let beginning = of_recorded(Path::new("a/my-film.mjpeg"), 12);
        let name = of_event(&beginning, event, labels, zones);
        assert_eq!(name, format!("my-film-000012-{expected}"));
        assert!(
            is_of_recorded_event(&format!("{name}.avi"), "avi"),
            "{name}"
        );
    }

    #[test]
    fn an_event_file_name_has_time_kind_class_and_track() {
        let labels = ["apple", "hot dog", "../a/ü.jpg-1"].map(str::to_owned);
        let labels = Labels::new(labels.to_vec()).expect("valid");
        let from = ClassId::new(0);
        let cases = [
            (event(0, EventKind::Appeared), "appeared-apple-17"),
            (event(1, EventKind::Changed { from }), "changed-hot_dog-17"),
            (event(2, EventKind::Left), "left-___a___jpg_1-17"),
        ];
        for (event, expected) in cases {
            assert_name(&event, &labels, &ZoneMap::default(), expected);
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
            (EventKind::Entered { zone }, "entered-apple-17-front_door_1"),
            (
                EventKind::LeftZone { zone },
                "left_zone-apple-17-front_door_1",
            ),
            (
                EventKind::Loitering { zone },
                "loitering-apple-17-front_door_1",
            ),
            (
                EventKind::Crossed { line, direction },
                "crossed-apple-17-gate",
            ),
        ];
        for (kind, expected) in cases {
            assert_name(&event(0, kind), &labels, &map, expected);
        }
    }

    #[test]
    fn names_of_other_files_are_not_of_events() {
        let others = [
            "",
            "apple.jpg",
            ".jpg",
            "20261123T204501.123Z-appeared-apple-17.png",
            "20261123T204501.123Z-appeared-apple-17jpg",
            "20261123T204501.123Z-appeared-apple-.jpg",
            "20261123T204501.123Z-appeared-apple-17-2.jpg",
            "20261123T204501.123Z-entered-apple-17.jpg",
            "20261123T204501.123Z-entered-apple-17-.jpg",
            "20261123T204501.123Z-eaten-apple-17.jpg",
            "20261123-appeared-apple-17.jpg",
            "mine-20261123T204501.123Z-appeared-apple-17.jpg",
            "film-12-appeared-apple-17.jpg",
            "film-0001234-appeared-apple-17.jpg",
            "000012-appeared-apple-17.jpg",
        ];
        for other in others {
            assert!(!is_of_event(other, "jpg"), "{other}");
            assert!(!is_of_recorded_event(other, "jpg"), "{other}");
        }
    }
}
