//! Constraints: judges that jobs run on nodes with the feature they asked for.

use std::collections::BTreeMap;

use super::Oracle;
use crate::workload::ON_AN_EVEN_NODE;
use crate::world::Nanos;
use crate::world::history::{Effect, History};

/// A job that asked for the nodes of even, or of odd, number runs on one of those. Source:
/// `--constraint` in sbatch(1).
pub(super) struct FeaturesAreMet;

impl Oracle for FeaturesAreMet {
    const NAME: &'static str = "features_are_met";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut wishes: BTreeMap<&str, bool> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Observed { who, what, value } if what == ON_AN_EVEN_NODE => {
                    wishes.insert(who, *value == 1);
                }
                Effect::Started(process) if !process.left_behind => {
                    let key = process.key.as_deref().unwrap_or("");
                    let node = history.machine_name(process.machine);
                    let number = node.trim_start_matches('n').parse::<u32>().ok();
                    let even = number.map(|number| number.is_multiple_of(2));
                    if wishes.get(key).is_some_and(|wish| Some(*wish) != even) {
                        return Err((*at, format!("{key} starts on {node}, which it did not want")));
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
    fn a_particular_job_runs_where_it_wants_to() {
        let what = ON_AN_EVEN_NODE.to_owned();
        let wish = || Effect::Observed { who: "k7".into(), what: what.clone(), value: 1 };
        let runs = |node| Tale::new().then(wish()).starts(&on(node, 7, "a"));
        assert_eq!(runs(2).verdict::<FeaturesAreMet>(), "fine");
        assert_eq!(
            runs(1).verdict::<FeaturesAreMet>(),
            "k7 starts on n1, which it did not want"
        );
        assert_eq!(Tale::new().starts(&on(1, 8, "a")).verdict::<FeaturesAreMet>(), "fine");
    }
}
