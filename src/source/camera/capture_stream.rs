//! Reads frames from a V4L2 driver, with their timestamps and sequence numbers.
//!
//! A read returns the newest frame and ends after a timeout. The bytes are not interpreted here.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use v4l::Device;
use v4l::buffer::{Flags, Metadata, Type};
use v4l::device::Handle;
use v4l::io::traits::{CaptureStream as _, Stream as _};
use v4l::prelude::MmapStream;
use v4l::v4l_sys::time_t;

use super::ioctl;

/// Buffers that the driver can fill while a frame is read.
const BUFFERS: u32 = 4;

/// The largest plausible age of a frame; beyond it, the timestamp is from another clock.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The longest timeout that the driver is given.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The memory-mapped buffers of a camera.
pub(super) struct CaptureStream {
    /// `None` only while it is dropped.
    frames: Option<MmapStream<'static>>,
    handle: Arc<Handle>,
}

/// The driver's description of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferMeta {
    /// The driver's sequence number; a gap means lost frames.
    pub(super) sequence: u32,
    /// Whether the driver marked the frame as corrupt.
    pub(super) is_corrupt: bool,
    pub(super) captured_at: Instant,
    pub(super) time: SystemTime,
}

impl CaptureStream {
    /// Allocates buffers. The camera starts at the first read.
    pub(super) fn new(device: &Device) -> io::Result<Self> {
        Ok(Self {
            frames: Some(MmapStream::with_buffers(
                device,
                Type::VideoCapture,
                BUFFERS,
            )?),
            handle: device.handle(),
        })
    }

