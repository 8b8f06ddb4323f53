//! The camera's end: a thread writes frames into a FIFO that the camera's program passes on, and fails on request.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use crate::common::rpicam;

/// Passes frames on until they end, and then does what the file `after` says.
pub(super) const SCRIPT: &str = "echo $$ >> numbers\ncat camera.fifo\n. ./after";

/// Time from frame to frame.
const FRAME_TIME: Duration = Duration::from_millis(25);

/// Wait for a reader, or for space in the pipe.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What ends the camera's program.
const ENDINGS: [&str; 8] = [
    "exit 0",
    "echo 'ERROR: *** out of memory ***' >&2; exit 1",
    "kill -KILL $$",
    "exec sleep 600",
    "exec >&-; exec sleep 600",
    "sleep 600 & exit 3",
    "yes 'ERROR: *** failed to queue buffer ***' | head -c 300000 >&2; exit 255",
    "trap '' TERM HUP INT; exec sleep 600",
];

#[derive(Debug, Clone)]
pub(super) enum CameraFault {
    /// The frames end, and the program then does this.
    End(&'static str),
    /// No more frames.
    Stall,
    /// The beginning of a frame, and no more.
    HalfFrame,
    /// Frames without their second halves.
    HalfFrames,
    /// Bytes between two frames.
    Garbage(Vec<u8>),
    /// Many frames at once.
    Flood,
    /// Frames of another size.
    OtherSize,
    /// Another format after a restart.
    OtherFormat,
    /// The program is stopped, as by a debugger.
    Stopped,
}

impl CameraFault {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..12) {
            0 => Self::Stall,
            1 => Self::HalfFrame,
            2 => Self::HalfFrames,
            3 => {
                let length = random.usize(1..2_000_000);
                Self::Garbage((0..length).map(|_| random.u8(..)).collect())
            }
            4 => Self::Flood,
            5 => Self::OtherSize,
            6 => Self::OtherFormat,
            7 => Self::Stopped,
            _ => Self::End(ENDINGS[random.usize(..ENDINGS.len())]),
        }
    }
}

/// The thread that feeds the camera; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Feeder {
    faults: Option<Sender<CameraFault>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of faults that were asked for.
    asked: AtomicU64,
    /// Number of faults that have taken effect.
    done: AtomicU64,
    /// Number of faults that are over.
    over: AtomicU64,
    /// Whether no frame can be sent: the pipe is full, or there is no camera.
    is_blocked: AtomicBool,
    /// Whether frames follow each other without a pause.
    is_fast: AtomicBool,
    has_ended: AtomicBool,
}

impl Feeder {
    pub(super) fn start(folder: &Path) -> Self {
        let fifo = folder.join("camera.fifo");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo starts").success());
        fs::write(folder.join("after"), ENDINGS[0]).expect("written");
        let (sender, faults) = channel();
        let state = Arc::new(State::default());
        let camera = Camera {
            folder: folder.to_owned(),
            pipe: None,
            has_fault: false,
            state: Arc::clone(&state),
        };
        Self {
            faults: Some(sender),
            state,
            thread: Some(thread::spawn(move || camera.run(&faults))),
        }
    }

    pub(super) fn fail(&self, fault: CameraFault) {
        let faults = self.faults.as_ref().expect("until it is dropped");
        self.state.asked.fetch_add(1, Ordering::AcqRel);
        faults.send(fault).expect("the thread runs");
    }

    /// Number of faults that have taken effect.
    pub(super) fn done(&self) -> u64 {
        self.state.done.load(Ordering::Acquire)
    }

    /// Whether plain frames are sent again.
    pub(super) fn has_recovered(&self) -> bool {
        self.state.over.load(Ordering::Acquire) == self.state.asked.load(Ordering::Acquire)
    }

    /// Sends frames without a pause, or no longer.
    pub(super) fn set_fast(&self, is_fast: bool) {
        self.state.is_fast.store(is_fast, Ordering::Release);
    }

    /// Whether no frame can be sent: the pipe is full, or there is no camera.
    pub(super) fn is_blocked(&self) -> bool {
        self.state.is_blocked.load(Ordering::Acquire)
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Release);
        self.faults.take();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || thread::panicking(), "the feeder panicked");
        }
    }
}

