//! What is to happen, ordered by time and then by the order of its making.
//!
//! Most events are time-outs that are taken out again before they are due, so taking one out only
//! empties its place; the empty place is passed over when its time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Event, Nanos};

/// Names an event that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// When.
    pub at: Nanos,
    sequence: u64,
    place: u32,
}

struct Slot {
    sequence: u64,
    event: Option<Event>,
}

/// The future.
#[derive(Default)]
pub(super) struct Agenda {
    order: BinaryHeap<Reverse<EventKey>>,
    places: Vec<Slot>,
    free: Vec<u32>,
    sequence: u64,
}

impl Agenda {
    /// Adds an event.
    pub(super) fn add(&mut self, at: Nanos, event: Event) -> EventKey {
        self.sequence += 1;
        let slot = Slot { sequence: self.sequence, event: Some(event) };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = slot;
                place
            }
            None => {
                self.places.push(slot);
                u32::try_from(self.places.len() - 1).expect("a world has fewer events to come")
            }
        };
        let key = EventKey { at, sequence: self.sequence, place };
        self.order.push(Reverse(key));
        key
    }

    /// Takes an event out, if it has not happened.
    pub(super) fn remove(&mut self, key: EventKey) -> Option<Event> {
        let slot = &mut self.places[key.place as usize];
        if slot.sequence != key.sequence {
            return None;
        }
        let event = slot.event.take();
        if event.is_some() {
            self.free.push(key.place);
        }
        event
    }

    /// When the next event is due.
    pub(super) fn next_at(&mut self) -> Option<Nanos> {
        while let Some(Reverse(key)) = self.order.peek() {
            let slot = &self.places[key.place as usize];
            if slot.sequence == key.sequence && slot.event.is_some() {
                return Some(key.at);
            }
            self.order.pop();
        }
        None
    }

    /// Takes the next event, if it is due.
    pub(super) fn take_due(&mut self, now: Nanos) -> Option<Event> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(key) = self.order.pop()?;
        self.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Event {
        Event::Call(Box::new(|| {}))
    }

    #[test]
    fn events_come_in_the_order_of_time_and_what_was_taken_out_does_not_come() {
        let mut agenda = Agenda::default();
        let late = agenda.add(9, nothing());
        let gone = agenda.add(3, nothing());
        agenda.add(5, nothing());
        assert!(agenda.remove(gone).is_some());
        assert!(agenda.remove(gone).is_none(), "it is taken out once");
        assert_eq!(agenda.next_at(), Some(5));
        assert!(agenda.take_due(4).is_none());
        assert!(agenda.take_due(5).is_some());
        let again = agenda.add(7, nothing());
        assert!(agenda.remove(gone).is_none(), "its place belongs to another event");
        assert_eq!(agenda.next_at(), Some(7));
        assert!(agenda.remove(again).is_some() && agenda.remove(late).is_some());
        assert_eq!(agenda.next_at(), None);
    }
}
