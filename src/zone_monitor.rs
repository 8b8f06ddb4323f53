//! What tracks do in the zones and at the lines of a picture: events and counts.
//!
//! [`ZoneMonitor`] has no clock: the caller passes the time of each frame, so a recording always gives the same events.
//! Only tracks that have appeared come here. A track that is hidden for a moment stays where it was last seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind, StableDetection};
use crate::zone::{Line, LineId, NormPoint, Zone, ZoneId, ZoneMap};

mod passage;
mod stay;

use passage::Passage;
use stay::{Stay, StayChange};

/// A number of things for each class, by name. A class that was counted once stays, with 0.
pub type ClassCounts = BTreeMap<String, u64>;

/// The zones and lines of a run with their counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ZoneCounts {
    map: Arc<ZoneMap>,
    /// In the order of [`ZoneMap::zones`].
    present: Vec<ClassCounts>,
    /// In the order of [`ZoneMap::lines`], each in the order of [`crate::zone::Direction::ALL`].
    crossed: Vec<[ClassCounts; 2]>,
}

/// Follows tracks through zones and over lines.
#[derive(Debug)]
pub struct ZoneMonitor {
    counts: Arc<ZoneCounts>,
    /// For each zone, by track number.
    stays: Vec<BTreeMap<u64, Stay>>,
    /// For each line, by track number.
    passages: Vec<BTreeMap<u64, Passage>>,
    /// The classes of all tracks that have not ended.
    classes: BTreeMap<u64, ClassId>,
}

/// When a frame was captured.
#[derive(Debug, Clone, Copy)]
pub struct FrameTime {
    pub at: Instant,
    /// The same on the system clock.
    pub time: SystemTime,
}

impl ZoneCounts {
    /// Nothing in the zones, and nothing over the lines.
    #[must_use]
    pub fn new(map: Arc<ZoneMap>) -> Self {
        let (zones, lines) = (map.zones().len(), map.lines().len());
        Self {
            map,
            present: vec![ClassCounts::new(); zones],
            crossed: vec![<[ClassCounts; 2]>::default(); lines],
        }
    }

    #[must_use]
    pub fn map(&self) -> &ZoneMap {
        &self.map
    }

    /// Each zone with the things that are in it now.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = (&Zone, &ClassCounts)> {
        let zones = self.map.zones().map(|(_, zone)| zone);
        zones.zip(&self.present)
    }

    /// Each line with the crossings in each [`crate::zone::Direction`] since the start of the run.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (&Line, &[ClassCounts; 2])> {
        let lines = self.map.lines().map(|(_, line)| line);
        lines.zip(&self.crossed)
    }
}

impl ZoneMonitor {
    #[must_use]
    pub fn new(map: Arc<ZoneMap>) -> Self {
        let (zones, lines) = (map.zones().len(), map.lines().len());
        Self {
            counts: Arc::new(ZoneCounts::new(map)),
            stays: vec![BTreeMap::new(); zones],
            passages: vec![BTreeMap::new(); lines],
            classes: BTreeMap::new(),
        }
    }

    /// The counts after the last update.
    #[must_use]
    pub fn counts(&self) -> Arc<ZoneCounts> {
        Arc::clone(&self.counts)
    }

    /// Adds the visible tracks of a frame and the events of the tracker since the last one. Returns these events with
    /// those of the zones and lines among them: a track leaves its zones before it leaves the picture, and enters them
    /// after it has appeared.
    pub fn update(
        &mut self,
        tracks: &[StableDetection],
        tracker_events: Vec<Event>,
        frame: FrameTime,
        labels: &Labels,
    ) -> Vec<Event> {
        let map = Arc::clone(&self.counts.map);
        if map.is_empty() {
            return tracker_events;
        }
        let mut events = Vec::with_capacity(tracker_events.len());
        for event in tracker_events {
            if event.kind == EventKind::Left {
                self.end_track(&event, &mut events);
            }
            events.push(event);
        }
        for track in tracks {
            self.classes.insert(track.track, track.detection.class);
        }
        for (id, zone) in map.zones() {
            for track in tracks {
                let change = self.update_stay((id, zone), track, frame.at, labels);
                events.extend(change.map(|change| stay_event(id, change, track, frame.time)));
            }
        }
        for (id, line) in map.lines() {
            for track in tracks {
                let crossed = self.update_passage((id, line), track, labels);
                events.extend(crossed.map(|kind| event(kind, track, track.duration, frame.time)));
            }
        }
        // Also after a track has changed its class.
        if !events.is_empty() {
            self.count_present(labels);
        }
        events
    }

