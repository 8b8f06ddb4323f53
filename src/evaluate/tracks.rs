//! Evaluation of tracking: tracks compared with true ones over the frames of films.
//!
//! Identity figures are those of Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
//! Tracking", ECCV Workshops 2016: true and found tracks are assigned one to one over a whole film. Identity switches and
//! MOTA are those of Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics",
//! 2008: boxes are assigned in each frame. Both are computed as in TrackEval, with an IoU of 0.5. Classes do not matter for
//! them; whether a box has the right one is counted apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::CORRECT_IOU;
use super::assignment::assign;
use crate::geometry::{NormBox, iou};
use crate::label::ClassId;

mod coverage;

use coverage::{Coverage, CoverageCounts};

/// A box whose IoU with every true box is lower is stray.
const STRAY_IOU: f32 = 0.3;

/// In the assignment of a frame, the weight of a pair that was assigned in the frame before, added to its IoU.
const CONTINUED_WEIGHT: f64 = 1000.0;

/// A box of a true or a found track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackBox {
    /// Number of the track; once in a frame.
    pub track: u64,
    pub class: ClassId,
    pub bounding_box: NormBox,
}

/// A frame of a film.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackedFrame {
    pub truth: Vec<TrackBox>,
    pub found: Vec<TrackBox>,
}

/// Counts over films, from which [`TrackMetrics`] follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackEvaluation {
    films: usize,
    frames: usize,
    true_boxes: usize,
    found_boxes: usize,
    /// Boxes on whose identity the assignment of a film agrees.
    identity_matches: usize,
    /// Boxes that are assigned in their frame.
    frame_matches: usize,
    identity_switches: usize,
    stray: usize,
    wrong_labels: usize,
    coverage: CoverageCounts,
}

/// How well objects were tracked in films. A share of nothing is 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackMetrics {
    pub films: usize,
    pub frames: usize,
    /// Number of true boxes.
    pub true_boxes: usize,
    /// Number of boxes of found tracks.
    pub boxes: usize,
    /// Harmonic mean of `id_precision` and `id_recall`.
    pub idf1: f64,
    /// Share of the boxes that overlap the true track that their track is assigned to.
    pub id_precision: f64,
    /// Share of the true boxes that a box of the track that is assigned to them overlaps.
    pub id_recall: f64,
    /// How often a true track is continued by another found track than the last.
    pub identity_switches: usize,
    /// How often a true track that has a box has none in its next frame.
    pub drop_outs: usize,
    /// Number of true tracks.
    pub true_tracks: usize,
    /// Number of true tracks that never get a box.
    pub tracks_without_box: usize,
    /// Frames of a true track before the first with a box: the mean over those that get one.
    pub frames_before_box: f64,
    /// 1 less the shares of true boxes that are missed, that have a wrong box too many, and that are switched.
    pub mota: f64,
    /// Share of the boxes whose IoU with every true box is below 0.3.
    pub stray_share: f64,
    /// Share of the boxes that are not stray, but whose class is not that of the true box which they overlap most.
    pub wrong_label_share: f64,
}

impl TrackedFrame {
    /// Leaves out found boxes at objects that do not count, which is neither missed nor wrong: those that overlap one of
    /// `ignored` more than any true box.
    #[must_use]
    pub fn ignoring(mut self, ignored: &[NormBox]) -> Self {
        let truth = &self.truth;
        self.found.retain(|found| {
            let overlap = |other: &NormBox| iou(other, &found.bounding_box);
            let with_truth = truth.iter().map(|truth| overlap(&truth.bounding_box));
            let nearest = with_truth.fold(0.0, f32::max);
            let with_ignored = ignored.iter().map(overlap).fold(0.0, f32::max);
            with_ignored < STRAY_IOU || nearest >= with_ignored
        });
        self
    }
}

impl TrackEvaluation {
    /// Adds the frames of a film. Track numbers of different films have nothing to do with each other.
    pub fn add_film(&mut self, frames: &[TrackedFrame]) {
        self.films += 1;
        self.frames += frames.len();
        let overlaps: Vec<_> = frames.iter().map(Overlaps::new).collect();
        self.identity_matches += identity_matches(frames, &overlaps);
        let mut continuity = Continuity::default();
        let mut coverage = Coverage::default();
        for (frame, overlaps) in frames.iter().zip(&overlaps) {
            self.true_boxes += frame.truth.len();
            self.found_boxes += frame.found.len();
            let matched = continuity.add(frame, overlaps);
            self.frame_matches += matched.len();
            coverage.add(frame.truth.iter().map(|truth| truth.track), &matched);
            for (index, found) in frame.found.iter().enumerate() {
                match overlaps.nearest_truth(index) {
                    Some((truth, iou)) if iou >= STRAY_IOU => {
                        self.wrong_labels += usize::from(frame.truth[truth].class != found.class);
                    }
                    _ => self.stray += 1,
                }
            }
        }
        self.identity_switches += continuity.switches;
        self.coverage.add(coverage.counts());
    }

