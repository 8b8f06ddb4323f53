//! A reader over a file descriptor whose blocking reads can be cancelled by another thread.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// Reads until the stream ends or is cancelled; cancelling looks like the end.
#[derive(Debug)]
pub(super) struct CancellableReader {
    stream: OwnedFd,
    cancel: ReadCancelHandle,
}

/// Cancels the reads of a [`CancellableReader`] permanently.
#[derive(Debug, Clone)]
pub(super) struct ReadCancelHandle {
    wake: Arc<OwnedFd>,
    is_cancelled: Arc<AtomicBool>,
}

impl CancellableReader {
    pub(super) fn new(stream: OwnedFd) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            stream,
            cancel: ReadCancelHandle {
                wake: Arc::new(wake),
                is_cancelled: Arc::default(),
            },
        })
    }

    pub(super) fn cancel_handle(&self) -> ReadCancelHandle {
        self.cancel.clone()
    }

    /// Waits until the stream is readable or has ended, it was cancelled, or the timeout has elapsed.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<PollResult> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        loop {
            let both = [self.stream.as_fd(), self.cancel.wake.as_fd()];
            let mut fds = both.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            return Ok(if !fds[1].revents().is_empty() {
                PollResult::Cancelled
            } else if !fds[0].revents().is_empty() {
                PollResult::Readable
            } else {
                PollResult::TimedOut
            });
        }
    }
}

/// The result of [`CancellableReader::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollResult {
    Readable,
    Cancelled,
    TimedOut,
}

impl Read for CancellableReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.wait(None)? == PollResult::Cancelled {
                return Ok(0);
            }
            match rustix::io::read(&self.stream, &mut *into) {
                // The descriptor is non-blocking, or another process read the data first.
                Err(Errno::AGAIN | Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl ReadCancelHandle {
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        // Fails only after 2^64 calls.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    #[test]
    fn a_blocked_read_is_cancelled() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut input = CancellableReader::new(reader.into()).expect("a reader");
        let handle = input.cancel_handle();
        writer.write_all(b"ab").expect("written");
        let mut bytes = [0; 10];
        assert_eq!(input.read(&mut bytes).expect("read"), 2);
        let waited = input.wait(Some(Duration::from_millis(1)));
        assert_eq!(waited.expect("waited"), PollResult::TimedOut);
        let reading = thread::spawn(move || input.read(&mut [0; 10]));
        thread::sleep(Duration::from_millis(50));
        assert!(!reading.is_finished(), "nothing was written");
        handle.cancel();
        let read = reading.join().expect("no panic");
        assert_eq!(read.expect("an end"), 0);
        writer.write_all(b"c").expect_err("the reader was dropped");
    }
}
