//! Limits of associations and qualities of service: what keeps a job from starting or from being
//! submitted, with Slurm's reasons (acct_policy.c).
//!
//! A limit of a quality of service stands for the same limit of associations, and the partition's
//! quality of service for the job's own, unless that has the flag `OverPartQOS`. `Grp` limits hold for an
//! association and all above it; the others are taken from the nearest association that has them.

use std::collections::BTreeMap;

use flurm_base::Time;
use flurm_conf::associations::{Limits, Qos, Tres};

use crate::association::enforce;
use crate::{
    Cluster, Errno, Job, JobBase, JobSpec, Limit, Memory, PartitionName, Placement, Reason,
    Refusal, Usage,
};

/// How much of what limits count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// CPUs.
    pub cpus: u64,
    /// Memory, MB.
    pub memory_mb: u64,
    /// Nodes; of several jobs together, each one's.
    pub nodes: u64,
}

impl Amounts {
    /// What a job asks for.
    pub fn asked(spec: &JobSpec) -> Self {
        let cpus = u64::from(spec.size.cpus_min);
        let nodes = u64::from(spec.size.nodes_min.max(1));
        let memory_mb = match spec.size.memory {
            None => 0,
            Some(Memory::PerNode(mb)) => mb.saturating_mul(nodes),
            Some(Memory::PerCpu(mb)) => mb.saturating_mul(cpus),
        };
        Self { cpus, memory_mb, nodes }
    }

    /// What a job would get.
    pub fn placed<'p>(parts: impl IntoIterator<Item = &'p Placement>) -> Self {
        let add = |sum: Self, part: &Placement| Self {
            cpus: sum.cpus + u64::from(part.cpus),
            memory_mb: sum.memory_mb + part.memory_mb,
            nodes: sum.nodes + 1,
        };
        parts.into_iter().fold(Self::default(), add)
    }

    /// Of a resource by its name; zero for those that are not counted.
    pub(crate) fn of(self, name: &str) -> u64 {
        match name {
            "cpu" | "billing" => self.cpus,
            "mem" => self.memory_mb,
            "node" => self.nodes,
            _ => 0,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpus: self.cpus + other.cpus,
            memory_mb: self.memory_mb + other.memory_mb,
            nodes: self.nodes + other.nodes,
        }
    }
}

/// Jobs that run, and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    jobs: u32,
    amounts: Amounts,
    /// Seconds that running jobs may still run, with their CPUs, memory and nodes.
    to_come: Usage,
}

impl Held {
    fn add(&mut self, amounts: Amounts, to_come: Usage) {
        self.jobs += 1;
        self.amounts = self.amounts.plus(amounts);
        self.to_come = self.to_come.plus(to_come, flurm_base::Span(0));
    }
}

/// Whose limits a job is under.
#[derive(Clone, Debug)]
struct Under {
    association: Option<usize>,
    uid: u32,
    account: String,
    /// Positions of qualities of service, the one that counts first.
    qos: Vec<usize>,
}

/// Who runs how much, as limits see it.
#[derive(Debug)]
pub struct Ledger<'a> {
    cluster: &'a Cluster,
    now: Time,
    is_enforced: bool,
    is_safe: bool,
    used: Vec<Usage>,
    associations: Vec<Held>,
    qos: BTreeMap<usize, Held>,
    users: BTreeMap<(usize, u32), Held>,
    accounts: BTreeMap<(usize, String), Held>,
}

/// Reasons by resource: CPUs, memory, nodes, billing, others.
type Row = [Reason; 5];

struct Words {
    grp: Row,
    grp_mins: Row,
    grp_run_mins: Row,
    per_job: Row,
    per_node: Row,
    mins_per_job: Row,
    per_user: Row,
    per_account: Row,
    least: Row,
}

