//! What waiting jobs' priorities are made of, as sprio shows it.

use flurm_model::{Factors, Hold, Job, JobBase, Multifactor, PartitionName, priority_flags};
use flurm_wire::messages::{JobPriority, PriorityFactorsRequest, PriorityFactorsResponse};
use flurm_wire::{List, Message, StepId};

use crate::sight::Sight;
use crate::submit::NICE_OFFSET;
use crate::tables::Tables;

/// The resources that Slurm always tracks, in its order.
pub(crate) const TRACKED: [&str; 8] =
    ["cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages"];

impl Tables<'_> {
    /// The priorities of jobs that wait and could start, each in all of its partitions
    /// (`priority_p_get_priority_factors_list`). Under `priority/basic` there are none to tell of.
    pub(crate) fn priorities(&self, ask: &PriorityFactorsRequest, sight: Sight<'_>) -> Message {
        let mut jobs = Vec::new();
        if let Some(rules) = self.weigher().rules() {
            let shown = self.cluster.jobs().filter(|job| self.has_priority(job, rules));
            let named = |job: &&Job| {
                let ids = ask.job_ids.as_deref().is_none_or(|ids| ids.contains(&job.id.0));
                let users = ask.user_ids.as_deref();
                ids && users.is_none_or(|users| users.contains(&job.spec.uid))
            };
            for job in shown.filter(named).filter(|job| sight.job(job)) {
                let partitions = job.partitions.iter().filter(|name| is_named(ask, name));
                jobs.extend(partitions.map(|name| self.priority_of(job, name, rules)));
            }
        }
        Message::ResponsePriorityFactors(PriorityFactorsResponse { jobs: List::from(jobs) })
    }

    fn has_priority(&self, job: &Job, rules: &Multifactor) -> bool {
        let waits = job.base == JobBase::Pending;
        let runs = rules.has(priority_flags::CALCULATE_RUNNING) && !job.base.is_terminal();
        let always = rules.has(priority_flags::ACCRUE_ALWAYS);
        let is_eligible = job.eligible.is_some_and(|since| since <= self.now);
        (waits || runs) && job.hold == Hold::None && (always || is_eligible)
    }

    fn priority_of(
        &self,
        job: &Job,
        partition: &PartitionName,
        rules: &Multifactor,
    ) -> JobPriority {
        let computed = self.weigher().factors(job, partition);
        let direct = if computed.is_none() { f64::from(job.priority) } else { 0.0 };
        let factors = computed.unwrap_or_default();
        let is_weighed = !rules.tres.is_empty() && direct == 0.0;
        let tres = if is_weighed { resources(rules, &factors) } else { Vec::new() };
        let nice = if direct == 0.0 { job.spec.nice } else { 0 };
        JobPriority {
            account: job.spec.account.clone(),
            job: StepId::job(job.id.0).with_sluid(job.attempt.0),
            partition: Some(partition.to_string()),
            direct_prio: direct,
            age: factors.age,
            assoc: factors.assoc,
            fairshare: factors.fairshare,
            job_size: factors.size,
            partition_factor: factors.partition,
            qos_factor: factors.qos,
            site: NICE_OFFSET,
            tres: tres.iter().map(|(_, part, _)| *part).collect(),
            tres_count: u32::try_from(tres.len()).unwrap_or(u32::MAX),
            tres_names: tres.iter().map(|(name, ..)| name.clone()).collect(),
            tres_weights: tres.iter().map(|(_, _, weight)| *weight).collect(),
            nice: NICE_OFFSET.wrapping_add_signed(nice),
            qos: job.spec.qos.clone(),
            user_id: job.spec.uid,
        }
    }
}

fn is_named(ask: &PriorityFactorsRequest, partition: &PartitionName) -> bool {
    let named = ask.partitions.as_deref().filter(|names| !names.is_empty());
    named.is_none_or(|names| names.split(',').any(|name| name == partition.as_str()))
}

/// Every tracked resource with its part of the priority and its weight.
fn resources(rules: &Multifactor, factors: &Factors) -> Vec<(String, f64, f64)> {
    let weighed = || rules.tres.iter().zip(&factors.tres);
    let others = rules.tres.iter().map(|(name, _)| name.as_str());
    let others = others.filter(|name| !TRACKED.contains(name));
    let names = TRACKED.into_iter().chain(others);
    let row = |name: &str| {
        let found = weighed().find(|((weighed, _), _)| weighed == name);
        let (part, weight) =
            found.map_or((0.0, 0.0), |((_, weight), part)| (*part, *weight as f64 / 1_000.0));
        (name.to_owned(), part, weight)
    };
    names.map(row).collect()
}
