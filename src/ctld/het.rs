//! Heterogeneous jobs: several descriptions become one submission; how components are shown, and
//! what they are told of each other.

use std::collections::BTreeSet;

use flurm_base::{JobId, Time};
use flurm_model::{Cluster, Command, Errno, Job, JobSpec, Mail, Memory, NodeName, TaskSet};
use flurm_wire::records::{Allocation, AllocationList, JobDescList, JobInfo};
use flurm_wire::{Errno as WireErrno, Message, StepId};

use crate::allocate::client_of;
use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Request, Then, check_access, own, submitter_of};
use crate::submit::{allocation_job, batch_job, owner_uid};
use crate::tables::Tables;

/// SLURM_ERROR, which Slurm gives for a list of no components.
const NO_COMPONENTS: u32 = u32::MAX;

/// Judges a submission, or a request of a client that waits (`waits`).
pub(crate) fn submit(
    request: &Request<'_>,
    list: &JobDescList,
    waits: bool,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let Some(first) = list.components.first() else { return Err(Refused::plain(NO_COMPONENTS)) };
    let mut specs = Vec::with_capacity(list.components.len());
    for (offset, desc) in list.components.iter().enumerate() {
        let submitter = submitter_of(request, desc, cluster);
        let spec = match waits || offset > 0 {
            true => allocation_job(desc, &submitter),
            false => batch_job(desc, &submitter),
        };
        let spec = spec.map_err(|refused| of_component(offset, refused))?;
        check_access(request, &spec, cluster).map_err(|refused| of_component(offset, refused))?;
        check(offset, &spec)?;
        if owner_uid(desc, request.identity.uid) != owner_uid(first, request.identity.uid) {
            let text = format!("component {offset} is for another user than the first");
            return Err(Refused::because(Errno::UserIdMissing.number(), text));
        }
        specs.push(spec);
    }
    keep_apart(&mut specs);
    for (offset, spec) in specs.iter_mut().enumerate() {
        let both = spec.nodes_required.iter().find(|name| spec.nodes_excluded.contains(name));
        if let Some(name) = both {
            let text = format!("component {offset}: another component requires {name}");
            return Err(Refused::because(Errno::InvalidNodeName.number(), text));
        }
        if offset > 0 {
            // Only the leader tells by mail, and only it decides about another run.
            spec.mail = Mail::default();
        }
    }
    let immediate = specs.iter().any(|spec| spec.immediate);
    let (client, then) = match waits {
        true => {
            let client = Box::new(client_of(request, first));
            (Some(client), Then::HetAllocated { immediate })
        }
        false => (None, Then::Submitted),
    };
    let by = request.identity.actor(cluster.settings());
    let command = Command::SubmitHet { at: now, key: request.key, by, specs, client };
    Ok(Answer::Propose(Box::new(command), then))
}

fn check(offset: usize, spec: &JobSpec) -> Result<(), Refused> {
    if spec.array.is_some() {
        let text = format!("component {offset}: an array has no components");
        return Err(Refused::because(Errno::InvalidArray.number(), text));
    }
    if offset > 0 && spec.requests.licenses.is_some() {
        let text = format!("{offset}: license request allowed only on leader job");
        return Err(Refused::because(Errno::InvalidLicenses.number(), text));
    }
    Ok(())
}

/// Nodes that one component requires are not for the others (`_exclude_het_job_nodes`).
fn keep_apart(specs: &mut [JobSpec]) {
    let required: Vec<BTreeSet<NodeName>> =
        specs.iter().map(|spec| spec.nodes_required.iter().cloned().collect()).collect();
    for (offset, spec) in specs.iter_mut().enumerate() {
        let others = required.iter().enumerate().filter(|(other, _)| *other != offset);
        let excluded: BTreeSet<NodeName> = others.flat_map(|(_, names)| names.clone()).collect();
        let news = excluded.into_iter().filter(|name| !spec.nodes_excluded.contains(name));
        let news: Vec<NodeName> = news.collect();
        spec.nodes_excluded.extend(news);
    }
}

fn of_component(offset: usize, refused: Refused) -> Refused {
    if refused.text.is_empty() {
        return refused;
    }
    Refused { text: format!("component {offset}: {}", refused.text), ..refused }
}

