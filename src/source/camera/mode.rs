//! Which of the modes that a camera offers to take.

use super::CaptureRequest;
use super::offer::{FormatCapabilities, FrameRate, FrameSizes};

/// How a camera sends its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelFormat {
    /// A JPEG a frame.
    Mjpeg,
    /// Y U Y V, 16 bits a pixel.
    Yuyv,
    /// U Y V Y, 16 bits a pixel.
    Uyvy,
    /// All Y, then U V at half the size, 12 bits a pixel.
    Nv12,
    /// All Y, then all U and all V at half the size, 12 bits a pixel.
    Yu12,
    /// R G B.
    Rgb,
    /// B G R.
    Bgr,
    /// Grey only.
    Gray,
}

/// The four letters of each format.
const CODES: [([u8; 4], PixelFormat); 9] = [
    (*b"MJPG", PixelFormat::Mjpeg),
    (*b"JPEG", PixelFormat::Mjpeg),
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"UYVY", PixelFormat::Uyvy),
    (*b"NV12", PixelFormat::Nv12),
    (*b"YU12", PixelFormat::Yu12),
    (*b"RGB3", PixelFormat::Rgb),
    (*b"BGR3", PixelFormat::Bgr),
    (*b"GREY", PixelFormat::Gray),
];

impl PixelFormat {
    /// The format with these four letters, if it can be read.
    pub(super) fn of(code: [u8; 4]) -> Option<Self> {
        let known = CODES.iter().find(|(letters, _)| *letters == code);
        known.map(|(_, format)| *format)
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mjpeg => "MJPEG",
            Self::Yuyv => "YUYV",
            Self::Uyvy => "UYVY",
            Self::Nv12 => "NV12",
            Self::Yu12 => "YU12",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Gray => "grey",
        }
    }
}

/// One mode of a camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mode {
    /// The four letters to ask for.
    pub(super) code: [u8; 4],
    pub(super) format: PixelFormat,
    /// Pixels across.
    pub(super) width: u32,
    /// Pixels down.
    pub(super) height: u32,
    /// `None` where the driver lists none.
    pub(super) rate: Option<FrameRate>,
}

/// The usable modes, the best one first, equals in the order offered.
pub(super) fn ranked(offered: &[FormatCapabilities], wanted: &CaptureRequest) -> Vec<Mode> {
    let mut modes: Vec<Mode> = offered
        .iter()
        .flat_map(|offer| modes_of(offer, wanted))
        .filter(|mode| mode.width > 0 && mode.height > 0)
        .collect();
    modes.sort_by(|a, b| cost(a, wanted).total_cmp(&cost(b, wanted)));
    modes
}

fn modes_of(offer: &FormatCapabilities, wanted: &CaptureRequest) -> Vec<Mode> {
    let Some(format) = PixelFormat::of(offer.code) else {
        return Vec::new();
    };
    let mode = |(width, height), rate| Mode {
        code: offer.code,
        format,
        width,
        height,
        rate,
    };
    // Many drivers of boards' own cameras list no sizes and take any.
    if offer.sizes.is_empty() {
        return vec![mode((wanted.width, wanted.height), None)];
    }
    let modes_of = |offer: &FrameSizes| {
        let size = offer.sizes.nearest(wanted.width, wanted.height);
        let rates = offer
            .rates
            .iter()
            .map(|rates| Some(rates.nearest(wanted.fps)));
        let rates: Vec<Option<FrameRate>> = match offer.rates.as_slice() {
            [] => vec![None],
            _ => rates.collect(),
        };
        rates.into_iter().map(move |rate| mode(size, rate))
    };
    offer.sizes.iter().flat_map(modes_of).collect()
}

/// How far a mode is from what is wanted, in powers of two, plus what its format costs.
///
/// Too few pixels or frames can't be made up for; too many only take time.
fn cost(mode: &Mode, wanted: &CaptureRequest) -> f32 {
    let octaves = |is: f32, wanted: f32| (is / wanted.max(1.0)).log2();
    let pixels = |width: u32, height: u32| width as f32 * height as f32;
    let size = octaves(
        pixels(mode.width, mode.height),
        pixels(wanted.width, wanted.height),
    );
    let rate = mode
        .rate
        .map_or(0.0, |rate| octaves(rate.per_second(), wanted.fps as f32));
    let weigh = |octaves: f32, few: f32, many: f32| {
        if octaves < 0.0 {
            -octaves * few
        } else {
            octaves * many
        }
    };
    weigh(size, 1.0, 0.6) + weigh(rate, 0.8, 0.05) + format_cost(mode.format)
}

fn format_cost(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Rgb | PixelFormat::Bgr => 0.0,
        PixelFormat::Yuyv | PixelFormat::Uyvy => 0.05,
        PixelFormat::Nv12 | PixelFormat::Yu12 => 0.1,
        // Has to be decoded, and is lossy.
        PixelFormat::Mjpeg => 0.2,
        // Without colour an orange is no orange.
        PixelFormat::Gray => 3.0,
    }
}

#[cfg(test)]
mod tests;
