//! Publishes what is detected to an MQTT broker, with Home Assistant's discovery.
//!
//! Messages are published under `boxcam/NAME/` by a thread: `status` (`online` or `offline`; the latter is also the
//! broker's last will), `state` (what is present now), `instance` (which installation this is) and, if
//! [`MqttSettings::images`] is set, `image` (a picture of the last event), if there are zones `zones` (those that Home Assistant
//! has entities for), all retained, and `event` (a line of the log for each
//! event of a track). [`MqttSink`] only puts messages into a queue. While the broker is unreachable, up to [`MAX_EVENTS`]
//! events are queued and sent when it is back. An event may be sent twice if the connection breaks before the broker
//! has acknowledged it. A failure of the broker does not end the run. The connection is encrypted if the broker's address
//! says so ([`BrokerTls`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rumqttc::{Client, LastWill, MqttOptions, QoS, SubscribeFilter, TlsConfiguration, Transport};
use serde::Serialize;

use super::presence::{Presence, PresentThing};
use super::zone_fields::ZoneFields;
use super::{Sink, SinkError, json};
use crate::address::BrokerAddress;
use crate::health::{CaptureState, Health, StateChange};
use crate::label::Labels;
use crate::label::aliases::Aliases;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::warn;

mod connection;
mod discovery;
mod event_image;
mod former_names;
mod instance;
mod login;
mod publish_queue;
mod tls;

use connection::BrokerConnection;
use discovery::{Device, HOME_ASSISTANT_STATUS, MIGRATE, OFFLINE, ONLINE, Topics, zone_entities};
use event_image::EventImages;
use former_names::FormerNames;
use publish_queue::{MqttMessage, MqttMessageKind, PublishQueue};

pub use instance::InstanceId;
pub use login::{LoginError, check_login};
pub use publish_queue::MAX_EVENTS;
pub use tls::{BrokerTls, CertificateFileError, TlsFailure};

/// Timeout for the last messages at the end of the run.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval of the pings to the broker.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The largest message from a broker, in bytes. Those that are subscribed to are small.
const MAX_INCOMING_BYTES: usize = 64 * 1024;

/// The largest message to a broker, in bytes: a picture, or the discovery message with a sensor for each class.
const MAX_OUTGOING_BYTES: usize = 512 * 1024;

/// The most entities of an earlier version: one for each class of a large model.
const MAX_FORMER_ENTITIES: usize = 1000;

/// Minimum time between two states that differ in their confidence only.
const CONFIDENCE_INTERVAL: Duration = Duration::from_secs(10);

/// What to publish, and where.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    pub broker: BrokerAddress,
    /// The certificates that the broker's one may come from; `None` for those of the system. Without effect on a plain
    /// connection.
    pub tls: Option<BrokerTls>,
    /// The name of the camera.
    pub name: String,
    /// What this instance published under a former name is removed from the broker after the first connection.
    pub instance: Option<InstanceId>,
    /// The classes of the model; `None` if they are not known.
    pub labels: Option<Labels>,
    /// Classes that Home Assistant gets a sensor for from the start; others get theirs when they are first detected.
    pub selected: Vec<String>,
    pub aliases: Arc<Aliases>,
    /// The names of the zones, for which Home Assistant gets entities.
    pub zones: Vec<String>,
    /// Whether to publish a picture of each event.
    pub images: bool,
}

/// Publishes to a broker until it is dropped.
pub struct MqttSink {
    publisher: Arc<Publisher>,
    state: StateMessage,
    published_at: Option<Instant>,
    /// `None` if no pictures are published.
    images: Option<EventImages>,
    /// Disconnected when the thread has ended.
    thread_ended: Receiver<()>,
}

impl MqttSink {
    /// Starts the thread. An unreachable broker is not an error: the connection is retried. `name` is the name of the
    /// camera, `health` counts lost events.
    ///
    /// # Errors
    /// [`SinkError::Thread`]
    pub fn start(
        broker: &BrokerAddress,
        name: &str,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let settings = MqttSettings::new(broker.clone(), name.to_owned());
        Self::start_with(settings, health)
    }

