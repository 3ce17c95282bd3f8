//! Which reply is served to which client, and how what it prints is read.
//!
//! A sample makes what a client would reject or crash on into something it takes; what is not
//! mended here keeps the generator's distinctive values.

use flurm_wire::dbd as d;
use flurm_wire::messages as m;
use flurm_wire::records as r;
use flurm_wire::{DbdMessage, Gen, Message, Registry as _, Release, Visitor, Wire, names};

use crate::accounting::numbers;
use crate::shown::Form;

/// One client command and the reply that it reads out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Name of the file that keeps the verdict.
    pub(crate) name: &'static str,
    /// The request that is answered.
    pub(crate) asks: u16,
    /// The answer.
    pub(crate) sample: Sample,
    /// The command.
    pub(crate) command: &'static [&'static str],
    /// How its output is laid out.
    pub(crate) form: Form,
    /// Labels that depend on the time of day; those that begin with one that ends in `*`.
    pub(crate) volatile: &'static [&'static str],
    /// First release whose client has the command.
    pub(crate) since: Release,
    /// The last.
    pub(crate) until: Release,
    /// Whether the command prints the answer as its complaint, and fails.
    pub(crate) fails: bool,
}

/// Whose answer it is, and how it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    /// A controller's, or a node daemon's.
    Controller(fn(&mut Gen) -> Message),
    /// The accounting daemon's.
    Accounting(fn(&mut Gen) -> DbdMessage),
    /// A controller's addresses of nodes, in a credential.
    Sealed(fn(&mut Gen) -> m::NodeAddrs),
}

/// An answer of any daemon.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A controller's, or a node daemon's.
    Controller(Message),
    /// The accounting daemon's.
    Accounting(DbdMessage),
    /// What a controller puts in a credential.
    Sealed(m::NodeAddrs),
}

impl Sample {
    /// The answer that a generator leads to.
    pub(crate) fn make(self, g: &mut Gen) -> Answer {
        match self {
            Self::Controller(sample) => Answer::Controller(sample(g)),
            Self::Accounting(sample) => Answer::Accounting(sample(g)),
            Self::Sealed(sample) => Answer::Sealed(sample(g)),
        }
    }
}

impl Answer {
    /// Shows the answer to a visitor.
    pub(crate) fn view(&self, v: &mut dyn Visitor) {
        match self {
            Self::Controller(message) => message.view(v),
            Self::Accounting(message) => message.view(v),
            Self::Sealed(addrs) => addrs.view(v),
        }
    }
}

/// A case of what controllers reply, in every release.
pub(crate) const fn case(
    name: &'static str,
    asks: u16,
    sample: fn(&mut Gen) -> Message,
    command: &'static [&'static str],
    form: Form,
) -> Case {
    Case::new(name, asks, Sample::Controller(sample), command, form)
}

macro_rules! json {
    ($name:literal, $asks:expr, $sample:expr, $what:literal) => {
        case($name, $asks, $sample, &["scontrol", "show", $what, "--json"], Form::Json)
            .since(Release::V24_11)
            .volatile(CLIENT)
    };
}

