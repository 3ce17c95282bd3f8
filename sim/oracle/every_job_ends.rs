//! Liveness: judges that whatever was accepted ends once faults stop.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, last_listing, state};
use crate::world::Nanos;
use crate::world::history::{Effect, Gone, History};

/// Once faults stop, every request is answered and every accepted job ends, for true: what is
/// reported as completed did run to its end. Source: the meaning of a queue.
pub(super) struct EveryJobEnds;

/// What is still missing, in words.
pub(super) fn waiting_for(history: &History) -> Vec<String> {
    let mut missing = Vec::new();
    let mut open: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, effect) in history.effects() {
        match effect {
            Effect::Submitting { key, tries } => {
                open.insert(key, *tries);
            }
            Effect::Submitted { key, .. } => {
                open.remove(key.as_str());
            }
            _ => {}
        }
    }
    for (key, tries) in open {
        missing.push(format!("submission {key} has no answer after {} tries", tries + 1));
    }
    let Some(healed) = history.healed_at() else { return missing };
    let Some(listing) = last_listing(history, healed) else {
        missing.push("nobody could list the queue since everything was healed".into());
        return missing;
    };
    // What a machine holds that was left broken is waited for, as it must be.
    let held = |nodes: &str| history.left_broken.contains(nodes);
    for job in listing.iter().filter(|job| !state::is_over(job.state) && !held(&job.nodes)) {
        let (id, name, state) = (job.job, &job.name, state::name(job.state));
        missing.push(format!("job {id} ({name}) is {state}: {} {}", job.reason, job.nodes));
    }
    for process in live(history) {
        missing.push(process);
    }
    missing
}

fn live(history: &History) -> Vec<String> {
    let mut live = BTreeMap::new();
    for (at, effect) in history.effects() {
        match effect {
            Effect::Started(process) => {
                live.insert((process.machine, process.pid), (*at, process));
            }
            Effect::Gone(process, _) => {
                live.remove(&(process.machine, process.pid));
            }
            _ => {}
        }
    }
    let reached = |(_, process): &&(Nanos, &crate::world::history::JobProcess)| {
        !history.left_broken.contains(history.machine_name(process.machine))
    };
    let words = |(_, process): &(Nanos, &crate::world::history::JobProcess)| {
        let job = process.job.map_or_else(|| "no job".to_owned(), |job| format!("job {job}"));
        let machine = history.machine_name(process.machine);
        format!("process {} of {job} still lives on {machine}", process.pid)
    };
    live.values().filter(reached).map(words).collect()
}

impl Oracle for EveryJobEnds {
    const NAME: &'static str = "every_job_ends";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let end = history.effects().last().map_or(0, |(at, _)| *at);
        if let Some(text) = waiting_for(history).into_iter().next() {
            return Err((end, text));
        }
        let Some(healed) = history.healed_at() else { return Ok(()) };
        let listing = last_listing(history, healed).unwrap_or_default();
        let ran_well: BTreeSet<u32> = history
            .effects()
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::Gone(process, Gone::Ended(0)) if !process.left_behind => process.job,
                _ => None,
            })
            .collect();
        for job in listing {
            if state::base(job.state) == state::COMPLETED && !ran_well.contains(&job.job) {
                let text = format!("job {} is COMPLETED and no process of it ended well", job.job);
                return Err((end, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on, seen};
    use super::*;
    use crate::world::history::Answer;

    fn told() -> Tale {
        Tale::new().submitted("k1", Answer::Accepted(1)).starts(&on(1, 1, "a"))
    }

    #[test]
    fn a_job_that_ended_and_ran_is_fine() {
        let tale = told().ends(&on(1, 1, "a"), 0).then(Effect::Healed).listed(0, &[seen(1, 3)]);
        assert_eq!(tale.verdict::<EveryJobEnds>(), "fine");
        assert!(waiting_for(tale.history()).is_empty());
    }

    #[test]
    fn whoever_waits_is_named() {
        let tale = told().then(Effect::Submitting { key: "k2".into(), tries: 3 });
        let tale = tale.then(Effect::Healed).listed(0, &[seen(1, 1)]);
        let expected = [
            "submission k2 has no answer after 4 tries",
            "job 1 (k1) is RUNNING: None ",
            "process 101 of job 1 still lives on n1",
        ];
        assert_eq!(waiting_for(tale.history()), expected);
        assert_eq!(tale.verdict::<EveryJobEnds>(), expected[0]);
    }

    #[test]
    fn a_completion_that_never_ran_is_a_lie() {
        let tale = told().ends(&on(1, 1, "a"), 9).then(Effect::Healed).listed(0, &[seen(1, 3)]);
        let text = "job 1 is COMPLETED and no process of it ended well";
        assert_eq!(tale.verdict::<EveryJobEnds>(), text);
    }
}
