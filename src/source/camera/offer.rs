//! What a camera offers: formats, sizes and rates, as its driver lists them and as a person reads them.
//!
//! Plain values: nothing is opened here.

use std::fmt;
use std::path::PathBuf;

use super::mode::PixelFormat;

/// A camera and what it offers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CameraInfo {
    /// Its device file, `/dev/videoN`.
    pub device: PathBuf,
    /// What it calls itself; empty where it can't be asked.
    pub name: String,
    /// The kernel's driver, as `uvcvideo`; empty where it can't be asked.
    pub driver: String,
    /// Where it is plugged in, as `usb-0000:00:14.0-1`; empty where it can't be asked.
    pub bus: String,
    /// Names of it in `/dev/v4l/by-id`, which stay the same whatever number it gets.
    pub links: Vec<String>,
    /// Formats in the driver's order.
    pub formats: Vec<FormatCapabilities>,
    /// Why boxcam can't use it, and what to do; `None` where it can.
    pub fault: Option<String>,
}

/// A pixel format that a camera offers.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatCapabilities {
    /// The four letters that name it.
    pub code: [u8; 4],
    /// The kernel's words for it.
    pub description: String,
    /// Its sizes; empty where the driver can't list them.
    pub sizes: Vec<FrameSizes>,
}

/// SizeRange of a format with their rates.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameSizes {
    /// The size, or the sizes.
    pub sizes: SizeRange,
    /// The rates; empty where the driver can't list them. For several sizes those of the size nearest to
    /// the wanted one.
    pub rates: Vec<RateRange>,
}

/// One size of picture, or all in steps between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRange {
    /// This width and height in pixels.
    One(u32, u32),
    /// From the least width and height to the greatest, in steps of so many pixels.
    Between {
        /// Least width and height.
        min: (u32, u32),
        /// Greatest width and height.
        max: (u32, u32),
        /// Steps of width and height; 0 is taken as 1.
        step: (u32, u32),
    },
}

/// One rate, or all between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateRange {
    /// This rate.
    One(FrameRate),
    /// From the slowest to the fastest.
    Between(FrameRate, FrameRate),
}

/// Frames a second as a fraction, neither part of it 0: 30000 in 1001 s is 29.97 a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    frames: u32,
    seconds: u32,
}

impl FormatCapabilities {
    /// Whether boxcam can read it.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        PixelFormat::of(self.code).is_some()
    }

    /// The four letters, with `?` for what is no letter.
    #[must_use]
    pub fn name(&self) -> String {
        let shown = |&byte: &u8| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        };
        let letters: String = self.code.iter().map(shown).collect();
        letters.trim_end().to_owned()
    }
}

impl SizeRange {
    /// The size nearest to a wanted one, rather greater than less.
    pub(super) fn nearest(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::One(width, height) => (width, height),
            Self::Between { min, max, step } => (
                step_near(width, min.0, max.0, step.0),
                step_near(height, min.1, max.1, step.1),
            ),
        }
    }
}

fn step_near(wanted: u32, min: u32, max: u32, step: u32) -> u32 {
    let above = wanted.saturating_sub(min);
    let whole = |steps: u32| min.saturating_add(steps.saturating_mul(step.max(1)));
    let up = whole(above.div_ceil(step.max(1)));
    if up <= max {
        up
    } else {
        whole(max.saturating_sub(min) / step.max(1))
    }
}

impl RateRange {
    /// The rate nearest to a wanted one in frames a second.
    pub(super) fn nearest(self, wanted: u32) -> FrameRate {
        match self {
            Self::One(rate) => rate,
            Self::Between(slowest, fastest) => match FrameRate::whole(wanted) {
                Some(rate) if rate.per_second() > fastest.per_second() => fastest,
                Some(rate) if rate.per_second() >= slowest.per_second() => rate,
                _ => slowest,
            },
        }
    }
}

impl FrameRate {
    /// The rate at which a frame takes `numerator / denominator` seconds; `None` where one of them is 0.
    pub(super) fn of_interval(numerator: u32, denominator: u32) -> Option<Self> {
        let is_rate = numerator > 0 && denominator > 0;
        is_rate.then_some(Self {
            frames: denominator,
            seconds: numerator,
        })
    }

