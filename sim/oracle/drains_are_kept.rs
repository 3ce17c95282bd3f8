//! Drained nodes: judges that what is submitted later does not start there.

use std::collections::{BTreeMap, BTreeSet};

use super::Oracle;
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, Order};

/// Once an operator was told that a node is drained, no job that is submitted later starts there until
/// an operator asks for its return. Source: `State=DRAIN` in scontrol(1).
pub(super) struct DrainsAreKept;

#[derive(Default)]
struct Drains<'a> {
    /// Since when each node is known to be drained.
    since: BTreeMap<&'a str, Nanos>,
    /// Returns that are under way.
    returning: BTreeMap<&'a str, u32>,
    /// Nodes whose return may yet come: nobody was told what became of the order.
    unsure: BTreeSet<&'a str>,
}

impl<'a> Drains<'a> {
    fn note(&mut self, at: Nanos, effect: &'a Effect) {
        match effect {
            Effect::Ordering(Order::Resume(node)) => {
                self.since.remove(node.as_str());
                *self.returning.entry(node).or_default() += 1;
            }
            Effect::Ordered(Order::Resume(node), answer) => {
                let under_way = self.returning.entry(node).or_default();
                *under_way = under_way.saturating_sub(1);
                if *answer == Answer::None {
                    self.unsure.insert(node);
                }
            }
            Effect::Ordered(Order::Drain(node), Answer::Done) => {
                let returns = self.returning.get(node.as_str()).is_some_and(|count| *count > 0);
                if !returns && !self.unsure.contains(node.as_str()) {
                    self.since.entry(node).or_insert(at);
                }
            }
            _ => {}
        }
    }
}

impl Oracle for DrainsAreKept {
    const NAME: &'static str = "drains_are_kept";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut drains = Drains::default();
        let mut submitted: BTreeMap<&str, Nanos> = BTreeMap::new();
        for (at, effect) in history.effects() {
            drains.note(*at, effect);
            match effect {
                Effect::Submitting { key, .. } => {
                    submitted.entry(key).or_insert(*at);
                }
                Effect::Started(process) if !process.left_behind => {
                    let node = history.machine_name(process.machine);
                    let Some(since) = drains.since.get(node) else { continue };
                    let key = process.key.as_deref().unwrap_or("");
                    if submitted.get(key).is_some_and(|submitted| submitted > since) {
                        return Err((*at, format!("{key} starts on {node}, which is drained")));
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

    fn drained() -> Tale {
        Tale::new().then(Effect::Ordered(Order::Drain("n1".into()), Answer::Done))
    }

    #[test]
    fn what_is_submitted_later_does_not_start_on_a_drained_node() {
        let late = || drained().submitted("k7", Answer::Accepted(7));
        let ill = late().starts(&on(1, 7, "a"));
        assert_eq!(ill.verdict::<DrainsAreKept>(), "k7 starts on n1, which is drained");
        assert_eq!(late().starts(&on(2, 7, "a")).verdict::<DrainsAreKept>(), "fine");
        let back = late().then(Effect::Ordering(Order::Resume("n1".into())));
        assert_eq!(back.starts(&on(1, 7, "a")).verdict::<DrainsAreKept>(), "fine");
    }

    #[test]
    fn what_was_submitted_earlier_may_be_on_its_way() {
        let tale = Tale::new().submitted("k7", Answer::Accepted(7));
        let tale = tale.then(Effect::Ordered(Order::Drain("n1".into()), Answer::Done));
        assert_eq!(tale.starts(&on(1, 7, "a")).verdict::<DrainsAreKept>(), "fine");
    }

    #[test]
    fn a_return_of_unknown_fate_may_come_at_any_time() {
        let resume = || Order::Resume("n1".into());
        let tale = Tale::new().then(Effect::Ordering(resume()));
        let tale = tale.then(Effect::Ordered(resume(), Answer::None));
        let tale = tale.then(Effect::Ordered(Order::Drain("n1".into()), Answer::Done));
        let tale = tale.submitted("k7", Answer::Accepted(7)).starts(&on(1, 7, "a"));
        assert_eq!(tale.verdict::<DrainsAreKept>(), "fine");
    }
}
