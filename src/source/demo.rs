//! The built-in demo: snacks that glide over drawn backgrounds, with nothing but the binary.
//!
//! In goes nothing, out come frames of a [`MovingScene`] with their true boxes. Frame `n` is the scene
//! `n` thirtieths of a second after its start, the same on every machine. In real time the source waits
//! for that moment, and leaves out frames whose moment has passed while it was busy; as asked, it gives
//! every frame at once and leaves none out.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};
use crate::scene::MovingScene;

/// Width of the demo's frames, in pixels.
pub const WIDTH: u32 = 640;
/// Height of the demo's frames, in pixels.
pub const HEIGHT: u32 = 480;
/// Frames in a second of the demo.
pub const FRAMES_PER_SECOND: u32 = 30;

/// The one demo that everybody sees.
const SEED: u64 = 20;

/// When the demo gives its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Whenever it is asked: same input, same output. Not a live source.
    Immediate,
    /// At their moment, to be looked at. A live source.
    RealTime,
}

/// Frames of the built-in moving scene.
#[derive(Debug)]
pub struct DemoSource {
    scene: MovingScene,
    next: u64,
    /// The act that the last frame was of.
    last_act: Option<u64>,
    /// The first frame that is not given, if there is an end.
    end: Option<u64>,
    clock: Clock,
}

#[derive(Debug)]
enum Clock {
    Immediate,
    /// Started with the first frame, so that the time to load a model is not a gap.
    RealTime(Option<Instant>),
}

impl DemoSource {
    /// The demo without an end.
    #[must_use]
    pub fn new(pace: Timing) -> Self {
        Self {
            scene: MovingScene::new(SEED, WIDTH, HEIGHT),
            next: 0,
            last_act: None,
            end: None,
            clock: match pace {
                Timing::Immediate => Clock::Immediate,
                Timing::RealTime => Clock::RealTime(None),
            },
        }
    }

    /// The demo that ends before the frame with that number.
    #[must_use]
    pub fn ending_at(self, frame: NonZeroU64) -> Self {
        Self {
            end: Some(frame.get()),
            ..self
        }
    }

    /// The number of the frame to give now; in real time, once its moment has come.
    fn due(&mut self) -> u64 {
        let Clock::RealTime(start) = &mut self.clock else {
            return self.next;
        };
        let elapsed = start.get_or_insert_with(Instant::now).elapsed();
        let passed = (elapsed.as_micros() * u128::from(FRAMES_PER_SECOND) / 1_000_000) as u64;
        thread::sleep(moment_of(self.next).saturating_sub(elapsed));
        self.next.max(passed)
    }
}

/// Time from the start of the demo to a frame.
fn moment_of(frame: u64) -> Duration {
    let rate = u64::from(FRAMES_PER_SECOND);
    Duration::from_secs(frame / rate) + Duration::from_micros(frame % rate * 1_000_000 / rate)
}

impl FrameSource for DemoSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(None);
        }
        let number = self.due();
        if self.end.is_some_and(|end| number >= end) {
            self.next = number;
            return Ok(None);
        }
        self.next = number + 1;
        let act = MovingScene::scene_of(number);
        let scene_start = self.last_act.replace(act) != Some(act);
        let scene = self.scene.frame(number);
        Ok(Some(Frame {
            position: Some(moment_of(number)),
            scene_start,
            ..Frame::new(number, Origin::Scene(scene.truth), scene.image)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).expect("not 0")
    }

    #[test]
    fn as_asked_every_frame_comes_and_then_the_end() {
        let mut source = DemoSource::new(Timing::Immediate).ending_at(count(62));
        let mut scene = MovingScene::new(SEED, WIDTH, HEIGHT);
        for number in 0..62 {
            let frame = source.next_frame().expect("sound").expect("not the end");
            let expected = scene.frame(number);
            assert_eq!(frame.sequence, number);
            assert_eq!(frame.image, expected.image);
            assert_eq!(frame.origin, Origin::Scene(expected.truth));
            assert_eq!(frame.scene_start, number % MovingScene::SCENE_FRAMES == 0);
        }
        assert!(source.next_frame().expect("sound").is_none());
    }

    #[test]
    fn in_real_time_frames_wait_for_their_moment() {
        let mut source = DemoSource::new(Timing::RealTime).ending_at(count(7));
        let start = Instant::now();
        let (mut given, mut last) = (0, None);
        while let Some(frame) = source.next_frame().expect("sound") {
            assert!(last.is_none_or(|last| frame.sequence > last));
            let moment = moment_of(frame.sequence);
            assert!(
                start.elapsed() >= moment,
                "frame {} is early",
                frame.sequence
            );
            last = Some(frame.sequence);
            given += 1;
        }
        assert!((1..=7).contains(&given));
    }

    #[test]
    fn in_real_time_frames_whose_moment_has_passed_are_left_out() {
        let mut source = DemoSource::new(Timing::RealTime);
        let first = source.next_frame().expect("sound").expect("no end");
        thread::sleep(Duration::from_millis(250));
        let second = source.next_frame().expect("sound").expect("no end");
        assert_eq!(first.sequence, 0);
        assert!(second.sequence >= 7, "{}", second.sequence);
        source.next = MovingScene::SCENE_FRAMES + 3;
        let third = source.next_frame().expect("sound").expect("no end");
        assert!(
            third.scene_start,
            "the first frame of the scene was left out"
        );
    }

    #[test]
    fn moments_are_thirtieths_of_a_second() {
        assert_eq!(moment_of(0), Duration::ZERO);
        assert_eq!(moment_of(1), Duration::from_micros(33_333));
        assert_eq!(moment_of(90), Duration::from_secs(3));
        assert_eq!(moment_of(u64::MAX).as_secs(), u64::MAX / 30);
    }
}