struct Camera {
    folder: PathBuf,
    /// Open for writing.
    pipe: Option<File>,
    /// Whether a fault has not taken effect yet.
    has_fault: bool,
    state: Arc<State>,
}

impl Camera {
    fn run(mut self, faults: &Receiver<CameraFault>) {
        let colors = ["red", "blue"].map(|color| rpicam::mjpeg(color, (64, 48), 1));
        let large = rpicam::mjpeg("green", (320, 240), 1);
        let mut number = 0;
        while !self.has_ended() {
            if let Ok(fault) = faults.try_recv() {
                self.has_fault = true;
                self.apply(fault, &colors[0], &large);
            }
            number += 1;
            self.write(&colors[number / 20 % 2]);
            if !self.state.is_fast.load(Ordering::Acquire) {
                sleep(FRAME_TIME);
            }
        }
    }

    fn apply(&mut self, fault: CameraFault, frame: &[u8], large: &[u8]) {
        let half = &frame[..frame.len() / 2];
        let starts = self.starts();
        match fault {
            CameraFault::End(script) => self.end(script),
            CameraFault::Stall => self.wait_for_restart(starts.len()),
            CameraFault::HalfFrame => {
                self.write(half);
                self.wait_for_restart(starts.len());
            }
            CameraFault::HalfFrames => self.write(&half.repeat(20)),
            CameraFault::Garbage(bytes) => self.write(&bytes),
            CameraFault::Flood => self.write(&frame.repeat(200)),
            CameraFault::OtherSize => self.write(&large.repeat(5)),
            CameraFault::OtherFormat => {
                self.end(ENDINGS[0]);
                self.write(&b"\0\0\0\x01 not a JPEG".repeat(100));
            }
            CameraFault::Stopped => {
                if let Some(group) = starts.last() {
                    // It may just have ended.
                    let _ = Command::new("kill")
                        .args(["-STOP", "--", &format!("-{group}")])
                        .stderr(std::process::Stdio::null())
                        .status();
                }
                self.wait_for_restart(starts.len());
            }
        }
        self.take_effect();
        self.state.over.fetch_add(1, Ordering::Release);
    }

    /// Ends the frames and waits for the next camera.
    fn end(&mut self, script: &str) {
        let starts = self.starts().len();
        fs::write(self.folder.join("after"), script).expect("written");
        self.pipe = None;
        self.wait_for_restart(starts);
        fs::write(self.folder.join("after"), ENDINGS[0]).expect("written");
    }

    /// The process numbers of the camera's program.
    fn starts(&self) -> Vec<u32> {
        let numbers = fs::read_to_string(self.folder.join("numbers")).unwrap_or_default();
        numbers
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Counts the present fault, once.
    fn take_effect(&mut self) {
        if std::mem::take(&mut self.has_fault) {
            self.state.done.fetch_add(1, Ordering::Release);
        }
    }

    fn wait_for_restart(&mut self, starts: usize) {
        self.take_effect();
        self.state.is_blocked.store(true, Ordering::Release);
        while self.starts().len() <= starts && !self.has_ended() {
            sleep(POLL_INTERVAL);
        }
    }

    /// Writes everything, unless the camera's program ends.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.has_ended() {
            let written = self.pipe().and_then(|mut pipe| pipe.write(bytes));
            self.state
                .is_blocked
                .store(written.is_err(), Ordering::Release);
            if written.is_err() {
                // The rest follows once there is a camera again, which may need the end of another fault.
                self.take_effect();
            }
            match written {
                Ok(count) => bytes = &bytes[count..],
                // The next one gets the next frame.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
                // No reader yet, or the pipe is full.
                Err(_) => sleep(POLL_INTERVAL),
            }
        }
    }

    fn pipe(&mut self) -> io::Result<&File> {
        if self.pipe.is_none() {
            // Fails until the camera's program has opened it.
            let opened = File::options()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(self.folder.join("camera.fifo"))?;
            self.pipe = Some(opened);
        }
        self.pipe.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn has_ended(&self) -> bool {
        self.state.has_ended.load(Ordering::Acquire)
    }
}
