//! Names of snapshots: made so that they sort by time, and told apart from the names of others.

use crate::label::Labels;
use crate::sink::json::rfc3339;
use crate::track::Event;

/// Letters of a class that a name takes.
const CLASS_LETTERS: usize = 40;

/// How the time stands in a name, a 0 for each digit.
const TIME: &str = "00000000T000000.000Z";

/// The name of an event's snapshot: `20261123T204501.123Z-appeared-apple-17.jpg`.
pub(super) fn event_name(event: &Event, labels: &Labels) -> String {
    let time = rfc3339(event.time).replace(['-', ':'], "");
    let class = labels.name(event.detection.class).unwrap_or("unknown");
    let (class, kind, track) = (plain(class), event.kind.name(), event.track);
    format!("{time}-{kind}-{class}-{track}.jpg")
}

/// The class in letters that every file system takes and no shell minds.
fn plain(class: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    class.chars().take(CLASS_LETTERS).map(plain).collect()
}

/// Whether a file of this name is a snapshot of some run of boxcam.
pub(super) fn is_snapshot(name: &str) -> bool {
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
            && digits_as_0 == TIME
            && ["appeared", "changed", "left"].contains(&kind)
            && class.chars().all(is_class)
            && is_number(track),
    )
}

fn is_frame(name: &str) -> Option<bool> {
    let number = name.strip_prefix("frame-")?.strip_suffix(".png")?;
    // Beyond six digits a number has no zeros before it.
    let is_padded = number.len() == 6 || (number.len() > 6 && !number.starts_with('0'));
    Some(is_number(number) && is_padded)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::detect::Detection;
    use crate::geometry::NormBox;
    use crate::label::ClassId;
    use crate::track::EventKind;

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
    fn a_name_tells_what_happened_when() {
        let labels = ["apple", "hot dog", "../a/ü.jpg-1"].map(str::to_owned);
        let labels = Labels::new(labels.to_vec()).expect("sound");
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
            let name = event_name(&event, &labels);
            assert_eq!(name, format!("20261123T204501.123Z-{expected}"));
            assert!(is_snapshot(&name), "{name}");
        }
    }

    #[test]
    fn names_of_others_are_told_apart() {
        for ours in ["frame-000000.png", "frame-1234567.png"] {
            assert!(is_snapshot(ours), "{ours}");
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
