//! Resources: judges that no node runs more than it has.

use std::collections::BTreeMap;

use super::Oracle;
use crate::world::history::{Effect, History, JobProcess};
use crate::world::{MachineId, Nanos};

/// No node runs more than it has: CPUs and memory of the jobs on it, as their owners asked for
/// them, never exceed the machine's. Source: the meaning of an allocation.
pub(super) struct WithinCapacity;

impl Oracle for WithinCapacity {
    const NAME: &'static str = "within_capacity";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut live: BTreeMap<MachineId, Vec<&JobProcess>> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Started(process) if !process.left_behind => {
                    let here = live.entry(process.machine).or_default();
                    here.push(process);
                    check(history, process.machine, here).map_err(|text| (*at, text))?;
                }
                Effect::Gone(process, _) => {
                    if let Some(here) = live.get_mut(&process.machine) {
                        here.retain(|other| *other != process);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn check(history: &History, machine: MachineId, here: &[&JobProcess]) -> Result<(), String> {
    let Some((name, cpus, memory_mib)) = history.machines.get(&machine) else { return Ok(()) };
    let asked: u32 = here.iter().map(|process| process.cpus).sum();
    if asked > *cpus {
        return Err(format!("{name} runs jobs of {asked} CPUs and has {cpus}"));
    }
    let asked: u64 = here.iter().map(|process| process.memory_mib).sum();
    if asked > *memory_mib {
        return Err(format!("{name} runs jobs of {asked} MiB and has {memory_mib}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on};
    use super::*;

    #[test]
    fn a_full_node_is_fine_and_one_more_job_is_not() {
        let tale = Tale::new().starts(&on(1, 1, "a")).starts(&on(1, 2, "a")).starts(&on(2, 3, "a"));
        assert_eq!(tale.verdict::<WithinCapacity>(), "fine");
        let freed = tale.ends(&on(1, 1, "a"), 0).starts(&on(1, 4, "a"));
        assert_eq!(freed.verdict::<WithinCapacity>(), "fine");
        let over = freed.starts(&on(1, 5, "a"));
        assert_eq!(over.verdict::<WithinCapacity>(), "n1 runs jobs of 6 CPUs and has 4");
    }

    #[test]
    fn memory_counts_too() {
        let mut large = on(1, 1, "a");
        large.memory_mib = 950;
        let tale = Tale::new().starts(&large).starts(&on(1, 2, "a"));
        assert_eq!(tale.verdict::<WithinCapacity>(), "n1 runs jobs of 1050 MiB and has 1000");
    }
}
