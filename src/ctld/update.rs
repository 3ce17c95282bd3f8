//! `scontrol update job`, hold and release: a sparse job description becomes changes.

use flurm_model::{Cluster, Errno, JobChanges, PartitionName, PriorityChange};
use flurm_wire::records::JobDesc;
use flurm_wire::{INFINITE, NO_VAL, NO_VAL16, Text};

use crate::refused::Refused;
use crate::submit::{NICE_OFFSET, count, flag, limit, memory, nodes, number, sharing, time};
use crate::target::Target;

/// `alloc_sid` that makes a hold the user's (slurm.h, `ALLOC_SID_USER_HOLD`).
const ALLOC_SID_USER_HOLD: u32 = 2;

/// The jobs that an update is about.
pub(crate) fn target_of(desc: &JobDesc, cluster: &Cluster) -> Result<Target, Refused> {
    let size_max = cluster.settings().array_size_max();
    match (&desc.job_id_str, desc.job_number()) {
        (Some(text), _) if !text.is_empty() => Target::parse(text, size_max),
        (_, Some(number)) => Ok(Target::number(number)),
        (_, None) => Err(Errno::InvalidJobId.into()),
    }
}

/// Translates an update.
pub(crate) fn changes(desc: &JobDesc, privileged: bool) -> Result<JobChanges, Refused> {
    refuse_what_is_not_done(desc)?;
    let given = |value: &Option<Text>| value.as_deref().map(str::to_owned);
    Ok(JobChanges {
        priority: priority(desc, privileged)?,
        nice: nice(desc, privileged)?,
        time_limit: limit(desc.time_limit),
        time_min: number(desc.time_min),
        end: time(desc.end_time),
        begin: time(desc.begin_time),
        deadline: time(desc.deadline),
        name: given(&desc.name),
        partitions: partitions(desc),
        account: given(&desc.account),
        qos: given(&desc.qos),
        comment: given(&desc.comment),
        admin_comment: admin_comment(desc, privileged)?,
        extra: given(&desc.extra),
        work_dir: given(&desc.work_dir),
        std_in: given(&desc.std_in),
        std_out: given(&desc.std_out),
        std_err: given(&desc.std_err),
        features: given(&desc.features),
        nodes_required: node_list(&desc.req_nodes, "NodeList")?,
        nodes_excluded: node_list(&desc.exc_nodes, "ExcNodeList")?,
        nodes: range(desc.min_nodes, desc.max_nodes),
        cpus: range(desc.min_cpus, desc.max_cpus),
        tasks: number(desc.num_tasks),
        cpus_per_task: count(desc.cpus_per_task),
        cpus_per_node_min: count(desc.pn_min_cpus),
        tasks_per_node: count(desc.ntasks_per_node),
        memory: memory(desc.pn_min_memory),
        tmp_disk_mb: number(desc.pn_min_tmp_disk),
        sharing: sharing(desc.shared)?,
        contiguous: flag(desc.contiguous),
        requeue: flag(desc.requeue),
        licenses: given(&desc.licenses),
        dependency: given(&desc.dependency),
        reservation: given(&desc.reservation),
        wckey: given(&desc.wckey),
        mail_types: None,
        mail_user: None,
        array_running_max: throttle(desc)?,
    })
}

fn refuse_what_is_not_done(desc: &JobDesc) -> Result<(), Refused> {
    let asked = |value: &Option<Text>| value.as_ref().is_some_and(|text| !text.is_empty());
    let unsupported = [
        (asked(&desc.burst_buffer), "BurstBuffer"),
        (asked(&desc.tres_per_node), "Gres"),
        (asked(&desc.tres_per_job), "TresPerJob"),
        (asked(&desc.clusters), "Clusters"),
        (asked(&desc.mcs_label), "MCSLabel"),
        (asked(&desc.prefer), "Prefer"),
        (desc.mail_type != NO_VAL16 && desc.mail_type != 0, "MailType"),
        (desc.core_spec != NO_VAL16, "CoreSpec"),
        (number(desc.req_switch).is_some(), "Switches"),
    ];
    for (asked, key) in unsupported {
        if asked {
            let text = format!("{key} is not supported by this controller");
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
    }
    Ok(())
}

fn priority(desc: &JobDesc, privileged: bool) -> Result<Option<PriorityChange>, Refused> {
    match desc.priority {
        NO_VAL => Ok(None),
        0 => Ok(Some(PriorityChange::Hold { as_user: desc.alloc_sid == ALLOC_SID_USER_HOLD })),
        INFINITE => Ok(Some(PriorityChange::Release)),
        value if privileged => Ok(Some(PriorityChange::Set(value))),
        _ => Err(Errno::AccessDenied.into()),
    }
}

fn nice(desc: &JobDesc, privileged: bool) -> Result<Option<i32>, Refused> {
    let Some(value) = number(desc.nice) else { return Ok(None) };
    let nice = i32::try_from(i64::from(value) - i64::from(NICE_OFFSET)).unwrap_or(0);
    if nice < 0 && !privileged {
        return Err(Errno::AccessDenied.into());
    }
    Ok(Some(nice))
}

fn admin_comment(desc: &JobDesc, privileged: bool) -> Result<Option<String>, Refused> {
    match &desc.admin_comment {
        None => Ok(None),
        Some(text) if privileged => Ok(Some(text.to_string())),
        Some(_) => Err(Errno::AccessDenied.into()),
    }
}

fn partitions(desc: &JobDesc) -> Option<Vec<PartitionName>> {
    let list = desc.partition.as_deref()?;
    let names = list.split(',').filter(|name| !name.is_empty());
    Some(names.map(PartitionName::from).collect())
}

fn node_list(
    value: &Option<Text>,
    key: &str,
) -> Result<Option<Vec<flurm_model::NodeName>>, Refused> {
    match value {
        None => Ok(None),
        Some(_) => nodes(value, key).map(Some),
    }
}

/// `ArrayTaskThrottle`.
fn throttle(desc: &JobDesc) -> Result<Option<u32>, Refused> {
    let Some(text) = desc.array_inx.as_deref() else { return Ok(None) };
    let number = text.trim_start_matches('%').parse().ok();
    number.map(Some).ok_or_else(|| Errno::InvalidArray.into())
}

fn range(min: u32, max: u32) -> Option<(u32, Option<u32>)> {
    let min = number(min)?;
    Some((min, number(max).filter(|max| *max > 0)))
}
