//! Tells whether a frame differs from an earlier one by more than the noise of the sensor.
//!
//! It compares the brightness of blocks ([`LumaGrid`]):
//!
//! - Each row of blocks is compared up to a factor, the median ratio of its blocks (a robust fit of a gain): automatic exposure
//!   changes all of a picture by a factor, and a lamp on mains power, seen by a rolling shutter, whole rows.
//! - The noise is measured on the frames themselves (`src/motion/noise.rs`). Each block has its own running median of absolute
//!   differences, by the sigma-delta filter of Manzanera and Richefeu ("A new motion detection algorithm based on
//!   sigma-delta background estimation", Pattern Recognition Letters 28, 2007). The level of the whole picture is the minimum of
//!   a window of time (Martin, "Noise Power Spectral Density Estimation Based on Optimal Smoothing and Minimum
//!   Statistics", IEEE Transactions on Speech and Audio Processing 9, 2001), so that something that moves for a while
//!   does not count as noise.
//! - A block has changed if it differs by more than that noise explains, together with a neighbour or, by twice as
//!   much, alone.
//!
//! `docs/rest.md` has the use and the figures.

use std::sync::Arc;

use crate::luma_grid::LumaGrid;
use crate::regions::MovedArea;

mod areas;
mod difference;
mod noise;

use areas::moved_areas;
use difference::differences;
use noise::NoiseLevel;

/// Compares frames with a reference. It knows no time: the frames are those that it is shown.
#[derive(Debug, Default)]
pub struct MotionGate {
    reference: Option<Arc<LumaGrid>>,
    /// The last two frames, the last first.
    last: [Option<Arc<LumaGrid>>; 2],
    noise: NoiseLevel,
}

/// What a comparison shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// There is no reference of this size, or the noise is not known yet.
    Unknown,
    /// All differences are noise, or a change of brightness.
    Still,
    /// Where something differs, the largest area first; not empty.
    Moved(Vec<MovedArea>),
}

impl MotionGate {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares the next frame of a source with the reference.
    pub fn compare(&mut self, frame: &Arc<LumaGrid>) -> Comparison {
        if !self.last[0]
            .as_ref()
            .is_some_and(|last| is_same_size(last, frame))
        {
            *self = Self::default();
        }
        if let [Some(last), Some(before)] = &self.last {
            self.noise.add(
                &differences(frame, last),
                &differences(frame, before),
                frame.step(),
            );
        }
        let [last, before] = &mut self.last;
        *before = last.replace(Arc::clone(frame));
        let (Some(reference), true) = (&self.reference, self.noise.is_known()) else {
            return Comparison::Unknown;
        };
        let excess = self.noise.excess(&differences(frame, reference));
        match moved_areas(&excess, frame.columns()) {
            areas if areas.is_empty() => Comparison::Still,
            areas => Comparison::Moved(areas),
        }
    }

    /// Makes the frame that was compared last the reference.
    pub fn set_reference(&mut self) {
        self.reference.clone_from(&self.last[0]);
    }
}

fn is_same_size(a: &LumaGrid, b: &LumaGrid) -> bool {
    (a.columns(), a.values().len()) == (b.columns(), b.values().len())
}

#[cfg(test)]
mod tests;
