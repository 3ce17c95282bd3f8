//! Dependencies: judges that what waits for another job's success starts after it, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use super::Oracle;
use crate::workload::AFTER_SUCCESS_OF;
use crate::world::history::{Effect, Gone, History};
use crate::world::{Nanos, SECOND};

/// A job that was submitted with `afterok` starts only when the last process of the other job has
/// ended with status zero. Source: `--dependency` in sbatch(1). A job that ended so long ago that
/// it is forgotten (`MinJobAge`) holds nobody back, in Slurm neither.
pub(super) struct SuccessComesFirst;

/// A job that ended this long ago may be forgotten.
const FORGOTTEN_AFTER: Nanos = 240 * SECOND;

impl Oracle for SuccessComesFirst {
    const NAME: &'static str = "success_comes_first";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut waits: BTreeMap<&str, u32> = BTreeMap::new();
        let mut live: BTreeSet<u32> = BTreeSet::new();
        let mut last: BTreeMap<u32, (Nanos, Gone)> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Observed { who, what, value } if what == AFTER_SUCCESS_OF => {
                    waits.insert(who, u32::try_from(*value).unwrap_or(0));
                }
                Effect::Started(process) if !process.left_behind => {
                    let other = process.key.as_deref().and_then(|key| waits.get(key));
                    let Some(job) = process.job else { continue };
                    if let Some(other) = other {
                        let ended = last.get(other).filter(|_| !live.contains(other));
                        let old = ended.is_some_and(|(ended, _)| ended + FORGOTTEN_AFTER < *at);
                        let well = ended.is_some_and(|(_, how)| *how == Gone::Ended(0));
                        if !well && !old {
                            let text = format!("job {job} starts before job {other} succeeded");
                            return Err((*at, text));
                        }
                    }
                    live.insert(job);
                }
                Effect::Gone(process, how) if !process.left_behind => {
                    let Some(job) = process.job else { continue };
                    live.remove(&job);
                    last.insert(job, (*at, *how));
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

    fn pair() -> Tale {
        let what = AFTER_SUCCESS_OF.to_owned();
        Tale::new().then(Effect::Observed { who: "k8".into(), what, value: 7 })
    }

    #[test]
    fn the_second_starts_after_the_success_of_the_first_only() {
        let (first, second) = (on(1, 7, "a"), on(2, 8, "a"));
        let early = "job 8 starts before job 7 succeeded";
        let well = pair().starts(&first).ends(&first, 0).starts(&second);
        assert_eq!(well.verdict::<SuccessComesFirst>(), "fine");
        let ill = pair().starts(&first).ends(&first, 256).starts(&second);
        assert_eq!(ill.verdict::<SuccessComesFirst>(), early);
        let live = pair().starts(&first).starts(&second);
        assert_eq!(live.verdict::<SuccessComesFirst>(), early);
        assert_eq!(pair().starts(&second).verdict::<SuccessComesFirst>(), early);
    }
}