    /// As [`Self::start`], with all settings.
    ///
    /// # Errors
    /// [`SinkError::Thread`]
    pub fn start_with(settings: MqttSettings, health: Arc<Health>) -> Result<Self, SinkError> {
        let topics = Topics::of(&settings.name);
        let capacity = publish_queue::MAX_IN_FLIGHT + 8;
        let (client, connection) = Client::new(settings.options(&topics), capacity);
        let broker = settings.broker.to_string();
        let images = settings.images.then(EventImages::default);
        let publisher = Arc::new(Publisher::new(client, topics, settings, health));
        let connection = BrokerConnection::new(connection, Arc::clone(&publisher), broker);
        let (sender, thread_ended) = channel();
        let run = move || {
            // Dropped when the thread ends, also on a panic.
            let _sender = sender;
            connection.run();
        };
        std::thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(run)
            .map_err(|source| SinkError::Thread {
                what: "MQTT",
                source,
            })?;
        Ok(Self {
            publisher,
            state: StateMessage::default(),
            published_at: None,
            images,
            thread_ended,
        })
    }

    /// Publishes a changed state, at an interval if only the confidence has changed.
    fn publish_state(&mut self, state: StateMessage, now: Instant) {
        let Some(published_at) = self.published_at else {
            return self.publish_state_now(state, now);
        };
        let is_interval_over = now.saturating_duration_since(published_at) >= CONFIDENCE_INTERVAL;
        let is_changed = !state.equals_except_confidence(&self.state);
        if is_changed || (is_interval_over && state != self.state) {
            self.publish_state_now(state, now);
        }
    }

    fn publish_state_now(&mut self, state: StateMessage, now: Instant) {
        self.publisher.publish_state(json::to_json(&state));
        self.state = state;
        self.published_at = Some(now);
    }
}

impl MqttSettings {
    /// Without an instance, classes, aliases and zones.
    #[must_use]
    pub fn new(broker: BrokerAddress, name: String) -> Self {
        Self {
            broker,
            tls: None,
            name,
            instance: None,
            labels: None,
            selected: Vec::new(),
            aliases: Arc::default(),
            zones: Vec::new(),
            images: false,
        }
    }

    fn options(&self, topics: &Topics) -> MqttOptions {
        let mut options = options(&self.broker, topics);
        if self.broker.tls {
            let tls = self.tls.clone().unwrap_or_else(BrokerTls::of_system);
            let config = TlsConfiguration::Rustls(tls.config());
            options.set_transport(Transport::tls_with_config(config));
        }
        options
    }
}

fn options(broker: &BrokerAddress, topics: &Topics) -> MqttOptions {
    // A fixed client ID: a broker that still holds the connection from before a power cut then closes it.
    let mut options = MqttOptions::new(topics.client_id(), &broker.host, broker.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(MAX_INCOMING_BYTES, MAX_OUTGOING_BYTES);
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    let will = LastWill::new(topics.status(), OFFLINE, QoS::AtLeastOnce, true);
    options.set_last_will(will);
    options
}

impl Sink for MqttSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        for line in json::event_lines(frame, report) {
            self.publisher.publish_event(line);
        }
        let images = self.images.as_mut();
        if let Some(image) = images.and_then(|images| images.next(frame, report, Instant::now())) {
            self.publisher.publish_image(image);
        }
        self.publisher.publish_classes(report.counts().keys());
        self.publish_state(StateMessage::of(report), Instant::now());
        Ok(())
    }

    fn on_track_ended(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.show(frame, report)
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        let state = match change.state {
            CaptureState::Live => self.state.clone(),
            // Without frames, it is unknown what is present.
            CaptureState::Starting | CaptureState::Stalled | CaptureState::Reopening => {
                StateMessage {
                    zones: self.state.zones.clone().without_things(),
                    ..StateMessage::default()
                }
            }
        };
        let capture = change.state.name();
        self.publish_state(StateMessage { capture, ..state }, Instant::now());
        Ok(())
    }
}

