//! The latest frames, as JPEGs in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The most bytes of the frames in a buffer: more than 5 s of 1280 x 720 pixels at 30 frames per second.
const MAX_BUFFER_BYTES: usize = 64 << 20;

/// The number of frames from which the time between two frames is measured.
const MEASURED_FRAMES: usize = 16;

/// The time between two frames before it can be measured.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(40);

/// A frame as it is stored in a clip.
#[derive(Debug, Clone)]
pub(super) struct ClipFrame {
    pub(super) jpeg: Arc<[u8]>,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// When it was captured, from the start of the run or of the recording.
    pub(super) at: Duration,
    pub(super) time: SystemTime,
    /// The number of the frame in its source.
    pub(super) sequence: u64,
}

/// Frames in the order of their times.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    frames: VecDeque<ClipFrame>,
    bytes: usize,
    /// The times of the latest frames, in order, those that are no more in the buffer among them.
    times: VecDeque<Duration>,
}

impl FrameBuffer {
    /// Adds a frame. The oldest are dropped if all have more than [`MAX_BUFFER_BYTES`].
    pub(super) fn insert(&mut self, frame: ClipFrame) {
        let later = self.times.iter().rev().take_while(|at| **at > frame.at);
        let at = self.times.len() - later.count();
        self.times.insert(at, frame.at);
        if self.times.len() > MEASURED_FRAMES {
            self.times.pop_front();
        }
        self.bytes += frame.jpeg.len();
        let later = self
            .frames
            .iter()
            .rev()
            .take_while(|other| other.at > frame.at);
        let at = self.frames.len() - later.count();
        self.frames.insert(at, frame);
        while self.bytes > MAX_BUFFER_BYTES && self.frames.len() > 1 {
            self.pop_front();
        }
    }

    /// Drops the frames that were captured before this time.
    pub(super) fn drop_before(&mut self, at: Duration) {
        while self.frames.front().is_some_and(|frame| frame.at < at) {
            self.pop_front();
        }
    }

    /// Drops the frames before the last change of their size.
    pub(super) fn keep_last_size(&mut self) {
        let last = self.frames.back().map(|frame| frame.size);
        let other = self
            .frames
            .iter()
            .rposition(|frame| Some(frame.size) != last);
        for _ in 0..other.map_or(0, |at| at + 1) {
            self.pop_front();
        }
    }

    /// The oldest frame, if it was captured by then.
    pub(super) fn front_until(&self, at: Duration) -> Option<&ClipFrame> {
        self.frames.front().filter(|frame| frame.at <= at)
    }

    pub(super) fn pop_front(&mut self) -> Option<ClipFrame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.jpeg.len();
        Some(frame)
    }

    /// When the newest frame was captured.
    pub(super) fn newest(&self) -> Option<Duration> {
        self.times.back().copied()
    }

    /// The median time between two of the latest frames.
    pub(super) fn interval(&self) -> Duration {
        let (times, next) = (self.times.iter(), self.times.iter().skip(1));
        let mut intervals: Vec<Duration> = times.zip(next).map(|(a, b)| *b - *a).collect();
        intervals.sort_unstable();
        let median = intervals.get(intervals.len() / 2);
        median.copied().unwrap_or(DEFAULT_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at: u64, side: u32, bytes: usize) -> ClipFrame {
        ClipFrame {
            jpeg: vec![0; bytes].into(),
            size: (side, side),
            at: Duration::from_millis(at),
            time: SystemTime::UNIX_EPOCH,
            sequence: at,
        }
    }

    fn times(buffer: &FrameBuffer) -> Vec<u128> {
        let frames = buffer.frames.iter();
        frames.map(|frame| frame.at.as_millis()).collect()
    }

    #[test]
    fn frames_are_in_the_order_of_their_times() {
        let mut buffer = FrameBuffer::default();
        for at in [0, 120, 40, 80, 160] {
            buffer.insert(frame(at, 8, 10));
        }
        assert_eq!(times(&buffer), [0, 40, 80, 120, 160]);
        assert_eq!(buffer.interval(), Duration::from_millis(40));
        let at = |millis| Duration::from_millis(millis);
        buffer.drop_before(at(80));
        assert_eq!(times(&buffer), [80, 120, 160]);
        assert!(buffer.front_until(at(79)).is_none());
        assert!(buffer.front_until(at(80)).is_some());
        buffer.drop_before(at(160));
        assert_eq!((times(&buffer), buffer.bytes), (vec![160], 10));
        assert_eq!(buffer.newest(), Some(at(160)));
    }

    #[test]
    fn memory_is_limited_whatever_the_time() {
        let mut buffer = FrameBuffer::default();
        for at in 0..10 {
            buffer.insert(frame(at, 8, MAX_BUFFER_BYTES / 4));
            assert!(buffer.bytes <= MAX_BUFFER_BYTES);
        }
        assert_eq!(times(&buffer), [6, 7, 8, 9]);
        buffer.insert(frame(10, 8, MAX_BUFFER_BYTES + 1));
        assert_eq!(times(&buffer), [10], "the newest is always there");
    }

    #[test]
    fn frames_of_another_size_are_dropped() {
        let mut buffer = FrameBuffer::default();
        buffer.keep_last_size();
        for (at, side) in [(0, 8), (1, 4), (2, 8), (3, 8)] {
            buffer.insert(frame(at, side, 1));
        }
        buffer.keep_last_size();
        assert_eq!(times(&buffer), [2, 3]);
        buffer.keep_last_size();
        assert_eq!(times(&buffer), [2, 3]);
    }

    #[test]
    fn the_interval_is_a_median_of_the_latest_frames() {
        let mut buffer = FrameBuffer::default();
        assert_eq!(buffer.interval(), DEFAULT_INTERVAL);
        buffer.insert(frame(0, 8, 1));
        assert_eq!(buffer.interval(), DEFAULT_INTERVAL);
        for at in [100, 200, 5000, 5100, 5200] {
            buffer.insert(frame(at, 8, 1));
        }
        buffer.drop_before(Duration::from_secs(9));
        assert_eq!(buffer.interval(), Duration::from_millis(100));
        for at in 0..MEASURED_FRAMES as u64 {
            buffer.insert(frame(6000 + at * 30, 8, 1));
        }
        assert_eq!(buffer.interval(), Duration::from_millis(30));
    }
}
