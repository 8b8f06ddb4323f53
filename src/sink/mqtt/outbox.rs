//! Messages that wait for the broker, and those that it has not acknowledged yet.
//!
//! Events outlive a broken connection, at most [`EVENTS_KEPT`] of them, of more the oldest are lost and counted.
//! What is retained is told anew with each connection and so does not. It knows nothing of clients and sockets.

use std::collections::VecDeque;

/// Events that are kept while the broker is away.
pub const EVENTS_KEPT: usize = 1000;

/// Messages that are under way at once.
pub(super) const WINDOW: usize = 20;

/// A message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) topic: String,
    pub(super) text: String,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something happened; each counts.
    Event,
    /// What is there now; only the last counts.
    State,
    /// Anything else that is retained.
    Standing,
}

/// Messages in the order in which they go.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Message>,
    /// With the packet number that it got, once it has one.
    under_way: VecDeque<(Option<u16>, Message)>,
}

impl Outbox {
    /// Puts a message at the end; tells how many events were lost for it.
    pub(super) fn put(&mut self, message: Message) -> u64 {
        if message.kind == Kind::State {
            self.waiting.retain(|waiting| waiting.kind != Kind::State);
        }
        self.waiting.push_back(message);
        self.shrink()
    }

    /// Puts messages before all others, in their order.
    pub(super) fn put_first(&mut self, messages: impl DoubleEndedIterator<Item = Message>) {
        for message in messages.rev() {
            self.waiting.push_front(message);
        }
    }

    /// The message that goes next, unless enough are under way; it counts as under way from now on.
    pub(super) fn take(&mut self) -> Option<Message> {
        if self.under_way.len() >= WINDOW {
            return None;
        }
        let message = self.waiting.pop_front()?;
        self.under_way.push_back((None, message.clone()));
        Some(message)
    }

    /// The oldest message without a packet number got this one.
    pub(super) fn numbered(&mut self, number: u16) {
        let next = self.under_way.iter_mut().find(|(has, _)| has.is_none());
        if let Some((has, _)) = next {
            *has = Some(number);
        }
    }

    /// The broker has the message with that packet number.
    pub(super) fn acknowledged(&mut self, number: u16) {
        let found = self
            .under_way
            .iter()
            .position(|(has, _)| *has == Some(number));
        if let Some(at) = found {
            self.under_way.remove(at);
        }
    }

    /// The connection is gone: events wait again, the rest is forgotten. Tells how many events were lost.
    pub(super) fn disconnected(&mut self) -> u64 {
        let under_way: Vec<Message> = self
            .under_way
            .drain(..)
            .map(|(_, message)| message)
            .collect();
        self.put_first(under_way.into_iter());
        self.waiting.retain(|message| message.kind == Kind::Event);
        self.shrink()
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Events that the broker has not acknowledged.
    pub(super) fn events(&self) -> usize {
        let under_way = self.under_way.iter().map(|(_, message)| message);
        let all = self.waiting.iter().chain(under_way);
        all.filter(|message| message.kind == Kind::Event).count()
    }

    /// Loses the oldest events that are too many.
    fn shrink(&mut self) -> u64 {
        let is_event = |message: &Message| message.kind == Kind::Event;
        let events = self
            .waiting
            .iter()
            .filter(|message| is_event(message))
            .count();
        let too_many = events.saturating_sub(EVENTS_KEPT);
        for _ in 0..too_many {
            if let Some(oldest) = self.waiting.iter().position(is_event) {
                self.waiting.remove(oldest);
            }
        }
        too_many as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, text: &impl ToString) -> Message {
        Message {
            kind,
            topic: "t".to_owned(),
            text: text.to_string(),
        }
    }

    fn taken(outbox: &mut Outbox) -> Vec<String> {
        let mut texts = Vec::new();
        let mut number = 0;
        while let Some(message) = outbox.take() {
            number += 1;
            outbox.numbered(number);
            outbox.acknowledged(number);
            texts.push(message.text);
        }
        texts
    }

    #[test]
    fn too_many_events_lose_the_oldest() {
        let mut outbox = Outbox::default();
        let lost: u64 = (0..EVENTS_KEPT + 7)
            .map(|number| outbox.put(message(Kind::Event, &number)))
            .sum();
        assert_eq!((lost, outbox.events()), (7, EVENTS_KEPT));
        let texts = taken(&mut outbox);
        assert_eq!((texts[0].as_str(), texts.len()), ("7", EVENTS_KEPT));
        assert!(outbox.is_empty());
    }

    #[test]
    fn of_states_only_the_last_goes() {
        let mut outbox = Outbox::default();
        outbox.put(message(Kind::State, &"old"));
        outbox.put(message(Kind::Event, &"event"));
        outbox.put(message(Kind::State, &"new"));
        assert_eq!(taken(&mut outbox), ["event", "new"]);
    }

    #[test]
    fn events_under_way_go_again_after_a_break_and_in_order() {
        let mut outbox = Outbox::default();
        outbox.put(message(Kind::Standing, &"online"));
        for number in 1..=4 {
            outbox.put(message(Kind::Event, &number));
        }
        for number in 1..=4 {
            assert!(outbox.take().is_some());
            outbox.numbered(number);
        }
        outbox.acknowledged(2);
        assert_eq!(outbox.disconnected(), 0);
        assert_eq!(taken(&mut outbox), ["2", "3", "4"]);
    }

    #[test]
    fn only_so_many_are_under_way_at_once() {
        let mut outbox = Outbox::default();
        for number in 0..2 * WINDOW {
            outbox.put(message(Kind::Event, &number));
        }
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), WINDOW);
        outbox.numbered(9);
        outbox.acknowledged(9);
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), 1);
        assert_eq!(outbox.events(), 2 * WINDOW - 1);
    }
}
