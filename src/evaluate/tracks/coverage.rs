//! How soon true tracks get a box, and how often they lose it again.

use std::collections::{BTreeMap, BTreeSet};

/// The true tracks of a film, frame by frame.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    tracks: BTreeMap<u64, TrackCoverage>,
}

#[derive(Debug)]
struct TrackCoverage {
    /// Frames before the first one with a box; all so far, if there is none.
    frames_before_box: usize,
    has_had_box: bool,
    has_box: bool,
    drop_outs: usize,
}

/// Counts over true tracks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CoverageCounts {
    pub(super) tracks: usize,
    /// Of the tracks that get a box.
    pub(super) with_box: usize,
    /// Frames before the first box, of all tracks that get one.
    pub(super) frames_before_box: usize,
    pub(super) drop_outs: usize,
}

impl Coverage {
    /// Adds a frame: the true tracks that are in it, and those that have a box.
    pub(super) fn add(&mut self, present: impl Iterator<Item = u64>, with_box: &BTreeSet<u64>) {
        for track in present {
            let has_box = with_box.contains(&track);
            let coverage = self.tracks.entry(track).or_insert(TrackCoverage {
                frames_before_box: 0,
                has_had_box: false,
                has_box: false,
                drop_outs: 0,
            });
            coverage.has_had_box |= has_box;
            coverage.frames_before_box += usize::from(!coverage.has_had_box);
            coverage.drop_outs += usize::from(coverage.has_box && !has_box);
            coverage.has_box = has_box;
        }
    }

    pub(super) fn counts(&self) -> CoverageCounts {
        let mut counts = CoverageCounts::default();
        for track in self.tracks.values() {
            counts.tracks += 1;
            counts.drop_outs += track.drop_outs;
            if track.has_had_box {
                counts.with_box += 1;
                counts.frames_before_box += track.frames_before_box;
            }
        }
        counts
    }
}

impl CoverageCounts {
    pub(super) fn add(&mut self, other: Self) {
        self.tracks += other.tracks;
        self.with_box += other.with_box;
        self.frames_before_box += other.frames_before_box;
        self.drop_outs += other.drop_outs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of one track: `x` is a frame with a box, `-` one without, ` ` one where the object is not there.
    fn counts(frames: &str) -> CoverageCounts {
        let mut coverage = Coverage::default();
        for frame in frames.chars() {
            let with_box: BTreeSet<u64> = (frame == 'x').then_some(7).into_iter().collect();
            coverage.add((frame != ' ').then_some(7).into_iter(), &with_box);
        }
        coverage.counts()
    }

    #[test]
    fn frames_before_the_first_box_and_losses_of_it_are_counted() {
        for (frames, before, drop_outs) in [
            ("xxx", 0, 0),
            ("--x-xx--x", 2, 2),
            ("xx--", 0, 1),
            ("  -xx   xx", 1, 0),
            ("xx  -x", 0, 1),
        ] {
            let expected = CoverageCounts {
                tracks: 1,
                with_box: 1,
                frames_before_box: before,
                drop_outs,
            };
            assert_eq!(counts(frames), expected, "{frames}");
        }
        let never = CoverageCounts {
            tracks: 1,
            ..CoverageCounts::default()
        };
        assert_eq!(counts("---"), never);
        assert_eq!(counts(""), CoverageCounts::default());
    }
}
