//! The demo: frames of a [`MovingScene`] with their ground truth, the same on every machine, or of photographs that a camera
//! seems to move over ([`View`]).

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::{FrameSource, SourceError, pictures};
use crate::frame::{Frame, Origin};
use crate::picture;
use crate::scene::{MovingScene, View};

/// Width of a frame in pixels.
pub const WIDTH: u32 = 640;
/// Height of a frame in pixels.
pub const HEIGHT: u32 = 480;
pub const FRAMES_PER_SECOND: u32 = 30;

const SEED: u64 = 20;

/// When the demo returns its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Every frame, without waiting.
    Immediate,
    /// 30 frames a second; frames that are not read in time are left out.
    RealTime,
}

#[derive(Debug)]
pub struct DemoSource {
    film: Film,
    next: u64,
    /// The scene of the last frame.
    last_scene: Option<u64>,
    /// The number of frames, if there is an end.
    end: Option<u64>,
    clock: Clock,
}

/// What the frames show.
#[derive(Debug)]
enum Film {
    Snacks(MovingScene),
    Photographs(Photographs),
}

/// Photographs, each of which is zoomed and panned for a scene.
#[derive(Debug)]
struct Photographs {
    /// Returned before the frames.
    errors: VecDeque<SourceError>,
    /// Shown in turn. One that can't be read is removed.
    paths: Vec<PathBuf>,
    /// The photograph that was decoded last, with its path.
    decoded: Option<(PathBuf, RgbImage)>,
}

#[derive(Debug)]
enum Clock {
    Immediate,
    /// With the time of the first request, so that loading the model takes no time of the demo.
    RealTime(Option<Instant>),
}

impl DemoSource {
    /// A demo of snacks without an end.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self::of(Film::Snacks(MovingScene::new(SEED, WIDTH, HEIGHT)), timing)
    }

    /// A demo of photographs without an end: those of a folder, or a single file. The same photographs give the same frames.
    ///
    /// # Errors
    /// [`SourceError`] if there are none.
    pub fn of_photographs(path: &Path, timing: Timing) -> Result<Self, SourceError> {
        Ok(Self::of(
            Film::Photographs(Photographs::find(path)?),
            timing,
        ))
    }

    fn of(film: Film, timing: Timing) -> Self {
        Self {
            film,
            next: 0,
            last_scene: None,
            end: None,
            clock: match timing {
                Timing::Immediate => Clock::Immediate,
                Timing::RealTime => Clock::RealTime(None),
            },
        }
    }

    /// Ends the demo after this number of frames.
    #[must_use]
    pub fn with_frames(self, frames: NonZeroU64) -> Self {
        Self {
            end: Some(frames.get()),
            ..self
        }
    }

    /// The number of the frame to return; in real time, waits until it is due.
    fn wait_for_next(&mut self) -> u64 {
        let Clock::RealTime(start) = &mut self.clock else {
            return self.next;
        };
        let elapsed = start.get_or_insert_with(Instant::now).elapsed();
        let passed = (elapsed.as_micros() * u128::from(FRAMES_PER_SECOND) / 1_000_000) as u64;
        thread::sleep(position_of(self.next).saturating_sub(elapsed));
        self.next.max(passed)
    }
}

impl Film {
    /// The frame with this number; `None` if there is none any more.
    fn frame(&mut self, number: u64) -> Result<Option<(Origin, RgbImage)>, SourceError> {
        match self {
            Self::Snacks(scenes) => {
                let scene = scenes.frame(number);
                Ok(Some((Origin::Scene(scene.truth), scene.image)))
            }
            Self::Photographs(photographs) => {
                let image = photographs.frame(number)?;
                Ok(image.map(|image| (Origin::Live, image)))
            }
        }
    }
}

