//! Licences: judges that jobs which run at the same time have enough of them.

use std::collections::BTreeMap;

use super::Oracle;
use crate::workload::{LICENSES, LICENSES_IN_ALL};
use crate::world::Nanos;
use crate::world::history::{Effect, History};

/// What runs at the same time asked for no more licences than there are. Source: `--licenses` in
/// sbatch(1). For worlds whose nodes stay in service: what runs on a node that counts as lost has
/// given its licences back.
pub(super) struct LicensesSuffice;

impl Oracle for LicensesSuffice {
    const NAME: &'static str = "licenses_suffice";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut in_all = None;
        let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
        let mut running: u64 = 0;
        for (at, effect) in history.effects() {
            match effect {
                Effect::Observed { what, value, .. } if what == LICENSES_IN_ALL => {
                    in_all = Some(*value);
                }
                Effect::Observed { who, what, value } if what == LICENSES => {
                    asked.insert(who, *value);
                }
                Effect::Started(process) | Effect::Gone(process, _) if !process.left_behind => {
                    let key = process.key.as_deref().unwrap_or("");
                    let count = asked.get(key).copied().unwrap_or(0);
                    let starts = matches!(effect, Effect::Started(_));
                    running = if starts { running + count } else { running - count };
                    if let Some(most) = in_all.filter(|most| running > *most) {
                        let text = format!("{running} licences are used, there are {most}");
                        return Err((*at, text));
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

    fn told(who: &str, what: &str, value: u64) -> Effect {
        Effect::Observed { who: who.to_owned(), what: what.to_owned(), value }
    }

    fn two() -> Tale {
        let tale = Tale::new().then(told("", LICENSES_IN_ALL, 3));
        tale.then(told("k7", LICENSES, 2)).then(told("k8", LICENSES, 2)).starts(&on(1, 7, "a"))
    }

    #[test]
    fn more_than_there_are_is_told() {
        let text = "4 licences are used, there are 3";
        assert_eq!(two().starts(&on(2, 8, "a")).verdict::<LicensesSuffice>(), text);
        let turns = two().ends(&on(1, 7, "a"), 0).starts(&on(2, 8, "a"));
        assert_eq!(turns.verdict::<LicensesSuffice>(), "fine");
    }
}
