//! The service manager (systemd) is told how a run does: that it is ready, its state, and that it lives.
//!
//! In go reports and changes of state, out go datagrams to the socket that the service manager named in the
//! environment. *Ready* is said after the first frame has been through the model. The watchdog is fed only
//! after another frame has been through it, so a camera that hangs, a model that hangs and a program that hangs
//! all end in a restart. Nothing is sent where nobody asked for it, and a manager that does not listen ends
//! nothing.

use crate::warn;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;
use crate::sink::{Sink, SinkError};

/// Which part of the watchdog's time goes by between two feedings.
const FEEDINGS: u32 = 4;

/// Tells the service manager.
#[derive(Debug)]
pub struct ServiceSink {
    is_ready: bool,
    /// Time within which the service manager wants a sign of life, if it does.
    watchdog: Option<Duration>,
    fed: Option<Instant>,
    has_complained: bool,
}

impl ServiceSink {
    /// A sink for the service manager that started this program; `None` where none did, or it does not want to
    /// be told.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self {
            is_ready: false,
            watchdog: sd_notify::watchdog_enabled(),
            fed: None,
            has_complained: false,
        })
    }

    fn feed(&mut self) {
        let Some(watchdog) = self.watchdog else {
            return;
        };
        let is_due = |fed: Instant| fed.elapsed() >= watchdog / FEEDINGS;
        if self.fed.is_none_or(is_due) {
            self.fed = Some(Instant::now());
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&mut self, news: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(news)
            && !std::mem::replace(&mut self.has_complained, true)
        {
            warn!(
                "the service manager can't be told ({error}); if it restarts boxcam, start it with \
                 Type=simple and without WatchdogSec"
            );
        }
    }
}

impl Sink for ServiceSink {
    fn show(&mut self, _: &Frame, _: &Report) -> Result<(), SinkError> {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.tell(&[NotifyState::Ready, NotifyState::Status("live")]);
        }
        self.feed();
        Ok(())
    }

    fn state(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let name = change.state.name();
        // A line break would end the status.
        let reason = change.reason.replace(['\n', '\r'], " ");
        let status = match reason.as_str() {
            "" => name.to_owned(),
            reason => format!("{name}: {reason}"),
        };
        self.tell(&[NotifyState::Status(&status)]);
        Ok(())
    }
}

impl Drop for ServiceSink {
    fn drop(&mut self) {
        self.tell(&[NotifyState::Stopping]);
    }
}
