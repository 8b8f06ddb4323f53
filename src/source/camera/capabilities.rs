//! What a camera can capture, and the choice of a mode for a request.
//!
//! Plain values; no device is opened here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::pixel_format::PixelFormat;

/// Minimum timeout for the first frame of a camera that was just started: many need a second to set their exposure.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(4);

/// The requested mode of a camera; the nearest available one is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureRequest {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Time without a frame after which a read fails.
    pub timeout: Duration,
}

/// 640 x 480 at 30 frames a second, which every USB camera has.
impl Default for CaptureRequest {
    fn default() -> Self {
        Self {
            width: 640,
            height: 480,
            fps: 30,
            timeout: Duration::from_secs(2),
        }
    }
}

impl CaptureRequest {
    pub(super) fn first_frame_timeout(&self) -> Duration {
        self.timeout.max(FIRST_FRAME_TIMEOUT)
    }
}

/// A camera and the modes that it lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CameraInfo {
    /// Its device file, `/dev/videoN`.
    pub device: PathBuf,
    /// The name that the driver reports; empty if it can't be read.
    pub name: String,
    /// The kernel driver, as `uvcvideo`; empty if it can't be read.
    pub driver: String,
    /// The bus address, as `usb-0000:00:14.0-1`; empty if it can't be read.
    pub bus: String,
    /// Its names in `/dev/v4l/by-id`, which do not depend on its number.
    pub links: Vec<String>,
    /// In the driver's order.
    pub formats: Vec<FormatCapabilities>,
    /// Why boxcam can't use it, and what to do; `None` if it can.
    pub fault: Option<String>,
}

/// A pixel format of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatCapabilities {
    /// The four-character code.
    pub fourcc: [u8; 4],
    /// The driver's description.
    pub description: String,
    /// Empty if the driver does not list them.
    pub sizes: Vec<FrameSizes>,
}

/// A frame size of a format, or a range of sizes, with its frame rates.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameSizes {
    pub sizes: SizeRange,
    /// Empty if the driver does not list them. For a range of sizes, the rates of the size nearest to the requested
    /// one.
    pub rates: Vec<RateRange>,
}

/// One frame size, or a range of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRange {
    /// Width and height in pixels.
    Discrete(u32, u32),
    /// From a minimum to a maximum, in steps.
    Stepwise {
        /// Smallest width and height, in pixels.
        min: (u32, u32),
        /// Largest width and height, in pixels.
        max: (u32, u32),
        /// Steps of width and height, in pixels; 0 means 1.
        step: (u32, u32),
    },
}

/// One frame rate, or a range of rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateRange {
    Discrete(FrameRate),
    /// From the slowest to the fastest.
    Continuous(FrameRate, FrameRate),
}

/// Frames a second as a fraction; neither part is 0. 30000 frames in 1001 seconds are 29.97 a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    frames: u32,
    seconds: u32,
}

impl FormatCapabilities {
    /// Whether boxcam can decode it.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        PixelFormat::from_fourcc(self.fourcc).is_some()
    }

    /// The four-character code, with `?` for characters that can't be printed.
    #[must_use]
    pub fn name(&self) -> String {
        let shown = |&byte: &u8| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        };
        let letters: String = self.fourcc.iter().map(shown).collect();
        letters.trim_end().to_owned()
    }
}

impl SizeRange {
    /// The size nearest to a requested one; a larger one is preferred to a smaller one.
    pub(super) fn nearest(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::Discrete(width, height) => (width, height),
            Self::Stepwise { min, max, step } => (
                nearest_step(width, min.0, max.0, step.0),
                nearest_step(height, min.1, max.1, step.1),
            ),
        }
    }
}

fn nearest_step(requested: u32, min: u32, max: u32, step: u32) -> u32 {
    let above = requested.saturating_sub(min);
    let whole = |steps: u32| min.saturating_add(steps.saturating_mul(step.max(1)));
    let up = whole(above.div_ceil(step.max(1)));
    if up <= max {
        up
    } else {
        whole(max.saturating_sub(min) / step.max(1))
    }
}

