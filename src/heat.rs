//! The heat of the board: its temperature, whether its firmware throttles it, and by how much less it should compute.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The present state in a Raspberry Pi's `get_throttled`: frequency capped, throttled, at the temperature limit.
const THROTTLED_NOW: u32 = 0b1110;

/// A board is cool again at so many degrees Celsius below the highest temperature.
const HYSTERESIS: f64 = 10.0;

/// Time for a board to cool after its load was lowered, before it is lowered further.
const SETTLE_TIME: Duration = Duration::from_secs(30);

/// Time for which a board must be cool before its load is raised by a step.
const COOL_TIME: Duration = Duration::from_secs(60);

/// Most steps. Each halves the rate of inferences.
const MAX_STEPS: u32 = 5;

/// The sensors of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatSensors {
    /// `/`; another folder in tests.
    root: PathBuf,
}

/// What the sensors say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Degrees Celsius of the hottest sensor; `None` without sensors.
    pub temperature: Option<f64>,
    /// Whether the firmware lowers the clock now.
    pub is_throttled: bool,
}

impl HeatSensors {
    /// Those of the machine that runs this program.
    #[must_use]
    pub fn this() -> Self {
        Self::at("/")
    }

    /// Those below another folder than `/`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    #[must_use]
    pub fn read(&self) -> Reading {
        let throttled = self
            .root
            .join("sys/devices/platform/soc/soc:firmware/get_throttled");
        let throttled = fs::read_to_string(throttled).ok();
        let bits = throttled.and_then(|text| throttled_bits(&text));
        Reading {
            temperature: self.temperature(),
            is_throttled: bits.is_some_and(|bits| bits & THROTTLED_NOW != 0),
        }
    }

    fn temperature(&self) -> Option<f64> {
        let zones = fs::read_dir(self.root.join("sys/class/thermal")).ok()?;
        let degrees = |path: PathBuf| {
            let text = fs::read_to_string(path.join("temp")).ok()?;
            Some(text.trim().parse::<f64>().ok()? / 1000.0)
        };
        let zones = zones.flatten().filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("thermal_zone")
        });
        zones
            .filter_map(|entry| degrees(entry.path()))
            .max_by(f64::total_cmp)
    }
}

/// The bits of a Raspberry Pi's `get_throttled`: the lower half is the present, the upper half the time since boot.
#[must_use]
pub fn throttled_bits(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

/// By how many steps the load is lowered: one more while the board stays hot, one less while it stays cool.
#[derive(Debug, Clone)]
pub struct HeatSteps {
    /// Degrees Celsius.
    max_temperature: f64,
    steps: u32,
    changed_at: Option<Instant>,
    cool_since: Option<Instant>,
}

impl HeatSteps {
    /// `max_temperature` is in degrees Celsius.
    #[must_use]
    pub const fn new(max_temperature: f64) -> Self {
        Self {
            max_temperature,
            steps: 0,
            changed_at: None,
            cool_since: None,
        }
    }

    /// Adds a reading. Returns the number of steps if it has changed.
    pub fn update(&mut self, reading: &Reading, now: Instant) -> Option<u32> {
        let temperature = reading.temperature.unwrap_or(f64::MIN);
        let is_hot = reading.is_throttled || temperature >= self.max_temperature;
        let is_cool = !is_hot && temperature <= self.max_temperature - HYSTERESIS;
        let since = |time: Instant| now.saturating_duration_since(time);
        if is_cool {
            let cool_since = *self.cool_since.get_or_insert(now);
            let is_long = since(cool_since) >= COOL_TIME;
            return (is_long && self.steps > 0).then(|| self.change(self.steps - 1, now));
        }
        self.cool_since = None;
        let has_settled = self.changed_at.is_none_or(|at| since(at) >= SETTLE_TIME);
        (is_hot && has_settled && self.steps < MAX_STEPS).then(|| self.change(self.steps + 1, now))
    }

    fn change(&mut self, steps: u32, now: Instant) -> u32 {
        self.steps = steps;
        self.changed_at = Some(now);
        self.cool_since = None;
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_are_read() {
        let root = tempfile::tempdir().expect("a folder");
        let sensors = HeatSensors::at(root.path());
        let nothing = Reading {
            temperature: None,
            is_throttled: false,
        };
        assert_eq!(sensors.read(), nothing);
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        };
        write("sys/class/thermal/thermal_zone0/temp", "61000\n");
        write("sys/class/thermal/thermal_zone1/temp", "83200\n");
        write("sys/class/thermal/thermal_zone2/temp", "none\n");
        write("sys/class/thermal/cooling_device0/temp", "99000\n");
        let firmware = "sys/devices/platform/soc/soc:firmware/get_throttled";
        for (text, is_throttled) in [
            ("0x50005\n", true),
            ("50000", false),
            ("2", true),
            ("8", true),
            ("1", false),
            ("", false),
        ] {
            write(firmware, text);
            let expected = Reading {
                temperature: Some(83.2),
                is_throttled,
            };
            assert_eq!(sensors.read(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_load_is_lowered_by_steps_and_raised_with_hysteresis() {
        let start = Instant::now();
        let mut heat = HeatSteps::new(80.0);
        let mut update = |temperature: f64, is_throttled: bool, seconds: u64| {
            let reading = Reading {
                temperature: Some(temperature),
                is_throttled,
            };
            heat.update(&reading, start + Duration::from_secs(seconds))
        };
        assert_eq!(update(79.9, false, 0), None);
        assert_eq!(update(80.0, false, 5), Some(1));
        assert_eq!(update(85.0, false, 10), None, "it needs time to cool");
        assert_eq!(update(60.0, true, 35), Some(2), "it is throttled");
        assert_eq!(update(75.0, false, 70), None, "neither hot nor cool");
        assert_eq!(update(70.0, false, 75), None);
        assert_eq!(update(70.0, false, 134), None);
        assert_eq!(update(75.0, false, 135), None, "it was not cool for long");
        assert_eq!(update(69.0, false, 140), None);
        assert_eq!(update(69.0, false, 200), Some(1));
        assert_eq!(update(69.0, false, 255), None);
        assert_eq!(update(69.0, false, 260), None);
        assert_eq!(update(69.0, false, 320), Some(0));
        assert_eq!(update(69.0, false, 400), None);
        for step in 1..=MAX_STEPS {
            let at = 400 + 30 * u64::from(step);
            assert_eq!(update(90.0, false, at), Some(step));
        }
        assert_eq!(update(90.0, false, 900), None, "the most");
    }

    #[test]
    fn without_sensors_nothing_is_lowered() {
        let mut heat = HeatSteps::new(80.0);
        let reading = Reading {
            temperature: None,
            is_throttled: false,
        };
        assert_eq!(heat.update(&reading, Instant::now()), None);
    }
}
