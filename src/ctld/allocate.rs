//! Allocations: what salloc and srun ask for, are told, and give back.

use flurm_base::Time;
use flurm_model::{AllocClient, Cluster, Command, Errno, Job, JobBase};
use flurm_wire::messages::{CompleteJobAllocation, ReturnCode, SrunTimeout};
use flurm_wire::records::{Allocation, AllocationList, JobDesc, Runs};
use flurm_wire::{Errno as WireErrno, Message, NO_VAL, StepId};

use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Request, Then, check_access, own, submitter_of};
use crate::submit::{allocation_job, text};
use crate::tables::{Tables, memory, unix};

/// Bits of the answer whether a job is ready (slurm.h, `READY_*`): nodes, job, prolog.
const READY: u32 = 1 | 2 | 4;
/// "Any" on the wire where Slurm prints `*`.
const ANY: u16 = u16::MAX;

/// Judges a request for an allocation.
pub(crate) fn allocate(
    request: &Request<'_>,
    desc: &JobDesc,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let asker = request.identity;
    let settings = cluster.settings();
    let spec = Box::new(allocation_job(desc, &submitter_of(request, desc, cluster))?);
    check_access(request, &spec, cluster)?;
    let client = AllocClient {
        // Where a client says no host it is reached where it runs.
        host: text(&desc.resp_host).unwrap_or_else(|| request.peer.clone()),
        allocation_port: desc.alloc_resp_port,
        message_port: desc.other_port,
        release: request.release,
    };
    let by = asker.actor(settings);
    let immediate = spec.immediate;
    let client = Box::new(client);
    let command = Command::Allocate { at: now, key: request.key, by, spec, client };
    Ok(Answer::Propose(Box::new(command), Then::Allocated { immediate }))
}

/// The job whose allocation is asked about; only its owner and operators are told.
pub(crate) fn info(asker: Identity, step: StepId, tables: &Tables<'_>) -> Result<Message, Refused> {
    let job = own(asker, tables.cluster, flurm_base::JobId(step.job_id))?;
    match job.base {
        JobBase::Running | JobBase::Suspended => {}
        JobBase::Pending => return Err(Errno::JobPending.into()),
        _ => return Err(Errno::AlreadyDone.into()),
    }
    Ok(Message::ResponseJobAllocationInfo(Box::new(tables.allocation(job))))
}

/// The same as a list of components: a job of one kind has one, itself.
pub(crate) fn components(
    asker: Identity,
    step: StepId,
    tables: &Tables<'_>,
) -> Result<Message, Refused> {
    let Message::ResponseJobAllocationInfo(one) = info(asker, step, tables)? else {
        unreachable!("an allocation's answer is of one kind");
    };
    Ok(Message::ResponseHetJobAllocation(AllocationList { components: vec![*one] }))
}

/// Whether a job's nodes are ready for its steps.
pub(crate) fn ready(cluster: &Cluster, job_id: u32) -> Result<Message, Refused> {
    let job = cluster.job(flurm_base::JobId(job_id)).ok_or(Errno::InvalidJobId);
    let job = job.map_err(Refused::from)?;
    let return_code = match job.base {
        JobBase::Running | JobBase::Suspended => READY,
        JobBase::Pending => 0,
        _ => return Err(Errno::InvalidJobId.into()),
    };
    Ok(Message::ResponseJobReady(ReturnCode { return_code }))
}

/// When a job's time is over.
pub(crate) fn end_time(cluster: &Cluster, job_id: u32) -> Result<Message, Refused> {
    let job = cluster.job(flurm_base::JobId(job_id)).ok_or(Errno::InvalidJobId);
    let job = job.map_err(Refused::from)?;
    let end = job.end.or_else(|| job.time_limit_end());
    Ok(Message::SrunTimeout(SrunTimeout { step_id: StepId::job(job_id), timeout: unix(end) }))
}

/// The client gives its allocation back.
pub(crate) fn complete(
    asker: Identity,
    end: &CompleteJobAllocation,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let job = own(asker, cluster, flurm_base::JobId(end.job.0.job_id))?.id;
    let by = asker.actor(cluster.settings());
    // Older clients say NO_VAL for a job whose steps they do not know.
    let status = if end.job_rc == NO_VAL { 0 } else { end.job_rc };
    let command = Command::AllocationOver { at: now, job, by, status };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

impl Tables<'_> {
    /// What the client of an allocation is told: its nodes, or that it has none yet.
    pub fn allocation(&self, job: &Job) -> Allocation {
        let spec = &job.spec;
        let size = &spec.size;
        let shares = match job.base {
            JobBase::Pending => &[][..],
            _ => job.allocation.as_ref().map_or(&[][..], |all| &all.shares),
        };
        let cpus = shares.iter().map(|share| crate::node_view::narrow(share.cpus));
        let nodes =
            (!shares.is_empty()).then(|| self.host_list(shares.iter().map(|share| &share.node)));
        Allocation {
            account: spec.account.clone(),
            batch_host: shares.first().map(|share| share.node.to_string()),
            gid: spec.gid,
            job_id: job.id.0,
            step_id: StepId::job(job.id.0).with_sluid(job.attempt.0),
            node_cnt: u32::try_from(shares.len()).unwrap_or(u32::MAX),
            node_list: nodes,
            ntasks_per_board: size.tasks_per_board.unwrap_or(0),
            ntasks_per_core: size.tasks_per_core.unwrap_or(ANY),
            ntasks_per_tres: size.tasks_per_tres.unwrap_or(0),
            ntasks_per_socket: size.tasks_per_socket.unwrap_or(ANY),
            cpus_per_node: Runs::of(cpus),
            partition: Some(job.partition.to_string()),
            pn_min_memory: memory(size.memory),
            qos: spec.qos.clone(),
            resv_name: spec.requests.reservation.clone(),
            start_protocol_ver: spec.client_release,
            uid: spec.uid,
            user_name: spec.user_name.clone(),
            ..Allocation::default()
        }
    }
}

/// The answer of a request for an allocation that has to be immediate and cannot be.
pub fn not_now() -> Message {
    Refused::plain(WireErrno::ESLURM_NODES_BUSY.0).message()
}
