//! A frame: one picture with its place in time, as every source hands it on.
//!
//! The pixel format is settled inside the source: a frame is always RGB with 8 bits a channel. A frame
//! says where it came from and, for a made-up scene, what is truly in it; it does not say what a model
//! thinks.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;

use crate::geometry::NormBox;

/// One picture from a source.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Number of the frame in its source, from 0; numbers of dropped frames are missing.
    pub sequence: u64,
    /// When the picture was taken, to measure its age with.
    pub captured_at: Instant,
    /// When the picture was taken, to print.
    pub time: SystemTime,
    /// Its place in a recording, from the start of it; `None` for a frame that was just taken and for pictures
    /// that have nothing to do with each other.
    pub position: Option<Duration>,
    /// Whether a new scene starts here, so that earlier frames tell nothing about this one: the demo's next
    /// background, or another picture file. Whoever drops a frame that has it set, sets it on the next frame.
    ///
    /// A camera's frames have it unset, also after the camera was reopened: it most likely shows the same view.
    pub scene_start: bool,
    /// Where it came from.
    pub origin: Origin,
    /// The pixels.
    pub image: RgbImage,
}

/// A picture file or a frame of a stream that can't be read, so that it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableFrame {
    /// The file or folder; `None` for a frame of a stream.
    pub path: Option<PathBuf>,
    /// The whole error message.
    pub reason: String,
}

/// Where a frame came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A camera or a stream.
    Live,
    /// A picture file, with its path as the user gave it.
    Picture(PathBuf),
    /// A made-up scene, whose true boxes are known.
    Scene(Vec<GroundTruth>),
}

/// What is truly there, known for made-up scenes.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    /// Name of the class.
    pub label: String,
    /// Where it is.
    pub bounding_box: NormBox,
}

impl Frame {
    /// A frame taken now. A picture file starts a new scene, any other frame goes on with the one before.
    #[must_use]
    pub fn new(sequence: u64, origin: Origin, image: RgbImage) -> Self {
        Self {
            sequence,
            captured_at: Instant::now(),
            time: SystemTime::now(),
            position: None,
            scene_start: matches!(origin, Origin::Picture(_)),
            origin,
            image,
        }
    }
}