impl RateRange {
    /// The rate nearest to a requested one, in frames a second.
    pub(super) fn nearest(self, requested: u32) -> FrameRate {
        match self {
            Self::Discrete(rate) => rate,
            Self::Continuous(slowest, fastest) => match FrameRate::from_fps(requested) {
                Some(rate) if rate.per_second() > fastest.per_second() => fastest,
                Some(rate) if rate.per_second() >= slowest.per_second() => rate,
                _ => slowest,
            },
        }
    }
}

impl FrameRate {
    /// The rate for an interval of `numerator / denominator` seconds; `None` if one of them is 0.
    pub(super) fn from_interval(numerator: u32, denominator: u32) -> Option<Self> {
        let is_rate = numerator > 0 && denominator > 0;
        is_rate.then_some(Self {
            frames: denominator,
            seconds: numerator,
        })
    }

    fn from_fps(frames: u32) -> Option<Self> {
        Self::from_interval(1, frames)
    }

    /// The time between frames in seconds, as numerator and denominator.
    pub(super) fn interval(self) -> (u32, u32) {
        (self.seconds, self.frames)
    }

    /// Frames a second.
    #[must_use]
    pub fn per_second(self) -> f32 {
        (f64::from(self.frames) / f64::from(self.seconds)) as f32
    }
}

/// For example `30`, `29.97` or `7.5`.
impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.per_second());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// For example `640x480`, or `16x16 to 2592x1944`.
impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discrete(width, height) => write!(f, "{width}x{height}"),
            Self::Stepwise { min, max, .. } => {
                write!(f, "{}x{} to {}x{}", min.0, min.1, max.0, max.1)
            }
        }
    }
}

/// For example `640x480 at 30, 15/s`.
impl fmt::Display for FrameSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |rates: &RateRange| match rates {
            RateRange::Discrete(rate) => rate.to_string(),
            RateRange::Continuous(slowest, fastest) => format!("{slowest} to {fastest}"),
        };
        let rates: Vec<String> = self.rates.iter().map(rate).collect();
        match rates.as_slice() {
            [] => write!(f, "{}", self.sizes),
            rates => write!(f, "{} at {}/s", self.sizes, rates.join(", ")),
        }
    }
}

/// For example `/dev/video0 (HD Webcam)`.
impl fmt::Display for CameraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}", self.device.display()),
            name => write!(f, "{} ({name})", self.device.display()),
        }
    }
}

/// A mode to set a camera to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mode {
    pub(super) fourcc: [u8; 4],
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// `None` if the driver lists no rates.
    pub(super) rate: Option<FrameRate>,
}

/// The modes that boxcam supports, the best one first; equal ones in the order in which they are listed.
pub(super) fn ranked_modes(formats: &[FormatCapabilities], request: &CaptureRequest) -> Vec<Mode> {
    let mut modes: Vec<Mode> = formats
        .iter()
        .flat_map(|format| modes_of(format, request))
        .filter(|mode| mode.width > 0 && mode.height > 0)
        .collect();
    modes.sort_by(|a, b| cost(a, request).total_cmp(&cost(b, request)));
    modes
}

fn modes_of(capabilities: &FormatCapabilities, request: &CaptureRequest) -> Vec<Mode> {
    let Some(format) = PixelFormat::from_fourcc(capabilities.fourcc) else {
        return Vec::new();
    };
    let mode = |(width, height), rate| Mode {
        fourcc: capabilities.fourcc,
        format,
        width,
        height,
        rate,
    };
    // Many drivers of cameras on boards list no sizes and accept any.
    if capabilities.sizes.is_empty() {
        return vec![mode((request.width, request.height), None)];
    }
    let modes_of_sizes = |sizes: &FrameSizes| {
        let size = sizes.sizes.nearest(request.width, request.height);
        let rates = sizes
            .rates
            .iter()
            .map(|rates| Some(rates.nearest(request.fps)));
        let rates: Vec<Option<FrameRate>> = match sizes.rates.as_slice() {
            [] => vec![None],
            _ => rates.collect(),
        };
        rates.into_iter().map(move |rate| mode(size, rate))
    };
    capabilities.sizes.iter().flat_map(modes_of_sizes).collect()
}