impl Case {
    /// A case of every release.
    pub(crate) const fn new(
        name: &'static str,
        asks: u16,
        sample: Sample,
        command: &'static [&'static str],
        form: Form,
    ) -> Self {
        let (since, until) = (Release::OLDEST, Release::NEWEST);
        Self { name, asks, sample, command, form, volatile: &[], since, until, fails: false }
    }

    /// Whether a release's clients have the command.
    pub(crate) fn in_release(&self, release: Release) -> bool {
        self.since <= release && release <= self.until
    }

    pub(crate) const fn since(mut self, release: Release) -> Self {
        self.since = release;
        self
    }

    pub(crate) const fn until(mut self, release: Release) -> Self {
        self.until = release;
        self
    }

    pub(crate) const fn failing(mut self) -> Self {
        self.fails = true;
        self
    }

    pub(crate) const fn volatile(mut self, labels: &'static [&'static str]) -> Self {
        self.volatile = labels;
        self
    }
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("job", names::REQUEST_JOB_INFO, jobs, &["scontrol", "show", "job"], Form::Pairs)
        .volatile(&["RunTime"]),
    case("job_columns", names::REQUEST_JOB_INFO, jobs, SQUEUE, Form::Columns).volatile(&[
        "TIME",
        "TIME_LEFT",
        "PENDING_TIME",
    ]),
    case("job_json", names::REQUEST_JOB_INFO, jobs, &["squeue", "--json"], Form::Json)
        .since(Release::V24_11)
        .volatile(CLIENT),
    case("node", names::REQUEST_NODE_INFO, nodes, &["scontrol", "show", "node"], Form::Pairs),
    case(
        "node_json",
        names::REQUEST_NODE_INFO,
        nodes,
        &["scontrol", "show", "node", "--json"],
        Form::Json,
    )
    .since(Release::V24_11),
    case(
        "partition",
        names::REQUEST_PARTITION_INFO,
        partitions,
        &["scontrol", "show", "partition"],
        Form::Pairs,
    ),
    case(
        "partition_json",
        names::REQUEST_PARTITION_INFO,
        partitions,
        &["scontrol", "show", "partition", "--json"],
        Form::Json,
    )
    .since(Release::V24_11),
    case(
        "reservation",
        names::REQUEST_RESERVATION_INFO,
        reservations,
        &["scontrol", "show", "reservation"],
        Form::Pairs,
    ),
    case(
        "license",
        names::REQUEST_LICENSE_INFO,
        plain::<r::LicenseInfoMsg>,
        &["scontrol", "show", "licenses"],
        Form::Pairs,
    ),
    case(
        "config",
        names::REQUEST_BUILD_INFO,
        config,
        &["scontrol", "show", "config"],
        Form::Lines(" = "),
    )
    // Holds a digest of the client's own file, in which the port varies.
    .volatile(&["HASH_VAL"]),
    case("step", names::REQUEST_JOB_STEP_INFO, steps, &["scontrol", "show", "step"], Form::Pairs),
    case("stats", names::REQUEST_STATS_INFO, stats, &["sdiag"], Form::Lines(":")),
    case(
        "priority",
        names::REQUEST_PRIORITY_FACTORS,
        priorities,
        &["sprio", "-o", SPRIO],
        Form::Columns,
    ),
    case(
        "shares",
        names::REQUEST_SHARE_INFO,
        plain::<m::SharesResponse>,
        &["sshare", "-a", "-P", "-l"],
        Form::Columns,
    ),
    case(
        "topology",
        names::REQUEST_TOPO_INFO,
        topology,
        &["scontrol", "show", "topology"],
        Form::Pairs,
    ),
    case(
        "trigger",
        names::REQUEST_TRIGGER_GET,
        triggers,
        &["strigger", "--get", "--verbose"],
        Form::Lines("\t"),
    ),
    case(
        "assoc_mgr",
        names::REQUEST_ASSOC_MGR_INFO,
        assoc_mgr,
        &["scontrol", "show", "assoc_mgr"],
        Form::Pairs,
    ),
    case(
        "burst_buffer",
        names::REQUEST_BURST_BUFFER_INFO,
        burst_buffers,
        &["scontrol", "show", "burstbuffer"],
        Form::Pairs,
    ),
    case(
        "burst_buffer_status",
        names::REQUEST_BURST_BUFFER_STATUS,
        |g| Message::ResponseBurstBufferStatus(Wire::sample(g)),
        &["scontrol", "show", "bbstat"],
        Form::Lines(":"),
    ),
    case(
        "job_state",
        names::REQUEST_JOB_STATE,
        job_states,
        &["squeue", "--only-job-state", "-o", "%A|%F|%K|%i|%T|%t"],
        Form::Columns,
    )
    .since(Release::V24_11),
    case(
        "front_end",
        names::REQUEST_FRONT_END_INFO,
        front_ends,
        &["scontrol", "show", "frontend"],
        Form::Pairs,
    )
    .until(Release::V24_11),
    case(
        "federation",
        names::REQUEST_FED_INFO,
        federation,
        &["scontrol", "show", "federation"],
        Form::Pairs,
    ),
    case(
        "batch_script",
        names::REQUEST_BATCH_SCRIPT,
        |g| Message::ResponseBatchScript(Wire::sample(g)),
        &["scontrol", "write", "batch_script", "1", "-"],
        Form::Lines(":"),
    ),
    case(
        "token",
        names::REQUEST_AUTH_TOKEN,
        |g| Message::ResponseAuthToken(Wire::sample(g)),
        &["scontrol", "token"],
        Form::Lines("="),
    ),
    case(
        "topology_config",
        names::REQUEST_TOPO_CONFIG,
        |g| Message::ResponseTopoConfig(Wire::sample(g)),
        &["scontrol", "show", "topoconf"],
        Form::Lines(":"),
    )
    .since(Release::V25_05),
    case(
        "will_run",
        names::REQUEST_JOB_WILL_RUN,
        |g| Message::ResponseJobWillRun(Wire::sample(g)),
        &["sbatch", "--test-only", "--wrap", "true"],
        Form::Lines("Job "),
    ),
    case(
        "submitted",
        names::REQUEST_SUBMIT_BATCH_JOB,
        |g| Message::ResponseSubmitBatchJob(Wire::sample(g)),
        &["sbatch", "--wrap", "true"],
        Form::Lines(":"),
    ),
    json!("reservation_json", names::REQUEST_RESERVATION_INFO, reservations, "reservation"),
    json!("license_json", names::REQUEST_LICENSE_INFO, plain::<r::LicenseInfoMsg>, "licenses"),
    json!("step_json", names::REQUEST_JOB_STEP_INFO, steps, "step"),
    case("stats_json", names::REQUEST_STATS_INFO, stats, &["sdiag", "--json"], Form::Json)
        .since(Release::V24_11)
        .volatile(CLIENT),
    case(
        "shares_json",
        names::REQUEST_SHARE_INFO,
        plain::<m::SharesResponse>,
        &["sshare", "-a", "--json"],
        Form::Json,
    )
    .since(Release::V24_11)
    .volatile(CLIENT),
];

