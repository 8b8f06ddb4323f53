//! Which of the modes that a camera offers to take.

/// How a camera sends its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelFormat {
    /// A JPEG a frame.
    Mjpeg,
    /// Y U Y V, 16 bits a pixel.
    Yuyv,
    /// All Y, then U V at half the size, 12 bits a pixel.
    Nv12,
    /// R G B.
    Rgb,
    /// B G R.
    Bgr,
    /// Grey only.
    Gray,
}

/// One mode of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) format: PixelFormat,
    /// Pixels across.
    pub(super) width: u32,
    /// Pixels down.
    pub(super) height: u32,
    /// Frames a second.
    pub(super) fps: u32,
}

/// Enough for the model and for the eye, and every USB camera has it.
const WANTED_PIXELS: f32 = 640.0 * 480.0;
const WANTED_FPS: f32 = 30.0;

/// The usable modes, the best one first, equals in the order given.
pub(super) fn ranked(modes: impl Iterator<Item = Mode>) -> impl Iterator<Item = Mode> {
    let usable = |mode: &Mode| mode.width > 0 && mode.height > 0 && mode.fps > 0;
    let mut ranked: Vec<Mode> = modes.filter(usable).collect();
    ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    ranked.into_iter()
}

/// How far a mode is from what is wanted, in powers of two, plus what its format costs.
///
/// Too few pixels or frames can't be made up for; too many only take time.
fn cost(mode: &Mode) -> f32 {
    let octaves = |is: f32, wanted: f32| (is / wanted).log2();
    let pixels = octaves(mode.width as f32 * mode.height as f32, WANTED_PIXELS);
    let fps = octaves(mode.fps as f32, WANTED_FPS);
    let weigh = |octaves: f32, few: f32, many: f32| {
        if octaves < 0.0 {
            -octaves * few
        } else {
            octaves * many
        }
    };
    weigh(pixels, 1.0, 0.6) + weigh(fps, 0.8, 0.05) + format_cost(mode.format)
}

fn format_cost(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Rgb | PixelFormat::Bgr => 0.0,
        PixelFormat::Yuyv => 0.05,
        PixelFormat::Nv12 => 0.1,
        // Has to be decoded, and is lossy.
        PixelFormat::Mjpeg => 0.2,
        // Without colour an orange is no orange.
        PixelFormat::Gray => 3.0,
    }
}

#[cfg(test)]
mod tests {
    use super::PixelFormat::{Gray, Mjpeg, Nv12, Rgb, Yuyv};
    use super::*;

    type Row = (PixelFormat, u32, u32, u32);

    fn best(rows: &[Row]) -> Option<Row> {
        let modes = rows.iter().map(|&(format, width, height, fps)| Mode {
            format,
            width,
            height,
            fps,
        });
        let best = ranked(modes).next();
        best.map(|mode| (mode.format, mode.width, mode.height, mode.fps))
    }

    #[test]
    fn the_mode_nearest_to_640_by_480_at_30_is_taken() {
        let cases: [(&str, &[Row], Row); 7] = [
            (
                "a common USB camera",
                &[
                    (Mjpeg, 1920, 1080, 30),
                    (Mjpeg, 640, 480, 30),
                    (Yuyv, 640, 480, 30),
                    (Yuyv, 1280, 720, 10),
                    (Yuyv, 160, 120, 30),
                ],
                (Yuyv, 640, 480, 30),
            ),
            (
                "raw pixels only at a low rate",
                &[(Yuyv, 640, 480, 10), (Mjpeg, 640, 480, 30)],
                (Mjpeg, 640, 480, 30),
            ),
            (
                "many rates",
                &[
                    (Yuyv, 640, 480, 5),
                    (Yuyv, 640, 480, 60),
                    (Yuyv, 640, 480, 30),
                ],
                (Yuyv, 640, 480, 30),
            ),
            (
                "no mode near",
                &[
                    (Mjpeg, 320, 240, 30),
                    (Mjpeg, 3840, 2160, 30),
                    (Mjpeg, 1280, 720, 30),
                ],
                (Mjpeg, 1280, 720, 30),
            ),
            (
                "colour goes before size",
                &[(Gray, 640, 480, 30), (Nv12, 1280, 720, 15)],
                (Nv12, 1280, 720, 15),
            ),
            (
                "a little less beats far too much",
                &[(Nv12, 1920, 1080, 30), (Rgb, 640, 360, 30)],
                (Rgb, 640, 360, 30),
            ),
            (
                "better grey than nothing",
                &[(Gray, 640, 480, 30)],
                (Gray, 640, 480, 30),
            ),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(best(rows), Some(expected), "{name}");
        }
    }

    #[test]
    fn nonsense_is_not_taken() {
        assert_eq!(best(&[(Yuyv, 0, 480, 30), (Yuyv, 640, 480, 0)]), None);
        assert_eq!(best(&[]), None);
    }
}
