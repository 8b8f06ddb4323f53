//! Watches over a live source: gives it up when it hangs or fails, and opens it again.
//!
//! It never touches the source itself, which belongs to its capture thread; a thread that is stuck in a read
//! is left behind, and only a few such threads may be there at once.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::capture::{End, Intake};
use super::ending::has_ended;
use super::hub::Hub;
use super::{PipelineError, Times};
use crate::health::CaptureState;
use crate::source::SourceFactory;

/// How often a wait for the source looks whether the run is over.
const CHECK: Duration = Duration::from_millis(50);

/// Capture threads that were given up and have not ended, at most.
const MOST_GIVEN_UP: usize = 3;

/// So many sources in a row that are opened and give no frame get little time for it, but the last of them.
const MOST_HASTY: u32 = 4;

/// What a live source comes from.
pub(super) struct Supply {
    pub(super) open: SourceFactory,
    pub(super) reopens: bool,
    pub(super) wait: bool,
}

/// Watches over a live source.
pub(super) struct Supervisor {
    hub: Arc<Hub>,
    intake: Arc<Intake>,
    open: Arc<Mutex<SourceFactory>>,
    reopens: bool,
    waits: bool,
    times: Times,
    /// Capture threads that may still be there.
    given_up: Vec<JoinHandle<()>>,
    pause: Duration,
    /// When the source at hand was started.
    started: Instant,
    /// Time that it has for its first frame.
    first_frame: Duration,
    /// Sources in a row that were opened and never gave a frame.
    silent: u32,
    /// Whether the last source that did needed more than the usual time.
    is_slow: bool,
}

/// What became of a source.
enum Verdict {
    /// The run is over.
    Over,
    /// It gives no frames, for this reason.
    Stalled(String),
    /// It ended.
    Ended(End),
}

impl Supervisor {
    pub(super) fn new(hub: Arc<Hub>, supply: Supply, times: Times) -> Self {
        Self {
            intake: Arc::new(Intake::new(Arc::clone(&hub), times.least_interval)),
            hub,
            open: Arc::new(Mutex::new(supply.open)),
            reopens: supply.reopens,
            waits: supply.wait,
            times,
            given_up: Vec::new(),
            pause: times.shortest_pause,
            started: Instant::now(),
            first_frame: times.stall * 2,
            silent: 0,
            is_slow: false,
        }
    }

