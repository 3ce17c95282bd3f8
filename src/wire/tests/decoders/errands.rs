//! Replies that a command acts upon: what it says or does next shows what it read.

use flurm_wire::messages as m;
use flurm_wire::records as r;
use flurm_wire::{Gen, Message, Release, Wire, names};

use crate::cases::{Case, case, pick};
use crate::shown::Form;

/// Everything is well with a job: `READY_NODE_STATE`, `READY_JOB_STATE` and `READY_PROLOG_STATE`.
pub(crate) const READY: u32 = 7;
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

/// An allocation, whose command prints what it was given in its environment.
const SALLOC: &[&str] = &["sh", "-c", "salloc env 2>&1"];
/// One of two components.
const SALLOC_HET: &[&str] = &["sh", "-c", "salloc -n1 : -n1 env 2>&1"];
/// A copy to the nodes of a step, which says what allows it.
const SBCAST: &[&str] = &["sbcast", "-v", "-j", "1.2", "/etc/passwd", "/tmp/copy"];

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
        "refused_in_words",
        names::REQUEST_UPDATE_JOB,
        refused_in_words,
        &["scontrol", "update", "JobId=1", "TimeLimit=9"],
        Form::Lines(": "),
    )
    .failing(),
    // salloc of 26.05 now and then waits for its own threads for ever.
    case("allocated", names::REQUEST_RESOURCE_ALLOCATION, allocated, SALLOC, Form::Lines("="))
        .until(Release::V24_11),
    case(
        "het_allocated",
        names::REQUEST_HET_JOB_ALLOCATION,
        components,
        SALLOC_HET,
        Form::Lines("="),
    )
    .until(Release::V24_11),
    case("broadcast", names::REQUEST_JOB_SBCAST_CRED, broadcast, SBCAST, Form::Lines("  ")),
    case(
        "container_step",
        names::REQUEST_STEP_BY_CONTAINER_ID,
        container_steps,
        &["scontrol", "show", "step", "containerid=c"],
        Form::Pairs,
    )
    .since(Release::V23_02),
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

/// The same two, with a text for the user.
fn refused_in_words(g: &mut Gen) -> Message {
    let mut answer = m::RcMsg::sample(g);
    answer.return_code = pick(answer.return_code, 2017, 2021);
    Message::ResponseSlurmRcMsg(answer)
}

fn allocation(g: &mut Gen) -> Message {
    Message::ResponseJobAllocationInfo(Box::new(allotted(g)))
}

fn allocated(g: &mut Gen) -> Message {
    Message::ResponseResourceAllocation(Box::new(given(g)))
}

/// As many as were asked for.
fn components(g: &mut Gen) -> Message {
    let components = vec![given(g), given(g)];
    Message::ResponseHetJobAllocation(r::AllocationList { components })
}

/// One whose environment holds assignments; a client leaves out what is none.
fn given(g: &mut Gen) -> r::Allocation {
    let mut answer = allotted(g);
    answer.environment.iter_mut().for_each(|line| line.insert_str(0, "GIVEN="));
    answer
}

fn allotted(g: &mut Gen) -> r::Allocation {
    let mut answer = r::Allocation::sample(g);
    answer.error_code = pick(answer.error_code, 0, 0);
    // A client would turn to the cluster named here.
    answer.working_cluster_rec = None;
    // As many as there are nodes, which is a number of its own here.
    answer.node_addr = None;
    answer.select_jobinfo = Default::default();
    let runs = answer.cpus_per_node.values.len().min(answer.cpus_per_node.repeats.len());
    answer.cpus_per_node.values.truncate(runs);
    answer.cpus_per_node.repeats.truncate(runs);
    answer
}

/// Signed, where a lot would decide between that and a token. The file goes to the answer's nodes,
/// not to the credential's.
fn broadcast(g: &mut Gen) -> Message {
    let sbcast_cred = r::SbcastCredential::Signed(Wire::sample(g), Wire::sample(g));
    let mut answer = r::SbcastAnswer { sbcast_cred, ..Wire::sample(g) };
    if let Some(nodes) = &mut answer.node_list {
        *nodes = if nodes.starts_with("altered") { "n2" } else { "n1" }.to_owned();
    }
    Message::ResponseJobSbcastCred(answer)
}

/// A client asks for the first of them, and prints the step that it is told of.
fn container_steps(g: &mut Gen) -> Message {
    Message::ResponseStepByContainerId(Wire::sample(g))
}
