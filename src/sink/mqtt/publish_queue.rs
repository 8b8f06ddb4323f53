//! Messages that are queued for the broker, and those in flight: sent, but not acknowledged yet.
//!
//! Events survive a broken connection; beyond [`MAX_EVENTS`] the oldest are dropped and counted. Retained messages are
//! sent again with each connection, so they do not need to. The queue does no I/O.

use std::collections::VecDeque;

/// Events that are queued while the broker is unreachable.
pub const MAX_EVENTS: usize = 1000;

/// Messages that may be in flight at once.
pub(super) const MAX_IN_FLIGHT: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MqttMessage {
    pub(super) kind: MqttMessageKind,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MqttMessageKind {
    /// Every one is sent.
    Event,
    /// Retained; only the last one is sent.
    State,
    /// The message by which Home Assistant discovers the camera. Retained; only the last one is sent.
    Discovery,
    /// The picture of an event. Retained; only the last one is sent, also after a disconnection.
    Image,
    /// Any other retained message.
    Retained,
    /// Sent once with this connection, and not retained.
    Transient,
}

impl MqttMessageKind {
    pub(super) const fn is_retained(self) -> bool {
        !matches!(self, Self::Event | Self::Transient)
    }

    /// Whether a message replaces an earlier one of its kind.
    const fn replaces(self) -> bool {
        matches!(self, Self::State | Self::Discovery | Self::Image)
    }

    /// Whether a message is sent with the next connection, if it was not with this one.
    const fn survives(self) -> bool {
        matches!(self, Self::Event | Self::Image)
    }
}

/// Messages in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct PublishQueue {
    queued: VecDeque<MqttMessage>,
    /// With the packet ID after it was assigned.
    in_flight: VecDeque<(Option<u16>, MqttMessage)>,
}

impl PublishQueue {
    /// Appends a message. Returns the number of events dropped for it.
    pub(super) fn push(&mut self, message: MqttMessage) -> u64 {
        if message.kind.replaces() {
            self.queued.retain(|queued| queued.kind != message.kind);
        }
        self.queued.push_back(message);
        self.drop_oldest_events()
    }

    /// Inserts messages before all others, in their order.
    pub(super) fn push_front_all(&mut self, messages: Vec<MqttMessage>) {
        for message in messages.into_iter().rev() {
            self.queued.push_front(message);
        }
    }

