//! `scontrol top`: a user's jobs trade places in the queue.

use std::collections::BTreeMap;

use flurm_base::{JobId, Time};

use crate::apply::{Events, Outcome};
use crate::{Actor, Cluster, Errno, Event, Hold, Job, JobBase, Refusal, Reply};

impl Cluster {
    /// Gives jobs the highest priorities among those of their user, partition, account and QOS; the
    /// others come after them (`_set_top` in slurmctld).
    pub(crate) fn top(
        &mut self,
        at: Time,
        by: Actor,
        wanted: &[JobId],
        events: &mut Events,
    ) -> Outcome {
        let (jobs, trouble) = self.to_be_topped(by, wanted)?;
        let Some(first) = jobs.first().map(|id| &self.jobs[id]) else {
            return Err(Refusal::from(trouble.unwrap_or(Errno::InvalidJobId)));
        };
        let beside = |job: &&Job| {
            let spec = &job.spec;
            let mine = spec.uid == first.spec.uid
                && spec.account == first.spec.account
                && spec.qos == first.spec.qos
                && job.partitions == first.partitions;
            mine && job.base == JobBase::Pending && job.priority > 1 && !jobs.contains(&job.id)
        };
        let mut others: Vec<&Job> = self.jobs.values().filter(beside).collect();
        let weigher = crate::Weigher::new(self, at);
        let named = jobs.iter().map(|id| &self.jobs[id]).chain(others.iter().copied());
        let before: BTreeMap<JobId, u32> =
            named.map(|job| (job.id, weigher.priority(job))).collect();
        others.sort_by_key(|job| (std::cmp::Reverse(before[&job.id]), job.submit));
        let others: Vec<JobId> = others.into_iter().map(|job| job.id).collect();
        let all = jobs.iter().chain(&others);
        let mut priorities: Vec<u32> = all.map(|id| before[id]).collect();
        priorities.sort_unstable_by(|one, other| other.cmp(one));
        let mut last = None;
        let mut owed: i64 = 0;
        for (id, highest) in jobs.iter().zip(priorities) {
            let again = last.filter(|last| *last == highest && *last > 2);
            let next = again.map_or(highest, |last| last - 1);
            last = Some(next);
            let job = &self.jobs[id];
            let nice = i64::from(job.spec.nice).min(i64::from(next) - i64::from(before[id]));
            owed += nice;
            self.move_in_queue(at, *id, next, -nice, events);
        }
        let mut last = i64::from(last.expect("at least one job was given a priority"));
        for (nth, id) in others.iter().enumerate() {
            let left = i64::try_from(others.len() - nth).unwrap_or(i64::MAX);
            let priority = i64::from(before[id]);
            let next = (priority - owed / left).min(last - 1).max(1);
            // Slurm lets them share a priority; here each keeps its place.
            last = next;
            owed -= priority - next;
            let next = u32::try_from(next).unwrap_or(1);
            self.move_in_queue(at, *id, next, priority - i64::from(next), events);
        }
        Ok(Reply::Done)
    }

    /// Those that can be moved, and why others cannot.
    fn to_be_topped(
        &self,
        by: Actor,
        wanted: &[JobId],
    ) -> Result<(Vec<JobId>, Option<Errno>), Refusal> {
        let (mut jobs, mut trouble) = (Vec::new(), None);
        for id in wanted {
            let job = self.find_job(*id)?;
            if !by.privileged && job.spec.uid != by.uid {
                return Err(Refusal::from(Errno::AccessDenied));
            }
            if job.base != JobBase::Pending {
                trouble = Some(Errno::JobNotPending);
            } else if job.partitions.len() > 1 {
                return Err(Refusal::from(Errno::RequestedPartConfigUnavailable));
            } else if job.hold != Hold::None {
                trouble = Some(Errno::JobHeld);
            } else if !jobs.contains(id) {
                jobs.push(*id);
            }
        }
        Ok((jobs, trouble))
    }

    fn move_in_queue(
        &mut self,
        at: Time,
        id: JobId,
        priority: u32,
        nice: i64,
        events: &mut Events,
    ) {
        self.change_job(at, id, |job, _| {
            job.priority = priority.max(1);
            let spec = std::sync::Arc::make_mut(&mut job.spec);
            spec.nice = i32::try_from(i64::from(spec.nice) + nice).unwrap_or(spec.nice);
        });
        events.push(Event::JobChanged(id));
    }
}
