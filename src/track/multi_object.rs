//! Tracks several objects.
//!
//! In each frame, detections are associated with what was seen before, in the order of ByteTrack (Zhang et al., "ByteTrack:
//! Multi-Object Tracking by Associating Every Detection Box", ECCV 2022): tracks with strong detections, the remaining tracks
//! with weak ones, then candidates with what is left. A strong detection that remains begins a candidate, which becomes a
//! track with time. A weak detection continues what there is and begins nothing.
//!
//! Two detections of different classes at one place are one object. Its class is held by hysteresis; while a frame
//! contradicts it, the track is not shown.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::association::{Expected, SAME_OBJECT_IOU, associate};
use super::frame_detections::FrameDetections;
use super::hypothesis::{Hypothesis, Sighting, Status};
use super::{Event, EventKind, FrameTracks, StableDetection, TrackSettings};
use crate::detect::{Detection, Scores};
use crate::geometry::{NormBox, iou};
use crate::regions::{Coverage, Target};

/// From this IoU on, an object that is not seen is covered by one that is.
const COVERED_IOU: f32 = 0.3;

/// Of two boxes of a class, one is a part of the other if they share this much of the smaller one: networks often find
/// parts of an object too, and non-maximum suppression keeps small ones.
const PART_SHARE: f32 = 0.7;

#[derive(Debug)]
pub(super) struct MultiObjectTracker {
    settings: TrackSettings,
    /// Number of tracks so far, which is the number of the last.
    track_count: u64,
    /// Sum of the times between frames.
    now: Duration,
    /// Tracks by number, then candidates by age.
    hypotheses: Vec<Hypothesis>,
}

/// What belongs to what in one frame.
struct Association {
    /// For each hypothesis the index of its detection.
    detections: Vec<Option<usize>>,
    /// For each detection the index of its hypothesis.
    owners: Vec<Option<usize>>,
}

impl MultiObjectTracker {
    pub(super) const fn new(settings: TrackSettings) -> Self {
        Self {
            settings,
            track_count: 0,
            now: Duration::ZERO,
            hypotheses: Vec::new(),
        }
    }

    pub(super) fn with_track_count(self, track_count: u64) -> Self {
        Self {
            track_count,
            ..self
        }
    }

    pub(super) const fn track_count(&self) -> u64 {
        self.track_count
    }

    /// Number of classes of the model of which it has tracks or candidates.
    pub(super) fn class_count(&self) -> Option<usize> {
        self.hypotheses.first().map(Hypothesis::class_count)
    }

    /// Adds a frame, `step` after the last. `coverage` is where it was looked at, `None` if everywhere.
    pub(super) fn update(
        &mut self,
        frame: &FrameDetections,
        coverage: Option<&Coverage>,
        step: Duration,
        time: SystemTime,
    ) -> FrameTracks {
        self.now += step;
        let mut association = self.associate(frame, step);
        let seen_before = self.hypotheses.len();
        self.begin_candidates(frame, &mut association);
        let is_observed =
            |expected: &NormBox| coverage.is_none_or(|coverage| coverage.shows_well(expected));
        let seen_before = &mut self.hypotheses[..seen_before];
        let mut events = Self::update_hypotheses(
            seen_before,
            (frame, &association),
            is_observed,
            (self.now, step, time),
            &self.settings,
        );
        self.start_tracks(frame.begin_threshold, &association, time, &mut events);
        let number = |detection: Option<usize>| {
            let owner = association.owners[detection?]?;
            self.hypotheses[owner].number()
        };
        let numbers = frame.listed.iter().map(|listed| number(*listed)).collect();
        let tracks = self.shown(frame, &association);
        self.hypotheses
            .retain(|hypothesis| hypothesis.status != Status::Ended);
        self.hypotheses
            .sort_by_key(|hypothesis| hypothesis.number().unwrap_or(u64::MAX));
        let order = |event: &Event| {
            let is_new = event.kind == EventKind::Appeared;
            (is_new, event.kind != EventKind::Left)
        };
        events.sort_by_key(order);
        FrameTracks {
            tracks,
            numbers,
            events,
        }
    }