    /// The next message, which is then in flight; `None` if there is none or too many are in flight.
    pub(super) fn next_to_send(&mut self) -> Option<MqttMessage> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let message = self.queued.pop_front()?;
        self.in_flight.push_back((None, message.clone()));
        Some(message)
    }

    /// Assigns a packet ID to the oldest message in flight that has none.
    pub(super) fn assign_packet_id(&mut self, packet_id: u16) {
        let next = self.in_flight.iter_mut().find(|(id, _)| id.is_none());
        if let Some((id, _)) = next {
            *id = Some(packet_id);
        }
    }

    /// Removes the message with that packet ID.
    pub(super) fn on_acknowledged(&mut self, packet_id: u16) {
        let found = self
            .in_flight
            .iter()
            .position(|(id, _)| *id == Some(packet_id));
        if let Some(at) = found {
            self.in_flight.remove(at);
        }
    }

    /// Queues the events in flight again and drops all other messages. Returns the number of dropped events.
    pub(super) fn on_disconnected(&mut self) -> u64 {
        let in_flight = self.in_flight.drain(..);
        let in_flight: Vec<MqttMessage> = in_flight.map(|(_, message)| message).collect();
        self.push_front_all(in_flight);
        self.queued.retain(|message| message.kind.survives());
        let is_image = |message: &MqttMessage| message.kind == MqttMessageKind::Image;
        if let Some(last) = self.queued.iter().rposition(is_image) {
            let mut at = 0..;
            self.queued
                .retain(|message| at.next() == Some(last) || !is_image(message));
        }
        self.drop_oldest_events()
    }

    /// Whether nothing is queued or in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.in_flight.is_empty()
    }

    /// The number of events that the broker has not acknowledged.
    pub(super) fn pending_events(&self) -> usize {
        let in_flight = self.in_flight.iter().map(|(_, message)| message);
        let all = self.queued.iter().chain(in_flight);
        all.filter(|message| message.kind == MqttMessageKind::Event)
            .count()
    }

    fn drop_oldest_events(&mut self) -> u64 {
        let is_event = |message: &MqttMessage| message.kind == MqttMessageKind::Event;
        let events = self
            .queued
            .iter()
            .filter(|message| is_event(message))
            .count();
        let excess = events.saturating_sub(MAX_EVENTS);
        for _ in 0..excess {
            if let Some(oldest) = self.queued.iter().position(is_event) {
                self.queued.remove(oldest);
            }
        }
        excess as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: MqttMessageKind, payload: &impl ToString) -> MqttMessage {
        MqttMessage {
            kind,
            topic: "t".to_owned(),
            payload: payload.to_string().into_bytes(),
        }
    }

    fn send_all(queue: &mut PublishQueue) -> Vec<String> {
        let mut payloads = Vec::new();
        let mut packet_id = 0;
        while let Some(message) = queue.next_to_send() {
            packet_id += 1;
            queue.assign_packet_id(packet_id);
            queue.on_acknowledged(packet_id);
            payloads.push(String::from_utf8(message.payload).expect("text"));
        }
        payloads
    }

    #[test]
    fn beyond_the_maximum_the_oldest_events_are_dropped() {
        let mut queue = PublishQueue::default();
        let lost: u64 = (0..MAX_EVENTS + 7)
            .map(|number| queue.push(message(MqttMessageKind::Event, &number)))
            .sum();
        assert_eq!((lost, queue.pending_events()), (7, MAX_EVENTS));
        let payloads = send_all(&mut queue);
        assert_eq!((payloads[0].as_str(), payloads.len()), ("7", MAX_EVENTS));
        assert!(queue.is_empty());
    }

    #[test]
    fn only_the_last_state_is_sent() {
        let mut queue = PublishQueue::default();
        queue.push(message(MqttMessageKind::State, &"old"));
        queue.push(message(MqttMessageKind::Event, &"event"));
        queue.push(message(MqttMessageKind::State, &"new"));
        assert_eq!(send_all(&mut queue), ["event", "new"]);
    }

    #[test]
    fn events_in_flight_are_sent_again_in_order_after_a_disconnection() {
        let mut queue = PublishQueue::default();
        queue.push(message(MqttMessageKind::Retained, &"online"));
        for number in 1..=4 {
            queue.push(message(MqttMessageKind::Event, &number));
        }
        for packet_id in 1..=4 {
            assert!(queue.next_to_send().is_some());
            queue.assign_packet_id(packet_id);
        }
        queue.on_acknowledged(2);
        assert_eq!(queue.on_disconnected(), 0);
        assert_eq!(send_all(&mut queue), ["2", "3", "4"]);
    }

    #[test]
    fn the_last_picture_is_sent_after_a_disconnection() {
        let mut queue = PublishQueue::default();
        queue.push(message(MqttMessageKind::Image, &"first"));
        assert!(queue.next_to_send().is_some());
        queue.push(message(MqttMessageKind::Image, &"second"));
        queue.push(message(MqttMessageKind::Event, &"event"));
        queue.push(message(MqttMessageKind::Image, &"third"));
        queue.push(message(MqttMessageKind::Transient, &"once"));
        assert_eq!(queue.on_disconnected(), 0);
        assert_eq!(send_all(&mut queue), ["event", "third"]);
    }

    #[test]
    fn the_number_of_messages_in_flight_is_limited() {
        let mut queue = PublishQueue::default();
        for number in 0..2 * MAX_IN_FLIGHT {
            queue.push(message(MqttMessageKind::Event, &number));
        }
        let sent = std::iter::from_fn(|| queue.next_to_send()).count();
        assert_eq!(sent, MAX_IN_FLIGHT);
        queue.assign_packet_id(9);
        queue.on_acknowledged(9);
        assert_eq!(std::iter::from_fn(|| queue.next_to_send()).count(), 1);
        assert_eq!(queue.pending_events(), 2 * MAX_IN_FLIGHT - 1);
    }
}
