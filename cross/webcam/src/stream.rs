//! The pictures' way out: fills the transfers that the host has queued, a frame every 40 ms, and has faults on
//! request.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::usbip;

/// Time between two frames.
const PAUSE: Duration = Duration::from_millis(40);

/// Header of a part of a frame: its length, then flags, of which one is the frame's, told apart by turns.
const HEADER: usize = 2;
const END_OF_HEADER: u8 = 0x80;
const END_OF_FRAME: u8 = 0x02;

/// What the camera is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// `flow`: whole frames.
    Flow,
    /// `stall`: nothing, for ever.
    Stall,
    /// `half`: only the first half of each frame.
    Half,
    /// `garbage`: as many bytes, none of which make sense.
    Garbage,
}

/// The stream.
pub(crate) struct Stream {
    state: Mutex<State>,
    changed: Condvar,
    /// Whoever writes to the wire holds this, so that answers don't mix.
    wire: Mutex<()>,
}

struct State {
    mood: Mood,
    picture: Vec<u8>,
    queue: VecDeque<(u32, usize)>,
}

impl Stream {
    pub(crate) fn new(picture: Vec<u8>) -> Self {
        Self {
            state: Mutex::new(State {
                mood: Mood::Flow,
                picture,
                queue: VecDeque::new(),
            }),
            changed: Condvar::new(),
            wire: Mutex::new(()),
        }
    }

    /// Does what a line says: the name of a mood, or `picture FILE`.
    pub(crate) fn obey(&self, line: &str) -> Result<(), String> {
        let mood = match line.split_once(' ').unwrap_or((line, "")) {
            ("flow", "") => Mood::Flow,
            ("stall", "") => Mood::Stall,
            ("half", "") => Mood::Half,
            ("garbage", "") => Mood::Garbage,
            ("picture", file) => {
                self.state().picture = std::fs::read(file).map_err(|error| error.to_string())?;
                return Ok(());
            }
            _ => return Err("expected flow, stall, half, garbage or picture FILE".to_owned()),
        };
        self.state().mood = mood;
        self.changed.notify_all();
        Ok(())
    }

    /// The host has room for so many bytes.
    pub(crate) fn queue(&self, id: u32, room: usize) {
        self.state().queue.push_back((id, room));
        self.changed.notify_all();
    }

    /// The host doesn't want that one filled any more; whether that came in time.
    pub(crate) fn take_back(&self, other: u32) -> bool {
        let queue = &mut self.state().queue;
        let before = queue.len();
        queue.retain(|(id, _)| *id != other);
        queue.len() < before
    }

    /// The right to write to the wire.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays until the wire is cut.
    pub(crate) fn play(&self, wire: &TcpStream) {
        let mut number = 0_u8;
        while self.play_frame(wire, number).is_ok() {
            number = number.wrapping_add(1);
            thread::sleep(PAUSE);
        }
    }

    /// The bytes of the next frame.
    fn frame(&self, number: u8) -> Vec<u8> {
        let state = self.state();
        let whole = &state.picture;
        match state.mood {
            Mood::Flow | Mood::Stall => whole.clone(),
            Mood::Half => whole.iter().take(whole.len() / 2).copied().collect(),
            // Ends in 0x55, so that no marker of JPEG is among them.
            Mood::Garbage => whole.iter().map(|byte| (byte ^ number) & 0x7f).collect(),
        }
    }

    fn play_frame(&self, wire: &TcpStream, number: u8) -> io::Result<()> {
        let frame = self.frame(number);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.wait_for_room();
            // A transfer that is taken from the queue is answered before anybody can take it back.
            let _turn = self.turn();
            let Some((id, room)) = self.state().queue.pop_front() else {
                continue;
            };
            let (part, after) = rest.split_at(rest.len().min(room.saturating_sub(HEADER)));
            rest = after;
            let end = if rest.is_empty() { END_OF_FRAME } else { 0 };
            let mut data = vec![HEADER as u8, END_OF_HEADER | end | (number & 1)];
            data.extend(part);
            usbip::answer(wire, id, 0, &data)?;
        }
        Ok(())
    }

    /// Waits for room, and for an end of the stall.
    fn wait_for_room(&self) {
        let is_stuck = |state: &mut State| state.mood == Mood::Stall || state.queue.is_empty();
        let waited = self.changed.wait_while(self.state(), is_stuck);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