impl Drop for MqttSink {
    fn drop(&mut self) {
        self.publisher.shut_down();
        // A thread that is still waiting for the network is detached.
        let _ = self.thread_ended.recv_timeout(SHUTDOWN_TIMEOUT);
        let lost = self.publisher.discard();
        if lost > 0 {
            warn!("{lost} events did not reach the MQTT broker");
        }
    }
}

/// The payload of `state`: what is present now.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct StateMessage {
    /// A class of a model may be called `nothing` too.
    present: bool,
    /// Of several things, that of the one that appeared first, as the confidence and the track.
    class: String,
    /// The alias of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    confidence: Option<f64>,
    track: Option<u64>,
    /// The number of things.
    count: usize,
    /// The number of things of each class.
    counts: BTreeMap<String, usize>,
    /// The number of things of each class that are not stationary.
    moving: BTreeMap<String, usize>,
    capture: &'static str,
    #[serde(flatten)]
    zones: ZoneFields,
}

impl Default for StateMessage {
    fn default() -> Self {
        Self {
            present: false,
            class: "nothing".to_owned(),
            label: None,
            confidence: None,
            track: None,
            count: 0,
            counts: BTreeMap::new(),
            moving: BTreeMap::new(),
            capture: CaptureState::default().name(),
            zones: ZoneFields::default(),
        }
    }
}

impl StateMessage {
    fn of(report: &Report) -> Self {
        let capture = report.capture.name();
        let Presence { things, counts } = Presence::of(report);
        let count = things.len();
        let moving = moving(&things);
        let zones = ZoneFields::of(&report.zones);
        match things.into_iter().next() {
            None => Self {
                capture,
                zones,
                ..Self::default()
            },
            Some(first) => Self {
                present: true,
                class: first.class,
                label: first.label,
                confidence: Some(first.confidence),
                track: first.track,
                count,
                counts,
                moving,
                capture,
                zones,
            },
        }
    }

    fn equals_except_confidence(&self, other: &Self) -> bool {
        let without_confidence = |state: &Self| Self {
            confidence: None,
            ..state.clone()
        };
        without_confidence(self) == without_confidence(other)
    }
}

/// The number of things of each class that are not stationary.
fn moving(things: &[PresentThing]) -> BTreeMap<String, usize> {
    let mut moving = BTreeMap::new();
    for thing in things.iter().filter(|t| t.stationary == Some(false)) {
        *moving.entry(thing.class.clone()).or_default() += 1;
    }
    moving
}

/// Passes messages from the sink to the connection's thread.
///
/// While the connection is up, a message goes to the client at once. That never blocks: the client's channel holds as
/// many messages as may be in flight.
struct Publisher {
    client: Client,
    topics: Topics,
    settings: MqttSettings,
    health: Arc<Health>,
    state: Mutex<MqttState>,
    shutdown_requested: Condvar,
}

#[derive(Default)]
struct MqttState {
    queue: PublishQueue,
    /// The payload of the last state.
    last_state: Option<String>,
    /// The classes that Home Assistant has a sensor for.
    classes: BTreeSet<String>,
    is_connected: bool,
    /// Whether this connection has published how Home Assistant discovers the camera. Before, it waits for the first
    /// acknowledgement: what the broker has retained of earlier versions was sent by then, if it handles packets in order.
    is_announced: bool,
    /// Topics at which an earlier version has configured entities of this camera.
    former_entities: Vec<String>,
    /// The IDs of zones of an earlier run that this one does not have.
    removed_zones: BTreeSet<String>,
    /// Until all are found, or the first connection has ended.
    former_names: Option<FormerNames>,
    shutdown: MqttShutdown,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum MqttShutdown {
    #[default]
    NotRequested,
    /// Queued messages are still sent.
    Requested,
    /// The last message is queued.
    LastMessageQueued,
}

impl Publisher {
    fn new(client: Client, topics: Topics, settings: MqttSettings, health: Arc<Health>) -> Self {
        let instance = settings.instance.as_ref();
        let former_names = instance.map(|instance| FormerNames::new(&topics, instance.as_str()));
        let state = MqttState {
            former_names,
            classes: settings.selected.iter().cloned().collect(),
            ..MqttState::default()
        };
        Self {
            client,
            topics,
            settings,
            health,
            state: Mutex::new(state),
            shutdown_requested: Condvar::new(),
        }
    }

