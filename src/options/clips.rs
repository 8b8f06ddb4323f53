//! The options of the films of events.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{InvalidValue, parse_size};

/// The longest time before or after an event. Both together are not more than the longest clip.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Films of events.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ClipOptions {
    /// Save a film of each event in this folder, as motion JPEG in AVI files, with the JPEGs of the camera as they came
    #[arg(id = "clips", long = "clips", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// What a clip shows before its event, up to 30s
    #[arg(id = "clips-before", long = "clips-before", value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub before: Duration,
    /// What a clip shows after its last event, up to 30s
    #[arg(id = "clips-after", long = "clips-after", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub after: Duration,
    /// Total size of the clips, 1MB or more; the oldest are deleted
    #[arg(id = "clips-size", long = "clips-size", value_name = "SIZE", default_value = "1GB", value_parser = parse_clips_size)]
    pub size: ByteSize,
}

fn parse_time(text: &str) -> Result<Duration, InvalidValue> {
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    time.filter(|time| *time <= MAX_TIME).ok_or(InvalidValue {
        expected: "a time from 0s to 30s, as 5s",
    })
}

fn parse_clips_size(text: &str) -> Result<ByteSize, InvalidValue> {
    parse_size(text, ByteSize::mb(1), "a size of 1MB or more, as 1GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_a_range() {
        for text in ["31s", "1min", "5", "-1s", ""] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(parse_time("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_time("30s"), Ok(MAX_TIME));
        assert!(parse_clips_size("999kB").is_err());
        assert_eq!(parse_clips_size("1MB"), Ok(ByteSize::mb(1)));
    }
}
