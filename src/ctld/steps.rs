//! Steps: what srun asks for, what nodes report, what people do to steps, and how they are listed.

use flurm_base::hostlist::Hostlist;
use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{Cluster, Command, Errno, Job, JobBase, Limit, NodeName, Step, StepSpec};
use flurm_wire::messages::{JobStepKill, StepComplete};
use flurm_wire::records::{StepCreate, StepInfo, StepInfoMsg, StepLayoutAnswer};
use flurm_wire::{BATCH_STEP, EXTERN_STEP};
use flurm_wire::{INFINITE, Message, NO_VAL, NO_VAL16, StepId, UnixTime};

use crate::allocate;
use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Request, Then, own};
use crate::sight::Sight;
use crate::submit::{limit, memory, number, text};
use crate::tables::{Tables, given, seconds, tres, unix};

/// SLURM_DIST_ARBITRARY.
const DIST_ARBITRARY: u32 = 3;
/// Part of a distribution beside its flags.
const DIST_BASE: u32 = 0xffff;
/// The largest signal number.
const SIGNAL_MAX: u16 = 64;
/// Slurm's own signals for steps (slurm_protocol_defs.h, `SIG_*`): all of them end a step gently.
const SLURM_SIGNALS: std::ops::RangeInclusive<u16> = 991..=999;
/// Slurm's own "all of them" in a count of nodes.
const ALL_NODES: u32 = INFINITE;
/// Every flag of a request that is understood (`flurm_model::step_flags`); `--no-kill` and later
/// ones say how srun itself behaves.
const FLAGS_KNOWN: u32 = 0x7f | NO_SIGNAL_FAIL | WAIT_FOR_CHILDREN | KILL_ON_BAD_EXIT;
const NO_SIGNAL_FAIL: u32 = 1 << 7;
const WAIT_FOR_CHILDREN: u32 = 1 << 10;
const KILL_ON_BAD_EXIT: u32 = 1 << 11;