    fn publish_event(&self, payload: String) {
        let message = MqttMessage {
            kind: MqttMessageKind::Event,
            topic: self.topics.event(),
            payload: payload.into_bytes(),
        };
        self.enqueue(&mut self.state.lock(), message);
    }

    fn publish_image(&self, jpeg: Vec<u8>) {
        let message = MqttMessage {
            kind: MqttMessageKind::Image,
            topic: self.topics.image(),
            payload: jpeg,
        };
        self.enqueue(&mut self.state.lock(), message);
    }

    fn publish_state(&self, payload: String) {
        let mut state = self.state.lock();
        state.last_state = Some(payload.clone());
        // Without a connection, only the last state matters; it is published on connect.
        if state.is_connected {
            let message = MqttMessage {
                kind: MqttMessageKind::State,
                topic: self.topics.state(),
                payload: payload.into_bytes(),
            };
            self.enqueue(&mut state, message);
        }
    }

    /// Publishes the sensors of classes that have none yet.
    fn publish_classes<'a>(&self, classes: impl Iterator<Item = &'a &'a str>) {
        let mut state = self.state.lock();
        let known = state.classes.len();
        let new = classes.filter(|class| !state.classes.contains(**class));
        let new: Vec<String> = new.map(|class| (*class).to_owned()).collect();
        state.classes.extend(new);
        // Without a connection, they are published on connect.
        if state.classes.len() > known && state.is_announced {
            self.enqueue_discovery(&mut state);
        }
    }

    /// Called on connect. The retained messages are sent before the queued events.
    fn on_connected(&self) {
        let mut state = self.state.lock();
        state.is_connected = true;
        let own = [
            HOME_ASSISTANT_STATUS.to_owned(),
            self.topics.former_entities(),
            self.topics.zone_list(),
        ];
        let others = match state.former_names {
            Some(_) => &former_names::FILTERS[..],
            None => &[],
        };
        let filters = own
            .into_iter()
            .chain(others.iter().map(|f| (*f).to_owned()));
        let filters = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        // It only fails if the connection is already lost again.
        let _ = self.client.try_subscribe_many(filters);
        self.enqueue_retained(&mut state);
    }

    /// Called for each retained message. If an earlier version has configured an entity with it, the entity moves into the
    /// device.
    fn on_former_entity(&self, topic: &str) {
        if !self.topics.is_former_entity(topic) {
            return;
        }
        let mut state = self.state.lock();
        if state.former_entities.len() < MAX_FORMER_ENTITIES {
            state.former_entities.push(topic.to_owned());
        }
        // Other brokers may send it later.
        if state.is_announced {
            self.enqueue_discovery(&mut state);
        }
    }

    /// Called for each retained message. The entities of zones that an earlier run had are removed.
    fn on_zone_list(&self, topic: &str, payload: &[u8]) {
        if topic != self.topics.zone_list() {
            return;
        }
        let zones = self.settings.zones.iter();
        let own: BTreeSet<String> = zones.map(|zone| zone_entities::zone_id(zone)).collect();
        let listed = zone_entities::listed(payload).into_iter();
        let mut state = self.state.lock();
        let removed = listed.filter(|id| !own.contains(id));
        let most = MAX_FORMER_ENTITIES.saturating_sub(state.removed_zones.len());
        state.removed_zones.extend(removed.take(most));
        // Other brokers may send it later.
        if state.is_announced && !state.removed_zones.is_empty() {
            self.enqueue_discovery(&mut state);
        }
    }

    /// Sends the retained messages again, after Home Assistant has started.
    fn publish_discovery(&self) {
        let mut state = self.state.lock();
        if state.is_announced {
            self.enqueue_discovery(&mut state);
        }
        self.enqueue_retained(&mut state);
    }

