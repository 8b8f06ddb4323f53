//! The live picture: JPEG after JPEG in one answer that never ends.
//!
//! A viewer holds the receiving end of a channel that keeps the newest picture only, so who is slow misses
//! pictures and nobody has a queue. That somebody holds one is what tells the sink to make pictures.

use std::convert::Infallible;

use axum::body::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use image::RgbImage;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::picture::encode_jpeg;

/// The type of an answer of which each part takes the place of the one before.
pub(super) const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=frame";

/// What parts are kept apart with.
const BOUNDARY: &str = "--frame\r\n";

/// From 1 to 100; what is drawn stays readable.
const QUALITY: u8 = 80;

/// A picture, encoded once for all viewers.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// The part with its headers, and the boundary after it: browsers show a part once they see its end.
    part: Bytes,
    jpeg: Bytes,
}

impl Picture {
    /// Encodes a picture; `None` for one that no JPEG can hold.
    pub(super) fn encode(image: &RgbImage) -> Option<Self> {
        let jpeg = encode_jpeg(image, QUALITY).ok()?;
        let length = jpeg.len();
        let head = format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
        let end = format!("\r\n{BOUNDARY}");
        let part = Bytes::from([head.as_bytes(), &jpeg, end.as_bytes()].concat());
        let jpeg = part.slice(head.len()..head.len() + length);
        Some(Self { part, jpeg })
    }

    /// The JPEG alone.
    pub(super) fn jpeg(&self) -> Bytes {
        self.jpeg.clone()
    }
}

/// Who looks: the pictures, and the place that is free again when the viewer leaves.
struct Viewer {
    pictures: watch::Receiver<Option<Picture>>,
    is_greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// The parts of the answer. The picture that is there, if any, comes at once.
pub(super) fn parts(
    mut pictures: watch::Receiver<Option<Picture>>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    pictures.mark_changed();
    let viewer = Viewer {
        pictures,
        is_greeted: false,
        _place: place,
    };
    unfold(viewer, async |mut viewer| {
        if !viewer.is_greeted {
            viewer.is_greeted = true;
            return Some((Ok(Bytes::from_static(BOUNDARY.as_bytes())), viewer));
        }
        let picture = next(&mut viewer.pictures).await?;
        Some((Ok(picture.part), viewer))
    })
}

/// The next picture that is new to the one who asks; `None` at the end of them all.
pub(super) async fn next(pictures: &mut watch::Receiver<Option<Picture>>) -> Option<Picture> {
    loop {
        pictures.changed().await.ok()?;
        let newest = pictures.borrow_and_update().clone();
        if newest.is_some() {
            return newest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_how_long_its_picture_is() {
        let picture = Picture::encode(&RgbImage::new(40, 30)).expect("small");
        let part = picture.part.to_vec();
        let text = String::from_utf8_lossy(&part);
        let length = format!("Content-Length: {}\r\n\r\n", picture.jpeg.len());
        assert!(text.contains(&length) && text.ends_with("\r\n--frame\r\n"));
        let decoded = image::load_from_memory(&picture.jpeg()).expect("a JPEG");
        assert_eq!((decoded.width(), decoded.height()), (40, 30));
    }

    #[test]
    fn a_picture_that_no_jpeg_can_hold_is_none() {
        assert!(Picture::encode(&RgbImage::new(70_000, 1)).is_none());
        assert!(Picture::encode(&RgbImage::new(0, 0)).is_none());
    }
}
