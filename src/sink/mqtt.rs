//! Tells an MQTT broker what is seen, in words that Home Assistant finds by itself.
//!
//! In go reports and changes of state, out come messages under `boxcam/NAME/`, from a thread of its own:
//! `status` (`online` or `offline`, by the broker's last will too), `state` (what is there now), both retained,
//! and `event` (a line of the log for each thing that appears, changes or leaves). [`MqttSink`] only puts messages
//! into an outbox. While the broker is away events are kept there, up to [`EVENTS_KEPT`], and sent once it is back;
//! an event may come twice when a connection breaks before the broker has acknowledged it. No failure of the
//! broker is one of the run. The connection is not encrypted: use it in a network that you trust.

use crate::warn;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rumqttc::{Client, LastWill, MqttOptions, QoS};

use super::{Sink, SinkError, json};
use crate::address::BrokerAddress;
use crate::frame::Frame;
use crate::health::{CaptureState, Health, StateChange};
use crate::report::Report;

mod connection;
mod desk;
mod discovery;
mod outbox;
mod state;
mod topics;

use connection::Line;
use desk::Desk;
use state::State;
use topics::Topics;

pub use outbox::EVENTS_KEPT;

/// Time for the last messages when the run ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often the broker is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Least time between two states that differ in their confidence alone.
const CONFIDENCE_PAUSE: Duration = Duration::from_secs(10);

/// Tells a broker until it is dropped.
pub struct MqttSink {
    desk: Arc<Desk>,
    state: State,
    told_at: Option<Instant>,
    /// Ends when the thread does.
    ended: Receiver<()>,
}

impl MqttSink {
    /// Starts telling; a broker that is not there is no error, it is tried again and again. `name` is what this
    /// camera is called, `health` counts events that were lost.
    ///
    /// # Errors
    /// [`SinkError::Thread`] without a thread.
    pub fn start(
        broker: &BrokerAddress,
        name: &str,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let topics = Topics::of(name);
        let (client, connection) = Client::new(options(broker, &topics), outbox::WINDOW + 8);
        let desk = Arc::new(Desk::new(client, topics, name, health));
        let line = Line::new(connection, Arc::clone(&desk), format!("{broker:?}"));
        let (end, ended) = channel();
        let work = move || {
            // Dropped when the thread ends, however it does.
            let _end = end;
            line.run();
        };
        std::thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(work)
            .map_err(|source| SinkError::Thread {
                what: "MQTT",
                source,
            })?;
        Ok(Self {
            desk,
            state: State::default(),
            told_at: None,
            ended,
        })
    }

    /// Tells the state when it is another one, and now and then when only the confidence is.
    fn tell(&mut self, state: State, now: Instant) {
        let is_time = self
            .told_at
            .is_none_or(|told_at| now.saturating_duration_since(told_at) >= CONFIDENCE_PAUSE);
        let is_due = !state.is_like(&self.state) || (is_time && state != self.state);
        if is_due || self.told_at.is_none() {
            self.desk.tell_state(state.to_json());
            self.state = state;
            self.told_at = Some(now);
        }
    }
}

fn options(broker: &BrokerAddress, topics: &Topics) -> MqttOptions {
    // The same name each time: a broker that still holds a connection of before the power cut gives it up.
    let mut options = MqttOptions::new(topics.client(), &broker.host, broker.port);
    options.set_keep_alive(KEEP_ALIVE);
    if let Some((name, password)) = &broker.login {
        options.set_credentials(name, password);
    }
    let will = LastWill::new(topics.status(), topics::OFFLINE, QoS::AtLeastOnce, true);
    options.set_last_will(will);
    options
}

impl Sink for MqttSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        for line in json::event_lines(frame, report) {
            self.desk.tell_event(line);
        }
        self.tell(State::of(report), Instant::now());
        Ok(())
    }

    fn on_track_ended(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.show(frame, report)
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let state = match change.state {
            CaptureState::Live => self.state.with_capture(change.state),
            // Nobody knows what is there while no frame comes.
            CaptureState::Starting | CaptureState::Stalled | CaptureState::Reopening => {
                State::default().with_capture(change.state)
            }
        };
        self.tell(state, Instant::now());
        Ok(())
    }
}

impl Drop for MqttSink {
    fn drop(&mut self) {
        self.desk.stop();
        // A thread that waits for a dead network is left behind.
        let _ = self.ended.recv_timeout(LAST_WORDS);
        let lost = self.desk.give_up();
        if lost > 0 {
            warn!("{lost} events never reached the MQTT broker");
        }
    }
}