    /// Where tracks and candidates are expected.
    pub(super) fn targets(&self) -> Vec<Target> {
        let target = |hypothesis: &Hypothesis| hypothesis.target(self.now);
        self.hypotheses.iter().map(target).collect()
    }

    /// Whether all that it follows are tracks that stand still and were seen in the last frame.
    pub(super) fn is_settled(&self) -> bool {
        let is_settled = |hypothesis: &Hypothesis| hypothesis.is_settled(&self.settings);
        self.hypotheses.iter().all(is_settled)
    }

    /// Adds a frame that shows the same as the last one, `step` after it. Returns the visible tracks.
    pub(super) fn rest(&mut self, step: Duration) -> Vec<StableDetection> {
        self.now += step;
        for hypothesis in &mut self.hypotheses {
            hypothesis.rest(self.now);
        }
        let shown = self
            .hypotheses
            .iter()
            .filter(|shown| !shown.is_contradicted());
        let stable = |shown: &Hypothesis| shown.stable_detection(self.now, &self.settings);
        shown.filter_map(stable).collect()
    }

    /// Where tracks and candidates were seen last.
    pub(super) fn last_seen(&self) -> Vec<NormBox> {
        self.hypotheses.iter().map(Hypothesis::last_seen).collect()
    }

    /// Ends all tracks.
    pub(super) fn finish(&mut self, time: SystemTime) -> Vec<Event> {
        let ended = std::mem::take(&mut self.hypotheses);
        let left = |hypothesis: &Hypothesis| {
            let number = hypothesis.number()?;
            Some(hypothesis.event(number, EventKind::Left, time))
        };
        ended.iter().filter_map(left).collect()
    }

    fn associate(&self, frame: &FrameDetections, step: Duration) -> Association {
        let mut association = Association {
            detections: vec![None; self.hypotheses.len()],
            owners: vec![None; frame.detections.len()],
        };
        let expected = |hypothesis: &Hypothesis| hypothesis.expected(self.now, &self.settings);
        let expected: Vec<_> = self.hypotheses.iter().map(expected).collect();
        let is_track = |hypothesis: &&Hypothesis| hypothesis.number().is_some();
        let track_count = self.hypotheses.iter().filter(is_track).count();
        let (tracks, candidates) = (0..track_count, track_count..self.hypotheses.len());
        // What was missed for longer, and in more than one frame, is brought back by a strong detection only.
        let longest = self.settings.hide_after.max(step);
        let may_be_weak = |index: &usize| self.hypotheses[*index].unsupported() <= longest;
        let stages = [
            (tracks.clone().collect(), frame.strong()),
            (tracks.filter(may_be_weak).collect(), frame.weak()),
            (candidates.clone().collect(), frame.strong()),
            (candidates.collect(), frame.weak()),
        ];
        for (hypotheses, detections) in stages {
            association.match_remaining(hypotheses, detections, &expected, frame);
            association.add_own_names(&expected, frame);
        }
        association.add_other_names(frame, 0);
        association
    }

    /// Begins a candidate at each strong detection that remains and is no part of another, the strongest first.
    fn begin_candidates(&mut self, frame: &FrameDetections, association: &mut Association) {
        for detection in frame.strong() {
            if association.owners[detection].is_some() || association.is_part(detection, frame) {
                continue;
            }
            let hypothesis = self.hypotheses.len();
            association.detections.push(Some(detection));
            association.owners[detection] = Some(hypothesis);
            association.add_other_names(frame, detection + 1);
            let sighting = association.sighting(hypothesis, detection, frame);
            self.hypotheses.push(Hypothesis::new(&sighting, self.now));
        }
    }