    /// Keeps the source alive until it ends for good or the run is over; no frame comes after that.
    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        if let Err(error) = self.supervise() {
            self.hub.ending.note(error);
        }
        self.intake.renew();
        self.hub.to_model.close();
        // What a source holds, a child process or a device, is let go by its own thread.
        let deadline = Instant::now() + self.times.drain / 5;
        for thread in &self.given_up {
            has_ended(thread, deadline);
        }
        Ok(())
    }

    fn supervise(&mut self) -> Result<(), PipelineError> {
        while self.has_room() {
            if let Err(error) = self.start() {
                if self.hub.state() == CaptureState::Starting {
                    return Err(error);
                }
                self.recover(&error.to_string());
                continue;
            }
            let verdict = self.watch();
            self.rate();
            match verdict {
                Verdict::Over => return Ok(()),
                Verdict::Stalled(reason) => {
                    // An attempt that fails is no news.
                    if self.hub.state() != CaptureState::Reopening {
                        self.hub.change(CaptureState::Stalled, &reason);
                    }
                    self.intake.renew();
                    let deadline = Instant::now() + self.pause;
                    if let Some(thread) = self.given_up.last() {
                        has_ended(thread, deadline);
                    }
                    self.recover(&reason);
                }
                Verdict::Ended(End::Ended) if !self.reopens => return Ok(()),
                Verdict::Ended(End::Panicked) if self.is_final() => {
                    return Err(PipelineError::SourcePanicked);
                }
                Verdict::Ended(End::Failed(error)) if self.is_final() => return Err(error.into()),
                Verdict::Ended(End::Ended) => self.recover("the source has ended"),
                Verdict::Ended(End::Failed(error)) => self.recover(&error.to_string()),
                Verdict::Ended(End::Panicked) => {
                    self.recover("the source broke down; this is a fault of boxcam");
                }
            }
        }
        Ok(())
    }

    /// Whether a source that fails now ends the run.
    fn is_final(&self) -> bool {
        !self.reopens || (self.hub.state() == CaptureState::Starting && !self.waits)
    }

    /// Waits until there are not too many threads that hang; `false` when the run is over.
    fn has_room(&mut self) -> bool {
        loop {
            self.given_up.retain(|thread| !thread.is_finished());
            if self.given_up.len() < MOST_GIVEN_UP {
                return !self.hub.ending.is_over();
            }
            if self.hub.ending.wait(CHECK) {
                return false;
            }
        }
    }

    fn start(&mut self) -> Result<(), PipelineError> {
        let generation = self.intake.renew();
        let (intake, open) = (Arc::clone(&self.intake), Arc::clone(&self.open));
        let builder = thread::Builder::new().name("capture".to_owned());
        // The thread is not joined: a device that never answers must not keep the program.
        let started = builder.spawn(move || intake.capture(generation, &open));
        let thread = started.map_err(|source| PipelineError::Thread {
            what: "the source",
            source,
        })?;
        self.given_up.push(thread);
        self.started = Instant::now();
        let patience = if self.is_patient() { 4 } else { 2 };
        self.first_frame = self.times.stall.saturating_mul(patience);
        Ok(())
    }

    /// Whether the source gets more time for its first frame. One that may need it does; one that was there
    /// before and hangs is rather tried again soon, as nobody knows when it is back.
    fn is_patient(&self) -> bool {
        match self.hub.state() {
            CaptureState::Starting => self.silent > 0,
            _ => self.is_slow || self.silent % MOST_HASTY == MOST_HASTY - 1,
        }
    }

    /// Waits until something is wrong with the source. One that is not opened again is never given up.
    fn watch(&self) -> Verdict {
        let mut state = self.intake.lock();
        loop {
            if let Some(end) = state.end.take() {
                return Verdict::Ended(end);
            }
            let patience = match state.live_since {
                Some(_) => self.times.stall,
                None => self.first_frame,
            };
            let left = patience.saturating_sub(state.since.elapsed());
            if state.is_open && left.is_zero() {
                let reason = reason(patience, state.broken, state.fault.as_deref());
                if self.reopens {
                    return Verdict::Stalled(reason);
                }
                if self.hub.state() != CaptureState::Stalled {
                    self.hub.change(CaptureState::Stalled, &reason);
                }
            }
            drop(state);
            if self.hub.ending.is_over() {
                return Verdict::Over;
            }
            let patience = if left.is_zero() {
                CHECK
            } else {
                left.min(CHECK)
            };
            state = self.intake.wait(patience);
        }
    }

    /// Judges how the source did that comes to its end.
    fn rate(&mut self) {
        let state = self.intake.lock();
        if state.live_since.is_some() {
            self.silent = 0;
            self.is_slow = self.first_frame > self.times.stall * 2;
        } else if state.is_open {
            self.silent += 1;
        }
        let did_well = state
            .live_since
            .is_some_and(|since| since.elapsed() >= self.times.stall);
        if did_well {
            self.pause = self.times.shortest_pause;
        }
    }

    /// Pauses before the source is opened again; each pause is longer than the one before, up to a limit. What
    /// the attempt itself took counts as pause, so that a source that hangs is not missed for longer.
    fn recover(&mut self, reason: &str) {
        let state = match self.hub.state() {
            CaptureState::Starting => CaptureState::Starting,
            _ => CaptureState::Reopening,
        };
        let now = self.hub.health.status();
        // An attempt that fails is no news.
        if now.state == state && !now.reason.is_empty() {
            self.hub
                .health
                .update(|now| reason.clone_into(&mut now.reason));
        } else {
            self.hub.change(state, reason);
        }
        let left = self.pause.saturating_sub(self.started.elapsed());
        let pause = left.max(self.times.shortest_pause);
        self.hub.ending.wait(pause);
        self.pause = (self.pause * 2).min(self.times.longest_pause);
    }
}

fn reason(patience: Duration, broken: u64, fault: Option<&str>) -> String {
    let seconds = patience.as_secs_f32();
    match fault {
        Some(fault) => {
            format!("no whole frame for {seconds} s, but {broken} broken ones; the last: {fault}")
        }
        None => format!("no frame for {seconds} s"),
    }
}
