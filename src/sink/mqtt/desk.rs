//! Where the sink leaves messages and the connection's thread fetches them.
//!
//! Whoever leaves a message while the connection stands hands it to the client at once, which never blocks: there
//! is always room for as many as may be under way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{Client, QoS};

use super::discovery;
use super::outbox::{Kind, Message, Outbox};
use super::topics::{HOME_STATUS, OFFLINE, ONLINE, Topics};
use crate::health::Health;

/// What both threads share.
pub(super) struct Desk {
    client: Client,
    pub(super) topics: Topics,
    name: String,
    health: Arc<Health>,
    mind: Mutex<Mind>,
    stopping: Condvar,
}

#[derive(Default)]
struct Mind {
    outbox: Outbox,
    /// The state that was told last.
    state: Option<String>,
    is_connected: bool,
    end: End,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    NotYet,
    /// What waits is still to be sent.
    Wanted,
    /// The last message is among what waits.
    Said,
}

impl Desk {
    pub(super) fn new(client: Client, topics: Topics, name: &str, health: Arc<Health>) -> Self {
        Self {
            client,
            topics,
            name: name.to_owned(),
            health,
            mind: Mutex::default(),
            stopping: Condvar::new(),
        }
    }

    /// Something happened.
    pub(super) fn tell_event(&self, text: String) {
        self.put(&mut self.lock(), Kind::Event, self.topics.event(), text);
    }

    /// What is there is another than before.
    pub(super) fn tell_state(&self, text: String) {
        let mut mind = self.lock();
        mind.state = Some(text.clone());
        // Without a connection it would be forgotten; the last one is told when there is one.
        if mind.is_connected {
            self.put(&mut mind, Kind::State, self.topics.state(), text);
        }
    }

    /// The connection stands: all that is retained goes before the events that waited.
    pub(super) fn connected(&self) {
        let mut mind = self.lock();
        mind.is_connected = true;
        // It can only fail when the connection is gone already.
        let _ = self.client.try_subscribe(HOME_STATUS, QoS::AtLeastOnce);
        let standing = self.standing(&mind);
        mind.outbox.put_first(standing.into_iter());
        self.hand_over(&mut mind);
    }

    /// Home Assistant has started: it wants to hear of everything again.
    pub(super) fn introduce(&self) {
        let mut mind = self.lock();
        let standing = self.standing(&mind);
        mind.outbox.put_first(standing.into_iter());
        self.hand_over(&mut mind);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&self) {
        let mut mind = self.lock();
        mind.is_connected = false;
        let lost = mind.outbox.disconnected();
        self.health.events_lost.add(lost);
    }

    /// A message went out with that packet number.
    pub(super) fn numbered(&self, number: u16) {
        self.lock().outbox.numbered(number);
    }

    /// The broker has the message with that packet number.
    pub(super) fn acknowledged(&self, number: u16) {
        let mut mind = self.lock();
        mind.outbox.acknowledged(number);
        self.hand_over(&mut mind);
    }

    /// No more messages come; what waits is still sent.
    pub(super) fn stop(&self) {
        let mut mind = self.lock();
        mind.end = End::Wanted;
        self.hand_over(&mut mind);
        self.stopping.notify_all();
    }

    /// Whether the thread should end.
    pub(super) fn is_stopping(&self) -> bool {
        self.lock().end != End::NotYet
    }

    /// Waits so long, or until the thread should end.
    pub(super) fn pause(&self, time: Duration) {
        let mind = self.lock();
        let goes_on = |mind: &mut Mind| mind.end == End::NotYet;
        // Why it is over is for the caller to ask.
        drop(self.stopping.wait_timeout_while(mind, time, goes_on));
    }

    /// Events that wait for the broker.
    pub(super) fn events(&self) -> usize {
        self.lock().outbox.events()
    }

    /// What is left now is lost; tells how many events that were.
    pub(super) fn give_up(&self) -> usize {
        let mut mind = self.lock();
        let lost = mind.outbox.events();
        mind.outbox = Outbox::default();
        self.health.events_lost.add(lost as u64);
        lost
    }

    /// All that is retained, in the order in which it makes sense.
    fn standing(&self, mind: &Mind) -> Vec<Message> {
        let standing = |(topic, text)| Message {
            kind: Kind::Standing,
            topic,
            text,
        };
        let things = discovery::messages(&self.topics, &self.name);
        let mut messages: Vec<Message> = things.into_iter().map(standing).collect();
        let state = mind.state.clone();
        messages.extend(state.map(|state| standing((self.topics.state(), state))));
        messages.push(standing((self.topics.status(), ONLINE.to_owned())));
        messages
    }

    fn put(&self, mind: &mut Mind, kind: Kind, topic: String, text: String) {
        let lost = mind.outbox.put(Message { kind, topic, text });
        self.health.events_lost.add(lost);
        self.hand_over(mind);
    }

    /// Gives the client as much as may be under way, and at the end the farewell.
    fn hand_over(&self, mind: &mut Mind) {
        if !mind.is_connected {
            return;
        }
        if mind.end == End::Wanted {
            mind.end = End::Said;
            mind.outbox.put(Message {
                kind: Kind::Standing,
                topic: self.topics.status(),
                text: OFFLINE.to_owned(),
            });
        }
        while let Some(message) = mind.outbox.take() {
            let retain = message.kind != Kind::Event;
            // A client without a connection takes nothing; the message is under way and so comes back.
            let _ = self
                .client
                .try_publish(message.topic, QoS::AtLeastOnce, retain, message.text);
        }
        if mind.end == End::Said && mind.outbox.is_empty() {
            let _ = self.client.try_disconnect();
        }
    }

    /// Each field is sound by itself, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