/// Answers what is about allocations and steps; `None` for anything else.
pub(crate) fn decide(
    request: &Request<'_>,
    cluster: &Cluster,
    now: Time,
) -> Result<Option<Answer>, Refused> {
    let asker = request.identity;
    let tables = || Tables::new(cluster, now).read_by(request.release);
    let answer = match request.message {
        Message::RequestResourceAllocation(desc) => {
            allocate::allocate(request, desc, cluster, now)?
        }
        Message::RequestJobAllocationInfo(ask) => {
            Answer::Reply(allocate::info(asker, ask.job.0, &tables())?)
        }
        Message::RequestHetJobAllocInfo(ask) => {
            Answer::Reply(allocate::components(asker, ask.job.0, &tables())?)
        }
        Message::RequestJobReady(ask) => Answer::Reply(allocate::ready(cluster, ask.job.0.job_id)?),
        Message::RequestJobEndTime(ask) => {
            Answer::Reply(allocate::end_time(cluster, ask.job.0.job_id)?)
        }
        Message::RequestCompleteJobAllocation(end) => allocate::complete(asker, end, cluster, now)?,
        Message::RequestJobStepCreate(ask) => create(request, ask, cluster, now)?,
        Message::RequestStepComplete(end) => complete(asker, end, cluster, now)?,
        Message::RequestStepLayout(step) => layout(asker, *step, &tables())?,
        Message::RequestJobStepInfo(ask) => {
            let sight = Sight::new(cluster, asker, request.private_data);
            listing(ask.step_id, &tables(), sight)
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn create(
    request: &Request<'_>,
    ask: &StepCreate,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let job = own(request.identity, cluster, JobId(ask.step_id.job_id))?;
    // Even an operator may not start anything in a job of somebody else.
    if request.identity.uid != job.spec.uid {
        return Err(Errno::AccessDenied.into());
    }
    refuse_what_is_not_done(ask)?;
    let spec = Box::new(spec(ask, request.release)?);
    let command = Command::CreateStep { at: now, job: job.id, key: request.key, spec };
    Ok(Answer::Propose(Box::new(command), Then::StepCreated { release: request.release }))
}

fn refuse_what_is_not_done(ask: &StepCreate) -> Result<(), Refused> {
    let asked = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
    let given16 = |value: u16| value != NO_VAL16 && value != 0;
    let unsupported = [
        (asked(&ask.container) || asked(&ask.container_id), "--container"),
        (asked(&ask.network), "--network"),
        (asked(&ask.tres_per_socket), "--gpus-per-socket"),
        (asked(&ask.features), "--constraint for a step"),
        (asked(&ask.step_het_grps), "--het-group"),
        (given16(ask.resv_port_cnt), "--resv-ports"),
        (ask.launch_params.is_some(), "--async"),
        (ask.flags & !FLAGS_KNOWN != 0, "an option of this step"),
    ];
    for (asked, option) in unsupported {
        if asked {
            let text = format!("{option} is not supported by this controller");
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
    }
    Ok(())
}

fn names(list: &Option<String>) -> Result<Vec<NodeName>, Refused> {
    let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else {
        return Ok(Vec::new());
    };
    let hosts = Hostlist::parse(list).map_err(|_| Refused::from(Errno::InvalidNodeName))?;
    Ok(hosts.iter().map(|host| NodeName::from(host.to_string())).collect())
}

fn spec(ask: &StepCreate, release: u16) -> Result<StepSpec, Refused> {
    let nodes = names(&ask.node_list)?;
    let arbitrary = ask.task_dist & DIST_BASE == DIST_ARBITRARY;
    Ok(StepSpec {
        number: number(ask.step_id.step_id),
        nodes_min: (ask.min_nodes != ALL_NODES).then_some(ask.min_nodes),
        nodes_max: if ask.max_nodes == NO_VAL { 0 } else { ask.max_nodes },
        nodes_of_tasks: if arbitrary { nodes.clone() } else { Vec::new() },
        nodes_required: nodes,
        nodes_excluded: names(&ask.exc_nodes)?,
        relative: (ask.relative != NO_VAL16).then_some(ask.relative),
        cpus: number(ask.cpu_count).unwrap_or(0),
        tasks: number(ask.num_tasks).unwrap_or(1),
        memory: memory(ask.pn_min_memory).filter(|_| ask.pn_min_memory != 0),
        flags: ask.flags,
        distribution: ask.task_dist,
        plane_size: if ask.plane_size == NO_VAL16 { 1 } else { ask.plane_size },
        time_limit: limit(ask.time_limit).filter(|limit| *limit != Limit::Max(0)),
        name: ask.name.clone().unwrap_or_default(),
        host: text(&ask.host),
        port: ask.port,
        srun_pid: ask.srun_pid,
        submit_line: text(&ask.submit_line),
        work_dir: text(&ask.cwd),
        std_streams: [&ask.std_in, &ask.std_out, &ask.std_err].map(text),
        client_release: release,
        gres: crate::gres::of_step(ask)?,
    })
}

/// A node, or the srun that could not start a part, says that the part is over.
fn complete(
    asker: Identity,
    end: &StepComplete,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let step = end.step_id;
    let job = own(asker, cluster, JobId(step.job_id))?;
    let attempt = if step.sluid == 0 { job.attempt } else { AttemptId(step.sluid) };
    let command = Command::StepPartEnded {
        at: now,
        job: job.id,
        attempt,
        step: step.step_id,
        range: (end.range_first, end.range_last),
        status: end.step_rc,
    };
    Ok(Answer::Propose(Box::new(command), Then::Report))
}

fn layout(asker: Identity, step: StepId, tables: &Tables<'_>) -> Result<Answer, Refused> {
    let job = own(asker, tables.cluster, JobId(step.job_id))?;
    let found = tables.cluster.step(job.id, step.step_id);
    let found = found.ok_or_else(|| Refused::from(Errno::InvalidJobId))?;
    let layout = Some(tables.layout(found));
    Ok(Answer::Reply(Message::ResponseStepLayout(StepLayoutAnswer { layout })))
}

/// Signals a step by number; `None` where the whole job or its script is meant.
pub(crate) fn signal(job: &Job, kill: &JobStepKill, now: Time) -> Result<Option<Command>, Refused> {
    let step = kill.step_id.step_id;
    if step == BATCH_STEP || step == NO_VAL {
        return Ok(None);
    }
    if step == EXTERN_STEP {
        return Err(Errno::InvalidJobId.into());
    }
    if kill.signal > SIGNAL_MAX && !SLURM_SIGNALS.contains(&kill.signal) {
        let text = format!("signal {} does not exist", kill.signal);
        return Err(Refused::because(Errno::NotSupported.number(), text));
    }
    let (signal, flags) = (kill.signal, kill.flags);
    Ok(Some(Command::SignalStep { at: now, job: job.id, step, signal, flags }))
}

fn listing(wanted: StepId, tables: &Tables<'_>, sight: Sight<'_>) -> Answer {
    let jobs = tables.cluster.jobs();
    let asked = |job: &&Job| wanted.job_id == NO_VAL || wanted.job_id == job.id.0;
    let mut steps = Vec::new();
    for job in jobs.filter(asked).filter(|job| sight.job(job)) {
        let running = tables.cluster.steps_of(job.id).into_iter();
        let running = running.flat_map(|steps| steps.running.values());
        let asked = |step: &&Step| wanted.step_id == NO_VAL || wanted.step_id == step.number;
        steps.extend(running.filter(asked).map(|step| tables.step(job, step)));
        let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
        let batch = runs && job.is_batch();
        if batch && (wanted.step_id == NO_VAL || wanted.step_id == BATCH_STEP) {
            steps.extend(tables.batch_step(job));
        }
    }
    let last_update = UnixTime(tables.now.secs());
    Answer::Reply(Message::ResponseJobStepInfo(StepInfoMsg {
        last_update,
        steps,
        ..Default::default()
    }))
}

/// Slurm's number of a running step.
pub(crate) const RUNNING: u32 = 1;

impl Tables<'_> {
    fn step(&self, job: &Job, step: &Step) -> StepInfo {
        let spec = &step.spec;
        let nodes = step.parts.iter().map(|part| &part.node);
        let name = if spec.name.is_empty() { &job.spec.name } else { &spec.name };
        let mb = step.parts.iter().map(|part| part.memory_mb).sum();
        let count = u32::try_from(step.parts.len()).unwrap_or(u32::MAX);
        StepInfo {
            array_task_id: NO_VAL,
            step_id: StepId::step(job.id.0, step.number).with_sluid(job.attempt.0),
            user_id: job.spec.uid,
            num_cpus: step.cpus(),
            cpu_freq_min: NO_VAL,
            cpu_freq_max: NO_VAL,
            cpu_freq_gov: NO_VAL,
            num_tasks: spec.tasks,
            task_dist: spec.distribution,
            time_limit: spec.time_limit.map_or(INFINITE, crate::tables::limit),
            state: RUNNING,
            srun_pid: spec.srun_pid,
            start_time: unix(Some(step.start)),
            run_time: {
                let now = job.suspend.filter(|_| job.base == JobBase::Suspended);
                ran(now.unwrap_or(self.now), step.start + step.paused)
            },
            cluster: Some(self.cluster.settings().cluster_name.clone()),
            partition: Some(job.partition.to_string()),
            srun_host: spec.host.clone(),
            nodes: Some(self.host_list(nodes.clone())),
            name: Some(name.clone()),
            node_inx: self.bits(nodes.map(NodeName::as_str)),
            tres_fmt_alloc_str: Some(step_tres(step.cpus(), mb, count)),
            start_protocol_ver: spec.client_release,
            job_name: Some(job.spec.name.clone()),
            cwd: spec.work_dir.clone(),
            std_in: spec.std_streams[0].clone(),
            std_out: spec.std_streams[1].clone(),
            std_err: spec.std_streams[2].clone(),
            submit_line: spec.submit_line.clone(),
            ..StepInfo::default()
        }
    }

    /// The batch script as a step.
    fn batch_step(&self, job: &Job) -> Option<StepInfo> {
        let share = job.allocation.as_ref()?.shares.first()?;
        let start = job.start?;
        Some(StepInfo {
            array_task_id: NO_VAL,
            step_id: StepId::step(job.id.0, BATCH_STEP).with_sluid(job.attempt.0),
            user_id: job.spec.uid,
            num_cpus: share.cpus,
            cpu_freq_min: given(None),
            cpu_freq_max: given(None),
            cpu_freq_gov: given(None),
            num_tasks: 1,
            time_limit: INFINITE,
            state: RUNNING,
            start_time: unix(Some(start)),
            run_time: match (job.base, job.suspend) {
                (JobBase::Suspended, _) => UnixTime(seconds(job.ran_before())),
                (_, last) => ran(self.now, last.map_or(start, |last| last - job.ran_before())),
            },
            cluster: Some(self.cluster.settings().cluster_name.clone()),
            partition: Some(job.partition.to_string()),
            nodes: Some(share.node.to_string()),
            name: Some("batch".to_owned()),
            node_inx: self.bits([share.node.as_str()]),
            tres_fmt_alloc_str: Some(step_tres(share.cpus, share.memory_mb, 1)),
            start_protocol_ver: job.spec.client_release,
            job_name: Some(job.spec.name.clone()),
            submit_line: job.spec.submit_line.clone(),
            ..StepInfo::default()
        })
    }
}

/// Whole seconds since a start, as a time on the wire.
fn ran(now: Time, start: Time) -> UnixTime {
    UnixTime(now.secs() - start.secs())
}

/// Trackable resources of a step, which are never billed.
fn step_tres(cpus: u32, memory_mb: u64, nodes: u32) -> String {
    let text = tres(cpus, memory_mb, Some(nodes));
    text.split(",billing=").next().unwrap_or_default().to_owned()
}
