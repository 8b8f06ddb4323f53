//! The built-in demo: frames of a [`MovingScene`] with their ground truth, the same on every machine.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};
use crate::scene::MovingScene;

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
    scene: MovingScene,
    next: u64,
    /// The scene of the last frame.
    last_scene: Option<u64>,
    /// The number of frames, if there is an end.
    end: Option<u64>,
    clock: Clock,
}

#[derive(Debug)]
enum Clock {
    Immediate,
    /// With the time of the first request, so that loading the model takes no time of the demo.
    RealTime(Option<Instant>),
}

impl DemoSource {
    /// A demo without an end.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            scene: MovingScene::new(SEED, WIDTH, HEIGHT),
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
        self.next = number + 1;
        let scene_number = MovingScene::scene_of(number);
        let scene_start = self.last_scene.replace(scene_number) != Some(scene_number);
        let scene = self.scene.frame(number);
        Ok(Some(Frame {
            position: Some(position_of(number)),
            scene_start,
            ..Frame::new(number, Origin::Scene(scene.truth), scene.image)
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

    #[test]
    fn positions_are_thirtieths_of_a_second() {
        assert_eq!(position_of(0), Duration::ZERO);
        assert_eq!(position_of(1), Duration::from_micros(33_333));
        assert_eq!(position_of(90), Duration::from_secs(3));
        assert_eq!(position_of(u64::MAX).as_secs(), u64::MAX / 30);
    }
}
