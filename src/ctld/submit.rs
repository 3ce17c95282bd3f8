//! A job description as sent by sbatch becomes a job specification, or a refusal.
//!
//! Whatever is asked for is kept and honoured, or refused with Slurm's own error: nothing is dropped.

use std::ops::Deref;
use std::sync::Arc;

use flurm_base::Time;
use flurm_base::hostlist::Hostlist;
use flurm_model::{
    ArrayRequest, Batch, Errno, JobSpec, Limit, Mail, Memory, NodeName, OpenMode, PartitionName,
    Requests, Sharing, Size, Streams, TaskSet, Warning,
};
use flurm_wire::records::JobDesc;
use flurm_wire::{Errno as WireErrno, INFINITE, NO_VAL, NO_VAL16, NO_VAL64, Text, UnixTime};

use crate::identity::Identity;
use crate::options::refuse_what_is_not_done;
use crate::refused::Refused;

/// Marks an amount of memory as per CPU (slurm.h, `MEM_PER_CPU`).
pub(crate) const MEM_PER_CPU: u64 = 0x8000_0000_0000_0000;
/// Zero of the nice value on the wire (slurm.h, `NICE_OFFSET`).
pub(crate) const NICE_OFFSET: u32 = 0x8000_0000;
const KILL_INV_DEP: u64 = 1 << 0;
const NO_KILL_INV_DEP: u64 = 1 << 1;
/// ESLURM_JOB_SCRIPT_MISSING.
const JOB_SCRIPT_MISSING: u32 = 2009;
/// ESLURM_USER_ID_MISSING.
const USER_ID_MISSING: u32 = 2010;
/// SLURM_AUTH_NOBODY: what clients of 23.11 and later send instead of their own user and group id.
const AUTH_NOBODY: u32 = 99;
/// ESLURM_ENVIRONMENT_MISSING.
const ENVIRONMENT_MISSING: u32 = 2127;

/// What a submission becomes, with what the controller knows about the submitter.
pub struct Submitter<'a> {
    /// From the credential.
    pub identity: &'a Identity,
    /// Login name of the user the job is for, where known here.
    pub user_name: Option<String>,
    /// All groups of that user, where known here.
    pub groups: Vec<u32>,
    /// Whether the submitter may act for others.
    pub privileged: bool,
    /// Protocol number of the client's release.
    pub client_release: u16,
    /// `MaxArraySize`.
    pub array_size_max: u32,
    /// `GresTypes`.
    pub gres_types: &'a [String],
}

/// Translates a request for an allocation: a job without a script.
pub(crate) fn allocation_job(
    desc: &JobDesc,
    submitter: &Submitter<'_>,
) -> Result<JobSpec, Refused> {
    refuse_what_is_not_done(desc)?;
    job(desc, submitter, None)
}

/// Translates a batch submission.
pub fn batch_job(desc: &JobDesc, submitter: &Submitter<'_>) -> Result<JobSpec, Refused> {
    refuse_what_is_not_done(desc)?;
    owner(desc, submitter)?;
    let script = text(&desc.script);
    let script = script.ok_or_else(|| Refused::plain(JOB_SCRIPT_MISSING))?;
    if desc.environment.is_empty() {
        return Err(Refused::plain(ENVIRONMENT_MISSING));
    }
    let batch = Batch {
        script,
        argv: strings(&desc.argv),
        environment: strings(&desc.environment),
        spank_environment: strings(&desc.spank_job_env),
    };
    job(desc, submitter, Some(Arc::new(batch)))
}

