//! The outputs of a live run, each on a thread of its own behind its queue.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::PipelineError;
use super::ending::{Ending, has_ended, spawn};
use super::queue::{Item, Queue};
use crate::sink::{Sink, SinkError};

/// An output at work.
pub(super) struct Output {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

impl Output {
    /// Starts its thread. An error of the output ends the run.
    pub(super) fn start(
        sink: Box<dyn Sink + Send>,
        queue: Arc<Queue>,
        ending: &Arc<Ending>,
    ) -> Result<Self, PipelineError> {
        let served = Served(Arc::clone(&queue));
        let body = move || Ok(served.serve(sink)?);
        let thread = spawn("output", ending, PipelineError::OutputPanicked, body)?;
        Ok(Self { queue, thread })
    }

    /// Gives it nothing more: it tells what waits and ends.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Lets it tell what waits, no longer than until `deadline`; says how many reports were lost.
    pub(super) fn finish(self, deadline: Instant) -> u64 {
        self.close();
        if has_ended(&self.thread, deadline) {
            return 0;
        }
        // An output that hangs is left behind: a pipe that nobody reads must not keep the program.
        self.queue.abandon()
    }
}

/// The end of the queue that is told to the sink; nothing is queued any more once it is dropped.
struct Served(Arc<Queue>);

impl Served {
    fn serve(self, mut sink: Box<dyn Sink + Send>) -> Result<(), SinkError> {
        while let Some(item) = self.0.pop() {
            match item {
                Item::Show(frame, report) => sink.show(&frame, &report)?,
                Item::Left(frame, report) => sink.on_track_ended(&frame, &report)?,
                Item::State(change) => sink.on_state_change(&change)?,
            }
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
