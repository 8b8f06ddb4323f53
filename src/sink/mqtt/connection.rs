//! The thread that holds the connection to the broker. It reconnects with exponential backoff for as long as the run
//! lasts.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{Connection, ConnectionError, Event, Outgoing, Packet, StateError, TlsError};

use super::discovery::{HOME_ASSISTANT_STATUS, ONLINE};
use super::{Publisher, login, tls};
use crate::{info, warn};

/// Delay after the first failure. It doubles with each.
const FIRST_DELAY: Duration = Duration::from_secs(1);

const MAX_DELAY: Duration = Duration::from_secs(30);

/// A connection that lasted this long resets the delay.
const STABLE_AFTER: Duration = Duration::from_secs(30);

pub(super) struct BrokerConnection {
    connection: Connection,
    publisher: Arc<Publisher>,
    /// The broker's URL for messages, without the password.
    broker: String,
    /// The last failure that was reported, so that each is reported once.
    reported: Option<String>,
    connected_at: Option<Instant>,
    delay: Duration,
}

impl BrokerConnection {
    pub(super) const fn new(
        connection: Connection,
        publisher: Arc<Publisher>,
        broker: String,
    ) -> Self {
        Self {
            connection,
            publisher,
            broker,
            reported: None,
            connected_at: None,
            delay: FIRST_DELAY,
        }
    }

    /// Sends and receives until the shutdown is requested.
    pub(super) fn run(mut self) {
        loop {
            match self.connection.recv() {
                // The channel is closed only with the client, which the publisher holds.
                Err(_) => return,
                Ok(Ok(Event::Outgoing(Outgoing::Disconnect))) => return,
                Ok(Ok(event)) => self.handle(&event),
                Ok(Err(error)) => {
                    self.clean_up();
                    if self.publisher.is_shutting_down() {
                        return;
                    }
                    self.report(&error);
                    self.wait_before_retry();
                    if self.publisher.is_shutting_down() {
                        return;
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: &Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => self.on_connected(),
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                self.publisher.assign_packet_id(*packet_id);
            }
            Event::Incoming(Packet::PubAck(ack)) => self.publisher.on_acknowledged(ack.pkid),
            Event::Incoming(Packet::Publish(message))
                if message.topic == HOME_ASSISTANT_STATUS
                    && message.payload == ONLINE
                    && !message.retain =>
            {
                self.publisher.publish_discovery();
            }
            Event::Incoming(Packet::Publish(message)) => {
                let (topic, payload) = (&message.topic, &message.payload);
                if message.retain && !payload.is_empty() {
                    self.publisher.on_former_entity(topic);
                    self.publisher.on_zone_list(topic, payload);
                }
                let former = self
                    .publisher
                    .on_camera_message(topic, payload, message.retain);
                for id in former {
                    info!(
                        "{}: removed the former name of this camera, boxcam/{id}",
                        self.broker
                    );
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self) {
        let queued = match self.publisher.pending_events() {
            0 => String::new(),
            count => format!("; sending {count} queued events"),
        };
        let id = self.publisher.topics.id();
        info!("{}: connected as boxcam/{id}{queued}", self.broker);
        self.reported = None;
        self.connected_at = Some(Instant::now());
        self.publisher.on_connected();
    }

    /// Handles the remaining events and clears the client, so that nothing of the old connection is sent on the next.
    fn clean_up(&mut self) {
        let remaining: Vec<Event> = self.connection.eventloop.state.events.drain(..).collect();
        for event in remaining {
            self.handle(&event);
        }
        self.publisher.on_disconnected();
        self.connection.eventloop.clean();
        self.connection.eventloop.pending.clear();
    }

    /// Reports a failure, unless it is the same as the last.
    fn report(&mut self, error: &ConnectionError) {
        let message = describe(error);
        if self.reported.as_ref() != Some(&message) {
            warn!("{}: {message}", self.broker);
            self.reported = Some(message);
        }
    }

    fn wait_before_retry(&mut self) {
        let connected_at = self.connected_at.take();
        if connected_at.is_some_and(|connected_at| connected_at.elapsed() >= STABLE_AFTER) {
            self.delay = FIRST_DELAY;
        }
        self.publisher.wait(self.delay);
        self.delay = (self.delay * 2).min(MAX_DELAY);
    }
}

/// The cause and the next step.
fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let (refusal, next_step) = (login::refusal(*code), login::next_step(*code));
            format!("the broker {refusal}; {next_step}. Events are queued until it accepts")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted | StateError::Io(_)) => {
            "the connection was closed; events are queued until it is back. If this happens repeatedly, another \
             client may have the same name: choose another one with --name"
                .to_owned()
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the broker does not answer; events are queued until it does".to_owned()
        }
        ConnectionError::Tls(TlsError::Io(source)) => match tls::failure(source) {
            Some(failure) => {
                let next_step = failure.next_step();
                format!("the broker {failure}; {next_step}. Events are queued until it accepts")
            }
            None => format!(
                "the broker closes the connection before TLS is established ({source}); check that the port is the one \
                 of TLS, 8883 by default. Events are queued until it accepts"
            ),
        },
        ConnectionError::Io(source) if is_closed(source) => format!(
            "the broker closes the connection before it answers ({source}); check that the port is the one of plain \
             MQTT, 1883 by default, or give mqtts:// for TLS. Events are queued until it accepts"
        ),
        ConnectionError::Io(source) => format!(
            "the broker can't be reached ({source}); check that it runs at that address. Events are queued until \
             it is reachable"
        ),
        other => format!("the connection failed ({other}); events are queued until it is back"),
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use rumqttc::ConnectReturnCode;

    use super::*;

    #[test]
    fn a_refused_login_names_the_code_and_the_option() {
        for (code, reason) in [
            (ConnectReturnCode::BadUserNamePassword, "code 4, bad user"),
            (ConnectReturnCode::NotAuthorized, "code 5, not authorized"),
        ] {
            let message = describe(&ConnectionError::ConnectionRefused(code));
            assert!(message.contains("refuses the login"), "{message}");
            assert!(message.contains(reason), "{message}");
            assert!(message.contains("--mqtt"), "{message}");
        }
        let unavailable = ConnectReturnCode::ServiceUnavailable;
        let message = describe(&ConnectionError::ConnectionRefused(unavailable));
        assert!(message.contains("server unavailable"), "{message}");
    }
}