fn job(
    desc: &JobDesc,
    submitter: &Submitter<'_>,
    batch: Option<Arc<Batch>>,
) -> Result<JobSpec, Refused> {
    let (uid, gid) = owner(desc, submitter)?;
    let nodes_required = nodes(&desc.req_nodes, "--nodelist")?;
    let nodes_excluded = nodes(&desc.exc_nodes, "--exclude")?;
    if let Some(name) = nodes_required.iter().find(|name| nodes_excluded.contains(name)) {
        let text = format!("{name} is both required and excluded");
        return Err(Refused::because(Errno::InvalidNodeName.number(), text));
    }
    let work_dir = text(&desc.work_dir);
    let requests = requests(desc);
    let wishes = crate::gres::wishes(&requests, submitter.gres_types)?;
    Ok(JobSpec {
        name: desc.name.as_deref().unwrap_or_default().to_owned(),
        uid,
        gid,
        user_name: submitter.user_name.clone(),
        groups: submitter.groups.clone(),
        account: text(&desc.account),
        partitions: partitions(desc),
        qos: text(&desc.qos),
        comment: text(&desc.comment),
        admin_comment: text(&desc.admin_comment).filter(|_| submitter.privileged),
        work_dir: work_dir.unwrap_or_else(|| "/".into()),
        streams: streams(desc),
        batch,
        size: crate::gres::sized(size(desc)?, &wishes),
        time_limit: limit(desc.time_limit),
        time_min: number(desc.time_min),
        priority: priority(desc, submitter)?,
        nice: nice(desc, submitter)?,
        begin: time(desc.begin_time),
        deadline: time(desc.deadline),
        nodes_required,
        nodes_excluded,
        features: text(&desc.features),
        sharing: sharing(desc.shared)?,
        contiguous: desc.contiguous == 1,
        requeue: flag(desc.requeue),
        kill_on_node_fail: flag(desc.kill_on_node_fail).unwrap_or(true),
        kill_on_invalid_dependency: kills_on_invalid_dependency(desc),
        mail: Mail { types: 0, user: text(&desc.mail_user) },
        warning: warning(desc),
        reboot: false,
        wait_all_nodes: flag(desc.wait_all_nodes),
        // As in Slurm, an array may always wait.
        immediate: desc.immediate == 1 && text(&desc.array_inx).is_none(),
        requests,
        submit_host: text(&desc.alloc_node).or_else(|| submit_host(desc)),
        submit_line: text(&desc.submit_line),
        alloc_sid: number(desc.alloc_sid).unwrap_or(0),
        client_release: submitter.client_release,
        array: array(desc, submitter.array_size_max)?,
    })
}