    #[must_use]
    pub fn metrics(&self) -> TrackMetrics {
        let missed = self.true_boxes - self.frame_matches;
        let too_many = self.found_boxes - self.frame_matches;
        let errors = share(missed + too_many + self.identity_switches, self.true_boxes);
        TrackMetrics {
            films: self.films,
            frames: self.frames,
            true_boxes: self.true_boxes,
            boxes: self.found_boxes,
            idf1: share(
                2 * self.identity_matches,
                self.true_boxes + self.found_boxes,
            ),
            id_precision: share(self.identity_matches, self.found_boxes),
            id_recall: share(self.identity_matches, self.true_boxes),
            identity_switches: self.identity_switches,
            drop_outs: self.coverage.drop_outs,
            true_tracks: self.coverage.tracks,
            tracks_without_box: self.coverage.tracks - self.coverage.with_box,
            frames_before_box: share(self.coverage.frames_before_box, self.coverage.with_box),
            mota: if self.true_boxes > 0 {
                1.0 - errors
            } else {
                0.0
            },
            stray_share: share(self.stray, self.found_boxes),
            wrong_label_share: share(self.wrong_labels, self.found_boxes),
        }
    }
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 {
        return 0.0;
    }
    part as f64 / of as f64
}

/// IoU of each true box with each found one in a frame.
struct Overlaps {
    /// `values[truth][found]`
    values: Vec<Vec<f32>>,
}

impl Overlaps {
    fn new(frame: &TrackedFrame) -> Self {
        let with_all = |truth: &TrackBox| {
            let found = frame.found.iter();
            let overlaps = found.map(|found| iou(&truth.bounding_box, &found.bounding_box));
            overlaps.collect()
        };
        Self {
            values: frame.truth.iter().map(with_all).collect(),
        }
    }

    /// The true box with the highest IoU, the first of equal ones, and that IoU.
    fn nearest_truth(&self, found: usize) -> Option<(usize, f32)> {
        let overlaps = self.values.iter().map(|row| row[found]).enumerate();
        overlaps.reduce(|best, other| if other.1 > best.1 { other } else { best })
    }
}

/// The number of boxes with the right identity, if each true track is assigned the best found one.
fn identity_matches(frames: &[TrackedFrame], overlaps: &[Overlaps]) -> usize {
    let truths = indices(frames.iter().flat_map(|frame| &frame.truth));
    let tracks = indices(frames.iter().flat_map(|frame| &frame.found));
    let mut matches = vec![vec![0_usize; tracks.len()]; truths.len()];
    for (frame, overlaps) in frames.iter().zip(overlaps) {
        for (truth, row) in frame.truth.iter().zip(&overlaps.values) {
            for (found, _) in frame
                .found
                .iter()
                .zip(row)
                .filter(|pair| *pair.1 >= CORRECT_IOU)
            {
                matches[truths[&truth.track]][tracks[&found.track]] += 1;
            }
        }
    }
    let assigned = assign(truths.len(), tracks.len(), |truth, track| {
        matches[truth][track] as f64
    });
    let counts = assigned.iter().zip(&matches);
    counts.filter_map(|(track, row)| Some(row[(*track)?])).sum()
}

/// An index for each track, from 0.
fn indices<'a>(boxes: impl Iterator<Item = &'a TrackBox>) -> BTreeMap<u64, usize> {
    let mut indices: BTreeMap<u64, usize> = boxes.map(|tracked| (tracked.track, 0)).collect();
    for (index, value) in indices.values_mut().enumerate() {
        *value = index;
    }
    indices
}

/// Which found track continues which true one, from frame to frame.
#[derive(Default)]
struct Continuity {
    /// For each true track the found one that was assigned to it last.
    last: BTreeMap<u64, u64>,
    /// The same of the last frame that had true and found boxes.
    last_frame: BTreeMap<u64, u64>,
    switches: usize,
}