const ASSOC: Words = Words {
    grp: [
        Reason::AssocGrpCpu,
        Reason::AssocGrpMemory,
        Reason::AssocGrpNode,
        Reason::AssocGrpBilling,
        Reason::AssocGrpOther,
    ],
    grp_mins: [
        Reason::AssocGrpCpuMinutes,
        Reason::AssocGrpMemoryMinutes,
        Reason::AssocGrpNodeMinutes,
        Reason::AssocGrpBillingMinutes,
        Reason::AssocGrpOtherMinutes,
    ],
    grp_run_mins: [
        Reason::AssocGrpCpuRunMinutes,
        Reason::AssocGrpMemoryRunMinutes,
        Reason::AssocGrpNodeRunMinutes,
        Reason::AssocGrpBillingRunMinutes,
        Reason::AssocGrpOtherRunMinutes,
    ],
    per_job: [
        Reason::AssocMaxCpuPerJob,
        Reason::AssocMaxMemoryPerJob,
        Reason::AssocMaxNodePerJob,
        Reason::AssocMaxBillingPerJob,
        Reason::AssocMaxOtherPerJob,
    ],
    per_node: [
        Reason::AssocMaxCpuPerNode,
        Reason::AssocMaxMemoryPerNode,
        Reason::AssocMaxOtherPerNode,
        Reason::AssocMaxBillingPerNode,
        Reason::AssocMaxOtherPerNode,
    ],
    mins_per_job: [
        Reason::AssocMaxCpuMinutesPerJob,
        Reason::AssocMaxMemoryMinutesPerJob,
        Reason::AssocMaxNodeMinutesPerJob,
        Reason::AssocMaxBillingMinutesPerJob,
        Reason::AssocMaxOtherMinutesPerJob,
    ],
    // Only a quality of service has these.
    per_user: [Reason::AssocMaxOtherPerJob; 5],
    per_account: [Reason::AssocMaxOtherPerJob; 5],
    least: [Reason::AssocMaxOtherPerJob; 5],
};
const QOS: Words = Words {
    grp: [
        Reason::QosGrpCpu,
        Reason::QosGrpMemory,
        Reason::QosGrpNode,
        Reason::QosGrpBilling,
        Reason::QosGrpOther,
    ],
    grp_mins: [
        Reason::QosGrpCpuMinutes,
        Reason::QosGrpMemoryMinutes,
        Reason::QosGrpNodeMinutes,
        Reason::QosGrpBillingMinutes,
        Reason::QosGrpOtherMinutes,
    ],
    grp_run_mins: [
        Reason::QosGrpCpuRunMinutes,
        Reason::QosGrpMemoryRunMinutes,
        Reason::QosGrpNodeRunMinutes,
        Reason::QosGrpBillingRunMinutes,
        Reason::QosGrpOtherRunMinutes,
    ],
    per_job: [
        Reason::QosMaxCpuPerJob,
        Reason::QosMaxMemoryPerJob,
        Reason::QosMaxNodePerJob,
        Reason::QosMaxBillingPerJob,
        Reason::QosMaxOtherPerJob,
    ],
    per_node: [
        Reason::QosMaxCpuPerNode,
        Reason::QosMaxMemoryPerNode,
        Reason::QosMaxOtherPerNode,
        Reason::QosMaxBillingPerNode,
        Reason::QosMaxOtherPerNode,
    ],
    mins_per_job: [
        Reason::QosMaxCpuMinutesPerJob,
        Reason::QosMaxMemoryMinutesPerJob,
        Reason::QosMaxNodeMinutesPerJob,
        Reason::QosMaxBillingMinutesPerJob,
        Reason::QosMaxOtherMinutesPerJob,
    ],
    per_user: [
        Reason::QosMaxCpuPerUser,
        Reason::QosMaxMemoryPerUser,
        Reason::QosMaxNodePerUser,
        Reason::QosMaxBillingPerUser,
        Reason::QosMaxOtherPerUser,
    ],
    per_account: [
        Reason::QosMaxCpuPerAccount,
        Reason::QosMaxMemoryPerAccount,
        Reason::QosMaxNodePerAccount,
        Reason::QosMaxBillingPerAccount,
        Reason::QosMaxOtherPerAccount,
    ],
    least: [
        Reason::QosMinCpu,
        Reason::QosMinMemory,
        Reason::QosMinNode,
        Reason::QosMinBilling,
        Reason::QosMinOther,
    ],
};