    /// Updates the hypotheses that were there before this frame. `is_observed` tells whether an object at a box would have been
    /// seen. Returns the events of tracks that changed their class or ended.
    fn update_hypotheses(
        hypotheses: &mut [Hypothesis],
        (frame, association): (&FrameDetections, &Association),
        is_observed: impl Fn(&NormBox) -> bool,
        (now, step, time): (Duration, Duration, SystemTime),
        settings: &TrackSettings,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, hypothesis) in hypotheses.iter_mut().enumerate() {
            let number = hypothesis.number();
            let kind = if let Some(detection) = association.detections[index] {
                let sighting = association.sighting(index, detection, frame);
                let from = hypothesis.support(&sighting, now, step, settings);
                from.map(|from| EventKind::Changed { from })
            } else if is_observed(&hypothesis.bounding_box(now))
                || hypothesis.unobserved() > settings.leave_after
            {
                hypothesis.miss(step, settings);
                (hypothesis.status == Status::Ended).then_some(EventKind::Left)
            } else {
                hypothesis.skip(step);
                None
            };
            let event = kind.zip(number);
            events.extend(event.map(|(kind, number)| hypothesis.event(number, kind, time)));
        }
        events
    }

    /// Makes tracks of the candidates that have become certain. One that appears where another track was seen last ends it.
    fn start_tracks(
        &mut self,
        threshold: f32,
        association: &Association,
        time: SystemTime,
        events: &mut Vec<Event>,
    ) {
        for index in 0..self.hypotheses.len() {
            let candidate = &self.hypotheses[index];
            let is_seen = association.detections[index].is_some();
            if !is_seen || !candidate.is_certain(threshold, &self.settings) {
                continue;
            }
            let first = candidate.first();
            let bounding_box = candidate.bounding_box(self.now);
            for other in &mut self.hypotheses {
                let is_replaced = other.last() < first
                    && iou(&other.bounding_box(self.now), &bounding_box) >= SAME_OBJECT_IOU;
                let number = other.number().filter(|_| is_replaced);
                if let Some(number) = number {
                    events.push(other.event(number, EventKind::Left, time));
                    other.status = Status::Ended;
                }
            }
            self.track_count += 1;
            let track = &mut self.hypotheses[index];
            track.status = Status::Track {
                number: self.track_count,
                unsupported: Duration::ZERO,
            };
            events.push(track.event(self.track_count, EventKind::Appeared, time));
        }
    }

    /// The tracks that are shown in this frame.
    fn shown(&self, frame: &FrameDetections, association: &Association) -> Vec<StableDetection> {
        let is_shown = |index: &usize| match association.detections[*index] {
            Some(_) => !self.hypotheses[*index].is_contradicted(),
            None => self.is_shown_unseen(*index, frame, association),
        };
        let shown = (0..self.hypotheses.len()).filter(is_shown);
        let stable =
            |index: usize| self.hypotheses[index].stable_detection(self.now, &self.settings);
        shown.filter_map(stable).collect()
    }

    /// Whether a track without a detection in this frame is shown: not for long, and not where another object is. If an
    /// object of its class has come up elsewhere since it was seen, it has jumped, or it is gone.
    fn is_shown_unseen(
        &self,
        index: usize,
        frame: &FrameDetections,
        association: &Association,
    ) -> bool {
        let track = &self.hypotheses[index];
        let is_hidden = track.unsupported() > self.settings.hide_after
            || track.unobserved() > self.settings.hide_unobserved_after;
        if is_hidden || track.is_leaving() {
            return false;
        }
        let bounding_box = track.bounding_box(self.now);
        let has_jumped = |other: usize| {
            let (is_seen, other) = (
                association.detections[other].is_some(),
                &self.hypotheses[other],
            );
            is_seen && other.class() == track.class() && other.first() > track.last()
        };
        let is_observed = track.unobserved().is_zero();
        association.overlap(&bounding_box, frame) < COVERED_IOU
            && !(is_observed && (0..self.hypotheses.len()).any(has_jumped))
    }
}

impl Association {
    /// Associates those of the hypotheses that have no detection with those of the detections that have no hypothesis.
    fn match_remaining(
        &mut self,
        mut hypotheses: Vec<usize>,
        detections: Range<usize>,
        expected: &[Expected],
        frame: &FrameDetections,
    ) {
        hypotheses.retain(|&index| self.detections[index].is_none());
        let detections: Vec<usize> = detections.filter(|&i| self.owners[i].is_none()).collect();
        // A weak detection of another class says nothing about an object.
        let is_strong = detections.iter().all(|&index| index < frame.strong_count);
        let expected = hypotheses.iter().map(|&index| Expected {
            may_change_class: expected[index].may_change_class && is_strong,
            ..expected[index]
        });
        let expected: Vec<_> = expected.collect();
        let found: Vec<_> = detections
            .iter()
            .map(|&index| frame.detections[index])
            .collect();
        let associated = associate(&expected, &found);
        for (&hypothesis, detection) in hypotheses.iter().zip(associated) {
            if let Some(detection) = detection.map(|index| detections[index]) {
                self.detections[hypothesis] = Some(detection);
                self.owners[detection] = Some(hypothesis);
            }
        }
    }

