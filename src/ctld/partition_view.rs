//! Partitions as sinfo and `scontrol show partition` show them.

use flurm_model::{NodeName, OverSubscribe, Partition};
use flurm_wire::records::PartitionInfo;
use flurm_wire::{NO_VAL, NO_VAL16};

use crate::tables::{Tables, limit, memory, tres};

// Bits of a partition's flags (slurm.h, `PART_FLAG_*`).
const FLAG_DEFAULT: u32 = 1;
const FLAG_HIDDEN: u32 = 1 << 1;
const FLAG_NO_ROOT: u32 = 1 << 2;
const FLAG_ROOT_ONLY: u32 = 1 << 3;
const FLAG_REQ_RESV: u32 = 1 << 4;
const FLAG_LLN: u32 = 1 << 5;
const FLAG_EXCLUSIVE_USER: u32 = 1 << 6;
/// `max_share` of a partition that shares by force (slurm.h, `SHARED_FORCE`).
const SHARED_FORCE: u16 = 0x8000;

impl Tables<'_> {
    /// One partition.
    pub fn partition(&self, partition: &Partition) -> PartitionInfo {
        let conf = &partition.conf;
        let nodes = conf.nodes.iter().filter_map(|name| self.cluster.node(name));
        let (mut cpus, mut memory_mb, mut count) = (0u32, 0u64, 0u32);
        for node in nodes {
            cpus = cpus.saturating_add(node.conf.cpus);
            memory_mb = memory_mb.saturating_add(node.conf.real_memory_mb);
            count += 1;
        }
        let flags = [
            (conf.is_default, FLAG_DEFAULT),
            (conf.hidden, FLAG_HIDDEN),
            (conf.no_root, FLAG_NO_ROOT),
            (conf.root_only, FLAG_ROOT_ONLY),
            (conf.reservation_required, FLAG_REQ_RESV),
            (conf.least_loaded, FLAG_LLN),
            (conf.exclusive_user, FLAG_EXCLUSIVE_USER),
        ];
        let flags = flags.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum();
        PartitionInfo {
            name: Some(conf.name.to_string()),
            grace_time: conf.grace_time_s,
            max_time: limit(conf.time_max),
            default_time: conf.time_default.map_or(NO_VAL, limit),
            max_nodes: limit(conf.nodes_max),
            min_nodes: conf.nodes_min,
            total_nodes: count,
            total_cpus: cpus,
            def_mem_per_cpu: memory(conf.memory_default),
            max_cpus_per_node: limit(conf.cpus_per_node_max),
            max_cpus_per_socket: u32::MAX,
            max_mem_per_cpu: memory(conf.memory_max),
            flags,
            max_share: match conf.over_subscribe {
                OverSubscribe::No => 1,
                OverSubscribe::Exclusive => 0,
                OverSubscribe::Yes(count) => count,
                OverSubscribe::Force(count) => count | SHARED_FORCE,
            },
            over_time_limit: conf
                .over_time_limit
                .map_or(NO_VAL16, |over| u16::try_from(limit(over)).unwrap_or(u16::MAX)),
            preempt_mode: conf.preempt_mode.unwrap_or(NO_VAL16),
            priority_job_factor: conf.priority_job_factor,
            priority_tier: conf.priority_tier,
            state_up: conf.state.number(),
            cr_type: 0,
            resume_timeout: NO_VAL16,
            suspend_timeout: NO_VAL16,
            suspend_time: NO_VAL,
            allow_accounts: list(&conf.allow_accounts),
            allow_groups: list(&conf.allow_groups),
            allow_alloc_nodes: list(&names(&conf.alloc_nodes)),
            allow_qos: list(&conf.allow_qos),
            qos_char: conf.qos.clone(),
            alternate: conf.alternate.as_ref().map(|name| name.to_string()),
            deny_accounts: list(&conf.deny_accounts),
            deny_qos: list(&conf.deny_qos),
            nodes: (count > 0).then(|| self.host_list(&conf.nodes)),
            nodesets: None,
            node_inx: self.bits(conf.nodes.iter().map(|name| name.as_str())),
            billing_weights_str: conf.billing_weights.clone(),
            tres_fmt_str: Some(tres(cpus, memory_mb, Some(count))),
            job_defaults_list: None,
            ..PartitionInfo::default()
        }
    }
}

fn names(nodes: &[NodeName]) -> Vec<String> {
    nodes.iter().map(|name| name.to_string()).collect()
}

fn list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(","))
}
