//! One track and one line: complete crossings, counted once however the track jitters on the line.

use crate::zone::{Direction, Line, NormPoint};

/// On which side of a line a track is.
///
/// A crossing is complete when the track is beyond the line by its margin, having been beyond it by the margin on the
/// other side, and when its last way over the line was within the ends. A track that first appears nearer to the line has
/// no side until it leaves the line.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    last: NormPoint,
    /// Where it was beyond the margin last.
    clear_side: Option<Direction>,
    /// Whether it went over the line within its ends when it changed sides last.
    is_within_ends: bool,
}

impl Passage {
    pub(super) fn new(foot: NormPoint, line: &Line) -> Self {
        Self {
            last: foot,
            clear_side: line.clear_side(foot),
            is_within_ends: false,
        }
    }

    /// Adds a frame. Returns the direction of a crossing that it completes.
    pub(super) fn update(&mut self, foot: NormPoint, line: &Line) -> Option<Direction> {
        let last = std::mem::replace(&mut self.last, foot);
        if line.side(last) != line.side(foot) {
            self.is_within_ends = line.is_met_by(last, foot);
        }
        let side = line.clear_side(foot)?;
        let before = self.clear_side.replace(side)?;
        (before != side && self.is_within_ends).then_some(side)
    }
}