    /// Gives a hypothesis whose detection is of another class the detection of its own class at the same place.
    fn add_own_names(&mut self, expected: &[Expected], frame: &FrameDetections) {
        for (hypothesis, detection) in self.detections.iter().enumerate() {
            let class = expected[hypothesis].class;
            let Some(found) = detection.map(|index| &frame.detections[index]) else {
                continue;
            };
            if found.class == class {
                continue;
            }
            let own = frame.detections.iter().zip(&mut self.owners);
            let is_own = |(name, owner): &(&Detection, &mut Option<usize>)| {
                owner.is_none()
                    && name.class == class
                    && iou(&name.bounding_box, &found.bounding_box) >= SAME_OBJECT_IOU
            };
            for (_, owner) in own.filter(is_own) {
                *owner = Some(hypothesis);
            }
        }
    }

    /// Adds detections from index `first` on that have no hypothesis to those whose detection is at the same place and of
    /// another class: they are other names of the same object.
    fn add_other_names(&mut self, frame: &FrameDetections, first: usize) {
        for index in first..frame.detections.len() {
            if self.owners[index].is_some() {
                continue;
            }
            let name = &frame.detections[index];
            let overlap = |owned: usize| {
                let owned = &frame.detections[owned];
                let overlap = iou(&owned.bounding_box, &name.bounding_box);
                (owned.class != name.class && overlap >= SAME_OBJECT_IOU).then_some(overlap)
            };
            let places = self.detections.iter().enumerate();
            let overlaps = places.filter_map(|(owner, owned)| Some((owner, overlap((*owned)?)?)));
            let best = overlaps.reduce(|best, other| if other.1 > best.1 { other } else { best });
            self.owners[index] = best.map(|(owner, _)| owner);
        }
    }

    /// Whether a detection is a part of an object of its class, or its surroundings.
    fn is_part(&self, detection: usize, frame: &FrameDetections) -> bool {
        let part = &frame.detections[detection];
        let owned = frame.detections.iter().zip(&self.owners);
        let mut whole = owned.filter(|(found, owner)| owner.is_some() && found.class == part.class);
        whole.any(|(found, _)| {
            let (a, b) = (&found.bounding_box, &part.bounding_box);
            a.intersection_area(b) >= PART_SHARE * a.area().min(b.area())
        })
    }

    /// The highest IoU of a box with a detection that is of a hypothesis, 0 without one.
    fn overlap(&self, bounding_box: &NormBox, frame: &FrameDetections) -> f32 {
        let owned = frame.detections.iter().zip(&self.owners);
        let owned = owned.filter(|(_, owner)| owner.is_some());
        let overlaps = owned.map(|(found, _)| iou(&found.bounding_box, bounding_box));
        overlaps.fold(0.0, f32::max)
    }

    /// What a frame shows of a hypothesis with this detection.
    fn sighting(&self, hypothesis: usize, detection: usize, frame: &FrameDetections) -> Sighting {
        let mut scores = Scores::from_elem(0.0, frame.class_count);
        let owned = self.owners.iter().zip(&frame.detections);
        for (_, found) in owned.filter(|(owner, _)| **owner == Some(hypothesis)) {
            let score: &mut f32 = &mut scores[found.class.index()];
            *score = score.max(found.confidence);
        }
        let is_owned_and_strong = |index: usize| self.owners[index] == Some(hypothesis);
        Sighting {
            bounding_box: frame.detections[detection].bounding_box,
            scores,
            is_strong: frame.strong().any(is_owned_and_strong),
        }
    }
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
