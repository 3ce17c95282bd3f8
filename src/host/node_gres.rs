//! Generic resources of a node: what gres.conf says it has, and what tasks are told of theirs.

use std::path::Path;

use flurm_conf::{GresConf, NodeConf};
use flurm_ctld::{GRES_CONF_HAS_FILE, gres_plugin_id};
use flurm_rt::Env;
use flurm_wire::records::{CredentialBody, GresNodeConfig, GresNodeRecord};
use flurm_wire::{Bits, Mem, Release, Wire};

use crate::conf_files::read_gres_conf;
use crate::node::NodeDaemon;

/// The name whose devices tasks are told by variables.
const GPU: &str = "gpu";
/// What libraries of different makers look at (gres.conf(5), "env_vars").
const GPU_VARIABLES: [&str; 4] =
    ["CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"];

/// What a node has: lines of gres.conf, or what slurm.conf promises where those do not speak of it.
pub(crate) async fn load<E: Env>(
    env: &E,
    conf_path: &Path,
    node: &NodeConf,
) -> Result<Vec<GresNodeRecord>, String> {
    if node.gres.is_none() {
        return Ok(Vec::new());
    }
    let conf = read_gres_conf(env, conf_path).await?;
    for warning in &conf.warnings {
        tracing::warn!("{warning}");
    }
    Ok(records(&conf, node))
}

fn records(conf: &GresConf, node: &NodeConf) -> Vec<GresNodeRecord> {
    let record = |name: &str, kind: Option<String>, count: u64, has_files: bool| GresNodeRecord {
        magic: (),
        count,
        cpu_cnt: u32::from(node.cpus),
        config_flags: if has_files { GRES_CONF_HAS_FILE } else { 0 },
        plugin_id: gres_plugin_id(name),
        cpus: None,
        links: None,
        name: Some(name.to_owned()),
        type_name: kind,
        unique_id: None,
    };
    let lines = conf.of_node(&node.name);
    let mut found: Vec<GresNodeRecord> = lines
        .map(|line| record(&line.name, line.kind.clone(), line.count, !line.files.is_empty()))
        .collect();
    let promised = flurm_model::GresPart::of_node(node.gres.as_deref(), None);
    for part in promised {
        if !found.iter().any(|known| known.name.as_deref() == Some(&part.name)) {
            found.push(record(&part.name, part.kind, part.count, false));
        }
    }
    found
}

/// What a node registers of its generic resources.
pub(crate) fn registered<E: Env>(daemon: &NodeDaemon<E>) -> Mem {
    let records = daemon.gres();
    if records.is_empty() {
        return Mem::default();
    }
    let version = Release::NEWEST.version();
    let config = GresNodeConfig { version, records: records.to_vec() };
    let mut writer = flurm_wire::Writer::new(Release::NEWEST);
    config.encode(&mut writer);
    Mem(writer.into_bytes())
}

/// Devices and their number on one node of a job.
struct Share {
    count: u64,
    devices: Vec<u32>,
}

/// All that a credential gives of one name on a node of the job, by its place.
fn share<'a>(
    states: impl Iterator<Item = (u32, Option<&'a Vec<u64>>, Option<&'a Vec<Option<Bits>>>)>,
    node: usize,
) -> Share {
    let mut share = Share { count: 0, devices: Vec::new() };
    for (_, counts, bits) in states.filter(|(id, ..)| *id == gres_plugin_id(GPU)) {
        let count = counts.and_then(|counts| counts.get(node)).copied().unwrap_or(0);
        share.count = share.count.saturating_add(count);
        let bits = bits.and_then(|bits| bits.get(node)).and_then(Option::as_ref);
        share.devices.extend(bits.into_iter().flat_map(Bits::iter));
    }
    share.devices.sort_unstable();
    if flurm_base::planted::is("host_numbers_devices_anew") {
        share.devices = (0..).take(share.devices.len()).collect();
    }
    share
}

/// The variables of a job's script (`own` is `SLURM_JOB_GPUS`).
pub(crate) fn of_job(body: &CredentialBody, node: usize) -> Vec<String> {
    let states = body.job_gres_list.iter().map(|state| {
        let nodes = &state.nodes;
        (state.plugin_id, nodes.gres_cnt_node_alloc.as_ref(), nodes.gres_bit_alloc.as_ref())
    });
    variables("SLURM_JOB_GPUS", &share(states, node))
}

/// The variables of a step's tasks.
pub(crate) fn of_step(body: &CredentialBody, node: usize) -> Vec<String> {
    let states = body.step_gres_list.iter().map(|state| {
        let nodes = &state.nodes;
        (state.plugin_id, nodes.gres_cnt_node_alloc.as_ref(), nodes.gres_bit_alloc.as_ref())
    });
    variables("SLURM_STEP_GPUS", &share(states, node))
}

fn variables(own: &str, share: &Share) -> Vec<String> {
    if share.count == 0 {
        return Vec::new();
    }
    let mut all = vec![format!("SLURM_GPUS_ON_NODE={}", share.count)];
    if !share.devices.is_empty() {
        let list: Vec<String> = share.devices.iter().map(u32::to_string).collect();
        let list = list.join(",");
        all.push(format!("{own}={list}"));
        all.extend(GPU_VARIABLES.map(|name| format!("{name}={list}")));
    }
    all
}

/// The environment with these variables instead of those of the same name.
pub(crate) fn put(environment: &[String], own: Vec<String>) -> Vec<String> {
    let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let names: Vec<String> = own.iter().map(name).collect();
    let kept = environment.iter().filter(|entry| !names.contains(&name(entry)));
    kept.cloned().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_what_its_lines_say_and_else_what_is_promised() {
        let text = "NodeName=n1 Name=gpu Type=tesla File=/dev/nvidia[0-1]\n";
        let conf = GresConf::parse(&|_| Ok(text.to_owned()), "gres.conf").unwrap();
        let slurm = "ClusterName=c\nSlurmctldHost=c1\nGresTypes=gpu,net\n\
                     NodeName=n[1-2] Gres=gpu:tesla:2,net:3\nPartitionName=p Nodes=n1\n";
        let whole = flurm_conf::parse(&|_| Ok(slurm.to_owned()), "slurm.conf").unwrap();
        let of = |at: usize| -> Vec<(String, u64, u32)> {
            let found = records(&conf, &whole.nodes[at]).into_iter();
            found.map(|one| (one.name.unwrap(), one.count, one.config_flags)).collect()
        };
        assert_eq!(of(0), [("gpu".into(), 2, GRES_CONF_HAS_FILE), ("net".into(), 3, 0)]);
        assert_eq!(of(1), [("gpu".into(), 2, 0), ("net".into(), 3, 0)]);
    }

    #[test]
    fn variables_name_the_devices() {
        let share = Share { count: 2, devices: vec![0, 2] };
        let said = variables("SLURM_JOB_GPUS", &share);
        assert_eq!(
            said[..3],
            ["SLURM_GPUS_ON_NODE=2", "SLURM_JOB_GPUS=0,2", "CUDA_VISIBLE_DEVICES=0,2",]
        );
        let counted = Share { count: 2, devices: Vec::new() };
        assert_eq!(variables("SLURM_JOB_GPUS", &counted), ["SLURM_GPUS_ON_NODE=2"]);
        let before = ["A=1".to_owned(), "CUDA_VISIBLE_DEVICES=9".to_owned()];
        let after = put(&before, vec!["CUDA_VISIBLE_DEVICES=0".to_owned()]);
        assert_eq!(after, ["A=1", "CUDA_VISIBLE_DEVICES=0"]);
    }
}