/// Fills in the fields about components.
pub(crate) fn put(job: &Job, info: &mut JobInfo) {
    let Some(het) = &job.het else { return };
    info.het_job_id = het.leader.0;
    info.het_job_offset = het.offset;
    // As Slurm lists them: `7-9,12`.
    let set: TaskSet = het.members.iter().map(|id| id.0).collect();
    info.het_job_id_set = Some(set.to_string().into());
}

/// The allocations of all components, for whoever asks about the leader.
pub(crate) fn components(
    asker: Identity,
    step: StepId,
    tables: &Tables<'_>,
) -> Result<Message, Refused> {
    let job = own(asker, tables.cluster, JobId(step.job_id))?;
    if job.is_led() {
        return Err(Refused::plain(WireErrno::ESLURM_NOT_HET_JOB_LEADER.0));
    }
    crate::allocate::info(asker, step, tables)?;
    Ok(Message::ResponseHetJobAllocation(tables.allocations(job)))
}

impl Tables<'_> {
    /// What the client of a job with components is told: one entry for each.
    pub fn allocations(&self, leader: &Job) -> AllocationList {
        let ids = self.cluster.components(leader);
        let jobs = ids.iter().filter_map(|id| self.cluster.job(*id));
        let components: Vec<Allocation> = jobs.map(|job| self.allocation(job)).collect();
        AllocationList { components }
    }

    /// What the leader's batch script is told of all components (`_set_het_job_env`).
    pub(crate) fn het_environment(&self, leader: &Job) -> Vec<String> {
        let Some(het) = &leader.het else { return Vec::new() };
        let mut environment = Vec::new();
        for (offset, job) in het.members.iter().filter_map(|id| self.cluster.job(*id)).enumerate() {
            for (name, value) in self.told_of(job) {
                environment.push(format!("{name}_PACK_GROUP_{offset}={value}"));
                environment.push(format!("{name}_HET_GROUP_{offset}={value}"));
            }
        }
        let size = het.members.len();
        environment.push(format!("SLURM_PACK_SIZE={size}"));
        environment.push(format!("SLURM_HET_SIZE={size}"));
        environment
    }

    fn told_of(&self, job: &Job) -> Vec<(&'static str, String)> {
        let spec = &job.spec;
        let shares = job.allocation.as_ref().map_or(&[][..], |all| &all.shares);
        let cpus = compressed(shares.iter().map(|share| share.cpus));
        let tasks = compressed(shares.iter().map(|share| share.tasks));
        let nodes = self.host_list(shares.iter().map(|share| &share.node));
        let (per_cpu, per_node) = match spec.size.memory {
            Some(Memory::PerCpu(mb)) => (Some(mb), None),
            Some(Memory::PerNode(mb)) => (None, Some(mb).filter(|mb| *mb > 0)),
            None => (None, None),
        };
        let told = [
            ("SLURM_JOB_ACCOUNT", spec.account.clone()),
            ("SLURM_JOB_CPUS_PER_NODE", Some(cpus)),
            ("SLURM_JOB_ID", Some(job.id.to_string())),
            ("SLURM_JOB_NAME", Some(spec.name.clone())),
            ("SLURM_JOB_NODELIST", Some(nodes)),
            ("SLURM_JOB_NUM_NODES", Some(shares.len().to_string())),
            ("SLURM_JOB_PARTITION", Some(job.partition.to_string())),
            ("SLURM_JOB_QOS", spec.qos.clone()),
            ("SLURM_JOB_RESERVATION", spec.requests.reservation.clone()),
            ("SLURM_MEM_PER_CPU", per_cpu.map(|mb| mb.to_string())),
            ("SLURM_MEM_PER_NODE", per_node.map(|mb| mb.to_string())),
            ("SLURM_TASKS_PER_NODE", Some(tasks)),
        ];
        told.into_iter().filter_map(|(name, value)| Some(name).zip(value)).collect()
    }
}

/// Slurm's compressed form of counts per node: `4(x2),2`.
fn compressed(counts: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for count in counts {
        match runs.last_mut() {
            Some((last, times)) if *last == count => *times += 1,
            Some(_) | None => runs.push((count, 1)),
        }
    }
    let one = |(count, times): &(u32, u32)| match times {
        1 => count.to_string(),
        _ => format!("{count}(x{times})"),
    };
    runs.iter().map(one).collect::<Vec<_>>().join(",")
}