/// `--kill-on-invalid-dep` (slurm.h, `KILL_INV_DEP`, `NO_KILL_INV_DEP`).
fn kills_on_invalid_dependency(desc: &JobDesc) -> Option<bool> {
    match (desc.bitflags & KILL_INV_DEP != 0, desc.bitflags & NO_KILL_INV_DEP != 0) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// `--array`: tasks, and how many may run at once behind a percent sign.
fn array(desc: &JobDesc, size_max: u32) -> Result<Option<ArrayRequest>, Refused> {
    let Some(text) = text(&desc.array_inx) else { return Ok(None) };
    let refuse = |why: String| Refused::because(Errno::InvalidArray.number(), why);
    if size_max == 0 {
        return Err(refuse("MaxArraySize is 0".into()));
    }
    let (list, most) = match text.split_once('%') {
        None => (text.as_str(), None),
        Some((list, most)) => {
            let number = most.parse::<u32>();
            (list, Some(number.map_err(|_| refuse(format!("{most:?} is no number of tasks")))?))
        }
    };
    let tasks = TaskSet::parse(list, size_max).map_err(refuse)?;
    let step = list.split_once(':').and_then(|(_, rest)| rest.split(',').next());
    let step = step.and_then(|step| step.parse().ok()).unwrap_or(1);
    Ok(Some(ArrayRequest { tasks, running_max: most.filter(|most| *most > 0), step }))
}

/// sbatch does not say on which host it runs, but tells the job.
fn submit_host(desc: &JobDesc) -> Option<String> {
    let entries = desc.environment.iter().filter_map(|entry| entry.split_once('='));
    let mut hosts = entries.filter(|(key, _)| *key == "SLURM_SUBMIT_HOST");
    hosts.next().map(|(_, host)| host.to_owned())
}

/// A user or group id a client named.
fn named_id(id: u32) -> Option<u32> {
    (id != NO_VAL && id != AUTH_NOBODY).then_some(id)
}

/// The user a submission is for: the one it names, else whoever sends it.
pub fn owner_uid(desc: &JobDesc, sender: u32) -> u32 {
    named_id(desc.user_id).unwrap_or(sender)
}

/// For whom the job is. Only root and SlurmUser may submit for somebody else.
fn owner(desc: &JobDesc, submitter: &Submitter<'_>) -> Result<(u32, u32), Refused> {
    let me = submitter.identity;
    let uid = named_id(desc.user_id).unwrap_or(me.uid);
    let gid = named_id(desc.group_id).unwrap_or(me.gid);
    if uid != me.uid && !submitter.privileged {
        return Err(Refused::plain(USER_ID_MISSING));
    }
    if submitter.user_name.is_none() {
        let text = format!("uid {uid} is not known to the controllers");
        return Err(Refused::because(USER_ID_MISSING, text));
    }
    Ok((uid, gid))
}

fn size(desc: &JobDesc) -> Result<Size, Refused> {
    let nodes_min = number(desc.min_nodes).unwrap_or(1).max(1);
    let nodes_max = number(desc.max_nodes).filter(|max| *max > 0);
    if nodes_max.is_some_and(|max| max < nodes_min) {
        return Err(Errno::InvalidNodeCount.into());
    }
    let tasks = number(desc.num_tasks);
    if tasks == Some(0) {
        return Err(Errno::BadTaskCount.into());
    }
    Ok(Size {
        cpus_min: number(desc.min_cpus).unwrap_or(1).max(1),
        cpus_max: number(desc.max_cpus).filter(|max| *max > 0),
        nodes_min,
        nodes_max,
        tasks,
        tasks_per_node: count(desc.ntasks_per_node),
        tasks_per_socket: count(desc.ntasks_per_socket),
        tasks_per_core: count(desc.ntasks_per_core),
        tasks_per_board: count(desc.ntasks_per_board),
        tasks_per_tres: count(desc.ntasks_per_tres),
        cpus_per_task: count(desc.cpus_per_task),
        cpus_per_node_min: count(desc.pn_min_cpus),
        memory: memory(desc.pn_min_memory),
        tmp_disk_mb: number(desc.pn_min_tmp_disk).unwrap_or(0),
        boards_per_node: count(desc.boards_per_node),
        sockets_per_board: count(desc.sockets_per_board),
        sockets_per_node: count(desc.sockets_per_node),
        cores_per_socket: count(desc.cores_per_socket),
        threads_per_core: count(desc.threads_per_core),
        overcommit: desc.overcommit == 1,
        core_spec: None,
    })
}

/// Memory in Slurm's encoding; `None` when none was asked for.
pub(crate) fn memory(value: u64) -> Option<Memory> {
    if value == NO_VAL64 {
        return None;
    }
    if value & MEM_PER_CPU != 0 {
        return Some(Memory::PerCpu(value & !MEM_PER_CPU));
    }
    Some(Memory::PerNode(value))
}

fn streams(desc: &JobDesc) -> Streams {
    let open_mode = match desc.open_mode {
        1 => Some(OpenMode::Append),
        2 => Some(OpenMode::Truncate),
        _ => None,
    };
    Streams {
        std_in: text(&desc.std_in),
        std_out: text(&desc.std_out),
        std_err: text(&desc.std_err),
        open_mode,
    }
}

fn partitions(desc: &JobDesc) -> Vec<PartitionName> {
    let list = desc.partition.as_deref().unwrap_or("");
    list.split(',').filter(|name| !name.is_empty()).map(PartitionName::from).collect()
}

/// Priority on submission: users may ask for 0 (hold); a number is for operators.
fn priority(desc: &JobDesc, submitter: &Submitter<'_>) -> Result<Option<u32>, Refused> {
    match number(desc.priority) {
        None => Ok(None),
        Some(0) => Ok(Some(0)),
        Some(_) if desc.priority == INFINITE => Ok(None),
        Some(value) if submitter.privileged => Ok(Some(value)),
        Some(_) => Err(Errno::AccessDenied.into()),
    }
}

fn nice(desc: &JobDesc, submitter: &Submitter<'_>) -> Result<i32, Refused> {
    let Some(value) = number(desc.nice) else { return Ok(0) };
    let nice = i32::try_from(i64::from(value) - i64::from(NICE_OFFSET)).unwrap_or(0);
    if nice < 0 && !submitter.privileged {
        return Err(Refused::plain(WireErrno::ESLURM_INVALID_NICE.0));
    }
    Ok(nice)
}

/// Expands a host list option.
pub(crate) fn nodes(
    value: &Option<impl Deref<Target = str>>,
    option: &str,
) -> Result<Vec<NodeName>, Refused> {
    let Some(list) = value.as_deref().filter(|list| !list.is_empty()) else {
        return Ok(Vec::new());
    };
    let hosts = Hostlist::parse(list).map_err(|error| {
        Refused::because(Errno::InvalidNodeName.number(), format!("{option}={list}: {error}"))
    })?;
    Ok(hosts.iter().map(|host| NodeName::from(host.to_string())).collect())
}

/// `--exclusive` and `--oversubscribe` in Slurm's encoding (slurm.h, `JOB_SHARED_*`).
pub(crate) fn sharing(value: u16) -> Result<Option<Sharing>, Refused> {
    match value {
        NO_VAL16 => Ok(None),
        0 => Ok(Some(Sharing::Exclusive)),
        1 => Ok(Some(Sharing::Oversubscribe)),
        2 => Ok(Some(Sharing::User)),
        _ => {
            let text = "--exclusive=mcs and --exclusive=topo are not supported";
            Err(Refused::because(Errno::NotSupported.number(), text))
        }
    }
}

fn warning(desc: &JobDesc) -> Option<Warning> {
    (desc.warn_signal != 0).then_some(Warning {
        signal: desc.warn_signal,
        before_s: desc.warn_time,
        flags: desc.warn_flags,
    })
}

fn requests(desc: &JobDesc) -> Requests {
    Requests {
        licenses: text(&desc.licenses),
        reservation: text(&desc.reservation),
        wckey: text(&desc.wckey),
        prefer: text(&desc.prefer),
        cluster_features: text(&desc.cluster_features),
        dependency: text(&desc.dependency),
        extra: text(&desc.extra),
        tres_bind: text(&desc.tres_bind),
        tres_freq: text(&desc.tres_freq),
        tres_per_job: text(&desc.tres_per_job),
        tres_per_node: text(&desc.tres_per_node),
        tres_per_task: text(&desc.tres_per_task),
        cpus_per_tres: text(&desc.cpus_per_tres),
        mem_per_tres: text(&desc.mem_per_tres),
        acctg_freq: text(&desc.acctg_freq),
        cpu_bind: text(&desc.cpu_bind),
        cpu_bind_type: count(desc.cpu_bind_type),
        mem_bind: text(&desc.mem_bind),
        mem_bind_type: count(desc.mem_bind_type),
        cpu_freq: [desc.cpu_freq_min, desc.cpu_freq_max, desc.cpu_freq_gov].map(number),
        task_dist: number(desc.task_dist),
        plane_size: count(desc.plane_size),
        profile: number(desc.profile),
        delay_boot_s: number(desc.delay_boot),
        x11: desc.x11,
        bitflags: desc.bitflags,
        ..Requests::default()
    }
}

/// Texts that no longer share memory with their message.
fn strings(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// A text that says something.
pub(crate) fn text(value: &Option<impl Deref<Target = str>>) -> Option<String> {
    value.as_deref().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number that was given.
pub(crate) fn number(value: u32) -> Option<u32> {
    (value != NO_VAL).then_some(value)
}

/// A count that was given and is not zero.
pub(crate) fn count(value: u16) -> Option<u16> {
    (value != NO_VAL16 && value != 0 && value != u16::MAX).then_some(value)
}

/// A yes or no that was given.
pub(crate) fn flag(value: u16) -> Option<bool> {
    (value != NO_VAL16).then_some(value != 0)
}

/// Minutes, unlimited, or not given.
pub(crate) fn limit(value: u32) -> Option<Limit> {
    match value {
        NO_VAL => None,
        INFINITE => Some(Limit::Unlimited),
        minutes => Some(Limit::Max(minutes)),
    }
}

/// A point in time that was given.
pub(crate) fn time(value: UnixTime) -> Option<Time> {
    (value.0 != 0 && value.0 != i64::from(NO_VAL)).then(|| Time::from_secs(value.0))
}
