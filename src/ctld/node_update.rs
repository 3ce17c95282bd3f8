//! `scontrol update node`: what operators do to nodes.

use flurm_base::Time;
use flurm_model::{Cluster, Command, Errno, NodeChanges, NodeStateChange};
use flurm_wire::NO_VAL;
use flurm_wire::records::UpdateNode;

use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Gather};
use crate::submit::{nodes, number};

// Node states and flags as an update carries them (slurm.h, `enum node_states` and
// `NODE_STATE_*`).
const BASE_MASK: u32 = 0xf;
const STATE_DOWN: u32 = 1;
const STATE_IDLE: u32 = 2;
const STATE_ALLOCATED: u32 = 3;
const STATE_MIXED: u32 = 5;
const STATE_FUTURE: u32 = 6;
const FLAG_UNDRAIN: u32 = 1 << 6;
const FLAG_RESUME: u32 = 1 << 8;
const FLAG_DRAIN: u32 = 1 << 9;
const FLAG_NO_RESPOND: u32 = 1 << 11;
const FLAG_FAIL: u32 = 1 << 13;

/// Translates an update of nodes: one command a node.
pub(crate) fn answer(
    asker: Identity,
    change: &UpdateNode,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let settings = cluster.settings();
    if !asker.is_operator(settings) {
        return Err(Errno::UserIdMissing.into());
    }
    let names = nodes(&change.node_names, "NodeName")?;
    if names.is_empty() {
        return Err(Errno::InvalidNodeName.into());
    }
    if let Some(unknown) = names.iter().find(|name| cluster.node(name).is_none()) {
        let text = format!("{unknown}: no such node");
        return Err(Refused::because(Errno::InvalidNodeName.number(), text));
    }
    let changes = changes(change)?;
    let by = asker.actor(settings);
    let command = |node| {
        Box::new(Command::UpdateNode { at: now, node, by, changes: Box::new(changes.clone()) })
    };
    Ok(Answer::ProposeMany(names.into_iter().map(command).collect(), Gather::FirstRefusal))
}

fn changes(change: &UpdateNode) -> Result<NodeChanges, Refused> {
    let asked = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
    let unsupported = [
        (asked(&change.gres), "Gres"),
        (asked(&change.topology_str), "Topology"),
        (asked(&change.power_action_name), "PowerAction"),
        (asked(&change.cert_token), "CertToken"),
        (asked(&change.instance_id), "InstanceId"),
        (asked(&change.instance_type), "InstanceType"),
        (change.cpu_bind != 0, "CpuBind"),
        (number(change.resume_after).is_some(), "ResumeAfter"),
    ];
    for (asked, key) in unsupported {
        if asked {
            let text = format!("{key} is not supported by this controller");
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
    }
    let split = |list: &String| {
        list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    Ok(NodeChanges {
        state: state(change.node_state)?,
        reason: change.reason.clone(),
        weight: number(change.weight),
        features: change.features.as_ref().map(split),
        features_active: change.features_act.as_ref().map(split),
        extra: change.extra.clone(),
        comment: change.comment.clone(),
        address: change.node_addr.clone(),
        hostname: change.node_hostname.clone(),
    })
}

fn state(value: u32) -> Result<Option<NodeStateChange>, Refused> {
    if value == NO_VAL {
        return Ok(None);
    }
    let flags = [
        (FLAG_RESUME, NodeStateChange::Resume),
        (FLAG_UNDRAIN, NodeStateChange::Undrain),
        (FLAG_DRAIN, NodeStateChange::Drain),
        (FLAG_FAIL, NodeStateChange::Fail),
        (FLAG_NO_RESPOND, NodeStateChange::NoRespond),
    ];
    if let Some((_, change)) = flags.iter().find(|(flag, _)| value & flag != 0) {
        return Ok(Some(*change));
    }
    match value & BASE_MASK {
        STATE_DOWN if value == STATE_DOWN => Ok(Some(NodeStateChange::Down)),
        STATE_IDLE | STATE_ALLOCATED | STATE_MIXED if value <= BASE_MASK => {
            Ok(Some(NodeStateChange::Idle))
        }
        STATE_FUTURE if value == STATE_FUTURE => Ok(Some(NodeStateChange::Future)),
        _ => {
            let text = format!("node state {value:#x} cannot be set on this controller");
            Err(Refused::because(Errno::InvalidNodeState.number(), text))
        }
    }
}