    /// Forgets a track, which leaves all its zones with its last state.
    fn end_track(&mut self, left: &Event, events: &mut Vec<Event>) {
        for ((zone, _), stays) in self.counts.map.zones().zip(&mut self.stays) {
            let stayed = stays.remove(&left.track).and_then(Stay::end);
            events.extend(stayed.map(|duration| Event {
                kind: EventKind::LeftZone { zone },
                duration,
                ..*left
            }));
        }
        for passages in &mut self.passages {
            passages.remove(&left.track);
        }
        self.classes.remove(&left.track);
    }

    fn update_stay(
        &mut self,
        (id, zone): (ZoneId, &Zone),
        track: &StableDetection,
        at: Instant,
        labels: &Labels,
    ) -> Option<StayChange> {
        let is_selected = zone.classes().contains(name_of(track, labels));
        let is_inside = is_selected && zone.polygon().contains(foot_of(track));
        let stay = self.stays[id.index()].entry(track.track).or_default();
        stay.update(is_inside, at, zone)
    }

    /// Counts a crossing under the class that the track has when it is complete.
    fn update_passage(
        &mut self,
        (id, line): (LineId, &Line),
        track: &StableDetection,
        labels: &Labels,
    ) -> Option<EventKind> {
        let foot = foot_of(track);
        let passages = &mut self.passages[id.index()];
        let Some(passage) = passages.get_mut(&track.track) else {
            passages.insert(track.track, Passage::new(foot, line));
            return None;
        };
        let direction = passage.update(foot, line)?;
        let class = name_of(track, labels);
        if !line.classes().contains(class) {
            return None;
        }
        let crossed = &mut Arc::make_mut(&mut self.counts).crossed[id.index()];
        add(&mut crossed[direction.index()], class);
        Some(EventKind::Crossed {
            line: id,
            direction,
        })
    }

    fn count_present(&mut self, labels: &Labels) {
        let counts = Arc::make_mut(&mut self.counts);
        let zones = counts.map.zones().zip(&self.stays);
        for (((_, zone), stays), present) in zones.zip(&mut counts.present) {
            present.values_mut().for_each(|count| *count = 0);
            for (track, _) in stays.iter().filter(|(_, stay)| stay.is_inside()) {
                let class = self
                    .classes
                    .get(track)
                    .and_then(|class| labels.name(*class));
                // A track that is of another class now leaves when that has lasted for a while.
                if let Some(class) = class.filter(|class| zone.classes().contains(class)) {
                    add(present, class);
                }
            }
        }
    }
}

fn add(counts: &mut ClassCounts, class: &str) {
    *counts.entry(class.to_owned()).or_default() += 1;
}

fn name_of<'l>(track: &StableDetection, labels: &'l Labels) -> &'l str {
    labels.name(track.detection.class).unwrap_or("?")
}

fn foot_of(track: &StableDetection) -> NormPoint {
    NormPoint::foot_of(&track.detection.bounding_box)
}

fn stay_event(
    zone: ZoneId,
    change: StayChange,
    track: &StableDetection,
    time: SystemTime,
) -> Event {
    match change {
        StayChange::Entered => event(EventKind::Entered { zone }, track, track.duration, time),
        StayChange::Loitering { stayed } => {
            event(EventKind::Loitering { zone }, track, stayed, time)
        }
        StayChange::Left { stayed } => event(EventKind::LeftZone { zone }, track, stayed, time),
    }
}

fn event(kind: EventKind, track: &StableDetection, duration: Duration, time: SystemTime) -> Event {
    Event {
        kind,
        track: track.track,
        detection: track.detection,
        time,
        duration,
    }
}

#[cfg(test)]
mod tests;
