//! A frame, as every source returns it: RGB with 8 bits a channel, its time, and for synthetic frames the ground truth.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::geometry::NormBox;

mod frame_image;

pub use frame_image::{FrameImage, StoredImage, UndecodableImage};

#[derive(Debug, Clone)]
pub struct Frame {
    /// Number of the frame in its source, from 0; the numbers of dropped frames are left out.
    pub sequence: u64,
    /// When the frame was captured, to measure its age.
    pub captured_at: Instant,
    /// When the frame was captured, for output.
    pub time: SystemTime,
    /// Time from the start of a recording; `None` for live frames and picture files.
    pub position: Option<Duration>,
    /// Whether a new scene starts here, so that earlier frames have no relation to this one: set for each picture file
    /// and where the demo changes its scene. If such a frame is dropped, the next one must be marked instead.
    ///
    /// Not set for cameras, even after reopening: a camera most likely shows the same view as before.
    pub scene_start: bool,
    pub origin: Origin,
    pub image: FrameImage,
}

/// A picture file or a frame of a stream that can't be read and is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableFrame {
    /// The file or folder; `None` for a frame of a live stream.
    pub path: Option<PathBuf>,
    /// The whole error message.
    pub reason: String,
}

/// The origin of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A camera or a stream.
    Live,
    /// A picture file, with its path as the user gave it.
    Picture(PathBuf),
    /// A frame of a file, with its path as the user gave it.
    Recording(PathBuf),
    /// A synthetic scene with its ground truth.
    Scene(Vec<GroundTruth>),
}

/// An object that is in a picture, as annotated or drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    /// The class name.
    pub label: String,
    pub bounding_box: NormBox,
}

impl Frame {
    /// A frame that was captured now; a picture file starts a new scene.
    #[must_use]
    pub fn new(sequence: u64, origin: Origin, image: impl Into<FrameImage>) -> Self {
        Self {
            sequence,
            captured_at: Instant::now(),
            time: SystemTime::now(),
            position: None,
            scene_start: matches!(origin, Origin::Picture(_)),
            origin,
            image: image.into(),
        }
    }
}
