//! Durability: judges that an acknowledged submission is one job, and stays one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, last_listing};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History};

/// An acknowledged submission exists once: one id per submission, whatever was retried; one
/// submission per id; and it is there when everything is healed. A refused one does not exist. Source: the promise of `sbatch`.
pub(super) struct JobExistsOnce;

#[derive(Default)]
struct Known<'h> {
    id_of: BTreeMap<&'h str, u32>,
    key_of: BTreeMap<u32, &'h str>,
}

impl<'h> Known<'h> {
    fn learn(&mut self, key: &'h str, id: u32) -> Result<(), String> {
        let before = *self.id_of.entry(key).or_insert(id);
        if before != id {
            return Err(format!("submission {key} is job {before} and job {id}"));
        }
        let owner = *self.key_of.entry(id).or_insert(key);
        if owner != key {
            return Err(format!("job {id} is submission {owner} and submission {key}"));
        }
        Ok(())
    }
}

impl Oracle for JobExistsOnce {
    const NAME: &'static str = "job_exists_once";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut known = Known::default();
        let mut acknowledged = BTreeMap::new();
        let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
        let mut ran: BTreeSet<u32> = BTreeSet::new();
        for (at, effect) in history.effects() {
            let learned = match effect {
                Effect::Submitted { key, answer: Answer::Accepted(id) } => {
                    acknowledged.insert(*id, (*at, key));
                    known.learn(key, *id)
                }
                Effect::Submitted { key, answer: Answer::Refused(error) } => {
                    refused.insert(key, *error);
                    Ok(())
                }
                Effect::Listed { jobs, .. } => jobs.iter().try_for_each(|job| {
                    if let Some(error) = refused.get(job.name.as_str()) {
                        let (key, id) = (&job.name, job.job);
                        return Err(format!("submission {key} was refused ({error}) and is job {id}"));
                    }
                    known.learn(&job.name, job.job)
                }),
                Effect::Gone(process, _) => {
                    ran.extend(process.job);
                    Ok(())
                }
                Effect::Started(process) => match (&process.key, process.job) {
                    (Some(key), Some(id)) => known.learn(key, id),
                    _ => Ok(()),
                },
                _ => Ok(()),
            };
            learned.map_err(|text| (*at, text))?;
        }
        let Some(healed) = history.healed_at() else { return Ok(()) };
        let Some(last) = last_listing(history, healed) else { return Ok(()) };
        for (id, (at, key)) in acknowledged {
            // A job that ran and is over is forgotten some time (MinJobAge).
            if at < healed && !ran.contains(&id) && !last.iter().any(|job| job.job == id) {
                let text = format!("submission {key} was acknowledged as job {id}, which is gone");
                return Err((at, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on, seen};
    use super::*;

    #[test]
    fn a_retry_that_gets_the_same_id_is_fine() {
        let tale = Tale::new()
            .submitted("k1", Answer::Accepted(1))
            .then(Effect::Healed)
            .listed(0, &[seen(1, 3)]);
        assert_eq!(tale.verdict::<JobExistsOnce>(), "fine");
    }

    #[test]
    fn a_retry_that_gets_another_id_is_not() {
        let mut twin = seen(2, 0);
        twin.name = "k1".into();
        let tale = Tale::new().submitted("k1", Answer::Accepted(1)).listed(0, &[seen(1, 0), twin]);
        assert_eq!(tale.verdict::<JobExistsOnce>(), "submission k1 is job 1 and job 2");
    }

    #[test]
    fn an_id_used_twice_is_caught_even_where_it_only_runs() {
        let mut other = on(1, 1, "a");
        other.key = Some("k9".into());
        let tale = Tale::new().submitted("k1", Answer::Accepted(1)).starts(&other);
        assert_eq!(tale.verdict::<JobExistsOnce>(), "job 1 is submission k1 and submission k9");
    }

    #[test]
    fn a_refused_submission_that_became_a_job_is_caught() {
        let tale = Tale::new().submitted("k1", Answer::Refused(2015)).listed(0, &[seen(1, 0)]);
        let text = "submission k1 was refused (2015) and is job 1";
        assert_eq!(tale.verdict::<JobExistsOnce>(), text);
    }

    #[test]
    fn a_lost_job_is_missed_after_healing_only() {
        let tale = Tale::new().submitted("k1", Answer::Accepted(1)).listed(0, &[]);
        assert_eq!(tale.verdict::<JobExistsOnce>(), "fine");
        let tale = tale.then(Effect::Healed).listed(0, &[]);
        let text = "submission k1 was acknowledged as job 1, which is gone";
        assert_eq!(tale.verdict::<JobExistsOnce>(), text);
    }
}