    /// Passes the newest frame to `read` and skips older ones.
    ///
    /// # Errors
    /// The driver's error, or [`io::ErrorKind::TimedOut`] if no frame arrives in time. The stream can't be used
    /// after an error.
    pub(super) fn next<T>(
        &mut self,
        timeout: Duration,
        read: impl FnOnce(&[u8], BufferMeta) -> T,
    ) -> io::Result<T> {
        let Some(frames) = &mut self.frames else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        frames.set_timeout(timeout.min(MAX_TIMEOUT));
        let mut skipped = 0;
        loop {
            match frames.next() {
                Ok((bytes, metadata)) => {
                    let has_newer = self.handle.poll(libc::POLLIN, 0).unwrap_or_default() > 0;
                    if has_newer && skipped < BUFFERS {
                        skipped += 1;
                        continue;
                    }
                    let used = bytes.len().min(metadata.bytesused as usize);
                    return Ok(read(&bytes[..used], buffer_meta(metadata)));
                }
                // `next` has queued its buffer already, and a second call would queue it twice. Instead a frame is
                // dequeued and skipped.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    while let Err(error) = frames.dequeue() {
                        if error.kind() != io::ErrorKind::Interrupted {
                            return Err(error);
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for CaptureStream {
    fn drop(&mut self) {
        let Some(mut frames) = self.frames.take() else {
            return;
        };
        // `v4l` panics if it can't stop a camera that is still connected. Leaking its buffers and its file descriptor
        // is better than a panic.
        match frames.stop() {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => mem::forget(frames),
            _ => drop(frames),
        }
    }
}

fn buffer_meta(metadata: &Metadata) -> BufferMeta {
    let clock = metadata.flags & Flags::TIMESTAMP_MASK;
    let timestamp = timestamp(metadata.timestamp.sec, metadata.timestamp.usec);
    let timestamp = timestamp.filter(|_| clock == Flags::TIMESTAMP_MONOTONIC);
    let age = age(timestamp, ioctl::monotonic_now());
    let (now, time) = (Instant::now(), SystemTime::now());
    BufferMeta {
        sequence: metadata.sequence,
        is_corrupt: metadata.flags.contains(Flags::ERROR),
        captured_at: now.checked_sub(age).unwrap_or(now),
        time: time.checked_sub(age).unwrap_or(time),
    }
}

fn timestamp(seconds: time_t, microseconds: time_t) -> Option<Duration> {
    let microseconds = u32::try_from(microseconds)
        .ok()
        .filter(|it| *it < 1_000_000)?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::new(seconds, microseconds * 1000))
}

/// The age of a timestamp; 0 if there is none or it is implausible.
fn age(timestamp: Option<Duration>, now: Duration) -> Duration {
    let age = timestamp.and_then(|timestamp| now.checked_sub(timestamp));
    age.filter(|age| *age < MAX_AGE).unwrap_or_default()
}

/// The largest gap in a driver's sequence numbers that counts as lost frames.
const MAX_SEQUENCE_GAP: u32 = 1000;

/// Makes increasing sequence numbers from 0 from a driver's, which wrap, repeat or jump in some drivers.
#[derive(Debug, Default)]
pub(super) struct SequenceCounter {
    /// The driver's last number, and the one made from it.
    last: Option<(u32, u64)>,
}

impl SequenceCounter {
    pub(super) fn next(&mut self, theirs: u32) -> u64 {
        let ours = match self.last {
            None => 0,
            Some((last, ours)) => {
                let gap = theirs.wrapping_sub(last);
                let is_likely = (1..=MAX_SEQUENCE_GAP).contains(&gap);
                ours + u64::from(if is_likely { gap } else { 1 })
            }
        };
        self.last = Some((theirs, ours));
        ours
    }
}

#[cfg(test)]
mod tests {
    use v4l::Timestamp;

    use super::*;

    fn meta(flags: Flags, timestamp: Duration) -> BufferMeta {
        buffer_meta(&Metadata {
            bytesused: 1,
            flags,
            field: 0,
            timestamp: Timestamp::from(timestamp),
            sequence: 7,
        })
    }

    #[test]
    fn the_age_of_a_frame_is_from_its_monotonic_timestamp() {
        let timestamp = ioctl::monotonic_now() - Duration::from_millis(40);
        let monotonic = meta(Flags::TIMESTAMP_MONOTONIC, timestamp);
        assert!(monotonic.captured_at.elapsed() >= Duration::from_millis(39));
        let elapsed = monotonic.time.elapsed().expect("in the past");
        assert!(elapsed >= Duration::from_millis(39));
        for flags in [Flags::TIMESTAMP_UNKNOWN, Flags::TIMESTAMP_COPY] {
            let before = Instant::now();
            assert!(
                meta(flags, timestamp).captured_at >= before,
                "another clock"
            );
        }
    }

    #[test]
    fn implausible_timestamps_are_ignored() {
        let now = Duration::from_secs(1000);
        let at = |milliseconds| Some(Duration::from_millis(milliseconds));
        assert_eq!(age(at(999_960), now), Duration::from_millis(40));
        for timestamp in [None, at(1_000_001), at(0), at(980_000)] {
            assert_eq!(age(timestamp, now), Duration::ZERO, "{timestamp:?}");
        }
        assert_eq!(timestamp(2, 500_000), Some(Duration::from_millis(2500)));
        for (seconds, microseconds) in
            [(-1, 0), (1, -1), (1, 1_000_000), (time_t::MAX, time_t::MAX)]
        {
            assert_eq!(timestamp(seconds, microseconds), None);
        }
    }

    #[test]
    fn the_error_flag_of_a_frame_is_read() {
        let monotonic = Flags::TIMESTAMP_MONOTONIC;
        let now = ioctl::monotonic_now();
        assert!(meta(monotonic | Flags::ERROR, now).is_corrupt);
        assert!(!meta(monotonic | Flags::DONE, now).is_corrupt);
        assert_eq!(meta(monotonic, now).sequence, 7);
    }

    #[test]
    fn a_file_that_is_not_a_camera_is_refused() {
        let file = Device::with_path("/dev/null").expect("opens");
        assert!(CaptureStream::new(&file).is_err());
    }

    #[test]
    fn sequence_numbers_follow_the_driver_where_plausible() {
        let mut counter = SequenceCounter::default();
        let ours = [7, 8, 11, 11, 12, 0, 1, 900_000, 900_001].map(|theirs| counter.next(theirs));
        assert_eq!(ours, [0, 1, 4, 5, 6, 7, 8, 9, 10]);
        let mut wraps = SequenceCounter::default();
        assert_eq!([u32::MAX, 0, 2].map(|theirs| wraps.next(theirs)), [0, 1, 3]);
    }
}
