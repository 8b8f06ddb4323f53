//! Decides which frames are computed: not more than a rate, and none in which nothing has moved.
//!
//! It knows no clock: the caller passes the time of each frame, so a recording always gets the same inferences.

use std::time::{Duration, Instant};

use crate::frame::Frame;
use crate::heat::HeatSensors;
use crate::motion::{Comparison, MotionGate};
use crate::regions::MovedArea;

/// After a motion, all frames are computed for this time: the last one that moved may be blurred.
const LINGER: Duration = Duration::from_secs(1);

/// When a run rests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestSettings {
    /// Most inferred frames per second, more than 0.
    pub max_rate: Option<f64>,
    /// Frames in which nothing has moved are not computed, but at least one in this time; `None` to compute all.
    pub idle_interval: Option<Duration>,
    /// Lowers the rate of a live run on a hot board.
    pub heat: Option<HeatSettings>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HeatSettings {
    pub sensors: HeatSensors,
    /// Degrees Celsius from which on the rate is lowered.
    pub max_temperature: f64,
}

/// What to do with a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// With what has moved, as far as that is known.
    Compute(Vec<MovedArea>),
    /// It shows what the last computed frame showed.
    Still,
    /// It comes before the rate allows it.
    HeldBack,
}

/// Decides for frames that follow each other.
#[derive(Debug)]
pub(super) struct Rest {
    limit: RateLimit,
    still: Option<StillFrames>,
}

impl Rest {
    pub(super) fn new(settings: &RestSettings) -> Self {
        Self {
            limit: RateLimit::new(settings.max_rate),
            still: settings.idle_interval.map(StillFrames::new),
        }
    }

    /// `is_settled` tells whether all that is tracked stands still and was seen in the last computed frame. What it decides
    /// must be told by [`Self::computed`].
    pub(super) fn decide(&mut self, frame: &Frame, at: Instant, is_settled: bool) -> Decision {
        if !self.limit.allows(at) {
            return Decision::HeldBack;
        }
        match &mut self.still {
            Some(still) => still.decide(frame, at, is_settled),
            None => Decision::Compute(Vec::new()),
        }
    }

    /// The frame for which was decided last is computed.
    pub(super) fn computed(&mut self, at: Instant) {
        self.limit.computed(at);
        if let Some(still) = &mut self.still {
            still.gate.set_reference();
            still.computed_at = Some(at);
        }
    }

    /// The next frame is computed, whatever it shows: a scene starts, or another model.
    pub(super) fn start_over(&mut self) {
        self.limit.due = None;
        if let Some(still) = &mut self.still {
            *still = StillFrames::new(still.idle_interval);
        }
    }

    /// Whether a frame after the present one may be left out.
    pub(super) fn is_active(&self) -> bool {
        self.still.is_some() || self.limit.interval().is_some()
    }

    /// Limits the rate further, or no more.
    pub(super) fn set_heat_rate(&mut self, rate: Option<f64>) {
        self.limit.heat_rate = rate;
    }
}

/// At most a number of frames per second.
#[derive(Debug)]
struct RateLimit {
    max_rate: Option<f64>,
    heat_rate: Option<f64>,
    /// When the next frame may be computed.
    due: Option<Instant>,
}

impl RateLimit {
    const fn new(max_rate: Option<f64>) -> Self {
        Self {
            max_rate,
            heat_rate: None,
            due: None,
        }
    }

    fn interval(&self) -> Option<Duration> {
        let rates = [self.max_rate, self.heat_rate].into_iter().flatten();
        let rate = rates.reduce(f64::min)?;
        Duration::try_from_secs_f64(rate.recip()).ok()
    }

    fn allows(&self, at: Instant) -> bool {
        // A time that goes back, as that of a film that starts again, must not stop all.
        let is_early = |due: Instant| at < due && self.interval().is_some_and(|i| due - at <= i);
        !self.due.is_some_and(is_early)
    }

    /// A frame that comes a little late does not delay those after it, so the rate is kept on average.
    fn computed(&mut self, at: Instant) {
        self.due = self.interval().map(|interval| {
            let next = self.due.and_then(|due| due.checked_add(interval));
            let latest = at.checked_add(interval).unwrap_or(at);
            let is_near = |next: &Instant| (at..latest).contains(next);
            next.filter(is_near).unwrap_or(latest)
        });
    }
}

/// Frames in which nothing has moved since the last computed one.
#[derive(Debug)]
struct StillFrames {
    gate: MotionGate,
    idle_interval: Duration,
    computed_at: Option<Instant>,
    moved_at: Option<Instant>,
}

impl StillFrames {
    fn new(idle_interval: Duration) -> Self {
        Self {
            gate: MotionGate::new(),
            idle_interval,
            computed_at: None,
            moved_at: None,
        }
    }