fn word(row: &Row, resource: &str) -> Reason {
    let nth = ["cpu", "mem", "node", "billing"].iter().position(|name| *name == resource);
    row[nth.unwrap_or(4)]
}

/// Limits that an earlier one in line has spoken for: later ones of the same kind do not count.
#[derive(Default)]
struct Spoken(std::collections::BTreeSet<(&'static str, String)>);

impl Spoken {
    /// Whether this is the first of its kind; it has spoken then.
    fn first(&mut self, kind: &'static str, resource: &str) -> bool {
        self.0.insert((kind, resource.to_owned()))
    }

    fn has(&self, kind: &'static str, resource: &str) -> bool {
        self.0.contains(&(kind, resource.to_owned()))
    }
}

/// One job as limits look at it.
struct Look<'l> {
    asked: Amounts,
    /// Minutes that it may run; `None` for no limit.
    minutes: Option<u64>,
    words: &'l Words,
    held: Held,
    used: Option<Usage>,
}

impl Look<'_> {
    fn minutes_of(&self, resource: &str) -> u64 {
        self.minutes.unwrap_or(u64::MAX).saturating_mul(self.asked.of(resource).min(u64::MAX / 2))
    }
}

impl<'a> Ledger<'a> {
    /// As a cluster stands; empty where limits are not enforced.
    pub fn new(cluster: &'a Cluster, now: Time) -> Self {
        let enforced = cluster.settings().accounting.enforce;
        let is_enforced = enforced & enforce::LIMITS != 0 && !cluster.associations().is_empty();
        let mut ledger = Self {
            cluster,
            now,
            is_enforced,
            is_safe: enforced & enforce::SAFE != 0,
            used: Vec::new(),
            associations: vec![Held::default(); cluster.associations().len()],
            qos: BTreeMap::new(),
            users: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        if !is_enforced {
            return ledger;
        }
        ledger.used = cluster.usage_at(now);
        for job in cluster.holding().filter(|job| job.end.is_none()) {
            let Some(allocation) = &job.allocation else { continue };
            let amounts = Amounts {
                cpus: u64::from(allocation.cpus()),
                memory_mb: allocation.shares.iter().map(|share| share.memory_mb).sum(),
                nodes: allocation.shares.len() as u64,
            };
            let end = job.time_limit_end().unwrap_or(now).max(now);
            ledger.add(&job.spec, &job.partition, amounts, end);
        }
        ledger
    }

    /// A job starts.
    pub fn start(
        &mut self,
        spec: &JobSpec,
        partition: &PartitionName,
        amounts: Amounts,
        time_limit: Limit,
    ) {
        let minutes = match time_limit {
            Limit::Max(minutes) => u64::from(minutes),
            Limit::Unlimited => 0,
        };
        let end = self.now + flurm_base::Span::secs(minutes * 60);
        self.add(spec, partition, amounts, end);
    }

    fn add(&mut self, spec: &JobSpec, partition: &PartitionName, amounts: Amounts, end: Time) {
        if !self.is_enforced {
            return;
        }
        let under = self.under(spec, partition);
        let to_come = crate::usage::of_amounts(self.now, end, amounts);
        if let Some(own) = under.association {
            let up: Vec<usize> = self.cluster.associations_up(own).collect();
            for at in up {
                self.associations[at].add(amounts, to_come);
            }
        }
        for at in under.qos {
            self.qos.entry(at).or_default().add(amounts, to_come);
            self.users.entry((at, under.uid)).or_default().add(amounts, to_come);
            let account = (at, under.account.clone());
            self.accounts.entry(account).or_default().add(amounts, to_come);
        }
    }

    fn under(&self, spec: &JobSpec, partition: &PartitionName) -> Under {
        let account = spec.account.clone().unwrap_or_default();
        let association =
            self.cluster.association_for(spec.uid, spec.account.as_deref(), partition);
        Under { association, uid: spec.uid, account, qos: self.cluster.qos_over(spec, partition) }
    }

    /// Why a job must not start now with these resources; `None` when it may.
    pub fn refuses(
        &self,
        spec: &JobSpec,
        partition: &PartitionName,
        asked: Amounts,
        time_limit: Limit,
    ) -> Option<Reason> {
        if !self.is_enforced {
            return None;
        }
        let under = self.under(spec, partition);
        let minutes = match time_limit {
            Limit::Max(minutes) => Some(u64::from(minutes)),
            Limit::Unlimited => None,
        };
        let mut spoken = Spoken::default();
        for at in &under.qos {
            let qos = &self.cluster.qos_all()[*at];
            let held = self.qos.get(at).copied().unwrap_or_default();
            let look = Look { asked, minutes, words: &QOS, held, used: None };
            let user = self.users.get(&(*at, under.uid)).copied().unwrap_or_default();
            let account = (*at, under.account.clone());
            let account = self.accounts.get(&account).copied().unwrap_or_default();
            let reason = self.qos_refuses(qos, &look, user, account, &mut spoken);
            if reason.is_some() {
                return reason;
            }
        }
        let own = under.association?;
        let up = self.cluster.associations_up(own);
        let mut up = up;
        up.find_map(|at| {
            let limits = &self.cluster.associations()[at].limits;
            let (held, used) = (self.associations[at], self.used.get(at).copied());
            let look = Look { asked, minutes, words: &ASSOC, held, used };
            let group = self.group_refuses(limits, &look, &mut Spoken::default(), Some(&spoken));
            group.or_else(|| self.own_refuses(limits, &look, own, &mut spoken))
        })
    }

    /// Limits of a quality of service (`_qos_job_runnable_pre_select`, `…_post_select`).
    fn qos_refuses(
        &self,
        qos: &Qos,
        look: &Look<'_>,
        user: Held,
        account: Held,
        spoken: &mut Spoken,
    ) -> Option<Reason> {
        let limits = &qos.limits;
        let counts = [
            ("grp_jobs", limits.grp_jobs, look.held.jobs, Reason::QosGrpJobs),
            (
                "jobs_per_account",
                limits.max_jobs_per_account,
                account.jobs,
                Reason::QosMaxJobsPerAccount,
            ),
            ("max_jobs", limits.max_jobs, user.jobs, Reason::QosMaxJobsPerUser),
        ];
        for (kind, limit, jobs, reason) in counts {
            let Some(most) = limit.filter(|_| spoken.first(kind, "")) else { continue };
            if jobs >= most {
                return Some(reason);
            }
        }
        if let Some(most) = limits.max_wall_min.filter(|_| spoken.first("max_wall", ""))
            && look.minutes.is_none_or(|minutes| minutes > u64::from(most))
        {
            return Some(Reason::QosMaxWall);
        }
        let group = self.group_refuses(limits, look, spoken, None);
        let single = || single_refuses(limits, look, spoken);
        group.or_else(single).or_else(|| {
            let tables = [
                ("per_account", &limits.max_tres_per_account, account, &look.words.per_account),
                ("per_user", &limits.max_tres_per_user, user, &look.words.per_user),
            ];
            tables.into_iter().find_map(|(kind, table, held, words)| {
                over(table, kind, words, spoken, |name| {
                    look.asked.of(name).saturating_add(held.amounts.of(name))
                })
            })
        })
    }

    /// What all jobs of a group may have together. `over` are limits that others have spoken for.
    fn group_refuses(
        &self,
        limits: &Limits,
        look: &Look<'_>,
        spoken: &mut Spoken,
        over_these: Option<&Spoken>,
    ) -> Option<Reason> {
        let is_open = |kind: &'static str, name: &str| {
            over_these.is_none_or(|others| !others.has(kind, name))
        };
        let is_association = over_these.is_some();
        if is_association && is_open("grp_jobs", "") {
            let full = limits.grp_jobs.is_some_and(|most| look.held.jobs >= most);
            if full {
                return Some(Reason::AssocGrpJobs);
            }
        }
        if let (Some(most), Some(used)) = (limits.grp_wall_min, look.used)
            && is_open("grp_wall", "")
        {
            let minutes = (used.wall_s() / 60.0) as u64;
            let next = if self.is_safe { look.minutes.unwrap_or(u64::MAX) } else { 0 };
            let over = minutes >= u64::from(most) || minutes.saturating_add(next) > u64::from(most);
            if over {
                return Some(Reason::AssocGrpWall);
            }
        }
        let open = |kind: &'static str, table: &Tres| -> Tres {
            table.iter().filter(|(name, _)| is_open(kind, name)).cloned().collect()
        };
        if let Some(used) = look.used {
            let used = |name: &str| (used.seconds(name) / 60.0) as u64;
            for (name, most) in open("grp_mins", &limits.grp_tres_mins) {
                let running = (look.held.to_come.seconds(&name) / 60.0) as u64;
                let wanted = look.minutes_of(&name);
                let safe = used(&name).saturating_add(running).saturating_add(wanted) <= most;
                if used(&name) >= most || wanted > most || (self.is_safe && !safe) {
                    return Some(word(&look.words.grp_mins, &name));
                }
            }
        }
        let table = open("grp", &limits.grp_tres);
        let grp = over(&table, "grp", &look.words.grp, spoken, |name| {
            look.asked.of(name).saturating_add(look.held.amounts.of(name))
        });
        let table = open("grp_run_mins", &limits.grp_tres_run_mins);
        grp.or_else(|| {
            over(&table, "grp_run_mins", &look.words.grp_run_mins, spoken, |name| {
                let running = (look.held.to_come.seconds(name) / 60.0) as u64;
                look.minutes_of(name).saturating_add(running)
            })
        })
    }

    /// Limits of single jobs and of the association's own number of jobs, where it or the nearest
    /// above it has them.
    fn own_refuses(
        &self,
        limits: &Limits,
        look: &Look<'_>,
        own: usize,
        spoken: &mut Spoken,
    ) -> Option<Reason> {
        let per_account = spoken.has("jobs_per_account", "");
        if !per_account
            && let Some(most) = limits.max_jobs.filter(|_| spoken.first("max_jobs", ""))
            && self.associations[own].jobs >= most
        {
            return Some(Reason::AssocMaxJobs);
        }
        if let Some(most) = limits.max_wall_min.filter(|_| spoken.first("max_wall", ""))
            && look.minutes.is_none_or(|minutes| minutes > u64::from(most))
        {
            return Some(Reason::AssocMaxWall);
        }
        single_refuses(limits, look, spoken)
    }
}