/// Fields of documents that tell of the client.
pub(crate) const CLIENT: &[&str] = &["meta.slurm.version.micro", "meta.slurm.release"];

const SPRIO: &str = "%i|%u|%r|%n|%o|%Y|%y|%A|%a|%B|%b|%F|%f|%J|%j|%P|%p|%Q|%q|%N|%S|%T|%t";

/// Every column of 22.05's squeue; later releases have them all.
const SQUEUE: &[&str] = &[
    "squeue",
    "-a",
    "-O",
    "Account:200|,AccrueTime:200|,admin_comment:200|,AllocNodes:200|,AllocSID:200|,\
     ArrayJobID:200|,ArrayTaskID:200|,AssocID:200|,BatchFlag:200|,BatchHost:200|,\
     BoardsPerNode:200|,BurstBuffer:200|,BurstBufferState:200|,Cluster:200|,ClusterFeature:200|,\
     Command:200|,Comment:200|,Contiguous:200|,Container:200|,Cores:200|,CoreSpec:200|,\
     CPUFreq:200|,cpus-per-task:200|,cpus-per-tres:200|,Deadline:200|,DelayBoot:200|,\
     Dependency:200|,DerivedEC:200|,EligibleTime:200|,EndTime:200|,exit_code:200|,Feature:200|,\
     GroupID:200|,HetJobID:200|,HetJobIDSet:200|,HetJobOffset:200|,JobArrayID:200|,JobID:200|,\
     LastSchedEval:200|,Licenses:200|,MaxCPUs:200|,MaxNodes:200|,MCSLabel:200|,mem-per-tres:200|,\
     MinCpus:200|,MinMemory:200|,MinTime:200|,MinTmpDisk:200|,Name:200|,Network:200|,Nice:200|,\
     NodeList:200|,Nodes:200|,NTPerBoard:200|,NTPerCore:200|,NTPerNode:200|,NTPerSocket:200|,\
     NumCPUs:200|,NumNodes:200|,NumTasks:200|,Origin:200|,OriginRaw:200|,OverSubscribe:200|,\
     Partition:200|,PreemptTime:200|,Priority:200|,PriorityLong:200|,Profile:200|,QOS:200|,\
     Reason:200|,ReasonList:200|,Reboot:200|,ReqNodes:200|,ReqSwitch:200|,Requeue:200|,\
     Reservation:200|,ResizeTime:200|,RestartCnt:200|,ResvPort:200|,SchedNodes:200|,SCT:200|,\
     SiblingsActive:200|,SiblingsActiveRaw:200|,SiblingsViable:200|,SiblingsViableRaw:200|,\
     Sockets:200|,SPerBoard:200|,StartTime:200|,State:200|,StateCompact:200|,STDERR:200|,\
     STDIN:200|,STDOUT:200|,SubmitTime:200|,system_comment:200|,Threads:200|,TimeLimit:200|,\
     tres-alloc:200|,tres-bind:200|,tres-freq:200|,tres-per-job:200|,tres-per-node:200|,\
     tres-per-socket:200|,tres-per-task:200|,UserID:200|,UserName:200|,Wait4Switch:200|,\
     WCKey:200|,WorkDir:200|",
];

/// A registered reply whose distinctive values every client takes.
trait Reply: Wire {
    fn message(self) -> Message;
}

macro_rules! replies {
    ($($record:ty => $variant:ident;)*) => {
        $(impl Reply for $record {
            fn message(self) -> Message {
                Message::$variant(self)
            }
        })*
    };
}

replies! {
    r::LicenseInfoMsg => ResponseLicenseInfo;
    m::SharesResponse => ResponseShareInfo;
}

fn plain<T: Reply>(g: &mut Gen) -> Message {
    T::sample(g).message()
}

/// One of two values that a client knows, by whether a number is the altered one.
pub(crate) fn pick<T>(drawn: impl Into<u64>, plain: T, altered: T) -> T {
    if Gen::is_altered(drawn.into()) { altered } else { plain }
}