    fn decide(&mut self, frame: &Frame, at: Instant, is_settled: bool) -> Decision {
        let comparison = self.gate.compare(&frame.image.luma_grid());
        let is_recent = |time: Option<Instant>, limit: Duration| {
            time.is_some_and(|time| at.saturating_duration_since(time) < limit)
        };
        match comparison {
            Comparison::Moved(areas) => {
                self.moved_at = Some(at);
                Decision::Compute(areas)
            }
            Comparison::Still
                if is_settled
                    && is_recent(self.computed_at, self.idle_interval)
                    && !is_recent(self.moved_at, LINGER) =>
            {
                Decision::Still
            }
            Comparison::Still | Comparison::Unknown => Decision::Compute(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::frame::Origin;

    /// Computed frames of `count` that come `interval` milliseconds after each other.
    fn computed(rest: &mut Rest, start: Instant, count: u32, interval: u64) -> Vec<u32> {
        let frame = Frame::new(0, Origin::Live, RgbImage::new(64, 48));
        let mut computed = Vec::new();
        for number in 0..count {
            let at = start + Duration::from_millis(interval) * number;
            if let Decision::Compute(_) = rest.decide(&frame, at, true) {
                rest.computed(at);
                computed.push(number);
            }
        }
        computed
    }

    fn limited(max_rate: f64) -> Rest {
        Rest::new(&RestSettings {
            max_rate: Some(max_rate),
            ..RestSettings::default()
        })
    }

    #[test]
    fn the_rate_is_kept_on_average() {
        let start = Instant::now();
        for (rate, interval, frames, expected) in [
            (10.0, 33, 303, 100),
            (7.0, 33, 303, 70),
            (0.5, 33, 303, 5),
            (100.0, 33, 303, 303),
            (30.0, 33, 303, 301),
        ] {
            let count = computed(&mut limited(rate), start, frames, interval).len();
            assert!(count.abs_diff(expected) <= 3, "{rate}: {count}");
        }
    }

    #[test]
    fn a_pause_saves_nothing_up() {
        let mut rest = limited(1.0);
        let start = Instant::now();
        computed(&mut rest, start, 1, 0);
        let later = start + Duration::from_secs(60);
        assert_eq!(computed(&mut rest, later, 20, 100), [0, 10]);
    }

    #[test]
    fn heat_lowers_the_rate_and_the_lower_one_counts() {
        let start = Instant::now();
        let mut rest = limited(5.0);
        rest.set_heat_rate(Some(1.0));
        assert_eq!(computed(&mut rest, start, 20, 100), [0, 10]);
        rest.set_heat_rate(None);
        let later = start + Duration::from_secs(3);
        assert_eq!(computed(&mut rest, later, 6, 100), [0, 2, 4]);
    }

    #[test]
    fn a_time_that_goes_back_does_not_stop_all() {
        let mut rest = limited(1.0);
        let start = Instant::now();
        computed(&mut rest, start + Duration::from_secs(100), 1, 0);
        assert_eq!(computed(&mut rest, start, 11, 100), [0, 10]);
    }

    fn resting(idle_interval: u64) -> Rest {
        Rest::new(&RestSettings {
            idle_interval: Some(Duration::from_millis(idle_interval)),
            ..RestSettings::default()
        })
    }

    #[test]
    fn a_still_frame_is_computed_once_in_the_idle_interval() {
        let mut rest = resting(2000);
        let start = Instant::now();
        computed(&mut rest, start, 20, 100);
        let later = start + Duration::from_secs(2);
        let found = computed(&mut rest, later, 60, 100);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[1] - found[0], found[2] - found[1]), (20, 20));
    }

    #[test]
    fn nothing_rests_until_all_is_settled_and_a_second_after_a_motion() {
        let mut rest = resting(60_000);
        let start = Instant::now();
        let before = computed(&mut rest, start, 20, 100);
        assert!(before.len() < 15, "{before:?}");
        let still = Frame::new(0, Origin::Live, RgbImage::new(64, 48));
        let at = start + Duration::from_secs(2);
        assert_eq!(rest.decide(&still, at, true), Decision::Still);
        assert_eq!(
            rest.decide(&still, at, false),
            Decision::Compute(Vec::new())
        );
        let mut image = RgbImage::new(64, 48);
        for (x, y) in (16..32).flat_map(|x| (16..32).map(move |y| (x, y))) {
            image.put_pixel(x, y, Rgb([200; 3]));
        }
        let other = Frame::new(1, Origin::Live, image);
        let Decision::Compute(moved) = rest.decide(&other, at, true) else {
            panic!("a thing has appeared");
        };
        assert_eq!(moved.len(), 1);
        rest.computed(at);
        let after = |milliseconds| at + Duration::from_millis(milliseconds);
        assert_ne!(rest.decide(&other, after(900), true), Decision::Still);
        assert_eq!(rest.decide(&other, after(1000), true), Decision::Still);
        rest.start_over();
        assert_ne!(rest.decide(&other, after(1100), true), Decision::Still);
    }
}
