//! `NodeName=` and `DownNodes=` lines to nodes, with sizes made consistent as Slurm makes them.

use std::collections::BTreeMap;

use flurm_base::hostlist::HOSTS_MAX;
use flurm_base::{Hostlist, natural};

use crate::diagnostic::{Place, Report};
use crate::fields::Fields;
use crate::source::{Record, Written};
use crate::{INFINITE, NodeConf, NodeState};

/// The nodes of all lines, in natural order of their names, as Slurm keeps them.
pub(crate) fn nodes(records: &[Record], slurmd_port: u16, report: &mut Report) -> Vec<NodeConf> {
    let mut builder = Builder { slurmd_port, report, nodes: Vec::new(), seen: BTreeMap::new() };
    let mut defaults: BTreeMap<&'static str, Written> = BTreeMap::new();
    for record in records.iter().filter(|record| record.key == "NodeName") {
        if record.name.eq_ignore_ascii_case("DEFAULT") {
            builder.check_default(record);
            defaults.extend(record.fields.clone());
        } else {
            builder.line(record, &Fields::new(record, &defaults));
        }
    }
    for record in records.iter().filter(|record| record.key == "DownNodes") {
        builder.down(record);
    }
    let mut nodes = builder.nodes;
    nodes.sort_by(|left, right| natural::order(&left.name, &right.name));
    nodes
}

struct Builder<'a> {
    slurmd_port: u16,
    report: &'a mut Report,
    nodes: Vec<NodeConf>,
    /// Index of each name.
    seen: BTreeMap<String, usize>,
}

