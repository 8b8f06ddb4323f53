//! The video stream: fills the transfers that the host has queued with a frame every 40 ms, and injects faults.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use thiserror::Error;

use crate::usbip;

const FRAME_INTERVAL: Duration = Duration::from_millis(40);

/// Bytes of the header of a payload: its length and flags. The lowest flag toggles with each frame.
const HEADER: usize = 2;
const END_OF_HEADER: u8 = 0x80;
const END_OF_FRAME: u8 = 0x02;

/// What the camera sends, by the command that selects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// `flow`: whole frames.
    Flow,
    /// `stall`: nothing.
    Stall,
    /// `half`: only the first half of each frame.
    Half,
    /// `garbage`: as many meaningless bytes.
    Garbage,
}

/// A command that can't be run.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("the picture can't be read: {0}")]
    Picture(#[from] io::Error),
    #[error("unknown command; expected flow, stall, half, garbage or picture FILE")]
    Unknown,
}

pub(crate) struct Stream {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while a reply is written, so that replies are not interleaved.
    connection: Mutex<()>,
}

struct State {
    behavior: Behavior,
    /// The bytes of a frame.
    picture: Vec<u8>,
    /// Ids and buffer lengths of the queued transfers.
    queue: VecDeque<(u32, usize)>,
}

impl Stream {
    pub(crate) fn new(picture: Vec<u8>) -> Self {
        Self {
            state: Mutex::new(State {
                behavior: Behavior::Flow,
                picture,
                queue: VecDeque::new(),
            }),
            changed: Condvar::new(),
            connection: Mutex::new(()),
        }
    }

    /// Runs a command: the name of a behavior, or `picture FILE`.
    pub(crate) fn run_command(&self, line: &str) -> Result<(), CommandError> {
        let behavior = match line.split_once(' ').unwrap_or((line, "")) {
            ("flow", "") => Behavior::Flow,
            ("stall", "") => Behavior::Stall,
            ("half", "") => Behavior::Half,
            ("garbage", "") => Behavior::Garbage,
            ("picture", file) => {
                self.state.lock().picture = std::fs::read(file)?;
                return Ok(());
            }
            _ => return Err(CommandError::Unknown),
        };
        self.state.lock().behavior = behavior;
        self.changed.notify_all();
        Ok(())
    }

    /// Queues a transfer with a buffer of this many bytes.
    pub(crate) fn queue(&self, id: u32, length: usize) {
        self.state.lock().queue.push_back((id, length));
        self.changed.notify_all();
    }

    /// Removes a queued transfer; false if it was completed before.
    pub(crate) fn unlink(&self, other: u32) -> bool {
        let queue = &mut self.state.lock().queue;
        let before = queue.len();
        queue.retain(|(id, _)| *id != other);
        queue.len() < before
    }

    /// Locks the connection for writing a reply.
    pub(crate) fn lock_connection(&self) -> MutexGuard<'_, ()> {
        self.connection.lock()
    }

    /// Sends frames until the connection is closed.
    pub(crate) fn send_frames(&self, connection: &TcpStream) {
        let mut number = 0_u8;
        while self.send_frame(connection, number).is_ok() {
            number = number.wrapping_add(1);
            thread::sleep(FRAME_INTERVAL);
        }
    }

    /// The bytes of the next frame.
    fn frame(&self, number: u8) -> Vec<u8> {
        let state = self.state.lock();
        let whole = &state.picture;
        match state.behavior {
            Behavior::Flow | Behavior::Stall => whole.clone(),
            Behavior::Half => whole.iter().take(whole.len() / 2).copied().collect(),
            // Bytes below 0x80, so that they contain no JPEG marker.
            Behavior::Garbage => whole.iter().map(|byte| (byte ^ number) & 0x7f).collect(),
        }
    }

    fn send_frame(&self, connection: &TcpStream, number: u8) -> io::Result<()> {
        let frame = self.frame(number);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.wait_for_transfer();
            // The lock is held until the reply is written, so a dequeued transfer can't be unlinked.
            let _guard = self.lock_connection();
            let Some((id, length)) = self.state.lock().queue.pop_front() else {
                continue;
            };
            let (part, after) = rest.split_at(rest.len().min(length.saturating_sub(HEADER)));
            rest = after;
            let end = if rest.is_empty() { END_OF_FRAME } else { 0 };
            let mut data = vec![HEADER as u8, END_OF_HEADER | end | (number & 1)];
            data.extend(part);
            usbip::reply(connection, id, 0, &data)?;
        }
        Ok(())
    }

    /// Waits for a queued transfer while the camera is not stalled.
    fn wait_for_transfer(&self) {
        let is_blocked =
            |state: &mut State| state.behavior == Behavior::Stall || state.queue.is_empty();
        self.changed.wait_while(&mut self.state.lock(), is_blocked);
    }
}
