//! One track and one zone: whether the track is inside, with times that keep a track at the edge from flickering.

use std::time::{Duration, Instant};

use crate::zone::Zone;

/// Whether a track is in a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Stay {
    /// `None` outside.
    inside: Option<Inside>,
    /// The first of the last frames in a row that show the track on the other side.
    contradicted_since: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Inside {
    /// First and last frame that showed the track inside.
    first: Instant,
    last: Instant,
    has_loitered: bool,
}

/// What a frame changes. `stayed` is the time from the first frame inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StayChange {
    Entered,
    Loitering { stayed: Duration },
    Left { stayed: Duration },
}

impl Stay {
    pub(super) const fn is_inside(&self) -> bool {
        self.inside.is_some()
    }

    /// Adds a frame that shows the track inside or outside. It has entered or left when all frames of the settle time
    /// show that.
    pub(super) fn update(
        &mut self,
        is_inside: bool,
        at: Instant,
        zone: &Zone,
    ) -> Option<StayChange> {
        if is_inside == self.is_inside() {
            self.contradicted_since = None;
            return self.inside.as_mut()?.update(at, zone);
        }
        let since = *self.contradicted_since.get_or_insert(at);
        if at.saturating_duration_since(since) < zone.settle() {
            return None;
        }
        self.contradicted_since = None;
        match self.inside.take() {
            None => {
                self.inside = Some(Inside {
                    first: since,
                    last: at,
                    has_loitered: false,
                });
                Some(StayChange::Entered)
            }
            Some(inside) => Some(StayChange::Left {
                stayed: inside.stayed(),
            }),
        }
    }

    /// The track has ended. Returns how long it was inside, if it was.
    pub(super) fn end(self) -> Option<Duration> {
        self.inside.map(|inside| inside.stayed())
    }
}

impl Inside {
    fn update(&mut self, at: Instant, zone: &Zone) -> Option<StayChange> {
        self.last = at;
        let stayed = self.stayed();
        let loiters = zone.loiter().is_some_and(|loiter| stayed >= loiter);
        if !loiters || self.has_loitered {
            return None;
        }
        self.has_loitered = true;
        Some(StayChange::Loitering { stayed })
    }

    fn stayed(&self) -> Duration {
        self.last.saturating_duration_since(self.first)
    }
}