impl Continuity {
    /// Adds a frame; returns the true tracks to which a box is assigned.
    fn add(&mut self, frame: &TrackedFrame, overlaps: &Overlaps) -> BTreeSet<u64> {
        if frame.truth.is_empty() || frame.found.is_empty() {
            return BTreeSet::new();
        }
        let weight = |truth: usize, found: usize| {
            let overlap = overlaps.values[truth][found];
            if overlap < CORRECT_IOU {
                return 0.0;
            }
            let continued = self.last_frame.get(&frame.truth[truth].track);
            let is_continued = continued == Some(&frame.found[found].track);
            f64::from(overlap) + if is_continued { CONTINUED_WEIGHT } else { 0.0 }
        };
        let assigned = assign(frame.truth.len(), frame.found.len(), weight);
        self.last_frame.clear();
        for (truth, found) in frame.truth.iter().zip(assigned) {
            let Some(found) = found.map(|index| frame.found[index].track) else {
                continue;
            };
            let before = self.last.insert(truth.track, found);
            self.switches += usize::from(before.is_some_and(|before| before != found));
            self.last_frame.insert(truth.track, found);
        }
        self.last_frame.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [f32; 3] = [0.0, 0.3, 0.6];

    /// A frame from pairs of track and place, of class 0.
    fn frame(truth: &[(u64, usize)], found: &[(u64, usize)]) -> TrackedFrame {
        let boxes = |list: &[(u64, usize)]| {
            let boxed = |&(track, place): &(u64, usize)| {
                let x = PLACES[place];
                TrackBox {
                    track,
                    class: ClassId::new(0),
                    bounding_box: NormBox::new(x, x + 0.2, 0.4, 0.6).expect("valid"),
                }
            };
            list.iter().map(boxed).collect()
        };
        TrackedFrame {
            truth: boxes(truth),
            found: boxes(found),
        }
    }

    fn metrics(frames: &[TrackedFrame]) -> TrackMetrics {
        let mut evaluation = TrackEvaluation::default();
        evaluation.add_film(frames);
        evaluation.metrics()
    }

    #[test]
    fn perfect_tracks_have_perfect_figures() {
        let found = metrics(&[
            frame(&[(1, 0), (2, 1)], &[(7, 1), (9, 0)]),
            frame(&[(1, 1), (2, 2)], &[(9, 1), (7, 2)]),
            frame(&[], &[]),
        ]);
        assert_eq!(
            (found.idf1, found.mota, found.identity_switches),
            (1.0, 1.0, 0)
        );
        assert_eq!((found.stray_share, found.wrong_label_share), (0.0, 0.0));
        assert_eq!((found.frames, found.true_boxes, found.boxes), (3, 4, 4));
    }

    #[test]
    fn a_switch_costs_the_identity_of_the_shorter_part() {
        // Track 5 follows the object for three frames, then, after one without a box, track 6 for one.
        let found = metrics(&[
            frame(&[(1, 0)], &[(5, 0)]),
            frame(&[(1, 0)], &[(5, 0)]),
            frame(&[(1, 0)], &[(5, 0)]),
            frame(&[(1, 0)], &[]),
            frame(&[(1, 0)], &[(6, 0)]),
        ]);
        assert_eq!(found.identity_switches, 1);
        assert!((found.idf1 - 6.0 / 9.0).abs() < 1e-9, "{}", found.idf1);
        assert!((found.id_recall - 0.6).abs() < 1e-9);
        assert!((found.id_precision - 0.75).abs() < 1e-9);
        assert!((found.mota - 0.6).abs() < 1e-9);
    }

    #[test]
    fn a_true_track_that_loses_its_box_is_a_drop_out() {
        let found = metrics(&[
            frame(&[(1, 0), (2, 1)], &[]),
            frame(&[(1, 0), (2, 1)], &[(5, 0)]),
            frame(&[(1, 0)], &[]),
            frame(&[(1, 0)], &[(5, 0)]),
            frame(&[(1, 0)], &[(5, 2)]),
        ]);
        assert_eq!((found.true_tracks, found.tracks_without_box), (2, 1));
        assert_eq!((found.drop_outs, found.frames_before_box), (2, 1.0));
    }

    #[test]
    fn what_overlaps_an_object_that_does_not_count_is_left_out() {
        let places = |found: &[(u64, usize)]| {
            let ignored = frame(&[(1, 1)], &[]).truth[0].bounding_box;
            let frame = frame(&[(1, 0)], found).ignoring(&[ignored]);
            frame
                .found
                .iter()
                .map(|found| found.track)
                .collect::<Vec<_>>()
        };
        assert_eq!(places(&[(4, 0), (5, 1), (6, 2)]), [4, 6]);
    }

    #[test]
    fn stray_boxes_and_wrong_labels_are_counted_apart() {
        let mut mixed = frame(&[(1, 0), (2, 1)], &[(5, 0), (6, 1), (7, 2)]);
        mixed.found[1].class = ClassId::new(1);
        let found = metrics(&[mixed, frame(&[], &[(5, 0)])]);
        assert!((found.stray_share - 0.5).abs() < 1e-9);
        assert!((found.wrong_label_share - 0.25).abs() < 1e-9);
    }

    #[test]
    fn no_frame_and_no_box_are_no_division_by_zero() {
        let found = TrackEvaluation::default().metrics();
        assert_eq!((found.idf1, found.mota, found.stray_share), (0.0, 0.0, 0.0));
        assert_eq!(metrics(&[frame(&[(1, 0)], &[])]).idf1, 0.0);
    }
}
