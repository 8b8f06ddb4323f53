//! Lowers the rate of inferences while the board is hot.

use std::time::{Duration, Instant};

use super::rest::HeatSettings;
use crate::heat::{HeatSensors, HeatSteps, Reading};

/// How often the sensors are read.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Reads the sensors from time to time.
#[derive(Debug)]
pub(super) struct HeatControl {
    sensors: HeatSensors,
    steps: HeatSteps,
    max_rate: Option<f64>,
    checked_at: Option<Instant>,
    /// The rate without heat, since it was lowered.
    full_rate: Option<f64>,
}

/// A change of the rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HeatChange {
    /// The most inferred frames per second; `None` if heat does not limit it any more.
    pub(super) rate: Option<f64>,
    /// For a person.
    pub(super) reason: String,
}

impl HeatControl {
    /// `max_rate` is the greatest rate of a cool board.
    pub(super) fn new(settings: HeatSettings, max_rate: Option<f64>) -> Self {
        Self {
            sensors: settings.sensors,
            steps: HeatSteps::new(settings.max_temperature),
            max_rate,
            checked_at: None,
            full_rate: None,
        }
    }

    /// Reads the sensors if it is time. `inference` gives the duration of the last inference.
    pub(super) fn check(
        &mut self,
        now: Instant,
        inference: impl FnOnce() -> Duration,
    ) -> Option<HeatChange> {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < CHECK_INTERVAL;
        if self.checked_at.is_some_and(is_recent) {
            return None;
        }
        self.checked_at = Some(now);
        let reading = self.sensors.read();
        let steps = self.steps.update(&reading, now)?;
        Some(self.change(steps, &reading, inference()))
    }

    fn change(&mut self, steps: u32, reading: &Reading, inference: Duration) -> HeatChange {
        if steps == 0 {
            self.full_rate = None;
            return HeatChange {
                rate: None,
                reason: "the board has cooled: inferences are no longer limited by heat".to_owned(),
            };
        }
        // Without a limit, the model would run all the time.
        let busy_rate = inference.as_secs_f64().max(1e-3).recip();
        let max_rate = self.max_rate.unwrap_or(f64::INFINITY);
        let full_rate = *self.full_rate.get_or_insert(busy_rate.min(max_rate));
        let rate = full_rate / f64::from(1_u32 << steps.min(31));
        let cause = match (reading.temperature, reading.is_throttled) {
            (Some(degrees), true) => format!("{degrees:.0} degrees Celsius and throttled"),
            (Some(degrees), false) => format!("{degrees:.0} degrees Celsius"),
            (None, _) => "throttled".to_owned(),
        };
        HeatChange {
            rate: Some(rate),
            reason: format!("the board is hot ({cause}): at most {rate:.2} inferences per second"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn heat(root: &Path, degrees: u32) {
        let zone = root.join("sys/class/thermal/thermal_zone0");
        fs::create_dir_all(&zone).expect("created");
        fs::write(zone.join("temp"), format!("{}\n", degrees * 1000)).expect("written");
    }

    #[test]
    fn each_step_halves_the_rate_and_cooling_raises_it() {
        let root = tempfile::tempdir().expect("a folder");
        for (max_rate, expected) in [(None, [2.0, 1.0]), (Some(3.0), [1.5, 0.75])] {
            let settings = HeatSettings {
                sensors: HeatSensors::at(root.path()),
                max_temperature: 80.0,
            };
            let mut control = HeatControl::new(settings, max_rate);
            let start = Instant::now();
            let mut check = |seconds| {
                let now = start + Duration::from_secs(seconds);
                control.check(now, || Duration::from_millis(250))
            };
            heat(root.path(), 60);
            assert_eq!(check(0), None);
            heat(root.path(), 84);
            assert_eq!(check(4), None, "not yet read again");
            let first = check(5).expect("hot");
            assert_eq!(first.rate, Some(expected[0]));
            assert!(first.reason.contains("84 degrees Celsius"), "{first:?}");
            assert_eq!(check(40).and_then(|change| change.rate), Some(expected[1]));
            heat(root.path(), 50);
            assert_eq!(check(50), None);
            assert_eq!(check(110).and_then(|change| change.rate), Some(expected[0]));
            assert_eq!(check(115), None);
            let last = check(180).expect("cool");
            assert_eq!(last.rate, None);
            assert!(last.reason.contains("cooled"), "{last:?}");
        }
    }
}
