//! Whose account a job counts for, and what qualities of service it may have.

use std::collections::BTreeMap;

use flurm_base::{JobId, Span, Time};
use flurm_conf::associations::{Association, Associations, Qos};
use serde::{Deserialize, Serialize};

use crate::usage::{Rates, Usage};
use crate::{Cluster, Errno, Job, JobSpec, PartitionConf, PartitionName, Refusal, priority_flags};

/// `AccountingStorageEnforce` as Slurm's bits (slurm.h, `ACCOUNTING_ENFORCE_*`).
pub mod enforce {
    /// A job needs an association.
    pub const ASSOCIATIONS: u16 = 1 << 0;
    /// Limits hold.
    pub const LIMITS: u16 = 1 << 1;
    /// Jobs start only where what they may use fits into what is left.
    pub const SAFE: u16 = 1 << 4;
    /// A job needs a quality of service that its association allows.
    pub const QOS: u16 = 1 << 3;
}

/// Who may compute how much, and for whom it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// `AccountingStorageEnforce` as bits of [`enforce`].
    pub enforce: u16,
    /// Accounts, users and qualities of service.
    pub associations: Associations,
    /// Numbers of the users that are named.
    pub uids: BTreeMap<String, u32>,
}

/// Levels of accounts that are followed, at most: a longer chain would be a circle.
const DEPTH_MAX: usize = 100;
/// The quality of service of who asks for none.
const QOS_NORMAL: &str = "normal";

/// An association's account, user and partition; the last two may be empty.
pub(crate) type Key = (String, String, String);

/// Where each association and each user's name is found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Directory {
    places: BTreeMap<Key, usize>,
    parents: Vec<Option<usize>>,
    names: BTreeMap<u32, String>,
}

impl Directory {
    pub(crate) fn of(accounting: &Accounting) -> Self {
        let list = &accounting.associations.list;
        let places: BTreeMap<Key, usize> =
            list.iter().enumerate().map(|(at, one)| (key_of(one), at)).collect();
        let parent = |one: &Association| {
            let parent = (one.parent.clone(), String::new(), String::new());
            places.get(&parent).copied()
        };
        let parents = list.iter().map(parent).collect();
        let names = accounting.uids.iter().map(|(name, uid)| (*uid, name.clone())).collect();
        Self { places, parents, names }
    }
}

pub(crate) fn key_of(one: &Association) -> Key {
    (one.account.clone(), one.user.clone(), one.partition.clone())
}

impl Cluster {
    /// Accounts and users, each account before those below it. Empty where there is no such file.
    pub fn associations(&self) -> &[Association] {
        &self.settings.accounting.associations.list
    }

    /// A quality of service.
    pub fn qos(&self, name: &str) -> Option<&Qos> {
        self.settings.accounting.associations.qos.iter().find(|qos| qos.name == name)
    }

    /// All qualities of service.
    pub fn qos_all(&self) -> &[Qos] {
        &self.settings.accounting.associations.qos
    }

    /// The position of the association above one.
    pub fn association_above(&self, at: usize) -> Option<usize> {
        self.index.directory.parents.get(at).copied().flatten()
    }

