//! Reservations: judges that what is submitted later keeps off reserved nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::Oracle;
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, Order};

/// Once an operator was told that a node is reserved for others, no job that is submitted later
/// starts there until an operator asks for the end of the reservation. Source: reservations in
/// scontrol(1). For worlds with one operator.
pub(super) struct ReservationsAreKept;

impl Oracle for ReservationsAreKept {
    const NAME: &'static str = "reservations_are_kept";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut reserved: BTreeMap<&str, Nanos> = BTreeMap::new();
        // Nodes whose reservation may yet end: nobody was told what became of the order.
        let mut unsure: BTreeSet<&str> = BTreeSet::new();
        let mut submitted: BTreeMap<&str, Nanos> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Ordered(Order::Reserve(node), Answer::Done)
                    if !unsure.contains(node.as_str()) =>
                {
                    reserved.insert(node, *at);
                }
                Effect::Ordering(Order::Unreserve(node)) => {
                    reserved.remove(node.as_str());
                }
                Effect::Ordered(Order::Unreserve(node), Answer::None) => {
                    unsure.insert(node);
                }
                Effect::Submitting { key, .. } => {
                    submitted.entry(key).or_insert(*at);
                }
                Effect::Started(process) if !process.left_behind => {
                    let node = history.machine_name(process.machine);
                    let Some(since) = reserved.get(node) else { continue };
                    let key = process.key.as_deref().unwrap_or("");
                    if submitted.get(key).is_some_and(|submitted| submitted > since) {
                        return Err((*at, format!("{key} starts on {node}, which is reserved")));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on};
    use super::*;

    #[test]
    fn what_is_submitted_later_keeps_off_a_reserved_node() {
        let reserved = || Tale::new().then(Effect::Ordered(Order::Reserve("n1".into()), Answer::Done));
        let late = || reserved().submitted("k7", Answer::Accepted(7));
        let ill = late().starts(&on(1, 7, "a"));
        assert_eq!(ill.verdict::<ReservationsAreKept>(), "k7 starts on n1, which is reserved");
        assert_eq!(late().starts(&on(2, 7, "a")).verdict::<ReservationsAreKept>(), "fine");
        let over = late().then(Effect::Ordering(Order::Unreserve("n1".into())));
        assert_eq!(over.starts(&on(1, 7, "a")).verdict::<ReservationsAreKept>(), "fine");
        let early = Tale::new().submitted("k7", Answer::Accepted(7));
        let early = early.then(Effect::Ordered(Order::Reserve("n1".into()), Answer::Done));
        assert_eq!(early.starts(&on(1, 7, "a")).verdict::<ReservationsAreKept>(), "fine");
    }
}
