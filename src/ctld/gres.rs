//! Generic resources on the wire: what nodes register, what jobs are shown to have, and what
//! credentials say of them.

use std::collections::{BTreeMap, BTreeSet};

use flurm_model::{
    Cluster, GresHeld, GresPart, GresWish, Job, NodeConf, NodeName, Share, Size, Step,
};
use flurm_wire::records::{
    GresJobNodes, GresJobState, GresNodeConfig, GresStepNodes, GresStepState, JobInfo, NodeInfo,
    StepCreate,
};
use flurm_wire::{Bits, Errno, Mem, NO_VAL16, Release, Text, Wire};

use crate::refused::Refused;

/// A part has files of its own (gres.h, `GRES_CONF_HAS_FILE`).
pub const CONF_HAS_FILE: u32 = 1 << 1;

/// The number by which daemons know a name: its bytes, added up four at a time.
pub fn plugin_id(name: &str) -> u32 {
    let bytes = name.bytes().enumerate();
    let shifted = bytes.map(|(at, byte)| u32::from(byte).wrapping_shl(8 * (at as u32 % 4)));
    shifted.fold(0, u32::wrapping_add)
}

/// What a node registered, for its record; `None` where it registered nothing that can be read.
pub(crate) fn found(info: &Mem) -> Option<String> {
    let version = info.0.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))?;
    let release = Release::from_version(version)?;
    let mut reader = flurm_wire::Reader::new(release, &info.0);
    let config = GresNodeConfig::decode(&mut reader).ok()?;
    let one = |record: &flurm_wire::records::GresNodeRecord| {
        let name = record.name.clone().filter(|name| is_word(name))?;
        let kind = record.type_name.clone().filter(|kind| is_word(kind));
        Some((name, kind, record.count, record.config_flags & CONF_HAS_FILE != 0))
    };
    flurm_model::list_found(&config.records.iter().filter_map(one).collect::<Vec<_>>())
}

/// A name that does not break the lists it stands in.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains([',', ':', '(', ')', '='])
}

/// What a job asks for, if it makes sense here.
pub(crate) fn wishes(
    requests: &flurm_model::Requests,
    types: &[String],
) -> Result<Vec<GresWish>, Refused> {
    let wishes = GresWish::of(requests).map_err(refused)?;
    match wishes.iter().find(|wish| !types.contains(&wish.name)) {
        None => Ok(wishes),
        Some(wish) => {
            let text = format!("{} is not among GresTypes", wish.name);
            Err(Refused::because(Errno::ESLURM_INVALID_GRES.0, text))
        }
    }
}

fn refused(fault: flurm_model::GresFault) -> Refused {
    Refused::because(Errno::ESLURM_INVALID_GRES.0, fault.0)
}

/// What a step asks for.
pub(crate) fn of_step(ask: &StepCreate) -> Result<Vec<GresWish>, Refused> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let read = GresWish::read(
        &text(&ask.tres_per_step),
        &text(&ask.tres_per_node),
        &text(&ask.tres_per_task),
        &text(&ask.cpus_per_tres),
        &text(&ask.mem_per_tres),
    );
    read.map_err(refused)
}

/// As many tasks as `--gpus` and `--gpus-per-task` together mean where none were asked for.
pub(crate) fn sized(mut size: Size, wishes: &[GresWish]) -> Size {
    let tasks = wishes.iter().filter(|wish| wish.per_task > 0 && wish.per_job > 0);
    let tasks = tasks.map(|wish| wish.per_job.div_ceil(wish.per_task)).max();
    if let (None, Some(tasks)) = (size.tasks, tasks) {
        let tasks = u32::try_from(tasks).unwrap_or(u32::MAX);
        size.tasks = Some(tasks);
        size.cpus_min = size.cpus_min.max(tasks.saturating_mul(size.cpus_per_task_or_default()));
    }
    size
}

/// A name and type, as listings have them: `gpu:tesla`.
fn label(name: &str, kind: Option<&str>) -> String {
    kind.map_or_else(|| name.to_owned(), |kind| format!("{name}:{kind}"))
}

fn ranges(devices: impl IntoIterator<Item = u32>) -> String {
    let list: Vec<String> = devices.into_iter().map(|device| device.to_string()).collect();
    let text = flurm_base::hostlist::compress(list.iter().map(String::as_str));
    text.trim_matches(['[', ']']).to_owned()
}

