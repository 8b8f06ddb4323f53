//! A file descriptor whose reads can be broken off by another thread.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// A stream that ends at its end, or when it is broken off.
#[derive(Debug)]
pub(crate) struct CancellableReader {
    stream: OwnedFd,
    break_off: CancelToken,
}

/// Breaks an [`CancellableReader`] off, for good.
#[derive(Debug, Clone)]
pub(crate) struct CancelToken {
    wake: Arc<OwnedFd>,
    is_done: Arc<AtomicBool>,
}

impl CancellableReader {
    pub(crate) fn new(stream: OwnedFd) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            stream,
            break_off: CancelToken {
                wake: Arc::new(wake),
                is_done: Arc::default(),
            },
        })
    }

    pub(crate) fn break_off(&self) -> CancelToken {
        self.break_off.clone()
    }

    /// Waits until something can be read, the stream has ended, it was broken off, or the time is over.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<PollResult> {
        let limit = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        loop {
            let both = [self.stream.as_fd(), self.break_off.wake.as_fd()];
            let mut fds = both.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, limit.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            return Ok(if !fds[1].revents().is_empty() {
                PollResult::BrokenOff
            } else if !fds[0].revents().is_empty() {
                PollResult::Readable
            } else {
                PollResult::Nothing
            });
        }
    }
}

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollResult {
    Readable,
    BrokenOff,
    Nothing,
}

impl Read for CancellableReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.wait(None)? == PollResult::BrokenOff {
                return Ok(0);
            }
            match rustix::io::read(&self.stream, &mut *into) {
                // Somebody made the descriptor non-blocking, or was faster.
                Err(Errno::AGAIN | Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl CancelToken {
    pub(crate) fn now(&self) {
        self.is_done.store(true, Ordering::Relaxed);
        // Can only fail when it was called 2^64 times.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    #[test]
    fn a_read_that_hangs_is_broken_off() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut input = CancellableReader::new(reader.into()).expect("an input");
        let break_off = input.break_off();
        writer.write_all(b"ab").expect("written");
        let mut bytes = [0; 10];
        assert_eq!(input.read(&mut bytes).expect("read"), 2);
        let nothing = input.wait(Some(Duration::from_millis(1)));
        assert_eq!(nothing.expect("waited"), PollResult::Nothing);
        let reading = thread::spawn(move || input.read(&mut [0; 10]));
        thread::sleep(Duration::from_millis(50));
        assert!(!reading.is_finished(), "nothing came");
        break_off.now();
        let read = reading.join().expect("no panic");
        assert_eq!(read.expect("an end"), 0);
        writer.write_all(b"c").expect_err("nobody reads any more");
    }
}