impl Builder<'_> {
    fn check_default(&mut self, record: &Record) {
        for key in ["NodeHostname", "NodeAddr", "BcastAddr"] {
            if let Some(written) = record.fields.get(key) {
                let text = "is not allowed with NodeName=DEFAULT";
                self.report.error(&written.place, Some(key), text);
            }
        }
    }

    fn line(&mut self, record: &Record, fields: &Fields<'_>) {
        if record.name.eq_ignore_ascii_case("ALL") {
            let text = "`ALL` is a reserved word";
            return self.report.error(&record.place, Some("NodeName"), text);
        }
        let Some(names) = self.hosts("NodeName", &record.name, &record.place) else { return };
        let count = names.len();
        if self.nodes.len() + count > HOSTS_MAX {
            let text = format!("there are more than {HOSTS_MAX} nodes");
            return self.report.error(&record.place, Some("NodeName"), text);
        }
        let model = self.sizes(fields);
        let hostnames = self.parallel("NodeHostname", fields, count);
        let addrs = self.parallel("NodeAddr", fields, count);
        let bcast = self.parallel("BcastAddr", fields, count);
        let ports = self.ports(fields, count);
        for (index, name) in names.into_iter().enumerate() {
            if self.seen.insert(name.clone(), self.nodes.len()).is_some() {
                let text = format!("node {name} is described twice");
                self.report.error(&record.place, Some("NodeName"), text);
                continue;
            }
            let hostname = nth(&hostnames, index).unwrap_or_else(|| name.clone());
            self.nodes.push(NodeConf {
                addr: nth(&addrs, index).unwrap_or_else(|| hostname.clone()),
                bcast_addr: nth(&bcast, index),
                port: ports
                    .get(index.min(ports.len().saturating_sub(1)))
                    .copied()
                    .unwrap_or(self.slurmd_port),
                hostname,
                name,
                ..model.clone()
            });
        }
    }

    /// The hosts of an expression, if it has any.
    fn hosts(&mut self, key: &str, text: &str, place: &Place) -> Option<Vec<String>> {
        match Hostlist::parse(text) {
            Ok(list) if list.is_empty() => {
                self.report.error(place, Some(key), "expected host names");
                None
            }
            Ok(list) => Some(list.iter().collect()),
            Err(error) => {
                self.report.error(place, Some(key), error.to_string());
                None
            }
        }
    }

    /// Hosts of a key that has one of them, or as many as the line has nodes; empty when not set.
    fn parallel(&mut self, key: &str, fields: &Fields<'_>, count: usize) -> Vec<String> {
        let Some(text) = fields.own(key).map(|written| written.value.text.clone()) else {
            return Vec::new();
        };
        let hosts = self.hosts(key, &text, fields.place(key)).unwrap_or_default();
        if hosts.len() > 1 && hosts.len() != count {
            let text =
                format!("has {} hosts for {count} nodes; expected 1 or {count}", hosts.len());
            self.report.error(fields.place(key), Some(key), text);
        }
        hosts
    }

    fn ports(&mut self, fields: &Fields<'_>, count: usize) -> Vec<u16> {
        let Some(text) = fields.text("Port").filter(|text| !text.is_empty()) else {
            return Vec::new();
        };
        let bare_range = !text.starts_with('[') && text.contains(['-', ',']);
        let list = if bare_range { format!("[{text}]") } else { text.to_owned() };
        let place = fields.place("Port");
        let Some(hosts) = self.hosts("Port", &list, place) else { return Vec::new() };
        let ports: Option<Vec<u16>> =
            hosts.iter().map(|port| port.parse().ok().filter(|port| *port > 0)).collect();
        let Some(ports) = ports else {
            let wrong = format!("`{text}` is not a port from 1 to 65535 or a range of them");
            self.report.error(place, Some("Port"), wrong);
            return Vec::new();
        };
        if ports.len() > 1 && ports.len() != count {
            let wrong =
                format!("has {} ports for {count} nodes; expected 1 or {count}", ports.len());
            self.report.error(place, Some("Port"), wrong);
        }
        ports
    }

    /// A node of this line, but for its names.
    fn sizes(&mut self, fields: &Fields<'_>) -> NodeConf {
        let features = if fields.own("Features").is_some() && fields.own("Feature").is_none() {
            fields.list("Features")
        } else if fields.get("Feature").is_some() {
            fields.list("Feature")
        } else {
            fields.list("Features")
        };
        let weight: u32 = fields.small("Weight", 1);
        let mut node = NodeConf {
            name: String::new(),
            hostname: String::new(),
            addr: String::new(),
            bcast_addr: None,
            port: 0,
            cpus: 1,
            boards: self.at_least_one(fields, "Boards"),
            sockets: 1,
            cores_per_socket: self.at_least_one(fields, "CoresPerSocket"),
            threads_per_core: self.at_least_one(fields, "ThreadsPerCore"),
            real_memory_mib: fields.number("RealMemory").unwrap_or(1),
            tmp_disk_mib: fields.small("TmpDisk", 0),
            weight: weight.min(INFINITE - 1),
            features,
            gres: fields.some_text("Gres"),
            state: self.state(fields),
            reason: fields.some_text("Reason"),
            core_spec_count: fields.small("CoreSpecCount", 0),
            cpu_spec_list: fields.some_text("CPUSpecList"),
            mem_spec_limit_mib: fields.number("MemSpecLimit").unwrap_or(0),
            restricted_cores_per_gpu: fields.small("RestrictedCoresPerGPU", 0),
            cpu_bind: fields.some_text("CpuBind"),
            tres_weights: fields.some_text("TRESWeights"),
            topology: fields.some_text("Topology"),
            parameters: fields.some_text("Parameters"),
        };
        self.settle_cpus(fields, &mut node);
        self.settle_reserves(fields, &mut node);
        node
    }

    /// Infers CPUs, sockets and boards from each other where some are not set, and puts right what
    /// contradicts itself.
    fn settle_cpus(&mut self, fields: &Fields<'_>, node: &mut NodeConf) {
        let cpus_key = if fields.get("CPUs").is_some() { "CPUs" } else { "Procs" };
        let cpus = fields.get(cpus_key).map(|_| self.at_least_one(fields, cpus_key));
        let mut sockets = fields.get("Sockets").map(|_| self.at_least_one(fields, "Sockets"));
        let on_board = fields.get("SocketsPerBoard");
        let on_board = on_board.map(|_| self.at_least_one(fields, "SocketsPerBoard"));
        if on_board.is_some() && sockets.take().is_some() {
            let text = "is ignored because SocketsPerBoard is set too";
            self.report.warning(fields.place("Sockets"), "Sockets", text);
        }
        let socket_cpus = u32::from(node.cores_per_socket) * u32::from(node.threads_per_core);
        let inferred = match (on_board, cpus.map(u32::from)) {
            (Some(on_board), _) => u32::from(node.boards) * u32::from(on_board),
            (None, Some(cpus)) if cpus >= socket_cpus && cpus % socket_cpus == 0 => {
                cpus / socket_cpus
            }
            _ => u32::from(node.boards),
        };
        let sockets = sockets.map_or(inferred, u32::from);
        let threads = sockets.saturating_mul(socket_cpus);
        let cores = sockets.saturating_mul(u32::from(node.cores_per_socket));
        let Ok(all) = u16::try_from(threads) else {
            let text = format!("the line gives {threads} CPUs, but at most {} fit", u16::MAX);
            return self.report.error(fields.place("CoresPerSocket"), Some("NodeName"), text);
        };
        node.sockets = u16::try_from(sockets).unwrap_or(u16::MAX);
        node.cpus = cpus.unwrap_or(all);
        if node.sockets < node.boards {
            let text = "is more than there are sockets; 1 is used";
            self.report.warning(fields.place("Boards"), "Boards", text);
            node.boards = 1;
        }
        let consistent = [sockets, cores, threads].contains(&u32::from(node.cpus));
        if !consistent {
            let text = format!(
                "{} is neither the {sockets} sockets, the {cores} cores nor the {threads} threads; \
                 {threads} is used",
                node.cpus
            );
            self.report.warning(fields.place(cpus_key), "CPUs", text);
            node.cpus = all;
        }
    }

    /// Puts right what is kept for the system where it would leave nothing for jobs.
    fn settle_reserves(&mut self, fields: &Fields<'_>, node: &mut NodeConf) {
        if u32::from(node.core_spec_count) >= node.cores() && node.core_spec_count > 0 {
            let text = format!("is not below the {} cores; 1 is used", node.cores());
            self.report.warning(fields.place("CoreSpecCount"), "CoreSpecCount", text);
            node.core_spec_count = 1;
        }
        if node.core_spec_count > 0 && node.cpu_spec_list.is_some() {
            let text = "is ignored because CPUSpecList is set too";
            self.report.warning(fields.place("CoreSpecCount"), "CoreSpecCount", text);
            node.core_spec_count = 0;
        }
        if node.mem_spec_limit_mib >= node.real_memory_mib && node.mem_spec_limit_mib > 0 {
            let text = format!("is not below RealMemory {}; 0 is used", node.real_memory_mib);
            self.report.warning(fields.place("MemSpecLimit"), "MemSpecLimit", text);
            node.mem_spec_limit_mib = 0;
        }
    }

    fn at_least_one(&mut self, fields: &Fields<'_>, key: &str) -> u16 {
        let number = fields.small(key, 1);
        if number == 0 {
            self.report.warning(fields.place(key), key, "0 makes no sense; 1 is used");
        }
        number.max(1)
    }

    fn state(&mut self, fields: &Fields<'_>) -> NodeState {
        let text = fields.text("State").unwrap_or("UNKNOWN");
        NodeState::parse(text).unwrap_or_else(|| {
            let names: Vec<&str> = NodeState::NAMES.iter().map(|(name, _)| *name).collect();
            let wrong = format!("`{text}` is not one of {}", names.join(", "));
            self.report.error(fields.place("State"), Some("State"), wrong);
            NodeState::Unknown
        })
    }

    /// Applies a `DownNodes=` line.
    fn down(&mut self, record: &Record) {
        let none = BTreeMap::new();
        let fields = Fields::new(record, &none);
        let state = match fields.text("State") {
            Some(_) => self.state(&fields),
            None => NodeState::Down,
        };
        let reason = fields.some_text("Reason").unwrap_or_else(|| "Set in slurm.conf".to_owned());
        let hosts = self.hosts("DownNodes", &record.name, &record.place).unwrap_or_default();
        for name in hosts {
            match self.seen.get(&name).and_then(|index| self.nodes.get_mut(*index)) {
                Some(node) => {
                    node.state = state;
                    node.reason = Some(reason.clone());
                }
                None => {
                    let text = format!("there is no node {name}");
                    self.report.error(&record.place, Some("DownNodes"), text);
                }
            }
        }
    }
}

/// The item for the node at `index`: its own, or the last.
fn nth(items: &[String], index: usize) -> Option<String> {
    items.get(index).or(items.last()).cloned()
}