    /// Positions of an association and those above it, the nearest first.
    pub(crate) fn associations_up(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(at), |at| self.association_above(*at)).take(DEPTH_MAX)
    }

    /// The position of the association that a job of this user and account has in a partition.
    pub fn association_for(
        &self,
        uid: u32,
        account: Option<&str>,
        partition: &PartitionName,
    ) -> Option<usize> {
        let directory = &self.index.directory;
        let user = directory.names.get(&uid)?;
        let default =
            || self.settings.accounting.associations.default_accounts.get(user).map(String::as_str);
        let account = account.or_else(default)?.to_ascii_lowercase();
        let own = (account.clone(), user.clone(), partition.to_string());
        let found = directory.places.get(&own);
        found.or_else(|| directory.places.get(&(account, user.clone(), String::new()))).copied()
    }

    /// The position of a job's association.
    pub fn association_of(&self, job: &Job) -> Option<usize> {
        self.association_for(job.spec.uid, job.spec.account.as_deref(), &job.partition)
    }

    /// Fills in account and quality of service, and refuses what the site does not allow
    /// (`_valid_job_part`, `_determine_and_validate_qos`).
    pub(crate) fn settle_association(
        &self,
        spec: &mut JobSpec,
        partitions: &[PartitionName],
    ) -> Result<(), Refusal> {
        if self.settings.accounting.associations.list.is_empty() {
            return Ok(());
        }
        let account = spec.account.as_deref();
        let find = |partition| self.association_for(spec.uid, account, partition);
        let found: Vec<Option<usize>> = partitions.iter().map(find).collect();
        let enforced = self.settings.accounting.enforce;
        if enforced & enforce::ASSOCIATIONS != 0 && found.iter().any(Option::is_none) {
            let text = match account {
                Some(account) => format!("the user is not in account {account}"),
                None => "the user is in no account".to_owned(),
            };
            return Err(Refusal::new(Errno::InvalidAccount, text));
        }
        let found = found.first().copied().flatten();
        if let Some(at) = found {
            spec.account = Some(self.settings.accounting.associations.list[at].account.clone());
        }
        self.settle_qos(spec, found)
    }

    fn settle_qos(&self, spec: &mut JobSpec, found: Option<usize>) -> Result<(), Refusal> {
        let up = || found.into_iter().flat_map(|at| self.associations_up(at));
        let default =
            up().find_map(|at| self.settings.accounting.associations.list[at].qos_default.clone());
        let name = spec.qos.as_ref().map(|name| name.to_ascii_lowercase()).or(default);
        let name = name.unwrap_or_else(|| QOS_NORMAL.to_owned());
        let refused = |text: String| Err(Refusal::new(Errno::InvalidQos, text));
        if self.qos(&name).is_none() {
            return refused(format!("there is no QOS {name}"));
        }
        let lists = up().map(|at| &self.settings.accounting.associations.list[at].qos);
        let allowed = lists.into_iter().find(|names| !names.is_empty());
        let allowed = allowed.is_none_or(|names| names.contains(&name));
        if self.settings.accounting.enforce & enforce::QOS != 0 && !allowed {
            return refused(format!("the association does not allow QOS {name}"));
        }
        spec.qos = Some(name);
        Ok(())
    }

    /// What is used in a second of what a job holds.
    pub(crate) fn rates(&self, job: &Job) -> Rates {
        let Some(allocation) = &job.allocation else { return Rates::default() };
        let cpus = u64::from(allocation.cpus());
        let memory_mb = allocation.shares.iter().map(|share| share.memory_mb).sum();
        let nodes = allocation.shares.len() as u64;
        let conf = self.partitions.get(&job.partition).map(|partition| &partition.conf);
        let qos = job.spec.qos.as_deref().and_then(|name| self.qos(name));
        let factor = qos.map_or(1_000, |qos| u64::from(qos.usage_thousandths));
        let flags = self.settings.priority.as_ref().map_or(0, |rules| rules.flags);
        let dearest = flags & priority_flags::MAX_TRES != 0;
        let billing = billing(conf, cpus, memory_mb, nodes, dearest);
        Rates { billing, cpus, memory_mb, nodes, factor }
    }

    /// An attempt is over: what it used counts for its association and all above.
    pub(crate) fn account_for(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let (Some(start), Some(end)) = (job.start, job.end) else { return };
        let Some(at) = self.association_of(job) else { return };
        let half_life = self.half_life();
        let used = Usage::of_run(start, end, self.rates(job), half_life);
        let keys: Vec<Key> = self
            .associations_up(at)
            .map(|at| key_of(&self.settings.accounting.associations.list[at]))
            .collect();
        for key in keys {
            let sum = self.usage.entry(key).or_default();
            *sum = sum.plus(used, half_life);
        }
    }

    /// Forgets usage of which nothing is left, so that associations of long ago go.
    pub(crate) fn forget_faded(&mut self, at: Time) {
        let half_life = self.half_life();
        self.usage.retain(|_, usage| !usage.faded(at, half_life).is_gone());
    }

    pub(crate) fn half_life(&self) -> Span {
        self.settings.priority.as_ref().map_or(Span(0), |rules| rules.half_life)
    }

    /// What running jobs of every association, and of those below it, may still use until their time
    /// limits, in the list's order.
    pub fn usage_to_come(&self, now: Time) -> Vec<Usage> {
        let mut all = vec![Usage::default(); self.associations().len()];
        for job in self.holding().filter(|job| job.end.is_none()) {
            let (Some(end), Some(at)) = (job.time_limit_end(), self.association_of(job)) else {
                continue;
            };
            let to_come = Usage::of_run(now, end.max(now), self.rates(job), Span(0));
            for at in self.associations_up(at) {
                all[at] = all[at].plus(to_come, Span(0));
            }
        }
        all
    }

    /// What every association has used up to a time, running jobs included, in the list's order.
    pub fn usage_at(&self, now: Time) -> Vec<Usage> {
        let half_life = self.half_life();
        let list = &self.settings.accounting.associations.list;
        let known = |one| self.usage.get(&key_of(one)).copied().unwrap_or_default();
        let mut all: Vec<Usage> = list.iter().map(|one| known(one).faded(now, half_life)).collect();
        if list.is_empty() {
            return all;
        }
        for job in self.holding().filter(|job| job.end.is_none()) {
            let (Some(start), Some(at)) = (job.start, self.association_of(job)) else { continue };
            let used = Usage::of_run(start, now.max(start), self.rates(job), half_life);
            for at in self.associations_up(at) {
                all[at] = all[at].plus(used, half_life);
            }
        }
        all
    }
}

/// Thousandths of billing units (`calc_job_billable_tres`): the sum of resources by their
/// `TRESBillingWeights`, or the dearest of a node's and the sum of the others; CPUs without weights.
fn billing(
    conf: Option<&PartitionConf>,
    cpus: u64,
    memory_mb: u64,
    nodes: u64,
    dearest: bool,
) -> u64 {
    let text = conf.and_then(|conf| conf.billing_weights.as_deref()).unwrap_or_default();
    if text.is_empty() {
        return cpus.saturating_mul(1_000);
    }
    let (mut sum, mut most) = (0.0_f64, 0.0_f64);
    for (name, weight) in text.split(',').filter_map(|part| part.split_once('=')) {
        let digits = weight.trim().trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match weight.trim()[digits.len()..].to_ascii_lowercase().as_str() {
            "g" => 1_024.0,
            "t" => 1_024.0 * 1_024.0,
            _ => 1.0,
        };
        let count = match name.trim().to_ascii_lowercase().as_str() {
            "cpu" => cpus,
            "mem" => memory_mb,
            "node" => nodes,
            _ => 0,
        };
        let part = count as f64 * digits.parse::<f64>().unwrap_or(0.0) / unit;
        sum += part;
        most = most.max(part);
    }
    let units = if dearest { most } else { sum };
    (units * 1_000.0).round() as u64
}