/// Limits that look at the job alone.
fn single_refuses(limits: &Limits, look: &Look<'_>, spoken: &mut Spoken) -> Option<Reason> {
    let words = look.words;
    let minutes = &limits.max_tres_mins_per_job;
    let asked = |name: &str| look.asked.of(name);
    let reason =
        over(minutes, "mins_per_job", &words.mins_per_job, spoken, |name| look.minutes_of(name));
    let reason =
        reason.or_else(|| over(&limits.max_tres_per_job, "per_job", &words.per_job, spoken, asked));
    let reason = reason.or_else(|| {
        over(&limits.max_tres_per_node, "per_node", &words.per_node, spoken, |name| {
            look.asked.of(name) / look.asked.nodes.max(1)
        })
    });
    reason.or_else(|| {
        let first = |(name, _): &&(String, u64)| spoken.first("least", name);
        let mut least = limits.min_tres_per_job.iter().filter(first);
        let missed = least.find(|(name, least)| look.asked.of(name) < *least);
        missed.map(|(name, _)| word(&words.least, name))
    })
}

/// The first limit of a list that an amount is over.
fn over(
    table: &Tres,
    kind: &'static str,
    words: &Row,
    spoken: &mut Spoken,
    amount: impl Fn(&str) -> u64,
) -> Option<Reason> {
    let mut reason = None;
    for (name, most) in table {
        if spoken.first(kind, name) && amount(name) > *most && reason.is_none() {
            reason = Some(word(words, name));
        }
    }
    reason
}