    /// The message that describes the device, between those that move former entities into it.
    fn enqueue_discovery(&self, state: &mut MqttState) {
        let former = std::mem::take(&mut state.former_entities);
        for topic in &former {
            let message = MqttMessage {
                kind: MqttMessageKind::Transient,
                topic: topic.clone(),
                payload: MIGRATE.as_bytes().to_vec(),
            };
            self.enqueue(state, message);
        }
        let aliases = &self.settings.aliases;
        let classes = state.classes.iter().map(String::as_str);
        let (topic, payload) = Device {
            topics: &self.topics,
            name: &self.settings.name,
            classes: classes
                .map(|class| (class, aliases.get(class).unwrap_or(class)))
                .collect(),
            zones: &self.settings.zones,
            removed_zones: &state.removed_zones,
            has_image: self.settings.images,
        }
        .message();
        let message = MqttMessage {
            kind: MqttMessageKind::Discovery,
            topic,
            payload: payload.into_bytes(),
        };
        self.enqueue(state, message);
        for topic in former {
            self.enqueue(state, retained((topic, String::new())));
        }
        // After the message that removes the former ones.
        if !self.settings.zones.is_empty() || !state.removed_zones.is_empty() {
            let list = zone_entities::list(&self.settings.zones);
            self.enqueue(state, retained((self.topics.zone_list(), list)));
        }
    }

    /// Takes a message about another camera, or about this one. Returns the IDs of former names, whose messages it has
    /// removed.
    fn on_camera_message(&self, topic: &str, payload: &[u8], is_retained: bool) -> Vec<String> {
        let mut state = self.state.lock();
        let names = state.former_names.as_mut();
        let Some(former) = names.and_then(|n| n.on_message(topic, payload, is_retained)) else {
            return Vec::new();
        };
        state.former_names = None;
        for filter in former_names::FILTERS {
            // It only fails if the connection is already lost again.
            let _ = self.client.try_unsubscribe(filter);
        }
        let classes = || self.settings.labels.iter().flat_map(Labels::iter);
        for topic in former.iter().flat_map(|names| names.retained(classes())) {
            // An empty payload removes the retained message.
            self.enqueue(&mut state, retained((topic, String::new())));
        }
        former.iter().map(|topics| topics.id().to_owned()).collect()
    }

    fn on_disconnected(&self) {
        let mut state = self.state.lock();
        state.is_connected = false;
        state.is_announced = false;
        // After an interruption of the broker, another camera of this board may be offline for a moment. A name only
        // changes with a new start.
        state.former_names = None;
        let lost = state.queue.on_disconnected();
        self.health.events_lost.add(lost);
    }

    /// The client has sent a message with that packet ID.
    fn assign_packet_id(&self, packet_id: u16) {
        self.state.lock().queue.assign_packet_id(packet_id);
    }

    fn on_acknowledged(&self, packet_id: u16) {
        let mut state = self.state.lock();
        state.queue.on_acknowledged(packet_id);
        if !std::mem::replace(&mut state.is_announced, true) {
            self.enqueue_discovery(&mut state);
        }
        self.send_queued(&mut state);
    }

    /// Requests the end of the thread after the queued messages were sent.
    fn shut_down(&self) {
        let mut state = self.state.lock();
        state.shutdown = MqttShutdown::Requested;
        self.send_queued(&mut state);
        self.shutdown_requested.notify_all();
    }

    fn is_shutting_down(&self) -> bool {
        self.state.lock().shutdown != MqttShutdown::NotRequested
    }

