//! What the controller tells nodes: start this attempt, end this attempt.
//!
//! Messages are Slurm's. The attempt travels as the step id's SLUID; the term of the leader that
//! orders, and the run of the node's daemon that the order is for, travel in the job's SPANK
//! environment, where stock daemons ignore them.

use flurm_base::{Span, Time};
use flurm_model::{EndCause, Job, JobFlags, Limit, NodeName, OpenMode, Share};
use flurm_wire::records::{
    BatchJobLaunch, CoreRuns, CredentialBody, Identity, KillJob, PartitionAndSwitch, Runs,
};
use flurm_wire::{BATCH_STEP, Bits, NO_VAL, NO_VAL16, StepId, UnixTime};

use crate::tables::{Tables, unix};

/// The entry of the SPANK environment that carries the leader's term.
pub const TERM_ENTRY: &str = "FLURM_TERM=";

/// The term in a message's SPANK environment; 0 where a stock controller sent it.
pub fn term_of(spank_job_env: &[String]) -> u64 {
    let entry = spank_job_env.iter().find_map(|entry| entry.strip_prefix(TERM_ENTRY));
    entry.and_then(|term| term.parse().ok()).unwrap_or(0)
}

/// The entry of the SPANK environment that carries the start stamp of the daemon's run.
pub const RUN_ENTRY: &str = "FLURM_RUN=";

/// The run of the node's daemon that a launch is for; `None` where the controller does not say.
pub fn run_of(spank_job_env: &[String]) -> Option<Time> {
    let entry = spank_job_env.iter().find_map(|entry| entry.strip_prefix(RUN_ENTRY))?;
    entry.parse().ok().map(Time::from_secs)
}

/// An order to start a batch step, but for the signature of its credential.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsignedLaunch {
    /// The message, without credential.
    pub launch: BatchJobLaunch,
    /// What the signature is to be made over.
    pub credential: CredentialBody,
}

impl Tables<'_> {
    /// The order to start a job's batch step; `None` when the job has no script or no nodes.
    pub fn launch(&self, job: &Job, term: u64) -> Option<UnsignedLaunch> {
        let batch = job.spec.batch.as_ref()?;
        let allocation = job.allocation.as_ref()?;
        let spec = &job.spec;
        let nodes = self.host_list(allocation.shares.iter().map(|share| &share.node));
        let mut spank = batch.spank_environment.clone();
        spank.push(format!("{TERM_ENTRY}{term}"));
        let host = self.cluster.node(allocation.batch_host().as_str());
        let run = host.and_then(flurm_model::Node::run);
        spank.extend(run.map(|run| format!("{RUN_ENTRY}{}", run.secs())));
        let requests = &spec.requests;
        let array = job.array.as_ref();
        let mut environment = batch.environment.clone();
        environment.extend(spec.array.iter().flat_map(crate::array_view::environment));
        let launch = BatchJobLaunch {
            job_id: job.id.0,
            uid: spec.uid,
            gid: spec.gid,
            user_name: spec.user_name.clone(),
            gids: spec.groups.clone(),
            partition: Some(job.partition.to_string()),
            ntasks: spec.size.tasks.unwrap_or(0),
            pn_min_memory: crate::tables::memory(spec.size.memory),
            open_mode: match spec.streams.open_mode {
                Some(OpenMode::Append) => 1,
                Some(OpenMode::Truncate) => 2,
                None => 0,
            },
            overcommit: u8::from(spec.size.overcommit),
            acctg_freq: requests.acctg_freq.clone(),
            cpu_bind_type: requests.cpu_bind_type.unwrap_or(0),
            cpu_bind: requests.cpu_bind.clone(),
            cpus_per_task: spec.size.cpus_per_task.unwrap_or(0),
            restart_cnt: job.restarts,
            job_core_spec: spec.size.core_spec.unwrap_or(NO_VAL16),
            cpus_per_node: Runs::of(allocation.shares.iter().map(cpus)),
            nodes: Some(nodes.clone()),
            script: Some(batch.script.clone()),
            work_dir: Some(spec.work_dir.clone()),
            std_err: spec.streams.std_err.clone(),
            std_in: spec.streams.std_in.clone(),
            std_out: spec.streams.std_out.clone(),
            argv: batch.argv.clone(),
            spank_job_env: spank,
            environment,
            array_job_id: array.map_or(0, |array| array.job.0),
            array_task_id: array.and_then(|array| array.task).unwrap_or(NO_VAL),
            job_mem: allocation.shares.first().map_or(0, |share| share.memory_mb),
            account: spec.account.clone(),
            qos: spec.qos.clone(),
            resv_name: requests.reservation.clone(),
            profile: requests.profile.unwrap_or(0),
            tres_bind: requests.tres_bind.clone(),
            tres_freq: requests.tres_freq.clone(),
            tres_per_task: requests.tres_per_task.clone(),
            cpu_freq_min: requests.cpu_freq[0].unwrap_or(NO_VAL),
            cpu_freq_max: requests.cpu_freq[1].unwrap_or(NO_VAL),
            cpu_freq_gov: requests.cpu_freq[2].unwrap_or(NO_VAL),
            ..BatchJobLaunch::default()
        };
        let credential = self.credential(job, &allocation.shares, nodes);
        Some(UnsignedLaunch { launch, credential })
    }

    pub(crate) fn credential(&self, job: &Job, shares: &[Share], nodes: String) -> CredentialBody {
        let spec = &job.spec;
        let cores = self.cores(shares);
        let total = cores.iter().map(|node| node.total).sum();
        let count = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        let bitmap = Some(core_bits(&cores, total));
        CredentialBody {
            job_gres_list: crate::gres::job_states(self.cluster, shares),
            step_id: StepId::step(job.id.0, BATCH_STEP).with_sluid(job.attempt.0),
            id: Identity {
                uid: spec.uid,
                gid: spec.gid,
                pw_name: spec.user_name.clone(),
                gids: spec.groups.clone(),
                ..Identity::default()
            },
            job_core_spec: spec.size.core_spec.unwrap_or(NO_VAL16),
            job_account: spec.account.clone(),
            job_comment: spec.comment.clone(),
            job_constraints: spec.features.clone(),
            job_end_time: unix(end_time(job)),
            job_partition: PartitionAndSwitch::from(job.partition.as_str()),
            job_qos: spec.qos.clone(),
            job_reservation: spec.requests.reservation.clone(),
            job_restart_cnt: job.restarts,
            job_start_time: unix(job.start),
            job_std_err: spec.streams.std_err.clone(),
            job_std_in: spec.streams.std_in.clone(),
            job_std_out: spec.streams.std_out.clone(),
            step_hostlist: Some(nodes.clone()),
            ctime: UnixTime(self.now.secs()),
            tot_core_cnt: total,
            job_core_bitmap: bitmap.clone(),
            step_core_bitmap: bitmap,
            cores: core_runs(&cores),
            cpu_array: Runs::of(shares.iter().map(cpus)),
            job_nhosts: count,
            job_ntasks: spec.size.tasks_or_default(),
            job_hostlist: Some(nodes),
            job_mem_alloc: Runs::of(shares.iter().map(|share| share.memory_mb)),
            step_mem_alloc: Runs::of(shares.iter().map(|share| share.memory_mb)),
            ..CredentialBody::default()
        }
    }

    /// The order to end an attempt on a node.
    pub fn terminate(&self, job: &Job, cause: EndCause, term: u64) -> KillJob {
        let nodes = job
            .allocation
            .as_ref()
            .map(|allocation| self.host_list(allocation.shares.iter().map(|share| &share.node)));
        let _ = cause;
        KillJob {
            derived_ec: job.derived_exit_status,
            exit_code: job.exit_status,
            step_id: StepId { step_id: NO_VAL, ..StepId::job(job.id.0).with_sluid(job.attempt.0) },
            job_state: job.base.number() | JobFlags::COMPLETING,
            job_uid: job.spec.uid,
            job_gid: job.spec.gid,
            nodes,
            spank_job_env: vec![format!("{TERM_ENTRY}{term}")],
            start_time: unix(job.start),
            time: UnixTime(self.now.secs()),
            work_dir: Some(job.spec.work_dir.clone()),
            ..KillJob::default()
        }
    }

    /// The cores of a step: as many of each node as it has CPUs there.
    pub(crate) fn step_cores(&self, shares: &[Share], cpus: impl Fn(&Share) -> u32) -> Bits {
        let of_step = |share: &Share| Share { cpus: cpus(share), ..share.clone() };
        let cores = self.cores(&shares.iter().map(of_step).collect::<Vec<_>>());
        let total = cores.iter().map(|node| node.total).sum();
        core_bits(&cores, total)
    }

    fn cores(&self, shares: &[Share]) -> Vec<NodeCores> {
        let of = |share: &Share| {
            let conf = self.cluster.node(&share.node).map(|node| &node.conf);
            let (sockets, per_socket, threads) = conf.map_or((1, 1, 1), |conf| {
                (conf.sockets, conf.cores_per_socket, conf.threads_per_core.max(1))
            });
            let total = u32::from(sockets) * u32::from(per_socket);
            let used = share.cpus.div_ceil(u32::from(threads)).min(total);
            NodeCores { sockets, per_socket, total, used }
        };
        shares.iter().map(of).collect()
    }
}