fn jobs(g: &mut Gen) -> Message {
    let mut message = r::JobInfoMsg::sample(g);
    for job in &mut message.jobs {
        job.job_state = pick(job.job_state, 1, 0);
        job.state_reason = pick(job.state_reason, 0, 1);
        job.bitflags = pick(job.bitflags, 0, 1);
        job.job_resrcs = None;
        job.select_jobinfo = Default::default();
    }
    Message::ResponseJobInfo(message)
}

pub(crate) fn nodes(g: &mut Gen) -> Message {
    let mut message = r::NodeInfoMsg::sample(g);
    for node in &mut message.nodes {
        node.node_state = pick(node.node_state, 2, 1);
        node.next_state = pick(node.next_state, 6, 1);
        node.select_nodeinfo.plugin_id = r::SELECT_CONS_TRES;
    }
    Message::ResponseNodeInfo(message)
}

pub(crate) fn partitions(g: &mut Gen) -> Message {
    let mut message = r::PartitionInfoMsg::sample(g);
    for partition in &mut message.partitions {
        partition.state_up = pick(partition.state_up, 3, 1);
    }
    Message::ResponsePartitionInfo(message)
}

fn reservations(g: &mut Gen) -> Message {
    let mut message = r::ReservationInfoMsg::sample(g);
    for reservation in &mut message.reservations {
        reservation.flags = pick(reservation.flags, 1, 4);
    }
    Message::ResponseReservationInfo(message)
}

fn steps(g: &mut Gen) -> Message {
    let mut message = r::StepInfoMsg::sample(g);
    for step in &mut message.steps {
        step.state = pick(step.state, 1, 3);
        step.select_jobinfo = Default::default();
    }
    // A client would ask the step manager named here.
    message.stepmgr_jobs = None;
    Message::ResponseJobStepInfo(message)
}

fn config(g: &mut Gen) -> Message {
    Message::ResponseBuildInfo(Box::new(r::BuildInfo::sample(g)))
}

fn stats(g: &mut Gen) -> Message {
    let mut stats = r::Stats::sample(g);
    stats.rpc_type_size = 1;
    stats.rpc_user_size = 1;
    Message::ResponseStatsInfo(Box::new(stats))
}

fn priorities(g: &mut Gen) -> Message {
    Message::ResponsePriorityFactors(m::PriorityFactorsResponse::sample(g))
}

fn topology(g: &mut Gen) -> Message {
    let mut topology = m::TopologyResponse::sample(g);
    topology.plugin_id = m::TOPOLOGY_TREE;
    Message::ResponseTopoInfo(topology)
}

fn triggers(g: &mut Gen) -> Message {
    Message::ResponseTriggerGet(m::Triggers::sample(g))
}

/// Names of resources stand for themselves; a client knows those of associations by their place.
fn assoc_mgr(g: &mut Gen) -> Message {
    let mut info = d::AssocMgrInfo::sample(g);
    info.assocs.iter_mut().for_each(|assoc| numbers(&mut assoc.assoc.qos_list));
    for user in &mut info.users {
        user.assoc_list.iter_mut().flatten().for_each(|assoc| numbers(&mut assoc.qos_list));
    }
    for qos in &mut info.qos {
        numbers(&mut qos.qos.preempt_list);
        qos.qos.preempt_mode = pick(qos.qos.preempt_mode, 8, 4);
    }
    for user in &mut info.users {
        user.admin_level = pick(user.admin_level, 1, 3);
    }
    Message::ResponseAssocMgrInfo(info)
}

fn burst_buffers(g: &mut Gen) -> Message {
    let mut info = r::BurstBufferInfoMsg::sample(g);
    for buffer in info.plugins.iter_mut().flat_map(|plugin| &mut plugin.buffers) {
        buffer.state = pick(buffer.state, 0x10, 0x21);
    }
    Message::ResponseBurstBufferInfo(info)
}

fn job_states(g: &mut Gen) -> Message {
    let mut states = m::JobStateResponse::sample(g);
    for job in &mut states.jobs {
        job.state = pick(job.state, 1, 0);
    }
    Message::ResponseJobState(states)
}

fn front_ends(g: &mut Gen) -> Message {
    let mut info = r::FrontEndInfoMsg::sample(g);
    for front_end in &mut info.front_ends {
        front_end.node_state = pick(front_end.node_state, 2, 1);
    }
    Message::ResponseFrontEndInfo(info)
}

fn federation(g: &mut Gen) -> Message {
    let mut federation = Option::<d::Federation>::sample(g);
    let clusters = federation.iter_mut().flat_map(|federation| &mut federation.cluster_list);
    for cluster in clusters.flatten() {
        cluster.fed_state = pick(cluster.fed_state, 1, 2);
        numbers(&mut cluster.root_assoc.qos_list);
    }
    Message::ResponseFedInfo(Box::new(federation))
}