impl Cluster {
    /// Positions of the qualities of service that a job is under, the one that counts first
    /// (`acct_policy_set_qos_order`).
    fn qos_over(&self, spec: &JobSpec, partition: &PartitionName) -> Vec<usize> {
        let place = |name: &str| self.qos_all().iter().position(|qos| qos.name == name);
        let own = spec.qos.as_deref().and_then(place);
        let conf = self.partition(partition).map(|partition| &partition.conf);
        let of_partition = conf.and_then(|conf| conf.qos.as_deref());
        let of_partition = of_partition.and_then(|name| place(&name.to_ascii_lowercase()));
        let own_first =
            own.is_some_and(|at| self.qos_all()[at].flags.iter().any(|flag| flag == "overpartqos"));
        let order = if own_first { [own, of_partition] } else { [of_partition, own] };
        let mut all: Vec<usize> = order.into_iter().flatten().collect();
        all.dedup();
        all
    }

    /// Refuses a submission that makes too many jobs (`_acct_policy_validate`): those limits that
    /// count what waits too.
    pub(crate) fn check_submit_limits(
        &self,
        spec: &JobSpec,
        partition: &PartitionName,
    ) -> Result<(), Refusal> {
        let is_enforced = self.settings.accounting.enforce & enforce::LIMITS != 0;
        if !is_enforced || self.associations().is_empty() {
            return Ok(());
        }
        let new = spec.array.as_ref().map_or(1, |array| array.tasks.count());
        let mut spoken = Spoken::default();
        for at in self.qos_over(spec, partition) {
            let (qos, name) = (&self.qos_all()[at], &self.qos_all()[at].name);
            let of_qos = |job: &Job| self.qos_over(&job.spec, &job.partition).contains(&at);
            let limits = &qos.limits;
            let user = |job: &Job| of_qos(job) && job.spec.uid == spec.uid;
            let account = |job: &Job| of_qos(job) && job.spec.account == spec.account;
            self.too_many(limits.grp_submit, "grp", new, name, &mut spoken, of_qos)?;
            self.too_many(
                limits.max_submit_per_account,
                "account",
                new,
                name,
                &mut spoken,
                account,
            )?;
            self.too_many(limits.max_submit, "own", new, name, &mut spoken, user)?;
        }
        let found = self.association_for(spec.uid, spec.account.as_deref(), partition);
        let Some(own) = found else { return Ok(()) };
        let grp_spoken = spoken.has("grp", "");
        for at in self.associations_up(own) {
            let one = &self.associations()[at];
            let below = |job: &Job| {
                let found = self.association_of(job);
                found.is_some_and(|found| self.associations_up(found).any(|up| up == at))
            };
            if !grp_spoken {
                let mut fresh = Spoken::default();
                self.too_many(one.limits.grp_submit, "grp", new, &one.account, &mut fresh, below)?;
            }
            if !spoken.has("account", "") {
                let mine = |job: &Job| self.association_of(job) == Some(own);
                self.too_many(one.limits.max_submit, "own", new, &one.account, &mut spoken, mine)?;
            }
        }
        Ok(())
    }

    fn too_many(
        &self,
        limit: Option<u32>,
        kind: &'static str,
        new: u32,
        name: &str,
        spoken: &mut Spoken,
        counts: impl Fn(&Job) -> bool,
    ) -> Result<(), Refusal> {
        let Some(most) = limit.filter(|_| spoken.first(kind, "")) else { return Ok(()) };
        let live = |job: &&Job| match job.base {
            JobBase::Pending | JobBase::Running | JobBase::Suspended => counts(job),
            _ => false,
        };
        let jobs: u32 = self.jobs.values().filter(live).map(|job| job.tasks_waiting().max(1)).sum();
        if jobs.saturating_add(new) > most {
            let text = format!("{name} may have {most} jobs waiting and running");
            return Err(Refusal::new(Errno::AccountingPolicy, text));
        }
        Ok(())
    }
}
