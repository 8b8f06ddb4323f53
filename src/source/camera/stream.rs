//! Frames as a driver gives them: bytes, and when they were taken.
//!
//! In goes a camera that is set to a mode, out comes the newest frame that it has. A read ends after a given
//! time at the latest. What the bytes mean is not known here.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use v4l::Device;
use v4l::buffer::{Flags, Metadata, Type};
use v4l::device::Handle;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::prelude::MmapStream;
use v4l::v4l_sys::time_t;

use super::request;

/// Frames that the driver can fill while one is read.
const BUFFERS: u32 = 4;

/// An age above which a time stamp is of another clock.
const OLDEST: Duration = Duration::from_secs(10);

/// The most that a read waits, whatever is asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A running camera.
pub(super) struct Stream {
    /// Always there, but for its way out.
    frames: Option<MmapStream<'static>>,
    handle: Arc<Handle>,
}

/// What the driver says of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferMeta {
    /// The driver's number, which leaves out those of lost frames.
    pub(super) number: u32,
    /// Whether the driver has marked it as broken.
    pub(super) is_broken: bool,
    pub(super) instant: Instant,
    pub(super) time: SystemTime,
}

impl Stream {
    /// Takes memory for frames. The camera starts with the first read.
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

    /// Hands the newest frame to `read`, older ones are passed over.
    ///
    /// # Errors
    /// The driver's, or [`io::ErrorKind::TimedOut`] when no frame comes for so long. After one the stream
    /// is of no more use.
    pub(super) fn next<T>(
        &mut self,
        timeout: Duration,
        read: impl FnOnce(&[u8], BufferMeta) -> T,
    ) -> io::Result<T> {
        let Some(frames) = &mut self.frames else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        frames.set_timeout(timeout.min(LONGEST_WAIT));
        let mut passed_over = 0;
        loop {
            match frames.next() {
                Ok((bytes, metadata)) => {
                    let has_newer = self.handle.poll(libc::POLLIN, 0).unwrap_or_default() > 0;
                    if has_newer && passed_over < BUFFERS {
                        passed_over += 1;
                        continue;
                    }
                    let used = bytes.len().min(metadata.bytesused as usize);
                    return Ok(read(&bytes[..used], taken(metadata)));
                }
                // The buffer is already with the driver, a second `next` would hand it over twice. The frame
                // that is waited for here is given back unread.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    while let Err(error) = CaptureStream::dequeue(frames) {
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

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(mut frames) = self.frames.take() else {
            return;
        };
        // `v4l` panics when it can't stop a camera that is still there. Its memory and its device are better
        // lost than the program.
        match frames.stop() {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => mem::forget(frames),
            _ => drop(frames),
        }
    }
}

fn taken(metadata: &Metadata) -> BufferMeta {
    let kind = metadata.flags & Flags::TIMESTAMP_MASK;
    let stamp = stamp(metadata.timestamp.sec, metadata.timestamp.usec);
    let stamp = stamp.filter(|_| kind == Flags::TIMESTAMP_MONOTONIC);
    let age = age(stamp, request::monotonic_now());
    let (instant, time) = (Instant::now(), SystemTime::now());
    BufferMeta {
        number: metadata.sequence,
        is_broken: metadata.flags.contains(Flags::ERROR),
        instant: instant.checked_sub(age).unwrap_or(instant),
        time: time.checked_sub(age).unwrap_or(time),
    }
}

fn stamp(seconds: time_t, microseconds: time_t) -> Option<Duration> {
    let microseconds = u32::try_from(microseconds)
        .ok()
        .filter(|it| *it < 1_000_000)?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::new(seconds, microseconds * 1000))
}

/// How long ago that was; 0 where the driver doesn't say or can't be right.
fn age(stamp: Option<Duration>, now: Duration) -> Duration {
    let age = stamp.and_then(|stamp| now.checked_sub(stamp));
    age.filter(|age| *age < OLDEST).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use v4l::Timestamp;

    use super::*;

    fn frame(flags: Flags, stamp: Duration) -> BufferMeta {
        taken(&Metadata {
            bytesused: 1,
            flags,
            field: 0,
            timestamp: Timestamp::from(stamp),
            sequence: 7,
        })
    }

    #[test]
    fn a_frame_is_as_old_as_its_stamp_of_the_monotonic_clock() {
        let stamp = request::monotonic_now() - Duration::from_millis(40);
        let monotonic = frame(Flags::TIMESTAMP_MONOTONIC, stamp);
        assert!(monotonic.instant.elapsed() >= Duration::from_millis(39));
        let elapsed = monotonic.time.elapsed().expect("in the past");
        assert!(elapsed >= Duration::from_millis(39));
        for flags in [Flags::TIMESTAMP_UNKNOWN, Flags::TIMESTAMP_COPY] {
            let before = Instant::now();
            assert!(frame(flags, stamp).instant >= before, "another clock");
        }
    }

    #[test]
    fn a_stamp_that_cannot_be_is_not_believed() {
        let now = Duration::from_secs(1000);
        let at = |milliseconds| Some(Duration::from_millis(milliseconds));
        assert_eq!(age(at(999_960), now), Duration::from_millis(40));
        for stamp in [None, at(1_000_001), at(0), at(980_000)] {
            assert_eq!(age(stamp, now), Duration::ZERO, "{stamp:?}");
        }
        assert_eq!(stamp(2, 500_000), Some(Duration::from_millis(2500)));
        for (seconds, microseconds) in
            [(-1, 0), (1, -1), (1, 1_000_000), (time_t::MAX, time_t::MAX)]
        {
            assert_eq!(stamp(seconds, microseconds), None);
        }
    }

    #[test]
    fn the_drivers_mark_of_a_broken_frame_is_seen() {
        let monotonic = Flags::TIMESTAMP_MONOTONIC;
        let now = request::monotonic_now();
        assert!(frame(monotonic | Flags::ERROR, now).is_broken);
        assert!(!frame(monotonic | Flags::DONE, now).is_broken);
        assert_eq!(frame(monotonic, now).number, 7);
    }

    #[test]
    fn what_is_no_camera_gives_no_stream() {
        let file = Device::with_path("/dev/null").expect("opens");
        assert!(Stream::new(&file).is_err());
    }
}