/// The fields of a node that are about generic resources.
pub(crate) fn of_node(cluster: &Cluster, conf: &NodeConf) -> NodeInfo {
    NodeInfo {
        gres: conf.gres.as_deref().map(Text::from),
        gres_drain: conf.gres.is_some().then_some("N/A").map(Text::from),
        gres_used: used(cluster, &conf.name).map(Text::from),
        ..NodeInfo::default()
    }
}

/// `GresUsed=` of a node; `None` where it has none.
fn used(cluster: &Cluster, node: &NodeName) -> Option<String> {
    let parts = cluster.gres_of(node);
    let in_use = cluster.gres_use(node);
    let one = |part: &GresPart| {
        let used = in_use.and_then(|used| used.get(&part.key()));
        let count = used.map_or(0, |used| used.count);
        let label = label(&part.name, part.kind.as_deref());
        match (part.first, used) {
            (None, _) => format!("{label}:{count}"),
            (Some(_), None) => format!("{label}:0(IDX:N/A)"),
            (Some(_), Some(used)) => {
                format!("{label}:{count}(IDX:{})", ranges(used.devices.iter().copied()))
            }
        }
    };
    let texts: Vec<String> = parts.iter().map(one).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// What of each node's parts a job could have had: those that it asked for, and what it has.
fn parts_shown<'c>(cluster: &'c Cluster, job: &Job, share: &'c Share) -> Vec<&'c GresPart> {
    let wishes = GresWish::of(&job.spec.requests).unwrap_or_default();
    let shown = |part: &&GresPart| {
        let asked = wishes.iter().any(|wish| wish.is_met_by(&part.name, part.kind.as_deref()));
        asked || held(share, part).is_some()
    };
    cluster.gres_of(&share.node).iter().filter(shown).collect()
}

fn held<'s>(share: &'s Share, part: &GresPart) -> Option<&'s GresHeld> {
    share.gres.iter().find(|held| held.name == part.name && held.kind == part.kind)
}

/// Fills in what a job has, in all and node by node (`scontrol -d show job`).
pub(crate) fn put_held(cluster: &Cluster, job: &Job, info: &mut JobInfo) {
    let Some(allocation) = &job.allocation else { return };
    if allocation.shares.iter().all(|share| share.gres.is_empty()) {
        return;
    }
    let mut totals: Vec<(String, u64)> = Vec::new();
    for share in &allocation.shares {
        let mut texts = Vec::new();
        for part in parts_shown(cluster, job, share) {
            let label = label(&part.name, part.kind.as_deref());
            let held = held(share, part);
            let count = held.map_or(0, |held| held.count);
            match totals.iter_mut().find(|(known, _)| *known == label) {
                Some((_, total)) => *total = total.saturating_add(count),
                None => totals.push((label.clone(), count)),
            }
            texts.push(match part.first {
                None => format!("{label}(CNT:{count})"),
                Some(_) => {
                    let devices = held.map(|held| held.devices.clone()).unwrap_or_default();
                    format!("{label}:{count}(IDX:{})", ranges(devices))
                }
            });
        }
        info.gres_detail_str.push(Some(texts.join(",").into()));
    }
    let totals = totals.into_iter().map(|(label, total)| format!("{label}:{total}"));
    info.gres_total = Some(totals.collect::<Vec<_>>().join(",").into());
}

type Key = (String, Option<String>);

/// Every name and type that is held anywhere.
fn keys<'h>(held: impl Iterator<Item = &'h GresHeld>) -> BTreeSet<Key> {
    held.map(|held| (held.name.clone(), held.kind.clone())).collect()
}

/// How many of one part are held on each of some nodes, and which, as credentials say it.
fn by_node(
    cluster: &Cluster,
    key: &Key,
    nodes: &[(&NodeName, &[GresHeld])],
) -> (Vec<u64>, Vec<Option<Bits>>) {
    let mut counts = Vec::with_capacity(nodes.len());
    let mut bits = Vec::with_capacity(nodes.len());
    for (node, held) in nodes {
        let held = held.iter().find(|held| (&held.name, &held.kind) == (&key.0, &key.1));
        counts.push(held.map_or(0, |held| held.count));
        let named = cluster.gres_of(node).iter().filter(|part| part.name == key.0);
        let size = named.map(|part| part.count).fold(0, u64::saturating_add);
        let devices = held.map(|held| held.devices.clone()).unwrap_or_default();
        let size = u32::try_from(size).unwrap_or(u32::MAX).min(DEVICES_MAX);
        let devices: Vec<u32> = devices.into_iter().filter(|device| *device < size).collect();
        bits.push((!devices.is_empty()).then(|| Bits::from_indices(size, devices)));
    }
    (counts, bits)
}

