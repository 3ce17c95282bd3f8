//! Replies that a command acts upon: what it says or does next shows what it read.

use flurm_wire::messages as m;
use flurm_wire::{Gen, Message, Release, Wire, names};

use crate::cases::{Case, case, pick};
use crate::shown::Form;

/// Everything is well with a job: `READY_NODE_STATE`, `READY_JOB_STATE` and `READY_PROLOG_STATE`.
const READY: u32 = 7;
/// The node alone is well; the job is gone.
const GONE: u32 = 1;

/// A change of size, after which a client asks what the job has and leaves it to a shell in place of
/// what the environment says.
const RESIZE: &[&str] = &[
    "sh",
    "-c",
    "cd $(mktemp -d) && export SLURM_JOBID=1 SLURM_JOB_NODELIST=n SLURM_JOB_NUM_NODES=1 \
     SLURM_JOB_CPUS_PER_NODE=1 && scontrol update JobId=1 NumNodes=1 > said 2>&1; \
     cat said slurm_job_1_resize.sh",
];

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("pid", names::REQUEST_JOB_ID, job_id, &["scontrol", "pidinfo", "1"], Form::Lines("="))
        // The time that is left.
        .volatile(&[""]),
    case(
        "ready",
        names::REQUEST_JOB_READY,
        ready,
        &["scontrol", "wait_job", "1"],
        Form::Lines(": "),
    )
    .failing(),
    case("resized", names::REQUEST_JOB_ALLOCATION_INFO, allocation, RESIZE, Form::Lines("=")),
    case(
        "refused",
        names::REQUEST_UPDATE_JOB,
        refused,
        &["scontrol", "update", "JobId=1", "TimeLimit=9"],
        Form::Lines(": "),
    )
    .failing(),
    case(
        "hostnames",
        names::REQUEST_HOSTLIST_EXPANSION,
        |g| Message::ResponseHostlistExpansion(Wire::sample(g)),
        &["scontrol", "show", "hostnames", "a{b}"],
        Form::Lines("="),
    )
    .since(Release::V25_05),
];

fn job_id(g: &mut Gen) -> Message {
    let mut answer = m::JobIdResponse::sample(g);
    answer.return_code = pick(answer.return_code, 0, 0);
    Message::ResponseJobId(answer)
}

fn ready(g: &mut Gen) -> Message {
    let mut answer = m::ReturnCode::sample(g);
    answer.return_code = pick(answer.return_code, READY, GONE);
    Message::ResponseJobReady(answer)
}

/// Two refusals that a client has words for: a job that is unknown, and one that is over.
fn refused(g: &mut Gen) -> Message {
    let mut answer = m::ReturnCode::sample(g);
    answer.return_code = pick(answer.return_code, 2017, 2021);
    Message::ResponseSlurmRc(answer)
}

fn allocation(g: &mut Gen) -> Message {
    let mut answer = flurm_wire::records::Allocation::sample(g);
    answer.error_code = pick(answer.error_code, 0, 0);
    // A client would turn to the cluster named here.
    answer.working_cluster_rec = None;
    // As many as there are nodes, which is a number of its own here.
    answer.node_addr = None;
    answer.select_jobinfo = Default::default();
    let runs = answer.cpus_per_node.values.len().min(answer.cpus_per_node.repeats.len());
    answer.cpus_per_node.values.truncate(runs);
    answer.cpus_per_node.repeats.truncate(runs);
    Message::ResponseJobAllocationInfo(Box::new(answer))
}
