//! `scontrol create`, `update` and `delete partition`.

use flurm_base::Time;
use flurm_model::{
    Cluster, Command, Errno, Limit, NodeName, OverSubscribe, PartitionConf, PartitionName,
    PartitionState,
};
use flurm_wire::records::{DeletePartition, UpdatePartition};
use flurm_wire::{INFINITE, NO_VAL, NO_VAL16, NO_VAL64};

use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Then};
use crate::submit::{limit, memory, nodes, text};

/// Bits of an update's flags: one to set, the next to clear (slurm.h, `PART_FLAG_*`).
const FLAG_DEFAULT: (u32, u32) = (1, 1 << 8);
const FLAG_HIDDEN: (u32, u32) = (1 << 1, 1 << 9);
const FLAG_NO_ROOT: (u32, u32) = (1 << 2, 1 << 10);
const FLAG_ROOT_ONLY: (u32, u32) = (1 << 3, 1 << 11);
const FLAG_REQ_RESV: (u32, u32) = (1 << 4, 1 << 12);
const FLAG_LLN: (u32, u32) = (1 << 5, 1 << 13);
const FLAG_EXCLUSIVE_USER: (u32, u32) = (1 << 6, 1 << 14);
const SHARED_FORCE: u16 = 0x8000;

/// Translates a creation or an update.
pub(crate) fn answer(
    asker: Identity,
    change: &UpdatePartition,
    create: bool,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    if !asker.is_operator(cluster.settings()) {
        return Err(Errno::UserIdMissing.into());
    }
    let name = change.name.clone().filter(|name| !name.is_empty());
    let name = PartitionName::from(name.ok_or_else(|| Refused::from(Errno::InvalidPartitionName))?);
    let mut conf = match (cluster.partition(&name), create) {
        (Some(_), true) => {
            let text = format!("{name}: there is such a partition already");
            return Err(Refused::because(Errno::InvalidPartitionName.number(), text));
        }
        (None, false) => return Err(Errno::InvalidPartitionName.into()),
        (Some(partition), false) => partition.conf.clone(),
        (None, true) => PartitionConf { name, ..PartitionConf::default() },
    };
    apply(change, &mut conf, cluster)?;
    let by = asker.actor(cluster.settings());
    let partition = Box::new(conf);
    let command = Command::UpdatePartition { at: now, by, create, partition };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

/// Translates a deletion.
pub(crate) fn delete(
    asker: Identity,
    delete: &DeletePartition,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    if !asker.is_operator(cluster.settings()) {
        return Err(Errno::UserIdMissing.into());
    }
    let name = delete.name.as_deref().unwrap_or("");
    let partition = PartitionName::from(name);
    cluster.partition(&partition).ok_or_else(|| Refused::from(Errno::InvalidPartitionName))?;
    let by = asker.actor(cluster.settings());
    let command = Command::DeletePartition { at: now, by, partition };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

fn apply(
    change: &UpdatePartition,
    conf: &mut PartitionConf,
    cluster: &Cluster,
) -> Result<(), Refused> {
    refuse_what_is_not_done(change)?;
    if change.nodes.is_some() {
        put_nodes(change, conf, cluster)?;
    }
    conf.state = match change.state_up {
        NO_VAL16 => conf.state,
        0 => PartitionState::Inactive,
        1 => PartitionState::Down,
        2 => PartitionState::Drain,
        _ => PartitionState::Up,
    };
    put_flags(change.flags, conf);
    conf.time_max = limit(change.max_time).unwrap_or(conf.time_max);
    conf.time_default = limit(change.default_time).or(conf.time_default);
    conf.nodes_max = limit(change.max_nodes).unwrap_or(conf.nodes_max);
    conf.cpus_per_node_max = limit(change.max_cpus_per_node).unwrap_or(conf.cpus_per_node_max);
    if change.min_nodes != NO_VAL {
        conf.nodes_min = change.min_nodes;
    }
    if change.over_time_limit != NO_VAL16 {
        let over = u32::from(change.over_time_limit);
        let unlimited = change.over_time_limit == u16::MAX;
        conf.over_time_limit = Some(if unlimited { Limit::Unlimited } else { Limit::Max(over) });
    }
    if change.def_mem_per_cpu != NO_VAL64 {
        conf.memory_default = memory(change.def_mem_per_cpu);
    }
    if change.max_mem_per_cpu != NO_VAL64 {
        conf.memory_max = memory(change.max_mem_per_cpu);
    }
    if change.priority_tier != NO_VAL16 {
        conf.priority_tier = change.priority_tier;
    }
    if change.priority_job_factor != NO_VAL16 {
        conf.priority_job_factor = change.priority_job_factor;
    }
    if change.grace_time != NO_VAL {
        conf.grace_time_s = change.grace_time;
    }
    conf.over_subscribe = match change.max_share {
        NO_VAL16 => conf.over_subscribe,
        0 => OverSubscribe::Exclusive,
        1 => OverSubscribe::No,
        share if share & SHARED_FORCE != 0 => OverSubscribe::Force(share & !SHARED_FORCE),
        share => OverSubscribe::Yes(share),
    };
    put_lists(change, conf)
}

fn refuse_what_is_not_done(change: &UpdatePartition) -> Result<(), Refused> {
    let asked = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
    let unsupported = [
        (asked(&change.topology_name), "Topology"),
        (asked(&change.job_defaults_str), "JobDefaults"),
        (change.preempt_mode != NO_VAL16, "PreemptMode"),
        (change.cpu_bind != 0, "CpuBind"),
        (
            change.max_cpus_per_socket != NO_VAL && change.max_cpus_per_socket != INFINITE,
            "MaxCPUsPerSocket",
        ),
    ];
    for (asked, key) in unsupported {
        if asked {
            let text = format!("{key} is not supported by this controller");
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
    }
    Ok(())
}

fn put_nodes(
    change: &UpdatePartition,
    conf: &mut PartitionConf,
    cluster: &Cluster,
) -> Result<(), Refused> {
    let text = change.nodes.clone().unwrap_or_default();
    let names: Vec<NodeName> = if text.eq_ignore_ascii_case("ALL") {
        cluster.nodes().map(|node| node.conf.name.clone()).collect()
    } else {
        nodes(&change.nodes, "Nodes")?
    };
    if let Some(unknown) = names.iter().find(|name| cluster.node(name).is_none()) {
        let text = format!("{unknown}: no such node");
        return Err(Refused::because(Errno::InvalidNodeName.number(), text));
    }
    conf.nodes = cluster
        .nodes()
        .map(|node| node.conf.name.clone())
        .filter(|name| names.contains(name))
        .collect();
    conf.nodes_text = text;
    Ok(())
}

fn put_flags(flags: u32, conf: &mut PartitionConf) {
    let mut put = |(set, clear): (u32, u32), field: fn(&mut PartitionConf) -> &mut bool| {
        if flags & set != 0 {
            *field(conf) = true;
        }
        if flags & clear != 0 {
            *field(conf) = false;
        }
    };
    put(FLAG_DEFAULT, |conf| &mut conf.is_default);
    put(FLAG_HIDDEN, |conf| &mut conf.hidden);
    put(FLAG_NO_ROOT, |conf| &mut conf.no_root);
    put(FLAG_ROOT_ONLY, |conf| &mut conf.root_only);
    put(FLAG_REQ_RESV, |conf| &mut conf.reservation_required);
    put(FLAG_LLN, |conf| &mut conf.least_loaded);
    put(FLAG_EXCLUSIVE_USER, |conf| &mut conf.exclusive_user);
}

fn put_lists(change: &UpdatePartition, conf: &mut PartitionConf) -> Result<(), Refused> {
    let split = |list: &String| -> Vec<String> {
        let all = list.eq_ignore_ascii_case("ALL");
        let names = list.split(',').filter(|name| !name.is_empty() && !all);
        names.map(str::to_owned).collect()
    };
    let put = |value: &Option<String>, field: &mut Vec<String>| {
        if let Some(list) = value {
            *field = split(list);
        }
    };
    put(&change.allow_accounts, &mut conf.allow_accounts);
    put(&change.deny_accounts, &mut conf.deny_accounts);
    put(&change.allow_groups, &mut conf.allow_groups);
    put(&change.allow_qos, &mut conf.allow_qos);
    put(&change.deny_qos, &mut conf.deny_qos);
    if let Some(list) = &change.allow_alloc_nodes {
        if !list.is_empty() && !list.eq_ignore_ascii_case("ALL") {
            // As slurm.conf's key: the host of a submission is the client's own word.
            let text = "AllocNodes: from which host a job comes is not verified";
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
        conf.alloc_nodes = Vec::new();
    }
    if let Some(name) = &change.alternate {
        conf.alternate = (!name.is_empty()).then(|| PartitionName::from(name.as_str()));
    }
    if change.qos_char.is_some() {
        conf.qos = text(&change.qos_char);
    }
    if change.billing_weights_str.is_some() {
        conf.billing_weights = text(&change.billing_weights_str);
    }
    Ok(())
}