    fn whole(frames: u32) -> Option<Self> {
        Self::of_interval(1, frames)
    }

    /// The time of a frame in seconds, as numerator and denominator.
    pub(super) fn interval(self) -> (u32, u32) {
        (self.seconds, self.frames)
    }

    /// Frames a second.
    #[must_use]
    pub fn per_second(self) -> f32 {
        (f64::from(self.frames) / f64::from(self.seconds)) as f32
    }
}

/// As `30`, `29.97` or `7.5`.
impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.per_second());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// As `640x480`, or `16x16 to 2592x1944`.
impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(width, height) => write!(f, "{width}x{height}"),
            Self::Between { min, max, .. } => {
                write!(f, "{}x{} to {}x{}", min.0, min.1, max.0, max.1)
            }
        }
    }
}

/// As `640x480 at 30, 15/s`.
impl fmt::Display for FrameSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |rates: &RateRange| match rates {
            RateRange::One(rate) => rate.to_string(),
            RateRange::Between(slowest, fastest) => format!("{slowest} to {fastest}"),
        };
        let rates: Vec<String> = self.rates.iter().map(rate).collect();
        match rates.as_slice() {
            [] => write!(f, "{}", self.sizes),
            rates => write!(f, "{} at {}/s", self.sizes, rates.join(", ")),
        }
    }
}

/// As `/dev/video0 (HD Webcam)`.
impl fmt::Display for CameraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}", self.device.display()),
            name => write!(f, "{} ({name})", self.device.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(numerator: u32, denominator: u32) -> FrameRate {
        FrameRate::of_interval(numerator, denominator).expect("a rate")
    }

    #[test]
    fn the_nearest_step_is_never_outside() {
        let sizes = SizeRange::Between {
            min: (64, 48),
            max: (2592, 1944),
            step: (16, 10),
        };
        assert_eq!(sizes.nearest(640, 480), (640, 488));
        assert_eq!(sizes.nearest(1, 1), (64, 48));
        assert_eq!(sizes.nearest(9000, 9000), (2592, 1938));
        let free = SizeRange::Between {
            min: (1, 1),
            max: (u32::MAX, u32::MAX),
            step: (0, 0),
        };
        assert_eq!(free.nearest(641, 479), (641, 479));
        let wrong = SizeRange::Between {
            min: (640, 480),
            max: (320, 240),
            step: (u32::MAX, 7),
        };
        assert_eq!(wrong.nearest(800, 600), (640, 480), "a driver's nonsense");
        assert_eq!(SizeRange::One(720, 576).nearest(640, 480), (720, 576));
    }

    #[test]
    fn the_nearest_rate_is_never_outside() {
        let range = RateRange::Between(rate(1, 5), rate(1001, 30000));
        assert_eq!(range.nearest(15), rate(1, 15));
        assert_eq!(range.nearest(30), rate(1001, 30000));
        assert_eq!(range.nearest(1), rate(1, 5));
        assert_eq!(RateRange::One(rate(1, 25)).nearest(30), rate(1, 25));
    }

    #[test]
    fn offers_are_written_for_people() {
        let shown = [(1, 30), (1001, 30000), (2, 15), (1, 120), (10, 1)];
        let shown = shown.map(|(numerator, denominator)| rate(numerator, denominator).to_string());
        assert_eq!(shown, ["30", "29.97", "7.5", "120", "0.1"]);
        assert_eq!(
            (FrameRate::of_interval(0, 1), FrameRate::of_interval(1, 0)),
            (None, None)
        );
        let offer = FrameSizes {
            sizes: SizeRange::One(640, 480),
            rates: vec![
                RateRange::One(rate(1, 30)),
                RateRange::Between(rate(1, 2), rate(1, 9)),
            ],
        };
        assert_eq!(offer.to_string(), "640x480 at 30, 2 to 9/s");
        let code = |code| FormatCapabilities {
            code,
            description: String::new(),
            sizes: Vec::new(),
        };
        let grey16 = code(*b"Y16 ");
        assert_eq!(
            (grey16.name().as_str(), grey16.is_readable()),
            ("Y16", false)
        );
        assert_eq!(code([b'p', 0, 200, b'A']).name(), "p??A");
        assert!(code(*b"MJPG").is_readable() && code(*b"GREY").is_readable());
    }
}
