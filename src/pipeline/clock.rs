//! The time source of a pipeline.

use std::time::{Duration, Instant};

/// Tells the time. Tests replace it, so that they need not wait for a timeout.
pub trait Clock: Send + Sync {
    fn now(&self) -> Instant;

    /// Longest time that a thread blocks before it checks the clock, the stop flag and the shutdown again.
    fn poll_interval(&self) -> Duration;
}

/// The clock of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_millis(50)
    }
}
