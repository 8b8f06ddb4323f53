//! The thread that holds the connection: it is made anew, with growing pauses, for as long as the run goes on.

use crate::warn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{
    ConnectReturnCode, Connection, ConnectionError, Event, Outgoing, Packet, StateError,
};

use super::desk::Desk;
use super::topics::{HOME_STATUS, ONLINE};

/// Pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A connection that held for so long was a good one: the pauses start anew.
const GOOD: Duration = Duration::from_secs(30);

/// The connection with all that it needs.
pub(super) struct Line {
    connection: Connection,
    desk: Arc<Desk>,
    /// What messages to a person call the broker; without the password.
    broker: String,
    /// What was said last of a failure, so that it is said once.
    said: Option<String>,
    connected_at: Option<Instant>,
    pause: Duration,
}

impl Line {
    pub(super) const fn new(connection: Connection, desk: Arc<Desk>, broker: String) -> Self {
        Self {
            connection,
            desk,
            broker,
            said: None,
            connected_at: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Sends and receives until the desk wants to end.
    pub(super) fn run(mut self) {
        loop {
            match self.connection.recv() {
                // The desk holds the client, so requests end with it only.
                Err(_) => return,
                Ok(Ok(Event::Outgoing(Outgoing::Disconnect))) => return,
                Ok(Ok(event)) => self.take(&event),
                Ok(Err(error)) => {
                    self.broke();
                    if self.desk.is_stopping() {
                        return;
                    }
                    self.tell(&error);
                    self.rest();
                    if self.desk.is_stopping() {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => self.connected(),
            Event::Outgoing(Outgoing::Publish(number)) => self.desk.numbered(*number),
            Event::Incoming(Packet::PubAck(ack)) => self.desk.acknowledged(ack.pkid),
            Event::Incoming(Packet::Publish(message))
                if message.topic == HOME_STATUS && message.payload == ONLINE && !message.retain =>
            {
                self.desk.introduce();
            }
            _ => {}
        }
    }

    fn connected(&mut self) {
        let kept = match self.desk.events() {
            0 => String::new(),
            kept => format!("; {kept} events that waited are sent now"),
        };
        warn!("{}: connected{kept}", self.broker);
        self.said = None;
        self.connected_at = Some(Instant::now());
        self.desk.connected();
    }

    /// Nothing of the old connection must come up in the next.
    fn broke(&mut self) {
        let left: Vec<Event> = self.connection.eventloop.state.events.drain(..).collect();
        for event in left {
            self.take(&event);
        }
        self.desk.disconnected();
        self.connection.eventloop.clean();
        self.connection.eventloop.pending.clear();
    }

    /// Says what is wrong, unless that is what was said last.
    fn tell(&mut self, error: &ConnectionError) {
        let words = words(error);
        if self.said.as_ref() != Some(&words) {
            warn!("{}: {words}", self.broker);
            self.said = Some(words);
        }
    }

    fn rest(&mut self) {
        let was_good = self
            .connected_at
            .take()
            .is_some_and(|connected_at| connected_at.elapsed() >= GOOD);
        if was_good {
            self.pause = FIRST_PAUSE;
        }
        self.desk.pause(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// What happened and what to do.
fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "the broker refuses the login; give the right one as --mqtt mqtt://USER:PASSWORD@HOST"
            .to_owned(),
        ConnectionError::ConnectionRefused(code) => {
            format!("the broker refuses the connection ({code:?}); see its log")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted | StateError::Io(_)) => {
            "the connection was closed; events wait until it is back. If this goes on, another client may have \
             the same name: give this one its own with --name"
                .to_owned()
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the broker does not answer; events wait until it does".to_owned()
        }
        ConnectionError::Io(source) => format!(
            "the broker can't be reached ({source}); check that it runs at that address. Events wait until it does"
        ),
        other => format!("the connection broke ({other}); events wait until it is back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_told_with_what_to_do() {
        for code in [
            ConnectReturnCode::BadUserNamePassword,
            ConnectReturnCode::NotAuthorized,
        ] {
            let words = words(&ConnectionError::ConnectionRefused(code));
            assert!(
                words.contains("refuses the login") && words.contains("--mqtt"),
                "{words}"
            );
        }
    }
}