/// The distance of a mode from the request in powers of two, plus a penalty for its format.
///
/// Too few pixels or frames weigh more than too many, which only cost time.
fn cost(mode: &Mode, request: &CaptureRequest) -> f32 {
    let octaves = |actual: f32, requested: f32| (actual / requested.max(1.0)).log2();
    let pixels = |width: u32, height: u32| width as f32 * height as f32;
    let size = octaves(
        pixels(mode.width, mode.height),
        pixels(request.width, request.height),
    );
    let rate = mode
        .rate
        .map_or(0.0, |rate| octaves(rate.per_second(), request.fps as f32));
    let weigh = |octaves: f32, too_few: f32, too_many: f32| {
        if octaves < 0.0 {
            -octaves * too_few
        } else {
            octaves * too_many
        }
    };
    weigh(size, 1.0, 0.6) + weigh(rate, 0.8, 0.05) + format_cost(mode.format)
}

fn format_cost(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Rgb | PixelFormat::Bgr => 0.0,
        PixelFormat::Yuyv | PixelFormat::Uyvy => 0.05,
        PixelFormat::Nv12 | PixelFormat::Yu12 => 0.1,
        // Needs decoding and is lossy.
        PixelFormat::Mjpeg => 0.2,
        // The model needs colors.
        PixelFormat::Gray => 3.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(numerator: u32, denominator: u32) -> FrameRate {
        FrameRate::from_interval(numerator, denominator).expect("a rate")
    }

    #[test]
    fn the_nearest_size_is_in_the_range() {
        let sizes = SizeRange::Stepwise {
            min: (64, 48),
            max: (2592, 1944),
            step: (16, 10),
        };
        assert_eq!(sizes.nearest(640, 480), (640, 488));
        assert_eq!(sizes.nearest(1, 1), (64, 48));
        assert_eq!(sizes.nearest(9000, 9000), (2592, 1938));
        let free = SizeRange::Stepwise {
            min: (1, 1),
            max: (u32::MAX, u32::MAX),
            step: (0, 0),
        };
        assert_eq!(free.nearest(641, 479), (641, 479));
        let wrong = SizeRange::Stepwise {
            min: (640, 480),
            max: (320, 240),
            step: (u32::MAX, 7),
        };
        assert_eq!(wrong.nearest(800, 600), (640, 480), "invalid range");
        assert_eq!(SizeRange::Discrete(720, 576).nearest(640, 480), (720, 576));
    }

    #[test]
    fn the_nearest_rate_is_in_the_range() {
        let range = RateRange::Continuous(rate(1, 5), rate(1001, 30000));
        assert_eq!(range.nearest(15), rate(1, 15));
        assert_eq!(range.nearest(30), rate(1001, 30000));
        assert_eq!(range.nearest(1), rate(1, 5));
        assert_eq!(RateRange::Discrete(rate(1, 25)).nearest(30), rate(1, 25));
    }

    #[test]
    fn capabilities_are_displayed() {
        let shown = [(1, 30), (1001, 30000), (2, 15), (1, 120), (10, 1)];
        let shown = shown.map(|(numerator, denominator)| rate(numerator, denominator).to_string());
        assert_eq!(shown, ["30", "29.97", "7.5", "120", "0.1"]);
        assert_eq!(
            (
                FrameRate::from_interval(0, 1),
                FrameRate::from_interval(1, 0)
            ),
            (None, None)
        );
        let offer = FrameSizes {
            sizes: SizeRange::Discrete(640, 480),
            rates: vec![
                RateRange::Discrete(rate(1, 30)),
                RateRange::Continuous(rate(1, 2), rate(1, 9)),
            ],
        };
        assert_eq!(offer.to_string(), "640x480 at 30, 2 to 9/s");
        let code = |code| FormatCapabilities {
            fourcc: code,
            description: String::new(),
            sizes: Vec::new(),
        };
        let grey16 = code(*b"Y16 ");
        assert_eq!(
            (grey16.name().as_str(), grey16.is_supported()),
            ("Y16", false)
        );
        assert_eq!(code([b'p', 0, 200, b'A']).name(), "p??A");
        assert!(code(*b"MJPG").is_supported() && code(*b"GREY").is_supported());
    }

    const VGA: CaptureRequest = CaptureRequest {
        width: 640,
        height: 480,
        fps: 30,
        timeout: Duration::from_secs(1),
    };

    /// A size, and its frame intervals in seconds as numerator and denominator.
    type ListedSize = ((u32, u32), &'static [(u32, u32)]);

    /// A format and its sizes.
    type Listed = (&'static [u8; 4], &'static [ListedSize]);

    /// Format, width, height and frames a second.
    type Row = (&'static str, u32, u32, &'static str);

    fn interval_rate((numerator, denominator): (u32, u32)) -> FrameRate {
        FrameRate::from_interval(numerator, denominator).expect("a rate")
    }

    fn formats(listed: &[Listed]) -> Vec<FormatCapabilities> {
        let sizes = |sizes: &[ListedSize]| {
            let offer = |((width, height), intervals): &ListedSize| FrameSizes {
                sizes: SizeRange::Discrete(*width, *height),
                rates: intervals
                    .iter()
                    .map(|&it| RateRange::Discrete(interval_rate(it)))
                    .collect(),
            };
            sizes.iter().map(offer).collect()
        };
        let format = |(code, listed): &Listed| FormatCapabilities {
            fourcc: **code,
            description: String::new(),
            sizes: sizes(listed),
        };
        listed.iter().map(format).collect()
    }

    #[track_caller]
    fn assert_best(
        formats: &[FormatCapabilities],
        request: &CaptureRequest,
        expected: Row,
        name: &str,
    ) {
        let best = ranked_modes(formats, request)
            .into_iter()
            .next()
            .expect(name);
        let rate = best.rate.map_or(String::new(), |rate| rate.to_string());
        let found = (best.format.name(), best.width, best.height, rate.as_str());
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn the_mode_nearest_to_640_by_480_at_30_is_chosen() {
        let cases: [(&str, &[Listed], Row); 8] = [
            (
                "a common USB camera",
                &[
                    (
                        b"MJPG",
                        &[((1920, 1080), &[(1, 30)]), ((640, 480), &[(1, 30)])],
                    ),
                    (
                        b"YUYV",
                        &[
                            ((640, 480), &[(1, 30)]),
                            ((1280, 720), &[(1, 10)]),
                            ((160, 120), &[(1, 30)]),
                        ],
                    ),
                ],
                ("YUYV", 640, 480, "30"),
            ),
            (
                "uncompressed only at a low rate",
                &[
                    (b"YUYV", &[((640, 480), &[(1, 10)])]),
                    (b"MJPG", &[((640, 480), &[(1, 30)])]),
                ],
                ("MJPEG", 640, 480, "30"),
            ),
            (
                "many rates",
                &[(b"YUYV", &[((640, 480), &[(1, 5), (1, 60), (1, 30)])])],
                ("YUYV", 640, 480, "30"),
            ),
            (
                "NTSC rates",
                &[(b"YUYV", &[((720, 480), &[(1001, 15000), (1001, 30000)])])],
                ("YUYV", 720, 480, "29.97"),
            ),
            (
                "no mode is near",
                &[(
                    b"MJPG",
                    &[
                        ((320, 240), &[(1, 30)]),
                        ((3840, 2160), &[(1, 30)]),
                        ((1280, 720), &[(1, 30)]),
                    ],
                )],
                ("MJPEG", 1280, 720, "30"),
            ),
            (
                "color matters more than size",
                &[
                    (b"GREY", &[((640, 480), &[(1, 30)])]),
                    (b"NV12", &[((1280, 720), &[(1, 15)])]),
                ],
                ("NV12", 1280, 720, "15"),
            ),
            (
                "slightly too small is better than far too large",
                &[
                    (b"NV12", &[((1920, 1080), &[(1, 30)])]),
                    (b"RGB3", &[((640, 360), &[(1, 30)])]),
                ],
                ("RGB", 640, 360, "30"),
            ),
            (
                "grey if there is no other format",
                &[
                    (b"H264", &[((640, 480), &[(1, 30)])]),
                    (b"GREY", &[((640, 480), &[(1, 30)])]),
                ],
                ("grey", 640, 480, "30"),
            ),
        ];
        for (name, listed, expected) in cases {
            assert_best(&formats(listed), &VGA, expected, name);
        }
    }

    #[test]
    fn the_mode_depends_on_the_request() {
        let camera = formats(&[
            (
                b"YUYV",
                &[((640, 480), &[(1, 30)]), ((1280, 720), &[(1, 10), (1, 5)])],
            ),
            (
                b"MJPG",
                &[((640, 480), &[(1, 60), (1, 30)]), ((1280, 720), &[(1, 30)])],
            ),
        ]);
        let request = |width, height, fps| CaptureRequest {
            width,
            height,
            fps,
            ..VGA
        };
        let hd = ("MJPEG", 1280, 720, "30");
        assert_best(&camera, &request(1280, 720, 30), hd, "large and fast");
        let slow = ("YUYV", 1280, 720, "5");
        assert_best(&camera, &request(1280, 720, 5), slow, "large and slow");
        let fast = ("MJPEG", 640, 480, "60");
        assert_best(&camera, &request(640, 480, 60), fast, "fast");
    }

    #[test]
    fn size_ranges_contain_the_requested_size() {
        let stepwise = |max, step, rates| {
            vec![FormatCapabilities {
                fourcc: *b"YU12",
                description: String::new(),
                sizes: vec![FrameSizes {
                    sizes: SizeRange::Stepwise {
                        min: (32, 32),
                        max,
                        step,
                    },
                    rates,
                }],
            }]
        };
        // The older driver of the Raspberry Pi: any even size, any rate up to 90.
        let board = stepwise(
            (2592, 1944),
            (2, 2),
            vec![RateRange::Continuous(rate(1, 1), rate(1, 90))],
        );
        assert_best(
            &board,
            &VGA,
            ("YU12", 640, 480, "30"),
            "a camera on a board",
        );
        let unrated = stepwise((1280, 800), (16, 16), Vec::new());
        assert_best(&unrated, &VGA, ("YU12", 640, 480, ""), "without rates");
        let small = stepwise((352, 288), (32, 32), vec![RateRange::Discrete(rate(1, 15))]);
        assert_best(&small, &VGA, ("YU12", 352, 288, "15"), "too small");
        let silent = vec![FormatCapabilities {
            fourcc: *b"UYVY",
            description: String::new(),
            sizes: Vec::new(),
        }];
        assert_best(&silent, &VGA, ("UYVY", 640, 480, ""), "without sizes");
    }

    #[test]
    fn unusable_modes_are_left_out() {
        assert_eq!(
            ranked_modes(&formats(&[(b"YUYV", &[((0, 480), &[(1, 30)])])]), &VGA),
            []
        );
        assert_eq!(
            ranked_modes(&formats(&[(b"H264", &[((640, 480), &[(1, 30)])])]), &VGA),
            []
        );
        assert_eq!(ranked_modes(&[], &VGA), []);
    }
}