/// Devices of one name that a credential can tell apart.
const DEVICES_MAX: u32 = 1 << 16;

/// What a job has, for its credential: one entry for each name and type.
pub(crate) fn job_states(cluster: &Cluster, shares: &[Share]) -> Vec<GresJobState> {
    let nodes: Vec<(&NodeName, &[GresHeld])> =
        shares.iter().map(|share| (&share.node, &share.gres[..])).collect();
    let state = |key: Key| {
        let (counts, bits) = by_node(cluster, &key, &nodes);
        let has_bits = bits.iter().any(Option::is_some);
        GresJobState {
            magic: (),
            plugin_id: plugin_id(&key.0),
            cpus_per_gres: 0,
            flags: 0,
            gres_per_job: 0,
            gres_per_node: counts.iter().copied().max().unwrap_or(0),
            gres_per_socket: 0,
            gres_per_task: 0,
            mem_per_gres: 0,
            ntasks_per_gres: NO_VAL16,
            total_gres: counts.iter().copied().fold(0, u64::saturating_add),
            type_name: key.1,
            nodes: GresJobNodes {
                node_cnt: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
                gres_cnt_node_alloc: Some(counts),
                gres_bit_alloc: has_bits.then_some(bits),
                ..GresJobNodes::default()
            },
        }
    };
    keys(shares.iter().flat_map(|share| &share.gres)).into_iter().map(state).collect()
}

/// What a step has, for its credential; nodes are the job's.
pub(crate) fn step_states(cluster: &Cluster, shares: &[Share], step: &Step) -> Vec<GresStepState> {
    let none: &[GresHeld] = &[];
    let parts: BTreeMap<&NodeName, &[GresHeld]> =
        step.parts.iter().map(|part| (&part.node, &part.gres[..])).collect();
    let of = |share: &'_ Share| parts.get(&share.node).copied().unwrap_or(none);
    let nodes: Vec<(&NodeName, &[GresHeld])> =
        shares.iter().map(|share| (&share.node, of(share))).collect();
    let state = |key: Key| {
        let (counts, bits) = by_node(cluster, &key, &nodes);
        let has_bits = bits.iter().any(Option::is_some);
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let used = (0..count).zip(&nodes).filter(|(_, (node, _))| parts.contains_key(*node));
        GresStepState {
            magic: (),
            plugin_id: plugin_id(&key.0),
            cpus_per_gres: 0,
            flags: 0,
            gres_per_step: 0,
            gres_per_node: counts.iter().copied().max().unwrap_or(0),
            gres_per_socket: 0,
            gres_per_task: 0,
            mem_per_gres: 0,
            total_gres: counts.iter().copied().fold(0, u64::saturating_add),
            type_name: key.1,
            nodes: GresStepNodes {
                node_cnt: count,
                node_in_use: Some(Bits::from_indices(count, used.map(|(at, _)| at))),
                gres_cnt_node_alloc: Some(counts),
                gres_bit_alloc: has_bits.then_some(bits),
                ..GresStepNodes::default()
            },
        }
    };
    keys(step.parts.iter().flat_map(|part| &part.gres)).into_iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_slurms_numbers() {
        // As the shift by bytes of four gives them.
        assert_eq!(plugin_id("gpu"), 0x0075_7067);
        assert_eq!(plugin_id("gpuab"), 0x6175_7067 + 0x62);
        assert_eq!(plugin_id(""), 0);
    }

    #[test]
    fn devices_are_listed_in_ranges() {
        assert_eq!(ranges([0, 1, 3]), "0-1,3");
        assert_eq!(ranges([2]), "2");
        assert_eq!(ranges([]), "");
    }

    #[test]
    fn a_registration_that_cannot_be_read_says_nothing() {
        assert_eq!(found(&Mem(Vec::new())), None);
        assert_eq!(found(&Mem(vec![0x26, 0, 0, 9])), None);
    }

    #[test]
    fn totals_and_tasks_give_the_number_of_tasks() {
        let wish = GresWish { per_job: 5, per_task: 2, ..GresWish::default() };
        let size = sized(Size::default(), std::slice::from_ref(&wish));
        assert_eq!((size.tasks, size.cpus_min), (Some(3), 3));
        let own = Size { tasks: Some(9), ..Size::default() };
        assert_eq!(sized(own, std::slice::from_ref(&wish)).tasks, Some(9));
    }
}