    /// Waits for that time, or until the shutdown is requested.
    fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        let goes_on = |state: &mut MqttState| state.shutdown == MqttShutdown::NotRequested;
        self.shutdown_requested
            .wait_while_for(&mut state, goes_on, time);
    }

    /// The number of events that the broker has not acknowledged.
    fn pending_events(&self) -> usize {
        self.state.lock().queue.pending_events()
    }

    /// Discards the queue. Returns the number of lost events.
    fn discard(&self) -> usize {
        let mut state = self.state.lock();
        let lost = state.queue.pending_events();
        state.queue = PublishQueue::default();
        self.health.events_lost.add(lost as u64);
        lost
    }

    /// The state, then `online` and the instance.
    fn enqueue_retained(&self, state: &mut MqttState) {
        let last_state = state.last_state.clone();
        let last_state = last_state.map(|payload| retained((self.topics.state(), payload)));
        let mut messages: Vec<MqttMessage> = last_state.into_iter().collect();
        messages.push(retained((self.topics.status(), ONLINE.to_owned())));
        let instance = self.settings.instance.as_ref();
        let instance = instance.map(|id| (self.topics.instance(), id.as_str().to_owned()));
        messages.extend(instance.map(retained));
        state.queue.push_front_all(messages);
        self.send_queued(state);
    }

    fn enqueue(&self, state: &mut MqttState, message: MqttMessage) {
        let lost = state.queue.push(message);
        self.health.events_lost.add(lost);
        self.send_queued(state);
    }

    /// Passes as many messages to the client as may be in flight, and at the end `offline` and the disconnection.
    fn send_queued(&self, state: &mut MqttState) {
        if !state.is_connected {
            return;
        }
        if state.shutdown == MqttShutdown::Requested {
            state.shutdown = MqttShutdown::LastMessageQueued;
            let offline = (self.topics.status(), OFFLINE.to_owned());
            state.queue.push(retained(offline));
        }
        while let Some(message) = state.queue.next_to_send() {
            let is_retained = message.kind.is_retained();
            // It fails if the connection is lost. The message is in flight then and will be queued again.
            let _ = self.client.try_publish(
                message.topic,
                QoS::AtLeastOnce,
                is_retained,
                message.payload,
            );
        }
        if state.shutdown == MqttShutdown::LastMessageQueued && state.queue.is_empty() {
            let _ = self.client.try_disconnect();
        }
    }
}

/// A message from its topic and payload.
fn retained((topic, payload): (String, String)) -> MqttMessage {
    MqttMessage {
        kind: MqttMessageKind::Retained,
        topic,
        payload: payload.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_that_are_not_stationary_are_counted_by_class() {
        let thing = |class: &str, stationary| PresentThing {
            class: class.to_owned(),
            label: None,
            confidence: 0.9,
            track: Some(1),
            duration_s: Some(1.0),
            stationary,
        };
        let things = [
            thing("car", Some(true)),
            thing("car", Some(false)),
            thing("dog", Some(false)),
            thing("cat", Some(true)),
            thing("cup", None),
        ];
        let expected = [("car".to_owned(), 1), ("dog".to_owned(), 1)];
        assert_eq!(moving(&things), expected.into());
    }

    #[test]
    fn the_state_message_has_null_without_a_detection() {
        let apple = |confidence, track| StateMessage {
            present: true,
            class: "apple".to_owned(),
            label: None,
            confidence: Some(confidence),
            track: Some(track),
            count: 1,
            counts: [("apple".to_owned(), 1)].into(),
            moving: [("apple".to_owned(), 1)].into(),
            capture: "live",
            zones: ZoneFields::default(),
        };
        assert!(apple(0.5, 1).equals_except_confidence(&apple(0.75, 1)));
        assert!(!apple(0.5, 1).equals_except_confidence(&apple(0.5, 2)));
        assert!(!apple(0.5, 1).equals_except_confidence(&StateMessage::default()));
        let two = StateMessage {
            count: 2,
            counts: [("apple".to_owned(), 2)].into(),
            ..apple(0.5, 1)
        };
        assert!(!apple(0.5, 1).equals_except_confidence(&two));
        let expected = concat!(
            r#"{"present":true,"class":"apple","confidence":0.5,"track":1,"#,
            r#""count":1,"counts":{"apple":1},"moving":{"apple":1},"capture":"live"}"#
        );
        assert_eq!(json::to_json(&apple(0.5, 1)), expected);
        let nothing = concat!(
            r#"{"present":false,"class":"nothing","confidence":null,"track":null,"#,
            r#""count":0,"counts":{},"moving":{},"capture":"starting"}"#
        );
        assert_eq!(json::to_json(&StateMessage::default()), nothing);
    }
}