impl Photographs {
    fn find(path: &Path) -> Result<Self, SourceError> {
        let (mut paths, mut errors) = (Vec::new(), VecDeque::new());
        if path.is_dir() {
            for found in pictures::list(path) {
                match found {
                    Ok(path) => paths.push(path),
                    Err(error) => errors.push_back(error),
                }
            }
        } else {
            paths.push(path.to_owned());
        }
        if paths.is_empty() {
            let path = path.to_owned();
            return Err(errors
                .pop_front()
                .unwrap_or(SourceError::NoPictures { path }));
        }
        Ok(Self {
            errors,
            paths,
            decoded: None,
        })
    }

    fn frame(&mut self, number: u64) -> Result<Option<RgbImage>, SourceError> {
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        let scene = MovingScene::scene_of(number);
        let moment = number % MovingScene::SCENE_FRAMES;
        let moment = moment as f32 / (MovingScene::SCENE_FRAMES - 1) as f32;
        let Some(photograph) = self.photograph(scene)? else {
            return Ok(None);
        };
        let size = (WIDTH, HEIGHT);
        let view = View::at(SEED, scene, moment, photograph.dimensions(), size);
        let image = view.show(photograph, size);
        Ok(Some(image.expect("a decoded picture has pixels")))
    }

    /// The photograph of a scene; `None` if none can be read.
    fn photograph(&mut self, scene: u64) -> Result<Option<&RgbImage>, SourceError> {
        if self.paths.is_empty() {
            return Ok(None);
        }
        let index = (scene % self.paths.len() as u64) as usize;
        let path = &self.paths[index];
        let is_decoded = self.decoded.as_ref().is_some_and(|(of, _)| of == path);
        if !is_decoded {
            match picture::open(path) {
                Ok(image) => self.decoded = Some((path.clone(), image)),
                Err(error) => {
                    self.paths.remove(index);
                    return Err(error.into());
                }
            }
        }
        Ok(self.decoded.as_ref().map(|(_, image)| image))
    }
}

/// The time of a frame from the start of the demo.
fn position_of(frame: u64) -> Duration {
    let rate = u64::from(FRAMES_PER_SECOND);
    Duration::from_secs(frame / rate) + Duration::from_micros(frame % rate * 1_000_000 / rate)
}