/// Ends an attempt that the cluster does not know (any more).
pub fn terminate_orphan(job: u32, attempt: u64, node: &NodeName, term: u64, now: Time) -> KillJob {
    KillJob {
        step_id: StepId { step_id: NO_VAL, ..StepId::job(job).with_sluid(attempt) },
        job_state: JobFlags::COMPLETING,
        nodes: Some(node.to_string()),
        spank_job_env: vec![format!("{TERM_ENTRY}{term}")],
        time: UnixTime(now.secs()),
        ..KillJob::default()
    }
}

/// When the time limit ends the job.
pub(crate) fn end_time(job: &Job) -> Option<Time> {
    match (job.start, job.time_limit) {
        (Some(start), Limit::Max(minutes)) => Some(start + Span::secs(u64::from(minutes) * 60)),
        (Some(_), Limit::Unlimited) | (None, _) => None,
    }
}

struct NodeCores {
    sockets: u16,
    per_socket: u16,
    total: u32,
    used: u32,
}

/// The first cores of each node. Which cores exactly is the planner's business once it hands them
/// out one by one; until then CPUs are counted, not named.
fn core_bits(nodes: &[NodeCores], total: u32) -> Bits {
    let mut bits = Bits::new(total);
    let mut base = 0;
    for node in nodes {
        (base..base + node.used).for_each(|core| bits.set(core));
        base += node.total;
    }
    bits
}

fn core_runs(nodes: &[NodeCores]) -> CoreRuns {
    let mut runs = CoreRuns::default();
    for node in nodes {
        let shape = (Some(&node.per_socket), Some(&node.sockets));
        let same = (runs.cores_per_socket.last(), runs.sockets_per_node.last()) == shape;
        match runs.sock_core_rep_count.last_mut() {
            Some(count) if same => *count += 1,
            Some(_) | None => {
                runs.cores_per_socket.push(node.per_socket);
                runs.sockets_per_node.push(node.sockets);
                runs.sock_core_rep_count.push(1);
            }
        }
    }
    runs
}

fn cpus(share: &Share) -> u16 {
    crate::node_view::narrow(share.cpus)
}
