//! Devices: judges that jobs have as many as they asked for, and each for itself.

use std::collections::BTreeMap;

use super::Oracle;
use crate::workload::DEVICES;
use crate::world::Nanos;
use crate::world::history::{Effect, History};

/// A job is told of as many devices as it asked for, and no device is told to two jobs that run on
/// the same machine at the same time. Source: `--gres` in sbatch(1).
pub(super) struct DevicesAreExclusive;

impl Oracle for DevicesAreExclusive {
    const NAME: &'static str = "devices_are_exclusive";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
        let mut used: BTreeMap<(u32, &str), u32> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Observed { who, what, value } if what == DEVICES => {
                    asked.insert(who, *value);
                }
                Effect::Started(process) if !process.left_behind => {
                    let key = process.key.as_deref().unwrap_or("");
                    let told = process.devices.as_deref().unwrap_or("");
                    let told: Vec<&str> = told.split(',').filter(|one| !one.is_empty()).collect();
                    let wanted = asked.get(key).copied().unwrap_or(0);
                    if told.len() as u64 != wanted {
                        let text = format!("{key} has {} devices of {wanted}", told.len());
                        return Err((*at, text));
                    }
                    for device in told {
                        let place = (process.machine.0, device);
                        if let Some(other) = used.insert(place, process.pid) {
                            let text = format!("{key} has device {device}, as process {other} has");
                            return Err((*at, text));
                        }
                    }
                }
                Effect::Gone(process, _) if !process.left_behind => {
                    used.retain(|(machine, _), pid| {
                        (*machine, *pid) != (process.machine.0, process.pid)
                    });
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
    use crate::world::history::JobProcess;

    fn with(job: u32, node: u32, devices: &str) -> JobProcess {
        JobProcess { devices: Some(devices.to_owned()), ..on(node, job, "a") }
    }

    fn asked(job: u32, value: u64) -> Effect {
        Effect::Observed { who: format!("k{job}"), what: DEVICES.to_owned(), value }
    }

    fn two() -> Tale {
        let tale = Tale::new().then(asked(7, 2)).then(asked(8, 1));
        tale.starts(&with(7, 1, "0,1"))
    }

    #[test]
    fn a_device_that_two_have_is_told() {
        let text = "k8 has device 1, as process 107 has";
        assert_eq!(two().starts(&with(8, 1, "1")).verdict::<DevicesAreExclusive>(), text);
        assert_eq!(two().starts(&with(8, 2, "1")).verdict::<DevicesAreExclusive>(), "fine");
        let turns = two().ends(&with(7, 1, "0,1"), 0).starts(&with(8, 1, "1"));
        assert_eq!(turns.verdict::<DevicesAreExclusive>(), "fine");
    }

    #[test]
    fn too_few_are_told() {
        let text = "k8 has 0 devices of 1";
        assert_eq!(two().starts(&with(8, 1, "")).verdict::<DevicesAreExclusive>(), text);
    }
}
