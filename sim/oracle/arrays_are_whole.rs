//! Arrays: judges that each task runs, as one job, and never too many at once.

use std::collections::{BTreeMap, BTreeSet};

use super::Oracle;
use crate::workload::{TASKS, TASKS_AT_ONCE};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History};

/// Of an accepted array as many jobs run as it has tasks, and no more at once than its `%` allows.
/// Source: `--array` in sbatch(1). For worlds whose nodes stay in service: what runs on a node
/// that counts as lost is no longer counted.
pub(super) struct ArraysAreWhole;

#[derive(Default)]
struct Seen {
    tasks: Option<u64>,
    at_once: Option<u64>,
    accepted: bool,
    jobs: BTreeSet<u32>,
    running: u64,
}

impl Oracle for ArraysAreWhole {
    const NAME: &'static str = "arrays_are_whole";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut arrays: BTreeMap<&str, Seen> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Observed { who, what, value } if what == TASKS => {
                    arrays.entry(who).or_default().tasks = Some(*value);
                }
                Effect::Observed { who, what, value } if what == TASKS_AT_ONCE => {
                    arrays.entry(who).or_default().at_once = Some(*value);
                }
                Effect::Submitted { key, answer: Answer::Accepted(_) } => {
                    if let Some(array) = arrays.get_mut(key.as_str()) {
                        array.accepted = true;
                    }
                }
                Effect::Started(process) | Effect::Gone(process, _) if !process.left_behind => {
                    let Some(key) = process.key.as_deref() else { continue };
                    let Some(array) = arrays.get_mut(key) else { continue };
                    let starts = matches!(effect, Effect::Started(_));
                    array.running = if starts { array.running + 1 } else { array.running - 1 };
                    array.jobs.extend(process.job);
                    over(key, array).map_or(Ok(()), |text| Err((*at, text)))?;
                }
                _ => {}
            }
        }
        let Some(healed) = history.healed_at() else { return Ok(()) };
        for (key, array) in arrays.iter().filter(|(_, array)| array.accepted) {
            let (ran, tasks) = (array.jobs.len() as u64, array.tasks.unwrap_or(0));
            if ran < tasks {
                return Err((healed, format!("{ran} of {tasks} tasks of array {key} ran")));
            }
        }
        Ok(())
    }
}

/// What there is too much of.
fn over(key: &str, array: &Seen) -> Option<String> {
    let (ran, running) = (array.jobs.len() as u64, array.running);
    if let Some(tasks) = array.tasks.filter(|tasks| ran > *tasks) {
        return Some(format!("{ran} jobs ran for the {tasks} tasks of array {key}"));
    }
    let most = array.at_once.filter(|most| running > *most)?;
    Some(format!("{running} tasks of array {key} run at once, {most} may"))
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on};
    use super::*;
    use crate::world::history::JobProcess;

    fn task(job: u32) -> JobProcess {
        JobProcess { key: Some("k".into()), ..on(1, job, "a") }
    }

    fn array(tasks: u64, at_once: u64) -> Tale {
        let note = |what: &str, value| Effect::Observed { who: "k".into(), what: what.into(), value };
        let tale = Tale::new().then(note(TASKS, tasks)).then(note(TASKS_AT_ONCE, at_once));
        tale.submitted("k", Answer::Accepted(7))
    }

    #[test]
    fn tasks_that_take_turns_are_fine() {
        let tale = array(2, 1).starts(&task(8)).ends(&task(8), 0).starts(&task(7));
        let tale = tale.ends(&task(7), 0).then(Effect::Healed);
        assert_eq!(tale.verdict::<ArraysAreWhole>(), "fine");
    }

    #[test]
    fn too_many_at_once_too_many_and_too_few_are_told() {
        let both = array(2, 1).starts(&task(8)).starts(&task(7));
        assert_eq!(both.verdict::<ArraysAreWhole>(), "2 tasks of array k run at once, 1 may");
        let twice = array(1, 2).starts(&task(8)).starts(&task(7));
        assert_eq!(twice.verdict::<ArraysAreWhole>(), "2 jobs ran for the 1 tasks of array k");
        let few = array(2, 1).starts(&task(8)).ends(&task(8), 0).then(Effect::Healed);
        assert_eq!(few.verdict::<ArraysAreWhole>(), "1 of 2 tasks of array k ran");
    }
}
