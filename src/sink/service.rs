//! Notifies the service manager (systemd): readiness, status and watchdog.
//!
//! `READY=1` is sent after the first inference. The watchdog is fed only after another inference, or a frame that
//! was left out on purpose, so that a hanging
//! camera, a hanging model and a hanging program all end in a restart. Nothing is sent without `NOTIFY_SOCKET`, and
//! a failed notification does not end the run.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::{Sink, SinkError};
use crate::health::StateChange;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::warn;

/// The watchdog is fed this often within its timeout.
const FEEDS_PER_TIMEOUT: u32 = 4;

/// Notifies the service manager.
#[derive(Debug)]
pub struct ServiceSink {
    is_ready: bool,
    watchdog_timeout: Option<Duration>,
    fed_at: Option<Instant>,
    has_warned: bool,
}

impl ServiceSink {
    /// `None` if no service manager expects notifications.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self {
            is_ready: false,
            watchdog_timeout: sd_notify::watchdog_enabled(),
            fed_at: None,
            has_warned: false,
        })
    }

    fn feed_watchdog(&mut self) {
        let Some(timeout) = self.watchdog_timeout else {
            return;
        };
        let is_due = |fed_at: Instant| fed_at.elapsed() >= timeout / FEEDS_PER_TIMEOUT;
        if self.fed_at.is_none_or(is_due) {
            self.fed_at = Some(Instant::now());
            self.notify(&[NotifyState::Watchdog]);
        }
    }

    fn notify(&mut self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states)
            && !std::mem::replace(&mut self.has_warned, true)
        {
            warn!(
                "the service manager can't be notified ({error}); if it restarts boxcam, start it with \
                 Type=simple and without WatchdogSec"
            );
        }
    }
}

impl Sink for ServiceSink {
    fn show(&mut self, _: &PublicFrame, _: &Report) -> Result<(), SinkError> {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.notify(&[NotifyState::Ready, NotifyState::Status("live")]);
        }
        self.feed_watchdog();
        Ok(())
    }

    fn wants_rested_frames(&self) -> bool {
        true
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let name = change.state.name();
        // A line break would end the status.
        let reason = change.reason.replace(['\n', '\r'], " ");
        let status = match reason.as_str() {
            "" => name.to_owned(),
            reason => format!("{name}: {reason}"),
        };
        self.notify(&[NotifyState::Status(&status)]);
        Ok(())
    }
}

impl Drop for ServiceSink {
    fn drop(&mut self) {
        self.notify(&[NotifyState::Stopping]);
    }
}
