//! The picture of an event for a broker: a JPEG of a limited number of bytes, a limited number of times.

use std::time::{Duration, Instant};

use image::RgbImage;
use image::imageops::thumbnail;

use crate::picture::encode_jpeg;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::sink::picture_files::annotate_event;
use crate::track::{Event, EventKind};

/// The most bytes of a picture: a broker keeps it in memory.
pub(super) const MAX_BYTES: usize = 128 * 1024;

/// The longest side of a picture, in pixels.
const MAX_SIDE: u32 = 1280;

/// JPEG qualities to try, before the picture is halved.
const QUALITIES: [u8; 3] = [80, 65, 50];

/// Minimum time between two pictures.
const INTERVAL: Duration = Duration::from_secs(1);

/// Makes the pictures of the events of a run.
#[derive(Debug, Default)]
pub(super) struct EventImages {
    last: Option<Instant>,
}

impl EventImages {
    /// The picture of the last event of a report that can be seen in its frame; `None` if there is no such event, or the
    /// last picture was made less than [`INTERVAL`] ago.
    pub(super) fn next(
        &mut self,
        frame: &PublicFrame,
        report: &Report,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let is_visible =
            |event: &&Event| !matches!(event.kind, EventKind::Left | EventKind::LeftZone { .. });
        let event = report.events.iter().rfind(is_visible)?;
        let is_early = |last: Instant| now.saturating_duration_since(last) < INTERVAL;
        if self.last.is_some_and(is_early) {
            return None;
        }
        self.last = Some(now);
        encode(annotate_event(frame, report, event))
    }
}

/// A JPEG of at most [`MAX_BYTES`]; `None` if the image is empty.
fn encode(mut image: RgbImage) -> Option<Vec<u8>> {
    let longest = image.width().max(image.height());
    if longest > MAX_SIDE {
        let scaled =
            |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longest)).max(1);
        let (width, height) = (scaled(image.width()), scaled(image.height()));
        image = thumbnail(&image, width as u32, height as u32);
    }
    loop {
        for quality in QUALITIES {
            let jpeg = encode_jpeg(&image, quality).ok()?;
            if jpeg.len() <= MAX_BYTES {
                return Some(jpeg);
            }
        }
        let (width, height) = (image.width() / 2, image.height() / 2);
        image = thumbnail(&image, width.max(1), height.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image that can't be compressed.
    fn noise(width: u32, height: u32) -> RgbImage {
        let mut rng = fastrand::Rng::with_seed(7);
        RgbImage::from_fn(width, height, |_, _| {
            image::Rgb([0; 3].map(|_: u8| rng.u8(..)))
        })
    }

    #[test]
    fn a_picture_of_any_size_has_a_limited_number_of_bytes() {
        let cases = [
            (RgbImage::new(640, 480), (640, 480)),
            (RgbImage::new(3840, 2160), (1280, 720)),
            (RgbImage::new(2, 5000), (1, 1280)),
            (noise(320, 240), (320, 240)),
        ];
        for (image, expected) in cases {
            let jpeg = encode(image).expect("encoded");
            assert!(jpeg.len() <= MAX_BYTES, "{}", jpeg.len());
            let decoded = image::load_from_memory(&jpeg).expect("a JPEG");
            assert_eq!((decoded.width(), decoded.height()), expected);
        }
        let jpeg = encode(noise(2000, 1500)).expect("encoded");
        assert!(jpeg.len() <= MAX_BYTES, "{}", jpeg.len());
        let decoded = image::load_from_memory(&jpeg).expect("a JPEG");
        assert!(decoded.width() >= 240, "{}", decoded.width());
        assert!(encode(RgbImage::new(0, 0)).is_none());
    }
}
