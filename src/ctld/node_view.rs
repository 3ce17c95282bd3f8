//! Nodes as sinfo and `scontrol show node` show them.

use flurm_model::{Node, NodeFacts, NodeUse};
use flurm_wire::records::{ExtSensors, NodeInfo, PowerCap, SelectNodeInfo};
use flurm_wire::{NO_VAL, NO_VAL64, Text};

use crate::tables::{Tables, tres, unix};

impl Tables<'_> {
    /// One node.
    pub fn node(&self, node: &Node) -> NodeInfo {
        let conf = &node.conf;
        // Clients show a node with some CPUs taken as MIXED, even a DOWN one: there the shares of jobs
        // that are being ended are not shown, as in slurmctld.
        let down = node.is_down();
        let used = if down { NodeUse::default() } else { self.cluster.node_use(&conf.name) };
        let none = NodeFacts::default();
        let facts = node.facts.as_ref().unwrap_or(&none);
        let list = |features: &[String]| (!features.is_empty()).then(|| features.join(","));
        let extra = node.extra.clone().or_else(|| facts.extra.clone());
        let reason = (!node.reason.is_empty()).then(|| node.reason.clone());
        let alloc_tres = (used.cpus > 0).then(|| tres(used.cpus, used.memory_mb, None));
        let alloc_tres =
            alloc_tres.map(|text| text.rsplit_once(',').map_or(text.clone(), |(t, _)| t.into()));
        NodeInfo {
            name: Some(conf.name.to_string().into()),
            node_hostname: Some(conf.hostname.clone().into()),
            node_addr: Some(conf.address.clone().into()),
            port: conf.port,
            next_state: NO_VAL,
            node_state: self.cluster.node_state_number(node)
                | self.cluster.reserved_state(&conf.name, self.now),
            version: facts.version.as_deref().map(Text::from),
            cpus: narrow(conf.cpus),
            boards: conf.boards,
            sockets: conf.sockets,
            cores: conf.cores_per_socket,
            threads: conf.threads_per_core,
            real_memory: conf.real_memory_mb,
            tmp_disk: conf.tmp_disk_mb,
            owner: NO_VAL,
            core_spec_cnt: conf.spec_cores,
            mem_spec_limit: conf.spec_memory_mb,
            cpus_efctv: narrow(conf.usable_cpus()),
            cpu_load: facts.cpu_load.unwrap_or(NO_VAL),
            free_mem: facts.free_memory_mb.unwrap_or(NO_VAL64),
            weight: conf.weight,
            reason_uid: node.reason_uid,
            boot_time: unix(facts.boot),
            last_busy: unix(node.last_busy),
            reason_time: unix(node.reason_at),
            slurmd_start_time: unix(facts.daemon_start),
            select_nodeinfo: SelectNodeInfo {
                alloc_cpus: narrow(used.cpus),
                alloc_memory: used.memory_mb,
                tres_alloc_fmt_str: alloc_tres.as_deref().map(Text::from),
                tres_alloc_weighted: f64::from(used.cpus),
                ..SelectNodeInfo::default()
            },
            alloc_cpus: narrow(used.cpus),
            alloc_memory: used.memory_mb,
            alloc_tres_fmt_str: alloc_tres.map(Text::from),
            arch: facts.arch.as_deref().map(Text::from),
            features: list(&conf.features).map(Text::from),
            features_act: list(node.features_active()).map(Text::from),
            os: facts.os.as_deref().map(Text::from),
            comment: (!node.comment.is_empty()).then_some(node.comment.as_str()).map(Text::from),
            extra: extra.filter(|text| !text.is_empty()).map(Text::from),
            reason: reason.map(Text::from),
            ext_sensors: ExtSensors {
                consumed_energy: NO_VAL64,
                temperature: NO_VAL,
                ..ExtSensors::default()
            },
            power: PowerCap { cap_watts: NO_VAL },
            tres_fmt_str: Some(tres(conf.cpus, conf.real_memory_mb, None).into()),
            ..crate::gres::of_node(self.cluster, conf)
        }
    }
}

/// Counts of CPUs travel in sixteen bits.
pub(crate) fn narrow(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