impl FrameSource for DemoSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(None);
        }
        let number = self.wait_for_next();
        if self.end.is_some_and(|end| number >= end) {
            self.next = number;
            return Ok(None);
        }
        self.next = number;
        let Some((origin, image)) = self.film.frame(number)? else {
            return Ok(None);
        };
        self.next = number + 1;
        let scene = MovingScene::scene_of(number);
        let scene_start = self.last_scene.replace(scene) != Some(scene);
        Ok(Some(Frame {
            position: Some(position_of(number)),
            scene_start,
            ..Frame::new(number, origin, image)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).expect("not 0")
    }

    #[test]
    fn without_timing_every_frame_is_returned() {
        let mut source = DemoSource::new(Timing::Immediate).with_frames(frames(62));
        let mut scene = MovingScene::new(SEED, WIDTH, HEIGHT);
        for number in 0..62 {
            let frame = source.next_frame().expect("no error").expect("not the end");
            let expected = scene.frame(number);
            assert_eq!(frame.sequence, number);
            assert_eq!(frame.image, expected.image);
            assert_eq!(frame.origin, Origin::Scene(expected.truth));
            assert_eq!(frame.scene_start, number % MovingScene::SCENE_FRAMES == 0);
        }
        assert!(source.next_frame().expect("no error").is_none());
    }

    #[test]
    fn in_real_time_no_frame_is_early() {
        let mut source = DemoSource::new(Timing::RealTime).with_frames(frames(7));
        let start = Instant::now();
        let (mut count, mut last) = (0, None);
        while let Some(frame) = source.next_frame().expect("no error") {
            assert!(last.is_none_or(|last| frame.sequence > last));
            let position = position_of(frame.sequence);
            assert!(
                start.elapsed() >= position,
                "frame {} is early",
                frame.sequence
            );
            last = Some(frame.sequence);
            count += 1;
        }
        assert!((1..=7).contains(&count));
    }

    #[test]
    fn in_real_time_late_frames_are_left_out() {
        let mut source = DemoSource::new(Timing::RealTime);
        let first = source.next_frame().expect("no error").expect("no end");
        thread::sleep(Duration::from_millis(250));
        let second = source.next_frame().expect("no error").expect("no end");
        assert_eq!(first.sequence, 0);
        assert!(second.sequence >= 7, "{}", second.sequence);
    }

    #[test]
    fn a_scene_starts_with_its_first_frame_that_is_not_left_out() {
        let mut source = DemoSource::new(Timing::Immediate);
        let mut starts_at = |next| {
            source.next = next;
            let frame = source.next_frame().expect("no error").expect("no end");
            frame.scene_start
        };
        assert!(starts_at(0));
        assert!(!starts_at(MovingScene::SCENE_FRAMES - 1));
        assert!(starts_at(MovingScene::SCENE_FRAMES + 3));
        assert!(!starts_at(MovingScene::SCENE_FRAMES + 4));
    }

    /// A folder of pictures of one colour each, and files that are none.
    fn photographs(pictures: &[(&str, u8)], others: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, value) in pictures {
            let picture = RgbImage::from_pixel(60, 40, image::Rgb([*value; 3]));
            picture.save(folder.path().join(name)).expect("written");
        }
        for name in others {
            std::fs::write(folder.path().join(name), "no picture").expect("written");
        }
        folder
    }

    #[test]
    fn photographs_are_shown_in_turn_each_for_a_scene() {
        let folder = photographs(&[("b.png", 20), ("a.png", 10)], &["notes.txt"]);
        let open = || DemoSource::of_photographs(folder.path(), Timing::Immediate).expect("found");
        let mut source = open();
        for scene in 0..3 {
            source.next = scene * MovingScene::SCENE_FRAMES;
            let frame = source.next_frame().expect("no error").expect("no end");
            assert_eq!(frame.image.dimensions(), (WIDTH, HEIGHT));
            assert_eq!(frame.image.get_pixel(9, 9)[0], [10, 20][scene as usize % 2]);
            assert!(frame.scene_start && frame.origin == Origin::Live);
            assert_eq!(frame.position, Some(position_of(frame.sequence)));
            let next = source.next_frame().expect("no error").expect("no end");
            assert!(!next.scene_start);
        }
        let file = folder.path().join("b.png");
        let mut single = DemoSource::of_photographs(&file, Timing::Immediate).expect("a file");
        let frame = single.next_frame().expect("no error").expect("no end");
        assert_eq!(frame.image.get_pixel(0, 0)[0], 20);
    }

    #[test]
    fn a_photograph_that_cannot_be_read_is_left_out() {
        let folder = photographs(&[("b.png", 20)], &["a.png", "c.heic"]);
        let mut source =
            DemoSource::of_photographs(folder.path(), Timing::Immediate).expect("found");
        for expected in ["c.heic", "a.png"] {
            let error = source.next_frame().expect_err("unreadable");
            assert!(error.is_recoverable(), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        for _ in 0..2 {
            let frame = source.next_frame().expect("no error").expect("no end");
            assert_eq!(frame.image.get_pixel(0, 0)[0], 20);
        }
        let none = photographs(&[], &["a.png"]);
        let mut source = DemoSource::of_photographs(none.path(), Timing::Immediate).expect("found");
        assert!(source.next_frame().is_err());
        assert!(source.next_frame().expect("the end").is_none());
        let empty = photographs(&[], &["notes.txt"]);
        let error = DemoSource::of_photographs(empty.path(), Timing::Immediate);
        assert!(matches!(error, Err(SourceError::NoPictures { .. })));
    }

    #[test]
    fn positions_are_thirtieths_of_a_second() {
        assert_eq!(position_of(0), Duration::ZERO);
        assert_eq!(position_of(1), Duration::from_micros(33_333));
        assert_eq!(position_of(90), Duration::from_secs(3));
        assert_eq!(position_of(u64::MAX).as_secs(), u64::MAX / 30);
    }
}
