//! Hides classes of things in all pictures that leave the program.
//!
//! A sink that stores, sends or serves something gets a [`PublicFrame`], never a [`Frame`]. [`PrivacyFilter`] makes it: the only
//! place where pixels are hidden, before any encoder sees them. A new sink can't forget to.
//!
//! Of the classes to hide, everything is hidden that the model found with a low threshold ([`HIDE_SHARE`]), whatever is
//! shown or reported of it; around each box a margin ([`MARGIN`]). The filter follows these things with a tracker of its own:
//! where a frame misses one, the boxes where its track expects it and where it was seen last are hidden. What is no track yet stays
//! hidden for [`HOLD`].

use std::ops::Deref;
use std::sync::Arc;

use image::RgbImage;

use crate::frame::{Frame, FrameImage};
use crate::geometry::NormBox;

mod filter;
mod pixelate;

pub use filter::{HIDE_SHARE, HOLD, Observed, PrivacyFilter};
pub use pixelate::{BLOCKS, MARGIN};

/// A frame whose pixels may leave the program: things of hidden classes are pixelated.
#[derive(Debug, Clone)]
pub struct PublicFrame(Arc<Frame>);

impl PublicFrame {
    /// A frame in which there is nothing to hide: for a run without hidden classes.
    #[must_use]
    pub fn hiding_nothing(frame: impl Into<Arc<Frame>>) -> Self {
        Self(frame.into())
    }

    /// A copy of the frame with these areas pixelated.
    fn hiding(frame: &Frame, areas: &[NormBox]) -> Self {
        let mut image = RgbImage::clone(&frame.image);
        for area in areas {
            pixelate::pixelate_box(&mut image, area);
        }
        Self::replacing_pixels(frame, image.into())
    }

    /// A frame of a run with hidden classes in which there is nothing to hide. It has no JPEG of the camera, so that outputs
    /// encode all frames of the run alike: a JPEG may be larger than the pixels, and have a thumbnail.
    fn showing_all(frame: &Arc<Frame>) -> Self {
        match frame.image.jpeg() {
            None => Self::hiding_nothing(Arc::clone(frame)),
            Some(_) => Self::hiding(frame, &[]),
        }
    }

    /// A frame that shows what another one shows.
    fn with_pixels_of(frame: &Frame, shown: &Self) -> Self {
        Self::replacing_pixels(frame, shown.image.clone())
    }

    fn replacing_pixels(frame: &Frame, image: FrameImage) -> Self {
        // All fields by name: what is added to a frame must not pass by here with the pixels in it.
        Self(Arc::new(Frame {
            sequence: frame.sequence,
            captured_at: frame.captured_at,
            time: frame.time,
            position: frame.position,
            scene_start: frame.scene_start,
            origin: frame.origin.clone(),
            image,
        }))
    }

    /// The frame, for a display that shows no more than what is public.
    #[must_use]
    pub fn to_shared(&self) -> Arc<Frame> {
        Arc::clone(&self.0)
    }
}

impl Deref for PublicFrame {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0
    }
}
